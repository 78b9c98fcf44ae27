/**
 * Sets header fields: the SET_OP instructions.  Each function writes `packet & ~mask | value` with the value and mask
 * words at `at` of the program, repairs the checksums that cover the field, and brings the flow key up to date.
 *
 * They return false if the packet has not the whole header: the caller drops it.  The caller has made the packet
 * writable, and compile-set.ts has checked that the flow has the header at all and that value bits are within the mask.
 * While a checksum is partial (VNET_F.NEEDS_CSUM), the TCP or UDP field holds the pseudo header's sum: addresses change
 * it, ports do not.  Hot path.
 * Source: net/openvswitch/actions.c (set_*).
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { replace16, replace32, replacePartial32, sctpChecksum } from '../../packet/checksum.ts';
import { ETH_HLEN, isMplsType, MPLS_HLEN } from '../../packet/ethernet.ts';
import { ICMP, IP, IP_OFFSET, IPPROTO, IPV6, isIpv6ExtHdr, SCTP, TCP, UDP } from '../../packet/ip.ts';
import { type Packet, VNET_F } from '../../packet/packet.ts';
import { protocolOf } from './push-pop.ts';

const W_PRIORITY = FIELD.skbPriority.word;
const W_MARK = FIELD.skbMark.word;
const W_ETH = FIELD.ethDst.word;
const W_PROTO = FIELD.nwProto.word;
const W_NW_SRC = FIELD.nwSrc.word;
const W_NW_DST = FIELD.nwDst.word;
const W_IPV6_SRC = FIELD.ipv6Src.word;
const W_IPV6_DST = FIELD.ipv6Dst.word;
const W_LABEL = FIELD.ipv6Label.word;
const W_TP = FIELD.tpSrc.word;
const W_MPLS = FIELD.mplsLse0.word;

export function setPriority(pkt: Packet, key: FlowKey, code: Int32Array, at: number): void {
  pkt.skbPriority = (pkt.skbPriority & ~code[at + 1]!) | (code[at]! & code[at + 1]!);
  key[W_PRIORITY] = pkt.skbPriority;
}

export function setMark(pkt: Packet, key: FlowKey, code: Int32Array, at: number): void {
  pkt.skbMark = (pkt.skbMark & ~code[at + 1]!) | (code[at]! & code[at + 1]!);
  key[W_MARK] = pkt.skbMark;
}

export function setEthernet(pkt: Packet, key: FlowKey, code: Int32Array, at: number): boolean {
  if (pkt.end - pkt.start < ETH_HLEN) return false;
  const { view } = pkt.arena;
  for (let i = 0; i < 3; i++) {
    const word = (view.getInt32(pkt.start + 4 * i) & ~code[at + 3 + i]!) | code[at + i]!;
    view.setInt32(pkt.start + 4 * i, word);
    key[W_ETH + i] = word;
  }
  return true;
}

export function setIpv4(pkt: Packet, key: FlowKey, code: Int32Array, at: number): boolean {
  const nh = pkt.start + pkt.l3;
  if (pkt.end - nh < IP.HLEN) return false;
  const { view } = pkt.arena;
  const mask = at + 3;
  if (code[mask] !== 0) key[W_NW_SRC] = setIpv4Address(pkt, nh, nh + IP.SRC, code[at]!, code[mask]!);
  if (code[mask + 1] !== 0) key[W_NW_DST] = setIpv4Address(pkt, nh, nh + IP.DST, code[at + 1]!, code[mask + 1]!);

  const tosTtlMask = code[mask + 2]!;
  if (tosTtlMask !== 0) {
    const tos = view.getUint8(nh + IP.TOS);
    const ttl = view.getUint8(nh + IP.TTL);
    const newTos = (tos & ~(tosTtlMask >>> 8) & 0xff) | ((code[at + 2]! >>> 8) & (tosTtlMask >>> 8) & 0xff);
    const newTtl = (ttl & ~tosTtlMask & 0xff) | (code[at + 2]! & tosTtlMask & 0xff);
    // TOS is the low byte of its 16-bit word, TTL the high byte of its.
    if (newTos !== tos) replace16(view, nh + IP.CHECK, tos, newTos);
    if (newTtl !== ttl) replace16(view, nh + IP.CHECK, ttl << 8, newTtl << 8);
    view.setUint8(nh + IP.TOS, newTos);
    view.setUint8(nh + IP.TTL, newTtl);
    storeTosTtl(key, newTos, newTtl);
  }
  return true;
}

/** Sets the address at `at` of the IPv4 header at `nh`; returns what it is then. */
function setIpv4Address(pkt: Packet, nh: number, at: number, value: number, mask: number): number {
  const { view } = pkt.arena;
  const from = view.getInt32(at);
  const to = (from & ~mask) | value;
  if (to === from) return to;
  if ((view.getUint16(nh + IP.FRAG) & IP_OFFSET) === 0) {
    repairPseudoHeader(pkt, view.getUint8(nh + IP.PROTO), from, to, false);
  }
  // The address is read again: in a packet without whole IP header that was a transport checksum, as in the kernel.
  replace32(view, nh + IP.CHECK, view.getInt32(at), to);
  view.setInt32(at, to);
  pkt.hash = 0;
  // Its connection is one that it had with other addresses.
  pkt.nfct = 0;
  return to;
}

/** Repairs the transport checksum after 32 bits of an address changed. */
function repairPseudoHeader(pkt: Packet, proto: number, from: number, to: number, isIpv6: boolean): void {
  const l4 = pkt.start + pkt.l4;
  const room = pkt.end - l4;
  const { view } = pkt.arena;
  const isPartial = (pkt.vnetFlags & VNET_F.NEEDS_CSUM) !== 0;
  let at = 0;
  if (proto === IPPROTO.TCP && room >= TCP.HLEN) at = l4 + TCP.CHECK;
  else if (proto === IPPROTO.UDP && room >= UDP.HLEN) at = l4 + UDP.CHECK;
  else if (proto === IPPROTO.ICMPV6 && isIpv6 && room >= ICMP.HLEN) at = l4 + ICMP.CHECK;
  else return;

  if (proto === IPPROTO.UDP && view.getUint16(at) === 0 && !isPartial) return;
  if (isPartial) replacePartial32(view, at, from, to);
  else replace32(view, at, from, to);
  if (proto === IPPROTO.UDP && view.getUint16(at) === 0) view.setUint16(at, 0xffff);
}

function storeTosTtl(key: FlowKey, tos: number, ttl: number): void {
  key[W_PROTO] = (key[W_PROTO]! & 0xff0000ff) | (tos << 16) | (ttl << 8);
}

export function setIpv6(pkt: Packet, key: FlowKey, code: Int32Array, at: number): boolean {
  const nh = pkt.start + pkt.l3;
  if (pkt.end - nh < IPV6.HLEN) return false;
  const { view } = pkt.arena;
  const mask = at + 10;
  const proto = key[W_PROTO]! >>> 24;
  setIpv6Address(pkt, nh + IPV6.SRC, code, at, proto, true);
  // A destination that a routing header replaces on the way is not what checksums cover.
  const isFinal = !isIpv6ExtHdr(view.getUint8(nh + IPV6.NEXT)) || !hasRoutingHeader(pkt, nh);
  setIpv6Address(pkt, nh + IPV6.DST, code, at + 4, proto, isFinal);
  for (let i = 0; i < 4; i++) {
    key[W_IPV6_SRC + i] = view.getInt32(nh + IPV6.SRC + 4 * i);
    key[W_IPV6_DST + i] = view.getInt32(nh + IPV6.DST + 4 * i);
  }

  const tosTtlMask = code[mask + 9]!;
  const flowMask = (((tosTtlMask >>> 8) & 0xff) << 20) | (code[mask + 8]! & 0xfffff);
  if (flowMask !== 0) {
    const value = (((code[at + 9]! >>> 8) & 0xff) << 20) | code[at + 8]!;
    view.setInt32(nh, (view.getInt32(nh) & ~flowMask) | (value & flowMask));
  }
  const ttlMask = tosTtlMask & 0xff;
  const ttl = (view.getUint8(nh + IPV6.HLIM) & ~ttlMask) | (code[at + 9]! & ttlMask);
  view.setUint8(nh + IPV6.HLIM, ttl);
  key[W_LABEL] = view.getInt32(nh) & 0xfffff;
  storeTosTtl(key, (view.getInt32(nh) >>> 20) & 0xff, ttl);
  return true;
}

/** Sets the address at `to` from the value words at `at` of `code`; their mask is 10 words on. */
function setIpv6Address(
  pkt: Packet,
  to: number,
  code: Int32Array,
  at: number,
  proto: number,
  isCovered: boolean,
): void {
  const { view } = pkt.arena;
  for (let i = 0; i < 4; i++) {
    const old = view.getInt32(to + 4 * i);
    const word = (old & ~code[at + 10 + i]!) | code[at + i]!;
    if (word === old) continue;
    if (isCovered) repairPseudoHeader(pkt, proto, old, word, true);
    view.setInt32(to + 4 * i, word);
    pkt.hash = 0;
    pkt.nfct = 0;
  }
}

/** Whether there is a routing header that has stops left. */
function hasRoutingHeader(pkt: Packet, nh: number): boolean {
  const { view } = pkt.arena;
  let next = view.getUint8(nh + IPV6.NEXT);
  for (let at = nh + IPV6.HLEN; isIpv6ExtHdr(next) && next !== IPPROTO.NONE && at + 4 <= pkt.end; ) {
    if (next === IPPROTO.ROUTING && view.getUint8(at + 3) !== 0) return true;
    if (next === IPPROTO.FRAGMENT && (view.getUint16(at + 2) & 0xfff8) !== 0) return false;
    const units = view.getUint8(at + 1);
    const size = next === IPPROTO.FRAGMENT ? 8 : next === IPPROTO.AH ? (units + 2) << 2 : (units + 1) << 3;
    next = view.getUint8(at);
    at += size;
  }
  return false;
}

export function setTcp(pkt: Packet, key: FlowKey, code: Int32Array, at: number): boolean {
  const th = pkt.start + pkt.l4;
  if (pkt.end - th < TCP.HLEN) return false;
  setPorts(pkt, key, code, at, th, (pkt.vnetFlags & VNET_F.NEEDS_CSUM) === 0 ? th + TCP.CHECK : -1);
  return true;
}

export function setUdp(pkt: Packet, key: FlowKey, code: Int32Array, at: number): boolean {
  const uh = pkt.start + pkt.l4;
  if (pkt.end - uh < UDP.HLEN) return false;
  const { view } = pkt.arena;
  const hasSum = view.getUint16(uh + UDP.CHECK) !== 0 && (pkt.vnetFlags & VNET_F.NEEDS_CSUM) === 0;
  setPorts(pkt, key, code, at, uh, hasSum ? uh + UDP.CHECK : -1);
  if (hasSum && view.getUint16(uh + UDP.CHECK) === 0) view.setUint16(uh + UDP.CHECK, 0xffff);
  return true;
}

/** Sets both ports at `ports`, and repairs the checksum at `check` unless that is -1. */
function setPorts(pkt: Packet, key: FlowKey, code: Int32Array, at: number, ports: number, check: number): void {
  const { view } = pkt.arena;
  const from = view.getInt32(ports);
  const to = (from & ~code[at + 1]!) | code[at]!;
  if (to !== from && check >= 0) replace32(view, check, from, to);
  view.setInt32(ports, to);
  key[W_TP] = to;
  pkt.hash = 0;
  if (to !== from || check < 0) pkt.nfct = 0;
}

/** Where the packet ends by its IP header, which has been found sound; the frame's padding is behind it. */
export function endOfIp(pkt: Packet): number {
  const nh = pkt.start + pkt.l3;
  const { view } = pkt.arena;
  const isIpv4 = view.getUint8(nh) >> 4 === 4;
  return nh + (isIpv4 ? view.getUint16(nh + IP.TOTAL) : IPV6.HLEN + view.getUint16(nh + IPV6.LEN));
}

/** The kernel counts the padding of a short frame, if there is any, to what the checksum covers: then `end` is the frame's. */
export function setSctp(pkt: Packet, key: FlowKey, code: Int32Array, at: number, end: number): boolean {
  const sh = pkt.start + pkt.l4;
  const size = Math.min(end, pkt.end) - sh;
  if (size < SCTP.HLEN) return false;
  const { view } = pkt.arena;
  // A checksum that was wrong before must stay wrong.
  const error = view.getInt32(sh + SCTP.CHECK, true) ^ sctpChecksum(view, sh, size);
  setPorts(pkt, key, code, at, sh, -1);
  view.setInt32(sh + SCTP.CHECK, error ^ sctpChecksum(view, sh, size), true);
  return true;
}

export function setMpls(pkt: Packet, key: FlowKey, code: Int32Array, at: number): boolean {
  const shim = pkt.start + pkt.l3;
  if (pkt.end - shim < MPLS_HLEN || !isMplsType(protocolOf(pkt))) return false;
  const { view } = pkt.arena;
  const lse = (view.getInt32(shim) & ~code[at + 1]!) | code[at]!;
  view.setInt32(shim, lse);
  key[W_MPLS] = lse;
  return true;
}
