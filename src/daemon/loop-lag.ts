/**
 * Notices when the event loop stalls: whoever blocks it for more than a second gets a warning in the log, in the words of
 * Open vSwitch.  A switch that stalls loses upcalls.  How late the loop was each time can be read with
 * `stopwatch/show event_loop_lag`.  Source: lib/timeval.c (log_poll_interval).
 */
import { coverage } from '../util/coverage.ts';
import { stopwatch } from '../util/stopwatch.ts';
import { RateLimit, vlog } from '../util/vlog.ts';

const log = vlog('timeval');
const longPoll = coverage('long_poll_interval');
const lag = stopwatch('event_loop_lag');

const TICK_MS = 250;
const WARN_MS = 1000;

/** What a stall has cost: a part of getrusage(2). */
export type Usage = Pick<
  NodeJS.ResourceUsage,
  | 'userCPUTime'
  | 'systemCPUTime'
  | 'minorPageFault'
  | 'majorPageFault'
  | 'fsRead'
  | 'fsWrite'
  | 'voluntaryContextSwitches'
  | 'involuntaryContextSwitches'
>;

/** The warnings about an interval of `ms` at whose ends the process had used `before` and `after`. */
export function stallTexts(ms: number, before: Usage, after: Usage): string[] {
  const used = (key: keyof Usage): number => after[key] - before[key];
  const cpuMs = (key: 'userCPUTime' | 'systemCPUTime'): number => Math.round(used(key) / 1000);
  const texts = [
    `Unreasonably long ${Math.round(ms)}ms poll interval (${cpuMs('userCPUTime')}ms user, ${cpuMs('systemCPUTime')}ms system)`,
  ];
  const add = (what: string, a: keyof Usage, nameA: string, b: keyof Usage, nameB: string): void => {
    if (used(a) > 0 || used(b) > 0) texts.push(`${what}: ${used(a)} ${nameA}, ${used(b)} ${nameB}`);
  };
  add('faults', 'minorPageFault', 'minor', 'majorPageFault', 'major');
  add('disk', 'fsRead', 'reads', 'fsWrite', 'writes');
  add('context switches', 'voluntaryContextSwitches', 'voluntary', 'involuntaryContextSwitches', 'involuntary');
  return texts;
}

export class LoopLag {
  private last = performance.now();
  private usage = process.resourceUsage();
  private readonly limit = new RateLimit(4, 20);
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
    const usage = process.resourceUsage();
    const lateMs = Math.max(0, now - this.last - TICK_MS);
    lag.add(Math.round(lateMs));
    if (lateMs >= WARN_MS) {
      longPoll.n++;
      const [first = '', ...rest] = stallTexts(lateMs, this.usage, usage);
      log.warn(first, this.limit);
      for (const text of rest) log.warn(text, this.limit);
    }
    this.last = now;
    this.usage = usage;
  }
}
