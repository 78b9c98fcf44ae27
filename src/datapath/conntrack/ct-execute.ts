/**
 * What a CT action does to a packet and its flow key: defragmentation, tracking, NAT, helpers, commit.  One for each
 * datapath; connections are the network namespace's (tracker.ts), and ct-nat.ts has the NAT.
 *
 * The packet remembers its connection (`nfct`), so that a look-up and a later commit in the same zone are one.  A packet
 * that came back from userspace has lost it, and is found again by what its key says.  Hot path.
 * Source: net/openvswitch/conntrack.c.
 */
import { FIELD } from '../../flow/fields.ts';
import { extractHeaders } from '../../flow/flow-extract.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import { type Packet, VNET_GSO } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import { NONE } from './conn-table.ts';
import type { Conntrack } from './conntrack.ts';
import { CT_NAT, type CtArgs } from './ct-args.ts';
import { CS_F, CTINFO, DIR, directionOf, IPCT, IPS, NFPROTO, PROTO, VERDICT } from './ct-constants.ts';
import { writeConnection, writeCtState } from './ct-key.ts';
import { type CtHost, CtNat, makeWritable } from './ct-nat.ts';
import { type Defragmenter, FRAG_RESULT } from './frag/frag.ts';
import { HELPER } from './helpers/helper-names.ts';
import { Helpers } from './helpers/helpers.ts';
import { IpView } from './ip-view.ts';
import { UNLIMITED } from './limits.ts';
import { setTcpLiberal, tcpIsEstablished } from './protocols/tcp-conn.ts';
import type { Tracker } from './tracker.ts';
import { invertTuple, protoOf, T, TUPLE_WORDS, tupleOfPacket, zoneOf } from './tuple.ts';

const W_FRAG = FIELD.nwFrag.word;
const W_CT = FIELD.ctState.word; // with ctZone
const W_MARK = FIELD.ctMark.word;
const W_LABELS = FIELD.ctLabels.word;

/** What execute() returns besides 0 and -errno: the packet was kept, and there is nothing more to do. */
export const CT_STOLEN = 1;

export class CtExecutor {
  private readonly tracker: Tracker;
  private readonly host: CtHost;
  private readonly ip = new IpView();
  private readonly tuple = new Int32Array(TUPLE_WORDS);
  private readonly inverse = new Int32Array(TUPLE_WORDS);
  private readonly nat: CtNat;
  private readonly helpers: Helpers;
  private readonly fragments: Defragmenter;

  constructor(conntrack: Conntrack, host: CtHost) {
    const { tracker } = conntrack;
    this.tracker = tracker;
    this.host = host;
    this.fragments = conntrack.defragmenter;
    this.nat = new CtNat(tracker, host, this.ip);
    this.helpers = new Helpers(tracker);
  }

  /**
   * Runs a CT action.  The key must be true of the packet.  Returns 0, CT_STOLEN for a fragment that waits for others, or
   * -errno: the packet must be dropped.
   */
  execute(pkt: Packet, key: FlowKey, args: CtArgs): number {
    const { tracker } = this;
    tracker.advance(this.host.now());
    const type = args.family === NFPROTO.IPV4 ? ETH_TYPE.IP : ETH_TYPE.IPV6;
    const l3 = pkt.start + pkt.l3;
    // What is behind the IP packet is padding of the frame.
    const size = IpView.totalSize(pkt, type);
    if (size !== 0 && l3 + size < pkt.end) pkt.end = l3 + size;
    if ((key[W_FRAG]! & 0xff) !== 0) {
      const error = this.defragment(pkt, key, args);
      if (error !== 0) return error;
    }
    this.ip.parse(pkt, type);
    if (args.timeout !== '') this.findPolicy(args);
    return args.commits ? this.commit(pkt, key, args) : this.lookUp(pkt, key, args);
  }

  /** Forgets the packet's connection (CT_CLEAR). */
  clear(pkt: Packet, key: FlowKey): void {
    pkt.nfct = 0;
    pkt.nfctInfo = CTINFO.UNTRACKED;
    writeCtState(key, this.tracker, 0, 0, NONE);
  }

  private findPolicy(args: CtArgs): void {
    const policy = this.tracker.policies.get(args.timeout);
    args.template.policy = policy?.l3 === args.family && policy.proto === args.proto ? policy.id : 0;
  }

  private defragment(pkt: Packet, key: FlowKey, args: CtArgs): number {
    // One large datagram that a device was to cut up is whole.
    if (pkt.gsoType !== VNET_GSO.UDP) {
      if (!this.host.makeWritable(pkt)) return -ERRNO.ENOMEM;
      switch (this.fragments.add(pkt, args.family === NFPROTO.IPV6, args.zone, this.tracker.now)) {
        case FRAG_RESULT.QUEUED:
          return CT_STOLEN;
        case FRAG_RESULT.DROPPED:
          return -ERRNO.EINVAL;
        default:
      }
      pkt.hash = 0;
      const [ct, mark] = [key[W_CT]!, key[W_MARK]!];
      if (!extractHeaders(pkt, key)) return -ERRNO.EINVAL;
      key[W_CT] = ct;
      key[W_MARK] = mark;
    }
    key[W_FRAG]! &= ~0xff;
    return 0;
  }

  // Looking up.

  private lookUp(pkt: Packet, key: FlowKey, args: CtArgs): number {
    const { tracker, tuple } = this;
    // A packet that was expected uses up its expectation only when it is committed: it might get lost before.
    if (tracker.expectations.count !== 0 && tupleOfPacket(this.ip, args.zone, tuple, 0)) {
      const exp = tracker.expectations.find(tuple, tracker.now);
      if (exp !== undefined) {
        const clash = tracker.find(tuple);
        if (clash !== NONE) tracker.delete(clash >> 1);
        writeCtState(key, tracker, CS_F.TRACKED | CS_F.NEW | CS_F.RELATED, args.zone, exp.master);
        return 0;
      }
    }
    return this.track(pkt, key, args);
  }

  /** Finds or begins the packet's connection, and translates the packet. */
  private track(pkt: Packet, key: FlowKey, args: CtArgs): number {
    const { tracker, ip } = this;
    const { table } = tracker;
    const isCached = this.isCached(pkt, key, args);
    if (!isCached) {
      if (tracker.track(pkt, ip, args.template) !== VERDICT.ACCEPT) return -ERRNO.EINVAL;
      writeConnection(key, tracker, pkt, args.zone);
    }
    const conn = tracker.connOf(pkt);
    if (conn === NONE) return 0;
    const isConfirmed = tracker.isConfirmed(conn);
    if (args.nat !== CT_NAT.NONE && ((key[W_CT]! >>> 16) & CS_F.NAT_MASK) === 0 && (isConfirmed || args.commits)) {
      const error = this.nat.translate(pkt, key, args, conn);
      if (error !== 0) return error;
    }
    if (!isConfirmed && args.commits && args.helper !== 0 && table.helper[conn] === 0) table.helper[conn] = args.helper;
    if (isConfirmed && !isCached && table.helper[conn] !== HELPER.NONE) {
      const error = this.help(pkt, conn);
      if (error !== 0) return error;
    }
    // From here on segments that were seen out of order must not be taken for invalid ones.
    if (isConfirmed && ip.proto === PROTO.TCP && this.protoOf(conn) === PROTO.TCP && tcpIsEstablished(tracker, conn)) {
      setTcpLiberal(table.state, conn);
    }
    return 0;
  }

  private protoOf(conn: number): number {
    return protoOf(this.tracker.table.tuples[2 * conn * TUPLE_WORDS + T.META]!);
  }

  /** Whether the packet's connection, as it knows it or as its key tells, is what a look-up would find. */
  private isCached(pkt: Packet, key: FlowKey, args: CtArgs): boolean {
    const { tracker } = this;
    const { table } = tracker;
    let conn = tracker.connOf(pkt);
    let wasTracked = true;
    if (conn === NONE) {
      const state = key[W_CT]! >>> 16;
      wasTracked = (state & (CS_F.TRACKED | CS_F.INVALID)) === CS_F.TRACKED && (key[W_CT]! & 0xffff) === args.zone;
      if (wasTracked || (state === 0 && args.forces)) conn = this.findAgain(pkt, args, (state & CS_F.NAT_MASK) !== 0);
      if (conn === NONE) return false;
    }
    if (zoneOf(table.tuples[2 * conn * TUPLE_WORDS + T.META]!) !== args.zone) return false;
    const helper = table.helper[conn]!;
    if (args.helper !== 0 && helper !== 0 && helper !== args.helper) return false;
    if (args.template.policy !== 0 && table.policy[conn] !== args.template.policy) return false;
    if (args.forces && directionOf(pkt.nfctInfo) !== DIR.ORIGINAL) {
      tracker.delete(conn);
      pkt.nfct = 0;
      return false;
    }
    return wasTracked;
  }

  /** Finds the connection of a packet that was in userspace meanwhile, without counting it again. */
  private findAgain(pkt: Packet, args: CtArgs, isTranslated: boolean): number {
    const { tracker, tuple, inverse } = this;
    if (!tupleOfPacket(this.ip, args.zone, tuple, 0)) return NONE;
    let entry: number;
    if (isTranslated) {
      if (!invertTuple(tuple, 0, inverse, 0)) return NONE;
      entry = tracker.find(inverse);
      if (entry !== NONE) entry ^= 1;
    } else {
      entry = tracker.find(tuple);
    }
    if (entry === NONE) return NONE;
    tracker.setCt(pkt, entry >> 1, tracker.infoOf(entry));
    return entry >> 1;
  }

  // Commit.

  private commit(pkt: Packet, key: FlowKey, args: CtArgs): number {
    const { tracker } = this;
    const { table } = tracker;
    const error = this.track(pkt, key, args);
    if (error !== 0) return error;
    const conn = tracker.connOf(pkt);
    if (conn === NONE) return 0;
    const isConfirmed = tracker.isConfirmed(conn);
    if (!isConfirmed && tracker.limits.isActive && !this.enterZone(conn, args.zone)) return -ERRNO.ENOMEM;
    // A mask is for those whose listeners are told anything; its highest bit says so.
    if (args.eventMask !== undefined && table.eventMask[conn] !== 0) table.eventMask[conn] = args.eventMask | (1 << 31);
    if (args.markMask !== 0) {
      const mark = args.mark | (table.mark[conn]! & ~args.markMask);
      if (mark !== table.mark[conn]) {
        table.mark[conn] = key[W_MARK] = mark;
        if (isConfirmed) table.events[conn]! |= IPCT.MARK;
      }
    }
    this.setLabels(conn, key, args, isConfirmed);
    if (!isConfirmed && table.helper[conn] !== HELPER.NONE) {
      const helpError = this.help(pkt, conn);
      if (helpError !== 0) {
        tracker.abandon(conn);
        return helpError;
      }
    }
    const verdict = tracker.confirm(pkt);
    if (isConfirmed) return 0;
    if (!tracker.isConfirmed(conn)) tracker.abandon(conn);
    return verdict === VERDICT.ACCEPT ? 0 : -ERRNO.EINVAL;
  }

  private enterZone(conn: number, zone: number): boolean {
    const { limits, table } = this.tracker;
    if (table.counted[conn] !== 0 || limits.limitOf(zone) === UNLIMITED) return true;
    if (!limits.enter(zone)) return false;
    table.counted[conn] = 1;
    return true;
  }

  private setLabels(conn: number, key: FlowKey, args: CtArgs, isConfirmed: boolean): void {
    const { labels, master, events } = this.tracker.table;
    const parent = isConfirmed ? NONE : master[conn]!;
    if (parent === NONE && !args.hasLabels) return;
    for (let i = 0; i < 4; i++) {
      const mask = args.labelsMask[i]!;
      const old = labels[4 * (parent === NONE ? conn : parent) + i]!;
      // Of a confirmed connection, the kernel flips bits that are set outside the mask.
      const value = isConfirmed ? args.labels[i]! : args.labels[i]! & mask;
      const label = (old & ~mask) ^ value;
      if (!isConfirmed || label !== old) events[conn]! |= IPCT.LABEL;
      labels[4 * conn + i] = key[W_LABELS + i] = label;
    }
  }

  private help(pkt: Packet, conn: number): number {
    if (pkt.nfctInfo === CTINFO.RELATED_REPLY) return 0;
    const isTranslated = (this.tracker.table.status[conn]! & (IPS.NAT_MASK | IPS.SEQ_ADJUST)) !== 0;
    if (isTranslated && !makeWritable(this.host, pkt, this.ip)) return -ERRNO.ENOMEM;
    const isGood = this.helpers.run(pkt, this.ip, conn, pkt.nfctInfo);
    return isGood ? 0 : -ERRNO.EINVAL;
  }
}
