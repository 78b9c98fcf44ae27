/**
 * The memory of connections: columns of typed arrays, a hash table of both directions' tuples, and a timer wheel.  A
 * connection is a row, `conn`; its two tuples are the entries `2 * conn + direction`.  tracker.ts knows what it all means.
 *
 * Rows are reused.  `generation` changes when one is freed, so that a reference kept in a packet can be told to be stale.
 * Columns are replaced when the table grows: do not keep one across alloc().
 */
import { IPS } from './ct-constants.ts';
import { copyTuple, hashSource, hashTuple, TUPLE_WORDS, tuplesEqual } from './tuple.ts';

/** Int32 words of protocol state a connection: see tcp-state.ts and sctp.ts. */
export const STATE_WORDS = 24;
const WHEEL_SLOTS = 512;
const WHEEL_TICK_MS = 1000;
const HEAD = -2;
/** No connection, no entry: also the end of a chain. */
export const NONE = -1;

export class ConnTable {
  /** Rows there is memory for, and rows in use. */
  capacity: number;
  count = 0;
  readonly max: number;
  private readonly seed: number;

  tuples: Int32Array;
  status: Int32Array;
  mark: Int32Array;
  /** Four words each, most significant first. */
  labels: Int32Array;
  state: Int32Array;
  /** When it expires, in ms; of an unconfirmed one, how long it is to live. */
  timeout: Float64Array;
  /** Of UDP: when it becomes a stream. */
  stamp: Float64Array;
  generation: Int32Array;
  /** The connection that an expected one belongs to, or NONE. */
  master: Int32Array;
  helper: Uint8Array;
  /** Whether it counts for its zone's limit. */
  counted: Uint8Array;
  /** Places of the tracker's ring that it is in. */
  kept: Uint8Array;
  /** Number of its timeout policy, 0 for the default. */
  policy: Int32Array;
  /** IPCT bits: what has happened and nobody was told, and what listeners are told; 0 if nobody listened when it began. */
  events: Int32Array;
  eventMask: Int32Array;

  private buckets: Int32Array;
  private nextEntry: Int32Array;
  private hashes: Int32Array;
  private sourceBuckets: Int32Array;
  private nextSource: Int32Array;
  private readonly wheel = new Int32Array(WHEEL_SLOTS).fill(NONE);
  private wheelNext: Int32Array;
  /** The connection before it in its slot, or HEAD - slot. */
  private wheelBefore: Int32Array;
  private freeRows: Int32Array;
  private wheelTick = -1;

  /** `max`: rows there may be. */
  constructor(max: number, seed: number, capacity = 1024) {
    this.max = max;
    this.seed = seed | 0;
    this.capacity = Math.min(capacity, max);
    const n = this.capacity;
    this.tuples = new Int32Array(2 * n * TUPLE_WORDS);
    this.status = new Int32Array(n);
    this.mark = new Int32Array(n);
    this.labels = new Int32Array(4 * n);
    this.state = new Int32Array(STATE_WORDS * n);
    this.timeout = new Float64Array(n);
    this.stamp = new Float64Array(n);
    this.generation = new Int32Array(n);
    this.master = new Int32Array(n).fill(NONE);
    this.helper = new Uint8Array(n);
    this.counted = new Uint8Array(n);
    this.kept = new Uint8Array(n);
    this.policy = new Int32Array(n);
    this.events = new Int32Array(n);
    this.eventMask = new Int32Array(n);
    this.nextEntry = new Int32Array(2 * n);
    this.hashes = new Int32Array(2 * n);
    this.nextSource = new Int32Array(n).fill(-2);
    this.wheelNext = new Int32Array(n);
    this.wheelBefore = new Int32Array(n);
    this.buckets = new Int32Array(powerOfTwo(2 * n)).fill(NONE);
    this.sourceBuckets = new Int32Array(powerOfTwo(n)).fill(NONE);
    this.freeRows = Int32Array.from({ length: n }, (_, i) => n - 1 - i);
  }

  /** A cleared row, or NONE if all are in use. */
  alloc(): number {
    if (this.count === this.capacity) {
      if (this.capacity >= this.max) return NONE;
      this.grow(Math.min(2 * this.capacity, this.max));
    }
    const conn = this.freeRows[this.capacity - 1 - this.count++]!;
    this.status[conn] = this.mark[conn] = this.helper[conn] = this.counted[conn] = this.policy[conn] = 0;
    this.labels.fill(0, 4 * conn, 4 * conn + 4);
    this.state.fill(0, STATE_WORDS * conn, STATE_WORDS * (conn + 1));
    this.timeout[conn] = this.stamp[conn] = this.events[conn] = this.eventMask[conn] = 0;
    this.master[conn] = NONE;
    return conn;
  }

  /** Gives a row back, whose entries were taken out of the hash table. */
  free(conn: number): void {
    this.unlinkSource(conn);
    this.status[conn] = 0;
    this.generation[conn]!++;
    this.freeRows[this.capacity - this.count--] = conn;
  }

  tupleAt(entry: number): number {
    return entry * TUPLE_WORDS;
  }

  /** The entry whose tuple equals the one at `at` of `words`, or NONE. */
  find(words: Int32Array, at: number): number {
    const hash = hashTuple(words, at, this.seed);
    const { nextEntry, hashes, tuples } = this;
    for (let e = this.buckets[hash & (this.buckets.length - 1)]!; e !== NONE; e = nextEntry[e]!) {
      if (hashes[e] === hash && tuplesEqual(tuples, e * TUPLE_WORDS, words, at)) return e;
    }
    return NONE;
  }

  /** Puts both tuples into the hash table. */
  link(conn: number): void {
    for (let e = 2 * conn; e < 2 * conn + 2; e++) this.linkEntry(e, hashTuple(this.tuples, e * TUPLE_WORDS, this.seed));
  }
  private linkEntry(entry: number, hash: number): void {
    const bucket = hash & (this.buckets.length - 1);
    this.hashes[entry] = hash;
    this.nextEntry[entry] = this.buckets[bucket]!;
    this.buckets[bucket] = entry;
  }

  /** Takes both out. */
  unlink(conn: number): void {
    for (let e = 2 * conn; e < 2 * conn + 2; e++) {
      const bucket = this.hashes[e]! & (this.buckets.length - 1);
      let before = this.buckets[bucket]!;
      if (before === e) {
        this.buckets[bucket] = this.nextEntry[e]!;
        continue;
      }
      while (this.nextEntry[before] !== e) before = this.nextEntry[before]!;
      this.nextEntry[before] = this.nextEntry[e]!;
    }
  }

  /** Puts the connection among those that source NAT was set up for, by their original source. */
  linkSource(conn: number): void {
    if (this.nextSource[conn] !== -2) return;
    const bucket = hashSource(this.tuples, 2 * conn * TUPLE_WORDS, this.seed) & (this.sourceBuckets.length - 1);
    this.nextSource[conn] = this.sourceBuckets[bucket]!;
    this.sourceBuckets[bucket] = conn;
  }
  private unlinkSource(conn: number): void {
    if (this.nextSource[conn] === -2) return;
    const bucket = hashSource(this.tuples, 2 * conn * TUPLE_WORDS, this.seed) & (this.sourceBuckets.length - 1);
    let before = this.sourceBuckets[bucket]!;
    if (before === conn) {
      this.sourceBuckets[bucket] = this.nextSource[conn]!;
    } else {
      while (this.nextSource[before] !== conn) before = this.nextSource[before]!;
      this.nextSource[before] = this.nextSource[conn]!;
    }
    this.nextSource[conn] = -2;
  }
  /** First connection of the bucket of the source at `at`, and the one after `conn`; they need not have that source. */
  firstSource(words: Int32Array, at: number): number {
    return this.sourceBuckets[hashSource(words, at, this.seed) & (this.sourceBuckets.length - 1)]!;
  }
  sourceAfter(conn: number): number {
    return this.nextSource[conn]!;
  }

  /** Puts a confirmed connection on the wheel, on which it stays until it is over. */
  startTimer(conn: number, now: number): void {
    if (this.wheelTick < 0) this.wheelTick = Math.floor(now / WHEEL_TICK_MS);
    // Never into the slot that is being emptied: that is the one a whole turn away.
    const horizon = (this.wheelTick + WHEEL_SLOTS - 2) * WHEEL_TICK_MS;
    const due = Math.floor(Math.min(this.timeout[conn]!, horizon) / WHEEL_TICK_MS) + 1;
    const slot = Math.max(due, this.wheelTick + 1) & (WHEEL_SLOTS - 1);
    const next = this.wheel[slot]!;
    this.wheelNext[conn] = next;
    this.wheelBefore[conn] = HEAD - slot;
    if (next !== NONE) this.wheelBefore[next] = conn;
    this.wheel[slot] = conn;
  }

  stopTimer(conn: number): void {
    const next = this.wheelNext[conn]!;
    const before = this.wheelBefore[conn]!;
    if (before <= HEAD) this.wheel[HEAD - before] = next;
    else this.wheelNext[before] = next;
    if (next !== NONE) this.wheelBefore[next] = before;
  }

  /** Turns the wheel to `now`: hands each connection that has expired to `end`, which must free it. */
  turn(now: number, end: (conn: number) => void): void {
    const tick = Math.floor(now / WHEEL_TICK_MS);
    if (this.wheelTick < 0) this.wheelTick = tick;
    if (tick - this.wheelTick > WHEEL_SLOTS) this.wheelTick = tick - WHEEL_SLOTS;
    while (this.wheelTick < tick) {
      const slot = ++this.wheelTick & (WHEEL_SLOTS - 1);
      for (let conn = this.wheel[slot]!; conn !== NONE; conn = this.wheel[slot]!) {
        if (this.timeout[conn]! <= now) {
          end(conn);
        } else {
          // It lives longer than it was to when it was put here, or longer than the wheel is wide.
          this.stopTimer(conn);
          this.startTimer(conn, now);
        }
      }
    }
  }

  private grow(capacity: number): void {
    const old = this.capacity;
    this.capacity = capacity;
    this.tuples = grown(this.tuples, 2 * capacity * TUPLE_WORDS);
    this.status = grown(this.status, capacity);
    this.mark = grown(this.mark, capacity);
    this.labels = grown(this.labels, 4 * capacity);
    this.state = grown(this.state, STATE_WORDS * capacity);
    this.generation = grown(this.generation, capacity);
    this.master = grown(this.master, capacity);
    this.policy = grown(this.policy, capacity);
    this.events = grown(this.events, capacity);
    this.eventMask = grown(this.eventMask, capacity);
    this.nextEntry = grown(this.nextEntry, 2 * capacity);
    this.hashes = grown(this.hashes, 2 * capacity);
    this.nextSource = grown(this.nextSource, capacity).fill(-2, old);
    this.wheelNext = grown(this.wheelNext, capacity);
    this.wheelBefore = grown(this.wheelBefore, capacity);
    const { timeout, stamp, helper, counted, kept } = this;
    this.timeout = new Float64Array(capacity);
    this.timeout.set(timeout);
    this.stamp = new Float64Array(capacity);
    this.stamp.set(stamp);
    this.helper = new Uint8Array(capacity);
    this.helper.set(helper);
    this.counted = new Uint8Array(capacity);
    this.counted.set(counted);
    this.kept = new Uint8Array(capacity);
    this.kept.set(kept);
    // All old rows are in use: the free ones are the new ones.
    this.freeRows = Int32Array.from({ length: capacity }, (_, i) => capacity - 1 - i);
    this.rehash(old);
  }

  private rehash(rows: number): void {
    const sources: number[] = [];
    for (let conn = 0; conn < rows; conn++) {
      if (this.nextSource[conn] === -2) continue;
      sources.push(conn);
      this.nextSource[conn] = -2;
    }
    this.buckets = new Int32Array(powerOfTwo(2 * this.capacity)).fill(NONE);
    this.sourceBuckets = new Int32Array(powerOfTwo(this.capacity)).fill(NONE);
    for (let conn = 0; conn < rows; conn++) {
      if ((this.status[conn]! & (IPS.CONFIRMED | IPS.DYING)) !== IPS.CONFIRMED) continue;
      this.linkEntry(2 * conn, this.hashes[2 * conn]!);
      this.linkEntry(2 * conn + 1, this.hashes[2 * conn + 1]!);
    }
    for (const conn of sources) this.linkSource(conn);
  }

  /** Copies a connection's tuple out. */
  readTuple(entry: number, out: Int32Array, at = 0): void {
    copyTuple(this.tuples, entry * TUPLE_WORDS, out, at);
  }
}

function powerOfTwo(n: number): number {
  return 1 << Math.max(4, 32 - Math.clz32(n - 1));
}

function grown(from: Int32Array, n: number): Int32Array {
  const to = new Int32Array(n);
  to.set(from);
  return to;
}
