/**
 * Rewrites packets as their connection's NAT says, and repairs checksums: addresses, ports or ICMP ids, and, in ICMP
 * errors, the packet that they quote.  Packets must be writable.  Hot path but for ICMP errors.
 * Sources: net/netfilter/nf_nat_proto.c, RFC 3022, RFC 5508.
 */
import { foldSum, replace16, replace32, replacePartial32, sctpChecksum, sumBytes } from '../../../packet/checksum.ts';
import { ICMP, IP, IPV6, SCTP, TCP, UDP } from '../../../packet/ip.ts';
import { type Packet, VNET_F } from '../../../packet/packet.ts';
import { directionOf, IPS, PROTO } from '../ct-constants.ts';
import { IpView } from '../ip-view.ts';
import type { Tracker } from '../tracker.ts';
import { invertTuple, T, TUPLE_WORDS } from '../tuple.ts';
import { MANIP } from './nat.ts';

/** ICMP queries that have an id. */
const ICMP_WITH_ID = new Set([0, 8, 13, 14, 15, 16, 17, 18]);
const ICMP_REDIRECT = 5;
/** What must be there of a transport header, of GRE as well, though version 0 needs no more than four bytes. */
const MIN_HEADER = 8;
const hasHeader = (proto: number): boolean =>
  proto === PROTO.TCP ||
  proto === PROTO.UDP ||
  proto === PROTO.UDPLITE ||
  proto === PROTO.SCTP ||
  proto === PROTO.ICMP ||
  proto === PROTO.ICMPV6 ||
  proto === PROTO.GRE;

export class NatRewriter {
  private readonly tracker: Tracker;
  private readonly target = new Int32Array(TUPLE_WORDS);
  private readonly inner = new IpView();

  constructor(tracker: Tracker) {
    this.tracker = tracker;
  }

  /** Whether packets of this kind of `conn` are changed at all by `manip`. */
  private applies(conn: number, dir: number, manip: number): boolean {
    const bit = (manip === MANIP.SRC) === (dir === 0) ? IPS.SRC_NAT : IPS.DST_NAT;
    return (this.tracker.table.status[conn]! & bit) !== 0;
  }

  /** Translates a packet of the connection.  Returns false if it cannot be. */
  packet(pkt: Packet, ip: IpView, conn: number, ctinfo: number, manip: number): boolean {
    const dir = directionOf(ctinfo);
    if (!this.applies(conn, dir, manip)) return true;
    const { table } = this.tracker;
    invertTuple(table.tuples, table.tupleAt(2 * conn + 1 - dir), this.target, 0);
    return this.rewrite(ip, manip, true, (pkt.vnetFlags & VNET_F.NEEDS_CSUM) !== 0);
  }

  /** Translates an ICMP error that is related to the connection, with the packet that it quotes. */
  icmpError(pkt: Packet, ip: IpView, conn: number, ctinfo: number, manip: number): boolean {
    const { table } = this.tracker;
    const { inner } = this;
    const dir = directionOf(ctinfo);
    if (ip.end - ip.l4 < ICMP.HLEN || !ip.sumIsRight(ip.isV6)) return false;
    if (!ip.isV6 && ip.view.getUint8(ip.l4) === ICMP_REDIRECT) {
      const status = table.status[conn]!;
      if ((status & IPS.NAT_DONE_MASK) !== IPS.NAT_DONE_MASK || (status & IPS.NAT_MASK) !== 0) return false;
    }
    if (!this.applies(conn, dir, manip)) return true;
    if (!inner.parseAt(ip.view, ip.l4 + ICMP.HLEN, ip.end, ip.isV6)) return false;
    const other = table.tupleAt(2 * conn + 1 - dir);
    // The quoted packet went the other way: there, source and destination are exchanged.
    for (let i = 0; i < TUPLE_WORDS; i++) this.target[i] = table.tuples[other + i]!;
    if (!this.rewrite(inner, 1 - manip, true, false)) return false;
    invertTuple(table.tuples, other, this.target, 0);
    this.rewrite(ip, manip, false, false);
    if ((pkt.vnetFlags & VNET_F.NEEDS_CSUM) === 0) {
      ip.view.setUint16(ip.l4 + ICMP.CHECK, 0);
      const sum = sumBytes(ip.view, ip.l4, ip.end - ip.l4, ip.isV6 ? ip.pseudo(PROTO.ICMPV6) : 0);
      ip.view.setUint16(ip.l4 + ICMP.CHECK, ~foldSum(sum));
    }
    return true;
  }

  /**
   * Writes the address, and port if `withPort`, of `target` that `manip` is about.  False if the transport header is not
   * there, or is a GRE header of a version that is unknown.
   */
  private rewrite(ip: IpView, manip: number, withPort: boolean, isPartial: boolean): boolean {
    const { view, l3, l4, end, isV6 } = ip;
    const { target } = this;
    if (withPort && hasHeader(ip.proto) && end - l4 < MIN_HEADER) return false;
    if (withPort && ip.proto === PROTO.GRE && manip === MANIP.DST && !this.rewriteGre(ip)) return false;
    const words = isV6 ? 4 : 1;
    const base = isV6 ? IPV6.SRC : IP.SRC;
    const addrAt = l3 + base + (manip === MANIP.SRC ? 0 : 4 * words);
    const from = manip === MANIP.SRC ? T.SRC : T.DST;
    const checkAt = withPort ? checksumAt(ip) : 0;
    const room = end - l4;
    for (let i = 0; i < words; i++) {
      const at = addrAt + 4 * i;
      const old = view.getInt32(at);
      const value = target[from + i]!;
      if (old === value) continue;
      view.setInt32(at, value);
      if (!isV6) replace32(view, l3 + IP.CHECK, old, value);
      if (checkAt === 0) continue;
      // An ICMP checksum does not cover addresses; ICMPv6's does.
      if (ip.proto === PROTO.ICMP) continue;
      if (isPartial) replacePartial32(view, checkAt, old, value);
      else replace32(view, checkAt, old, value);
    }
    if (!withPort || room < 4) return true;
    this.rewritePort(ip, manip, checkAt, isPartial);
    const isUdp = ip.proto === PROTO.UDP || ip.proto === PROTO.UDPLITE;
    if (isUdp && checkAt !== 0 && !isPartial && view.getUint16(checkAt) === 0) view.setUint16(checkAt, 0xffff);
    // Of a quoted packet, too, however much of it is quoted.
    if (ip.proto === PROTO.SCTP && room >= SCTP.HLEN && !isPartial) {
      view.setInt32(l4 + SCTP.CHECK, sctpChecksum(view, l4, room), true);
    }
    return true;
  }

  /** Of GRE, only version 1 (PPTP) has something like a port: the call id of the receiver. */
  private rewriteGre(ip: IpView): boolean {
    const version = ip.view.getUint16(ip.l4) & 7;
    if (version === 1) ip.view.setUint16(ip.l4 + 6, this.target[T.PORTS]! & 0xffff);
    return version <= 1;
  }

  private rewritePort(ip: IpView, manip: number, checkAt: number, isPartial: boolean): void {
    const { view, l4, end } = ip;
    const ports = this.target[T.PORTS]!;
    let at = l4;
    let value = 0;
    switch (ip.proto) {
      case PROTO.TCP:
      case PROTO.UDP:
      case PROTO.UDPLITE:
      case PROTO.SCTP:
        at = l4 + (manip === MANIP.SRC ? 0 : 2);
        value = manip === MANIP.SRC ? ports >>> 16 : ports & 0xffff;
        break;
      case PROTO.ICMP:
        if (end - l4 < ICMP.HLEN || !ICMP_WITH_ID.has(view.getUint8(l4))) return;
        at = l4 + 4;
        value = ports >>> 16;
        break;
      case PROTO.ICMPV6: {
        const type = view.getUint8(l4);
        if (end - l4 < ICMP.HLEN || (type !== 128 && type !== 129)) return;
        at = l4 + 4;
        value = ports >>> 16;
        break;
      }
      default:
        return;
    }
    const old = view.getUint16(at);
    if (old === value) return;
    view.setUint16(at, value);
    // A partial sum covers the pseudo header only.
    if (checkAt !== 0 && !isPartial) replace16(view, checkAt, old, value);
  }
}

/** Where the checksum that covers addresses and ports is, 0 if there is none or it was cut off. */
function checksumAt(ip: IpView): number {
  const { view, l4, end } = ip;
  const room = end - l4;
  switch (ip.proto) {
    case PROTO.TCP:
      return room >= TCP.HLEN ? l4 + TCP.CHECK : 0;
    case PROTO.UDP:
    case PROTO.UDPLITE:
      return room >= UDP.HLEN && (ip.proto === PROTO.UDPLITE || view.getUint16(l4 + UDP.CHECK) !== 0)
        ? l4 + UDP.CHECK
        : 0;
    case PROTO.ICMP:
    case PROTO.ICMPV6:
      return room >= ICMP.HLEN ? l4 + ICMP.CHECK : 0;
    default:
      return 0;
  }
}
