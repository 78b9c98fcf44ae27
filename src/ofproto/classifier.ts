/**
 * The classifier: which rule of highest priority a packet matches, and which bits one had to look at to know that.
 *
 * `Classifier` is what tables and translation know; TupleSpace is the one implementation.  It keeps one hash table per
 * distinct mask ("subtable"), tried in falling order of their highest priority; every subtable that is tried adds its
 * mask to the wildcards, whether it has a match or not.
 * Source: lib/classifier.h.
 */
import { FLOW_WORDS } from '../flow/fields.ts';
import { type FlowKey, type FlowMask, newFlowKey } from '../flow/flow-key.ts';

/** What a packet must look like: `key` equals the packet on the bits of `mask`, and is 0 elsewhere. */
export interface Match {
  readonly key: FlowKey;
  readonly mask: FlowMask;
}

/** A Match from any key and mask: copies both, and clears what the mask does not cover. */
export function makeMatch(key: FlowKey, mask: FlowMask): Match {
  const k = newFlowKey();
  for (let i = 0; i < FLOW_WORDS; i++) k[i] = (key[i] as number) & (mask[i] as number);
  return { key: k, mask: mask.slice() };
}

export const catchAll = (): Match => ({ key: newFlowKey(), mask: newFlowKey() });

export interface ClassifierRule {
  readonly match: Match;
  readonly priority: number;
}

export interface Classifier<R extends ClassifierRule> extends Iterable<R> {
  readonly size: number;
  /** Adds `rule`; returns the one with the same match and priority that it took the place of. */
  insert(rule: R): R | undefined;
  /** Removes `rule` itself; false if it is not there. */
  remove(rule: R): boolean;
  /** The rule with exactly this match and priority. */
  findExactly(match: Match, priority: number): R | undefined;
  /** The rule of highest priority that `key` matches; adds to `wc`, if given, the bits that decided. */
  lookup(key: FlowKey, wc: FlowMask | undefined): R | undefined;
}

interface Subtable<R> {
  /** Words of the mask that are not 0, and their bits. */
  readonly words: Int32Array;
  readonly bits: Int32Array;
  maxPriority: number;
  size: number;
  /** By hash of the masked key; rules of a bucket by falling priority. */
  readonly buckets: Map<number, R[]>;
}

function hashMasked(key: FlowKey, words: Int32Array, bits: Int32Array): number {
  let h = 0;
  for (let i = 0; i < words.length; i++) {
    h = Math.imul(h ^ ((key[words[i] as number] as number) & (bits[i] as number)), 0x5bd1e995);
    h ^= h >>> 15;
  }
  return h;
}

function equalMasked(a: FlowKey, b: FlowKey, words: Int32Array, bits: Int32Array): boolean {
  for (let i = 0; i < words.length; i++) {
    const w = words[i] as number;
    if ((((a[w] as number) ^ (b[w] as number)) & (bits[i] as number)) !== 0) return false;
  }
  return true;
}

export class TupleSpace<R extends ClassifierRule> implements Classifier<R> {
  private readonly byMask = new Map<string, Subtable<R>>();
  /** By falling `maxPriority`. */
  private order: Subtable<R>[] = [];
  private nRules = 0;

  get size(): number {
    return this.nRules;
  }

  *[Symbol.iterator](): Iterator<R> {
    for (const s of this.order) for (const bucket of s.buckets.values()) yield* bucket;
  }

  insert(rule: R): R | undefined {
    const s = this.subtable(rule.match.mask);
    const hash = hashMasked(rule.match.key, s.words, s.bits);
    const bucket = s.buckets.get(hash) ?? [];
    s.buckets.set(hash, bucket);
    const same = bucket.findIndex(
      (r) => r.priority === rule.priority && equalMasked(r.match.key, rule.match.key, s.words, s.bits),
    );
    if (same >= 0) {
      const old = bucket[same];
      bucket[same] = rule;
      return old;
    }
    const at = bucket.findIndex((r) => r.priority < rule.priority);
    bucket.splice(at < 0 ? bucket.length : at, 0, rule);
    s.size++;
    this.nRules++;
    if (rule.priority > s.maxPriority) s.maxPriority = rule.priority;
    this.sort();
    return undefined;
  }

  remove(rule: R): boolean {
    const id = maskId(rule.match.mask);
    const s = this.byMask.get(id);
    if (s === undefined) return false;
    const hash = hashMasked(rule.match.key, s.words, s.bits);
    const bucket = s.buckets.get(hash);
    const at = bucket?.indexOf(rule) ?? -1;
    if (bucket === undefined || at < 0) return false;
    bucket.splice(at, 1);
    if (bucket.length === 0) s.buckets.delete(hash);
    this.nRules--;
    if (--s.size === 0) {
      this.byMask.delete(id);
    } else if (rule.priority === s.maxPriority) {
      s.maxPriority = -1;
      for (const b of s.buckets.values()) s.maxPriority = Math.max(s.maxPriority, b[0]?.priority ?? -1);
    }
    this.sort();
    return true;
  }

  findExactly(match: Match, priority: number): R | undefined {
    const s = this.byMask.get(maskId(match.mask));
    if (s === undefined) return undefined;
    const bucket = s.buckets.get(hashMasked(match.key, s.words, s.bits));
    return bucket?.find((r) => r.priority === priority && equalMasked(r.match.key, match.key, s.words, s.bits));
  }

  lookup(key: FlowKey, wc: FlowMask | undefined): R | undefined {
    let best: R | undefined;
    for (let i = 0; i < this.order.length; i++) {
      const s = this.order[i] as Subtable<R>;
      // Nothing that follows can beat what was found.
      if (best !== undefined && best.priority >= s.maxPriority) break;
      if (wc !== undefined) {
        for (let j = 0; j < s.words.length; j++) {
          const w = s.words[j] as number;
          wc[w] = (wc[w] as number) | (s.bits[j] as number);
        }
      }
      const bucket = s.buckets.get(hashMasked(key, s.words, s.bits));
      if (bucket === undefined) continue;
      for (let j = 0; j < bucket.length; j++) {
        const r = bucket[j] as R;
        if (best !== undefined && r.priority <= best.priority) break;
        if (equalMasked(key, r.match.key, s.words, s.bits)) {
          best = r;
          break;
        }
      }
    }
    return best;
  }

  private subtable(mask: FlowMask): Subtable<R> {
    const id = maskId(mask);
    let s = this.byMask.get(id);
    if (s === undefined) {
      const words = Int32Array.from([...mask.keys()].filter((i) => mask[i] !== 0));
      const bits = Int32Array.from([...words].map((w) => mask[w] as number));
      s = { words, bits, maxPriority: -1, size: 0, buckets: new Map() };
      this.byMask.set(id, s);
    }
    return s;
  }

  private sort(): void {
    this.order = [...this.byMask.values()].sort((a, b) => b.maxPriority - a.maxPriority);
  }
}

const maskId = (mask: FlowMask): string => mask.join();
