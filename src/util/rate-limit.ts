/**
 * How often a call site may log.  Source: lib/token-bucket.c, lib/vlog.c (vlog_should_drop).
 */
import { monotonicMs } from './clock.ts';

/** Each message costs this many tokens; a bucket gains its rate in tokens every millisecond. */
const MESSAGE_TOKENS = 60_000;

/** A token bucket for one call site, or for several that are to share it: `perMinute` messages, `burst` at once. */
export class RateLimit {
  private readonly perMs: number;
  private readonly capacity: number;
  private tokens = 0;
  private lastFill = Number.NEGATIVE_INFINITY;
  private nDropped = 0;
  private firstDropped = 0;
  private lastDropped = 0;

  constructor(perMinute: number, burst: number) {
    this.perMs = perMinute;
    this.capacity = burst * MESSAGE_TOKENS;
  }

  /** True if the message may go out; else it is counted as dropped. */
  take(): boolean {
    const now = monotonicMs();
    if (this.tokens < MESSAGE_TOKENS && now > this.lastFill) {
      this.tokens = Math.min(this.capacity, this.tokens + this.perMs * (now - this.lastFill));
      this.lastFill = now;
    }
    if (this.tokens >= MESSAGE_TOKENS) {
      this.tokens -= MESSAGE_TOKENS;
      return true;
    }
    const seconds = Math.floor(now / 1000);
    if (this.nDropped++ === 0) this.firstDropped = seconds;
    this.lastDropped = seconds;
    return false;
  }

  /** The line to log about what was dropped since the last call, if anything was. */
  takeDroppedText(): string | undefined {
    if (this.nDropped === 0) return undefined;
    const now = Math.floor(monotonicMs() / 1000);
    const text =
      `Dropped ${this.nDropped} log messages in last ${now - this.firstDropped} seconds (most recently, ` +
      `${now - this.lastDropped} seconds ago) due to excessive rate`;
    this.nDropped = 0;
    return text;
  }
}
