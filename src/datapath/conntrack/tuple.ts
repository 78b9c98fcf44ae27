/**
 * Tuples: what identifies one direction of a connection.  Ten int32 words, so that a table of them is one array:
 *
 *     source 4 | destination 4 | ports: source << 16 | destination     | zone | protocol << 16 | (IPv6) << 24
 *                              | ICMP:  id << 16 | type << 8 | code    |
 *                              | GRE:   0 << 16 | call id              |
 *
 * An IPv4 address is the first of its four words.  The zone is part of the tuple: connections of different zones never
 * meet.  All functions work on `words` at an offset, and are hot.
 * Source: include/net/netfilter/nf_conntrack_tuple.h, nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c.
 */
import { hashAdd, hashFinish } from '../../flow/flow-hash.ts';
import { IP, IPV6 } from '../../packet/ip.ts';
import { PROTO } from './ct-constants.ts';
import type { IpView } from './ip-view.ts';

export const TUPLE_WORDS = 10;
/** Words inside a tuple. */
export const T = { SRC: 0, DST: 4, PORTS: 8, META: 9 } as const;

export const metaOf = (zone: number, proto: number, isV6: boolean): number =>
  (zone & 0xffff) | (proto << 16) | (isV6 ? 1 << 24 : 0);
export const zoneOf = (meta: number): number => meta & 0xffff;
export const protoOf = (meta: number): number => (meta >>> 16) & 0xff;
export const isV6Of = (meta: number): boolean => (meta & (1 << 24)) !== 0;

const GRE_PROTO_PPP = 0x880b;

/** Types of ICMP queries and their answers, and back; -1 for those that have none. */
function inverseTypes(pairs: readonly (readonly [number, number])[]): Int16Array {
  const inverse = new Int16Array(256).fill(-1);
  for (const [a, b] of pairs) {
    inverse[a] = b;
    inverse[b] = a;
  }
  return inverse;
}
// biome-ignore format: table
const ICMP_INVERSE = inverseTypes([[8, 0], [13, 14], [15, 16], [17, 18]]);
// biome-ignore format: table
const ICMPV6_INVERSE = inverseTypes([[128, 129], [139, 140]]);

/** Writes the tuple of the packet.  False if it has none: its transport header is not there or too short. */
export function tupleOfPacket(ip: IpView, zone: number, words: Int32Array, at: number): boolean {
  const { view, l3, l4, end, isV6, proto } = ip;
  if (l4 === 0) return false;
  if (isV6) {
    for (let i = 0; i < 8; i++) words[at + i] = view.getInt32(l3 + IPV6.SRC + 4 * i);
  } else {
    words[at] = view.getInt32(l3 + IP.SRC);
    words[at + T.DST] = view.getInt32(l3 + IP.DST);
    words[at + 1] = words[at + 2] = words[at + 3] = words[at + 5] = words[at + 6] = words[at + 7] = 0;
  }
  words[at + T.META] = metaOf(zone, proto, isV6);
  let ports = 0;
  switch (proto) {
    case PROTO.TCP:
    case PROTO.UDP:
    case PROTO.UDPLITE:
    case PROTO.SCTP:
      if (end - l4 < 4) return false;
      ports = view.getInt32(l4);
      break;
    case PROTO.ICMP:
    case PROTO.ICMPV6:
      if (proto === (isV6 ? PROTO.ICMPV6 : PROTO.ICMP)) {
        if (end - l4 < 8) return false;
        ports = (view.getUint16(l4 + 4) << 16) | view.getUint16(l4);
      }
      break;
    case PROTO.GRE:
      // Only version 1, of PPTP, has a call id; other tunnels between two hosts are one connection.
      if (end - l4 >= 8 && (view.getUint16(l4) & 7) === 1) {
        if (view.getUint16(l4 + 2) !== GRE_PROTO_PPP) return false;
        ports = view.getUint16(l4 + 6);
      }
      break;
    default:
  }
  words[at + T.PORTS] = ports;
  return true;
}

/** Writes the tuple of the answer to the one at `from`.  False if there is none, as for an ICMP error. */
export function invertTuple(words: Int32Array, from: number, out: Int32Array, to: number): boolean {
  const meta = words[from + T.META]!;
  const ports = words[from + T.PORTS]!;
  const proto = protoOf(meta);
  for (let i = 0; i < 4; i++) {
    const src = words[from + i]!;
    out[to + i] = words[from + 4 + i]!;
    out[to + 4 + i] = src;
  }
  out[to + T.META] = meta;
  const isIcmp = proto === PROTO.ICMP && !isV6Of(meta);
  if (isIcmp || (proto === PROTO.ICMPV6 && isV6Of(meta))) {
    const type = (isIcmp ? ICMP_INVERSE : ICMPV6_INVERSE)[(ports >>> 8) & 0xff]!;
    if (type < 0) return false;
    out[to + T.PORTS] = (ports & 0xffff00ff) | (type << 8);
  } else {
    out[to + T.PORTS] = (ports << 16) | (ports >>> 16);
  }
  return true;
}

export function copyTuple(words: Int32Array, from: number, out: Int32Array, to: number): void {
  for (let i = 0; i < TUPLE_WORDS; i++) out[to + i] = words[from + i]!;
}

export function tuplesEqual(a: Int32Array, at: number, b: Int32Array, bt: number): boolean {
  // Words that differ most come first.
  for (let i = TUPLE_WORDS - 1; i >= 0; i--) if (a[at + i] !== b[bt + i]) return false;
  return true;
}

/** A non-negative int32.  `seed` makes it hard to aim at one bucket. */
export function hashTuple(words: Int32Array, at: number, seed: number): number {
  let h = hashAdd(seed, words[at]!);
  if ((words[at + T.META]! & (1 << 24)) !== 0) {
    for (let i = 1; i < 4; i++) h = hashAdd(h, words[at + i]!);
    for (let i = 5; i < 8; i++) h = hashAdd(h, words[at + i]!);
  }
  h = hashAdd(h, words[at + T.DST]!);
  h = hashAdd(h, words[at + T.PORTS]!);
  return hashFinish(hashAdd(h, words[at + T.META]!)) & 0x7fffffff;
}

/** The same over source, protocol and zone only. */
export function hashSource(words: Int32Array, at: number, seed: number): number {
  let h = hashAdd(seed, words[at]!);
  for (let i = 1; i < 4; i++) h = hashAdd(h, words[at + i]!);
  h = hashAdd(h, words[at + T.PORTS]! >>> 16);
  return hashFinish(hashAdd(h, words[at + T.META]!)) & 0x7fffffff;
}
