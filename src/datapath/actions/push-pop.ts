/**
 * Puts headers on and takes them off: VLAN tags, MPLS labels, Ethernet headers.  The packet's offsets (l3, l4 and those
 * of offloads) follow; its flow key is stale after most of them (`pkt.isKeyStale`).
 *
 * The caller has made the packet writable, with PUSH_ROOM bytes before `start` for a push.  A function returns false if
 * the packet has not the header that it works on: the caller drops it.  Hot path.
 * Sources: net/openvswitch/actions.c, net/core/skbuff.c.
 */
import { ETH_TYPE_802_2, FIELD, VLAN_CFI } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { replace16 } from '../../packet/checksum.ts';
import {
  ETH_ADDRS,
  ETH_HLEN,
  ETH_TYPE,
  ETH_TYPE_MIN,
  hasVlan,
  isMplsType,
  isVlanType,
  MPLS_HLEN,
  VLAN_HLEN,
} from '../../packet/ethernet.ts';
import { IP, IPV6 } from '../../packet/ip.ts';
import { type Packet, VNET_F } from '../../packet/packet.ts';

const W_VLAN = FIELD.vlanTpid.word;
const W_PROTO = FIELD.nwProto.word;

/** The most that one push needs. */
export const PUSH_ROOM = ETH_HLEN;

/** Moves the packet's start `n` bytes towards lower addresses; `n` may be negative.  Offsets stay where they point. */
export function grow(pkt: Packet, n: number): void {
  pkt.start -= n;
  pkt.l3 += n;
  pkt.l4 += n;
  if (pkt.gsoType !== 0) pkt.hdrLen += n;
  if ((pkt.vnetFlags & VNET_F.NEEDS_CSUM) !== 0) pkt.csumStart += n;
}

/** Moves `size` bytes at `from`, an even number, to `to`; a loop beats copyWithin() for so few. */
function moveBytes(pkt: Packet, from: number, to: number, size: number): void {
  const { view } = pkt.arena;
  if (to < from) for (let i = 0; i < size; i += 2) view.setUint16(to + i, view.getUint16(from + i));
  else for (let i = size - 2; i >= 0; i -= 2) view.setUint16(to + i, view.getUint16(from + i));
}

/**
 * Ethertype of what follows the Ethernet header and the first tag, as the kernel keeps it beside the packet: that of what is
 * at `l3`, but that of the second tag if there is one, so that MPLS and TTL actions leave what is behind two tags alone.
 */
export function protocolOf(pkt: Packet): number {
  if (pkt.packetType !== 0) return pkt.packetType;
  // What was behind a label or a service header is not looked into before its key is made.
  if (pkt.l3 < ETH_HLEN) return ETH_TYPE.TEB;
  if (pkt.protocol !== 0) return pkt.protocol;
  const { view } = pkt.arena;
  if (pkt.l3 > ETH_HLEN + VLAN_HLEN && hasVlan(pkt)) {
    const type = view.getUint16(pkt.start + ETH_HLEN + VLAN_HLEN - 2);
    if (isVlanType(type)) return type;
  }
  return view.getUint16(pkt.start + pkt.l3 - 2);
}

/** `tag`: TPID and TCI with VLAN_CFI, which is not written. */
export function pushVlan(pkt: Packet, key: FlowKey, tag: number): boolean {
  // A bare L3 packet can only get here from inside a list in a list; its tag would never be seen.
  if (pkt.packetType !== 0) return true;
  if (pkt.end - pkt.start < ETH_HLEN) return false;
  if (hasVlan(pkt)) {
    pkt.isKeyStale = true;
    pkt.protocol = 0;
  } else {
    key[W_VLAN] = tag;
  }
  grow(pkt, VLAN_HLEN);
  moveBytes(pkt, pkt.start + VLAN_HLEN, pkt.start, ETH_ADDRS);
  pkt.arena.view.setInt32(pkt.start + ETH_ADDRS, tag & ~VLAN_CFI);
  return true;
}

/**
 * Does nothing to a packet without tag; false if the packet ends in its tag.  The kernel goes by the ethertype that it keeps
 * beside the packet, which is that in a SNAP header until a second tag was there: if it is that of a tag, the kernel takes the
 * length and the LLC header for one.
 */
export function popVlan(pkt: Packet, key: FlowKey): boolean {
  if (pkt.packetType !== 0 || pkt.l3 < ETH_HLEN) return true;
  const { view } = pkt.arena;
  const isTagged = isVlanType(view.getUint16(pkt.start + ETH_ADDRS));
  const isFooled = !pkt.isKeyStale && pkt.l3 > ETH_HLEN + VLAN_HLEN && isVlanType(protocolOf(pkt));
  if (isTagged ? !hasVlan(pkt) : !isFooled) return !isTagged;
  moveBytes(pkt, pkt.start, pkt.start + VLAN_HLEN, ETH_ADDRS);
  grow(pkt, -VLAN_HLEN);
  if (isTagged) {
    const hasNext = isVlanType(view.getUint16(pkt.start + ETH_ADDRS));
    if (hasNext || isFooled) {
      if (!hasNext) view.setUint16(pkt.start + ETH_ADDRS, protocolOf(pkt));
      pkt.isKeyStale = true;
      if (!hasVlan(pkt)) return false;
      // A length there hides the type in the SNAP header, as in the kernel.
      pkt.protocol = view.getUint16(pkt.start + ETH_HLEN + VLAN_HLEN - 2) < ETH_TYPE_MIN ? ETH_TYPE_802_2 : 0;
      return true;
    }
  }
  key[W_VLAN] = 0;
  return true;
}

/**
 * `addrs`: where the 3 words of addresses are in `code`.  False if the packet does not begin with its network header: what
 * popEthernet() leaves of a frame with a SNAP header does not.
 */
export function pushEthernet(pkt: Packet, code: Int32Array, addrs: number): boolean {
  if (pkt.l3 !== 0) return false;
  const { view } = pkt.arena;
  const type = protocolOf(pkt);
  grow(pkt, ETH_HLEN);
  for (let i = 0; i < 3; i++) view.setInt32(pkt.start + 4 * i, code[addrs + i]!);
  view.setUint16(pkt.start + ETH_ADDRS, type);
  pkt.packetType = pkt.protocol = 0;
  pkt.isKeyStale = true;
  return true;
}

/** Leaves of the header's type what is known of it: the type in a SNAP header, too.  False if there is none, or a tag. */
export function popEthernet(pkt: Packet): boolean {
  if (pkt.l3 < ETH_HLEN || pkt.end - pkt.start < ETH_HLEN) return false;
  if (isVlanType(pkt.arena.view.getUint16(pkt.start + ETH_ADDRS))) return false;
  const type = protocolOf(pkt);
  if (isVlanType(type)) return false;
  pkt.packetType = type < ETH_TYPE_MIN ? ETH_TYPE_802_2 : type;
  grow(pkt, -ETH_HLEN);
  pkt.isKeyStale = true;
  return true;
}

/**
 * Puts a label between the Ethernet header, if there is one, and the rest.  The type goes behind the first tag: where a SNAP
 * header had it, in the place of the length.  `isBehindAll`: behind the second, if there is one, as in userspace.
 */
export function pushMpls(pkt: Packet, lse: number, type: number, isBehindAll: boolean): void {
  const { view } = pkt.arena;
  const { l3 } = pkt;
  const behindOne = hasVlan(pkt) ? ETH_ADDRS + VLAN_HLEN : ETH_ADDRS;
  const hasSecond = isBehindAll && l3 >= behindOne + VLAN_HLEN + 2 && isVlanType(view.getUint16(pkt.start + behindOne));
  const typeAt = hasSecond ? behindOne + VLAN_HLEN : behindOne;
  grow(pkt, MPLS_HLEN);
  pkt.l3 = l3;
  moveBytes(pkt, pkt.start + MPLS_HLEN, pkt.start, l3);
  view.setInt32(pkt.start + l3, lse);
  if (pkt.packetType !== 0) {
    pkt.packetType = type;
  } else {
    view.setUint16(pkt.start + typeAt, type);
    pkt.protocol = typeAt + 2 === l3 ? 0 : type;
  }
  pkt.isKeyStale = true;
}

/** Puts a label before everything, an Ethernet header included. */
export function pushMplsFirst(pkt: Packet, lse: number, type: number): void {
  grow(pkt, MPLS_HLEN);
  pkt.l3 = 0;
  pkt.arena.view.setInt32(pkt.start, lse);
  pkt.packetType = type;
  pkt.isKeyStale = true;
}

/** Takes the first label off; `type` is what is behind it.  Does nothing to a packet without label. */
export function popMpls(pkt: Packet, type: number): boolean {
  if (!isMplsType(protocolOf(pkt))) return true;
  const { l3 } = pkt;
  if (pkt.end - pkt.start < l3 + MPLS_HLEN) return false;
  const { view } = pkt.arena;
  moveBytes(pkt, pkt.start, pkt.start + MPLS_HLEN, l3);
  grow(pkt, -MPLS_HLEN);
  pkt.l3 = l3;
  if (pkt.protocol !== 0) pkt.protocol = type;
  if (pkt.packetType === 0) view.setUint16(pkt.start + l3 - 2, type);
  else pkt.packetType = type === ETH_TYPE.TEB ? 0 : type;
  pkt.isKeyStale = true;
  return true;
}

/** What decTtl() says. */
export const TTL = { OK: 0, EXPIRED: 1, BAD: 2 } as const;

/** Counts the TTL or hop limit of an IP packet down, unless it would reach 0; other packets stay as they are. */
export function decTtl(pkt: Packet, key: FlowKey): number {
  const { view } = pkt.arena;
  const nh = pkt.start + pkt.l3;
  const type = protocolOf(pkt);
  let ttl: number;
  if (type === ETH_TYPE.IPV6) {
    if (pkt.end - nh < IPV6.HLEN) return TTL.BAD;
    ttl = view.getUint8(nh + IPV6.HLIM);
    if (ttl <= 1) return TTL.EXPIRED;
    view.setUint8(nh + IPV6.HLIM, --ttl);
  } else if (type === ETH_TYPE.IP) {
    if (pkt.end - nh < IP.HLEN) return TTL.BAD;
    ttl = view.getUint8(nh + IP.TTL);
    if (ttl <= 1) return TTL.EXPIRED;
    replace16(view, nh + IP.CHECK, ttl << 8, (ttl - 1) << 8);
    view.setUint8(nh + IP.TTL, --ttl);
  } else {
    return TTL.OK;
  }
  key[W_PROTO] = (key[W_PROTO]! & 0xffff00ff) | (ttl << 8);
  return TTL.OK;
}
