/**
 * Messages about groups and meters as text.  Source: lib/ofp-group.c, lib/ofp-meter.c, lib/ofp-monitor.c (ofputil_format_requestforward).
 */
import { formatDuration } from '../flow-text.ts';
import { formatGroup, formatGroupId, formatGroupMod } from '../group-text.ts';
import { UNKNOWN32, UNKNOWN64 } from '../messages/flow/flow-types.ts';
import type { GroupFeatures, GroupStats, MeterStats } from '../messages/switch/switch-types.ts';
import { formatMeterConfig, formatMeterId, formatMeterMod } from '../meter-text.ts';
import { formatKinds } from './print-switch.ts';
import { type BitNames, formatBits, type Printers } from './printer.ts';

const TYPES = ['all', 'select', 'indirect', 'fast failover'] as const;
const METER_FLAGS: BitNames = [
  [1, 'kbps'],
  [2, 'pktps'],
  [4, 'burst'],
  [8, 'stats'],
];
const BAND_TYPES: BitNames = [
  [1 << 1, 'drop'],
  [1 << 2, 'dscp_remark'],
];

const group = (id: number): string => ` group_id=${formatGroupId(id)}`;
const meter = (id: number): string => ` ${formatMeterId(id)}`;
const hex = (n: number): string => n.toString(16);

function formatStats(gs: GroupStats): string {
  let text = `\n group_id=${gs.groupId},`;
  if (gs.durationSec !== UNKNOWN32) text += `duration=${formatDuration(gs.durationSec, gs.durationNsec)},`;
  text += `ref_count=${gs.refCount},packet_count=${gs.packetCount},byte_count=${gs.byteCount}`;
  gs.buckets.forEach(({ packetCount, byteCount }, i) => {
    if (packetCount !== UNKNOWN64) text += `,bucket${i}:packet_count=${packetCount},byte_count=${byteCount}`;
  });
  return text;
}

function formatFeatures(f: GroupFeatures): string {
  let text = `\n Group table:\n    Types:  0x${hex(f.types)}\n    Capabilities:  0x${hex(f.capabilities)}\n`;
  TYPES.forEach((name, type) => {
    if ((f.types & (1 << type)) === 0) return;
    const max = f.maxGroups[type] ?? 0;
    text += `    ${name} group:\n       max_groups=${max === 0 ? '0' : `0x${hex(max)}`}\n`;
    text += `       actions: ${formatKinds(f.ofpacts[type] ?? [])}\n`;
  });
  return text;
}

function formatMeterStats(ms: MeterStats): string {
  const duration = formatDuration(ms.durationSec, ms.durationNsec);
  const bands = ms.bands.map((b, i) => `${i}: packet_count:${b.packetCount} byte_count:${b.byteCount}\n`);
  return (
    `\n${formatMeterId(ms.meterId, ':')} flow_count:${ms.flowCount} packet_in_count:${ms.packetInCount} ` +
    `byte_in_count:${ms.byteInCount} duration:${duration} bands:\n${bands.join('')}`
  );
}

export const GROUP_PRINTERS: Printers = {
  group_mod: (gm, { version, names }) => formatGroupMod(gm, version, names),
  group_stats_request: group,
  group_stats_reply: (list) => list.map(formatStats).join(''),
  group_desc_stats_request: group,
  group_desc_stats_reply: (list, { version, names }) =>
    list.map((g) => `\n ${formatGroup(g, version, names)}`).join(''),
  group_features_stats_reply: formatFeatures,
  meter_mod: formatMeterMod,
  meter_stats_request: meter,
  meter_config_stats_request: meter,
  meter_stats_reply: (list) => list.map(formatMeterStats).join(''),
  meter_config_stats_reply: (list) => list.map((m) => `\n${formatMeterConfig(m)}`).join(''),
  meter_features_stats_reply(f) {
    return (
      `\nmax_meter:${f.maxMeters} max_bands:${f.maxBands} max_color:${f.maxColor}\n` +
      `band_types: ${formatBits(f.bandTypes, BAND_TYPES)}\ncapabilities: ${formatBits(f.capabilities, METER_FLAGS)}\n`
    );
  },
  requestforward(r, { version, names }) {
    const what = r.reason === 'group_mod' ? formatGroupMod(r.groupMod, version, names) : formatMeterMod(r.meterMod);
    return ` reason=${r.reason}${what}`;
  },
};
