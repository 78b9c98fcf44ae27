/**
 * Translates packets of a CT action that asks for NAT, in both directions: which address is to change, and the order of two changes.
 * nat/ chooses addresses and rewrites packets.  Part of ct-execute.ts.  Hot path.
 * Source: net/openvswitch/conntrack.c (ovs_ct_nat, ovs_ct_nat_execute).
 */
import type { FlowKey } from '../../flow/flow-key.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import type { Packet } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import { CT_NAT, type CtArgs } from './ct-args.ts';
import { CTINFO, DIR, directionOf, IPS, PROTO } from './ct-constants.ts';
import { writeTranslated } from './ct-key.ts';
import type { IpView } from './ip-view.ts';
import { MANIP, NatChooser, type NatRange } from './nat/nat.ts';
import { NatRewriter } from './nat/nat-packet.ts';
import type { Tracker } from './tracker.ts';

/** What is needed of the datapath. */
export interface CtHost {
  /** Gives the packet bytes of its own, which may move it.  False if there is no memory. */
  makeWritable(pkt: Packet): boolean;
  /** Monotonic ms. */
  readonly now: () => number;
}

/** Gives the packet bytes of its own, and has `ip` look at them.  False if there is no memory. */
export function makeWritable(host: CtHost, pkt: Packet, ip: IpView): boolean {
  const { start } = pkt;
  if (!host.makeWritable(pkt)) return false;
  if (pkt.start !== start) ip.parse(pkt, ip.isV6 ? ETH_TYPE.IPV6 : ETH_TYPE.IP);
  return true;
}

export class CtNat {
  private readonly tracker: Tracker;
  private readonly host: CtHost;
  private readonly ip: IpView;
  private readonly nat: NatChooser;
  private readonly rewriter: NatRewriter;

  /** `ip` is what looks at the packet at hand. */
  constructor(tracker: Tracker, host: CtHost, ip: IpView) {
    this.tracker = tracker;
    this.host = host;
    this.ip = ip;
    this.nat = new NatChooser(tracker);
    this.rewriter = new NatRewriter(tracker);
    tracker.onExpected = (conn, exp) => this.nat.followMaster(conn, exp);
  }

  /** Translates the packet of connection `conn`, and tells its key.  Returns 0 or -errno. */
  translate(pkt: Packet, key: FlowKey, args: CtArgs, conn: number): number {
    const { status } = this.tracker.table;
    const info = pkt.nfctInfo;
    let manip: number;
    if (info !== CTINFO.NEW && (status[conn]! & IPS.NAT_MASK) !== 0 && (info !== CTINFO.RELATED || args.commits)) {
      // As the connection was translated before, or back.
      const isSource = (status[conn]! & IPS.SRC_NAT) !== 0;
      manip = isSource === (directionOf(info) === DIR.ORIGINAL) ? MANIP.SRC : MANIP.DST;
    } else if (args.nat === CT_NAT.EXISTING) {
      return 0;
    } else {
      manip = args.nat === CT_NAT.SRC ? MANIP.SRC : MANIP.DST;
    }
    if (!makeWritable(this.host, pkt, this.ip)) return -ERRNO.ENOMEM;
    if (!this.translateOnce(pkt, key, conn, args.range, manip)) return -ERRNO.EINVAL;
    if ((status[conn]! & IPS.DST_NAT) === 0) return 0;
    if ((status[conn]! & IPS.SRC_NAT) !== 0) {
      return this.translateOnce(pkt, key, conn, args.range, 1 - manip) ? 0 : -ERRNO.EINVAL;
    }
    if (directionOf(info) === DIR.ORIGINAL) {
      return this.translateOnce(pkt, key, conn, undefined, MANIP.SRC) ? 0 : -ERRNO.EINVAL;
    }
    return 0;
  }

  private translateOnce(pkt: Packet, key: FlowKey, conn: number, range: NatRange | undefined, manip: number): boolean {
    const { ip, nat, rewriter } = this;
    const info = pkt.nfctInfo;
    const isRelated = info === CTINFO.RELATED || info === CTINFO.RELATED_REPLY;
    let isGood = true;
    if (isRelated && ip.proto === (ip.isV6 ? PROTO.ICMPV6 : PROTO.ICMP)) {
      isGood = rewriter.icmpError(pkt, ip, conn, info, manip);
    } else {
      if ((isRelated || info === CTINFO.NEW) && !nat.isDone(conn, manip)) {
        isGood = range?.hasAddrs === true ? nat.setUp(conn, range, manip) : nat.setUpNull(conn, manip);
      }
      isGood = isGood && rewriter.packet(pkt, ip, conn, info, manip);
    }
    if (isGood) writeTranslated(key, ip, manip);
    return isGood;
  }
}
