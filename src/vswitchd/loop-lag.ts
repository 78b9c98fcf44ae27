/**
 * Notices when the event loop stalls: whoever blocks it for more than a second gets a warning in the log, in the words of
 * Open vSwitch.  A switch that stalls loses upcalls.  Source: lib/timeval.c.
 */
import { coverage } from '../util/coverage.ts';
import { RateLimit, vlog } from '../util/vlog.ts';

const log = vlog('timeval');
const longPoll = coverage('long_poll_interval');
const limit = new RateLimit(1, 5);

const TICK_MS = 250;
const WARN_MS = 1000;

export class LoopLag {
  private last = performance.now();
  private usage = process.cpuUsage();
  /** The longest stall so far, in ms. */
  worstMs = 0;
  private readonly timer: NodeJS.Timeout;

  constructor() {
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private tick(): void {
    const now = performance.now();
    const lateMs = now - this.last - TICK_MS;
    if (lateMs > this.worstMs) this.worstMs = lateMs;
    if (lateMs > WARN_MS) {
      const { user, system } = process.cpuUsage(this.usage);
      const ms = (microseconds: number) => Math.round(microseconds / 1000);
      longPoll.n++;
      log.warn(
        `Unreasonably long ${Math.round(lateMs)}ms poll interval (${ms(user)}ms user, ${ms(system)}ms system)`,
        limit,
      );
    }
    this.last = now;
    this.usage = process.cpuUsage();
  }
}
