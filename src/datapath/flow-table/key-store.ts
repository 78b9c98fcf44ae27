/**
 * Memory for what the flow table must remember of keys: blocks of int32 words in one array.  200,000 typed arrays of
 * their own would cost ten times as much, and an indirection on every look-up.
 *
 * A block is a whole number of UNIT words.  Freed blocks of one size are a list, linked through their first words.
 */
const UNIT = 4;

const unitsOf = (n: number): number => Math.max(1, Math.ceil(n / UNIT));

export class KeyStore {
  /** All blocks.  Replaced when it grows: do not keep it across alloc(). */
  words: Int32Array;
  private used = 0;
  /** Offset + 1 of the first free block of each size in units. */
  private readonly freeLists: number[] = [];

  constructor(capacity = 1024) {
    this.words = new Int32Array(capacity);
  }

  /** A block of at least `n` words, with old contents; its offset. */
  alloc(n: number): number {
    const units = unitsOf(n);
    const free = this.freeLists[units] ?? 0;
    if (free !== 0) {
      this.freeLists[units] = this.words[free - 1]!;
      return free - 1;
    }
    const at = this.used;
    this.used += units * UNIT;
    if (this.used > this.words.length) {
      const grown = new Int32Array(Math.max(this.used, 2 * this.words.length));
      grown.set(this.words);
      this.words = grown;
    }
    return at;
  }

  /** Gives back the block at `at`, which was taken with the same `n`. */
  release(at: number, n: number): void {
    const units = unitsOf(n);
    this.words[at] = this.freeLists[units] ?? 0;
    this.freeLists[units] = at + 1;
  }
}
