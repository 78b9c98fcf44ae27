/**
 * Tables that fill up or empty: table_status, for those whom it matters to.
 *
 * A table's free part falls below one threshold, then rises above another: each event waits for the other one, so that a table that is at
 * a threshold does not tell of it again and again.
 * Source: ofproto/ofproto.c (send_table_status, query_table_desc__).
 */
import type { TableDesc } from '../../../openflow/messages/switch/switch-types.ts';
import { TABLE_REASON } from '../../../openflow/messages/table/table-config.ts';
import type { FlowTable } from '../../tables/flow-table.ts';
import type { FlowTables } from '../../tables/flow-tables.ts';
import type { RuleChange } from '../../tables/rule-change.ts';
import type { Connections } from '../of-switch.ts';

/** OFPTMPEF14_*: by importance, by lifetime, and otherwise (groups). */
export const EVICTION_FLAGS = 7;

export function tableDescOf(table: FlowTable): TableDesc {
  const { vacancy } = table;
  return {
    tableId: table.number,
    hasEviction: table.evictsByOpenflow,
    evictionFlags: EVICTION_FLAGS,
    hasVacancyEvents: vacancy !== undefined,
    vacancyDown: vacancy?.down ?? 0,
    vacancyUp: vacancy?.up ?? 0,
    vacancy: table.vacancyPercent,
  };
}

function check(table: FlowTable, conns: Connections): void {
  const { vacancy } = table;
  if (vacancy === undefined) return;
  const free = table.vacancyPercent;
  const event = free < vacancy.down ? 'down' : free > vacancy.up ? 'up' : undefined;
  if (event === undefined || event !== vacancy.awaits) return;
  const reason = event === 'down' ? TABLE_REASON.VACANCY_DOWN : TABLE_REASON.VACANCY_UP;
  conns.broadcast('tableStatus', reason, 'table_status', { reason, desc: tableDescOf(table) });
  vacancy.awaits = event === 'down' ? 'up' : 'down';
}

/** Tells of tables that passed a threshold by flows that were added or removed. */
export function reportVacancy(tables: FlowTables, conns: Connections, changes: readonly RuleChange[]): void {
  let changed: Set<FlowTable> | undefined;
  for (const c of changes) {
    if (c.kind === 'replaced') continue;
    const table = tables.table(c.rule.table);
    if (table.vacancy === undefined) continue;
    changed ??= new Set();
    changed.add(table);
  }
  if (changed !== undefined) for (const table of changed) check(table, conns);
}
