/**
 * What a peer on the same host leaves undone in the packets that it wraps.  Between veths a packet keeps its offloads to the
 * very end: the inner checksum may still be partial, and the inner packet larger than any link.  A socket's packets come
 * without word of that; but a partial checksum can be told from a whole one, as it is the sum of the pseudo header.  (A whole
 * one is that by chance once in 65,536 times, and is then believed instead of checked.)
 * Source: Documentation/networking/checksum-offloads.rst, include/uapi/linux/virtio_net.h.
 */
import { foldSum, pseudoSum, sumBytes } from '../../packet/checksum.ts';
import { ETH_HLEN, ETH_TYPE, isVlanType, VLAN_HLEN } from '../../packet/ethernet.ts';
import { IP, IP_MF, IP_OFFSET, IPPROTO, IPV6, TCP, UDP } from '../../packet/ip.ts';
import { type Packet, VNET_F, VNET_GSO } from '../../packet/packet.ts';

/** Network and transport headers and payload of the largest packet that is no super-packet.  Bytes. */
const MAX_PLAIN = 1500;
/** Payload of a segment: what fits behind the headers of all of them. */
const SEGMENT_SIZE = 1380;

/** Sets the offload fields of a frame from a tunnel, if its checksum is partial.  Hot path. */
export function findOffloads(pkt: Packet): void {
  const { view } = pkt.arena;
  let l3 = pkt.start + ETH_HLEN;
  let type = view.getUint16(l3 - 2);
  if (isVlanType(type) && pkt.end - l3 >= VLAN_HLEN) {
    l3 += VLAN_HLEN;
    type = view.getUint16(l3 - 2);
  }
  const isIpv4 = type === ETH_TYPE.IP;
  let proto: number;
  let l4: number;
  if (isIpv4) {
    if (pkt.end - l3 < IP.HLEN || (view.getUint16(l3 + IP.FRAG) & (IP_MF | IP_OFFSET)) !== 0) return;
    const first = view.getUint8(l3);
    l4 = l3 + ((first & 15) << 2);
    // A header without its fixed part has no transport behind it.
    if (first >>> 4 !== 4 || l4 < l3 + IP.HLEN) return;
    proto = view.getUint8(l3 + IP.PROTO);
  } else {
    if (type !== ETH_TYPE.IPV6 || pkt.end - l3 < IPV6.HLEN || view.getUint8(l3) >>> 4 !== 6) return;
    proto = view.getUint8(l3 + IPV6.NEXT);
    l4 = l3 + IPV6.HLEN;
  }
  const isTcp = proto === IPPROTO.TCP;
  const size = isIpv4 ? view.getUint16(l3 + IP.TOTAL) - (l4 - l3) : view.getUint16(l3 + IPV6.LEN);
  const hlen = isTcp ? TCP.HLEN : UDP.HLEN;
  if ((!isTcp && proto !== IPPROTO.UDP) || size < hlen || l4 + size > pkt.end) return;

  const csumOffset = isTcp ? TCP.CHECK : UDP.CHECK;
  const sum = view.getUint16(l4 + csumOffset);
  if (sum === 0 && !isTcp) return;
  const addresses = isIpv4 ? l3 + IP.SRC : l3 + IPV6.SRC;
  if (sum !== foldSum(pseudoSum(view, addresses, isIpv4 ? 8 : 32, proto, size))) return;
  const isSuper = isTcp && pkt.end - l3 > MAX_PLAIN;
  const headSize = isSuper ? (view.getUint8(l4 + TCP.FLAGS) >>> 4) << 2 : hlen;
  if (headSize < hlen || headSize > size) return;
  // Padding is summed too, and would become payload of a segment.
  const nPadding = pkt.end - l4 - size;
  if (nPadding !== 0 && (isSuper || sumBytes(view, l4 + size, nPadding, 0) !== 0)) return;
  pkt.vnetFlags = VNET_F.NEEDS_CSUM;
  pkt.csumStart = l4 - pkt.start;
  pkt.csumOffset = csumOffset;
  if (!isSuper) return;
  pkt.gsoType = isIpv4 ? VNET_GSO.TCPV4 : VNET_GSO.TCPV6;
  pkt.gsoSize = SEGMENT_SIZE;
  pkt.hdrLen = l4 - pkt.start + headSize;
}
