/**
 * Nicira's messages about TLV tables, connections to be forgotten and IPFIX as text.
 * Source: lib/tun-metadata.c, lib/ofp-util.c (ofputil_format_tlv_table_*), lib/ofp-ct.c (ofp_ct_match_format), lib/ofp-ipfix.c.
 */
import { formatIpv4, formatIpv6 } from '../../util/inet.ts';
import type { CtTuple, IpfixStats, TlvMap } from '../messages/switch/switch-types.ts';
import { formatHex } from '../ofp-text.ts';
import { formatCount, type Printers } from './printer.ts';

function formatMappings(mappings: readonly TlvMap[]): string {
  let text = ' mapping table:\n  class  type  length  match field\n ------  ----  ------  --------------';
  for (const m of mappings) {
    const [optionClass, type] = [formatHex(m.optionClass).padStart(6), formatHex(m.optionType).padStart(4)];
    text += `\n ${optionClass}  ${type}  ${String(m.optionLen).padStart(6)}  tun_metadata${m.index}`;
  }
  return text;
}

const TLV_COMMANDS = ['ADD', 'DEL', 'CLEAR'] as const;
const NXTTMC_CLEAR = 2;

const isIcmp = (ipProto: number): boolean => ipProto === 1 || ipProto === 58;

function formatTuple(t: CtTuple | undefined, ipProto: number, isIpv4: boolean): string {
  const address = (bytes: Uint8Array | undefined): string =>
    bytes === undefined ? '::' : bytes.length === 4 ? formatIpv4(bytes) : formatIpv6(bytes);
  const family = isIpv4 ? 'nw' : 'ipv6';
  const addresses = `ct_${family}_src=${address(t?.src)},ct_${family}_dst=${address(t?.dst)}`;
  return isIcmp(ipProto)
    ? `${addresses},icmp_id=${t?.icmpId ?? 0},icmp_type=${t?.icmpType ?? 0},icmp_code=${t?.icmpCode ?? 0}`
    : `${addresses},ct_tp_src=${t?.srcPort ?? 0},ct_tp_dst=${t?.dstPort ?? 0}`;
}

function formatIpfix(is: IpfixStats, indent: number): string {
  const put = (...counters: readonly (readonly [string, bigint])[]): string =>
    `${counters.map(([name, n]) => `${name}=${formatCount(n)}`).join(', ')}\n`;
  const first = put(
    ['flows', is.totalFlows],
    ['current flows', is.currentFlows],
    ['sampled pkts', is.pkts],
    ['ipv4 ok', is.ipv4Pkts],
    ['ipv6 ok', is.ipv6Pkts],
    ['tx pkts', is.txPkts],
  );
  const second = put(
    ['pkts errs', is.errorPkts],
    ['ipv4 errs', is.ipv4ErrorPkts],
    ['ipv6 errs', is.ipv6ErrorPkts],
    ['tx errs', is.txErrors],
  );
  return `${first}${' '.repeat(indent)}${second}`;
}

export const EXTENSION_PRINTERS: Printers = {
  nxt_tlv_table_mod({ command, mappings }) {
    return `\n ${TLV_COMMANDS[command] ?? ''}${command === NXTTMC_CLEAR ? '' : formatMappings(mappings)}`;
  },
  nxt_tlv_table_reply({ maxOptionSpace, maxFields, mappings }) {
    const used = mappings.reduce((sum, m) => sum + m.optionLen, 0);
    return (
      `\n max option space=${maxOptionSpace} max fields=${maxFields}\n allocated option space=${used}\n\n` +
      formatMappings(mappings)
    );
  },
  ct_flush_zone: (zone) => ` zone_id=${zone}`,
  ct_flush({ zone, ipProto, orig, reply }) {
    const isIpv4 = [orig, reply].some((t) => t?.src?.length === 4 || t?.dst?.length === 4);
    const [there, back] = [orig, reply].map((t) => formatTuple(t, ipProto, isIpv4));
    return ` zone=${zone ?? 0} '${there},ct_nw_proto=${ipProto}' '${back}'`;
  },
  ipfix_bridge_stats_reply: (is) => `\n  bridge ipfix: ${formatIpfix(is, 16)}`,
  ipfix_flow_stats_reply(list) {
    const entry = (is: IpfixStats): string => `  id ${String(is.collectorSetId).padStart(3)}: ${formatIpfix(is, 10)}`;
    return ` ${list.length} ids\n${list.map(entry).join('')}`;
  },
};
