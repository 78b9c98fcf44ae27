/**
 * Which fields the headers of a packet have, by its Ethernet type, IP protocol, fragment type and tags.
 *
 * A look-up may have consulted a field that the packet has not got, for instance a TCP port of an ARP packet; the megaflow
 * cannot say so, and need not: what tells that the field is absent is matched anyway.
 * Source: lib/flow.h, net/openvswitch/flow_netlink.c (the attributes that each protocol has).
 */
import { FIELD, type FieldName, FLOW_WORDS, FLOW_WORDS_BASE, OVS_FRAG_TYPE, VLAN_CFI } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, newFlowKey, setField } from '../../flow/flow-key.ts';
import { bitsOf, nVlans, unwildcard } from './wildcards.ts';

// biome-ignore format: table
const GROUPS = {
  metadata: ['recircId', 'inPort', 'skbPriority', 'skbMark', 'dpHash', 'ctState', 'ctZone', 'ctMark', 'ctLabels'],
  ethernet: ['ethDst', 'ethSrc'],
  // Of a packet without an Ethernet header, too.
  type:     ['ethType'],
  vlan:     ['vlanTpid', 'vlanTci'],
  cvlan:    ['cvlanTpid', 'cvlanTci'],
  ip:       ['nwProto', 'nwTos', 'nwTtl', 'nwFrag'],
  ipv4:     ['nwSrc', 'nwDst'],
  ipv6:     ['ipv6Src', 'ipv6Dst', 'ipv6Label'],
  arp:      ['nwProto', 'nwSrc', 'nwDst', 'arpSha', 'arpTha'],
  ports:    ['tpSrc', 'tpDst'],
  tcp:      ['tcpFlags'],
  nd:       ['ndTarget', 'arpSha', 'arpTha', 'ndReserved', 'ndOptionsType'],
  ctV4:     ['ctNwProto', 'ctNwSrc', 'ctNwDst', 'ctTpSrc', 'ctTpDst'],
  ctV6:     ['ctNwProto', 'ctIpv6Src', 'ctIpv6Dst', 'ctTpSrc', 'ctTpDst'],
  mpls:     ['mplsLse0', 'mplsLse1', 'mplsLse2'],
  nsh:      ['nshFlags', 'nshTtl', 'nshMdtype', 'nshNp', 'nshPathHdr', 'nshC1', 'nshC2', 'nshC3', 'nshC4'],
  tunnel:   ['tunId', 'tunSrc', 'tunDst', 'tunIpv6Src', 'tunIpv6Dst', 'tunTos', 'tunTtl', 'tunFlags', 'tunTpSrc', 'tunTpDst', 'tunGbpId',
             'tunGbpFlags', 'tunErspanIndex', 'tunErspanVer', 'tunErspanDir', 'tunErspanHwid', 'tunOptsSize', 'tunOpts'],
} as const satisfies Record<string, readonly FieldName[]>;
type Group = keyof typeof GROUPS;

const GROUP_BITS = Object.fromEntries(
  Object.entries(GROUPS).map(([name, fields]) => [name, bitsOf(...fields.map((f) => FIELD[f]))]),
) as Record<Group, ReturnType<typeof bitsOf>>;

const PROTO = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132 } as const;
const ETH_TYPE = {
  IPV4: 0x0800,
  ARP: 0x0806,
  RARP: 0x8035,
  IPV6: 0x86dd,
  MPLS: 0x8847,
  MPLS_MCAST: 0x8848,
  NSH: 0x894f,
} as const;
const ND_SOLICIT = 135;
const ND_ADVERT = 136;

/** True for IPv4 and IPv6. */
export const isIp = (ethType: number): boolean => ethType === ETH_TYPE.IPV4 || ethType === ETH_TYPE.IPV6;

function l4Groups(key: FlowKey, isV6: boolean): Group[] {
  if (getField(key, FIELD.nwFrag) === OVS_FRAG_TYPE.LATER) return [];
  switch (getField(key, FIELD.nwProto)) {
    case PROTO.TCP:
      return ['ports', 'tcp'];
    case PROTO.UDP:
    case PROTO.SCTP:
      return ['ports'];
    case PROTO.ICMP:
      return isV6 ? [] : ['ports'];
    case PROTO.ICMPV6: {
      if (!isV6) return [];
      const type = getField(key, FIELD.tpSrc);
      return type === ND_SOLICIT || type === ND_ADVERT ? ['ports', 'nd'] : ['ports'];
    }
    default:
      return [];
  }
}

/** Whether the packet came with the original direction's tuple of its connection. */
const hasTuple = (key: FlowKey): boolean => getField(key, FIELD.ctNwProto) !== 0;

function l3Groups(key: FlowKey): Group[] {
  switch (getField(key, FIELD.ethType)) {
    case ETH_TYPE.IPV4:
      return ['ip', 'ipv4', ...(hasTuple(key) ? (['ctV4'] as const) : []), ...l4Groups(key, false)];
    case ETH_TYPE.IPV6:
      return ['ip', 'ipv6', ...(hasTuple(key) ? (['ctV6'] as const) : []), ...l4Groups(key, true)];
    case ETH_TYPE.ARP:
    case ETH_TYPE.RARP:
      return ['arp'];
    case ETH_TYPE.MPLS:
    case ETH_TYPE.MPLS_MCAST:
      return ['mpls'];
    case ETH_TYPE.NSH:
      return ['nsh'];
    default:
      return [];
  }
}

function groupsOf(key: FlowKey): Group[] {
  const groups: Group[] = ['metadata', 'type'];
  if (getField(key, FIELD.packetType) === 0) groups.push('ethernet');
  const tags = nVlans(key);
  if (tags > 0) groups.push('vlan');
  if (tags > 1) groups.push('cvlan');
  if (getField(key, FIELD.tunPresent) !== 0) groups.push('tunnel');
  return [...groups, ...l3Groups(key)];
}

const cache = new Map<number, FlowMask>();

/** What the groups depend on, in one number. */
function shapeOf(key: FlowKey): number {
  const ethType = getField(key, FIELD.ethType);
  let shape = ethType;
  if (isIp(ethType)) {
    const proto = getField(key, FIELD.nwProto);
    const type = getField(key, FIELD.tpSrc);
    const isNd = proto === PROTO.ICMPV6 && (type === ND_SOLICIT || type === ND_ADVERT);
    shape += (proto * 16 + (hasTuple(key) ? 8 : 0) + getField(key, FIELD.nwFrag) * 2 + (isNd ? 1 : 0)) * 0x10000;
  }
  const tunnel = getField(key, FIELD.tunPresent) === 0 ? 0 : 1;
  const l3 = getField(key, FIELD.packetType) === 0 ? 0 : 1;
  return shape * 16 + nVlans(key) * 4 + tunnel * 2 + l3;
}

/** The bits that a packet like `key` has.  Owned by this module: do not change. */
export function presentBits(key: FlowKey): FlowMask {
  const shape = shapeOf(key);
  let mask = cache.get(shape);
  if (mask === undefined) {
    mask = newFlowKey();
    for (const g of groupsOf(key)) unwildcard(mask, GROUP_BITS[g]);
    // ICMP types and codes are single bytes, in the low halves of their fields.
    const proto = getField(key, FIELD.nwProto);
    if (isIp(getField(key, FIELD.ethType)) && (proto === PROTO.ICMP || proto === PROTO.ICMPV6)) {
      const icmp = FIELD.tpSrc.word;
      mask[icmp] = (mask[icmp] as number) & 0x00ff00ff;
    }
    // There are few shapes in practice; a flood of made-up protocols must not eat the memory.
    if (cache.size > 4096) cache.clear();
    cache.set(shape, mask);
  }
  return mask;
}

/** Clears from `wc` the bits of fields that a packet like `key` has not got. */
export function clearAbsent(wc: FlowMask, key: FlowKey): void {
  const present = presentBits(key);
  // What lies beyond is tunnel options, which nothing consults without a tunnel.
  const n = getField(key, FIELD.tunPresent) === 0 ? FLOW_WORDS_BASE : FLOW_WORDS;
  for (let i = 0; i < n; i++) wc[i] = (wc[i] as number) & (present[i] as number);
  wc.fill(0, n);
}

const VID_AND_CFI = [FIELD.vlanTci, FIELD.cvlanTci] as const;
const MPLS_BITS = bitsOf(FIELD.mplsLse0, FIELD.mplsLse1, FIELD.mplsLse2);
const PORTS = FIELD.tpSrc.word;

/**
 * What `ofproto/trace` shows of the bits that a translation consulted: more than `clearAbsent` leaves.  Whether an IP packet has ports, for
 * instance, it does not ask.  Source: ofproto/ofproto-dpif-xlate.c (xlate_wc_finish).
 */
export function shownBits(consulted: FlowMask, key: FlowKey): FlowMask {
  const wc = consulted.slice();
  const ethType = getField(key, FIELD.ethType);
  const proto = getField(key, FIELD.nwProto);
  if (getField(key, FIELD.packetType) !== 0) wc.fill(0, FIELD.ethDst.word, FIELD.ethType.word);
  const isIcmp = proto === (ethType === ETH_TYPE.IPV4 ? PROTO.ICMP : PROTO.ICMPV6);
  if (isIp(ethType) && isIcmp) wc[PORTS] = (wc[PORTS] as number) & 0x00ff00ff;
  if (getField(key, FIELD.nwFrag) === OVS_FRAG_TYPE.LATER) wc[PORTS] = 0;
  const tags = nVlans(key);
  for (const [i, { word }] of VID_AND_CFI.entries()) {
    const tag = wc[word] as number;
    if (i >= tags) wc[word] = 0;
    else if ((tag & 0xffff) !== 0) wc[word] = tag | VLAN_CFI;
  }
  if (ethType !== ETH_TYPE.MPLS && ethType !== ETH_TYPE.MPLS_MCAST) for (const w of MPLS_BITS.words) wc[w] = 0;
  // Fields of tun_metadata are shown as such, not as the options that they are.
  if (getField(key, FIELD.tunPresent) === 0) wc.fill(0, FIELD.tunId.word);
  else {
    // The size shares its word with fields of ERSPAN.
    setField(wc, FIELD.tunOptsSize, 0);
    wc.fill(0, FIELD.tunOptsSize.word + 1, FIELD.tunMetaPresent.word);
  }
  return wc;
}
