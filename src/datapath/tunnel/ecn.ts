/**
 * Explicit congestion notification through tunnels: what the outer header says of the inner one, and back.
 *
 *     encapsulation (RFC 6040 4.1):  the outer field is the inner one; of a marked packet (CE) it begins anew as ECT(0)
 *     decapsulation (RFC 6040 4.2):  a mark is kept, ECT(1) too; one on a packet that cannot be marked means that it must be dropped
 *
 * Only IPv4 and IPv6 directly behind the Ethernet header is looked at, as the kernel does.
 * Source: include/net/inet_ecn.h.
 */
import { replace16 } from '../../packet/checksum.ts';
import { ETH_ADDRS, ETH_HLEN, ETH_TYPE } from '../../packet/ethernet.ts';
import { IP, IPV6 } from '../../packet/ip.ts';

const ECN = { NOT_ECT: 0, ECT_1: 1, ECT_0: 2, CE: 3, MASK: 3 } as const;

/** The inner TOS of the frame in `[start, end)`, or -1 if it is not IP. */
function innerTos(view: DataView, start: number, end: number): number {
  if (end - start < ETH_HLEN + IP.HLEN) return -1;
  const type = view.getUint16(start + ETH_ADDRS);
  const l3 = start + ETH_HLEN;
  if (type === ETH_TYPE.IP) return view.getUint8(l3 + IP.TOS);
  return type === ETH_TYPE.IPV6 && end - l3 >= IPV6.HLEN ? (view.getUint16(l3) >>> 4) & 0xff : -1;
}

/** A TOS of 1 in the metadata stands for the inner one, where a tunnel knows that (ip_md_tunnel_xmit: GRE over IPv4). */
export function inheritedTos(tos: number, view: DataView, start: number, end: number): number {
  const inner = tos === 1 ? innerTos(view, start, end) : -1;
  return inner < 0 ? tos : inner;
}

/** The outer TOS for a frame: that of the metadata, with the frame's congestion field.  Hot path. */
export function encapEcn(tos: number, view: DataView, start: number, end: number): number {
  const inner = innerTos(view, start, end);
  const ecn = inner < 0 ? ECN.NOT_ECT : inner & ECN.MASK;
  return (tos & ~ECN.MASK) | (ecn === ECN.CE ? ECN.ECT_0 : ecn);
}

/** Brings a mark of the outer header into the frame.  False if the frame must be dropped.  Hot path. */
export function decapEcn(outerTos: number, view: DataView, start: number, end: number): boolean {
  const outer = outerTos & ECN.MASK;
  if (outer !== ECN.CE && outer !== ECN.ECT_1) return true;
  const inner = innerTos(view, start, end);
  if (inner < 0) return true;
  if ((inner & ECN.MASK) === ECN.NOT_ECT) return outer !== ECN.CE;
  // ECT(1) only takes the place of ECT(0).
  if (outer === ECN.ECT_1 && (inner & ECN.MASK) !== ECN.ECT_0) return true;
  const l3 = start + ETH_HLEN;
  const marked = (inner & ~ECN.MASK) | outer;
  if (view.getUint16(start + ETH_ADDRS) === ETH_TYPE.IP) {
    replace16(view, l3 + IP.CHECK, inner, marked);
    view.setUint8(l3 + IP.TOS, marked);
  } else {
    view.setUint16(l3, (view.getUint16(l3) & 0xf00f) | (marked << 4));
  }
  return true;
}
