/** Things to do later, each under a name: what has been asked for and is not done yet is asked for only once. */
export class Timers {
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private isStopped = false;

  /** Calls `what` once after `ms`; a later call of the same name is left out until then. */
  after(name: string, ms: number, what: () => void): void {
    if (this.isStopped || this.timers.has(name)) return;
    const timer = setTimeout(() => {
      this.timers.delete(name);
      what();
    }, ms);
    this.timers.set(name, timer);
  }

  /** What was asked for under this name is not done. */
  cancel(name: string): void {
    clearTimeout(this.timers.get(name));
    this.timers.delete(name);
  }

  /** Nothing is done any more. */
  stop(): void {
    this.isStopped = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }
}
