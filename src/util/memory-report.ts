/**
 * The memory report: how large this process is, logged when it has grown by half, with what it holds.
 * Whoever runs the main loop calls `run` now and then.  Source: lib/memory.c.
 */

import { monotonicMs } from './clock.ts';
import { fixed } from './fixed.ts';
import { vlog } from './vlog.ts';

const log = vlog('memory');

const CHECK_MS = 10_000;
const GROWTH = 1.5;

/** "handlers:1 ports:3 ...", by name, without what there is none of. */
export const formatUsage = (usage: Readonly<Record<string, number>>): string =>
  Object.entries(usage)
    .filter(([, n]) => n !== 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, n]) => `${name}:${n}`)
    .join(' ');

/** Peak resident size in kB; the kernel counts it (getrusage(2)). */
const peakRssKb = (): number => process.resourceUsage().maxRSS;
/** Resident size in kB. */
export const rssKb = (): number => Math.round(process.memoryUsage.rss() / 1024);

export class MemoryReport {
  private readonly startMs = monotonicMs();
  private nextMs = this.startMs + CHECK_MS;
  private lastKb = 0;
  private lastMs = this.startMs;
  private readonly usage: () => Readonly<Record<string, number>>;
  private readonly peakKb: () => number;

  /** `usage` is what `memory/show` says. */
  constructor(usage: () => Readonly<Record<string, number>>, peakKb: () => number = peakRssKb) {
    this.usage = usage;
    this.peakKb = peakKb;
  }

  /** Cheap when called too often. */
  run(): void {
    const now = monotonicMs();
    if (now < this.nextMs) return;
    this.nextMs = now + CHECK_MS;
    const kb = this.peakKb();
    if (kb < this.lastKb * GROWTH) return;
    if (this.lastKb === 0) {
      log.info(`${kb} kB peak resident set size after ${fixed((now - this.startMs) / 1000, 1)} seconds`);
    } else {
      const percent = Math.round((kb / this.lastKb - 1) * 100);
      const seconds = fixed((now - this.lastMs) / 1000, 1);
      log.info(
        `peak resident set size grew ${percent}% in last ${seconds} seconds, from ${this.lastKb} kB to ${kb} kB`,
      );
    }
    this.lastKb = kb;
    this.lastMs = now;
    const text = formatUsage(this.usage());
    if (text !== '') log.info(text);
  }
}
