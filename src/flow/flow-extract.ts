/**
 * Key extraction: from a packet to its flow key, as the kernel does it.  Hot path: once for each packet, and again when
 * a packet whose headers were pushed or popped is recirculated.
 *
 * Extraction also notes in the packet where its network and transport headers are; actions rely on that, and on what was
 * checked here: if the key has ports, the packet has the header that they came from, whole.
 *
 * A key is expected to be used for one packet after the other.  Words that nearly every packet has are written always;
 * those of rarer protocols only if the packet, or the one before it, had them.
 * Source: net/openvswitch/flow.c; RFCs with the offsets in packet/ip.ts.
 */
import { ETH_ADDRS, ETH_HLEN, ETH_TYPE, ETH_TYPE_MIN, isMplsType, isVlanType, MPLS_BOS } from '../packet/ethernet.ts';
import {
  ARP,
  ICMP,
  IP,
  IP_MF,
  IP_OFFSET,
  IPPROTO,
  IPV6,
  ipv6ExtHdrBits,
  isIpv6ExtHdr,
  ND,
  SCTP,
  TCP,
  UDP,
} from '../packet/ip.ts';
import { type Packet, VNET_GSO } from '../packet/packet.ts';
import { ETH_TYPE_802_2, FIELD, FLOW_WORDS, FLOW_WORDS_BASE, OVS_FRAG_TYPE, VLAN_CFI } from './fields.ts';
import type { FlowKey } from './flow-key.ts';

const W_RECIRC = FIELD.recircId.word;
const W_IN_PORT = FIELD.inPort.word;
const W_PRIORITY = FIELD.skbPriority.word;
const W_MARK = FIELD.skbMark.word;
const W_DP_HASH = FIELD.dpHash.word;
const W_ETH = FIELD.ethDst.word; //        3 words: both addresses, as in the frame
const W_TYPE = FIELD.ethType.word; //      with packetType
const W_VLAN = FIELD.vlanTpid.word; //     with vlanTci
const W_CVLAN = FIELD.cvlanTpid.word;
const W_PROTO = FIELD.nwProto.word; //     with nwTos, nwTtl, nwFrag
const W_NW_SRC = FIELD.nwSrc.word;
const W_NW_DST = FIELD.nwDst.word;
const W_IPV6_SRC = FIELD.ipv6Src.word;
const W_IPV6_DST = FIELD.ipv6Dst.word;
const W_LABEL = FIELD.ipv6Label.word;
const W_TP = FIELD.tpSrc.word; //          with tpDst
const W_FLAGS = FIELD.tcpFlags.word; //    with ipv6Exthdrs
const W_ARP = FIELD.arpSha.word; //        3 words: both addresses
const W_ND = FIELD.ndTarget.word;
const W_CT = FIELD.ctState.word;
const W_CT_MARK = FIELD.ctMark.word;
const W_CT_PROTO = FIELD.ctNwProto.word;
const W_MPLS = FIELD.mplsLse0.word;
const W_MPLS_LABELS = FIELD.mplsLabels.word;
const MPLS_LABELS_SHIFT = FIELD.mplsLabels.shift;
const W_NSH = FIELD.nshFlags.word; //      with nshTtl, nshMdtype, nshNp
const W_TUN = FIELD.tunPresent.word;
const W_TUN_OPTS_SIZE = FIELD.tunOptsSize.word;

for (const [name, a, b] of [
  ['ethSrc follows ethDst', FIELD.ethDst.at + 48, FIELD.ethSrc.at],
  ['arpTha follows arpSha', FIELD.arpSha.at + 48, FIELD.arpTha.at],
  ['ethDst begins a word', FIELD.ethDst.at & 31, 0],
  ['arpSha begins a word', FIELD.arpSha.at & 31, 0],
  ['what is rare comes last', W_CT, FIELD.ndTarget.word + 4],
] as const) {
  if (a !== b) throw new Error(`flow-extract: fields.ts does not keep that ${name}`);
}

/** Writes the metadata of a packet that has just been received, and none from earlier passes.  Hot path. */
export function extractMetadata(pkt: Packet, key: FlowKey): void {
  key[W_RECIRC] = 0;
  key[W_IN_PORT] = pkt.inPort;
  key[W_PRIORITY] = pkt.skbPriority;
  key[W_MARK] = pkt.skbMark;
  key[W_DP_HASH] = 0;
  // Conntrack and tunnel words are zero unless one of these is not.
  const rare = key[W_CT]! | key[W_CT_MARK]! | key[W_CT_PROTO]! | key[W_TUN]! | key[W_TUN_OPTS_SIZE]!;
  if (rare !== 0) key.fill(0, W_CT, (key[W_TUN_OPTS_SIZE]! & 0xff) === 0 ? FLOW_WORDS_BASE : FLOW_WORDS);
}

/**
 * Writes the L2 to L4 fields of `pkt` to `key`, and its header offsets to the packet; leaves metadata as it is.  False
 * for a packet that the kernel drops: no whole Ethernet header, or a bad NSH.
 */
export function extractHeaders(pkt: Packet, key: FlowKey): boolean {
  const { view } = pkt.arena;
  const { start, end } = pkt;
  key[W_VLAN] = 0;
  key[W_CVLAN] = 0;
  key[W_PROTO] = 0;
  key[W_NW_SRC] = 0;
  key[W_NW_DST] = 0;
  for (let i = W_IPV6_SRC; i < W_CT; i++) key[i] = 0;
  if ((key[W_MPLS]! | key[W_MPLS + 1]! | key[W_MPLS + 2]! | key[W_MPLS_LABELS]!) !== 0) {
    key.fill(0, W_MPLS, W_MPLS + 3);
    key[W_MPLS_LABELS] = 0;
  }
  if ((key[W_NSH]! | key[W_NSH + 1]!) !== 0) key.fill(0, W_NSH, W_NSH + 6);
  pkt.isKeyStale = false;
  pkt.protocol = 0;

  let type = pkt.packetType;
  let at = start;
  if (type !== 0) {
    if (isVlanType(type)) return false;
    key[W_ETH] = key[W_ETH + 1] = key[W_ETH + 2] = 0;
    key[W_TYPE] = (type << 16) | type;
  } else {
    if (end - start < ETH_HLEN) return false;
    key[W_ETH] = view.getInt32(start);
    key[W_ETH + 1] = view.getInt32(start + 4);
    key[W_ETH + 2] = view.getInt32(start + 8);
    at = start + ETH_ADDRS;
    type = view.getUint16(at);
    if (isVlanType(type) && end - at >= 6) {
      key[W_VLAN] = view.getInt32(at) | VLAN_CFI;
      at += 4;
      type = view.getUint16(at);
      if (isVlanType(type) && end - at >= 6) {
        key[W_CVLAN] = view.getInt32(at) | VLAN_CFI;
        at += 4;
        type = view.getUint16(at);
      }
    }
    at += 2;
    if (type < ETH_TYPE_MIN) {
      type = snapType(view, at, end);
      if (type !== ETH_TYPE_802_2) at += 8;
    }
    key[W_TYPE] = type << 16;
  }

  pkt.l3 = pkt.l4 = at - start;
  switch (type) {
    case ETH_TYPE.IP:
      extractIpv4(pkt, view, at, end, key);
      break;
    case ETH_TYPE.IPV6:
      extractIpv6(pkt, view, at, end, key);
      break;
    case ETH_TYPE.ARP:
    case ETH_TYPE.RARP:
      extractArp(view, at, end, key);
      break;
    case ETH_TYPE.NSH:
      return extractNsh(view, at, end, key);
    default:
      if (isMplsType(type)) extractMpls(view, at, end, key);
  }
  return true;
}

/** Ethertype in the LLC and SNAP headers at `at`, or ETH_TYPE_802_2 if there is none. */
function snapType(view: DataView, at: number, end: number): number {
  // AA AA, any control byte, and an organisation of 00 00 00.
  if (end - at < 8 || (view.getInt32(at) & 0xffff00ff) !== (0xaaaa0000 | 0)) return ETH_TYPE_802_2;
  if (view.getUint16(at + 4) !== 0) return ETH_TYPE_802_2;
  const type = view.getUint16(at + 6);
  return type < ETH_TYPE_MIN ? ETH_TYPE_802_2 : type;
}

function extractIpv4(pkt: Packet, view: DataView, at: number, end: number, key: FlowKey): void {
  if (end - at < IP.HLEN) return;
  const hlen = (view.getUint8(at) & 15) << 2;
  if (hlen < IP.HLEN || end - at < hlen) return;

  const proto = view.getUint8(at + IP.PROTO);
  const fragOff = view.getUint16(at + IP.FRAG);
  let frag: number = OVS_FRAG_TYPE.NONE;
  if ((fragOff & IP_OFFSET) !== 0) frag = OVS_FRAG_TYPE.LATER;
  else if ((fragOff & IP_MF) !== 0 || pkt.gsoType === VNET_GSO.UDP) frag = OVS_FRAG_TYPE.FIRST;

  key[W_NW_SRC] = view.getInt32(at + IP.SRC);
  key[W_NW_DST] = view.getInt32(at + IP.DST);
  key[W_PROTO] = (proto << 24) | (view.getUint8(at + IP.TOS) << 16) | (view.getUint8(at + IP.TTL) << 8) | frag;
  pkt.l4 = at + hlen - pkt.start;
  if (frag === OVS_FRAG_TYPE.LATER) return;
  if (proto === IPPROTO.ICMP) {
    if (end - at - hlen >= ICMP.HLEN) key[W_TP] = icmpTypeCode(view, at + hlen);
  } else {
    extractPorts(view, at + hlen, end, proto, key);
  }
}

/** Type and code as two 16-bit fields. */
export const icmpTypeCode = (view: DataView, at: number): number =>
  (view.getUint8(at + ICMP.TYPE) << 16) | view.getUint8(at + ICMP.CODE);

/** TCP, UDP and SCTP, the same over IPv4 and IPv6: ports only if the header is whole. */
export function extractPorts(view: DataView, at: number, end: number, proto: number, key: FlowKey): void {
  const room = end - at;
  if (proto === IPPROTO.TCP) {
    if (room < TCP.HLEN) return;
    const word = view.getUint16(at + TCP.FLAGS);
    const hlen = (word >>> 12) << 2;
    if (hlen < TCP.HLEN || hlen > room) return;
    key[W_TP] = view.getInt32(at);
    key[W_FLAGS] = (key[W_FLAGS]! & 0xffff) | ((word & 0xfff) << 16);
  } else if (proto === IPPROTO.UDP) {
    if (room >= UDP.HLEN) key[W_TP] = view.getInt32(at);
  } else if (proto === IPPROTO.SCTP) {
    if (room >= SCTP.HLEN) key[W_TP] = view.getInt32(at);
  }
}

function extractIpv6(pkt: Packet, view: DataView, at: number, end: number, key: FlowKey): void {
  if (end - at < IPV6.HLEN) return;
  const flow = view.getInt32(at);
  let next = view.getUint8(at + IPV6.NEXT);
  for (let i = 0; i < 4; i++) {
    key[W_IPV6_SRC + i] = view.getInt32(at + IPV6.SRC + 4 * i);
    key[W_IPV6_DST + i] = view.getInt32(at + IPV6.DST + 4 * i);
  }
  key[W_LABEL] = flow & 0xfffff;
  const rest = (((flow >>> 20) & 0xff) << 16) | (view.getUint8(at + IPV6.HLIM) << 8);

  let frag: number = OVS_FRAG_TYPE.NONE;
  let l4 = at + IPV6.HLEN;
  if (isIpv6ExtHdr(next)) {
    key[W_FLAGS] = ipv6ExtHdrBits(view, l4, end, next);
    // Walks to the upper layer.  Without one that can be read the protocol is "none", and a fragment is a first one.
    while (isIpv6ExtHdr(next) && next !== IPPROTO.NONE) {
      const isWhole = end - l4 >= (next === IPPROTO.ROUTING || next === IPPROTO.FRAGMENT ? 4 : 2);
      if (next === IPPROTO.FRAGMENT && end - l4 >= 2) frag = OVS_FRAG_TYPE.FIRST;
      if (!isWhole) {
        key[W_PROTO] = (IPPROTO.NONE << 24) | rest | frag;
        return;
      }
      const inner = view.getUint8(l4);
      if (next === IPPROTO.FRAGMENT) {
        if ((view.getUint16(l4 + 2) & 0xfff8) !== 0) {
          // What follows in a later fragment is payload; an extension header is not looked for there.
          const isLater = !isIpv6ExtHdr(inner) || inner === IPPROTO.NONE;
          key[W_PROTO] = isLater
            ? (IPPROTO.FRAGMENT << 24) | rest | OVS_FRAG_TYPE.LATER
            : (IPPROTO.NONE << 24) | rest | frag;
          return;
        }
        l4 += 8;
      } else {
        const units = view.getUint8(l4 + 1);
        l4 += next === IPPROTO.AH ? (units + 2) << 2 : (units + 1) << 3;
      }
      next = inner;
    }
    // A header that claims more than the packet has leaves no upper layer either.
    if (l4 > end) {
      key[W_PROTO] = (IPPROTO.NONE << 24) | rest | frag;
      return;
    }
  }
  // What a device is to fragment counts as a first fragment, if its headers are whole.
  if (pkt.gsoType === VNET_GSO.UDP) frag = OVS_FRAG_TYPE.FIRST;
  key[W_PROTO] = (next << 24) | rest | frag;
  pkt.l4 = l4 - pkt.start;
  if (next === IPPROTO.ICMPV6) {
    if (end - l4 >= ICMP.HLEN) extractIcmpv6(view, l4, end, key);
  } else {
    extractPorts(view, l4, end, next, key);
  }
}

/** Type and code, and what neighbour discovery has; `at` has 8 bytes at least. */
export function extractIcmpv6(view: DataView, at: number, end: number, key: FlowKey): void {
  key[W_TP] = icmpTypeCode(view, at);
  const type = view.getUint8(at);
  if ((type !== ND.SOLICIT && type !== ND.ADVERT) || view.getUint8(at + ICMP.CODE) !== 0) return;
  if (end - at < ND.OPTIONS) return;

  for (let i = 0; i < 4; i++) key[W_ND + i] = view.getInt32(at + ND.TARGET + 4 * i);
  for (let opt = at + ND.OPTIONS; end - opt >= 8; ) {
    const size = view.getUint8(opt + 1) << 3;
    if (size === 0 || size > end - opt) return;
    const kind = view.getUint8(opt);
    if (size === 8 && (kind === ND.OPT_SOURCE_LL || kind === ND.OPT_TARGET_LL)) {
      if (!storeNdAddress(view, opt + 2, kind === ND.OPT_SOURCE_LL, key)) {
        // The same option twice: none of it is believed.
        key.fill(0, W_ARP, W_ND + 4);
        return;
      }
    }
    opt += size;
  }
}

/** Stores a link-layer address as arpSha (source) or arpTha (target); false if one is there already. */
function storeNdAddress(view: DataView, at: number, isSource: boolean, key: FlowKey): boolean {
  if (isSource) {
    if (key[W_ARP] !== 0 || key[W_ARP + 1]! >>> 16 !== 0) return false;
    key[W_ARP] = view.getInt32(at);
    key[W_ARP + 1] = (view.getUint16(at + 4) << 16) | (key[W_ARP + 1]! & 0xffff);
  } else {
    if (key[W_ARP + 2] !== 0 || (key[W_ARP + 1]! & 0xffff) !== 0) return false;
    key[W_ARP + 1] = (key[W_ARP + 1]! & 0xffff0000) | view.getUint16(at);
    key[W_ARP + 2] = view.getInt32(at + 2);
  }
  return true;
}

/** ARP and RARP for IPv4 over Ethernet; of others nothing is known but the ethertype. */
function extractArp(view: DataView, at: number, end: number, key: FlowKey): void {
  if (end - at < ARP.SIZE) return;
  if (view.getInt32(at) !== 0x00010800 || view.getUint16(at + ARP.HLN) !== 0x0604) return;
  const op = view.getUint16(at + ARP.OP);
  key[W_PROTO] = op <= 0xff ? op << 24 : 0;
  key[W_NW_SRC] = view.getInt32(at + ARP.SIP);
  key[W_NW_DST] = view.getInt32(at + ARP.TIP);
  key[W_ARP] = view.getInt32(at + ARP.SHA);
  key[W_ARP + 1] = (view.getUint16(at + ARP.SHA + 4) << 16) | view.getUint16(at + ARP.THA);
  key[W_ARP + 2] = view.getInt32(at + ARP.THA + 2);
}

/** Up to three label stack entries, the outermost first; they count only if the stack's bottom is in the packet. */
function extractMpls(view: DataView, at: number, end: number, key: FlowKey): void {
  for (let i = 0; end - at >= 4; i++, at += 4) {
    const lse = view.getInt32(at);
    if (i < 3) key[W_MPLS + i] = lse;
    if ((lse & MPLS_BOS) !== 0) {
      key[W_MPLS_LABELS] = ((2 << Math.min(i, 2)) - 1) << MPLS_LABELS_SHIFT;
      return;
    }
  }
}

/** False for another version, a length that does not fit, or an unknown metadata type: the kernel drops those. */
function extractNsh(view: DataView, at: number, end: number, key: FlowKey): boolean {
  if (end - at < 8) return false;
  const word = view.getUint16(at);
  const size = (word & 0x3f) << 2;
  if (word >>> 14 !== 0 || size > end - at) return false;
  const mdtype = view.getUint8(at + 2);
  if (mdtype !== 2 && !(mdtype === 1 && size === 24)) return false;
  const flags = (word >>> 12) & 3;
  const ttl = (word >>> 6) & 0x3f;
  key[W_NSH] = (flags << 24) | (ttl << 16) | view.getUint16(at + 2);
  key[W_NSH + 1] = view.getInt32(at + 4);
  if (mdtype === 1) for (let i = 0; i < 4; i++) key[W_NSH + 2 + i] = view.getInt32(at + 8 + 4 * i);
  return true;
}
