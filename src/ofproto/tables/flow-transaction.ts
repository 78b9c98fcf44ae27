/**
 * Transactions on flow tables, of one flow_mod or of a bundle's many.
 *
 * A transaction's rules are in the classifiers at once, but are seen by look-ups only from `commit` on: it makes the next version the
 * current one.  `revert` takes everything back as if it had not been.  So a bundle, or a deletion of many rules, may take several turns of
 * the event loop, and yet appears at once.
 * Source: ofproto/ofproto.c (add_flow_start, modify_flows_start__, delete_flows_start__, ofproto_flow_mod_revert).
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowMask } from '../../flow/flow-key.ts';
import { type Minimatch, miniFromFlow } from '../../flow/minimatch.ts';
import {
  FLOW_FLAG,
  type FlowMod,
  type Match,
  OFPFC,
  OFPG,
  OFPTT_ALL,
  UNKNOWN64,
} from '../../openflow/messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { monotonicMs, workMs } from '../../util/clock.ts';
import { FOREVER } from '../classifier/classifier-rule.ts';
import type { FlowTable } from './flow-table.ts';
import { Rule } from './rule.ts';
import { OFPRR, type RemovalReason, type RuleChange } from './rule-change.ts';
import type { RuleCriteria } from './rule-criteria.ts';
import type { RuleIndex } from './rule-index.ts';

export const N_TABLES = 255;

/** Of flows that OpenFlow can name: those above it are the switch's own, and hidden. */
const HIGHEST_PRIORITY = 0xffff;

/** The tables that a transaction changes. */
export interface TransactionTarget {
  /** What look-ups see. */
  readonly version: number;
  /** Throws a RangeError for a table that is not there. */
  table(n: number): FlowTable;
  /** The rules that meet `c` in the version of the transaction: a list of the caller's own. */
  select(c: RuleCriteria): Rule[];
  /** Throws an OfpError if actions name a group or a meter that is not there. */
  readonly checkActions: (actions: readonly Ofpact[]) => void;
  /** Throws an OfpError if the datapath cannot carry out a rule. */
  readonly checkRule: (mask: FlowMask | undefined, actions: readonly Ofpact[]) => void;
}

/** What else changes in a transaction, all of it or nothing. */
export interface TransactionPart {
  /** Is called before the rules' listener. */
  commit(): void;
  revert(): void;
}

/** Who carries out what a transaction comes to. */
export interface TransactionListener {
  /** Look-ups see the changes of `version` from now on. */
  show(version: number): void;
  /** Is told of all changes, some at a time, in their order; once with none if there are none. */
  changed(changes: readonly RuleChange[]): void;
  /** Another transaction may begin.  The rules that `changes` removed or replaced are in their classifiers yet, where nobody sees them. */
  end(changes: readonly RuleChange[]): void;
}

/** Changes that are told of before the clock is asked. */
const CHUNK = 256;

/** Changes that look-ups do not see before `commit`. */
export class FlowTransaction {
  private readonly owner: TransactionTarget;
  private readonly index: RuleIndex;
  private readonly listener: TransactionListener;
  readonly isBundle: boolean;
  /** The version that the changes belong to. */
  readonly version: number;
  private readonly changes: RuleChange[] = [];
  private readonly parts: TransactionPart[] = [];
  /** How far a commit has come: whether the changes are seen, and of how many was told. */
  private isShown = false;
  private nTold = 0;

  /** `isBundle`: of several requests, after which masks are put in order once. */
  constructor(owner: TransactionTarget, index: RuleIndex, listener: TransactionListener, isBundle: boolean) {
    this.isBundle = isBundle;
    this.owner = owner;
    this.index = index;
    this.listener = listener;
    this.version = owner.version + 1;
  }

  /**
   * Carries out a flow_mod; on an OfpError `revert` has to follow, as part of it may be done.  `isInternal`: it is the switch's own, which
   * reaches hidden flows and tables, and adds hidden flows.  `match` takes the place of the flow_mod's, and is not kept;
   * `mini` is the same, if that is at hand.
   */
  apply(fm: FlowMod, isInternal = false, match = fm.match, mini?: Minimatch): void {
    switch (fm.command) {
      case OFPFC.ADD:
        this.add(fm, isInternal, match, mini);
        break;
      case OFPFC.MODIFY:
      case OFPFC.MODIFY_STRICT:
        this.modify(fm, isInternal, match);
        break;
      case OFPFC.DELETE:
      case OFPFC.DELETE_STRICT:
        for (const rule of this.select(fm, isInternal, match)) {
          if (!isInternal && this.owner.table(rule.table).isHidden) throw new OfpError(OFPERR.OFPBRC_EPERM);
          this.remove(rule, OFPRR.DELETE);
        }
        break;
      default:
        throw new OfpError(OFPERR.OFPFMFC_BAD_COMMAND);
    }
  }

  /** Refuses an addition or modification for reasons that no other flow_mod can change: throws OfpError. */
  static check(owner: Pick<TransactionTarget, 'table'>, fm: FlowMod): void {
    const isDelete = fm.command === OFPFC.DELETE || fm.command === OFPFC.DELETE_STRICT;
    if (!isDelete) tableForNew(owner, fm, false);
  }

  /** Has `part` committed or reverted with this. */
  join(part: TransactionPart): void {
    this.parts.push(part);
  }

  /** The rules that a modification or deletion is about. */
  select(fm: FlowMod, isInternal = false, match = fm.match): readonly Rule[] {
    return this.owner.select(criteriaOf(fm, isInternal, match));
  }

  private add(fm: FlowMod, isInternal: boolean, { flow, mask }: Match, mini?: Minimatch): void {
    const table = tableForNew(this.owner, fm, isInternal);
    const { ofpacts, flags, idleTimeout, hardTimeout, importance, priority } = fm;
    this.owner.checkActions(ofpacts);
    this.owner.checkRule(mask, ofpacts);
    const match = mini ?? miniFromFlow(flow, mask);
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
      isHidden: priority > HIGHEST_PRIORITY,
      createdMs: monotonicMs(),
    });
    if (old !== undefined) {
      this.replace(old, rule, true, (flags & FLOW_FLAG.RESET_COUNTS) === 0);
      return;
    }
    if ((flags & FLOW_FLAG.CHECK_OVERLAP) !== 0 && table.classifier.findOverlap(match, priority, this.version)) {
      throw new OfpError(OFPERR.OFPFMFC_OVERLAP);
    }
    // The switch's own flows are let in whatever the limit: without them controllers may be out of reach.
    if (!isInternal && table.nFlows >= table.maxFlows) {
      const victim = table.eviction?.choose();
      if (victim === undefined) throw new OfpError(OFPERR.OFPFMFC_TABLE_FULL);
      this.remove(victim, OFPRR.EVICTION);
    }
    this.insert(rule);
    this.changes.push({ kind: 'added', rule });
  }

  private modify(fm: FlowMod, isInternal: boolean, wanted: Match): void {
    // What may not be added may not be asked for either.
    tableForNew(this.owner, fm, isInternal);
    const olds = this.select(fm, isInternal, wanted);
    if (olds.length === 0) {
      // A modification that names no cookie adds the flow if there is none.
      if (fm.cookieMask === 0n && fm.newCookie !== UNKNOWN64) this.add(fm, isInternal, wanted);
      return;
    }
    this.owner.checkActions(fm.ofpacts);
    this.owner.checkRule(undefined, fm.ofpacts);
    for (const old of olds) {
      const { table, match, priority, flags, idleTimeout, hardTimeout, importance, isHidden, createdMs } = old;
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
    this.owner.table(rule.table).classifier.insert(rule, this.isBundle);
    this.index.add(rule, this.owner.table(rule.table));
  }

  private hide(rule: Rule): void {
    rule.removedIn = this.version;
    this.index.remove(rule, this.owner.table(rule.table));
  }

  /**
   * Makes the changes seen, all at once, and tells of them until workMs() says `untilMs`.  False: it is to be called again, before anything else
   * is done with the tables.
   */
  commit(untilMs = Number.POSITIVE_INFINITY): boolean {
    const { changes, listener } = this;
    if (!this.isShown) {
      this.isShown = true;
      for (const part of this.parts) part.commit();
      listener.show(this.version);
      // Even what changes nothing has flows revalidated: there a failed translation is found again, and its flow removed.
      if (changes.length === 0) listener.changed(changes);
    }
    while (this.nTold < changes.length) {
      const some = changes.length <= CHUNK ? changes : changes.slice(this.nTold, this.nTold + CHUNK);
      this.nTold += some.length;
      listener.changed(some);
      if (this.nTold < changes.length && workMs() >= untilMs) return false;
    }
    listener.end(changes);
    return true;
  }

  /** Takes all changes back. */
  revert(): void {
    for (const c of this.changes.toReversed()) {
      if (c.kind !== 'removed') {
        this.index.remove(c.rule, this.owner.table(c.rule.table));
        this.drop(c.rule);
      }
      if (c.kind !== 'added') {
        const old = c.kind === 'removed' ? c.rule : c.old;
        old.removedIn = FOREVER;
        old.stay();
        this.index.add(old, this.owner.table(old.table));
      }
    }
    this.changes.length = 0;
    for (const part of this.parts) part.revert();
    this.listener.end([]);
  }

  private drop(rule: Rule): void {
    this.owner.table(rule.table).classifier.remove(rule);
  }
}

/** Which rules a modification or deletion is about; throws OfpError. */
export function criteriaOf(fm: FlowMod, isInternal: boolean, match = fm.match): RuleCriteria {
  const isStrict = fm.command === OFPFC.MODIFY_STRICT || fm.command === OFPFC.DELETE_STRICT;
  const isDelete = fm.command === OFPFC.DELETE || fm.command === OFPFC.DELETE_STRICT;
  checkTable(fm.tableId);
  return {
    table: fm.tableId,
    match,
    strictPriority: isStrict ? fm.priority : undefined,
    cookie: fm.cookie,
    cookieMask: fm.cookieMask,
    outPort: isDelete ? fm.outPort : OFPP.NONE,
    outGroup: isDelete ? fm.outGroup : OFPG.ANY,
    withHidden: isInternal,
  };
}

function checkTable(n: number): void {
  if (n !== OFPTT_ALL && (n < 0 || n >= N_TABLES)) throw new OfpError(OFPERR.OFPBRC_BAD_TABLE_ID);
}

/** The table that a flow is added to; throws OfpError. */
function tableForNew(owner: Pick<TransactionTarget, 'table'>, fm: FlowMod, isInternal: boolean): FlowTable {
  checkTable(fm.tableId);
  const table = owner.table(fm.tableId === OFPTT_ALL ? 0 : fm.tableId);
  if (!isInternal && (table.isHidden || namesHiddenFields(fm.match))) throw new OfpError(OFPERR.OFPBRC_EPERM);
  return table;
}

/** Whether a match is about fields by which only the switch's own flows may tell packets apart. */
function namesHiddenFields({ flow, mask }: Match): boolean {
  return mask[FIELD.dpHash.word] !== 0 || flow[FIELD.recircId.word] !== 0;
}
