/**
 * A rule: what OpenFlow calls a flow, in its table.
 * What a flow_mod changes makes a new Rule in the place of the old one; only statistics change in place.
 * Source: ofproto/ofproto-provider.h (struct rule), ofproto/ofproto-dpif.c (struct rule_dpif).
 */
import type { Minimatch } from '../../flow/minimatch.ts';
import { FLOW_FLAG, OFPG } from '../../openflow/messages/flow/flow-types.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { type ClassifierRule, type ConjunctionClause, FOREVER } from '../classifier/classifier-rule.ts';

/** The flags of a flow_mod that stay with the rule.  Two of them mean nothing for it any more, but are shown from OpenFlow 1.3 on. */
export const FLOW_FLAG_STATE =
  FLOW_FLAG.SEND_FLOW_REM |
  FLOW_FLAG.NO_PKT_COUNTS |
  FLOW_FLAG.NO_BYT_COUNTS |
  FLOW_FLAG.CHECK_OVERLAP |
  FLOW_FLAG.RESET_COUNTS;

export interface RuleSpec {
  readonly table: number;
  readonly match: Minimatch;
  readonly priority: number;
  readonly cookie: bigint;
  readonly actions: readonly Ofpact[];
  /** FLOW_FLAG bits; those that do not belong to STATE are dropped. */
  readonly flags: number;
  /** Seconds; 0 is none. */
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly importance: number;
  readonly isHidden?: boolean;
  /** What a trace says of a rule that stands for the want of one. */
  readonly missText?: string;
  readonly createdMs: number;
}

/** The conjunctions that actions make a rule part of; undefined if there is no such action. */
function conjunctionsOf(actions: readonly Ofpact[]): readonly ConjunctionClause[] | undefined {
  if (!actions.some((a) => a.kind === 'conjunction')) return undefined;
  const clauses = actions.flatMap((a) => (a.kind === 'conjunction' ? [a] : []));
  return clauses;
}

let nMade = 0;

export class Rule implements ClassifierRule {
  /** Rises from rule to rule; what takes the place of another has that one's. */
  serial = ++nMade;
  readonly table: number;
  readonly match: Minimatch;
  readonly priority: number;
  readonly cookie: bigint;
  readonly actions: readonly Ofpact[];
  readonly conjunctions: readonly ConjunctionClause[] | undefined;
  readonly flags: number;
  /** A rule that sees FIN may lower its timeouts. */
  idleTimeout: number;
  hardTimeout: number;
  readonly importance: number;
  /** Not shown to OpenFlow controllers and not deleted by them. */
  readonly isHidden: boolean;
  /** Set: no rule of a table, but what happens when there is none. */
  missText: string | undefined;
  readonly createdMs: number;
  /** When it was added, or its actions last changed: hard timeouts count from then. */
  modifiedMs: number;
  /** When a packet last matched, or when it was made. */
  usedMs: number;
  nPackets = 0n;
  nBytes = 0n;
  addedIn = 0;
  removedIn: number = FOREVER;
  /** For `RuleList`. */
  prevInList: Rule | undefined;
  nextInList: Rule | undefined;
  private successor: Rule | undefined;
  private forwardsCounts = false;

  constructor(spec: RuleSpec) {
    this.table = spec.table;
    this.match = spec.match;
    this.priority = spec.priority;
    this.cookie = spec.cookie;
    this.actions = spec.actions;
    this.conjunctions = conjunctionsOf(spec.actions);
    this.flags = spec.flags & FLOW_FLAG_STATE;
    this.idleTimeout = spec.idleTimeout;
    this.hardTimeout = spec.hardTimeout;
    this.importance = spec.importance;
    this.isHidden = spec.isHidden ?? false;
    this.missText = spec.missText;
    this.createdMs = spec.createdMs;
    this.modifiedMs = spec.createdMs;
    this.usedMs = spec.createdMs;
  }

  get hasTimeout(): boolean {
    return this.idleTimeout !== 0 || this.hardTimeout !== 0;
  }

  /** Adds packets that matched.  What is counted late for a rule that was replaced goes to the one in its place. */
  credit(nPackets: bigint, nBytes: bigint, usedMs: number): void {
    this.nPackets += nPackets;
    this.nBytes += nBytes;
    if (usedMs > this.usedMs) this.usedMs = usedMs;
    if (this.successor === undefined) return;
    const counts = this.forwardsCounts;
    this.successor.credit(counts ? nPackets : 0n, counts ? nBytes : 0n, usedMs);
  }

  /** Takes the place of `old`, with or without its counts, and with the time of its last packet. */
  succeed(old: Rule, keepsCounts: boolean): void {
    this.serial = old.serial;
    if (keepsCounts) {
      this.nPackets = old.nPackets;
      this.nBytes = old.nBytes;
    }
    this.usedMs = old.usedMs;
    old.successor = this;
    old.forwardsCounts = keepsCounts;
  }

  /** Undoes `succeed` on the rule whose place was taken. */
  stay(): void {
    this.successor = undefined;
  }

  /** When its timeouts are up, in ms of the clock; Infinity if never. */
  get expiresMs(): number {
    const hard = this.hardTimeout === 0 ? Number.POSITIVE_INFINITY : this.modifiedMs + this.hardTimeout * 1000;
    const idle = this.idleTimeout === 0 ? Number.POSITIVE_INFINITY : this.usedMs + this.idleTimeout * 1000;
    return Math.min(hard, idle);
  }

  /** Whether the actions, those nested in them too, send to a port and to a group; OFPP.NONE and OFPG.ANY ask for none. */
  sendsTo(port: number, group: number): boolean {
    return (
      (port === OFPP.NONE || someAction(this.actions, (a) => isOutputTo(a, port))) &&
      (group === OFPG.ANY || someAction(this.actions, (a) => a.kind === 'group' && a.groupId === group))
    );
  }
}

function isOutputTo(a: Ofpact, port: number): boolean {
  switch (a.kind) {
    // output(port=N,max_len=M) does not count, nor does it with stock.
    case 'output':
    case 'enqueue':
      return a.port === port;
    case 'controller':
      return port === OFPP.CONTROLLER;
    default:
      return false;
  }
}

/** Whether `is` holds for an action of the list, or for one nested in it. */
export function someAction(actions: readonly Ofpact[], is: (a: Ofpact) => boolean): boolean {
  return actions.some((a) => is(a) || ('actions' in a && someAction(a.actions, is)));
}
