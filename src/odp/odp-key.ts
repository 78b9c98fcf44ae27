/**
 * From OVS_KEY_ATTR_* nests to flow keys and masks: what a vswitchd makes of an upcall's key, and of a dumped flow's mask.
 *
 * A nest must say what its lower layers promise: an Ethertype of IPv4 demands an ipv4 attribute, protocol 6 a tcp one.  How
 * well it does is its fitness; a key that says too little cannot be translated exactly, one that says too much can, but a flow
 * made from it would match more than the datapath does.  `odp-key-build.ts` is the way back.
 *
 * Numbers of attributes are bits of a 32-bit set here: 0..31 are known to userspace, what is above is ignored, as newer kernels
 * send it.
 *
 * Hot path: `odpKeyToFlow` runs once an upcall.  Nothing is allocated; the tables below are reused by every call.
 * Source: lib/odp-util.c (odp_flow_key_to_flow).
 */
import { ETH_TYPE_802_2, FIELD, type Field, OVS_FRAG_TYPE, VLAN_CFI } from '../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField, setFieldBytes } from '../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../netlink/constants.ts';
import { OVS_KEY_ATTR as K, KEY_ROWS } from './key-table.ts';
import { exactMaskOf } from './odp-exact-mask.ts';
import { loadNsh, loadTunnel } from './odp-key-nests.ts';
import { loadFlowLabels } from './odp-labels.ts';
import { ETH_P, isMpls, isNd, isVlan, l3Attr, l4Attr } from './odp-layers.ts';
import { keyAttrName } from './text/odp-key-text.ts';
import { vlanLimit } from './vlan-limit.ts';

// Fields by themselves: FIELD has so many that reading one from it is a hash look-up; this saves a third of the time here.
// biome-ignore format: table
const {
  arpSha: ARP_SHA, arpTha: ARP_THA, ctIpv6Dst: CT_IPV6_DST, ctIpv6Src: CT_IPV6_SRC,
  ctMark: CT_MARK, ctNwDst: CT_NW_DST, ctNwProto: CT_NW_PROTO, ctNwSrc: CT_NW_SRC, ctState: CT_STATE,
  ctTpDst: CT_TP_DST, ctTpSrc: CT_TP_SRC, ctZone: CT_ZONE, cvlanTci: CVLAN_TCI, cvlanTpid: CVLAN_TPID,
  dpHash: DP_HASH, ethDst: ETH_DST, ethSrc: ETH_SRC, ethType: ETH_TYPE, inPort: IN_PORT, ipv6Dst: IPV6_DST,
  ipv6Label: IPV6_LABEL, ipv6Src: IPV6_SRC, mplsLse0: MPLS_LSE0, mplsLse1: MPLS_LSE1, mplsLse2: MPLS_LSE2,
  ndOptionsType: ND_OPTIONS_TYPE, ndReserved: ND_RESERVED, ndTarget: ND_TARGET, nwDst: NW_DST, nwFrag: NW_FRAG,
  nwProto: NW_PROTO, nwSrc: NW_SRC, nwTos: NW_TOS, nwTtl: NW_TTL, packetType: PACKET_TYPE, recircId: RECIRC_ID,
  skbMark: SKB_MARK, skbPriority: SKB_PRIORITY, tcpFlags: TCP_FLAGS, tpDst: TP_DST, tpSrc: TP_SRC, vlanTci: VLAN_TCI,
  vlanTpid: VLAN_TPID,
} = FIELD;

/** How well a nest says what it should; greater is worse. */
export const ODP_FIT = { PERFECT: 0, TOO_MUCH: 1, TOO_LITTLE: 2, ERROR: 3 } as const;
export type OdpFit = (typeof ODP_FIT)[keyof typeof ODP_FIT];

/** As logs and tests name them. */
export const ODP_FIT_TEXT: Readonly<Record<OdpFit, string>> = { 0: 'OK', 1: 'too_much', 2: 'too_little', 3: 'error' };

/** Where the reason of an ERROR goes. */
export interface OdpKeyReport {
  error: string | undefined;
}

const N_ATTRS = 32;
const ETH_TYPE_MIN = 0x600;
const MAX_VLANS = 2;
const MAX_MPLS = 3;
const MPLS_BOS = 0x100;

/** Offset and size of each attribute's payload in the nest last scanned, and which there are. */
const attrAt = new Int32Array(N_ATTRS);
const attrSize = new Int32Array(N_ATTRS);
let present = 0;
/** Attributes that the layers read so far promise. */
let expected = 0;
let bytes: Uint8Array = new Uint8Array(0);
let report: OdpKeyReport | undefined;

/** Payload sizes; -1 where any will do. */
const SIZES = Int32Array.from({ length: N_ATTRS }, (_, type) => KEY_ROWS[type]?.size ?? 0);

const bit = (type: number): number => 1 << type;
const has = (type: number): boolean => (present & (1 << type)) !== 0;

const be16 = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
const be32 = (at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
const host16 = (at: number): number => (LITTLE_ENDIAN ? bytes[at]! | (bytes[at + 1]! << 8) : be16(at));
const host32 = (at: number): number =>
  LITTLE_ENDIAN ? bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24) : be32(at);

function fail(why: string): typeof ODP_FIT.ERROR {
  if (report) report.error = why;
  return ODP_FIT.ERROR;
}

/** Scans the nest `[at, end)` of `bytes` into the tables.  False if it is malformed. */
function scan(at: number, end: number): boolean {
  present = 0;
  while (end - at >= NLA_HDRLEN) {
    const size = host16(at);
    if (size < NLA_HDRLEN || size > end - at) break;
    const type = host16(at + 2) & NLA_TYPE_MASK;
    if (type < N_ATTRS) {
      const want = SIZES[type]!;
      if (want >= 0 && size - NLA_HDRLEN !== want) {
        fail(`attribute ${keyAttrName(type)} has length ${size - NLA_HDRLEN} but should have length ${want}`);
        return false;
      }
      if (has(type)) {
        fail(`duplicate ${keyAttrName(type)} attribute in flow key`);
        return false;
      }
      present |= bit(type);
      attrAt[type] = at + NLA_HDRLEN;
      attrSize[type] = size - NLA_HDRLEN;
    }
    at += nlaAlign(size) <= end - at ? nlaAlign(size) : size;
  }
  if (at < end) {
    fail('trailing garbage in flow key');
    return false;
  }
  return true;
}

/** Missing attributes weigh more than surplus ones. */
function fitness(): OdpFit {
  if ((expected & ~present) !== 0) return ODP_FIT.TOO_LITTLE;
  return (present & ~expected) !== 0 ? ODP_FIT.TOO_MUCH : ODP_FIT.PERFECT;
}

/** Stores 16 bytes at `at` into a field that begins at a word. */
function put128(key: FlowKey, f: Field, at: number): void {
  if ((f.at & 31) !== 0) {
    setFieldBytes(key, f, bytes, at);
    return;
  }
  const w = f.word;
  key[w] = be32(at);
  key[w + 1] = be32(at + 4);
  key[w + 2] = be32(at + 8);
  key[w + 3] = be32(at + 12);
}

/** Stores the 6 bytes of a MAC address. */
function putMac(key: FlowKey, f: Field, at: number): void {
  const w = f.word;
  if ((f.at & 31) === 0) {
    key[w] = be32(at);
    key[w + 1] = (key[w + 1]! & 0xffff) | (be16(at + 4) << 16);
  } else if ((f.at & 31) === 16) {
    key[w] = (key[w]! & 0xffff0000) | be16(at);
    key[w + 1] = be32(at + 2);
  } else setFieldBytes(key, f, bytes, at);
}

/**
 * Translates the key `nest` to `flow`, which it overwrites.  `vlanLimit` is how many VLAN tags are looked into (1 or 2); where
 * there is one more, its TPID is the Ethertype, and the fitness TOO_MUCH.
 * After ERROR, and after TOO_LITTLE, `flow` is not to be used.  `why` gets the reason of an ERROR.
 */
export function odpKeyToFlow(nest: Uint8Array, flow: FlowKey, maxVlans = vlanLimit(), why?: OdpKeyReport): OdpFit {
  return translate(nest, flow, flow, maxVlans, why);
}

/**
 * Translates the mask `nest` to `mask`, which it overwrites; `flow` is the key it belongs to, translated.  An empty nest
 * stands for an exact match of everything in `flow`.
 */
export function odpMaskToFlow(
  nest: Uint8Array,
  mask: FlowMask,
  flow: FlowKey,
  maxVlans = vlanLimit(),
  why?: OdpKeyReport,
): OdpFit {
  if (nest.length > 0) return translate(nest, mask, flow, maxVlans, why);
  exactMaskOf(flow, mask);
  return ODP_FIT.PERFECT;
}

/** `out` is `src` when a key is translated; else it is a mask, and `src` its key. */
function translate(
  nest: Uint8Array,
  out: FlowKey,
  src: FlowKey,
  vlanLimit: number,
  why: OdpKeyReport | undefined,
): OdpFit {
  const isMask = out !== src;
  bytes = nest;
  report = why;
  if (why) why.error = undefined;
  out.fill(0);
  if (!scan(0, nest.length)) return ODP_FIT.ERROR;
  expected = 0;

  if (!loadMetadata(out, isMask)) return ODP_FIT.ERROR;
  loadPacketType(out, src, isMask);
  if (has(K.ETHERNET)) {
    const at = attrAt[K.ETHERNET]!;
    putMac(out, ETH_SRC, at);
    putMac(out, ETH_DST, at + 6);
    if (!isMask) setField(out, PACKET_TYPE, 0);
    expected |= bit(K.ETHERNET);
  } else if (has(K.ETHERTYPE)) {
    if (!isMask) setField(out, PACKET_TYPE, be16(attrAt[K.ETHERTYPE]!));
    expected |= bit(K.ETHERTYPE);
  }
  if (!loadEtherType(out, src, isMask)) return ODP_FIT.ERROR;

  if (isMask ? (getField(src, VLAN_TCI) & VLAN_CFI) !== 0 : isVlan(getField(src, ETH_TYPE))) {
    return loadVlans(out, src, isMask, vlanLimit);
  }
  if (isMask) {
    // No mask of a tag: that there is none is matched.
    setField(out, VLAN_TPID, 0xffff);
    setField(out, VLAN_TCI, 0xffff);
    if (has(K.VLAN)) {
      setField(out, VLAN_TCI, be16(attrAt[K.VLAN]!));
      expected |= bit(K.VLAN);
    }
  }
  const layers = loadLayers(out, src, isMask);
  return layers === ODP_FIT.PERFECT ? fitness() : layers;
}

function loadWord(out: FlowKey, type: number, f: Field): boolean {
  if (!has(type)) return false;
  setField(out, f, host32(attrAt[type]!));
  expected |= bit(type);
  return true;
}

function loadMetadata(out: FlowKey, isMask: boolean): boolean {
  // A recirculation id is always matched, also by a mask that does not say so.
  if (!loadWord(out, K.RECIRC_ID, RECIRC_ID) && isMask) setField(out, RECIRC_ID, -1);
  loadWord(out, K.DP_HASH, DP_HASH);
  loadWord(out, K.PRIORITY, SKB_PRIORITY);
  loadWord(out, K.SKB_MARK, SKB_MARK);
  loadWord(out, K.CT_STATE, CT_STATE);
  loadWord(out, K.CT_MARK, CT_MARK);
  if (has(K.CT_ZONE)) {
    setField(out, CT_ZONE, host16(attrAt[K.CT_ZONE]!));
    expected |= bit(K.CT_ZONE);
  }
  if (has(K.CT_LABELS)) {
    loadFlowLabels(out, bytes, attrAt[K.CT_LABELS]!);
    expected |= bit(K.CT_LABELS);
  }
  if (has(K.CT_ORIG_TUPLE_IPV4)) {
    const at = attrAt[K.CT_ORIG_TUPLE_IPV4]!;
    setField(out, CT_NW_SRC, be32(at));
    setField(out, CT_NW_DST, be32(at + 4));
    loadCtPorts(out, at + 8);
    expected |= bit(K.CT_ORIG_TUPLE_IPV4);
  }
  if (has(K.CT_ORIG_TUPLE_IPV6)) {
    const at = attrAt[K.CT_ORIG_TUPLE_IPV6]!;
    put128(out, CT_IPV6_SRC, at);
    put128(out, CT_IPV6_DST, at + 16);
    loadCtPorts(out, at + 32);
    expected |= bit(K.CT_ORIG_TUPLE_IPV6);
  }
  if (has(K.TUNNEL)) {
    const problem = loadTunnel(out, bytes, attrAt[K.TUNNEL]!, attrSize[K.TUNNEL]!, isMask);
    if (problem === 'unknown') expected &= ~bit(K.TUNNEL);
    else if (problem !== undefined) return fail(problem) !== ODP_FIT.ERROR;
    else expected |= bit(K.TUNNEL);
  }
  // No port: ODPP_NONE.
  if (!loadWord(out, K.IN_PORT, IN_PORT) && !isMask) setField(out, IN_PORT, -1);
  return true;
}

function loadCtPorts(out: FlowKey, at: number): void {
  setField(out, CT_TP_SRC, be16(at));
  setField(out, CT_TP_DST, be16(at + 2));
  setField(out, CT_NW_PROTO, bytes[at + 4]!);
}

/** OVS_KEY_ATTR_PACKET_TYPE is be16 name space (0 OpenFlow, 1 Ethertypes) and be16 type. */
function loadPacketType(out: FlowKey, src: FlowKey, isMask: boolean): void {
  if (!has(K.PACKET_TYPE)) return;
  const at = attrAt[K.PACKET_TYPE]!;
  const type = be16(at + 2);
  if (isMask || be16(at) === 1) setField(out, PACKET_TYPE, type);
  if (getField(src, PACKET_TYPE) !== 0) setField(out, ETH_TYPE, type);
  expected |= bit(K.PACKET_TYPE);
}

function loadEtherType(out: FlowKey, src: FlowKey, isMask: boolean): boolean {
  const srcType = getField(src, ETH_TYPE);
  if (has(K.ETHERTYPE)) {
    const type = be16(attrAt[K.ETHERTYPE]!);
    if (!isMask && type < ETH_TYPE_MIN) return fail(`invalid Ethertype ${type} in flow key`) !== ODP_FIT.ERROR;
    if (isMask && srcType < ETH_TYPE_MIN && type !== 0xffff) {
      const mask = type.toString(16);
      return fail(`can't bitwise match non-Ethernet II "Ethertype" (with mask 0x${mask})`) !== ODP_FIT.ERROR;
    }
    setField(out, ETH_TYPE, type);
    expected |= bit(K.ETHERTYPE);
    return true;
  }
  if (!isMask) {
    // Well-known L3 headers say their Ethertype; none is an 802.3 frame.
    const none = getField(src, PACKET_TYPE) === 0 ? ETH_TYPE_802_2 : 0;
    setField(out, ETH_TYPE, has(K.IPV4) ? ETH_P.IP : has(K.IPV6) ? ETH_P.IPV6 : has(K.MPLS) ? ETH_P.MPLS : none);
  } else if (getField(src, PACKET_TYPE) !== 0) {
    setField(out, ETH_TYPE, 0xffff);
  } else if (srcType < ETH_TYPE_MIN) {
    return fail('mask expected for non-Ethernet II frame') !== ODP_FIT.ERROR;
  }
  return true;
}

const TAGS = [
  { tpid: VLAN_TPID, tci: VLAN_TCI },
  { tpid: CVLAN_TPID, tci: CVLAN_TCI },
] as const;

/** Tags, each with an ENCAP nest of what is inside, and then the layers inside. */
function loadVlans(out: FlowKey, src: FlowKey, isMask: boolean, vlanLimit: number): OdpFit {
  for (let i = 0; i < MAX_VLANS && i < vlanLimit; i++) {
    const tag = TAGS[i]!;
    if (isMask ? (getField(src, tag.tci) & VLAN_CFI) === 0 : !isVlan(getField(out, ETH_TYPE))) break;
    const both = bit(K.VLAN) | bit(K.ENCAP);
    expected |= isMask ? both & present : both;
    const outer = fitness();
    setField(out, tag.tpid, getField(out, ETH_TYPE));
    setField(out, ETH_TYPE, 0);
    const tci = has(K.VLAN) ? be16(attrAt[K.VLAN]!) : 0;
    setField(out, tag.tci, tci);
    if (!isMask) {
      if ((present & both) !== both) return ODP_FIT.TOO_LITTLE;
      if (tci === 0) {
        // A frame that ends after the tag's TPID.
        return outer === ODP_FIT.PERFECT && attrSize[K.ENCAP]! > 0 ? ODP_FIT.TOO_MUCH : outer;
      }
      if ((tci & VLAN_CFI) === 0) {
        return fail(`OVS_KEY_ATTR_VLAN 0x${tci.toString(16).padStart(4, '0')} is nonzero but CFI bit is not set`);
      }
    } else if (!has(K.ENCAP)) return outer;

    if (!scan(attrAt[K.ENCAP]!, attrAt[K.ENCAP]! + attrSize[K.ENCAP]!)) return ODP_FIT.ERROR;
    expected = 0;
    if (!loadEtherType(out, src, isMask)) return ODP_FIT.ERROR;
    const layers = loadLayers(out, src, isMask);
    if (layers !== ODP_FIT.PERFECT) return layers;
  }
  return fitness();
}

/** L3 and L4, by what `src` says of its layers.  Returns PERFECT if nothing is wrong; the caller compares what is expected. */
function loadLayers(out: FlowKey, src: FlowKey, isMask: boolean): OdpFit {
  const ethType = getField(src, ETH_TYPE);
  if (isMpls(ethType)) return loadMpls(out, isMask);
  const type = l3Attr(ethType);
  if (type === 0) return ODP_FIT.PERFECT;
  if (!isMask) expected |= bit(type);
  if (has(type)) {
    const problem = loadL3(out, type, isMask);
    if (problem !== ODP_FIT.PERFECT) return problem;
    if (isMask) {
      if (!isZero(attrAt[type]!, attrSize[type]!) && getField(out, ETH_TYPE) !== 0xffff) {
        const [t, m] = [ethType.toString(16), getField(out, ETH_TYPE).toString(16)];
        return fail(`unexpected L3 matching with masked Ethertype 0x${t}/0x${m}`);
      }
      expected |= bit(type);
    }
  }
  return ethType === ETH_P.IP || ethType === ETH_P.IPV6 ? loadL4(out, src, isMask, ethType) : ODP_FIT.PERFECT;
}

function isZero(at: number, size: number): boolean {
  for (let i = at; i < at + size; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Fragments are an enumeration, which a mask has wholly or not. */
function loadFrag(out: FlowKey, frag: number, isMask: boolean, name: string): OdpFit {
  if (!isMask && frag > OVS_FRAG_TYPE.LATER) return fail(`OVS_KEY_ATTR_${name} has invalid nw_frag 0xff`);
  setField(out, NW_FRAG, isMask && frag !== 0 ? 0xff : frag);
  return ODP_FIT.PERFECT;
}

function loadL3(out: FlowKey, type: number, isMask: boolean): OdpFit {
  const at = attrAt[type]!;
  switch (type) {
    case K.IPV4:
      setField(out, NW_SRC, be32(at));
      setField(out, NW_DST, be32(at + 4));
      setField(out, NW_PROTO, bytes[at + 8]!);
      setField(out, NW_TOS, bytes[at + 9]!);
      setField(out, NW_TTL, bytes[at + 10]!);
      return loadFrag(out, bytes[at + 11]!, isMask, 'IPV4');
    case K.IPV6:
      put128(out, IPV6_SRC, at);
      put128(out, IPV6_DST, at + 16);
      setField(out, IPV6_LABEL, be32(at + 32));
      setField(out, NW_PROTO, bytes[at + 36]!);
      setField(out, NW_TOS, bytes[at + 37]!);
      setField(out, NW_TTL, bytes[at + 38]!);
      return loadFrag(out, bytes[at + 39]!, isMask, 'IPV6');
    case K.ARP: {
      const op = be16(at + 8);
      if (!isMask && op > 0xff) return fail(`unsupported ARP opcode ${op} in flow key`);
      setField(out, NW_SRC, be32(at));
      setField(out, NW_DST, be32(at + 4));
      setField(out, NW_PROTO, op & 0xff);
      putMac(out, ARP_SHA, at + 10);
      putMac(out, ARP_THA, at + 16);
      return ODP_FIT.PERFECT;
    }
    default: {
      const problem = loadNsh(out, bytes, at, attrSize[type]!, isMask);
      return problem === undefined ? ODP_FIT.PERFECT : fail(problem);
    }
  }
}

const LSES = [MPLS_LSE0, MPLS_LSE1, MPLS_LSE2] as const;

function loadMpls(out: FlowKey, isMask: boolean): OdpFit {
  if (!isMask || has(K.MPLS)) expected |= bit(K.MPLS);
  if (!has(K.MPLS)) return ODP_FIT.PERFECT;
  const at = attrAt[K.MPLS]!;
  const size = attrSize[K.MPLS]!;
  if (size === 0 || size % 4 !== 0) return fail(`MPLS LSEs have invalid length ${size}`);
  const n = size / 4;
  for (let i = 0; i < n && i < MAX_MPLS; i++) setField(out, LSES[i]!, be32(at + 4 * i));
  if (n > MAX_MPLS) return ODP_FIT.TOO_MUCH;
  if (isMask) return ODP_FIT.PERFECT;
  // The bottom of the stack is in the last label, and, where the stack fits, there.
  for (let i = 0; i < n - 1; i++) {
    if (be32(at + 4 * i) & MPLS_BOS) return fail('MPLS BOS set in non-innermost label');
  }
  return n < MAX_MPLS && !(be32(at + size - 4) & MPLS_BOS) ? ODP_FIT.TOO_LITTLE : ODP_FIT.PERFECT;
}

function loadL4(out: FlowKey, src: FlowKey, isMask: boolean, ethType: number): OdpFit {
  if (getField(src, NW_FRAG) === OVS_FRAG_TYPE.LATER) return ODP_FIT.PERFECT;
  const type = l4Attr(getField(src, NW_PROTO), ethType);
  if (type === 0) return ODP_FIT.PERFECT;
  if (!isMask) expected |= bit(type);
  let isRead = false;
  if (has(type)) {
    isRead = true;
    const at = attrAt[type]!;
    const isIcmp = type === K.ICMP || type === K.ICMPV6;
    setField(out, TP_SRC, isIcmp ? bytes[at]! : be16(at));
    setField(out, TP_DST, isIcmp ? bytes[at + 1]! : be16(at + 2));
  }
  if (type === K.TCP && has(K.TCP_FLAGS)) {
    expected |= bit(K.TCP_FLAGS);
    setField(out, TCP_FLAGS, be16(attrAt[K.TCP_FLAGS]!));
  }
  if (type === K.ICMPV6 && isRead && isNd(src)) {
    const problem = loadNd(out, isMask);
    if (problem !== ODP_FIT.PERFECT) return problem;
  }
  if (isMask && isRead) {
    if ((getField(out, TP_SRC) || getField(out, TP_DST)) && getField(out, NW_PROTO) !== 0xff) {
      return fail('flow matches on L4 ports but does not define an L4 protocol');
    }
    expected |= bit(type);
  }
  return ODP_FIT.PERFECT;
}

function loadNd(out: FlowKey, isMask: boolean): OdpFit {
  const isTypeMatched = () => getField(out, TP_SRC) === 0xff && getField(out, TP_DST) === 0xff;
  if (!isMask) expected |= bit(K.ND);
  if (has(K.ND)) {
    const at = attrAt[K.ND]!;
    put128(out, ND_TARGET, at);
    putMac(out, ARP_SHA, at + 16);
    putMac(out, ARP_THA, at + 22);
    if (isMask) {
      if (!isZero(at, attrSize[K.ND]!) && !isTypeMatched()) {
        const [src, dst] = [getField(out, TP_SRC).toString(16), getField(out, TP_DST).toString(16)];
        return fail(`ICMP (src,dst) masks should be (0xff,0xff) but are actually (0x${src},0x${dst})`);
      }
      expected |= bit(K.ND);
    }
  }
  if (has(K.ND_EXTENSIONS)) {
    const at = attrAt[K.ND_EXTENSIONS]!;
    setField(out, ND_RESERVED, be32(at));
    setField(out, ND_OPTIONS_TYPE, bytes[at + 4]!);
    if (isMask && !isZero(at, attrSize[K.ND_EXTENSIONS]!) && !isTypeMatched())
      return fail('ICMP masks should be (0xff,0xff)');
    expected |= bit(K.ND_EXTENSIONS);
  }
  return ODP_FIT.PERFECT;
}
