/**
 * Named counters of events: how often something happened since this process began, and how often lately.  They cost one
 * addition each, so that hot code can have them.  `coverage/show` and `coverage/read-counter` print them.
 *
 *     const flowPut = coverage('dpif_flow_put');
 *     flowPut.n++;
 *
 * Whoever runs the main loop calls `coverageRun()` now and then (each call may be late; it catches up by the clock).
 * Source: lib/coverage.c.
 */

import { monotonicMs } from './clock.ts';
import { fixed } from './fixed.ts';

/** One event's counter. */
export interface Coverage {
  readonly name: string;
  /** Times so far; add to it. */
  n: number;
}

/** Rates are averaged over slots of 5 s (the last minute) and of a minute (the last hour). */
const SLOT_MS = 5000;
const MINUTE_SLOTS = 12;
const HOUR_SLOTS = 60;

class Counter implements Coverage {
  readonly name: string;
  n = 0;
  /** What `n` was at the end of the last slot. */
  seen = 0;
  readonly minute = new Float64Array(MINUTE_SLOTS);
  readonly hour = new Float64Array(HOUR_SLOTS);

  constructor(name: string) {
    this.name = name;
  }
}

const counters = new Map<string, Counter>();
let slots = 0;
let lastRun: number | undefined;

/** The counter of event `name`; the same one each time. */
export function coverage(name: string): Coverage {
  let c = counters.get(name);
  if (c === undefined) {
    c = new Counter(name);
    counters.set(name, c);
  }
  return c;
}

/** Closes the slots that have gone by.  Cheap when called too often. */
export function coverageRun(): void {
  const now = monotonicMs();
  lastRun ??= now;
  const n = Math.floor((now - lastRun) / SLOT_MS);
  if (n <= 0) return;
  lastRun += n * SLOT_MS;
  // What happened while nobody called is spread evenly over the slots that this call closes.
  for (let i = 0; i < n; i++) {
    for (const c of counters.values()) {
      const share = (c.n - c.seen) / (n - i);
      c.seen += share;
      c.minute[slots % MINUTE_SLOTS] = share;
      const minuteSlot = Math.floor(slots / MINUTE_SLOTS) % HOUR_SLOTS;
      c.hour[minuteSlot] = (slots % MINUTE_SLOTS === 0 ? 0 : (c.hour[minuteSlot] ?? 0)) + share;
    }
    slots++;
  }
}

const sum = (a: Float64Array): number => a.reduce((s, v) => s + v, 0);

/** Text of `coverage/show`: events that happened, by name, then how many never did. */
export function showCoverage(): string {
  const hit = [...counters.values()].filter((c) => c.n > 0).sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines = hit.map((c) => {
    const last = (c.minute[(slots + MINUTE_SLOTS - 1) % MINUTE_SLOTS] ?? 0) / (SLOT_MS / 1000);
    const minute = fixed(sum(c.minute) / 60, 3).padStart(9);
    const hour = fixed(sum(c.hour) / 3600, 4).padStart(13);
    return `${c.name.padEnd(24)} ${fixed(last, 1).padStart(5)}/sec ${minute}/sec ${hour}/sec   total: ${c.n}`;
  });
  const head = `Event coverage, avg rate over last: ${SLOT_MS / 1000} seconds, last minute, last hour,  hash=${fingerprint()}:`;
  return [head, ...lines, `${counters.size - hit.length} events never hit`, ''].join('\n');
}

/**
 * Eight hexadecimal digits that two dumps share if the same events lead in the same order: a way to tell kinds of load apart.
 * (FNV-1a over the names from the most frequent to the least, with their ranks.)
 */
function fingerprint(): string {
  const hit = [...counters.values()].filter((c) => c.n > 0).sort((a, b) => b.n - a.n || (a.name < b.name ? -1 : 1));
  let hash = 0x811c9dc5;
  let rank = 0;
  for (const [i, c] of hit.entries()) {
    if (c.n !== hit[i - 1]?.n) rank = i;
    for (const char of `${rank} ${c.name} `) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** How often event `name` happened; undefined if there is no such event. */
export const readCoverage = (name: string): number | undefined => counters.get(name)?.n;
