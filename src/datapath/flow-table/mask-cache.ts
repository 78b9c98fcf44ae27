/**
 * The mask cache: for the hash of a packet, the mask under which its flow was found last time, so that most look-ups try
 * one mask.  It may be wrong at any time (masks move and go); a look-up only begins where it points.
 *
 * A hash has up to four places, by its four bytes; the entry with the smallest hash among them is replaced.
 * Source: net/openvswitch/flow_table.c (MC_HASH_*).
 */
const SEGMENTS = 4;
const SEGMENT_SHIFT = 8;
const SIGN = 1 << 31;
export const DEFAULT_CACHE_SIZE = 256;
/** 32 KB of 8-byte entries. */
export const MAX_CACHE_SIZE = 4096;

export class MaskCache {
  /** Entries, a power of 2 or 0. */
  readonly size: number;
  /** Hash of each entry, 0 if empty, and number of its mask. */
  private readonly hashes: Int32Array;
  private readonly masks: Int32Array;

  /** Throws RangeError for a size that is no power of 2, nor 0, or too large. */
  constructor(size: number) {
    if (!Number.isInteger(size) || size < 0 || size > MAX_CACHE_SIZE || (size & (size - 1)) !== 0) {
      throw new RangeError(`mask cache: size is ${size}, want 0 or a power of 2 up to ${MAX_CACHE_SIZE}`);
    }
    this.size = size;
    this.hashes = new Int32Array(size);
    this.masks = new Int32Array(size);
  }

  /** The entry for `hash`, or, as -1 - entry, the one to replace.  Hot path; the size must not be 0. */
  find(hash: number): number {
    let victim = -1;
    let rest = hash;
    for (let segment = 0; segment < SEGMENTS; segment++) {
      const i = rest & (this.size - 1);
      const there = this.hashes[i]!;
      if (there === hash) return i;
      // Unsigned, as the kernel compares; int32 all the same, so that no number needs the heap.
      if (victim < 0 || (there ^ SIGN) < (this.hashes[victim]! ^ SIGN)) victim = i;
      rest >>>= SEGMENT_SHIFT;
    }
    return -1 - victim;
  }

  maskAt(entry: number): number {
    return this.masks[entry]!;
  }
  set(entry: number, hash: number, mask: number): void {
    this.hashes[entry] = hash;
    this.masks[entry] = mask;
  }
}
