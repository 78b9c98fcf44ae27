/**
 * A clock that can be stopped, and moved on by hand, with timers that go by it: what `ovs-appctl time/stop` and `time/warp`
 * work on.  Until it is stopped it goes with the system's.  Wall-clock time is never changed.
 * Source: lib/timeval.c (timewarp_work, timeval_stop_cb).
 */
import { type Clock, systemClock } from './clock.ts';

interface Timer {
  readonly due: number;
  readonly fn: () => void;
}

export class WarpClock implements Clock {
  private warpedMs = 0;
  private stoppedAt: number | undefined;
  private readonly timers = new Set<Timer>();
  private wakeUp: NodeJS.Timeout | undefined;

  monotonicMs(): number {
    return (this.stoppedAt ?? systemClock.monotonicMs()) + this.warpedMs;
  }
  wallMs(): number {
    return systemClock.wallMs();
  }

  /** From now on only `warp` moves the clock. */
  stop(): void {
    this.stoppedAt ??= systemClock.monotonicMs();
    clearTimeout(this.wakeUp);
  }

  /** Moves the clock on by `ms`, and calls what is due then, the earliest first. */
  warp(ms: number): void {
    this.warpedMs += ms;
    this.runDue();
  }

  /** Calls `fn` when `ms` have passed on this clock, unless the returned function is called before. */
  after(ms: number, fn: () => void): () => void {
    const timer: Timer = { due: this.monotonicMs() + Math.max(0, ms), fn };
    this.timers.add(timer);
    this.arm();
    return () => {
      if (this.timers.delete(timer)) this.arm();
    };
  }

  private runDue(): void {
    const now = this.monotonicMs();
    const due = [...this.timers].filter((timer) => timer.due <= now).sort((a, b) => a.due - b.due);
    for (const timer of due) if (this.timers.delete(timer)) timer.fn();
    this.arm();
  }

  private arm(): void {
    clearTimeout(this.wakeUp);
    if (this.timers.size === 0) return;
    let first = Number.POSITIVE_INFINITY;
    for (const { due } of this.timers) first = Math.min(first, due);
    const ms = Math.max(0, first - this.monotonicMs());
    // What is due already, as a timer of no time is, runs even while the clock stands.
    if (this.stoppedAt !== undefined && ms > 0) return;
    this.wakeUp = setTimeout(() => this.runDue(), ms);
  }
}
