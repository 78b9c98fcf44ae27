/**
 * The fragment in an IP packet: which bytes of which datagram it has.  frag.ts puts them together.
 *
 * Of IPv6, a first fragment without the whole header of its transport protocol is not taken for one.
 * Sources: RFC 791 3.2, RFC 8200 4.5; net/ipv4/ip_fragment.c, net/ipv6/netfilter/nf_conntrack_reasm.c, net/ipv6/reassembly.c.
 */
import { ICMP, IP, IP_MF, IP_OFFSET, IPPROTO, IPV6, isIpv6ExtHdr, TCP, UDP } from '../../../packet/ip.ts';
import type { Packet } from '../../../packet/packet.ts';

export const IP_DF = 0x4000;

/** Where in a packet its fragment is. */
export interface Fragment {
  offset: number;
  isLast: boolean;
  at: number;
  end: number;
  hasDf: boolean;
  ecn: number;
  nextHeader: number;
  nextAt: number;
  id: string;
}

/** The fragment in an IPv4 packet; 'none' if it is a whole datagram; undefined if it is broken. */
export function readV4(pkt: Packet): Fragment | 'none' | undefined {
  const { view } = pkt.arena;
  const l3 = pkt.start + pkt.l3;
  if (pkt.end - l3 < IP.HLEN) return undefined;
  const at = l3 + ((view.getUint8(l3) & 15) << 2);
  const end = l3 + view.getUint16(l3 + IP.TOTAL);
  if (at < l3 + IP.HLEN || at > end || end > pkt.end) return undefined;
  const frag = view.getUint16(l3 + IP.FRAG);
  if ((frag & (IP_MF | IP_OFFSET)) === 0) return 'none';
  return {
    offset: (frag & IP_OFFSET) << 3,
    isLast: (frag & IP_MF) === 0,
    at,
    end,
    hasDf: (frag & IP_DF) !== 0,
    ecn: view.getUint8(l3 + 1) & 3,
    nextHeader: 0,
    nextAt: 0,
    id: `${view.getInt32(l3 + IP.SRC)} ${view.getInt32(l3 + IP.DST)} ${view.getUint8(l3 + IP.PROTO)} ${view.getUint16(l3 + IP.ID)}`,
  };
}

/** The same for IPv6. */
export function readV6(pkt: Packet): Fragment | 'none' | undefined {
  const { view } = pkt.arena;
  const l3 = pkt.start + pkt.l3;
  if (pkt.end - l3 < IPV6.HLEN) return undefined;
  const end = l3 + IPV6.HLEN + view.getUint16(l3 + IPV6.LEN);
  if (end > pkt.end) return undefined;
  if (end === l3 + IPV6.HLEN) return 'none';
  let nextAt = l3 + IPV6.NEXT;
  let at = l3 + IPV6.HLEN;
  for (;;) {
    const next = view.getUint8(nextAt);
    if (!isIpv6ExtHdr(next) || next === IPPROTO.NONE) return 'none';
    if (end - at < 8) return undefined;
    if (next === IPPROTO.FRAGMENT) break;
    nextAt = at;
    at += next === IPPROTO.AH ? (view.getUint8(at + 1) + 2) << 2 : (view.getUint8(at + 1) + 1) << 3;
  }
  if (isTruncated(view, at, end)) return 'none';
  const field = view.getUint16(at + 2);
  let id = `${view.getInt32(at + 4)}`;
  for (let i = 0; i < 8; i++) id += ` ${view.getInt32(l3 + IPV6.SRC + 4 * i)}`;
  return {
    offset: field & 0xfff8,
    isLast: (field & 1) === 0,
    at: at + 8,
    end,
    hasDf: false,
    ecn: (view.getUint8(l3 + 1) >>> 4) & 3,
    nextHeader: view.getUint8(at),
    nextAt,
    id,
  };
}

/** Bytes of a transport header that the first fragment must have; of others than these it is one. */
const HEADERS: Readonly<Record<number, number>> = {
  [IPPROTO.TCP]: TCP.HLEN,
  [IPPROTO.UDP]: UDP.HLEN,
  [IPPROTO.ICMPV6]: ICMP.HLEN,
};

/** Whether the packet, whose fragment header is at `at`, is a first fragment that lacks part of the headers. */
function isTruncated(view: DataView, at: number, end: number): boolean {
  if ((view.getUint16(at + 2) & 0xfff8) !== 0) return false;
  let next = view.getUint8(at);
  let l4 = at + 8;
  while (isIpv6ExtHdr(next)) {
    if (next === IPPROTO.NONE || l4 + 8 > end) return false;
    if (next === IPPROTO.FRAGMENT && (view.getUint16(l4 + 2) & 0xfff8) !== 0) return false;
    const units = view.getUint8(l4 + 1);
    const size = next === IPPROTO.FRAGMENT ? 8 : next === IPPROTO.AH ? (units + 2) << 2 : (units + 1) << 3;
    next = view.getUint8(l4);
    l4 += size;
  }
  return l4 + (HEADERS[next] ?? 1) > end;
}
