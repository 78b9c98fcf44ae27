/**
 * Timers and turns of the event loop, behind an interface, so that a test can let time pass by hand (with the fake clock of
 * `util/clock.ts`).
 */
export interface Scheduler {
  /** Calls `fn` after `ms` milliseconds, unless the returned function is called before. */
  after(ms: number, fn: () => void): () => void;
  /** The same by the time that really passes, where `after` goes by a clock that may be stopped; absent where both are one. */
  afterReal?(ms: number, fn: () => void): () => void;
  /** Resolves once other work of the event loop had its turn. */
  yield(): Promise<void>;
}

export const systemScheduler: Scheduler = {
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
  yield: () => new Promise((resolve) => setImmediate(resolve)),
};
