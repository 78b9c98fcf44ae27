/**
 * A flow key with few words that are not zero, stored among other words: a bitmap of those that are not, and then those.
 *
 *     | bitmap ... | word | word | ...
 *
 * Neighbour: flow-table.ts, which keeps the unmasked keys of flows without UFID this way.
 */
import { FLOW_WORDS } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';

const BITMAP_WORDS = (FLOW_WORDS + 31) >>> 5;

/** Words that `key` takes. */
export function sparseSize(key: FlowKey): number {
  let n = BITMAP_WORDS;
  for (let i = 0; i < FLOW_WORDS; i++) if (key[i] !== 0) n++;
  return n;
}

/** Words that the one at `at` takes. */
export function sparseSizeAt(words: Int32Array, at: number): number {
  let n = BITMAP_WORDS;
  for (let i = 0; i < BITMAP_WORDS; i++) for (let w = words[at + i]!; w !== 0; w &= w - 1) n++;
  return n;
}

/** Writes `key` at `at`, where there must be room for it. */
export function writeSparse(key: FlowKey, words: Int32Array, at: number): void {
  words.fill(0, at, at + BITMAP_WORDS);
  for (let i = 0, to = at + BITMAP_WORDS; i < FLOW_WORDS; i++) {
    if (key[i] === 0) continue;
    words[at + (i >>> 5)]! |= 1 << (i & 31);
    words[to++] = key[i]!;
  }
}

/** Reads the one at `at` into `out`, which is returned. */
export function readSparse(words: Int32Array, at: number, out: FlowKey): FlowKey {
  for (let i = 0, from = at + BITMAP_WORDS; i < FLOW_WORDS; i++) {
    out[i] = (words[at + (i >>> 5)]! >>> (i & 31)) & 1 ? words[from++]! : 0;
  }
  return out;
}
