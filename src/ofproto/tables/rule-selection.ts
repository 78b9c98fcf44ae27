/**
 * Finding the rules that a request is about, a piece at a time: there may be 100,000.
 *
 * What is found are the rules of one version.  The rules of the tables must not change before the end, nor be taken out of their classifiers:
 * `FlowTables` sees to it.
 * Source: ofproto/ofproto.c (collect_rules_loose, collect_rules_strict).
 */
import { isSubset, miniFromFlow } from '../../flow/minimatch.ts';
import { OFPG, UNKNOWN64 } from '../../openflow/messages/flow/flow-types.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import { workMs } from '../../util/clock.ts';
import { isVisible } from '../classifier/classifier-rule.ts';
import type { FlowTable } from './flow-table.ts';
import type { Rule } from './rule.ts';
import type { RuleCriteria } from './rule-criteria.ts';
import type { RuleIndex } from './rule-index.ts';

/** Places of a hash table, half of them empty at least, or rules of a cookie, that are looked at before the clock is asked. */
const PLACES = 4096;

export class RuleSelection {
  /** What was found so far; a list of the caller's own. */
  readonly found: Rule[] = [];
  private readonly criteria: RuleCriteria;
  private readonly version: number;
  private readonly pieces: Iterator<void>;
  private readonly hasCookie: boolean;
  /** Whether nothing but table and match has to be right: a dump asks for nothing in particular. */
  private readonly isAny: boolean;

  /** The rules of `tables` that meet `c` in `version`.  `tables` are those that `c.table` names. */
  constructor(c: RuleCriteria, tables: readonly FlowTable[], index: RuleIndex, version: number) {
    this.criteria = c;
    this.version = version;
    this.hasCookie = c.cookieMask !== 0n;
    const isOfAll = !this.hasCookie && c.outPort === OFPP.NONE && c.outGroup === OFPG.ANY;
    this.isAny = isOfAll && (c.withHidden || tables.every((t) => t.nHidden === 0));
    if (c.strictPriority !== undefined) {
      this.takeStrictly(tables, c.strictPriority);
      this.pieces = [].values();
    } else if (c.cookieMask === UNKNOWN64) this.pieces = this.ofCookie(tables, index);
    else this.pieces = this.loose(tables);
  }

  /** Goes on until workMs() says `untilMs`; true: that was all. */
  run(untilMs: number): boolean {
    while (this.pieces.next().done !== true) if (workMs() >= untilMs) return false;
    return true;
  }

  private takeStrictly(tables: readonly FlowTable[], priority: number): void {
    const { flow, mask } = this.criteria.match;
    const match = miniFromFlow(flow, mask);
    for (const table of tables) {
      const rule = table.classifier.findExactly(match, priority, this.version);
      if (rule !== undefined) this.take(rule);
    }
  }

  private *ofCookie(tables: readonly FlowTable[], index: RuleIndex): Generator<void> {
    const { cookie, match } = this.criteria;
    const isIn = new Set(tables.map((table) => table.number));
    let n = 0;
    for (const rule of index.ofCookie(cookie)) {
      if (isVisible(rule, this.version) && isIn.has(rule.table) && isSubset(rule.match, match.flow, match.mask)) {
        this.take(rule);
      }
      if (++n % PLACES === 0) yield;
    }
  }

  private *loose(tables: readonly FlowTable[]): Generator<void> {
    const { flow, mask } = this.criteria.match;
    for (const table of tables) {
      for (const subtable of table.classifier.subtablesOf(mask)) {
        for (let from = 0; from < subtable.nPlaces; from += PLACES) {
          const first = this.found.length;
          subtable.collect(this.version, this.found, flow, mask, from, from + PLACES);
          if (!this.isAny) this.sift(first);
          yield;
        }
      }
    }
  }

  private take(rule: Rule): void {
    if (this.isWanted(rule)) this.found.push(rule);
  }

  /** Leaves out what is not wanted of what was found from number `first` on. */
  private sift(first: number): void {
    const { found } = this;
    let n = first;
    for (let i = first; i < found.length; i++) {
      const rule = found[i] as Rule;
      if (this.isWanted(rule)) found[n++] = rule;
    }
    found.length = n;
  }

  private isWanted(rule: Rule): boolean {
    const c = this.criteria;
    return (
      (c.withHidden || !rule.isHidden) &&
      (!this.hasCookie || ((rule.cookie ^ c.cookie) & c.cookieMask) === 0n) &&
      rule.sendsTo(c.outPort, c.outGroup)
    );
  }
}
