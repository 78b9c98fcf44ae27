/**
 * Messages about flows as text.  Source: lib/ofp-flow.c, lib/ofp-monitor.c.
 */
import { formatActions } from '../actions/index.ts';
import { formatDuration, formatFlowMod, formatFlowStats } from '../flow-text.ts';
import { formatMatch } from '../match/match-text.ts';
import {
  type FlowMonitorRequest,
  type FlowStatsRequest,
  type FlowUpdate,
  MONITOR_COMMAND,
  MONITOR_FLAG,
  OFPG,
  OFPTT_ALL,
} from '../messages/flow/flow-types.ts';
import { formatPort, formatTable, type OfpNames } from '../ofp-names.ts';
import { OFPP } from '../ofp-port.ts';
import { type BitNames, formatBits, type PrintCtx, type Printers } from './printer.ts';
import { formatFlowRemovedReason } from './reasons.ts';

const statsRequest = (r: FlowStatsRequest, { names }: PrintCtx): string => {
  let text = r.tableId === OFPTT_ALL ? '' : ` table=${formatTable(r.tableId, names.tables)}`;
  if (r.outPort !== OFPP.NONE) text += ` out_port=${formatPort(r.outPort, names.ports)}`;
  return `${text} ${formatMatch(r.match, undefined, names)}`;
};

const MONITOR_FLAGS: BitNames = [
  [MONITOR_FLAG.INITIAL, 'initial'],
  [MONITOR_FLAG.ADD, 'add'],
  [MONITOR_FLAG.DELETED, 'delete'],
  [MONITOR_FLAG.MODIFY, 'modify'],
  [MONITOR_FLAG.INSTRUCTIONS, 'actions'],
  [MONITOR_FLAG.NO_ABBREV, 'no-abbrev'],
  [MONITOR_FLAG.ONLY_OWN, 'own'],
];

function formatMonitor(r: FlowMonitorRequest, names: OfpNames): string {
  if (r.command === MONITOR_COMMAND.DELETE) return `\n id=${r.id} command=delete`;
  let text = `\n id=${r.id} flags=${formatBits(r.flags, MONITOR_FLAGS, ',')}`;
  if (r.outPort !== OFPP.NONE) text += ` out_port=${formatPort(r.outPort, names.ports)}`;
  // Stock prints it as a signed number.
  if (r.outGroup !== 0 && r.outGroup !== OFPG.ANY) text += ` out_group=${r.outGroup | 0}`;
  if (r.tableId !== OFPTT_ALL) text += ` table=${formatTable(r.tableId, names.tables)}`;
  const match = formatMatch(r.match, undefined, names);
  return match === '' ? text : `${text} ${match}`;
}

const EVENTS = { added: 'ADDED', deleted: 'DELETED', modified: 'MODIFIED', initial: 'INITIAL' } as const;

/** What happened to a flow: a line that begins with its end. */
export function formatFlowUpdate(u: FlowUpdate, names: OfpNames): string {
  if (u.event === 'abbrev') return `\n event=ABBREV xid=0x${u.xid.toString(16)}`;
  if (!('match' in u)) return `\n event=${u.event.toUpperCase()}`;
  let text = `\n event=${EVENTS[u.event]}`;
  if (u.event === 'deleted') text += ` reason=${formatFlowRemovedReason(u.reason)}`;
  text += ` table=${formatTable(u.tableId, names.tables)}`;
  if (u.idleTimeout !== 0) text += ` idle_timeout=${u.idleTimeout}`;
  if (u.hardTimeout !== 0) text += ` hard_timeout=${u.hardTimeout}`;
  text += ` cookie=${u.cookie === 0n ? '0' : `0x${u.cookie.toString(16)}`}`;
  const match = formatMatch(u.match, undefined, names);
  text += ` ${match}`;
  if (u.ofpacts.length === 0) return text;
  return `${text}${match === '' ? '' : ' '}actions=${formatActions(u.ofpacts, names)}`;
}

export const FLOW_PRINTERS: Printers = {
  flow_mod: (fm, { version, names }) => formatFlowMod(fm, version, names),
  flow_stats_request: statsRequest,
  aggregate_stats_request: statsRequest,
  flow_stats_reply: (list, { names }) => list.map((fs) => `\n ${formatFlowStats(fs, names)}`).join(''),
  aggregate_stats_reply: (a) => ` packet_count=${a.packetCount} byte_count=${a.byteCount} flow_count=${a.flowCount}`,
  flow_removed(fr, { names }) {
    let text = ` ${formatMatch(fr.match, fr.priority, names)} reason=${formatFlowRemovedReason(fr.reason)}`;
    if (fr.tableId !== 255) text += ` table_id=${formatTable(fr.tableId, names.tables)}`;
    if (fr.cookie !== 0n) text += ` cookie:0x${fr.cookie.toString(16)}`;
    text += ` duration${formatDuration(fr.durationSec, fr.durationNsec)} idle${fr.idleTimeout}`;
    if (fr.hardTimeout !== 0) text += ` hard${fr.hardTimeout}`;
    return `${text} pkts${fr.packetCount} bytes${fr.byteCount}\n`;
  },
  flow_monitor_stats_request: (list, { names }) => list.map((r) => formatMonitor(r, names)).join(''),
  flow_monitor_stats_reply: (list, { names }) => list.map((u) => formatFlowUpdate(u, names)).join(''),
  flow_monitor_cancel: (id) => ` id=${id}`,
};
