/**
 * The two hash tables of a subtable: open addressing over typed arrays.  Keys are 32-bit hashes; what has the same hash shares a place.
 *
 * Each place has a byte with 7 bits of its key, 0 where it is empty, so that a miss, the common case, is over when a byte or two of a small array
 * were read: fifty such arrays stay in a cache in which fifty tables do not.
 */
import { tagOf } from '../../util/hash-tag.ts';

const MIN_SIZE = 8;

/** Finds the place of `key` or the empty one where it belongs, in tables of a power of two places. */
function placeOf(keys: Int32Array, tags: Uint8Array, key: number): number {
  const mask = tags.length - 1;
  const mine = tagOf(key);
  let at = key & mask;
  for (;;) {
    const tag = tags[at] as number;
    if (tag === 0 || (tag === mine && keys[at] === key)) return at;
    at = (at + 1) & mask;
  }
}

/**
 * Empties place `at`, moving back what probing had pushed beyond it.  `move` copies one place to another, `clear` empties one.
 */
function closeGap(keys: Int32Array, tags: Uint8Array, start: number, move: (to: number, from: number) => void): number {
  const mask = keys.length - 1;
  let hole = start;
  for (let at = (hole + 1) & mask; tags[at] !== 0; at = (at + 1) & mask) {
    const home = (keys[at] as number) & mask;
    // It may move if its home is not between the hole and where it stands.
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      keys[hole] = keys[at] as number;
      tags[hole] = tags[at] as number;
      move(hole, at);
      hole = at;
    }
  }
  tags[hole] = 0;
  return hole;
}

/** Hash -> how many have it. */
export class HashCounts {
  private keys = new Int32Array(MIN_SIZE);
  private tags = new Uint8Array(MIN_SIZE);
  private counts = new Int32Array(MIN_SIZE);
  private n = 0;

  has(key: number): boolean {
    return this.tags[placeOf(this.keys, this.tags, key)] !== 0;
  }

  add(key: number): void {
    const at = placeOf(this.keys, this.tags, key);
    if (this.tags[at] !== 0) {
      this.counts[at] = (this.counts[at] as number) + 1;
      return;
    }
    this.tags[at] = tagOf(key);
    this.keys[at] = key;
    this.counts[at] = 1;
    if (++this.n * 2 > this.keys.length) this.grow();
  }

  remove(key: number): void {
    const at = placeOf(this.keys, this.tags, key);
    if (this.tags[at] === 0) return;
    const left = (this.counts[at] as number) - 1;
    this.counts[at] = left;
    if (left > 0) return;
    this.n--;
    closeGap(this.keys, this.tags, at, (to, from) => {
      this.counts[to] = this.counts[from] as number;
    });
  }

  private grow(): void {
    const { keys, tags, counts } = this;
    const size = keys.length * 2;
    this.keys = new Int32Array(size);
    this.tags = new Uint8Array(size);
    this.counts = new Int32Array(size);
    for (let i = 0; i < keys.length; i++) {
      if (tags[i] === 0) continue;
      const at = placeOf(this.keys, this.tags, keys[i] as number);
      this.tags[at] = tags[i] as number;
      this.keys[at] = keys[i] as number;
      this.counts[at] = counts[i] as number;
    }
  }
}

/** Hash -> a value, the head of whatever chain the owner makes of those that share it. */
export class HashHeads<T> implements Iterable<T> {
  private keys = new Int32Array(MIN_SIZE);
  private tags = new Uint8Array(MIN_SIZE);
  private heads: (T | undefined)[] = new Array<T | undefined>(MIN_SIZE).fill(undefined);
  private n = 0;

  get(key: number): T | undefined {
    return this.heads[placeOf(this.keys, this.tags, key)];
  }

  /** Sets the value of `key`; undefined removes it. */
  set(key: number, head: T | undefined): void {
    const at = placeOf(this.keys, this.tags, key);
    if (head === undefined) {
      if (this.tags[at] === 0) return;
      this.n--;
      const hole = closeGap(this.keys, this.tags, at, (to, from) => {
        this.heads[to] = this.heads[from];
      });
      this.heads[hole] = undefined;
      return;
    }
    this.heads[at] = head;
    if (this.tags[at] !== 0) return;
    this.tags[at] = tagOf(key);
    this.keys[at] = key;
    if (++this.n * 2 > this.keys.length) this.grow();
  }

  /** All values, in the order of the iterator, and holes; valid until the table changes. */
  get slots(): readonly (T | undefined)[] {
    return this.heads;
  }

  /** All values; do not change the table meanwhile. */
  *[Symbol.iterator](): Iterator<T> {
    for (const head of this.heads) if (head !== undefined) yield head;
  }

  private grow(): void {
    const { keys, tags, heads } = this;
    const size = keys.length * 2;
    this.keys = new Int32Array(size);
    this.tags = new Uint8Array(size);
    this.heads = new Array<T | undefined>(size).fill(undefined);
    for (let i = 0; i < keys.length; i++) {
      if (tags[i] === 0) continue;
      const at = placeOf(this.keys, this.tags, keys[i] as number);
      this.tags[at] = tags[i] as number;
      this.keys[at] = keys[i] as number;
      this.heads[at] = heads[i];
    }
  }
}
