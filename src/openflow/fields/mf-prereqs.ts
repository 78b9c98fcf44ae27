/**
 * What match fields need of a packet: `ip_src` an IPv4 packet, `tcp_src` one of TCP that is no later fragment.
 * Source: lib/meta-flow.c (mf_are_prereqs_ok), lib/flow.h (is_vlan, is_nd, is_ct_valid and their like).
 */
import { getBits, setBits } from '../../flow/bits.ts';
import { FIELD, type Field, VLAN_CFI } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import type { MfField } from './mf-field.ts';

const get = (flow: FlowKey, field: Field): number => getBits(flow, field.at, field.bits);
const set = (flow: FlowKey, field: Field, value: number): void => setBits(flow, field.at, field.bits, value);

const ETH = { IP: 0x0800, ARP: 0x0806, RARP: 0x8035, IPV6: 0x86dd, MPLS: 0x8847, MPLS_MCAST: 0x8848, NSH: 0x894f };
// Lists of what a field may be in: made once, as this is asked for each field of each flow.
const IPV4 = [ETH.IP];
const IPV6 = [ETH.IPV6];
const IP = [ETH.IP, ETH.IPV6];
const ND = { any: [135, 136], solicit: [135], advert: [136] };
const CT = { NEW: 1, EST: 2, REL: 4, REPLY: 8, INVALID: 16, TRACKED: 32, SNAT: 64, DNAT: 128 };

/** Whether the flow is of an IP protocol; adds nwProto to `wc` if it had to be looked at. */
function isProto(flow: FlowKey, type: number, types: readonly number[], proto: number, wc?: FlowMask): boolean {
  if (!types.includes(type)) return false;
  if (wc !== undefined) set(wc, FIELD.nwProto, 0xff);
  return get(flow, FIELD.nwProto) === proto;
}

function isNd(flow: FlowKey, type: number, icmpTypes: readonly number[], wc?: FlowMask): boolean {
  if (!isProto(flow, type, IPV6, 58, wc)) return false;
  if (wc !== undefined) set(wc, FIELD.tpDst, 0xffff);
  if (get(flow, FIELD.tpDst) !== 0) return false;
  if (wc !== undefined) set(wc, FIELD.tpSrc, 0xffff);
  return icmpTypes.includes(get(flow, FIELD.tpSrc));
}

function isCtValid(flow: FlowKey, mask?: FlowMask, wc?: FlowMask): boolean {
  const state = get(flow, FIELD.ctState);
  if (mask !== undefined) {
    if ((state & (CT.NEW | CT.EST | CT.REL | CT.REPLY | CT.SNAT | CT.DNAT)) !== 0) return true;
    const isNotInvalid = (get(mask, FIELD.ctState) & CT.INVALID) !== 0 && (state & CT.INVALID) === 0;
    return (state & CT.TRACKED) !== 0 && isNotInvalid;
  }
  const valid = CT.NEW | CT.EST | CT.REPLY;
  if (wc !== undefined) set(wc, FIELD.ctState, get(wc, FIELD.ctState) | valid);
  return (state & valid) !== 0;
}

/**
 * Whether a flow has what a field needs.  With `mask`, flow and mask are a match, and it is asked whether every packet of it has; with
 * `wc`, the flow is a packet's, and the bits that were looked at are added to `wc`.
 */
export function mfPrereqsOk(field: MfField, flow: FlowKey, mask?: FlowMask, wc?: FlowMask): boolean {
  const packetType = get(flow, FIELD.packetType);
  const type = packetType !== 0 ? packetType : get(flow, FIELD.ethType);
  const isNotLater = (get(flow, FIELD.nwFrag) & 2) === 0;
  switch (field.prereq) {
    case 'none':
      return true;
    case 'ethernet':
    case 'vlan-vid':
      if (wc !== undefined) set(wc, FIELD.packetType, 0xffff);
      if (packetType !== 0 || field.prereq === 'ethernet') return packetType === 0;
      if (wc !== undefined) set(wc, FIELD.vlanTci, get(wc, FIELD.vlanTci) | VLAN_CFI);
      return (get(flow, FIELD.vlanTci) & VLAN_CFI) !== 0;
    case 'arp':
      return type === ETH.ARP || type === ETH.RARP;
    case 'ipv4':
      return type === ETH.IP;
    case 'ipv6':
      return type === ETH.IPV6;
    case 'ip-any':
      return IP.includes(type);
    case 'mpls':
      return type === ETH.MPLS || type === ETH.MPLS_MCAST;
    case 'nsh':
      return type === ETH.NSH;
    case 'ct-valid':
      return isCtValid(flow, mask, wc);
    case 'tcp':
      return isProto(flow, type, IP, 6, wc) && isNotLater;
    case 'udp':
      return isProto(flow, type, IP, 17, wc) && isNotLater;
    case 'sctp':
      return isProto(flow, type, IP, 132, wc) && isNotLater;
    case 'icmpv4':
      return isProto(flow, type, IPV4, 1, wc);
    case 'icmpv6':
      return isProto(flow, type, IPV6, 58, wc);
    case 'nd':
      return isNd(flow, type, ND.any, wc);
    case 'nd-solicit':
      return isNd(flow, type, ND.solicit, wc);
    case 'nd-advert':
      return isNd(flow, type, ND.advert, wc);
  }
}
