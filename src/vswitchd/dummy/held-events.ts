/** Events that wait while several steps are made one, so that nobody looks in between.  Neighbours: dummy-dpif.ts, dummy-port-commands.ts. */
export class HeldEvents {
  private held: (() => void)[] | undefined;

  /** Calls `tell` now, or at the end of what goes on. */
  pass(tell: () => void): void {
    if (this.held === undefined) tell();
    else this.held.push(tell);
  }

  /** Holds events until `work` has ended.  One at a time: the end of the first releases them all. */
  async during(work: () => Promise<void>): Promise<void> {
    this.held ??= [];
    try {
      await work();
    } finally {
      const { held } = this;
      this.held = undefined;
      for (const tell of held ?? []) tell();
    }
  }
}
