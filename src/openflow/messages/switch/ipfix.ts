/**
 * Nicira's statistics of IPFIX exporters: that of the bridge, and those that actions sample for.
 *
 * ```
 * | flows | flows now | packets | IPv4 | IPv6 | errors | IPv4's | IPv6's | sent | sending failed | collector_set_id 32 | pad 32 |
 * ```
 * Source: include/openflow/nicira-ext.h (nx_ipfix_stats_reply), lib/ofp-ipfix.c.
 */
import { type BodyCodec, type BodyIn, type BodyOut, type Codecs, listCodec, NO_BODY } from '../wire/body.ts';
import type { IpfixStats } from './switch-types.ts';

const STATS_SIZE = 88;
/** In the order of the wire, 64 bits each. */
const COUNTERS = [
  'totalFlows',
  'currentFlows',
  'pkts',
  'ipv4Pkts',
  'ipv6Pkts',
  'errorPkts',
  'ipv4ErrorPkts',
  'ipv6ErrorPkts',
  'txPkts',
  'txErrors',
] as const satisfies readonly (keyof IpfixStats)[];

function decodeStats({ dv }: BodyIn, at: number): IpfixStats {
  const counters = Object.fromEntries(COUNTERS.map((name, i) => [name, dv.getBigUint64(at + 8 * i)]));
  return {
    ...(counters as Record<(typeof COUNTERS)[number], bigint>),
    collectorSetId: dv.getUint32(at + 8 * COUNTERS.length),
  };
}

function encodeStats(stats: IpfixStats, { out }: BodyOut): void {
  for (const name of COUNTERS) out.u64(stats[name]);
  out.u32(stats.collectorSetId);
  out.u32(0);
}

const bridgeStats: BodyCodec<IpfixStats> = { decode: (m) => decodeStats(m, m.at), encode: encodeStats };

export const IPFIX_CODECS = {
  ipfix_bridge_stats_request: NO_BODY,
  ipfix_bridge_stats_reply: bridgeStats,
  ipfix_flow_stats_request: NO_BODY,
  ipfix_flow_stats_reply: listCodec((m, at, push) => {
    push(decodeStats(m, at));
    return at + STATS_SIZE;
  }, encodeStats),
} satisfies Partial<Codecs>;
