/**
 * The two clocks: monotonic milliseconds, which flow statistics and timers count in, and wall-clock time, which log lines
 * show.  Tests put a FakeClock in their place, so that a minute passes at once and always the same.
 *
 * The monotonic clock is CLOCK_MONOTONIC itself, not an offset from this process's start: the datapath reports when a
 * flow was last used in it (OVS_FLOW_ATTR_USED), and both sides must mean the same instant.
 */

export interface Clock {
  /** Whole milliseconds of CLOCK_MONOTONIC. */
  monotonicMs(): number;
  /** Milliseconds since 1970, UTC. */
  wallMs(): number;
}

// performance.now() counts from the process's start but never allocates; the distance to the clock itself is constant.
const MONOTONIC_BASE_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export const systemClock: Clock = {
  monotonicMs: () => Math.floor(MONOTONIC_BASE_MS + performance.now()),
  wallMs: () => Date.now(),
};

let current: Clock = systemClock;
let workClock = systemClock.monotonicMs;

/** Whole milliseconds of CLOCK_MONOTONIC, or of the fake clock in force. */
export const monotonicMs = (): number => current.monotonicMs();
/** Whole milliseconds that a slice of long work goes by: real ones, also where the clock in force stands still. */
export const workMs = (): number => workClock();
/** Milliseconds since 1970, UTC. */
export const wallMs = (): number => current.wallMs();

/** Puts `clock` in force; undefined puts the system's back. */
export function setClock(clock: Clock | undefined): void {
  current = clock ?? systemClock;
}

/** Puts `clock` in the place of the one that slices of work go by. */
export function setWorkClock(clock: () => number): void {
  workClock = clock;
}

/** A clock that moves only when told to. */
export class FakeClock implements Clock {
  private mono: number;
  private wall: number;

  constructor(monotonicMs = 1_000_000, wallMs = Date.UTC(2026, 0, 1)) {
    this.mono = monotonicMs;
    this.wall = wallMs;
  }

  monotonicMs(): number {
    return this.mono;
  }
  wallMs(): number {
    return this.wall;
  }

  /** Lets `ms` milliseconds pass on both clocks. */
  advance(ms: number): void {
    this.mono += ms;
    this.wall += ms;
  }
}
