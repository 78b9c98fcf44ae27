/**
 * The connection tracker of one network namespace: finds the connection that a packet belongs to, or begins one
 * (connections.ts), and runs the packet through its protocol (tcp-state.ts, datagram.ts, sctp.ts).  ct-execute.ts is what
 * actions call; ctnetlink-server.ts shows connections to tools.
 *
 * Hot path: nothing is allocated for a packet of a known connection.
 * Source: net/netfilter/nf_conntrack_core.c (nf_conntrack_in).
 */
import type { Packet } from '../../packet/packet.ts';
import { NONE } from './conn-table.ts';
import { Connections, type Template, TOO_MANY } from './connections.ts';
import { CTINFO, DIR, IPCT, IPS, PROTO, VERDICT } from './ct-constants.ts';
import { IpView } from './ip-view.ts';
import { genericPacket, grePacket, ICMP_KIND, icmpKind, icmpPacket, udpPacket } from './protocols/datagram.ts';
import { sctpPacket } from './protocols/sctp.ts';
import { tcpPacket } from './protocols/tcp-state.ts';
import { invertTuple, T, TUPLE_WORDS, tupleOfPacket } from './tuple.ts';

export class Tracker extends Connections {
  private readonly inner = new IpView();
  private readonly tuple = new Int32Array(TUPLE_WORDS);
  private readonly quoted = new Int32Array(TUPLE_WORDS);

  /** What a packet with the tuple of `entry` is to its connection. */
  infoOf(entry: number): number {
    if ((entry & 1) === DIR.REPLY) return CTINFO.ESTABLISHED_REPLY;
    const status = this.table.status[entry >> 1]!;
    if ((status & IPS.SEEN_REPLY) !== 0) return CTINFO.ESTABLISHED;
    return (status & IPS.EXPECTED) !== 0 ? CTINFO.RELATED : CTINFO.NEW;
  }

  /**
   * Runs the packet through conntrack: gives it its connection, a new one if need be, or none if it is invalid.  Returns
   * VERDICT.ACCEPT, or DROP if it must not go on.
   */
  track(pkt: Packet, ip: IpView, template: Template): number {
    pkt.nfct = 0;
    pkt.nfctInfo = CTINFO.ESTABLISHED;
    if (ip.l4 === 0) return this.invalid();
    const { proto } = ip;
    if (proto === PROTO.ICMP || proto === PROTO.ICMPV6) {
      // An ICMPv6 packet over IPv4, or the other way round, has no tracker.
      if (ip.isV6 !== (proto === PROTO.ICMPV6)) return this.invalid();
      switch (icmpKind(ip)) {
        case ICMP_KIND.INVALID:
          return this.invalid();
        case ICMP_KIND.UNTRACKED:
          pkt.nfctInfo = CTINFO.UNTRACKED;
          return VERDICT.ACCEPT;
        case ICMP_KIND.ERROR:
          return this.icmpError(pkt, ip, template.zone);
        default:
      }
    }
    const { tuple } = this;
    if (!tupleOfPacket(ip, template.zone, tuple, 0)) return this.invalid();
    for (;;) {
      let entry = this.find(tuple);
      if (entry === NONE) {
        const conn = this.begin(tuple, template);
        if (conn === NONE) return this.invalid();
        if (conn === TOO_MANY) return VERDICT.DROP;
        entry = 2 * conn;
      }
      const conn = entry >> 1;
      const info = this.infoOf(entry);
      this.setCt(pkt, conn, info);
      const verdict = this.protocol(conn, ip, entry & 1);
      if (verdict === VERDICT.ACCEPT) {
        if (info === CTINFO.ESTABLISHED_REPLY) this.setStatus(conn, IPS.SEEN_REPLY, IPCT.REPLY);
        return VERDICT.ACCEPT;
      }
      pkt.nfct = 0;
      if (verdict === VERDICT.REPEAT) continue;
      return verdict === VERDICT.INVALID ? this.invalid() : VERDICT.DROP;
    }
  }

  private invalid(): number {
    this.stats.invalid++;
    return VERDICT.ACCEPT;
  }

  private protocol(conn: number, ip: IpView, dir: number): number {
    switch (ip.proto) {
      case PROTO.TCP:
        return tcpPacket(this, conn, ip, dir);
      case PROTO.UDP:
      case PROTO.UDPLITE:
        return udpPacket(this, conn, ip);
      case PROTO.ICMP:
      case PROTO.ICMPV6:
        return icmpPacket(this, conn, ip);
      case PROTO.SCTP:
        return sctpPacket(this, conn, ip, dir);
      case PROTO.GRE:
        return grePacket(this, conn);
      default:
        return genericPacket(this, conn);
    }
  }

  /** An ICMP error is related to the connection of the packet that it quotes. */
  private icmpError(pkt: Packet, ip: IpView, zone: number): number {
    const { inner, tuple, quoted, table } = this;
    if (!inner.parseAt(ip.view, ip.l4 + 8, ip.end, ip.isV6)) return this.invalid();
    if (!tupleOfPacket(inner, zone, tuple, 0) || !invertTuple(tuple, 0, quoted, 0)) return this.invalid();
    const entry = this.find(quoted);
    if (entry === NONE) return this.invalid();
    // It must go to whom the quoted packet came from.
    const dst = table.tupleAt(entry) + T.DST;
    const at = ip.l3 + (ip.isV6 ? 24 : 16);
    for (let i = 0; i < (ip.isV6 ? 4 : 1); i++) {
      if (ip.view.getInt32(at + 4 * i) !== table.tuples[dst + i]) return this.invalid();
    }
    this.setCt(pkt, entry >> 1, (entry & 1) === DIR.REPLY ? CTINFO.RELATED_REPLY : CTINFO.RELATED);
    return VERDICT.ACCEPT;
  }
}
