/**
 * The flow tables of a switch.  They are changed in transactions (`flow-transaction.ts`), one at a time; what changed is told to the
 * listener after a `commit`, in the order in which it was done.
 * Source: ofproto/ofproto.c (struct ofproto, collect_rules_loose, collect_rules_strict).
 */
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { isSubset, miniFromFlow } from '../../flow/minimatch.ts';
import { type FlowMod, OFPTT_ALL, UNKNOWN64 } from '../../openflow/messages/flow-types.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { FOREVER } from '../classifier/subtable.ts';
import { FlowTable } from './flow-table.ts';
import { FlowTransaction, N_TABLES } from './flow-transaction.ts';
import type { Rule } from './rule.ts';
import { OFPRR, type RemovalReason, type RuleChange } from './rule-change.ts';
import type { RuleCriteria } from './rule-criteria.ts';
import { RuleIndex } from './rule-index.ts';
import type { RuleUses } from './rule-uses.ts';

/** The switch's own table; those before it are a controller's. */
export const TBL_INTERNAL = N_TABLES - 1;

export class FlowTables {
  readonly tables: readonly FlowTable[] = Array.from({ length: N_TABLES }, (_, n) => new FlowTable(n));
  /** Look-ups see this version. */
  version = 1;
  /** Throws an OfpError if actions name a group or a meter that is not there. */
  checkActions: (actions: readonly Ofpact[]) => void = () => {};
  /** Throws an OfpError if the datapath cannot carry out a rule; without a mask it is one that is there already. */
  checkRule: (mask: FlowMask | undefined, actions: readonly Ofpact[]) => void = () => {};
  private readonly index = new RuleIndex();
  private current: FlowTransaction | undefined;
  private waiting: (() => void)[] = [];
  /** Carries the transaction under way to its end: one that takes several turns of the event loop. */
  private finish: (() => void) | undefined;
  private readonly onChange: (changes: readonly RuleChange[]) => void;

  /** `onChange` is called after each commit that changed something. */
  constructor(onChange: (changes: readonly RuleChange[]) => void) {
    this.onChange = onChange;
    (this.tables[TBL_INTERNAL] as FlowTable).isHidden = true;
  }

  table(n: number): FlowTable {
    const table = this.tables[n];
    if (table === undefined) throw new RangeError(`no flow table ${n}`);
    return table;
  }

  /** Rules by the groups and meters that they use, those that the transaction under way has, too. */
  get uses(): RuleUses {
    return this.index.uses;
  }

  get size(): number {
    return this.tables.reduce((sum, t) => sum + t.nFlows, 0);
  }

  /** The rules that look-ups see, by table. */
  *rules(): Iterable<Rule> {
    for (const table of this.tables) {
      for (const rule of table.classifier) {
        if (rule.addedIn <= this.version && this.version < rule.removedIn) yield rule;
      }
    }
  }

  /** The rule of table `n` for a packet, undefined if none matches; adds what it looked at to `wc`. */
  lookup(n: number, flow: FlowKey, wc: FlowMask | undefined): Rule | undefined {
    return this.tables[n]?.lookup(flow, this.version, wc);
  }

  /** Begins a transaction; an Error if another is under way that cannot be carried to its end at once. */
  begin(): FlowTransaction {
    this.settle();
    if (this.current !== undefined) throw new Error('flow tables: a transaction is under way');
    this.current = new FlowTransaction(this, this.index, (changes) => this.end(changes));
    return this.current;
  }

  /** `finish` carries the transaction that was begun to its end whenever somebody else wants to change or to show the tables. */
  mayTakeTurns(finish: () => void): void {
    this.finish = finish;
  }

  /** Ends a transaction that takes several turns: what follows sees all of it, or nothing. */
  settle(): void {
    const { finish } = this;
    this.finish = undefined;
    finish?.();
  }

  /** Calls `change` now; if a transaction is under way, when it has ended. */
  whenIdle(change: () => void): void {
    if (this.current === undefined) change();
    else this.waiting.push(change);
  }

  /** Carries out one flow_mod, or leaves all as it was and throws the OfpError. */
  apply(fm: FlowMod, isInternal = false): void {
    const tx = this.begin();
    try {
      tx.apply(fm, isInternal);
    } catch (e) {
      tx.revert();
      throw e;
    }
    tx.commit();
  }

  /** Removes rules for another reason than a flow_mod. */
  removeAll(rules: Iterable<Rule>, reason: RemovalReason): void {
    const tx = this.begin();
    for (const rule of rules) tx.remove(rule, reason);
    tx.commit();
  }

  /** Removes the rules whose time is up at `now` (ms); those of a transaction under way wait for it. */
  expire(now: number): void {
    if (this.current !== undefined) return;
    const expired: [Rule, RemovalReason][] = [];
    for (const rule of this.index.timed) {
      const isHard = rule.hardTimeout !== 0 && now > rule.modifiedMs + rule.hardTimeout * 1000;
      if (isHard) expired.push([rule, OFPRR.HARD_TIMEOUT]);
      else if (now > rule.expiresMs) expired.push([rule, OFPRR.IDLE_TIMEOUT]);
    }
    if (expired.length === 0) return;
    const tx = this.begin();
    for (const [rule, reason] of expired) tx.remove(rule, reason);
    tx.commit();
  }

  /** Lowers a rule's timeouts, 0 leaving one as it is: what fin_timeout does. */
  lowerTimeouts(rule: Rule, idle: number, hard: number): void {
    if (idle !== 0 && (rule.idleTimeout === 0 || idle < rule.idleTimeout)) rule.idleTimeout = idle;
    if (hard !== 0 && (rule.hardTimeout === 0 || hard < rule.hardTimeout)) rule.hardTimeout = hard;
    if (rule.hasTimeout && rule.removedIn === FOREVER) this.index.timed.add(rule);
  }

  /** The rules that meet `c` in the current version, or in that of the transaction under way. */
  *select(c: RuleCriteria): Iterable<Rule> {
    const version = this.current?.version ?? this.version;
    for (const rule of this.candidates(c, version)) {
      if (c.table !== OFPTT_ALL && rule.table !== c.table) continue;
      if (((rule.cookie ^ c.cookie) & c.cookieMask) !== 0n) continue;
      if (rule.isHidden && !c.withHidden) continue;
      if (rule.sendsTo(c.outPort, c.outGroup)) yield rule;
    }
  }

  private *candidates(c: RuleCriteria, version: number): Iterable<Rule> {
    const isVisible = (r: Rule): boolean => r.addedIn <= version && version < r.removedIn;
    if (c.strictPriority !== undefined) {
      const match = miniFromFlow(c.match.flow, c.match.mask);
      for (const table of this.matchingTables(c.table)) {
        const rule = table.classifier.findExactly(match, c.strictPriority, version);
        if (rule !== undefined) yield rule;
      }
      return;
    }
    if (c.cookieMask === UNKNOWN64) {
      const { flow, mask } = c.match;
      const isIn = (r: Rule): boolean =>
        r.table === c.table || (c.table === OFPTT_ALL && !this.table(r.table).isHidden);
      for (const rule of this.index.ofCookie(c.cookie)) {
        if (isVisible(rule) && isIn(rule) && isSubset(rule.match, flow, mask)) yield rule;
      }
      return;
    }
    for (const table of this.matchingTables(c.table)) {
      yield* table.classifier.within(c.match.flow, c.match.mask, version);
    }
  }

  private matchingTables(n: number): readonly FlowTable[] {
    if (n !== OFPTT_ALL) return [this.table(n)];
    return this.tables.filter((t) => !t.isHidden && t.classifier.size > 0);
  }

  private end(changes: readonly RuleChange[]): void {
    const version = this.current?.version ?? this.version;
    this.current = undefined;
    this.finish = undefined;
    if (changes.length > 0) {
      this.version = version;
      this.onChange(changes);
    }
    for (const change of this.waiting.splice(0)) this.whenIdle(change);
  }
}
