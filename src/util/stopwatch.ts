/**
 * Stopwatches: how long something takes that happens again and again.  `stopwatch/show` prints them.
 *
 *     const reconfiguration = stopwatch('reconfigure');
 *     const stop = reconfiguration.start();
 *     ...
 *     stop();
 *
 * Source: lib/stopwatch.c (text, weights of averages).  The percentile is of the last samples, where stock estimates one over all.
 */

import { monotonicMs } from './clock.ts';
import { fixed } from './fixed.ts';

/** The percentile is of that many samples. */
const KEPT = 1024;
const SHORT_TERM_WEIGHT = 0.5;
const LONG_TERM_WEIGHT = 0.01;

export class Stopwatch {
  readonly name: string;
  private n = 0;
  private max = 0;
  private min = 0;
  private shortTerm = 0;
  private longTerm = 0;
  private readonly kept = new Float64Array(KEPT);

  constructor(name: string) {
    this.name = name;
  }

  /** Begins to measure; the function that it returns ends that, and may be left uncalled. */
  start(): () => void {
    const begin = monotonicMs();
    return () => this.add(monotonicMs() - begin);
  }

  /** One more sample, in whole milliseconds. */
  add(ms: number): void {
    const blend = (average: number, weight: number) => (this.n === 0 ? ms : weight * ms + (1 - weight) * average);
    this.max = this.n === 0 ? ms : Math.max(this.max, ms);
    this.min = this.n === 0 ? ms : Math.min(this.min, ms);
    this.shortTerm = blend(this.shortTerm, SHORT_TERM_WEIGHT);
    this.longTerm = blend(this.longTerm, LONG_TERM_WEIGHT);
    this.kept[this.n++ % KEPT] = ms;
  }

  reset(): void {
    this.n = 0;
    this.max = 0;
    this.min = 0;
    this.shortTerm = 0;
    this.longTerm = 0;
  }

  /** Text of `stopwatch/show`. */
  show(): string {
    return `Statistics for '${this.name}'
  Total samples: ${this.n}
  Maximum: ${this.max} msec
  Minimum: ${this.min} msec
  95th percentile: ${fixed(this.percentile(0.95), 6)} msec
  Short term average: ${fixed(this.shortTerm, 6)} msec
  Long term average: ${fixed(this.longTerm, 6)} msec
`;
  }

  private percentile(p: number): number {
    const n = Math.min(this.n, KEPT);
    if (n === 0) return 0;
    const sorted = this.kept.slice(0, n).sort();
    return sorted[Math.min(n - 1, Math.ceil(p * n) - 1)] ?? 0;
  }
}

const stopwatches = new Map<string, Stopwatch>();

/** The stopwatch `name`; the same one each time. */
export function stopwatch(name: string): Stopwatch {
  let found = stopwatches.get(name);
  if (found === undefined) {
    found = new Stopwatch(name);
    stopwatches.set(name, found);
  }
  return found;
}

/** All of them, or that of a name; none if there is no such. */
export function stopwatchesOf(name: string | undefined): Stopwatch[] {
  if (name === undefined) return [...stopwatches.values()];
  const found = stopwatches.get(name);
  return found === undefined ? [] : [found];
}
