/**
 * IPv4, IPv6 and the protocols above: offsets of what the datapath reads and writes, and the walk over IPv6 extension
 * headers.  Offsets count from the first byte of the header that the name begins with.
 * Sources: RFC 791, 8200, 9293, 768, 9260, 792, 4443, 826, 4861.
 */

// biome-ignore format: table
export const IP = { VIHL: 0, TOS: 1, TOTAL: 2, ID: 4, FRAG: 6, TTL: 8, PROTO: 9, CHECK: 10, SRC: 12, DST: 16, HLEN: 20 } as const;
/** In the 16 bits at IP.FRAG. */
export const IP_MF = 0x2000;
export const IP_OFFSET = 0x1fff;

// biome-ignore format: table
export const IPV6 = { FLOW: 0, LEN: 4, NEXT: 6, HLIM: 7, SRC: 8, DST: 24, HLEN: 40 } as const;

// biome-ignore format: table
export const TCP = { SRC: 0, DST: 2, SEQ: 4, ACK: 8, FLAGS: 12, CHECK: 16, HLEN: 20 } as const;
export const TCP_FLAG = { FIN: 0x01, PSH: 0x08, CWR: 0x80 } as const;
export const UDP = { SRC: 0, DST: 2, LEN: 4, CHECK: 6, HLEN: 8 } as const;
export const SCTP = { SRC: 0, DST: 2, CHECK: 8, HLEN: 12 } as const;
export const ICMP = { TYPE: 0, CODE: 1, CHECK: 2, HLEN: 8 } as const;

/** ARP for Ethernet and IPv4. */
// biome-ignore format: table
export const ARP = { HRD: 0, PRO: 2, HLN: 4, PLN: 5, OP: 6, SHA: 8, SIP: 14, THA: 18, TIP: 24, SIZE: 28 } as const;

/** Neighbour solicitation and advertisement: ICMPv6 header, target, options of 8 * n bytes. */
// biome-ignore format: table
export const ND = { SOLICIT: 135, ADVERT: 136, TARGET: 8, OPTIONS: 24, OPT_SOURCE_LL: 1, OPT_TARGET_LL: 2 } as const;

/** IP protocol numbers; those from HOPOPTS on this line are IPv6 extension headers too. */
// biome-ignore format: table
export const IPPROTO = {
  ICMP: 1, IGMP: 2, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132,
  HOPOPTS: 0, ROUTING: 43, FRAGMENT: 44, AH: 51, NONE: 59, DSTOPTS: 60,
} as const;

/** Whether `proto` is an IPv6 extension header, "no next header" included (ipv6_ext_hdr()). */
export const isIpv6ExtHdr = (proto: number): boolean =>
  proto === IPPROTO.HOPOPTS ||
  proto === IPPROTO.ROUTING ||
  proto === IPPROTO.FRAGMENT ||
  proto === IPPROTO.AH ||
  proto === IPPROTO.NONE ||
  proto === IPPROTO.DSTOPTS;

/** Bits of OVS_KEY_ATTR_IPV6_EXTHDRS: which headers there are, and whether they repeat or come in an odd order. */
// biome-ignore format: table
export const EXTHDR = {
  NONEXT: 1, AUTH: 4, DEST: 8, FRAG: 16, ROUTER: 32, HOP: 64, UNREP: 128, UNSEQ: 256,
} as const;

/**
 * Looks through the extension headers that begin at byte `at` with type `next` (end of the packet at `end`), and returns
 * their EXTHDR bits.  Orders as RFC 8200 4.1 recommends: hop-by-hop, destination, routing, fragment, authentication,
 * destination.  Hot path for packets with such headers only.
 */
export function ipv6ExtHdrBits(view: DataView, at: number, end: number, next: number): number {
  let bits = 0;
  let nDest = 0;
  while (isIpv6ExtHdr(next)) {
    let one = 0;
    let before = EXTHDR.UNREP;
    switch (next) {
      case IPPROTO.NONE:
        return bits | EXTHDR.NONEXT;
      case IPPROTO.HOPOPTS:
        // Only counts as present where it belongs, directly behind the IPv6 header.
        if ((bits & EXTHDR.HOP) !== 0) bits |= EXTHDR.UNREP;
        bits |= bits === 0 ? EXTHDR.HOP : EXTHDR.UNSEQ;
        break;
      case IPPROTO.DSTOPTS:
        if (nDest === 0) {
          if ((bits & ~(EXTHDR.HOP | EXTHDR.UNREP)) !== 0) bits |= EXTHDR.UNSEQ;
          bits |= EXTHDR.DEST;
        } else if (nDest > 1) {
          bits |= EXTHDR.UNREP;
        }
        // A second one may stand last: behind any other header, which is what the known bits say.
        nDest++;
        break;
      case IPPROTO.AH:
        one = EXTHDR.AUTH;
        before |= EXTHDR.HOP | EXTHDR.DEST | EXTHDR.ROUTER | EXTHDR.FRAG;
        break;
      case IPPROTO.FRAGMENT:
        one = EXTHDR.FRAG;
        before |= EXTHDR.HOP | EXTHDR.DEST | EXTHDR.ROUTER;
        break;
      default:
        one = EXTHDR.ROUTER;
        before |= EXTHDR.HOP | EXTHDR.DEST;
    }
    if (one !== 0) {
      // The order is judged with the repetition already noted, as the kernel does.
      if ((bits & one) !== 0) bits |= EXTHDR.UNREP;
      if ((bits & ~before) !== 0 || nDest >= 2) bits |= EXTHDR.UNSEQ;
      bits |= one;
    }
    if (at + 2 > end) break;
    next = view.getUint8(at);
    at += (view.getUint8(at + 1) + 1) << 3;
  }
  return bits;
}
