/**
 * Tunnel metadata: the words of a flow key from tunId on, filled from a received packet's outer header, or by
 * set(tunnel(...)) for the packet's next outputs.  Whoever holds it holds a whole FlowKey, so that fields are read and
 * written as everywhere.
 *
 * Neighbours: vxlan.ts, geneve.ts, gre.ts and erspan.ts turn headers into this and back; tunnel-port.ts moves packets;
 * ../match/tunnel-key.ts has the netlink form.
 * Source: include/net/ip_tunnels.h (struct ip_tunnel_info).
 */
import { FIELD, TUN_F } from '../../flow/fields.ts';
import { type FlowKey, newFlowKey } from '../../flow/flow-key.ts';
import { foldSum } from '../../packet/checksum.ts';

/** The words of a flow key that tunnel metadata is in; only those from TUN.ID on count. */
export type TunnelInfo = FlowKey;
export const newTunnelInfo = (): TunnelInfo => newFlowKey();

/** First words of the fields.  TOS, TTL and flags share one, and so do the ports. */
// biome-ignore format: table
export const TUN = {
  ID: FIELD.tunId.word, //           2 words
  SRC: FIELD.tunSrc.word, DST: FIELD.tunDst.word,
  IPV6_SRC: FIELD.tunIpv6Src.word, IPV6_DST: FIELD.tunIpv6Dst.word,
  TOS: FIELD.tunTos.word, //         TOS << 24 | TTL << 16 | flags
  PORTS: FIELD.tunTpSrc.word, //     source << 16 | destination
  FAMILY: FIELD.tunPresent.word, //  in the low byte
  OPTS_SIZE: FIELD.tunOptsSize.word, // in the low byte
  OPTS: FIELD.tunOpts.word,
} as const;

for (const [name, a, b] of [
  ['tunTos begins a word that tunFlags ends', FIELD.tunTos.at & 31, 0],
  ['tunFlags ends the word of tunTos', FIELD.tunFlags.at, FIELD.tunTos.at + 16],
  ['tunTpDst is in the word of tunTpSrc', FIELD.tunTpDst.at, FIELD.tunTpSrc.at + 16],
  ['tunTpSrc begins a word', FIELD.tunTpSrc.at & 31, 0],
  ['tunPresent ends a word', FIELD.tunPresent.at & 31, 24],
  ['tunOptsSize ends a word', FIELD.tunOptsSize.at & 31, 24],
  ['tunId begins a word', FIELD.tunId.at & 31, 0],
  ['tunIpv6Src begins a word', FIELD.tunIpv6Src.at & 31, 0],
] as const) {
  if (a !== b) throw new Error(`tunnel-info: fields.ts does not keep that ${name}`);
}

/** tunPresent. */
export const TUN_FAMILY = { NONE: 0, IPV4: 4, IPV6: 6 } as const;
/** Kinds of options, of which there is one at most. */
export const TUN_F_OPTS = TUN_F.GENEVE_OPTS | TUN_F.VXLAN_OPTS | TUN_F.ERSPAN_OPTS;

export const tunTos = (tun: TunnelInfo): number => tun[TUN.TOS]! >>> 24;
export const tunTtl = (tun: TunnelInfo): number => (tun[TUN.TOS]! >>> 16) & 0xff;
export const tunFlags = (tun: TunnelInfo): number => tun[TUN.TOS]! & 0xffff;
export const tunFamily = (tun: TunnelInfo): number => tun[TUN.FAMILY]! & 0xff;
export const tunOptsSize = (tun: TunnelInfo): number => tun[TUN.OPTS_SIZE]! & 0xff;

/** Makes it metadata without id, flags and options.  Hot path. */
export function clearTunnel(tun: TunnelInfo): void {
  tun.fill(0, TUN.ID, TUN.OPTS + ((tunOptsSize(tun) + 3) >>> 2));
}

/** Copies tunnel metadata into a flow key that has none.  Hot path. */
export function copyTunnel(from: TunnelInfo, to: FlowKey): void {
  const end = TUN.OPTS + ((tunOptsSize(from) + 3) >>> 2);
  for (let i = TUN.ID; i < end; i++) to[i] = from[i]!;
}

/** Stores `size` bytes, a multiple of 4, at `at` as the options.  Hot path. */
export function storeOptions(tun: TunnelInfo, view: DataView, at: number, size: number, flag: number): void {
  tun[TUN.OPTS_SIZE] = size;
  tun[TUN.TOS] = tun[TUN.TOS]! | flag;
  for (let i = 0; i < size; i += 4) tun[TUN.OPTS + (i >>> 2)] = view.getInt32(at + i);
}

/** An int32 in a host-order field of the options, whose bytes are kept in wire order, and back. */
export const hostWord = (word: number): number =>
  ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);

/** Why a received packet is no packet of the tunnel: results of the decap functions, which else return an offset. */
// biome-ignore format: table
export const DECAP = {
  SHORT: -1, //     no whole header
  BAD: -2, //       a header that must be dropped: version, reserved bits, checksum
  FOREIGN: -3, //   another payload than this port carries
} as const;

/** The sum of both addresses, folded, for the checksum of the outer header. */
export function addressSum(isIpv6: boolean, tun: TunnelInfo): number {
  let sum = 0;
  const n = isIpv6 ? 4 : 1;
  const src = isIpv6 ? TUN.IPV6_SRC : TUN.SRC;
  const dst = isIpv6 ? TUN.IPV6_DST : TUN.DST;
  for (let i = 0; i < n; i++) {
    sum += (tun[src + i]! >>> 16) + (tun[src + i]! & 0xffff) + (tun[dst + i]! >>> 16) + (tun[dst + i]! & 0xffff);
  }
  return foldSum(sum);
}
