/**
 * From the wire to a flow: makes a flow key and mask of OVS_FLOW_ATTR_KEY and MASK, and refuses what the kernel refuses.
 * key-attrs.ts finds the attributes, tunnel-key.ts reads tunnels; key-put.ts goes the other way.
 *
 * What is in them must be what their protocols demand: match-validate.ts.  What must always match exactly does so whatever the mask says: VLAN TCIs, the ethertype, in_port,
 * and whether there is an Ethernet header at all.
 *
 * Every function throws NetlinkError EINVAL with the reason, which goes to the log.
 * Source: net/openvswitch/flow_netlink.c (ovs_nla_get_match, match_validate, parse_vlan_from_nlattrs).
 */
import { ETH_TYPE_802_2, FIELD, OVS_FRAG_TYPE, VLAN_CFI } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { DP_MAX_PORTS } from '../../netlink/families/ovs-vport.ts';
import { OVS_KEY_ATTR as K, OVS_NSH_KEY_ATTR } from '../../odp/key/key-table.ts';
import { ETH_TYPE_MIN, isVlanType } from '../../packet/ethernet.ts';
import { CT_SUPPORTED_MASK, fillWithOnes, invalid, KeyAttrs } from './key-attrs.ts';
import { loadKeyWords } from './key-words.ts';
import { LastNest } from './last-nest.ts';
import { validate } from './match-validate.ts';
import { loadTunnel, setTunnelOnes } from './tunnel-key.ts';

/** in_port of a key that names none.  */
export const NO_IN_PORT = DP_MAX_PORTS;
const ALL_ONES_16 = 0xffff;
/** Label stack entries that a key holds. */
const MAX_MPLS_LABELS = 3;
/** Sizes of struct ovs_nsh_key_base and md1, and the metadata type that has the latter. */
const [NSH_BASE_SIZE, NSH_MD1_SIZE, NSH_MDTYPE1] = [8, 16, 1] as const;

// Reused by every call: nothing here is reentrant.
const keyAttrs = new KeyAttrs();
const maskAttrs = new KeyAttrs();
const lastMask = new LastNest();
const lastMetadata = new LastNest();
let scratch = new DataView(new ArrayBuffer(1024));

/** Where a nest's payload is; `at` -1 for a nest that was not sent. */
export interface NestRange {
  readonly dv: DataView;
  readonly at: number;
  readonly size: number;
}

/**
 * Reads `keyNest` into `key` and, if `mask` is not null, `maskNest` into `mask`; without mask nest, every bit of what the
 * key names must match.  Both arrays are overwritten.
 */
export function getMatch(keyNest: NestRange, maskNest: NestRange | null, key: FlowKey, mask: FlowMask | null): void {
  key.fill(0);
  keyAttrs.forget();
  keyAttrs.reset(keyNest.dv);
  keyAttrs.parse(keyNest.at, keyNest.size, false);
  parseVlans(keyAttrs, key, key, false);
  const inKey = keyAttrs.present;
  loadKey(keyAttrs, key, key, false);
  if (mask === null) {
    validate(key, null, inKey, 0);
    return;
  }

  const mayBeLast = maskNest !== null && isMaskPlain(key);
  if (mayBeLast && lastMask.find(maskNest.dv, maskNest.at, maskNest.size, mask)) {
    validate(key, mask, inKey, lastMask.present);
    return;
  }
  mask.fill(0);
  const nest = maskNest ?? onesLike(keyNest);
  if (maskNest === null && getField(key, FIELD.tunPresent) !== 0) setTunnelOnes(mask);
  maskAttrs.forget();
  maskAttrs.reset(nest.dv);
  maskAttrs.parse(nest.at, nest.size, true);
  setField(mask, FIELD.vlanTci, ALL_ONES_16);
  setField(mask, FIELD.cvlanTci, ALL_ONES_16);
  parseVlans(maskAttrs, key, mask, true);
  const inMask = maskAttrs.present;
  loadKey(maskAttrs, key, mask, true);
  validate(key, mask, inKey, inMask);
  if (mayBeLast) lastMask.keep(nest.dv, nest.at, nest.size, mask, inMask);
}

/**
 * Reads only the metadata of `nest` into `key`, whose other fields become 0: in_port, priority, mark, tunnel,
 * conntrack, recirculation id and hash, and for a packet without Ethernet header its type.  Returns which attributes the
 * nest has (see `attrBit`).
 */
export function getMetadata(nest: NestRange, key: FlowKey): number {
  if (lastMetadata.find(nest.dv, nest.at, nest.size, key)) return lastMetadata.present;
  key.fill(0);
  keyAttrs.forget();
  keyAttrs.reset(nest.dv);
  keyAttrs.parse(nest.at, nest.size, false);
  const { present } = keyAttrs;
  loadMetadata(keyAttrs, key, key, false);
  lastMetadata.keep(nest.dv, nest.at, nest.size, key, present);
  return present;
}

/** Whether the masks of packets like `key` mean the same whatever else the key says: they depend on its VLAN tags and tunnel. */
const isMaskPlain = (key: FlowKey): boolean =>
  (getField(key, FIELD.vlanTci) & VLAN_CFI) === 0 && getField(key, FIELD.tunPresent) === 0;

/** A copy of a key nest in which every value is all ones. */
function onesLike(nest: NestRange): NestRange {
  if (scratch.byteLength < nest.size) scratch = new DataView(new ArrayBuffer(2 * nest.size));
  const from = new Uint8Array(nest.dv.buffer, nest.dv.byteOffset + nest.at, nest.size);
  new Uint8Array(scratch.buffer).set(from);
  fillWithOnes(scratch, 0, nest.size);
  return { dv: scratch, at: 0, size: nest.size };
}

/**
 * Takes up to two VLAN tags off the attributes: ETHERTYPE is the tag's TPID then, VLAN its TCI, and ENCAP holds the
 * attributes of what the tag is around, which take the places of those three.
 */
function parseVlans(attrs: KeyAttrs, key: FlowKey, out: FlowKey, isMask: boolean): void {
  parseVlan(attrs, key, out, isMask, false);
  if ((getField(key, FIELD.vlanTci) & VLAN_CFI) !== 0) parseVlan(attrs, key, out, isMask, true);
}

function parseVlan(attrs: KeyAttrs, key: FlowKey, out: FlowKey, isMask: boolean, isInner: boolean): void {
  const isTag = isMask ? checkVlanMask(attrs, key, isInner) : checkVlan(attrs);
  if (!isTag) return;
  const tci = attrs.has(K.VLAN) ? attrs.be16(K.VLAN) : 0;
  const tpid = attrs.has(K.ETHERTYPE) ? attrs.be16(K.ETHERTYPE) : 0;
  setField(out, isInner ? FIELD.cvlanTpid : FIELD.vlanTpid, tpid);
  setField(out, isInner ? FIELD.cvlanTci : FIELD.vlanTci, tci);
  const [at, size] = [attrs.at(K.ENCAP), attrs.size(K.ENCAP)];
  attrs.used(K.ENCAP);
  attrs.used(K.VLAN);
  attrs.used(K.ETHERTYPE);
  attrs.parse(at, size, isMask);
}

/** Whether a key has a VLAN tag here. */
function checkVlan(attrs: KeyAttrs): boolean {
  const isVlan = attrs.has(K.ETHERNET) && attrs.has(K.ETHERTYPE) && isVlanType(attrs.be16(K.ETHERTYPE));
  if (!isVlan) return false;
  if (!attrs.has(K.VLAN) || !attrs.has(K.ENCAP)) throw invalid('VLAN ethertype without VLAN and ENCAP');
  const tci = attrs.be16(K.VLAN);
  if ((tci & VLAN_CFI) === 0) {
    if (tci !== 0) throw invalid('VLAN TCI without CFI bit');
    // A TCI of 0 stands for a frame that ends in the middle of its tag.
    if (attrs.size(K.ENCAP) !== 0) throw invalid('cut VLAN tag with something in ENCAP');
  }
  return true;
}

/** Whether a mask is for a VLAN tag here. */
function checkVlanMask(attrs: KeyAttrs, key: FlowKey, isInner: boolean): boolean {
  if (!attrs.has(K.ENCAP)) return false;
  const keyTci = getField(key, isInner ? FIELD.cvlanTci : FIELD.vlanTci);
  if ((keyTci & VLAN_CFI) === 0) throw invalid('ENCAP in the mask of a frame without that VLAN tag');
  const tpid = attrs.has(K.ETHERTYPE) ? attrs.be16(K.ETHERTYPE) : 0;
  if (tpid !== ALL_ONES_16) throw invalid('VLAN TPID must match exactly');
  const tci = attrs.has(K.VLAN) ? attrs.be16(K.VLAN) : 0;
  if ((tci & VLAN_CFI) === 0) throw invalid('VLAN CFI bit must match exactly');
  return true;
}

/** Reads all that is left in `attrs` into `out`, the key itself or its mask. */
function loadKey(attrs: KeyAttrs, key: FlowKey, out: FlowKey, isMask: boolean): void {
  loadMetadata(attrs, key, out, isMask);
  if (attrs.has(K.ETHERNET)) {
    take(attrs, K.ETHERNET, out);
    if (attrs.has(K.VLAN)) throw invalid('VLAN attribute without VLAN ethertype');
    if (attrs.has(K.ETHERTYPE)) loadEthType(attrs, out, isMask);
    else if (!isMask) setField(out, FIELD.ethType, ETH_TYPE_802_2);
  } else if (getField(key, FIELD.ethType) === 0) {
    throw invalid('neither Ethernet addresses nor ethertype');
  }
  loadL3(attrs, out, isMask);
  for (const type of L4) if (attrs.has(type)) take(attrs, type, out);
  if (attrs.present !== 0) throw invalid(`unexpected key attributes 0x${(attrs.present >>> 0).toString(16)}`);
}

/** L4 attributes: TCP, UDP and SCTP share their fields, so among several of them the last in this order counts. */
const L4 = [K.TCP, K.TCP_FLAGS, K.UDP, K.SCTP, K.ICMP, K.ICMPV6, K.ND] as const;
/** Metadata whose values need no look. */
const PLAIN_METADATA = [K.DP_HASH, K.RECIRC_ID, K.PRIORITY] as const;
const CT_METADATA = [K.CT_ZONE, K.CT_MARK, K.CT_LABELS, K.CT_ORIG_TUPLE_IPV4, K.CT_ORIG_TUPLE_IPV6] as const;

/** Reads attribute `type`, which is there, and takes it out of the set. */
function take(attrs: KeyAttrs, type: number, out: FlowKey): void {
  loadKeyWords(type, attrs.dv, attrs.at(type), out);
  attrs.used(type);
}

function loadMetadata(attrs: KeyAttrs, key: FlowKey, out: FlowKey, isMask: boolean): void {
  for (const type of PLAIN_METADATA) if (attrs.has(type)) take(attrs, type, out);
  if (attrs.has(K.IN_PORT)) {
    take(attrs, K.IN_PORT, out);
    if (isMask) setField(out, FIELD.inPort, 0xffffffff);
    else if (getField(out, FIELD.inPort) >= DP_MAX_PORTS) throw invalid('in_port is too large');
  } else if (!isMask) {
    setField(out, FIELD.inPort, NO_IN_PORT);
  }
  if (attrs.has(K.SKB_MARK)) take(attrs, K.SKB_MARK, out);
  if (attrs.has(K.TUNNEL)) {
    loadTunnel(attrs.dv, attrs.at(K.TUNNEL), attrs.size(K.TUNNEL), key, out, isMask);
    attrs.used(K.TUNNEL);
  }
  if (attrs.has(K.CT_STATE)) {
    const state = attrs.dv.getUint32(attrs.at(K.CT_STATE), LITTLE_ENDIAN);
    if ((state & ~CT_SUPPORTED_MASK) !== 0) throw invalid(`ct_state 0x${state.toString(16)} has unknown flags`);
    take(attrs, K.CT_STATE, out);
  }
  for (const type of CT_METADATA) if (attrs.has(type)) take(attrs, type, out);

  // An ethertype without addresses is a packet that begins with its L3 header; that is always matched exactly.
  const isBare = !attrs.has(K.ETHERNET) && attrs.has(K.ETHERTYPE);
  if (isBare) loadEthType(attrs, out, isMask);
  if (isMask) setField(out, FIELD.packetType, ALL_ONES_16);
  else if (isBare) setField(out, FIELD.packetType, getField(out, FIELD.ethType));
}

function loadEthType(attrs: KeyAttrs, out: FlowKey, isMask: boolean): void {
  const type = attrs.be16(K.ETHERTYPE);
  if (!isMask && type < ETH_TYPE_MIN) throw invalid(`ethertype 0x${type.toString(16)} is a length`);
  setField(out, FIELD.ethType, isMask ? ALL_ONES_16 : type);
  attrs.used(K.ETHERTYPE);
}

function loadL3(attrs: KeyAttrs, out: FlowKey, isMask: boolean): void {
  if (attrs.has(K.IPV4)) {
    if (!isMask) checkFrag(attrs.dv.getUint8(attrs.at(K.IPV4) + 11));
    take(attrs, K.IPV4, out);
  }
  if (attrs.has(K.IPV6)) {
    const at = attrs.at(K.IPV6);
    if (!isMask) checkFrag(attrs.dv.getUint8(at + 39));
    if (!isMask && attrs.dv.getUint32(at + 32) > 0xfffff) throw invalid('IPv6 flow label is out of range');
    take(attrs, K.IPV6, out);
  }
  if (attrs.has(K.IPV6_EXTHDRS)) take(attrs, K.IPV6_EXTHDRS, out);
  if (attrs.has(K.ARP)) {
    const op = attrs.dv.getUint16(attrs.at(K.ARP) + 8);
    if (!isMask && op > 0xff) throw invalid(`ARP opcode ${op} is unknown`);
    take(attrs, K.ARP, out);
  }
  if (attrs.has(K.NSH)) loadNsh(attrs, out, isMask);
  if (attrs.has(K.MPLS)) loadMpls(attrs, out);
}

function checkFrag(frag: number): void {
  if (frag > OVS_FRAG_TYPE.LATER) throw invalid(`fragment type ${frag} is out of range`);
}

function loadMpls(attrs: KeyAttrs, out: FlowKey): void {
  const size = attrs.size(K.MPLS);
  const n = size / 4;
  if (n < 1 || n > MAX_MPLS_LABELS || !Number.isInteger(n)) throw invalid(`MPLS label stack of ${size} bytes`);
  for (let i = 0; i < n; i++) out[FIELD.mplsLse0.word + i] = attrs.dv.getInt32(attrs.at(K.MPLS) + 4 * i);
  setField(out, FIELD.mplsLabels, (1 << n) - 1);
  attrs.used(K.MPLS);
}

/** Metadata type 2 (variable) is not matched on. */
function loadNsh(attrs: KeyAttrs, out: FlowKey, isMask: boolean): void {
  const { dv } = attrs;
  let at = attrs.at(K.NSH);
  const end = at + attrs.size(K.NSH);
  let hasMd1 = false;
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) break;
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    const want = type === OVS_NSH_KEY_ATTR.BASE ? NSH_BASE_SIZE : NSH_MD1_SIZE;
    if (type !== OVS_NSH_KEY_ATTR.BASE && type !== OVS_NSH_KEY_ATTR.MD1) throw invalid(`NSH attribute ${type}`);
    if (len !== NLA_HDRLEN + want) throw invalid(`NSH attribute ${type} has ${len - NLA_HDRLEN} bytes, want ${want}`);
    const first = type === OVS_NSH_KEY_ATTR.BASE ? FIELD.nshFlags.word : FIELD.nshC1.word;
    for (let i = 0; i < want; i += 4) out[first + (i >>> 2)] = dv.getInt32(at + NLA_HDRLEN + i);
    hasMd1 ||= type === OVS_NSH_KEY_ATTR.MD1;
    at += nlaAlign(len);
  }
  if (at < end) throw invalid(`NSH nest has ${end - at} bytes that are no attribute`);
  if (!isMask && hasMd1 && getField(out, FIELD.nshMdtype) !== NSH_MDTYPE1)
    throw invalid('NSH metadata of another type');
  attrs.used(K.NSH);
}
