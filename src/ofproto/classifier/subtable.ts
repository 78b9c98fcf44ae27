/**
 * The rules of one mask: a hash table of their values, with an index of the hashes after each segment but the last, so that most
 * look-ups that fail do so early.  Rules of one value form a list by falling priority.
 * Source: lib/classifier-private.h (struct cls_subtable), lib/classifier.c (find_match_wc).
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { isSubset, type Minimask, type Minimatch } from '../../flow/minimatch.ts';
import { HashCounts, HashHeads } from './hash-index.ts';
import { PrefixTrie } from './prefix-trie.ts';
import { N_SEGMENTS, SEGMENT_OF_WORD } from './segments.ts';

/** Until a rule is removed, its `removedIn`. */
export const FOREVER = Number.POSITIVE_INFINITY;

/** A clause of a conjunction that a rule is a member of. */
export interface ConjunctionClause {
  readonly id: number;
  /** From 0. */
  readonly clause: number;
  readonly nClauses: number;
}

export interface ClassifierRule {
  readonly match: Minimatch;
  readonly priority: number;
  /** Not empty: the rule has no actions of its own, but is part of these. */
  readonly conjunctions: readonly ConjunctionClause[] | undefined;
  /** Versions of the tables from which, and up to but not including which, look-ups see the rule. */
  addedIn: number;
  removedIn: number;
}

/** A rule in its place, with what a look-up has to know of it. */
export interface Node<R> {
  readonly rule: R;
  readonly values: readonly number[];
  readonly priority: number;
  /** Same match, next lower priority. */
  lower: Node<R> | undefined;
  /** Another match with the same hash; of the head of a list only. */
  chain: Node<R> | undefined;
}

export const isVisible = (rule: ClassifierRule, version: number): boolean =>
  rule.addedIn <= version && version < rule.removedIn;

/** The first visible rule of a list. */
export function visibleFrom<R extends ClassifierRule>(node: Node<R> | undefined, version: number): Node<R> | undefined {
  let n = node;
  while (n !== undefined && !isVisible(n.rule, version)) n = n.lower;
  return n;
}

const PORTS = FIELD.tpSrc.word;
const PORTS_AT = FIELD.tpSrc.at;
const SEED = 0x3c6ef372;

function mix(h: number, value: number): number {
  const x = Math.imul(h ^ value, 0x5bd1e995);
  return x ^ (x >>> 15);
}

/** Prefix lengths of the classifier's trie fields that apply to a subtable, 0 where none does. */
export interface TrieUse {
  readonly trie: PrefixTrie;
  readonly len: number;
  /** Segment of the field. */
  readonly segment: number;
}

const scratch = new Int32Array(SEGMENT_OF_WORD.length);

export class Subtable<R extends ClassifierRule> {
  readonly mask: Minimask;
  /** Words and bits of the mask in the order of look-up, and the place of each in a match's values. */
  private readonly words: Uint16Array;
  private readonly bits: Int32Array;
  private readonly place: Uint16Array;
  /** For each stage, one past its last word; the last stage ends with the mask. */
  private readonly ends: number[] = [];
  private readonly segmentOfStage: number[] = [];
  private readonly indexes: HashCounts[] = [];
  private readonly heads = new HashHeads<Node<R>>();
  /** Of source and destination port together, up to the last bit that the mask has; undefined without ports. */
  private readonly portsTrie: PrefixTrie | undefined;
  private readonly portsLen: number;
  private readonly portsBits: number;
  private tries: readonly TrieUse[] = [];
  /** Those of each stage's segment; undefined where it has none, as most have. */
  private triesOfStage: readonly (readonly TrieUse[] | undefined)[] = [];
  maxPriority = -1;
  /** Rules of `maxPriority`. */
  private maxCount = 0;
  size = 0;

  constructor(mask: Minimask) {
    this.mask = mask;
    const order = [...mask.words.keys()].sort((a, b) => segmentAt(mask, a) - segmentAt(mask, b) || a - b);
    this.place = Uint16Array.from(order);
    this.words = Uint16Array.from(order, (i) => mask.words[i] as number);
    this.bits = Int32Array.from(order, (i) => mask.bits[i] as number);
    for (let segment = 0; segment < N_SEGMENTS; segment++) {
      const end = order.findLastIndex((i) => segmentAt(mask, i) <= segment) + 1;
      if (end > (this.ends.at(-1) ?? 0)) {
        this.ends.push(end);
        this.segmentOfStage.push(segment);
      }
    }
    for (let i = 1; i < this.ends.length; i++) this.indexes.push(new HashCounts());
    const ports = mask.words.indexOf(PORTS);
    this.portsBits = ports < 0 ? 0 : (mask.bits[ports] as number);
    this.portsLen = this.portsBits === 0 ? 0 : 32 - trailingZeros(this.portsBits);
    if (this.portsLen > 0) this.portsTrie = new PrefixTrie(PORTS_AT, 32);
  }

  /** Sets the prefix tries that apply here; before there are rules. */
  useTries(tries: readonly TrieUse[]): void {
    this.tries = tries;
    this.triesOfStage = this.segmentOfStage.map((segment) => {
      const here = tries.filter((use) => use.segment === segment);
      return here.length === 0 ? undefined : here;
    });
  }

  *[Symbol.iterator](): Iterator<R> {
    for (const head of this.heads) {
      for (let list: Node<R> | undefined = head; list !== undefined; list = list.chain) {
        for (let n: Node<R> | undefined = list; n !== undefined; n = n.lower) yield n.rule;
      }
    }
  }

  /** For `collect`. */
  get nPlaces(): number {
    return this.heads.slots.length;
  }

  /**
   * Appends the visible rules within a match, in the order of the iterator: those of the places `from` up to but not including `to`.
   * No generator: there may be 100,000.
   */
  collect(version: number, found: R[], flow: FlowKey, mask: FlowMask, from = 0, to = this.nPlaces): void {
    const { slots } = this.heads;
    const isAll = mask.every((word) => word === 0);
    const end = Math.min(to, slots.length);
    for (let i = from; i < end; i++) {
      for (let list = slots[i]; list !== undefined; list = list.chain) {
        for (let n: Node<R> | undefined = list; n !== undefined; n = n.lower) {
          const { rule } = n;
          if (!isVisible(rule, version)) continue;
          if (isAll || isSubset(rule.match, flow, mask)) found.push(rule);
        }
      }
    }
  }

  /** Adds a rule, before others of its match and priority. */
  insert(rule: R): void {
    const hash = this.hashOf(rule.match.values, true);
    const head = this.heads.get(hash);
    const { priority } = rule;
    const { values } = rule.match;
    const made: Node<R> = { rule, values, priority, lower: undefined, chain: undefined };
    let prevList: Node<R> | undefined;
    let list = head;
    while (list !== undefined && !sameValues(list.values, rule.match.values)) {
      prevList = list;
      list = list.chain;
    }
    if (list === undefined) {
      made.chain = head;
      this.heads.set(hash, made);
      this.forTries(rule, (trie, len) => trie.insert(scratch, len));
    } else if (priority >= list.priority) {
      made.lower = list;
      made.chain = list.chain;
      list.chain = undefined;
      if (prevList === undefined) this.heads.set(hash, made);
      else prevList.chain = made;
    } else {
      let at = list;
      while (at.lower !== undefined && at.lower.priority > priority) at = at.lower;
      made.lower = at.lower;
      at.lower = made;
    }
    this.size++;
    if (rule.priority > this.maxPriority) {
      this.maxPriority = rule.priority;
      this.maxCount = 1;
    } else if (rule.priority === this.maxPriority) {
      this.maxCount++;
    }
  }

  /** Removes a rule; false if it is not here. */
  remove(rule: R): boolean {
    const hash = this.hashOf(rule.match.values, false);
    let prevList: Node<R> | undefined;
    let list = this.heads.get(hash);
    while (list !== undefined && !sameValues(list.values, rule.match.values)) {
      prevList = list;
      list = list.chain;
    }
    if (list === undefined) return false;
    let prev: Node<R> | undefined;
    let at: Node<R> | undefined = list;
    while (at !== undefined && at.rule !== rule) {
      prev = at;
      at = at.lower;
    }
    if (at === undefined) return false;
    if (prev !== undefined) {
      prev.lower = at.lower;
    } else {
      const next = at.lower ?? at.chain;
      if (at.lower !== undefined) at.lower.chain = at.chain;
      if (prevList === undefined) this.heads.set(hash, next);
      else prevList.chain = next;
      if (at.lower === undefined) this.forTries(rule, (trie, len) => trie.remove(scratch, len));
    }
    this.unindex(rule.match.values);
    this.size--;
    if (rule.priority === this.maxPriority) this.maxCount--;
    return true;
  }

  /** Finds `maxPriority` again if its last rule is gone.  Done late: many rules are removed at a time. */
  settle(): void {
    if (this.maxCount > 0) return;
    this.maxPriority = -1;
    for (const rule of this) {
      if (rule.priority < this.maxPriority) continue;
      this.maxCount = rule.priority === this.maxPriority ? this.maxCount + 1 : 1;
      this.maxPriority = rule.priority;
    }
  }
  get isUnsettled(): boolean {
    return this.maxCount === 0;
  }

  /** The list of rules with exactly these values. */
  findList(values: readonly number[]): Node<R> | undefined {
    let list = this.heads.get(this.hashOf(values, false));
    while (list !== undefined && !sameValues(list.values, values)) list = list.chain;
    return list;
  }

  /**
   * The visible rule of highest priority, and of a higher one than `floor`, that `flow` matches; adds to `wc` what had to be looked at.
   * `serial` is the same for all subtables of one look-up.
   */
  lookup(flow: FlowKey, version: number, wc: FlowMask | undefined, serial: number, floor: number): Node<R> | undefined {
    const { words, bits, ends, indexes, triesOfStage } = this;
    let h = SEED;
    let i = 0;
    for (let stage = 0; stage < ends.length; stage++) {
      const tries = triesOfStage[stage];
      if (wc !== undefined && tries !== undefined && isExcluded(tries, flow, wc, serial)) {
        this.foldUpTo(i, wc);
        return undefined;
      }
      for (const end = ends[stage] as number; i < end; i++) {
        h = mix(h, (flow[words[i] as number] as number) & (bits[i] as number));
      }
      if (stage < indexes.length && !(indexes[stage] as HashCounts).has(h)) {
        if (wc !== undefined) this.foldUpTo(i, wc);
        return undefined;
      }
    }
    const head = this.heads.get(h);
    const found = head === undefined ? undefined : this.findMatch(head, flow, version, floor);
    if (wc === undefined) return found;
    if (head === undefined && this.portsTrie !== undefined) {
      this.foldPorts(flow, wc);
      return undefined;
    }
    this.foldUpTo(words.length, wc);
    return found;
  }

  private findMatch(head: Node<R>, flow: FlowKey, version: number, floor: number): Node<R> | undefined {
    const { words, bits } = this.mask;
    next: for (let list: Node<R> | undefined = head; list !== undefined; list = list.chain) {
      if (list.priority <= floor) continue;
      const { values } = list;
      for (let i = 0; i < words.length; i++) {
        if (((flow[words[i] as number] as number) & (bits[i] as number)) !== values[i]) continue next;
      }
      const found = visibleFrom(list, version);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private foldUpTo(end: number, wc: FlowMask): void {
    for (let i = 0; i < end; i++) {
      const w = this.words[i] as number;
      wc[w] = (wc[w] as number) | (this.bits[i] as number);
    }
  }

  /** Everything, but of the ports only as many bits as it takes to know that none matches. */
  private foldPorts(flow: FlowKey, wc: FlowMask): void {
    const trie = this.portsTrie as PrefixTrie;
    const before = wc[PORTS] as number;
    scratch[PORTS] = (flow[PORTS] as number) & this.portsBits;
    trie.lookup(scratch);
    this.foldUpTo(this.words.length, wc);
    wc[PORTS] = before | (this.portsBits & prefixMask(trie.needed));
  }

  private hashOf(values: readonly number[], isInsert: boolean): number {
    let h = SEED;
    let i = 0;
    for (let stage = 0; stage < this.ends.length; stage++) {
      for (const end = this.ends[stage] as number; i < end; i++) h = mix(h, values[this.place[i] as number] as number);
      if (isInsert && stage < this.indexes.length) (this.indexes[stage] as HashCounts).add(h);
    }
    return h;
  }

  private unindex(values: readonly number[]): void {
    let h = SEED;
    let i = 0;
    for (let stage = 0; stage < this.indexes.length; stage++) {
      for (const end = this.ends[stage] as number; i < end; i++) h = mix(h, values[this.place[i] as number] as number);
      (this.indexes[stage] as HashCounts).remove(h);
    }
  }

  /** Calls `visit` for each trie that the match is part of, with its values in `scratch`. */
  private forTries(rule: R, visit: (trie: PrefixTrie, len: number) => void): void {
    if (this.tries.length === 0 && this.portsTrie === undefined) return;
    // What is in no word of the mask is in no prefix, and not looked at.
    const { words } = this.mask;
    for (let i = 0; i < words.length; i++) scratch[words[i] as number] = rule.match.values[i] as number;
    for (const { trie, len } of this.tries) visit(trie, len);
    if (this.portsTrie !== undefined) visit(this.portsTrie, this.portsLen);
  }
}

/** Whether one of a stage's prefix tries tells that no rule of the subtable can match; then the bits that told so are in `wc`. */
function isExcluded(tries: readonly TrieUse[], flow: FlowKey, wc: FlowMask, serial: number): boolean {
  for (let i = 0; i < tries.length; i++) {
    const { trie, len } = tries[i] as TrieUse;
    trie.lookupOnce(flow, serial);
    if (trie.mayMatch(len)) continue;
    // The trie is of all rules: it may have looked further than this subtable would.
    const { needed } = trie;
    if (needed <= len) {
      setPrefix(wc, trie.at, needed);
      return true;
    }
    if (hasPrefix(wc, trie.at, needed)) return true;
  }
  return false;
}

const segmentAt = (mask: Minimask, i: number): number => SEGMENT_OF_WORD[mask.words[i] as number] as number;
/** A word whose first `n` bits are set. */
const prefixMask = (n: number): number => (n >= 32 ? -1 : n <= 0 ? 0 : -1 << (32 - n));

/** Sets `n` bits of a flow mask from bit `at` on, which begins a word. */
function setPrefix(wc: FlowMask, at: number, n: number): void {
  for (let w = at >>> 5, left = n; left > 0; w++, left -= 32) wc[w] = (wc[w] as number) | prefixMask(left);
}

function hasPrefix(wc: FlowMask, at: number, n: number): boolean {
  for (let w = at >>> 5, left = n; left > 0; w++, left -= 32) {
    const bits = prefixMask(left);
    if (((wc[w] as number) & bits) !== bits) return false;
  }
  return true;
}

const trailingZeros = (bits: number): number => 31 - Math.clz32(bits & -bits);

function sameValues(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
