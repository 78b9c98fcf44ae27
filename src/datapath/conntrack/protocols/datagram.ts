/**
 * The trackers of protocols without much of a state: UDP, UDP-Lite, GRE, ICMP and ICMPv6 queries, and all others.  Each
 * returns a VERDICT for one packet of connection `conn`.  Hot path.
 * Sources: net/netfilter/nf_conntrack_proto_{udp,gre,icmp,icmpv6,generic}.c.
 */
import { ICMP, UDP } from '../../../packet/ip.ts';
import { IPCT, IPS, PROTO, VERDICT } from '../ct-constants.ts';
import type { IpView } from '../ip-view.ts';
import { STREAM_TIMEOUT } from '../timeouts.ts';
import { T, TUPLE_WORDS } from '../tuple.ts';
import type { ConnContext } from './conn-context.ts';

/** Traffic both ways for as long makes a UDP connection a stream. */
const STREAM_AFTER_MS = 2000;

function udpIsSound(ip: IpView): boolean {
  const { view, l4, end } = ip;
  const room = end - l4;
  if (room < UDP.HLEN) return false;
  const size = view.getUint16(l4 + UDP.LEN);
  // A super-packet's length field may not say how large it is.
  if (!ip.isTrusted && (size < UDP.HLEN || size > room)) return false;
  return view.getUint16(l4 + UDP.CHECK) === 0 || ip.sumIsRight(true);
}

/** UDP-Lite's length field says how much the checksum covers; 0 is all. */
function udpliteIsSound(ip: IpView): boolean {
  const { view, l4, end } = ip;
  const room = end - l4;
  if (room < UDP.HLEN) return false;
  const covered = view.getUint16(l4 + UDP.LEN);
  if ((covered !== 0 && covered < UDP.HLEN) || covered > room || view.getUint16(l4 + UDP.CHECK) === 0) return false;
  // Where it covers a part only, the kernel leaves it to the receiver as well.
  return (covered !== 0 && covered !== room) || ip.sumIsRight(true);
}

export function udpPacket(tracker: ConnContext, conn: number, ip: IpView): number {
  if (!(ip.proto === PROTO.UDP ? udpIsSound(ip) : udpliteIsSound(ip))) return VERDICT.INVALID;
  const { status, stamp } = tracker.table;
  const times = tracker.timeoutsOf(conn);
  const bits = status[conn]!;
  if ((bits & IPS.CONFIRMED) === 0) stamp[conn] = tracker.now + STREAM_AFTER_MS;
  let timeout = times[STREAM_TIMEOUT.UNREPLIED]!;
  if ((bits & IPS.SEEN_REPLY) !== 0 && tracker.now > stamp[conn]!) {
    timeout = times[STREAM_TIMEOUT.REPLIED]!;
    tracker.setStatus(conn, IPS.ASSURED, IPCT.ASSURED);
  }
  tracker.refresh(conn, timeout);
  return VERDICT.ACCEPT;
}

export function grePacket(tracker: ConnContext, conn: number): number {
  const { status } = tracker.table;
  const times = tracker.timeoutsOf(conn);
  const isReplied = (status[conn]! & IPS.SEEN_REPLY) !== 0;
  if (isReplied) tracker.setStatus(conn, IPS.ASSURED, IPCT.ASSURED);
  tracker.refresh(conn, times[isReplied ? STREAM_TIMEOUT.REPLIED : STREAM_TIMEOUT.UNREPLIED]!);
  return VERDICT.ACCEPT;
}

/** Queries that begin a connection. */
const ICMP_NEW = new Set([8, 13, 15, 17]);
const ICMPV6_NEW = new Set([128, 139]);

export function icmpPacket(tracker: ConnContext, conn: number, ip: IpView): number {
  if (ip.isV6 !== (ip.proto === PROTO.ICMPV6)) return VERDICT.INVALID;
  const type = (tracker.table.tuples[2 * conn * TUPLE_WORDS + T.PORTS]! >>> 8) & 0xff;
  if (!(ip.isV6 ? ICMPV6_NEW : ICMP_NEW).has(type)) return VERDICT.INVALID;
  tracker.refresh(conn, tracker.timeoutsOf(conn)[0]!);
  return VERDICT.ACCEPT;
}

export function genericPacket(tracker: ConnContext, conn: number): number {
  tracker.refresh(conn, tracker.timeoutsOf(conn)[0]!);
  return VERDICT.ACCEPT;
}

/** What an ICMP packet is to conntrack, apart from its tuple. */
// biome-ignore format: table
export const ICMP_KIND = { INVALID: 0, QUERY: 1, ERROR: 2, UNTRACKED: 3 } as const;

/** Highest type that ICMP defines (NR_ICMP_TYPES). */
const MAX_ICMP_TYPE = 18;
/** DEST_UNREACH, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETERPROB. */
const ICMP_ERRORS = new Set([3, 4, 5, 11, 12]);
/** Group membership and neighbour discovery: between neighbours, so no connections. */
const ICMPV6_UNTRACKED = new Set([130, 131, 132, 133, 134, 135, 136, 143]);

/** Looks at the header of the ICMP or ICMPv6 packet. */
export function icmpKind(ip: IpView): number {
  const { view, l4, end, isV6 } = ip;
  if (end - l4 < ICMP.HLEN || !ip.sumIsRight(isV6)) return ICMP_KIND.INVALID;
  const type = view.getUint8(l4 + ICMP.TYPE);
  if (isV6) {
    if (ICMPV6_UNTRACKED.has(type)) return ICMP_KIND.UNTRACKED;
    return type < 128 ? ICMP_KIND.ERROR : ICMP_KIND.QUERY;
  }
  if (type > MAX_ICMP_TYPE) return ICMP_KIND.INVALID;
  return ICMP_ERRORS.has(type) ? ICMP_KIND.ERROR : ICMP_KIND.QUERY;
}
