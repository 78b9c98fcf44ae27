/**
 * The flow tables of a switch.  They are changed in transactions (`flow-transaction.ts`), one at a time; what changed is told to the
 * listener after a `commit`, in the order in which it was done.
 * Source: ofproto/ofproto.c (struct ofproto).
 */
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { type FlowMod, OFPFC, OFPTT_ALL } from '../../openflow/messages/flow/flow-types.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { workMs } from '../../util/clock.ts';
import { FOREVER, isVisible } from '../classifier/classifier-rule.ts';
import { DroppedRules } from './dropped-rules.ts';
import { FlowTable } from './flow-table.ts';
import { criteriaOf, FlowTransaction, N_TABLES, type TransactionListener } from './flow-transaction.ts';
import type { Rule } from './rule.ts';
import { OFPRR, type RemovalReason, type RuleChange } from './rule-change.ts';
import type { RuleCriteria } from './rule-criteria.ts';
import { RuleIndex } from './rule-index.ts';
import { RuleSelection } from './rule-selection.ts';
import type { RuleUses } from './rule-uses.ts';
import { inTurns, type Piecewise } from './turns.ts';

/** Rules that are removed before the clock is asked. */
const REMOVALS = 64;
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
  private readonly dropped = new DroppedRules((rule) => this.drop(rule));
  private current: FlowTransaction | undefined;
  private waiting: (() => void)[] = [];
  /** Carries the transaction under way to its end: one that takes several turns of the event loop. */
  private finish: (() => void) | undefined;
  /** Of all transactions. */
  private readonly listener: TransactionListener;

  /** `onChange` is called by each commit, of many changes more than once, of none with none. */
  constructor(onChange: (changes: readonly RuleChange[]) => void) {
    this.listener = {
      show: (version) => {
        this.version = version;
      },
      changed: onChange,
      end: (changes) => this.end(changes),
    };
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
        if (isVisible(rule, this.version)) yield rule;
      }
    }
  }

  /** The rule of table `n` for a packet, undefined if none matches; adds what it looked at to `wc`. */
  lookup(n: number, flow: FlowKey, wc: FlowMask | undefined): Rule | undefined {
    return this.tables[n]?.lookup(flow, this.version, wc);
  }

  /** Begins a transaction, of a bundle or not; an Error if another is under way that cannot be carried to its end at once. */
  begin(isBundle = false): FlowTransaction {
    this.settle();
    if (this.current !== undefined) throw new Error('flow tables: a transaction is under way');
    this.current = new FlowTransaction(this, this.index, this.listener, isBundle);
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

  /** Whether a transaction is under way: one that takes several turns, when this is asked between two of them. */
  get isBusy(): boolean {
    return this.current !== undefined;
  }

  /** Resolves when no transaction is under way. */
  idle(): Promise<void> {
    return new Promise((resolve) => this.whenIdle(resolve));
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

  /** The same a piece at a time, for `inTurns`: a deletion may be of 100,000 flows. */
  inPieces(fm: FlowMod, isInternal = false): Piecewise {
    const tx = this.begin();
    try {
      const isDelete = fm.command === OFPFC.DELETE || fm.command === OFPFC.DELETE_STRICT;
      if (isDelete && fm.tableId !== TBL_INTERNAL) {
        const selection = this.selection(criteriaOf(fm, isInternal));
        const selecting = this.selecting(selection);
        const removing = this.removing(tx, selection.found, () => OFPRR.DELETE);
        let isSelected = false;
        return (untilMs) => {
          isSelected ||= selecting(untilMs);
          return isSelected && removing(untilMs);
        };
      }
      tx.apply(fm, isInternal);
    } catch (e) {
      tx.revert();
      throw e;
    }
    return (untilMs) => tx.commit(untilMs);
  }

  /** Removes rules, and commits. */
  private removing(tx: FlowTransaction, rules: readonly Rule[], reasonOf: (i: number) => RemovalReason): Piecewise {
    let n = 0;
    return (untilMs) => {
      while (n < rules.length) {
        tx.remove(rules[n] as Rule, reasonOf(n));
        if (++n % REMOVALS === 0 && workMs() >= untilMs) return false;
      }
      return tx.commit(untilMs);
    };
  }

  /** Removes rules for another reason than a flow_mod. */
  removeAll(rules: Iterable<Rule>, reason: RemovalReason): void {
    this.removing(this.begin(), [...rules], () => reason)(Number.POSITIVE_INFINITY);
  }

  /**
   * Removes the rules whose time is up at `now` (ms), in several turns if they are many; those of a transaction under way wait for it.
   * Resolves when they are gone; undefined: they are.
   */
  expire(now: number): Promise<void> | undefined {
    if (this.current !== undefined) return undefined;
    const expired: Rule[] = [];
    const reasons: RemovalReason[] = [];
    for (const rule of this.index.timed) {
      const isHard = rule.hardTimeout !== 0 && now > rule.modifiedMs + rule.hardTimeout * 1000;
      if (!isHard && now <= rule.expiresMs) continue;
      expired.push(rule);
      reasons.push(isHard ? OFPRR.HARD_TIMEOUT : OFPRR.IDLE_TIMEOUT);
    }
    if (expired.length === 0) return undefined;
    return inTurns(
      this,
      this.removing(this.begin(), expired, (i) => reasons[i] as RemovalReason),
    );
  }

  /** Lowers a rule's timeouts, 0 leaving one as it is: what fin_timeout does. */
  lowerTimeouts(rule: Rule, idle: number, hard: number): void {
    if (idle !== 0 && (rule.idleTimeout === 0 || idle < rule.idleTimeout)) rule.idleTimeout = idle;
    if (hard !== 0 && (rule.hardTimeout === 0 || hard < rule.hardTimeout)) rule.hardTimeout = hard;
    if (rule.hasTimeout && rule.removedIn === FOREVER) this.index.timed.add(rule);
  }

  /** The rules that meet `c` in the current version, or in that of the transaction under way: a list of the caller's own. */
  select(c: RuleCriteria): Rule[] {
    const selection = this.selection(c);
    selection.run(Number.POSITIVE_INFINITY);
    return selection.found;
  }

  /**
   * The same, in several turns if it takes long: those of the moment of this call.  Whoever wants to change the tables meanwhile has it carried to
   * its end first.
   */
  selectInTurns(c: RuleCriteria): readonly Rule[] | Promise<readonly Rule[]> {
    this.settle();
    const selection = this.selection(c);
    const selecting = this.selecting(selection);
    const turns = inTurns(this, (untilMs) => {
      if (!selecting(untilMs)) return false;
      this.finish = undefined;
      return true;
    });
    return turns === undefined ? selection.found : turns.then(() => selection.found);
  }

  private selection(c: RuleCriteria): RuleSelection {
    return new RuleSelection(c, this.matchingTables(c.table), this.index, this.current?.version ?? this.version);
  }

  /** A selection in pieces, before whose end no rule leaves its classifier. */
  private selecting(selection: RuleSelection): Piecewise {
    this.dropped.pause();
    return (untilMs) => {
      if (!selection.run(untilMs)) return false;
      this.dropped.resume();
      return true;
    };
  }

  private matchingTables(n: number): readonly FlowTable[] {
    if (n !== OFPTT_ALL) return [this.table(n)];
    return this.tables.filter((t) => !t.isHidden && t.classifier.size > 0);
  }

  /** Takes a rule that nobody sees out of its classifier, or all of them at once where nobody sees one. */
  private drop(rule: Rule): void {
    const { classifier, nFlows } = this.table(rule.table);
    // What a transaction under way has removed may come back.
    if (nFlows > 0 || this.current !== undefined) classifier.remove(rule);
    else if (classifier.size > 0) classifier.clear();
  }

  private end(changes: readonly RuleChange[]): void {
    if (this.current?.isBundle) for (const { classifier } of this.tables) classifier.publish();
    this.dropped.add(changes);
    this.current = undefined;
    this.finish = undefined;
    if (this.waiting.length > 0) for (const change of this.waiting.splice(0)) this.whenIdle(change);
  }
}
