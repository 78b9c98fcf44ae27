/**
 * The classifier: which rule of highest priority a packet matches, and which bits one had to look at to know that.
 *
 * Tuple space search: a hash table per distinct mask ("subtable"), tried in falling order of their highest priority.  Every
 * subtable that is tried adds to the wildcards what it looked at, whether it has a match or not; stages (`stages.ts`) and
 * prefix tries (`prefix-trie.ts`) keep that little.  `lookup-program.ts` goes through them.
 *
 * Rules have versions: a look-up of one version sees neither what was added after it nor what was removed before.
 *
 * Conjunctive match: a rule with `conjunctions` says that one clause of each of these holds.  Where rules of one priority
 * cover all clauses of a conjunction, the packet is looked up once more with `conjId` set to its number.
 * Source: lib/classifier.h, lib/classifier.c.
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, newFlow } from '../../flow/flow-key.ts';
import { doOverlap, type Minimask, type Minimatch } from '../../flow/minimatch.ts';
import { type ClassifierRule, isVisible, type Node, visibleFrom } from './classifier-rule.ts';
import { HashArena } from './hash-arena.ts';
import { LookupProgram, type ProgramTrie } from './lookup-program.ts';
import { PrefixTrie } from './prefix-trie.ts';
import { SEGMENT_OF_WORD } from './segments.ts';
import { Subtable, type TrieUse } from './subtable.ts';

const CONJ_ID = FIELD.conjId.word;

/** A field that has a prefix trie: a run of bits of the flow that begins with a word. */
export interface PrefixField {
  readonly at: number;
  readonly bits: number;
}

/** CLS_MAX_TRIES. */
export const MAX_TRIES = 4;

/** Ethernet types of the fields that are other protocols' as well, by where they stand. */
const ETH_TYPES: ReadonlyMap<number, number> = new Map([
  [FIELD.nwSrc.at, 0x0800],
  [FIELD.nwDst.at, 0x0800],
  [FIELD.ipv6Src.at, 0x86dd],
  [FIELD.ipv6Dst.at, 0x86dd],
]);

/** Wildcards for those who want none. */
const unwanted = newFlow();

export class Classifier<R extends ClassifierRule> implements Iterable<R> {
  private readonly byMask = new Map<Minimask, Subtable<R>>();
  /** By falling `maxPriority`, and of one priority as Open vSwitch has them: by and large, the older first. */
  private readonly order: Subtable<R>[] = [];
  private isUnsorted = false;
  /** Unsorted because of deferred insertions, which go on. */
  private isDeferred = false;
  /** Whether `program` has this order, and these priorities. */
  private isCompiled = false;
  private arena = new HashArena();
  private prefixFields: readonly PrefixField[] = [];
  private tries: readonly ProgramTrie[] = [];
  private program = new LookupProgram<R>(this.arena, this.tries);
  private nRules = 0;

  get size(): number {
    return this.nRules;
  }
  get nSubtables(): number {
    return this.byMask.size;
  }

  *[Symbol.iterator](): Iterator<R> {
    for (const s of this.byMask.values()) yield* s;
  }

  /** Sets the fields that have prefix tries; RangeError if there are more than MAX_TRIES. */
  setPrefixFields(fields: readonly PrefixField[]): void {
    if (fields.length > MAX_TRIES) throw new RangeError(`at most ${MAX_TRIES} fields can have prefix tries`);
    const rules = [...this];
    this.prefixFields = fields;
    this.clear();
    for (const rule of rules) this.insert(rule);
  }

  /** Removes all rules, in no time. */
  clear(): void {
    this.byMask.clear();
    this.order.length = this.nRules = 0;
    this.arena = new HashArena();
    this.tries = this.prefixFields.map((f) => ({ trie: new PrefixTrie(f.at, f.bits), ethType: ETH_TYPES.get(f.at) }));
    this.program = new LookupProgram(this.arena, this.tries);
    this.isUnsorted = this.isDeferred = this.isCompiled = false;
  }

  /**
   * Adds a rule.  One with the same match and priority must be gone, or not be seen in the same versions.  Masks are put in order at once, or,
   * with `isDeferred`, by `publish`: of one highest priority, those then come first that were there first, not those that had it first.
   */
  insert(rule: R, isDeferred = false): void {
    const { mask } = rule.match;
    if (isDeferred && !this.isDeferred) {
      if (this.isUnsorted) this.sort();
      this.isUnsorted = this.isDeferred = true;
    }
    let s = this.byMask.get(mask);
    if (s === undefined) {
      s = new Subtable<R>(mask, this.arena, this.triesOf(mask));
      this.byMask.set(mask, s);
      s.insert(rule);
      this.order.splice(isDeferred ? this.order.length : this.placeOf(s.maxPriority, this.order.length), 0, s);
    } else {
      const before = s.maxPriority;
      s.insert(rule);
      if (s.maxPriority !== before) {
        this.isCompiled = false;
        if (!isDeferred) this.raise(s);
      }
    }
    this.nRules++;
  }

  /** Puts masks in order after deferred insertions; a look-up does, too. */
  publish(): void {
    if (this.isDeferred) this.sort();
  }

  /** Removes `rule` itself; false if it is not there. */
  remove(rule: R): boolean {
    const s = this.byMask.get(rule.match.mask);
    if (s === undefined || !s.remove(rule)) return false;
    this.nRules--;
    if (s.size === 0) {
      this.byMask.delete(s.mask);
      s.dispose();
      // The last takes its place, and order is made later.
      const last = this.order.pop() as Subtable<R>;
      if (last !== s) this.order[this.order.indexOf(s)] = last;
    }
    if (s.size === 0 || s.isUnsettled) this.isUnsorted = true;
    return true;
  }

  /** The visible rule with exactly this match and priority. */
  findExactly(match: Minimatch, priority: number, version: number): R | undefined {
    for (let n = this.byMask.get(match.mask)?.findList(match.values); n !== undefined; n = n.lower) {
      if (n.rule.priority === priority && isVisible(n.rule, version)) return n.rule;
    }
    return undefined;
  }

  /** Whether a visible rule of the same priority matches some packet that `match` matches, too. */
  findOverlap(match: Minimatch, priority: number, version: number): R | undefined {
    for (const s of this.byMask.values()) {
      for (const rule of s) {
        if (rule.priority === priority && isVisible(rule, version) && doOverlap(rule.match, match)) return rule;
      }
    }
    return undefined;
  }

  /** The visible rules that match no packet but those of a match, appended to `found`: what a loose modification or deletion means. */
  within(flow: FlowKey, mask: FlowMask, version: number, found: R[] = []): readonly R[] {
    for (const s of this.subtablesOf(mask)) s.collect(version, found, flow, mask);
    return found;
  }

  /** Where the rules of `within` may be; a list of the caller's own. */
  subtablesOf(mask: FlowMask): Subtable<R>[] {
    return [...this.byMask.values()].filter((s) => covers(s.mask, mask));
  }

  /**
   * The rule of highest priority that `flow` matches; adds to `wc`, if given, the bits that decided.  `flow` is as it was when
   * this returns.
   */
  lookup(flow: FlowKey, version: number, wc: FlowMask | undefined): R | undefined {
    return this.find(flow, version, wc, true);
  }

  private find(flow: FlowKey, version: number, wc: FlowMask | undefined, withConjunctions: boolean): R | undefined {
    if (this.isUnsorted) this.sort();
    const { program } = this;
    if (!this.isCompiled || !program.isCurrent) {
      program.compile(this.order);
      this.isCompiled = true;
    }
    let hard: R | undefined;
    let hardPriority = -1;
    let soft: Node<R>[] | undefined;
    program.start();
    for (;;) {
      const node = program.next(flow, version, wc ?? unwanted, hardPriority);
      if (node === undefined) break;
      if (node.priority <= hardPriority) continue;
      if (node.rule.conjunctions === undefined) {
        hard = node.rule;
        hardPriority = hard.priority;
      } else if (withConjunctions) {
        soft ??= [];
        soft.push(node);
      }
    }
    return soft === undefined ? hard : this.findSoft(soft, hard, flow, version, wc);
  }

  /** Whether conjunctions of higher priority than `hard` are complete; the rule that they lead to, else `hard`. */
  private findSoft(
    candidates: Node<R>[],
    hard: R | undefined,
    flow: FlowKey,
    version: number,
    wc: FlowMask | undefined,
  ): R | undefined {
    let soft = candidates;
    let best = hard;
    for (;;) {
      const floor = best?.priority ?? -1;
      soft = soft.filter((n) => n.rule.priority > floor);
      if (soft.length === 0) return best;
      const top = soft.reduce((max, n) => Math.max(max, n.rule.priority), -1);
      const id = completeConjunction(soft.filter((n) => n.rule.priority === top));
      if (id !== undefined) {
        const saved = flow[CONJ_ID] as number;
        flow[CONJ_ID] = id;
        const rule = this.find(flow, version, wc, false);
        flow[CONJ_ID] = saved;
        if (rule !== undefined) return rule;
      }
      // What had this priority did not lead anywhere: the next rules of the same matches may.
      const next: Node<R>[] = [];
      for (const n of soft) {
        if (n.rule.priority !== top) {
          next.push(n);
          continue;
        }
        const lower = visibleFrom(n.lower, version);
        if (lower === undefined) continue;
        if (lower.rule.conjunctions !== undefined) next.push(lower);
        else if (lower.rule.priority > (best?.priority ?? -1)) best = lower.rule;
      }
      soft = next;
    }
  }

  private triesOf(mask: Minimask): TrieUse[] {
    return this.tries.flatMap(({ trie }) => {
      const len = prefixLength(mask, trie.at, trie.bits);
      return len === 0 ? [] : [{ trie, len, segment: SEGMENT_OF_WORD[trie.at >>> 5] as number }];
    });
  }

  /** Of the first `n`, how many have `priority` or a higher one. */
  private placeOf(priority: number, n: number): number {
    if (this.isUnsorted) this.sort();
    let low = 0;
    for (let high = n; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.order[middle] as Subtable<R>).maxPriority >= priority) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Moves `s`, whose priority has risen, before those that are lower now. */
  private raise(s: Subtable<R>): void {
    if (this.isUnsorted) {
      this.sort();
      return;
    }
    const from = this.order.indexOf(s);
    const to = this.placeOf(s.maxPriority, from);
    if (to >= from) return;
    this.order.copyWithin(to + 1, to, from);
    this.order[to] = s;
  }

  private sort(): void {
    for (const s of this.order) if (s.isUnsettled) s.settle();
    this.order.sort((a, b) => b.maxPriority - a.maxPriority);
    this.isUnsorted = this.isDeferred = this.isCompiled = false;
  }
}

/** Whether every bit of `wanted` is in `mask`. */
function covers(mask: Minimask, wanted: FlowMask): boolean {
  let i = 0;
  for (let w = 0; w < wanted.length; w++) {
    if (wanted[w] === 0) continue;
    while (i < mask.words.length && (mask.words[i] as number) < w) i++;
    if (mask.words[i] !== w || ((wanted[w] as number) & ~(mask.bits[i] as number)) !== 0) return false;
  }
  return true;
}

/** How many leading bits of a field the mask has; 0 if it is no prefix. */
function prefixLength(mask: Minimask, at: number, bits: number): number {
  let len = 0;
  for (let w = at >>> 5; w < (at + bits) >>> 5; w++) {
    const i = mask.words.indexOf(w);
    const m = i < 0 ? 0 : (mask.bits[i] as number);
    if (m === 0) continue;
    const ones = Math.clz32(~m);
    // A prefix has no gap: neither before this word nor in it.
    if (len !== (w - (at >>> 5)) * 32 || (ones < 32 && m << ones !== 0)) return 0;
    len += ones;
  }
  return len;
}

/** The conjunction of which these rules, together, have every clause. */
function completeConjunction<R extends ClassifierRule>(soft: readonly Node<R>[]): number | undefined {
  const seen = new Map<number, bigint>();
  for (const { rule } of soft) {
    for (const { id, clause, nClauses } of rule.conjunctions ?? []) {
      const key = id * 64 + nClauses - 1;
      const have = (seen.get(key) ?? 0n) | (1n << BigInt(clause));
      if (have === (1n << BigInt(nClauses)) - 1n) return id;
      seen.set(key, have);
    }
  }
  return undefined;
}
