/**
 * Does in software what a device was to do: cuts super-packets into segments, and completes partial checksums.  For
 * upcalls and for ports that take packets only as they go over the wire.
 *
 *     const n = segmenter.begin(pkt);                      -1: the packet makes no sense
 *     for (let i = 0; i < n; i++) segmenter.write(i, out);  `out` has been reset() in a slot of its own
 *
 * Super-packets are TCP over IPv4 or IPv6 (gsoSize bytes of payload a segment, sequence numbers and flags continued),
 * UDP datagrams of equal size (UDP_L4), and one large UDP datagram that becomes IP fragments (UDP).
 * Sources: net/ipv4/tcp_offload.c, udp_offload.c, net/ipv6/ip6_offload.c; include/uapi/linux/virtio_net.h.
 */
import { foldSum, pseudoSum, setIpv4Checksum, sumBytes } from '../../packet/checksum.ts';
import { ETH_ADDRS, ETH_HLEN, ETH_TYPE, isMplsType, isVlanType, MPLS_BOS } from '../../packet/ethernet.ts';
import { IP, IP_MF, IPPROTO, IPV6, TCP, TCP_FLAG, UDP } from '../../packet/ip.ts';
import { type Packet, VNET_F, VNET_GSO } from '../../packet/packet.ts';
import { ethTypeOf, nshSize } from '../actions/nsh.ts';

/** Before its metadata. */
const NSH_BASE_SIZE = 8;
/** Size of an IPv6 fragment header, and where its fields are. */
const FRAG = { NEXT: 0, OFFSET: 2, ID: 4, HLEN: 8 } as const;

export const hasOffloads = (pkt: Packet): boolean => pkt.gsoType !== 0 || (pkt.vnetFlags & VNET_F.NEEDS_CSUM) !== 0;

/**
 * Writes the checksum that was left partial, into bytes that must be the packet's own.  False if it is said to be outside
 * the packet.  Hot path.
 */
export function completeChecksum(pkt: Packet): boolean {
  if ((pkt.vnetFlags & VNET_F.NEEDS_CSUM) === 0) return true;
  const at = pkt.start + pkt.csumStart + pkt.csumOffset;
  if (at + 2 > pkt.end) return false;
  pkt.arena.view.setUint16(at, finishedChecksum(pkt));
  pkt.vnetFlags &= ~VNET_F.NEEDS_CSUM;
  return true;
}

/** What a partial checksum comes to.  The field holds the pseudo header's sum and is summed with the rest. */
function finishedChecksum(pkt: Packet): number {
  const from = pkt.start + pkt.csumStart;
  const checksum = ~foldSum(sumBytes(pkt.arena.view, from, pkt.end - from, 0)) & 0xffff;
  return checksum === 0 ? 0xffff : checksum;
}

/** Offset of the IP header behind Ethernet, VLAN tags, NSH and labels, from `pkt.start`; -1 if there is none. */
function findIp(pkt: Packet): number {
  const { view } = pkt.arena;
  let at = pkt.start;
  let type: number = pkt.packetType === 0 ? ETH_TYPE.TEB : pkt.packetType;
  while (type === ETH_TYPE.TEB || type === ETH_TYPE.NSH) {
    if (pkt.end - at < ETH_HLEN) return -1;
    if (type === ETH_TYPE.NSH) {
      type = ethTypeOf(view.getUint8(at + 3));
      at += Math.max(nshSize(view, at), NSH_BASE_SIZE);
      continue;
    }
    at += ETH_ADDRS;
    type = view.getUint16(at);
    for (; isVlanType(type) && pkt.end - at >= 6; type = view.getUint16(at)) at += 4;
    at += 2;
  }
  if (isMplsType(type)) {
    for (;;) {
      if (pkt.end - at < 4) return -1;
      const isLast = (view.getInt32(at) & MPLS_BOS) !== 0;
      at += 4;
      if (isLast) break;
    }
    if (at >= pkt.end) return -1;
    type = view.getUint8(at) >>> 4 === 4 ? ETH_TYPE.IP : ETH_TYPE.IPV6;
  }
  if (type === ETH_TYPE.IP && pkt.end - at >= IP.HLEN && view.getUint8(at) >>> 4 === 4) return at - pkt.start;
  if (type === ETH_TYPE.IPV6 && pkt.end - at >= IPV6.HLEN && view.getUint8(at) >>> 4 === 6) return at - pkt.start;
  return -1;
}

export class Segmenter {
  private pkt!: Packet;
  private type = 0;
  private isIpv4 = false;
  /** Offsets in the packet of the IP, transport header and payload. */
  private l3 = 0;
  private l4 = 0;
  private payload = 0;
  private count = 0;
  /** Payload bytes of every segment but the last. */
  private mss = 0;

  /** Bytes of the largest segment, or 0 if begin() would fail.  Hot path of check_pkt_len. */
  static largest(pkt: Packet): number {
    return scratch.begin(pkt) < 0 ? 0 : scratch.payload + scratch.mss;
  }

  /** Looks at a super-packet; the number of its segments, or -1. */
  begin(pkt: Packet): number {
    const { view } = pkt.arena;
    const l3 = findIp(pkt);
    if (l3 < 0 || pkt.gsoSize === 0) return -1;
    const nh = pkt.start + l3;
    this.pkt = pkt;
    this.type = pkt.gsoType & ~VNET_GSO.ECN;
    this.isIpv4 = view.getUint8(nh) >>> 4 === 4;
    this.l3 = l3;
    this.mss = pkt.gsoSize;
    // With a partial checksum the transport header is where it begins; IPv6 extension headers may be before it.
    const behindIp = this.isIpv4 ? l3 + ((view.getUint8(nh) & 15) << 2) : l3 + IPV6.HLEN;
    this.l4 = (pkt.vnetFlags & VNET_F.NEEDS_CSUM) !== 0 ? pkt.csumStart : behindIp;
    const room = pkt.end - pkt.start - this.l4;
    if (this.l4 < behindIp) return -1;

    switch (this.type) {
      case VNET_GSO.TCPV4:
      case VNET_GSO.TCPV6: {
        if (room < TCP.HLEN || this.isIpv4 !== (this.type === VNET_GSO.TCPV4)) return -1;
        const hlen = (view.getUint8(pkt.start + this.l4 + TCP.FLAGS) >>> 4) << 2;
        if (hlen < TCP.HLEN || hlen > room) return -1;
        this.payload = this.l4 + hlen;
        break;
      }
      case VNET_GSO.UDP_L4:
        if (room < UDP.HLEN) return -1;
        this.payload = this.l4 + UDP.HLEN;
        break;
      case VNET_GSO.UDP:
        // Fragments: everything behind the IP header is payload, cut at multiples of 8.
        if (room < UDP.HLEN) return -1;
        this.mss &= ~7;
        if (this.mss === 0 || this.l4 !== behindIp) return -1;
        this.payload = this.l4;
        if (pkt.csumStart + pkt.csumOffset + 2 > pkt.end - pkt.start) return -1;
        break;
      default:
        return -1;
    }
    this.count = Math.max(1, Math.ceil((pkt.end - pkt.start - this.payload) / this.mss));
    return this.count;
  }

  /** Writes segment number `i` to `out`, which is empty: bytes, and metadata but for offloads. */
  write(i: number, out: Packet): void {
    const { pkt, payload } = this;
    const { bytes, view } = pkt.arena;
    const isFragment = this.type === VNET_GSO.UDP;
    const extra = isFragment && !this.isIpv4 ? FRAG.HLEN : 0;
    const from = pkt.start + payload + i * this.mss;
    const size = Math.min(this.mss, pkt.end - from);
    const { start } = out;
    const { slot } = out;
    out.cloneFrom(pkt);
    out.slot = slot;
    out.isShared = false;
    out.vnetFlags = out.gsoType = out.gsoSize = out.hdrLen = out.csumStart = out.csumOffset = 0;
    out.start = start;
    out.end = start + payload + extra + size;
    bytes.copyWithin(start, pkt.start, pkt.start + payload);
    bytes.copyWithin(start + payload + extra, from, from + size);

    const nh = start + this.l3;
    const l4 = start + this.l4;
    if (isFragment) {
      this.writeFragmentHeader(i, nh, size);
      // The first fragment has the UDP header, with a checksum over all of them.
      const isPartial = (pkt.vnetFlags & VNET_F.NEEDS_CSUM) !== 0;
      if (i === 0 && isPartial) view.setUint16(l4 + extra + pkt.csumOffset, finishedChecksum(pkt));
    }
    if (this.isIpv4) {
      view.setUint16(nh + IP.TOTAL, out.end - nh);
      if (!isFragment) view.setUint16(nh + IP.ID, view.getUint16(nh + IP.ID) + i);
      setIpv4Checksum(view, nh);
    } else {
      view.setUint16(nh + IPV6.LEN, out.end - nh - IPV6.HLEN);
    }
    if (this.type === VNET_GSO.UDP_L4) {
      view.setUint16(l4 + UDP.LEN, UDP.HLEN + size);
      this.writeChecksum(view, nh, l4, out.end, IPPROTO.UDP, UDP.CHECK);
    } else if (!isFragment) {
      view.setInt32(l4 + TCP.SEQ, view.getInt32(l4 + TCP.SEQ) + i * this.mss);
      let flags = view.getUint8(l4 + TCP.FLAGS + 1);
      if (i < this.count - 1) flags &= ~(TCP_FLAG.FIN | TCP_FLAG.PSH);
      if (i > 0) flags &= ~TCP_FLAG.CWR;
      view.setUint8(l4 + TCP.FLAGS + 1, flags);
      this.writeChecksum(view, nh, l4, out.end, IPPROTO.TCP, TCP.CHECK);
    }
  }

  private writeChecksum(view: DataView, nh: number, l4: number, end: number, proto: number, offset: number): void {
    const addrs = this.isIpv4 ? nh + IP.SRC : nh + IPV6.SRC;
    view.setUint16(l4 + offset, 0);
    const sum = sumBytes(view, l4, end - l4, pseudoSum(view, addrs, this.isIpv4 ? 8 : 32, proto, end - l4));
    const checksum = ~foldSum(sum) & 0xffff;
    // In UDP, and there alone, 0 says that there is no checksum.
    view.setUint16(l4 + offset, checksum === 0 && proto === IPPROTO.UDP ? 0xffff : checksum);
  }

  /** Marks segment `i` as a fragment: in the IPv4 header, or in a header of its own behind the IPv6 header. */
  private writeFragmentHeader(i: number, nh: number, size: number): void {
    const { view } = this.pkt.arena;
    const offset = i * this.mss;
    const isLast = i === this.count - 1;
    if (this.isIpv4) {
      view.setUint16(nh + IP.FRAG, (offset >>> 3) | (isLast ? 0 : IP_MF));
      return;
    }
    const at = nh + IPV6.HLEN;
    view.setUint8(at + FRAG.NEXT, view.getUint8(nh + IPV6.NEXT));
    view.setUint8(at + 1, 0);
    view.setUint16(at + FRAG.OFFSET, offset | (isLast ? 0 : 1));
    // The same for all fragments of a datagram, and different for the next: its checksum and size will do.
    const datagram = this.pkt.start + this.l4;
    view.setInt32(at + FRAG.ID, (view.getUint16(datagram + UDP.CHECK) << 16) ^ view.getInt32(datagram) ^ size);
    view.setUint8(nh + IPV6.NEXT, IPPROTO.FRAGMENT);
  }
}

/** For the static question. */
const scratch = new Segmenter();
