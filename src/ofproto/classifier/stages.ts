/**
 * A mask as a look-up goes through it: its words by segments (`segments.ts`).  A stage is what one segment adds to those before it; after each stage
 * there is a hash of all words up to there.
 * Source: lib/classifier-private.h (struct cls_subtable), lib/hash.h.
 */
import type { Minimask } from '../../flow/minimatch.ts';
import { N_SEGMENTS, SEGMENT_OF_WORD } from './segments.ts';

/** The hash of no words. */
export const HASH_SEED = 0x3c6ef372;

/** A hash of one word more. */
export function mixHash(hash: number, word: number): number {
  const x = Math.imul(hash ^ word, 0x5bd1e995);
  return x ^ (x >>> 15);
}

export class Stages {
  /** Words and bits of the mask in the order of look-up, and the place of each in a match's values. */
  readonly words: Uint16Array;
  readonly bits: Int32Array;
  private readonly place: Uint16Array;
  /** For each stage, one past its last word, and its segment; the last ends with the mask.  One at least, as a mask of no words has one of none. */
  readonly ends: number[] = [];
  readonly segments: number[] = [];

  constructor(mask: Minimask) {
    const segmentAt = (i: number): number => SEGMENT_OF_WORD[mask.words[i] as number] as number;
    const order = [...mask.words.keys()].sort((a, b) => segmentAt(a) - segmentAt(b) || a - b);
    this.place = Uint16Array.from(order);
    this.words = Uint16Array.from(order, (i) => mask.words[i] as number);
    this.bits = Int32Array.from(order, (i) => mask.bits[i] as number);
    for (let segment = 0; segment < N_SEGMENTS; segment++) {
      const end = order.findLastIndex((i) => segmentAt(i) <= segment) + 1;
      if (end <= (this.ends.at(-1) ?? 0)) continue;
      this.ends.push(end);
      this.segments.push(segment);
    }
    if (this.ends.length > 0) return;
    this.ends.push(0);
    this.segments.push(0);
  }

  get length(): number {
    return this.ends.length;
  }

  /** The hash after `stage`, given that after the one before it, HASH_SEED for the first, of a match's values. */
  hash(values: readonly number[], stage: number, before: number): number {
    const end = this.ends[stage] as number;
    let h = before;
    for (let i = stage === 0 ? 0 : (this.ends[stage - 1] as number); i < end; i++) {
      h = mixHash(h, values[this.place[i] as number] as number);
    }
    return h;
  }

  /** The hash of all values of a match. */
  hashAll(values: readonly number[]): number {
    let h = HASH_SEED;
    for (let i = 0; i < this.place.length; i++) h = mixHash(h, values[this.place[i] as number] as number);
    return h;
  }
}
