/**
 * The two hash tables of a subtable: open addressing over typed arrays, so that a miss, the common case, is one read.
 * Keys are 32-bit hashes; what has the same hash shares a place.
 */

const MIN_SIZE = 8;

/** Finds the place of `key` or the empty one where it belongs, in tables of a power of two places. */
function placeOf(keys: Int32Array, used: Uint8Array, key: number): number {
  const mask = keys.length - 1;
  let at = key & mask;
  while (used[at] !== 0 && keys[at] !== key) at = (at + 1) & mask;
  return at;
}

/**
 * Empties place `at`, moving back what probing had pushed beyond it.  `move` copies one place to another, `clear` empties one.
 */
function closeGap(keys: Int32Array, used: Uint8Array, start: number, move: (to: number, from: number) => void): number {
  const mask = keys.length - 1;
  let hole = start;
  for (let at = (hole + 1) & mask; used[at] !== 0; at = (at + 1) & mask) {
    const home = (keys[at] as number) & mask;
    // It may move if its home is not between the hole and where it stands.
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      keys[hole] = keys[at] as number;
      move(hole, at);
      hole = at;
    }
  }
  used[hole] = 0;
  return hole;
}

/** Hash -> how many have it. */
export class HashCounts {
  private keys = new Int32Array(MIN_SIZE);
  private used = new Uint8Array(MIN_SIZE);
  private counts = new Int32Array(MIN_SIZE);
  private n = 0;

  has(key: number): boolean {
    return this.used[placeOf(this.keys, this.used, key)] !== 0;
  }

  add(key: number): void {
    const at = placeOf(this.keys, this.used, key);
    if (this.used[at] !== 0) {
      this.counts[at] = (this.counts[at] as number) + 1;
      return;
    }
    this.used[at] = 1;
    this.keys[at] = key;
    this.counts[at] = 1;
    if (++this.n * 2 > this.keys.length) this.grow();
  }

  remove(key: number): void {
    const at = placeOf(this.keys, this.used, key);
    if (this.used[at] === 0) return;
    const left = (this.counts[at] as number) - 1;
    this.counts[at] = left;
    if (left > 0) return;
    this.n--;
    closeGap(this.keys, this.used, at, (to, from) => {
      this.counts[to] = this.counts[from] as number;
    });
  }

  private grow(): void {
    const { keys, used, counts } = this;
    const size = keys.length * 2;
    this.keys = new Int32Array(size);
    this.used = new Uint8Array(size);
    this.counts = new Int32Array(size);
    for (let i = 0; i < keys.length; i++) {
      if (used[i] === 0) continue;
      const at = placeOf(this.keys, this.used, keys[i] as number);
      this.used[at] = 1;
      this.keys[at] = keys[i] as number;
      this.counts[at] = counts[i] as number;
    }
  }
}

/** Hash -> a value, the head of whatever chain the owner makes of those that share it. */
export class HashHeads<T> implements Iterable<T> {
  private keys = new Int32Array(MIN_SIZE);
  private used = new Uint8Array(MIN_SIZE);
  private heads: (T | undefined)[] = new Array<T | undefined>(MIN_SIZE).fill(undefined);
  private n = 0;

  get(key: number): T | undefined {
    return this.heads[placeOf(this.keys, this.used, key)];
  }

  /** Sets the value of `key`; undefined removes it. */
  set(key: number, head: T | undefined): void {
    const at = placeOf(this.keys, this.used, key);
    if (head === undefined) {
      if (this.used[at] === 0) return;
      this.n--;
      const hole = closeGap(this.keys, this.used, at, (to, from) => {
        this.heads[to] = this.heads[from];
      });
      this.heads[hole] = undefined;
      return;
    }
    this.heads[at] = head;
    if (this.used[at] !== 0) return;
    this.used[at] = 1;
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
    const { keys, used, heads } = this;
    const size = keys.length * 2;
    this.keys = new Int32Array(size);
    this.used = new Uint8Array(size);
    this.heads = new Array<T | undefined>(size).fill(undefined);
    for (let i = 0; i < keys.length; i++) {
      if (used[i] === 0) continue;
      const at = placeOf(this.keys, this.used, keys[i] as number);
      this.used[at] = 1;
      this.keys[at] = keys[i] as number;
      this.heads[at] = heads[i];
    }
  }
}
