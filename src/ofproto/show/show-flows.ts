/**
 * All rules of a switch as `bridge/dump-flows` prints them, hidden ones too.  Source: ofproto/ofproto.c (flow_stats_ds).
 */
import { expandTo } from '../../flow/minimatch.ts';
import { formatActions } from '../../openflow/actions/index.ts';
import { unbindMatch } from '../../openflow/fields/tlv-bind.ts';
import type { TlvTable } from '../../openflow/fields/tlv-table.ts';
import { newMatch } from '../../openflow/match/match.ts';
import { formatMatch } from '../../openflow/match/match-text.ts';
import { monotonicMs } from '../../util/clock.ts';
import { isVisible } from '../classifier/classifier-rule.ts';
import type { FlowTables } from '../tables/flow-tables.ts';
import type { Rule } from '../tables/rule.ts';

/** A line of `bridge/dump-flows`. */
export function formatRule(rule: Rule, hasOffloads: boolean, tlvTable: TlvTable): string {
  const match = newMatch();
  expandTo(rule.match, match.flow, match.mask);
  const table = rule.table === 0 ? '' : `table_id=${rule.table}, `;
  const seconds = Math.floor((monotonicMs() - rule.createdMs) / 1000);
  // Nothing is offloaded.
  const offloads = hasOffloads ? 'n_offload_packets=0, n_offload_bytes=0, ' : '';
  const counts = `n_packets=${rule.nPackets}, n_bytes=${rule.nBytes}, ${offloads}`;
  const actions = formatActions(rule.actions);
  return `${table}duration=${seconds}s, ${counts}${formatMatch(unbindMatch(match, tlvTable), rule.priority)},actions=${actions}\n`;
}

/** A line a rule, table by table. */
export function formatAllFlows(tables: FlowTables, hasOffloads: boolean, tlvTable: TlvTable): string {
  const lines: string[] = [];
  for (const { classifier } of tables.tables)
    for (const rule of classifier)
      if (isVisible(rule, tables.version)) lines.push(formatRule(rule, hasOffloads, tlvTable));
  return lines.join('');
}
