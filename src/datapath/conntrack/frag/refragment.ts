/**
 * Takes a datagram that was put together from fragments apart again, into fragments no larger than the largest of those.
 * The link layer's header is repeated before each.
 *
 *     const n = refragmenter.begin(pkt);                    -1: it cannot be done
 *     for (let i = 0; i < n; i++) refragmenter.write(i, out);   `out` has been reset() in a slot of its own
 *
 * Sources: net/openvswitch/actions.c (ovs_fragment), RFC 791 2.3, RFC 8200 4.5.
 */
import { setIpv4Checksum } from '../../../packet/checksum.ts';
import { ETH_TYPE } from '../../../packet/ethernet.ts';
import { IP, IP_MF, IPPROTO, IPV6, isIpv6ExtHdr } from '../../../packet/ip.ts';
import type { Packet } from '../../../packet/packet.ts';

/** Longest link layer header that is repeated (MAX_L2_LEN): a tagged Ethernet header and three labels. */
const MAX_L2 = 34;
const FRAG_HLEN = 8;
const IPV6_MIN_MTU = 1280;
/** An option of IPv4 that goes into every fragment; others are for the first only. */
const OPTION_COPIED = 0x80;

export class Refragmenter {
  private readonly random: () => number;
  private pkt: Packet | undefined;
  private isV6 = false;
  /** Bytes before the payload: link layer and IP header, of IPv6 up to where the fragment header goes. */
  private head = 0;
  private step = 0;
  private id = 0;
  /** Offset in `head` of the byte that says what follows the unfragmentable part. */
  private nextAt = 0;

  constructor(random: () => number) {
    this.random = random;
  }

  /** Looks at `pkt`, whose `mru` is set.  Returns into how many fragments it goes, or -1. */
  begin(pkt: Packet): number {
    const { view } = pkt.arena;
    const l3 = pkt.start + pkt.l3;
    if (pkt.l3 < 2 || pkt.l3 > MAX_L2 || pkt.packetType !== 0) return -1;
    const type = view.getUint16(l3 - 2);
    this.pkt = pkt;
    this.isV6 = type === ETH_TYPE.IPV6;
    let room: number;
    if (type === ETH_TYPE.IP) {
      if (pkt.end - l3 < IP.HLEN) return -1;
      const hlen = (view.getUint8(l3) & 15) << 2;
      if (hlen < IP.HLEN || l3 + hlen > pkt.end) return -1;
      this.head = pkt.l3 + hlen;
      room = pkt.mru - hlen;
    } else if (this.isV6) {
      const unfragmentable = this.unfragmentable(view, l3, pkt.end);
      if (unfragmentable < 0) return -1;
      this.head = pkt.l3 + unfragmentable;
      room = Math.max(pkt.mru, IPV6_MIN_MTU) - unfragmentable - FRAG_HLEN;
      this.id = Math.floor(this.random() * 0x100000000) | 0;
    } else {
      return -1;
    }
    this.step = room & ~7;
    const size = pkt.end - pkt.start - this.head;
    if (this.step < 8) return -1;
    // The last one may use what rounding left over.
    const whole = Math.ceil(size / this.step);
    return whole > 1 && size - (whole - 2) * this.step <= room ? whole - 1 : whole;
  }

  /** Bytes of the IPv6 header and those extension headers that each fragment needs; notes where the next header is said. */
  private unfragmentable(view: DataView, l3: number, end: number): number {
    if (end - l3 < IPV6.HLEN) return -1;
    let nextAt = l3 + IPV6.NEXT;
    let at = l3 + IPV6.HLEN;
    let size = IPV6.HLEN;
    this.nextAt = IPV6.NEXT;
    // Up to a routing header, and hop-by-hop and destination options before it.
    while (at + 8 <= end) {
      const next = view.getUint8(nextAt);
      if (!isIpv6ExtHdr(next) || next === IPPROTO.NONE || next === IPPROTO.FRAGMENT || next === IPPROTO.AH) break;
      nextAt = at;
      at += (view.getUint8(at + 1) + 1) << 3;
      if (at > end) return -1;
      if (next === IPPROTO.HOPOPTS || next === IPPROTO.ROUTING) {
        size = at - l3;
        this.nextAt = nextAt - l3;
      }
    }
    return size;
  }

  /** Writes fragment `i` to `out`, with the packet's metadata but for its connection and offloads. */
  write(i: number, out: Packet, count: number): void {
    const pkt = this.pkt!;
    const { bytes, view } = pkt.arena;
    const offset = i * this.step;
    const from = pkt.start + this.head + offset;
    const isLast = i === count - 1;
    const size = isLast ? pkt.end - from : this.step;
    bytes.copyWithin(out.start, pkt.start, pkt.start + this.head);
    const l3 = out.start + pkt.l3;
    let at = out.start + this.head;
    if (this.isV6) {
      view.setUint8(at, view.getUint8(l3 + this.nextAt));
      view.setUint8(at + 1, 0);
      view.setUint16(at + 2, offset | (isLast ? 0 : 1));
      view.setInt32(at + 4, this.id);
      view.setUint8(l3 + this.nextAt, IPPROTO.FRAGMENT);
      at += FRAG_HLEN;
      view.setUint16(l3 + IPV6.LEN, at - l3 - IPV6.HLEN + size);
    } else {
      view.setUint16(l3 + IP.FRAG, (offset >>> 3) | (isLast ? 0 : IP_MF));
      view.setUint16(l3 + IP.TOTAL, at - l3 + size);
      if (i > 0) clearOptions(view, l3 + IP.HLEN, at);
      setIpv4Checksum(view, l3);
    }
    bytes.copyWithin(at, from, from + size);
    out.end = at + size;
    out.l3 = pkt.l3;
    out.inPort = pkt.inPort;
    out.skbPriority = pkt.skbPriority;
    out.skbMark = pkt.skbMark;
    out.hash = pkt.hash;
    out.txTunnel = pkt.txTunnel;
  }
}

/** Makes nothing of the options that are not for every fragment. */
function clearOptions(view: DataView, at: number, end: number): void {
  while (at < end) {
    const option = view.getUint8(at);
    if (option === 0) return;
    if (option === 1) {
      at++;
      continue;
    }
    const size = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (size < 2 || at + size > end) return;
    if ((option & OPTION_COPIED) === 0) for (let i = at; i < at + size; i++) view.setUint8(i, 1);
    at += size;
  }
}
