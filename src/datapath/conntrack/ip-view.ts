/**
 * The IP packet inside a Packet, as conntrack needs it: where its layers are, and whether its checksum is right.  One
 * view is used for one packet after the other; offsets are absolute ones of the arena.  Hot path.
 * Sources: RFC 791, 8200; net/netfilter/nf_conntrack_core.c (get_l4proto), net/netfilter/utils.c (nf_checksum).
 */
import { foldSum, pseudoSum, sumBytes } from '../../packet/checksum.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import { IP, IP_OFFSET, IPPROTO, IPV6, isIpv6ExtHdr } from '../../packet/ip.ts';
import { type Packet, VNET_F } from '../../packet/packet.ts';

export class IpView {
  view: DataView = new DataView(new ArrayBuffer(0));
  l3 = 0;
  /** Where the transport header begins; 0 if it cannot be found (a later fragment, a broken packet). */
  l4 = 0;
  end = 0;
  isV6 = false;
  proto = 0;
  /** The checksum needs no look: it is still to be completed, or the device has verified it. */
  isTrusted = false;

  /** Looks at `pkt`, whose network header is at `pkt.l3` and of ethertype `type`.  False if it has no transport header. */
  parse(pkt: Packet, type: number): boolean {
    this.isTrusted = (pkt.vnetFlags & (VNET_F.NEEDS_CSUM | VNET_F.DATA_VALID)) !== 0 || pkt.gsoType !== 0;
    return this.parseAt(pkt.arena.view, pkt.start + pkt.l3, pkt.end, type === ETH_TYPE.IPV6);
  }

  /** The same for an IP header at `l3`, such as the one quoted in an ICMP error. */
  parseAt(view: DataView, l3: number, end: number, isV6: boolean): boolean {
    this.view = view;
    this.l3 = l3;
    this.l4 = 0;
    this.end = end;
    this.isV6 = isV6;
    return isV6 ? this.parseV6() : this.parseV4();
  }

  private parseV4(): boolean {
    const { view, l3, end } = this;
    if (end - l3 < IP.HLEN || (view.getUint16(l3 + IP.FRAG) & IP_OFFSET) !== 0) return false;
    const l4 = l3 + ((view.getUint8(l3) & 15) << 2);
    if (l4 < l3 + IP.HLEN || l4 > end) return false;
    this.proto = view.getUint8(l3 + IP.PROTO);
    this.l4 = l4;
    return true;
  }

  private parseV6(): boolean {
    const { view, l3, end } = this;
    if (end - l3 < IPV6.HLEN) return false;
    let next = view.getUint8(l3 + IPV6.NEXT);
    let at = l3 + IPV6.HLEN;
    while (isIpv6ExtHdr(next)) {
      if (next === IPPROTO.NONE || end - at < 8) return false;
      if (next === IPPROTO.FRAGMENT && (view.getUint16(at + 2) & 0xfff8) !== 0) return false;
      const units = view.getUint8(at + 1);
      const size = next === IPPROTO.FRAGMENT ? 8 : next === IPPROTO.AH ? (units + 2) << 2 : (units + 1) << 3;
      next = view.getUint8(at);
      at += size;
    }
    if (at > end) return false;
    this.proto = next;
    this.l4 = at;
    return true;
  }

  /** Bytes of the IP packet by its own header, that is, without padding behind it. */
  static totalSize(pkt: Packet, type: number): number {
    const { view } = pkt.arena;
    const at = pkt.start + pkt.l3;
    if (type === ETH_TYPE.IPV6) return pkt.end - at < IPV6.HLEN ? 0 : IPV6.HLEN + view.getUint16(at + IPV6.LEN);
    return pkt.end - at < IP.HLEN ? 0 : view.getUint16(at + IP.TOTAL);
  }

  /** Sum of the pseudo header for `proto`, not folded. */
  pseudo(proto: number): number {
    const size = this.end - this.l4;
    return this.isV6
      ? pseudoSum(this.view, this.l3 + IPV6.SRC, 32, proto, size)
      : pseudoSum(this.view, this.l3 + IP.SRC, 8, proto, size);
  }

  /** Whether the one's complement sum over the transport packet, and a pseudo header if `hasPseudo`, is right. */
  sumIsRight(hasPseudo: boolean): boolean {
    if (this.isTrusted) return true;
    const sum = sumBytes(this.view, this.l4, this.end - this.l4, hasPseudo ? this.pseudo(this.proto) : 0);
    return foldSum(sum) === 0xffff;
  }
}
