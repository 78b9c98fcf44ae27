/**
 * Requests of statistics of flows: each of them, or their sum.
 * Source: ofproto/ofproto.c (handle_flow_stats_request, handle_aggregate_stats_request).
 */
import { expandTo } from '../../../flow/minimatch.ts';
import { bindMatch, unbindMatch } from '../../../openflow/fields/tlv-bind.ts';
import type { TlvTable } from '../../../openflow/fields/tlv-table.ts';
import { newMatch } from '../../../openflow/match/match.ts';
import { type FlowStats, type FlowStatsRequest, OFPTT_ALL } from '../../../openflow/messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import { monotonicMs } from '../../../util/clock.ts';
import { N_TABLES } from '../../tables/flow-transaction.ts';
import type { Rule } from '../../tables/rule.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';

/** The rules that a request is about. */
function selectRules(sw: OfSwitch, r: FlowStatsRequest): readonly Rule[] | Promise<readonly Rule[]> {
  if (r.tableId !== OFPTT_ALL && r.tableId >= N_TABLES) throw new OfpError(OFPERR.OFPBRC_BAD_TABLE_ID);
  return sw.tables.selectInTurns({
    table: r.tableId,
    match: bindMatch(r.match, sw.tlvTable),
    strictPriority: undefined,
    cookie: r.cookie,
    cookieMask: r.cookieMask,
    outPort: r.outPort,
    outGroup: r.outGroup,
    withHidden: false,
  });
}

const ageSec = (ms: number): number => Math.max(0, Math.floor(ms / 1000));

/** A rule's statistics at `now`; `match` is overwritten, and is in what is returned. */
export function flowStatsOf(rule: Rule, now: number, tlvTable: TlvTable, match = newMatch()): FlowStats {
  expandTo(rule.match, match.flow, match.mask);
  const ageMs = Math.max(0, now - rule.createdMs);
  return {
    match: unbindMatch(match, tlvTable),
    cookie: rule.cookie,
    tableId: rule.table,
    priority: rule.priority,
    idleTimeout: rule.idleTimeout,
    hardTimeout: rule.hardTimeout,
    durationSec: Math.floor(ageMs / 1000),
    durationNsec: Math.floor((ageMs % 1000) * 1e6),
    idleAge: ageSec(now - rule.usedMs),
    hardAge: ageSec(now - rule.modifiedMs),
    packetCount: rule.nPackets,
    byteCount: rule.nBytes,
    flags: rule.flags,
    importance: rule.importance,
    ofpacts: rule.actions,
  };
}

/** As many flows people may read; to put more in order would keep others waiting. */
const MAX_ORDERED = 10_000;

/** By table, and in each in the order in which they were added; as the tables have them if there are many. */
function inOrder(rules: readonly Rule[]): readonly Rule[] {
  if (rules.length > MAX_ORDERED) return rules;
  return [...rules].sort((a, b) => a.table - b.table || a.serial - b.serial);
}

const flowStats: Handler<'flow_stats_request'> = (conn, msg, sw) => {
  const now = monotonicMs();
  const match = newMatch();
  const show = (rules: readonly Rule[]): Promise<void> =>
    conn.replyEach('flow_stats_reply', inOrder(rules), (rule) => flowStatsOf(rule, now, sw.tlvTable, match), msg);
  const rules = selectRules(sw, msg.body);
  return rules instanceof Promise ? rules.then(show) : show(rules);
};

const aggregateStats: Handler<'aggregate_stats_request'> = (conn, msg, sw) => {
  const show = (rules: readonly Rule[]): void => {
    let packetCount = 0n;
    let byteCount = 0n;
    for (const rule of rules) {
      packetCount += rule.nPackets;
      byteCount += rule.nBytes;
    }
    conn.reply('aggregate_stats_reply', { packetCount, byteCount, flowCount: rules.length }, msg);
  };
  const rules = selectRules(sw, msg.body);
  if (rules instanceof Promise) return rules.then(show);
  show(rules);
  return undefined;
};

export const FLOW_STATS_HANDLERS = {
  flow_stats_request: flowStats,
  aggregate_stats_request: aggregateStats,
} satisfies Handlers;
