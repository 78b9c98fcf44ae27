/**
 * Messages about the configuration of tables as text.
 * Source: lib/ofp-table.c (ofputil_table_mod_format, ofputil_table_desc_format, ofputil_format_table_status).
 */

import { OFPTT_ALL } from '../messages/flow/flow-types.ts';
import type { TableDesc } from '../messages/switch/switch-types.ts';
import { formatTable, type OfpNames } from '../ofp-names.ts';
import { type BitNames, formatBits, type Printers } from './printer.ts';

const EVICTION_FLAGS: BitNames = [
  [1 << 0, 'OTHER'],
  [1 << 1, 'IMPORTANCE'],
  [1 << 2, 'LIFETIME'],
];
const OFPTR = { VACANCY_DOWN: 3, VACANCY_UP: 4 } as const;

const onOff = (isOn: boolean | undefined): string => (isOn === undefined ? 'default' : isOn ? 'on' : 'off');
const evictionFlags = (flags: number | undefined): string =>
  flags === undefined ? '(default)' : formatBits(flags, EVICTION_FLAGS, '|');

/** A table's configuration: three lines. */
export function formatTableDesc(td: TableDesc, names: OfpNames): string {
  let text = `\n  table ${formatTable(td.tableId, names.tables)}:\n`;
  text += `   eviction=${onOff(td.hasEviction)} eviction_flags=${evictionFlags(td.evictionFlags)}\n`;
  text += `   vacancy=${onOff(td.hasVacancyEvents)}`;
  if (td.hasVacancyEvents === true) {
    text += ` vacancy_down=${td.vacancyDown}% vacancy_up=${td.vacancyUp}% vacancy=${td.vacancy}%`;
  }
  return `${text}\n`;
}

export const TABLE_PRINTERS: Printers = {
  table_mod(tm, { names }) {
    let text =
      tm.tableId === OFPTT_ALL ? ' table_id: ALL_TABLES' : ` table_id=${formatTable(tm.tableId, names.tables)}`;
    if (tm.miss !== 'default') text += `, flow_miss_config=${tm.miss}`;
    if (tm.hasEviction !== undefined) text += `, eviction=${onOff(tm.hasEviction)}`;
    if (tm.evictionFlags !== undefined) text += `eviction_flags=${evictionFlags(tm.evictionFlags)}`;
    if (tm.hasVacancyEvents !== undefined) text += `, vacancy=${onOff(tm.hasVacancyEvents)}`;
    if (tm.hasVacancyEvents === true) text += ` vacancy:${tm.vacancyDown},${tm.vacancyUp}`;
    return text;
  },
  table_desc_reply: (list, { names }) => list.map((td) => formatTableDesc(td, names)).join(''),
  table_status({ reason, desc }, { names }) {
    const why =
      reason === OFPTR.VACANCY_DOWN ? ' reason=VACANCY_DOWN' : reason === OFPTR.VACANCY_UP ? ' reason=VACANCY_UP' : '';
    return `${why}\ntable_desc:-${formatTableDesc(desc, names)}`;
  },
};
