/**
 * Which attribute holds the layer above an Ethertype or an IP protocol: what keys, masks and their nests agree on.
 * Source: include/uapi/linux/if_ether.h, in.h; lib/odp-util.c.
 */
import { FIELD as F } from '../../flow/fields.ts';
import { type FlowKey, getField } from '../../flow/flow-key.ts';
import { OVS_KEY_ATTR as K } from './key-table.ts';

/** Ethertypes that the datapath looks into. */
// biome-ignore format: table
export const ETH_P = {
  IP: 0x0800, ARP: 0x0806, RARP: 0x8035, VLAN: 0x8100, IPV6: 0x86dd, MPLS: 0x8847, MPLS_MC: 0x8848, QINQ: 0x88a8, NSH: 0x894f,
} as const;
export const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132 } as const;

export const isVlan = (ethType: number): boolean => ethType === ETH_P.VLAN || ethType === ETH_P.QINQ;
export const isMpls = (ethType: number): boolean => ethType === ETH_P.MPLS || ethType === ETH_P.MPLS_MC;
export const isIp = (ethType: number): boolean => ethType === ETH_P.IP || ethType === ETH_P.IPV6;

/** The OVS_KEY_ATTR of a network layer; 0 if there is none (MPLS is no such layer). */
export function l3Attr(ethType: number): number {
  switch (ethType) {
    case ETH_P.IP:
      return K.IPV4;
    case ETH_P.IPV6:
      return K.IPV6;
    case ETH_P.ARP:
    case ETH_P.RARP:
      return K.ARP;
    case ETH_P.NSH:
      return K.NSH;
    default:
      return 0;
  }
}

/** The OVS_KEY_ATTR of a transport layer inside IPv4 or IPv6; 0 if there is none. */
export function l4Attr(proto: number, ethType: number): number {
  switch (proto) {
    case IPPROTO.TCP:
      return K.TCP;
    case IPPROTO.UDP:
      return K.UDP;
    case IPPROTO.SCTP:
      return K.SCTP;
    case IPPROTO.ICMP:
      return ethType === ETH_P.IP ? K.ICMP : 0;
    case IPPROTO.ICMPV6:
      return ethType === ETH_P.IPV6 ? K.ICMPV6 : 0;
    default:
      return 0;
  }
}

/** True if an ICMPv6 flow is a neighbour solicitation or advertisement. */
export function isNd(flow: FlowKey): boolean {
  const type = getField(flow, F.tpSrc);
  return (type === 135 || type === 136) && getField(flow, F.tpDst) === 0;
}
