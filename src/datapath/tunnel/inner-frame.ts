/**
 * Which frames go through a tunnel: such as have the header whole that is looked at first behind their Ethernet header.
 * Source: include/net/ip_tunnels.h (pskb_inet_may_pull), net/core/skbuff.c (skb_vlan_untag).
 */
import { ETH_ADDRS, ETH_HLEN, ETH_TYPE, isVlanType, VLAN_HLEN } from '../../packet/ethernet.ts';
import { IP, IPV6 } from '../../packet/ip.ts';

/** The kernel takes a tag only if there are two bytes behind it and the type that it is followed by. */
const TAG_ROOM = VLAN_HLEN + 2;

/** Whether the frame in `[start, end)` is taken out of a tunnel.  Hot path. */
export function isInnerFrame(view: DataView, start: number, end: number): boolean {
  if (end - start < ETH_HLEN || !isNetworkWhole(view, start, end)) return false;
  return !isVlanType(view.getUint16(start + ETH_ADDRS)) || end - start - ETH_HLEN >= TAG_ROOM;
}

/** False if what follows the Ethernet header of a frame is said to be IP and has less than its header.  Hot path. */
export function isNetworkWhole(view: DataView, start: number, end: number): boolean {
  const size = end - start - ETH_HLEN;
  const type = view.getUint16(start + ETH_ADDRS);
  if (type === ETH_TYPE.IP) return size >= IP.HLEN;
  return type !== ETH_TYPE.IPV6 || size >= IPV6.HLEN;
}
