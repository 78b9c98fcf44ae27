/**
 * The mask that matches all that a flow key can say: what a datapath flow without a mask means.  Cold path.
 * Source: lib/flow.c (flow_wildcards_init_for_packet).
 */
import { FIELD as F, type Field, OVS_FRAG_TYPE } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField, setFieldOnes } from '../../flow/flow-key.ts';
import { OVS_KEY_ATTR as K } from './key-table.ts';
import { ETH_P, isIp, isMpls, isNd, l3Attr, l4Attr } from './odp-layers.ts';

/** Fields that every packet has, whatever it is. */
// biome-ignore format: table
const ALWAYS: readonly Field[] = [
  F.recircId, F.inPort, F.skbPriority, F.skbMark, F.dpHash, F.packetType, F.ethType, F.vlanTpid, F.vlanTci,
  F.ctState, F.ctZone, F.ctMark, F.ctLabels,
];
// biome-ignore format: table
const TUNNEL: readonly Field[] = [
  F.tunPresent, F.tunId, F.tunSrc, F.tunDst, F.tunIpv6Src, F.tunIpv6Dst, F.tunTos, F.tunTtl, F.tunFlags, F.tunTpSrc, F.tunTpDst,
  F.tunGbpId, F.tunGbpFlags, F.tunErspanIndex, F.tunErspanVer, F.tunErspanDir, F.tunErspanHwid, F.tunOptsSize, F.tunOpts,
];
const ETHERNET: readonly Field[] = [F.ethSrc, F.ethDst];
const IP: readonly Field[] = [F.nwProto, F.nwTos, F.nwTtl, F.nwFrag];
const L4_PORTS: readonly Field[] = [F.tpSrc, F.tpDst];
const ND: readonly Field[] = [F.ndTarget, F.arpSha, F.arpTha];
// biome-ignore format: table
const L3: Readonly<Record<number, readonly Field[]>> = {
  [K.IPV4]: [F.nwSrc, F.nwDst, ...IP],
  [K.IPV6]: [F.ipv6Src, F.ipv6Dst, F.ipv6Label, ...IP],
  [K.ARP]:  [F.nwSrc, F.nwDst, F.nwProto, F.arpSha, F.arpTha],
  [K.NSH]:  [F.nshFlags, F.nshTtl, F.nshMdtype, F.nshNp, F.nshPathHdr, F.nshC1, F.nshC2, F.nshC3, F.nshC4],
  [K.MPLS]: [F.mplsLse0, F.mplsLse1, F.mplsLse2],
};

/** Sets `mask`, which it overwrites, to match all of `flow`. */
export function exactMaskOf(flow: FlowKey, mask: FlowMask): void {
  mask.fill(0);
  const ethType = getField(flow, F.ethType);
  const fields = [...ALWAYS, ...(L3[isMpls(ethType) ? K.MPLS : l3Attr(ethType)] ?? [])];
  if (getField(flow, F.packetType) === 0) fields.push(...ETHERNET);
  if (getField(flow, F.tunPresent) !== 0) fields.push(...TUNNEL);
  if (getField(flow, F.vlanTci) !== 0) fields.push(F.cvlanTpid, F.cvlanTci);
  const hasL4 = isIp(ethType) && getField(flow, F.nwFrag) !== OVS_FRAG_TYPE.LATER;
  const type = hasL4 ? l4Attr(getField(flow, F.nwProto), ethType) : 0;
  if (type === K.ICMP || type === K.ICMPV6) {
    // Types and codes are one byte each.
    setField(mask, F.tpSrc, 0xff);
    setField(mask, F.tpDst, 0xff);
    if (type === K.ICMPV6 && isNd(flow)) fields.push(...ND);
  } else if (type !== 0) fields.push(...L4_PORTS);
  if (type === K.TCP) fields.push(F.tcpFlags);
  if (getField(flow, F.ctNwProto) !== 0) {
    const addresses = ethType === ETH_P.IPV6 ? [F.ctIpv6Src, F.ctIpv6Dst] : [F.ctNwSrc, F.ctNwDst];
    fields.push(F.ctNwProto, F.ctTpSrc, F.ctTpDst, ...addresses);
  }
  for (const f of fields) setFieldOnes(mask, f);
}
