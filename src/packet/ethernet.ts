/**
 * Ethernet and what stands between it and the network header.  Offsets count from the first byte of a frame.
 *
 *      0                   6                   12          14
 *     +-------------------+-------------------+-----------+----------------
 *     | destination       | source            | ethertype | payload
 *     +-------------------+-------------------+-----------+----------------
 *     | destination       | source            | TPID      | TCI  | ethertype | payload      802.1Q, 802.1ad
 *
 * Sources: IEEE 802.3, 802.1Q; RFC 3032 (MPLS), RFC 8300 (NSH).
 */
import type { Packet } from './packet.ts';

export const ETH_HLEN = 14;
export const ETH_ADDRS = 12;
export const VLAN_HLEN = 4;
export const MPLS_HLEN = 4;

// biome-ignore format: table
export const ETH_TYPE = {
  IP: 0x0800, ARP: 0x0806, TEB: 0x6558, RARP: 0x8035, VLAN_8021Q: 0x8100, IPV6: 0x86dd, VLAN_8021AD: 0x88a8,
  MPLS_UC: 0x8847, MPLS_MC: 0x8848, NSH: 0x894f,
} as const;
/** Ethertypes from here on; smaller numbers are lengths (ETH_P_802_3_MIN). */
export const ETH_TYPE_MIN = 0x0600;

export const isVlanType = (type: number): boolean => type === ETH_TYPE.VLAN_8021Q || type === ETH_TYPE.VLAN_8021AD;
export const isMplsType = (type: number): boolean => type === ETH_TYPE.MPLS_UC || type === ETH_TYPE.MPLS_MC;

/** Bottom of stack, in a label stack entry: label 20, TC 3, S 1, TTL 8 bits. */
export const MPLS_BOS = 0x100;

/** Whether the frame's outermost header is a whole VLAN tag.  Linux keeps that one beside the packet, not in it. */
export function hasVlan(pkt: Packet): boolean {
  if (pkt.packetType !== 0 || pkt.end - pkt.start < ETH_HLEN + VLAN_HLEN) return false;
  return isVlanType(pkt.arena.view.getUint16(pkt.start + ETH_ADDRS));
}

/** Bytes of the packet without its outermost VLAN tag: what Linux calls skb->len. */
export const sizeWithoutVlan = (pkt: Packet): number => pkt.end - pkt.start - (hasVlan(pkt) ? VLAN_HLEN : 0);
