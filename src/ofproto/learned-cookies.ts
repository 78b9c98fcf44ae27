/**
 * Flows that learn with delete_learned: when the last one that learns flows of a cookie into a table is gone, these go as well.
 * Source: ofproto/ofproto.c (learned_cookies_inc, learned_cookies_dec, learned_cookies_flush), ovs-actions(7).
 */
import { newMatch } from '../openflow/match/match.ts';
import { OFPG, UNKNOWN64 } from '../openflow/messages/flow/flow-types.ts';
import { OFPP } from '../openflow/ofp-port.ts';
import type { Ofpact } from '../openflow/ofpact.ts';
import type { FlowTables } from './tables/flow-tables.ts';
import { type Rule, someAction } from './tables/rule.ts';
import { OFPRR, type RuleChange } from './tables/rule-change.ts';
import { LEARN_FLAG } from './xlate/actions/learn.ts';

interface Learned {
  readonly table: number;
  readonly cookie: bigint;
  /** Actions that learn it. */
  n: number;
}

export class LearnedCookies {
  private readonly learned = new Map<string, Learned>();
  /** Actions that learn nothing: those that were looked at last. */
  private harmless: readonly Ofpact[] | undefined;

  /** Takes note of changes of the tables, and removes what nobody learns any more. */
  update(tables: FlowTables, changes: readonly RuleChange[]): void {
    const dead: Learned[] = [];
    for (const c of changes) if (c.kind !== 'removed') this.count(c.rule, 1, dead);
    for (const c of changes) {
      if (c.kind === 'removed') this.count(c.rule, -1, dead);
      else if (c.kind === 'replaced') this.count(c.old, -1, dead);
    }
    for (const { table, cookie } of dead) {
      const gone = tables.select({
        table,
        match: newMatch(),
        strictPriority: undefined,
        cookie,
        cookieMask: UNKNOWN64,
        outPort: OFPP.NONE,
        outGroup: OFPG.ANY,
        withHidden: false,
      });
      if (gone.length > 0) tables.whenIdle(() => tables.removeAll(gone.filter(isIn), OFPRR.DELETE));
    }
  }

  private count(rule: Rule, by: number, dead: Learned[]): void {
    // Most rules learn nothing, and many have one list of actions.
    if (rule.actions === this.harmless) return;
    if (!someAction(rule.actions, learns)) {
      this.harmless = rule.actions;
      return;
    }
    for (const { table, cookie } of deletesOf(rule.actions)) {
      const key = `${table}.${cookie}`;
      const entry = this.learned.get(key) ?? { table, cookie, n: 0 };
      entry.n += by;
      if (entry.n > 0) this.learned.set(key, entry);
      else if (this.learned.delete(key)) dead.push(entry);
    }
  }
}

const isIn = (rule: Rule): boolean => rule.removedIn === Number.POSITIVE_INFINITY;

const learns = (a: Ofpact): boolean => a.kind === 'learn' && (a.flags & LEARN_FLAG.DELETE_LEARNED) !== 0;

/** What actions learn with delete_learned, those in other actions too. */
function* deletesOf(actions: readonly Ofpact[]): Iterable<{ readonly table: number; readonly cookie: bigint }> {
  for (const a of actions) {
    if (a.kind === 'learn' && learns(a)) yield a;
    else if ('actions' in a) yield* deletesOf(a.actions);
  }
}
