/** What is done again and again: the next time is so long after the end of the last.  Neighbour: timers.ts, for what is done once. */

/** Calls `fn` when `ms` have passed, unless the returned function is called before. */
export type After = (ms: number, fn: () => void) => () => void;

/** By the system's clock. */
export const realAfter: After = (ms, fn) => {
  const timer = setTimeout(fn, ms);
  return () => clearTimeout(timer);
};

export class Periodic {
  private readonly what: () => Promise<void>;
  private readonly after: After;
  private ms: number | undefined;
  private cancel: () => void = () => undefined;
  private isBusy = false;
  private isStopped = false;

  constructor(what: () => Promise<void>, after: After = realAfter) {
    this.what = what;
    this.after = after;
  }

  get isStarted(): boolean {
    return this.ms !== undefined;
  }

  /** From now on every `ms`.  If that is another period than before, at once as well: who has shortened it need not wait for the old one's end. */
  every(ms: number): void {
    if (this.isStopped || ms === this.ms) return;
    const isFirst = this.ms === undefined;
    this.ms = ms;
    // What is under way goes on with the new period.
    if (this.isBusy) return;
    this.cancel();
    if (isFirst) this.wait();
    else void this.run();
  }

  /** It is not done any more, whatever `every()` says later. */
  stop(): void {
    this.isStopped = true;
    this.cancel();
  }

  private wait(): void {
    if (!this.isStopped && this.ms !== undefined) this.cancel = this.after(this.ms, () => void this.run());
  }

  private async run(): Promise<void> {
    this.isBusy = true;
    try {
      await this.what();
    } finally {
      this.isBusy = false;
      this.wait();
    }
  }
}
