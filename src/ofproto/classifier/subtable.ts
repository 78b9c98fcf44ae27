/**
 * The rules of one mask: a hash table of their values, with an index of the hashes after each stage but the last, so that most
 * look-ups that fail do so early.  Rules of one value form a list by falling priority.  `lookup-program.ts` looks up.
 * Source: lib/classifier-private.h (struct cls_subtable), lib/classifier.c (find_match_wc).
 */
import { FIELD, OF_FLOW_WORDS } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { isSubset, type Minimask } from '../../flow/minimatch.ts';
import { type ClassifierRule, isVisible, type Node, visibleFrom } from './classifier-rule.ts';
import type { HashArena } from './hash-arena.ts';
import { HashIndex } from './hash-index.ts';
import { PrefixTrie } from './prefix-trie.ts';
import { HASH_SEED, Stages } from './stages.ts';
import { prefixMask } from './wildcard-bits.ts';

const PORTS = FIELD.tpSrc.word;
const PORTS_AT = FIELD.tpSrc.at;

/** A prefix trie of the classifier that has the rules of this mask, too, with `len` bits of each. */
export interface TrieUse {
  readonly trie: PrefixTrie;
  readonly len: number;
  /** Segment of the field. */
  readonly segment: number;
}

const scratch = new Int32Array(OF_FLOW_WORDS);
const portsFound = new Int32Array(3);

export class Subtable<R extends ClassifierRule> {
  readonly mask: Minimask;
  readonly stages: Stages;
  readonly tries: readonly TrieUse[];
  /** Of each stage but the last: how many rules have a hash. */
  readonly indexes: HashIndex<number>[] = [];
  readonly heads: HashIndex<Node<R>>;
  /** Of source and destination port together, up to the last bit that the mask has; undefined without ports. */
  private readonly portsTrie: PrefixTrie | undefined;
  private readonly portsLen: number;
  private readonly portsBits: number;
  maxPriority = -1;
  /** Rules of `maxPriority`. */
  private maxCount = 0;
  size = 0;

  constructor(mask: Minimask, arena: HashArena, tries: readonly TrieUse[]) {
    this.mask = mask;
    this.tries = tries;
    this.stages = new Stages(mask);
    for (let i = 1; i < this.stages.length; i++) this.indexes.push(new HashIndex<number>(arena));
    this.heads = new HashIndex<Node<R>>(arena);
    const ports = mask.words.indexOf(PORTS);
    this.portsBits = ports < 0 ? 0 : (mask.bits[ports] as number);
    this.portsLen = this.portsBits === 0 ? 0 : 32 - trailingZeros(this.portsBits);
    if (this.portsLen > 0) this.portsTrie = new PrefixTrie(PORTS_AT, 32);
  }

  /** Gives back the memory of its tables: the subtable is used no more. */
  dispose(): void {
    for (const index of this.indexes) index.dispose();
    this.heads.dispose();
  }

  *[Symbol.iterator](): Iterator<R> {
    for (const head of this.heads.values) {
      for (let list: Node<R> | undefined = head; list !== undefined; list = list.chain) {
        for (let n: Node<R> | undefined = list; n !== undefined; n = n.lower) yield n.rule;
      }
    }
  }

  /** For `collect`. */
  get nPlaces(): number {
    return this.heads.size;
  }

  /**
   * Appends the visible rules within a match, in the order of the iterator: those of the places `from` up to but not including `to`.
   * No generator: there may be 100,000.
   */
  collect(version: number, found: R[], flow: FlowKey, mask: FlowMask, from = 0, to = this.nPlaces): void {
    const { values } = this.heads;
    const isAll = mask.every((word) => word === 0);
    const end = Math.min(to, values.length);
    for (let i = from; i < end; i++) {
      for (let list = values[i]; list !== undefined; list = list.chain) {
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
    const { priority } = rule;
    const { values } = rule.match;
    const hash = this.addToIndexes(values);
    const place = this.heads.find(hash);
    const head = this.heads.values[place];
    const made: Node<R> = { rule, values, priority, lower: undefined, chain: undefined };
    let prevList: Node<R> | undefined;
    let list = head;
    while (list !== undefined && !sameValues(list.values, values)) {
      prevList = list;
      list = list.chain;
    }
    if (list === undefined) {
      made.chain = head;
      this.heads.put(place, hash, made);
      this.addToTries(values);
    } else if (priority >= list.priority) {
      made.lower = list;
      made.chain = list.chain;
      list.chain = undefined;
      if (prevList === undefined) this.heads.put(place, hash, made);
      else prevList.chain = made;
    } else {
      let at = list;
      while (at.lower !== undefined && at.lower.priority > priority) at = at.lower;
      made.lower = at.lower;
      at.lower = made;
    }
    this.size++;
    if (priority > this.maxPriority) {
      this.maxPriority = priority;
      this.maxCount = 1;
    } else if (priority === this.maxPriority) {
      this.maxCount++;
    }
  }

  /** Removes a rule; false if it is not here. */
  remove(rule: R): boolean {
    const { values } = rule.match;
    const hash = this.stages.hashAll(values);
    const place = this.heads.find(hash);
    let prevList: Node<R> | undefined;
    let list = this.heads.values[place];
    while (list !== undefined && !sameValues(list.values, values)) {
      prevList = list;
      list = list.chain;
    }
    let prev: Node<R> | undefined;
    let at = list;
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
      if (prevList !== undefined) prevList.chain = next;
      else if (next !== undefined) this.heads.put(place, hash, next);
      else this.heads.remove(place);
      if (at.lower === undefined) this.removeFromTries(values);
    }
    this.removeFromIndexes(values);
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
    let list = this.heads.get(this.stages.hashAll(values));
    while (list !== undefined && !sameValues(list.values, values)) list = list.chain;
    return list;
  }

  /** Of what is at `place` of `heads`, the visible rule of highest priority, and of a higher one than `floor`, that `flow` matches.  Hot path. */
  matchAt(place: number, flow: FlowKey, version: number, floor: number): Node<R> | undefined {
    const { words, bits } = this.mask;
    next: for (let list = this.heads.values[place]; list !== undefined; list = list.chain) {
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

  get hasPorts(): boolean {
    return this.portsTrie !== undefined;
  }

  /** The bits of the ports that it takes to know that no rule has those of `flow`.  Hot path. */
  portsNeeded(flow: FlowKey): number {
    scratch[PORTS] = (flow[PORTS] as number) & this.portsBits;
    (this.portsTrie as PrefixTrie).lookup(scratch, portsFound, 0);
    return this.portsBits & prefixMask(portsFound[0] as number);
  }

  private addToIndexes(values: readonly number[]): number {
    const { indexes } = this;
    let h = HASH_SEED;
    for (let stage = 0; stage < indexes.length; stage++) {
      const index = indexes[stage] as HashIndex<number>;
      h = this.stages.hash(values, stage, h);
      const place = index.find(h);
      index.put(place, h, (index.values[place] ?? 0) + 1);
    }
    return this.stages.hash(values, indexes.length, h);
  }

  private removeFromIndexes(values: readonly number[]): void {
    let h = HASH_SEED;
    for (let stage = 0; stage < this.indexes.length; stage++) {
      const index = this.indexes[stage] as HashIndex<number>;
      h = this.stages.hash(values, stage, h);
      const place = index.find(h);
      const left = (index.values[place] ?? 0) - 1;
      if (left > 0) index.put(place, h, left);
      else index.remove(place);
    }
  }

  private addToTries(values: readonly number[]): void {
    if (!this.expand(values)) return;
    for (let i = 0; i < this.tries.length; i++) {
      const { trie, len } = this.tries[i] as TrieUse;
      trie.insert(scratch, len);
    }
    this.portsTrie?.insert(scratch, this.portsLen);
  }

  private removeFromTries(values: readonly number[]): void {
    if (!this.expand(values)) return;
    for (let i = 0; i < this.tries.length; i++) {
      const { trie, len } = this.tries[i] as TrieUse;
      trie.remove(scratch, len);
    }
    this.portsTrie?.remove(scratch, this.portsLen);
  }

  /** Puts values into `scratch`, for tries; false if there are none. */
  private expand(values: readonly number[]): boolean {
    if (this.tries.length === 0 && this.portsTrie === undefined) return false;
    // What is in no word of the mask is in no prefix, and not looked at.
    const { words } = this.mask;
    for (let i = 0; i < words.length; i++) scratch[words[i] as number] = values[i] as number;
    return true;
  }
}

const trailingZeros = (bits: number): number => 31 - Math.clz32(bits & -bits);

function sameValues(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
