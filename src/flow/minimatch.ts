/**
 * Matches as flow tables keep them: only the words that their masks have bits in.
 *
 * Masks are interned: rules with the same mask share one Minimask, so that two masks are equal if they are the same object, and a
 * match costs as many words as its mask has.
 * Source: lib/flow.h (struct minimask), include/openvswitch/match.h (struct minimatch).
 */
import type { FlowKey, FlowMask } from './flow-key.ts';

/** Some words of a flow, and their bits.  Made by `internMask`; never changed. */
export class Minimask {
  /** Indexes of the words that have bits, rising. */
  readonly words: Uint16Array;
  /** The bits of each. */
  readonly bits: Int32Array;
  /** Different masks have different ids. */
  readonly id: string;

  constructor(words: Uint16Array, bits: Int32Array, id: string) {
    this.words = words;
    this.bits = bits;
    this.id = id;
  }

  get isCatchAll(): boolean {
    return this.words.length === 0;
  }

  /** Whether every bit of this mask is in `other`, too. */
  isWithin(other: FlowMask): boolean {
    for (let i = 0; i < this.words.length; i++) {
      if (((this.bits[i] as number) & ~(other[this.words[i] as number] as number)) !== 0) return false;
    }
    return true;
  }

  /** Adds the mask's bits to `wc`. */
  foldInto(wc: FlowMask): void {
    for (let i = 0; i < this.words.length; i++) {
      const w = this.words[i] as number;
      wc[w] = (wc[w] as number) | (this.bits[i] as number);
    }
  }
}

/** `values[i]` is what word `mask.words[i]` of a packet must be on the mask's bits; other bits are 0.  A typed array would be three times as large. */
export interface Minimatch {
  readonly mask: Minimask;
  readonly values: readonly number[];
}

// Masks that no match has any more are forgotten: the registry holds them weakly.
const interned = new Map<string, WeakRef<Minimask>>();
const forgotten = new FinalizationRegistry<string>((id) => {
  if (interned.get(id)?.deref() === undefined) interned.delete(id);
});

/** The one that was asked for last: flows come in runs of one mask. */
let latest: Minimask | undefined;

/** Whether `mask` has the words of `mini`, and no others. */
function isMask(mask: FlowMask, { words, bits }: Minimask): boolean {
  let i = 0;
  for (let w = 0; w < mask.length; w++) {
    if (mask[w] !== 0 && (words[i] !== w || bits[i++] !== mask[w])) return false;
  }
  return i === words.length;
}

/** The Minimask of a mask of any length. */
export function internMask(mask: FlowMask): Minimask {
  if (latest === undefined || !isMask(mask, latest)) latest = findMask(mask);
  return latest;
}

function findMask(mask: FlowMask): Minimask {
  let id = '';
  let n = 0;
  for (let w = 0; w < mask.length; w++) {
    if (mask[w] === 0) continue;
    id += `${w}:${mask[w]},`;
    n++;
  }
  const known = interned.get(id)?.deref();
  if (known !== undefined) return known;
  const words = new Uint16Array(n);
  const bits = new Int32Array(n);
  for (let w = 0, i = 0; w < mask.length; w++) {
    if (mask[w] === 0) continue;
    words[i] = w;
    bits[i++] = mask[w] as number;
  }
  const made = new Minimask(words, bits, id);
  interned.set(id, new WeakRef(made));
  forgotten.register(made, id);
  return made;
}

/** What `flow` is on the bits of `mask`. */
export function miniFromFlow(flow: FlowKey, mask: FlowMask): Minimatch {
  const mini = internMask(mask);
  const values = new Array<number>(mini.words.length);
  for (let i = 0; i < values.length; i++) {
    values[i] = (flow[mini.words[i] as number] as number) & (mini.bits[i] as number);
  }
  return { mask: mini, values };
}

/** Writes a match out: both arrays are overwritten whole. */
export function expandTo(match: Minimatch, flow: FlowKey, mask: FlowMask): void {
  flow.fill(0);
  mask.fill(0);
  const { words, bits } = match.mask;
  for (let i = 0; i < words.length; i++) {
    flow[words[i] as number] = match.values[i] as number;
    mask[words[i] as number] = bits[i] as number;
  }
}

/** Whether the packet `flow` matches. */
export function matchesFlow(match: Minimatch, flow: FlowKey): boolean {
  const { words, bits } = match.mask;
  for (let i = 0; i < words.length; i++) {
    if ((((flow[words[i] as number] as number) ^ (match.values[i] as number)) & (bits[i] as number)) !== 0)
      return false;
  }
  return true;
}

/** Whether two matches are of the same packets. */
export function equalMatches(a: Minimatch, b: Minimatch): boolean {
  if (a.mask !== b.mask) return false;
  for (let i = 0; i < a.values.length; i++) if (a.values[i] !== b.values[i]) return false;
  return true;
}

/** Whether `a` is of no packet that `b` is not of: a loose deletion by `b` takes `a` away. */
export function isSubset(a: Minimatch, bFlow: FlowKey, bMask: FlowMask): boolean {
  const { words, bits } = a.mask;
  let i = 0;
  for (let w = 0; w < bMask.length; w++) {
    while (i < words.length && (words[i] as number) < w) i++;
    const wanted = bMask[w] as number;
    if (wanted === 0) continue;
    if (i >= words.length || words[i] !== w || (wanted & ~(bits[i] as number)) !== 0) return false;
    if ((((a.values[i] as number) ^ (bFlow[w] as number)) & wanted) !== 0) return false;
  }
  return true;
}

/** Whether some packet is of both. */
export function doOverlap(a: Minimatch, b: Minimatch): boolean {
  let j = 0;
  for (let i = 0; i < a.mask.words.length; i++) {
    const w = a.mask.words[i] as number;
    while (j < b.mask.words.length && (b.mask.words[j] as number) < w) j++;
    if (j >= b.mask.words.length) break;
    if (b.mask.words[j] !== w) continue;
    const both = (a.mask.bits[i] as number) & (b.mask.bits[j] as number);
    if ((((a.values[i] as number) ^ (b.values[j] as number)) & both) !== 0) return false;
  }
  return true;
}
