/**
 * The way of a look-up through all masks of a classifier, as one array of numbers that is read from one end to the other: objects of fifty masks and of
 * their stages, hash tables and tries would be more memory than a processor keeps at hand.  Made again when masks come, go or change their order, or
 * when a hash table moves; rules may change meanwhile.
 *
 * A record for each mask, in the order of look-up, of a header and stages:
 *
 *     next record | highest priority | has ports
 *     for each stage:  where its tries end | where its words end | where its table begins | mask of its places
 *         for each trie:  number | word and bit of its result that say whether a rule of this mask may match | length of the prefix
 *         for each word:  which | bits
 *
 * Source: lib/classifier.c (find_match_wc, check_tries).
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { tagOf } from '../../util/hash-tag.ts';
import type { ClassifierRule, Node } from './classifier-rule.ts';
import type { HashArena } from './hash-arena.ts';
import type { PrefixTrie } from './prefix-trie.ts';
import { HASH_SEED, mixHash } from './stages.ts';
import type { Subtable } from './subtable.ts';
import { hasPrefix, setPrefix } from './wildcard-bits.ts';

const PORTS = FIELD.tpSrc.word;
const ETH_TYPE = FIELD.ethType;

// Words of a record, of a stage and of a trie.
const [NEXT, PRIORITY, HAS_PORTS, HEADER_WORDS] = [0, 1, 2, 3] as const;
const [TRIES_END, WORDS_END, TABLE, TABLE_MASK, STAGE_WORDS] = [0, 1, 2, 3, 4] as const;
const [TRIE, RESULT, RESULT_BIT, LENGTH, TRIE_WORDS] = [0, 1, 2, 3, 4] as const;
/** Words of a trie's result, of 128 bits at most. */
const RESULT_WORDS = 8;

/** A trie, and the Ethernet type of the packets that have its field; undefined: any. */
export interface ProgramTrie {
  readonly trie: PrefixTrie;
  readonly ethType: number | undefined;
}

export class LookupProgram<R extends ClassifierRule> {
  private readonly arena: HashArena;
  private readonly tries: readonly ProgramTrie[];
  private code = new Int32Array(64);
  private end = 0;
  private order: readonly Subtable<R>[] = [];
  private arenaSerial = -1;
  /** What the tries say of the packet, and those of them that were asked, a bit each. */
  private readonly results: Int32Array;
  private asked = 0;
  /** Where `next` goes on, in `code` and in `order`, and what it found. */
  private at = 0;
  private nTried = 0;
  private place = 0;

  constructor(arena: HashArena, tries: readonly ProgramTrie[]) {
    this.arena = arena;
    this.tries = tries;
    this.results = new Int32Array(tries.length * RESULT_WORDS);
  }

  /** False if tables have moved since it was compiled. */
  get isCurrent(): boolean {
    return this.arenaSerial === this.arena.serial;
  }

  /** Goes through `order` from now on. */
  compile(order: readonly Subtable<R>[]): void {
    this.order = order;
    this.arenaSerial = this.arena.serial;
    this.end = 0;
    for (const s of order) this.compileRecord(s);
  }

  private compileRecord(s: Subtable<R>): void {
    const { stages, indexes } = s;
    const record = this.end;
    this.emit(0, s.maxPriority, s.hasPorts ? 1 : 0);
    for (let stage = 0; stage < stages.length; stage++) {
      const here = this.end;
      const table = indexes[stage] ?? s.heads;
      this.emit(0, 0, table.at, table.size - 1);
      for (const { trie, len, segment } of s.tries) {
        if (segment !== stages.segments[stage]) continue;
        const number = this.tries.findIndex((t) => t.trie === trie);
        this.emit(number, number * RESULT_WORDS + 1 + (len >>> 5), 1 << (len & 31), len);
      }
      this.code[here + TRIES_END] = this.end;
      for (let i = stage === 0 ? 0 : (stages.ends[stage - 1] as number); i < (stages.ends[stage] as number); i++) {
        this.emit(stages.words[i] as number, stages.bits[i] as number);
      }
      this.code[here + WORDS_END] = this.end;
    }
    this.code[record + NEXT] = this.end;
  }

  private emit(...words: readonly number[]): void {
    if (this.end + words.length > this.code.length) {
      const larger = new Int32Array(this.code.length * 2);
      larger.set(this.code);
      this.code = larger;
    }
    for (const word of words) this.code[this.end++] = word;
  }

  /** Begins a look-up: `next` is of another packet. */
  start(): void {
    this.at = this.nTried = this.asked = 0;
  }

  /**
   * The next rule that `flow` matches, visible in `version` and of a higher priority than `floor`; undefined if there is no other.  Adds to `wc`
   * what had to be looked at.
   */
  next(flow: FlowKey, version: number, wc: FlowMask, floor: number): Node<R> | undefined {
    while (this.probe(flow, wc, floor)) {
      const found = (this.order[this.nTried++] as Subtable<R>).matchAt(this.place, flow, version, floor);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Goes on to the next mask of which a rule has the hash of `flow`, at `place`.  Hot path. */
  private probe(flow: FlowKey, wc: FlowMask, floor: number): boolean {
    const { code, end, results } = this;
    const { tags, keys } = this.arena;
    let record = this.at;
    for (; record < end; this.nTried++) {
      // Nothing that follows can beat what was found.
      if ((code[record + PRIORITY] as number) <= floor) break;
      const next = code[record + NEXT] as number;
      let ports = wc[PORTS] as number;
      let h = HASH_SEED;
      let stage = record + HEADER_WORDS;
      stages: for (;;) {
        let i = stage + STAGE_WORDS;
        for (const tries = code[stage + TRIES_END] as number; i < tries; i += TRIE_WORDS) {
          const trie = code[i + TRIE] as number;
          if ((this.asked & (1 << trie)) === 0) this.ask(trie, flow);
          if (((results[code[i + RESULT] as number] as number) & (code[i + RESULT_BIT] as number)) !== 0) continue;
          if (this.excludes(trie, code[i + LENGTH] as number, wc)) break stages;
        }
        const words = code[stage + WORDS_END] as number;
        for (; i < words; i += 2) {
          const w = code[i] as number;
          const bits = code[i + 1] as number;
          h = mixHash(h, (flow[w] as number) & bits);
          wc[w] = (wc[w] as number) | bits;
        }
        const table = code[stage + TABLE] as number;
        const mask = code[stage + TABLE_MASK] as number;
        const mine = tagOf(h);
        let place = h & mask;
        let tag = tags[table + place] as number;
        while (tag !== 0 && (tag !== mine || keys[table + place] !== h)) {
          place = (place + 1) & mask;
          tag = tags[table + place] as number;
        }
        if (words === next) {
          if (tag !== 0) {
            this.place = place;
            this.at = next;
            return true;
          }
          if (code[record + HAS_PORTS] !== 0) {
            // Of the ports only as many bits as it takes to know that none matches.
            ports |= (this.order[this.nTried] as Subtable<R>).portsNeeded(flow);
            wc[PORTS] = ports;
          }
          break;
        }
        if (tag === 0) break;
        stage = words;
      }
      record = next;
    }
    this.at = record;
    return false;
  }

  /** Has a trie look at the packet. */
  private ask(number: number, flow: FlowKey): void {
    const { trie, ethType } = this.tries[number] as ProgramTrie;
    this.asked |= 1 << number;
    const to = number * RESULT_WORDS;
    if (ethType === undefined || ethType === (((flow[ETH_TYPE.word] as number) >>> ETH_TYPE.shift) & 0xffff)) {
      trie.lookup(flow, this.results, to);
      return;
    }
    // ARP has its addresses in the same place: nothing is known of those.
    this.results[to] = 0;
    for (let i = 1; i < RESULT_WORDS; i++) this.results[to + i] = -1;
  }

  /** Whether the answer of a trie, that no prefix of `len` bits matches, may be used; then the bits that told so are in `wc`. */
  private excludes(number: number, len: number, wc: FlowMask): boolean {
    const needed = this.results[number * RESULT_WORDS] as number;
    const { at } = (this.tries[number] as ProgramTrie).trie;
    // The trie is of all rules: it may have looked further than this mask does.
    if (needed > len) return hasPrefix(wc, at, needed);
    setPrefix(wc, at, needed);
    return true;
  }
}
