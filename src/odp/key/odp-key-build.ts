/**
 * From flow keys and masks to OVS_KEY_ATTR_* nests, attribute by attribute in the order in which ovs-vswitchd writes them.
 *
 * A mask has the attributes of its key: which layers there are is a matter of the key, whatever the mask matches.  Attributes that
 * a datapath does not know are left out, as `OdpSupport` says.  `odp-key.ts` is the way back.
 * Warm path: once per installed flow.
 * Source: lib/odp-util.c (odp_flow_key_from_flow__), lib/odp-util.h (ODP_SUPPORT_FIELDS).
 */
import { FIELD, type Field, OVS_FRAG_TYPE, VLAN_CFI } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField } from '../../flow/flow-key.ts';
import { MessageWriter } from '../../netlink/message.ts';
import { storeKeyAttr } from './key-codec.ts';
import { OVS_KEY_ATTR as K, KEY_ROWS } from './key-table.ts';
import { putNsh, putTunnel } from './odp-key-nests.ts';
import { LABELS_SIZE, putFlowLabels } from './odp-labels.ts';
import { ETH_P, IPPROTO, isIp, isMpls, isNd, isVlan } from './odp-layers.ts';

// Fields by themselves: FIELD has so many that reading one from it is a hash look-up; this saves a third of the time here.
// biome-ignore format: table
const {
  ctNwProto: CT_NW_PROTO, cvlanTci: CVLAN_TCI, cvlanTpid: CVLAN_TPID, dpHash: DP_HASH, ethType: ETH_TYPE,
  inPort: IN_PORT, mplsLse0: MPLS_LSE0, mplsLse1: MPLS_LSE1, mplsLse2: MPLS_LSE2, ndOptionsType: ND_OPTIONS_TYPE,
  ndReserved: ND_RESERVED, nwFrag: NW_FRAG, nwProto: NW_PROTO, packetType: PACKET_TYPE, recircId: RECIRC_ID,
  skbMark: SKB_MARK, skbPriority: SKB_PRIORITY, tcpFlags: TCP_FLAGS, tpDst: TP_DST, tpSrc: TP_SRC,
  tunPresent: TUN_PRESENT, vlanTci: VLAN_TCI, vlanTpid: VLAN_TPID,
} = FIELD;

/** What a datapath can match. */
export interface OdpSupport {
  /** VLAN tags, 0 to 2. */
  readonly maxVlanHeaders: number;
  /** MPLS labels in a mask, 0 to 3. */
  readonly maxMplsDepth: number;
  readonly recirc: boolean;
  readonly ctState: boolean;
  readonly ctZone: boolean;
  readonly ctMark: boolean;
  readonly ctLabel: boolean;
  readonly ctOrigTuple: boolean;
  readonly ctOrigTuple6: boolean;
  /** Userspace datapaths only. */
  readonly ndExt: boolean;
  /** Whether the packet type stands in keys: in those of userspace datapaths. */
  readonly packetType?: boolean;
}

/** What openvswitch.ko of Linux 6.1 can, and a vswitchd with its default vlan-limit uses. */
export const KERNEL_SUPPORT: OdpSupport = {
  maxVlanHeaders: 1,
  maxMplsDepth: 3,
  recirc: true,
  ctState: true,
  ctZone: true,
  ctMark: true,
  ctLabel: true,
  ctOrigTuple: true,
  ctOrigTuple6: true,
  ndExt: false,
};

/** What stock's datapath in userspace shows of its flows.  Source: lib/dpif-netdev.c (dp_netdev_support). */
export const NETDEV_SUPPORT: OdpSupport = { ...KERNEL_SUPPORT, maxVlanHeaders: 2, packetType: true };

/** The name space of packet types that are Ethertypes. */
const ETHERTYPES = 1;
const ETH_TYPE_MIN = 0x600;
const ODPP_NONE = 0xffffffff;

/** Appends one attribute of fixed size from the fields of `data`. */
function putAttr(w: MessageWriter, type: number, data: FlowKey): void {
  const row = KEY_ROWS[type];
  if (row === undefined) return;
  const at = w.attrHeader(type, row.size);
  for (let i = at; i < at + row.size; i++) w.bytes[i] = 0;
  storeKeyAttr(row, data, w.dv, at, w.bytes);
}

function putBe16(w: MessageWriter, type: number, value: number): void {
  w.dv.setUint16(w.attrHeader(type, 2), value);
}

// Writing never waits, so that one buffer serves all nests.
const scratch = new MessageWriter(1024);

/** The nest of a key. */
export function odpKeyFromFlow(flow: FlowKey, support: OdpSupport): Uint8Array {
  const w = scratch;
  w.reset();
  putOdpKey(w, flow, support);
  return w.bytes.slice(0, w.size);
}

/** The nest of a mask; `flow` is its key. */
export function odpKeyFromMask(mask: FlowMask, flow: FlowKey, support: OdpSupport): Uint8Array {
  const w = scratch;
  w.reset();
  putOdpMask(w, mask, flow, support);
  return w.bytes.slice(0, w.size);
}

/** Appends the attributes of a key to `w`. */
export function putOdpKey(w: MessageWriter, flow: FlowKey, support: OdpSupport): void {
  put(w, flow, flow, support);
}

/** Appends the attributes of a mask to `w`. */
export function putOdpMask(w: MessageWriter, mask: FlowMask, flow: FlowKey, support: OdpSupport): void {
  put(w, mask, flow, support);
}

/** `data` is what is written: `flow` itself, or a mask, which `flow` tells how to read. */
function put(w: MessageWriter, data: FlowKey, flow: FlowKey, support: OdpSupport): void {
  const isMask = data !== flow;
  w.attrU32(K.PRIORITY, getField(data, SKB_PRIORITY));
  if (isMask || getField(flow, TUN_PRESENT) !== 0) putTunnel(w, data, flow);
  w.attrU32(K.SKB_MARK, getField(data, SKB_MARK));
  putConntrack(w, data, flow, support);
  if (support.recirc) {
    w.attrU32(K.RECIRC_ID, getField(data, RECIRC_ID));
    w.attrU32(K.DP_HASH, getField(data, DP_HASH));
  }
  if (isMask || getField(flow, IN_PORT) !== ODPP_NONE) w.attrU32(K.IN_PORT, getField(data, IN_PORT));
  if (support.packetType) {
    const at = w.attrHeader(K.PACKET_TYPE, 4);
    const type = getField(data, PACKET_TYPE);
    w.dv.setUint32(at, isMask ? 0xffffffff : type === 0 ? 0 : ETHERTYPES * 0x10000 + type);
  }
  putLayers(w, data, flow, support);
}

function putConntrack(w: MessageWriter, data: FlowKey, flow: FlowKey, support: OdpSupport): void {
  if (support.ctState) putAttr(w, K.CT_STATE, data);
  if (support.ctZone) putAttr(w, K.CT_ZONE, data);
  if (support.ctMark) putAttr(w, K.CT_MARK, data);
  if (support.ctLabel) {
    const at = w.attrHeader(K.CT_LABELS, LABELS_SIZE);
    putFlowLabels(w.bytes, at, data);
  }
  if (getField(flow, CT_NW_PROTO) === 0) return;
  const ethType = getField(flow, ETH_TYPE);
  if (support.ctOrigTuple && ethType === ETH_P.IP) putAttr(w, K.CT_ORIG_TUPLE_IPV4, data);
  else if (support.ctOrigTuple6 && ethType === ETH_P.IPV6) putAttr(w, K.CT_ORIG_TUPLE_IPV6, data);
}

const TAGS: readonly { tpid: Field; tci: Field }[] = [
  { tpid: VLAN_TPID, tci: VLAN_TCI },
  { tpid: CVLAN_TPID, tci: CVLAN_TCI },
];

const VID_MASK = 0xfff;
/**
 * The mask of a tag that is there.  That it is there must be matched; a flow that does not look at the tag matches its VID as well, as
 * dpif-netdev has it (dp_netdev_flow_put).
 */
const tagMask = (tci: number): number => (tci === 0 ? VLAN_CFI | VID_MASK : tci | VLAN_CFI);

function putLayers(w: MessageWriter, data: FlowKey, flow: FlowKey, support: OdpSupport): void {
  const isMask = data !== flow;
  const nests: number[] = [];
  let isTruncated = false;
  if (getField(flow, PACKET_TYPE) === 0) {
    putAttr(w, K.ETHERNET, data);
    for (const tag of TAGS.slice(0, support.maxVlanHeaders)) {
      const hasTag = (getField(flow, tag.tci) & VLAN_CFI) !== 0;
      const ethType = getField(flow, ETH_TYPE);
      // A frame that ends within its tag has the tag's TPID for an Ethertype.
      if (!hasTag && !isVlan(ethType)) break;
      putBe16(w, K.ETHERTYPE, isMask ? 0xffff : hasTag ? getField(flow, tag.tpid) : ethType);
      putBe16(w, K.VLAN, isMask && hasTag ? tagMask(getField(data, tag.tci)) : getField(data, tag.tci));
      nests.push(w.nest(K.ENCAP));
      if (!hasTag) {
        isTruncated = true;
        break;
      }
    }
  }
  if (!isTruncated) putL3(w, data, flow, support);
  for (const nest of nests.reverse()) w.endNest(nest);
}

function putL3(w: MessageWriter, data: FlowKey, flow: FlowKey, support: OdpSupport): void {
  const isMask = data !== flow;
  const ethType = getField(flow, ETH_TYPE);
  if (ethType < ETH_TYPE_MIN) {
    // No Ethertype with a mask of all ones: a frame that is not Ethernet II.
    if (isMask) putBe16(w, K.ETHERTYPE, 0xffff);
    return;
  }
  putBe16(w, K.ETHERTYPE, getField(data, ETH_TYPE));
  if (ethType === ETH_P.IP) putAttr(w, K.IPV4, data);
  else if (ethType === ETH_P.IPV6) putAttr(w, K.IPV6, data);
  else if (ethType === ETH_P.ARP || ethType === ETH_P.RARP) putArp(w, data);
  else if (isMpls(ethType)) putMpls(w, data, flow, isMask ? support.maxMplsDepth : LSES.length);
  else if (ethType === ETH_P.NSH) putNsh(w, data, isMask);
  if (isIp(ethType) && getField(flow, NW_FRAG) !== OVS_FRAG_TYPE.LATER) putL4(w, data, flow, ethType, support);
}

/** The opcode is 16 bits on the wire and 8 in a flow; matching all 8 is matching all 16. */
function putArp(w: MessageWriter, data: FlowKey): void {
  const at = w.size + 4;
  putAttr(w, K.ARP, data);
  if (getField(data, NW_PROTO) === 0xff) w.dv.setUint16(at + 8, 0xffff);
}

const LSES = [MPLS_LSE0, MPLS_LSE1, MPLS_LSE2] as const;
const MPLS_BOS = 0x100;

/** As many labels as the key has, up to its bottom of stack, and at most `limit`. */
function putMpls(w: MessageWriter, data: FlowKey, flow: FlowKey, limit: number): void {
  let n = 0;
  while (n < LSES.length) {
    const lse = getField(flow, LSES[n++] ?? MPLS_LSE0);
    if (lse & MPLS_BOS) break;
  }
  n = Math.min(n, limit);
  const at = w.attrHeader(K.MPLS, 4 * n);
  for (let i = 0; i < n; i++) w.dv.setUint32(at + 4 * i, getField(data, LSES[i] ?? MPLS_LSE0));
}

function putL4(w: MessageWriter, data: FlowKey, flow: FlowKey, ethType: number, support: OdpSupport): void {
  const isMask = data !== flow;
  switch (getField(flow, NW_PROTO)) {
    case IPPROTO.TCP:
      putAttr(w, K.TCP, data);
      if (!isMask || getField(data, TCP_FLAGS)) putAttr(w, K.TCP_FLAGS, data);
      break;
    case IPPROTO.UDP:
      putAttr(w, K.UDP, data);
      break;
    case IPPROTO.SCTP:
      putAttr(w, K.SCTP, data);
      break;
    case IPPROTO.ICMP:
      if (ethType === ETH_P.IP) putAttr(w, K.ICMP, data);
      break;
    case IPPROTO.ICMPV6:
      if (ethType === ETH_P.IPV6) putIcmpv6(w, data, flow, support);
      break;
  }
}

function putIcmpv6(w: MessageWriter, data: FlowKey, flow: FlowKey, support: OdpSupport): void {
  putAttr(w, K.ICMPV6, data);
  const isTypeMatched = (getField(data, TP_SRC) & 0xff) === 0xff && (getField(data, TP_DST) & 0xff) === 0xff;
  if (!isNd(flow) || (data !== flow && !isTypeMatched)) return;
  putAttr(w, K.ND, data);
  if (support.ndExt && (getField(data, ND_RESERVED) || getField(data, ND_OPTIONS_TYPE)))
    putAttr(w, K.ND_EXTENSIONS, data);
}
