/**
 * What finds rules beside the classifiers: by cookie, by the groups and meters that they use, by their tables' order of eviction; and those
 * that have a timeout.
 * Source: ofproto/ofproto.c (ofproto_rule_insert__, ofproto_rule_remove__).
 */
import type { FlowTable } from './flow-table.ts';
import type { Rule } from './rule.ts';
import { RuleList } from './rule-list.ts';
import { RuleUses } from './rule-uses.ts';

const NONE: readonly Rule[] = [];

export class RuleIndex {
  readonly uses = new RuleUses();
  /** Rules that have, or had, a timeout. */
  readonly timed = new Set<Rule>();
  private readonly byCookie = new Map<bigint, RuleList>();
  /** The list that a rule was added to last: the next one's mostly, and it is slow to find one by a bigint. */
  private latest: { readonly cookie: bigint; readonly list: RuleList } | undefined;

  /** In the order in which they were added. */
  ofCookie(cookie: bigint): Iterable<Rule> {
    return this.byCookie.get(cookie) ?? NONE;
  }

  /** Adds a rule of `table`, which counts it. */
  add(rule: Rule, table: FlowTable): void {
    if (this.latest?.cookie !== rule.cookie) this.latest = { cookie: rule.cookie, list: this.listOf(rule.cookie) };
    this.latest.list.add(rule);
    if (rule.hasTimeout) this.timed.add(rule);
    table.eviction?.add(rule);
    this.uses.add(rule);
    table.nFlows++;
    if (rule.isHidden) table.nHidden++;
  }

  private listOf(cookie: bigint): RuleList {
    let list = this.byCookie.get(cookie);
    if (list === undefined) {
      list = new RuleList();
      this.byCookie.set(cookie, list);
    }
    return list;
  }

  remove(rule: Rule, table: FlowTable): void {
    const same = this.latest?.cookie === rule.cookie ? this.latest.list : this.byCookie.get(rule.cookie);
    same?.remove(rule);
    if (same?.isEmpty) {
      this.byCookie.delete(rule.cookie);
      if (this.latest?.list === same) this.latest = undefined;
    }
    if (rule.hasTimeout) this.timed.delete(rule);
    table.eviction?.remove(rule);
    this.uses.remove(rule);
    table.nFlows--;
    if (rule.isHidden) table.nHidden--;
  }
}
