/**
 * The flow tables of a switch, and how flow_mods change them: in transactions, of one flow_mod or a bundle's many.
 *
 * A transaction's rules are in the classifiers at once, but are seen by look-ups only from `commit` on: it makes the next version the
 * current one.  `revert` takes everything back as if it had not been.  So a bundle may take several turns of the event loop, and yet
 * appears at once.  There is one transaction at a time.
 *
 * What changed is told to the listener after `commit`, in the order in which it was done.
 * Source: ofproto/ofproto.c (add_flow_start, modify_flows_start__, delete_flows_start__, ofproto_flow_mod_revert).
 */
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { miniFromFlow } from '../../flow/minimatch.ts';
import { FLOW_FLAG, type FlowMod, OFPFC, OFPG, OFPTT_ALL, UNKNOWN64 } from '../../openflow/messages/flow-types.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { monotonicMs } from '../../util/clock.ts';
import { FOREVER } from '../classifier/subtable.ts';
import { FlowTable } from './flow-table.ts';
import { Rule } from './rule.ts';
import type { RuleCriteria } from './rule-criteria.ts';
import { RuleUses } from './rule-uses.ts';

/** Tables 0 to 253 are a controller's; 254 is the switch's own. */
export const N_TABLES = 255;
export const TBL_INTERNAL = 254;

/** OFPRR_*: why a flow was removed. */
// biome-ignore format: table
export const OFPRR = {
  IDLE_TIMEOUT: 0, HARD_TIMEOUT: 1, DELETE: 2, GROUP_DELETE: 3, METER_DELETE: 4, EVICTION: 5,
} as const;
export type RemovalReason = (typeof OFPRR)[keyof typeof OFPRR];

/** What a transaction did to a rule. */
export type RuleChange =
  | { readonly kind: 'added'; readonly rule: Rule }
  /** An addition over a rule of the same match and priority is `isAdd`. */
  | { readonly kind: 'replaced'; readonly rule: Rule; readonly old: Rule; readonly isAdd: boolean }
  | { readonly kind: 'removed'; readonly rule: Rule; readonly reason: RemovalReason };

export class FlowTables {
  readonly tables: readonly FlowTable[] = Array.from({ length: N_TABLES }, (_, n) => new FlowTable(n));
  /** Look-ups see this version. */
  version = 1;
  /** Rules by the groups and meters that they use, those that the transaction under way has, too. */
  readonly uses = new RuleUses();
  /** Throws an OfpError if actions name a group or a meter that is not there. */
  checkActions: (actions: readonly Ofpact[]) => void = () => {};
  private readonly byCookie = new Map<bigint, Set<Rule>>();
  private readonly timed = new Set<Rule>();
  private current: FlowTransaction | undefined;
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

  /** Begins a transaction; an Error if another is under way. */
  begin(): FlowTransaction {
    if (this.current !== undefined) throw new Error('flow tables: a transaction is under way');
    this.current = new FlowTransaction(this);
    return this.current;
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
    for (const rule of this.timed) {
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
    if (rule.hasTimeout && rule.removedIn === FOREVER) this.timed.add(rule);
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
      const wanted = new Set<Rule>();
      for (const table of this.matchingTables(c.table)) {
        for (const rule of table.classifier.within(c.match.flow, c.match.mask, version)) wanted.add(rule);
        // Few rules have one cookie: with none of them there is nothing to search for.
        if ((this.byCookie.get(c.cookie)?.size ?? 0) === 0) return;
      }
      for (const rule of this.byCookie.get(c.cookie) ?? []) if (isVisible(rule) && wanted.has(rule)) yield rule;
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

  /** For transactions. */
  index(rule: Rule): void {
    let same = this.byCookie.get(rule.cookie);
    if (same === undefined) {
      same = new Set();
      this.byCookie.set(rule.cookie, same);
    }
    same.add(rule);
    if (rule.hasTimeout) this.timed.add(rule);
    const table = this.table(rule.table);
    table.eviction?.add(rule);
    this.uses.add(rule);
    table.nFlows++;
  }

  /** For transactions. */
  unindex(rule: Rule): void {
    const same = this.byCookie.get(rule.cookie);
    same?.delete(rule);
    if (same?.size === 0) this.byCookie.delete(rule.cookie);
    this.timed.delete(rule);
    const table = this.table(rule.table);
    table.eviction?.remove(rule);
    this.uses.remove(rule);
    table.nFlows--;
  }

  /** For transactions: ends the one under way. */
  end(changes: readonly RuleChange[], version: number): void {
    this.current = undefined;
    if (changes.length === 0) return;
    this.version = version;
    this.onChange(changes);
  }
}

/** What else changes in a transaction, all of it or nothing. */
export interface TransactionPart {
  /** Is called before the rules' listener. */
  commit(): void;
  revert(): void;
}

/** Changes that look-ups do not see before `commit`. */
export class FlowTransaction {
  private readonly owner: FlowTables;
  /** The version that the changes belong to. */
  readonly version: number;
  private readonly changes: RuleChange[] = [];
  private readonly parts: TransactionPart[] = [];

  constructor(owner: FlowTables) {
    this.owner = owner;
    this.version = owner.version + 1;
  }

  /**
   * Carries out a flow_mod; on an OfpError `revert` has to follow, as part of it may be done.  `isInternal`: it is the switch's own, which
   * reaches hidden flows and tables, and adds hidden flows.
   */
  apply(fm: FlowMod, isInternal = false): void {
    switch (fm.command) {
      case OFPFC.ADD:
        this.add(fm, isInternal);
        break;
      case OFPFC.MODIFY:
      case OFPFC.MODIFY_STRICT:
        this.modify(fm, isInternal);
        break;
      case OFPFC.DELETE:
      case OFPFC.DELETE_STRICT:
        for (const rule of [...this.select(fm, isInternal)]) this.remove(rule, OFPRR.DELETE);
        break;
      default:
        throw new OfpError(OFPERR.OFPFMFC_BAD_COMMAND);
    }
  }

  /** Has `part` committed or reverted with this. */
  join(part: TransactionPart): void {
    this.parts.push(part);
  }

  private select(fm: FlowMod, isInternal: boolean): Iterable<Rule> {
    const isStrict = fm.command === OFPFC.MODIFY_STRICT || fm.command === OFPFC.DELETE_STRICT;
    const isDelete = fm.command === OFPFC.DELETE || fm.command === OFPFC.DELETE_STRICT;
    checkTable(fm.tableId);
    return this.owner.select({
      table: fm.tableId,
      match: fm.match,
      strictPriority: isStrict ? fm.priority : undefined,
      cookie: fm.cookie,
      cookieMask: fm.cookieMask,
      outPort: isDelete ? fm.outPort : OFPP.NONE,
      outGroup: isDelete ? fm.outGroup : OFPG.ANY,
      withHidden: isInternal,
    });
  }

  private add(fm: FlowMod, isInternal: boolean): void {
    checkTable(fm.tableId);
    const table = this.owner.table(fm.tableId === OFPTT_ALL ? 0 : fm.tableId);
    if (table.isHidden && !isInternal) throw new OfpError(OFPERR.OFPBRC_EPERM);
    const { ofpacts, flags, idleTimeout, hardTimeout, importance, priority } = fm;
    this.owner.checkActions(ofpacts);
    const match = miniFromFlow(fm.match.flow, fm.match.mask);
    const old = table.classifier.findExactly(match, priority, this.version);
    const rule = new Rule({
      table: table.number,
      match: old?.match ?? match,
      priority,
      // Without a cookie of its own, an addition keeps that of the flow in its place.
      cookie: old !== undefined && fm.newCookie === UNKNOWN64 ? old.cookie : fm.newCookie,
      actions: ofpacts,
      flags,
      idleTimeout,
      hardTimeout,
      importance,
      isHidden: isInternal,
      createdMs: monotonicMs(),
    });
    if (old !== undefined) {
      this.replace(old, rule, true, (flags & FLOW_FLAG.RESET_COUNTS) === 0);
      return;
    }
    if ((flags & FLOW_FLAG.CHECK_OVERLAP) !== 0 && table.classifier.findOverlap(match, priority, this.version)) {
      throw new OfpError(OFPERR.OFPFMFC_OVERLAP);
    }
    if (table.nFlows >= table.maxFlows) {
      const victim = table.eviction?.choose();
      if (victim === undefined) throw new OfpError(OFPERR.OFPFMFC_TABLE_FULL);
      this.remove(victim, OFPRR.EVICTION);
    }
    this.insert(rule);
    this.changes.push({ kind: 'added', rule });
  }

  private modify(fm: FlowMod, isInternal: boolean): void {
    const olds = [...this.select(fm, isInternal)];
    if (olds.length === 0) {
      // A modification that names no cookie adds the flow if there is none.
      if (fm.cookieMask === 0n && fm.newCookie !== UNKNOWN64) this.add(fm, isInternal);
      return;
    }
    this.owner.checkActions(fm.ofpacts);
    for (const old of olds) {
      const { table, match, priority, flags, idleTimeout, hardTimeout, importance, isHidden, createdMs } = old;
      if (this.owner.table(table).isHidden && !isInternal) throw new OfpError(OFPERR.OFPBRC_EPERM);
      const cookie = fm.modifyCookie && fm.newCookie !== UNKNOWN64 ? fm.newCookie : old.cookie;
      const rule = new Rule({
        table,
        match,
        priority,
        cookie,
        actions: fm.ofpacts,
        flags,
        idleTimeout,
        hardTimeout,
        importance,
        isHidden,
        createdMs,
      });
      rule.modifiedMs = monotonicMs();
      this.replace(old, rule, false, (fm.flags & FLOW_FLAG.RESET_COUNTS) === 0);
    }
  }

  private replace(old: Rule, rule: Rule, isAdd: boolean, keepsCounts: boolean): void {
    rule.succeed(old, keepsCounts);
    this.hide(old);
    this.insert(rule);
    this.changes.push({ kind: 'replaced', rule, old, isAdd });
  }

  /** Removes a rule. */
  remove(rule: Rule, reason: RemovalReason): void {
    this.hide(rule);
    this.changes.push({ kind: 'removed', rule, reason });
  }

  private insert(rule: Rule): void {
    rule.addedIn = this.version;
    this.owner.table(rule.table).classifier.insert(rule);
    this.owner.index(rule);
  }

  private hide(rule: Rule): void {
    rule.removedIn = this.version;
    this.owner.unindex(rule);
  }

  /** Makes the changes seen, and tells of them. */
  commit(): void {
    for (const c of this.changes) {
      if (c.kind === 'removed') this.drop(c.rule);
      else if (c.kind === 'replaced') this.drop(c.old);
    }
    for (const part of this.parts) part.commit();
    this.owner.end(this.changes, this.version);
  }

  /** Takes all changes back. */
  revert(): void {
    for (const c of this.changes.toReversed()) {
      if (c.kind !== 'removed') {
        this.owner.unindex(c.rule);
        this.drop(c.rule);
      }
      if (c.kind !== 'added') {
        const old = c.kind === 'removed' ? c.rule : c.old;
        old.removedIn = FOREVER;
        old.stay();
        this.owner.index(old);
      }
    }
    this.changes.length = 0;
    for (const part of this.parts) part.revert();
    this.owner.end([], this.owner.version);
  }

  private drop(rule: Rule): void {
    this.owner.table(rule.table).classifier.remove(rule);
  }
}

function checkTable(n: number): void {
  if (n !== OFPTT_ALL && (n < 0 || n >= N_TABLES)) throw new OfpError(OFPERR.OFPBRC_BAD_TABLE_ID);
}
