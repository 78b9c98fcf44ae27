/**
 * Key extraction as userspace does it, of packets that do not come with a key from a datapath: those that a controller sends or a trace is
 * given.  It is stricter than the kernel's (`flow-extract.ts`, on which this builds): where the lengths in an IP header do not fit the
 * packet, nothing of that header is known, and padding behind it is no transport header.  It also knows IGMP and more of ND, ICMP over IPv6
 * and ICMPv6 over IPv4, and an IPv6 fragment header does not make a fragment of a whole packet.
 * Source: lib/flow.c (miniflow_extract, parse_ipv6_ext_hdrs__, parse_nsh).
 */
import { ETH_HLEN, ETH_TYPE, ETH_TYPE_MIN } from '../packet/ethernet.ts';
import { ICMP, IP, IP_OFFSET, IPPROTO, IPV6, ND } from '../packet/ip.ts';
import type { Packet } from '../packet/packet.ts';
import { ETH_TYPE_802_2, FIELD, OVS_FRAG_TYPE, VLAN_CFI } from './fields.ts';
import { extractHeaders, extractIcmpv6, extractPorts, icmpTypeCode } from './flow-extract.ts';
import { type FlowKey, getField, setField } from './flow-key.ts';

const W_PROTO = FIELD.nwProto.word;
const W_NW_SRC = FIELD.nwSrc.word;
const W_LABEL = FIELD.ipv6Label.word;
const W_TP = FIELD.tpSrc.word;
const W_CT = FIELD.ctState.word;
const W_MPLS = FIELD.mplsLse0.word;
const W_TUN = FIELD.tunId.word;
const W_NSH = FIELD.nshFlags.word;
const EXT_HDR_SIZE = 8;
const NSH_BASE_SIZE = 8;
const NSH_MD1_SIZE = 24;

/** The L2 to L4 fields of `pkt`; its metadata stay as they are.  Of a packet that is no whole frame none is known. */
export function extractStrictly(pkt: Packet, key: FlowKey): void {
  const { start, end } = pkt;
  if (pkt.packetType === 0 && end - start < ETH_HLEN) {
    key.fill(0, FIELD.ethDst.word, W_CT);
    forgetInner(key);
    return;
  }
  extractHeaders(pkt, key);
  const { view } = pkt.arena;
  if (pkt.packetType === 0 && isOddSnap(pkt, key)) {
    setField(key, FIELD.ethType, ETH_TYPE_802_2);
    forgetInner(key);
    return;
  }
  const at = start + pkt.l3;
  const size = end - at;
  switch (getField(key, FIELD.ethType)) {
    case ETH_TYPE.IP: {
      const total = ipv4Size(view, at, size);
      if (total === 0) forgetInner(key);
      else inside(pkt, key, at + total, () => extractIpv4(view, pkt, at, key));
      break;
    }
    case ETH_TYPE.IPV6: {
      const total = size < IPV6.HLEN ? 0 : IPV6.HLEN + view.getUint16(at + IPV6.LEN);
      if (total === 0 || total > size) forgetInner(key);
      else inside(pkt, key, at + total, () => extractIpv6(view, at, at + total, key));
      break;
    }
    case ETH_TYPE.NSH:
      extractNsh(view, at, size, key);
      break;
    default:
  }
}

/** Clears what lies behind the Ethernet header. */
function forgetInner(key: FlowKey): void {
  key.fill(0, W_PROTO, W_CT);
  key.fill(0, W_MPLS, W_TUN);
}

/** Extracts again, up to `end`, what padding may have been taken for. */
function inside(pkt: Packet, key: FlowKey, end: number, more: () => void): void {
  const whole = pkt.end;
  if (end !== whole) {
    pkt.end = end;
    extractHeaders(pkt, key);
  }
  more();
  pkt.end = whole;
}

/** Whether an Ethernet type was taken from a SNAP header of another kind of frame. */
function isOddSnap({ arena: { view }, start, l3 }: Packet, key: FlowKey): boolean {
  let at = start + 12;
  for (const f of [FIELD.vlanTci, FIELD.cvlanTci]) if ((getField(key, f) & VLAN_CFI) !== 0) at += 4;
  const isSnap = view.getUint16(at) < ETH_TYPE_MIN && start + l3 === at + 10;
  return isSnap && view.getUint8(at + 4) !== 3;
}

/** Size of the datagram, by its header; 0 if that does not fit. */
function ipv4Size(view: DataView, at: number, size: number): number {
  if (size < IP.HLEN) return 0;
  const headerSize = (view.getUint8(at) & 15) << 2;
  const total = view.getUint16(at + IP.TOTAL);
  return headerSize < IP.HLEN || headerSize > total || total > size ? 0 : total;
}

/** The transport header: that of ICMPv6 and of IGMP, too. */
function extractIpv4(view: DataView, pkt: Packet, at: number, key: FlowKey): void {
  if ((view.getUint16(at + IP.FRAG) & IP_OFFSET) !== 0) return;
  extractTransport(view, pkt.start + pkt.l4, pkt.end, view.getUint8(at + IP.PROTO), key);
}

/** Of every protocol over both versions of IP, whether they belong together or not. */
function extractTransport(view: DataView, at: number, end: number, proto: number, key: FlowKey): void {
  switch (proto) {
    case IPPROTO.ICMP:
    case IPPROTO.IGMP:
      if (end - at >= ICMP.HLEN) key[W_TP] = icmpTypeCode(view, at);
      break;
    case IPPROTO.ICMPV6:
      if (end - at < ICMP.HLEN) break;
      extractIcmpv6(view, at, end, key);
      extractNdExtensions(view, at, end, key);
      break;
    default:
      extractPorts(view, at, end, proto, key);
  }
}

/** Everything but the addresses. */
function extractIpv6(view: DataView, at: number, end: number, key: FlowKey): void {
  const word = view.getInt32(at);
  key.fill(0, W_PROTO, W_NW_SRC);
  key.fill(0, W_LABEL, W_CT);
  let next = view.getUint8(at + IPV6.NEXT);
  let l4 = at + IPV6.HLEN;
  let frag: number = OVS_FRAG_TYPE.NONE;
  while (frag !== OVS_FRAG_TYPE.LATER && isWalkedOver(next)) {
    const room = end - l4;
    // Of a chain that ends too early nothing is known.
    if (room < EXT_HDR_SIZE) return;
    const units = view.getUint8(l4 + 1);
    let size = (units + 1) << 3;
    if (next === IPPROTO.AH) size = (units + 2) << 2;
    else if (next === IPPROTO.FRAGMENT) size = EXT_HDR_SIZE;
    if (size > room) return;
    if (next === IPPROTO.FRAGMENT) {
      const offset = view.getUint16(l4 + 2);
      if (offset !== 0) frag = (offset & 0xfff8) !== 0 ? OVS_FRAG_TYPE.LATER : OVS_FRAG_TYPE.FIRST;
    }
    next = frag === OVS_FRAG_TYPE.LATER ? IPPROTO.FRAGMENT : view.getUint8(l4);
    l4 += size;
  }
  key[W_LABEL] = word & 0xfffff;
  key[W_PROTO] = (next << 24) | (((word >>> 20) & 0xff) << 16) | (view.getUint8(at + IPV6.HLIM) << 8) | frag;
  if (frag !== OVS_FRAG_TYPE.LATER) extractTransport(view, l4, end, next, key);
}

const isWalkedOver = (proto: number): boolean =>
  proto === IPPROTO.HOPOPTS ||
  proto === IPPROTO.ROUTING ||
  proto === IPPROTO.DSTOPTS ||
  proto === IPPROTO.AH ||
  proto === IPPROTO.FRAGMENT;

/** The reserved word of neighbour discovery, and which link-layer address came first. */
function extractNdExtensions(view: DataView, at: number, end: number, key: FlowKey): void {
  const type = view.getUint8(at);
  if ((type !== ND.SOLICIT && type !== ND.ADVERT) || view.getUint8(at + ICMP.CODE) !== 0) return;
  setField(key, FIELD.ndReserved, view.getUint32(at + 4));
  for (let opt = at + ND.OPTIONS; end - opt >= 8; ) {
    const kind = view.getUint8(opt);
    const size = view.getUint8(opt + 1) << 3;
    if (size === 0 || size > end - opt) return;
    if (size === 8 && (kind === ND.OPT_SOURCE_LL || kind === ND.OPT_TARGET_LL)) {
      setField(key, FIELD.ndOptionsType, kind);
      return;
    }
    opt += size;
  }
}

/** Metadata of any type: of an unknown one no more than the first words. */
function extractNsh(view: DataView, at: number, room: number, key: FlowKey): void {
  key.fill(0, W_NSH, W_NSH + 6);
  if (room < NSH_BASE_SIZE) return;
  const word = view.getUint16(at);
  const size = (word & 0x3f) << 2;
  const mdtype = view.getUint8(at + 2);
  if (size > room || word >>> 14 !== 0) return;
  if ((mdtype === 1 && size !== NSH_MD1_SIZE) || (mdtype === 2 && size < NSH_BASE_SIZE)) return;
  key[W_NSH] = (((word >>> 12) & 3) << 24) | (((word >>> 6) & 0x3f) << 16) | view.getUint16(at + 2);
  key[W_NSH + 1] = view.getInt32(at + 4);
  if (mdtype === 1) for (let i = 0; i < 4; i++) key[W_NSH + 2 + i] = view.getInt32(at + 8 + 4 * i);
}
