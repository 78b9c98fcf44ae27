/**
 * From a flow to the wire: writes a flow key, or a mask, as a nest of OVS_KEY_ATTR_* in the kernel's order.  match.ts goes
 * the other way.
 *
 * A key always has all its metadata, whether it was sent or not, and the attributes of its protocols; a mask has the
 * attributes that its key has.  Order: RECIRC_ID, DP_HASH, PRIORITY, [TUNNEL], [IN_PORT], SKB_MARK, CT_STATE, CT_ZONE,
 * CT_MARK, CT_LABELS, [CT_ORIG_TUPLE], [ETHERNET, {ETHERTYPE, VLAN, ENCAP}], ETHERTYPE, L3, L4.
 *
 * Hot path: every upcall carries a key.  Nothing is allocated unless the writer must grow.
 * Source: net/openvswitch/flow_netlink.c (__ovs_nla_put_key), conntrack.c (ovs_ct_put_key).
 */
import { ETH_TYPE_802_2, FIELD, OVS_FRAG_TYPE } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, mplsLabels } from '../../flow/flow-key.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { OVS_KEY_ATTR as K, KEY_ROWS, OVS_NSH_KEY_ATTR } from '../../odp/key/key-table.ts';
import { ETH_TYPE, isMplsType, isVlanType } from '../../packet/ethernet.ts';
import { IPPROTO, ND } from '../../packet/ip.ts';
import { storeKeyWords } from './key-words.ts';
import { NO_IN_PORT } from './match.ts';
import { putTunnel } from './tunnel-key.ts';

/** More than a key nest can take: 128 bytes of fixed-size metadata, tunnel with options 360, the rest 240. */
const ROOM = 1024;
/** Payload sizes of fixed-size attributes. */
const SIZES = Int32Array.from({ length: KEY_ROWS.length }, (_, type) => Math.max(KEY_ROWS[type]?.size ?? 0, 0));
const MPLS_WORDS = FIELD.mplsLse0.word;
const NSH_WORD = FIELD.nshFlags.word;
const NSH_CONTEXT_WORD = FIELD.nshC1.word;
const NSH_MDTYPE1 = 1;

/** Appends `key`, of a packet or the masked one of a flow, as attribute `type`.  Hot path. */
export function putKey(w: MessageWriter, type: number, key: FlowKey): void {
  const nest = beginNest(w, type);
  putAttrs(w, key, key, false);
  w.endNest(nest);
}

/** Appends the mask of a flow whose masked key is `key`. */
export function putMask(w: MessageWriter, type: number, key: FlowKey, mask: FlowMask): void {
  const nest = beginNest(w, type);
  putAttrs(w, key, mask, true);
  w.endNest(nest);
}

function beginNest(w: MessageWriter, type: number): number {
  w.reserve(ROOM);
  return w.nest(type);
}

/** Appends attribute `type` of `out`. */
function put(w: MessageWriter, type: number, out: FlowKey): void {
  const at = w.attrHeader(type, SIZES[type]!);
  storeKeyWords(type, out, w.dv, at);
}

/** `key` decides which attributes there are; their values are those of `out`, the key itself or its mask. */
function putAttrs(w: MessageWriter, key: FlowKey, out: FlowKey, isMask: boolean): void {
  putMetadata(w, key, out, isMask);
  const type = getField(key, FIELD.ethType);
  let encap = -1;
  let innerEncap = -1;
  let isEnd = false;
  if (getField(key, FIELD.packetType) === 0) {
    put(w, K.ETHERNET, out);
    const isVlan = isVlanType(type);
    const tci = getField(key, FIELD.vlanTci);
    const innerTci = getField(key, FIELD.cvlanTci);
    if (tci !== 0 || isVlan) {
      encap = putVlan(w, getField(out, FIELD.vlanTpid), getField(out, FIELD.vlanTci), isMask);
      // A TCI of 0: the frame ended inside the tag.
      if (tci === 0) {
        isEnd = true;
      } else if (innerTci !== 0 || isVlan) {
        innerEncap = putVlan(w, getField(out, FIELD.cvlanTpid), getField(out, FIELD.cvlanTci), isMask);
        isEnd = innerTci === 0;
      }
    }
    if (!isEnd && type === ETH_TYPE_802_2) {
      // No ethertype stands for a length in its place; a mask says that this was matched.
      if (isMask && getField(out, FIELD.ethType) !== 0) put(w, K.ETHERTYPE, out);
      isEnd = true;
    }
  }
  if (!isEnd) {
    put(w, K.ETHERTYPE, out);
    if (!isVlanType(type)) putL3(w, type, key, out, isMask);
  }
  if (innerEncap >= 0) w.endNest(innerEncap);
  if (encap >= 0) w.endNest(encap);
}

function putMetadata(w: MessageWriter, key: FlowKey, out: FlowKey, isMask: boolean): void {
  put(w, K.RECIRC_ID, out);
  put(w, K.DP_HASH, out);
  put(w, K.PRIORITY, out);
  if (isMask || getField(key, FIELD.tunPresent) !== 0) putTunnel(w, key, out);
  putInPort(w, key, out, isMask);
  put(w, K.SKB_MARK, out);
  put(w, K.CT_STATE, out);
  put(w, K.CT_ZONE, out);
  put(w, K.CT_MARK, out);
  put(w, K.CT_LABELS, out);
  if (getField(key, FIELD.ctNwProto) === 0) return;
  const type = getField(key, FIELD.ethType);
  if (type === ETH_TYPE.IP) put(w, K.CT_ORIG_TUPLE_IPV4, out);
  else if (type === ETH_TYPE.IPV6) put(w, K.CT_ORIG_TUPLE_IPV6, out);
}

/** The kernel keeps 16 bits: a mask's upper ones are always set, and no in_port is a number of its own. */
function putInPort(w: MessageWriter, key: FlowKey, out: FlowKey, isMask: boolean): void {
  const value = getField(out, FIELD.inPort);
  if (getField(key, FIELD.inPort) === NO_IN_PORT) {
    if (isMask && (value & 0xffff) === 0xffff) w.attrU32(K.IN_PORT, 0xffffffff);
    return;
  }
  w.attrU32(K.IN_PORT, isMask ? (value | 0xffff0000) >>> 0 : value);
}

/** Appends a tag and begins its ENCAP nest, which it returns. */
function putVlan(w: MessageWriter, tpid: number, tci: number, isMask: boolean): number {
  w.dv.setUint16(w.attrHeader(K.ETHERTYPE, 2), isMask ? 0xffff : tpid);
  w.dv.setUint16(w.attrHeader(K.VLAN, 2), tci);
  return w.nest(K.ENCAP);
}

function putL3(w: MessageWriter, type: number, key: FlowKey, out: FlowKey, isMask: boolean): void {
  switch (type) {
    case ETH_TYPE.IP:
      put(w, K.IPV4, out);
      break;
    case ETH_TYPE.IPV6:
      put(w, K.IPV6, out);
      put(w, K.IPV6_EXTHDRS, out);
      break;
    case ETH_TYPE.ARP:
    case ETH_TYPE.RARP:
      put(w, K.ARP, out);
      return;
    case ETH_TYPE.NSH:
      putNsh(w, out, isMask);
      return;
    default:
      if (isMplsType(type)) putMpls(w, out);
      return;
  }
  if (getField(key, FIELD.nwFrag) !== OVS_FRAG_TYPE.LATER) putL4(w, type, key, out);
}

function putL4(w: MessageWriter, type: number, key: FlowKey, out: FlowKey): void {
  switch (getField(key, FIELD.nwProto)) {
    case IPPROTO.TCP:
      put(w, K.TCP, out);
      put(w, K.TCP_FLAGS, out);
      break;
    case IPPROTO.UDP:
      put(w, K.UDP, out);
      break;
    case IPPROTO.SCTP:
      put(w, K.SCTP, out);
      break;
    case IPPROTO.ICMP:
      if (type === ETH_TYPE.IP) put(w, K.ICMP, out);
      break;
    case IPPROTO.ICMPV6: {
      if (type !== ETH_TYPE.IPV6) break;
      put(w, K.ICMPV6, out);
      const icmpType = getField(key, FIELD.tpSrc);
      if (icmpType === ND.SOLICIT || icmpType === ND.ADVERT) put(w, K.ND, out);
      break;
    }
    default:
  }
}

/** As many label stack entries as the key or mask has: none if the packet ended before the bottom of the stack. */
function putMpls(w: MessageWriter, out: FlowKey): void {
  const nLabels = mplsLabels(out);
  const at = w.attrHeader(K.MPLS, 4 * nLabels);
  for (let i = 0; i < nLabels; i++) w.dv.setInt32(at + 4 * i, out[MPLS_WORDS + i]!);
}

function putNsh(w: MessageWriter, out: FlowKey, isMask: boolean): void {
  const nest = w.nest(K.NSH);
  const base = w.attrHeader(OVS_NSH_KEY_ATTR.BASE, 8);
  w.dv.setInt32(base, out[NSH_WORD]!);
  w.dv.setInt32(base + 4, out[NSH_WORD + 1]!);
  if (isMask || getField(out, FIELD.nshMdtype) === NSH_MDTYPE1) {
    const md1 = w.attrHeader(OVS_NSH_KEY_ATTR.MD1, 16);
    for (let i = 0; i < 4; i++) w.dv.setInt32(md1 + 4 * i, out[NSH_CONTEXT_WORD + i]!);
  }
  w.endNest(nest);
}
