/**
 * Memory of the hash tables of one classifier, fifty masks or a thousand: places lie in two arrays that all tables share, so that whoever looks
 * something up in one table after the other (`lookup-program.ts`) has no objects to go through.
 *
 * A place has a key, a 32-bit hash, and a byte with 7 bits of it (`util/hash-tag.ts`), 0 where the place is empty: a miss, the common case, is over when
 * a byte or two were read, and the bytes of many tables stay in a cache in which the tables do not.
 */

const MIN_PLACES = 64;

/** A table has from `at` on a power of two of places; those of others are never touched.  Arrays are replaced when they become too small. */
export class HashArena {
  tags = new Uint8Array(0);
  keys = new Int32Array(0);
  /** Changes whenever a table came, went or moved: for those who remember where tables are. */
  serial = 0;
  private end = 0;
  private nTaken = 0;
  /** Pieces that were given back, by the logarithm of their size. */
  private readonly free: number[][] = [];

  /** Where `size` empty places are, a power of two. */
  take(size: number): number {
    this.serial++;
    this.nTaken += size;
    const known = this.free[Math.clz32(size)]?.pop();
    if (known !== undefined) return known;
    const at = this.end;
    this.end += size;
    if (this.end > this.tags.length) this.grow();
    return at;
  }

  /** Takes places back; they need not be empty. */
  give(at: number, size: number): void {
    this.serial++;
    this.nTaken -= size;
    if (this.nTaken === 0) {
      // What many tables needed is not kept for few.
      this.tags = new Uint8Array(0);
      this.keys = new Int32Array(0);
      this.end = this.free.length = 0;
      return;
    }
    this.tags.fill(0, at, at + size);
    const order = Math.clz32(size);
    const list = this.free[order];
    if (list === undefined) this.free[order] = [at];
    else list.push(at);
  }

  private grow(): void {
    const { tags, keys } = this;
    let size = Math.max(MIN_PLACES, tags.length);
    while (size < this.end) size *= 2;
    this.tags = new Uint8Array(size);
    this.tags.set(tags);
    this.keys = new Int32Array(size);
    this.keys.set(keys);
  }
}
