/**
 * Which address and port a connection is translated to: chosen once, when it is committed, so that its reply tuple is one
 * that no other connection has.  nat-packet.ts then rewrites packets by the two tuples.
 *
 * A connection's two tuples are inverse to each other until it is translated.  Source NAT changes where the reply goes,
 * that is, the reply tuple's destination; destination NAT the reply tuple's source.
 * Source: net/netfilter/nf_nat_core.c.
 */
import { hashAdd, hashFinish } from '../../../flow/flow-hash.ts';
import { IPS, PROTO } from '../ct-constants.ts';
import type { Expectation } from '../helpers/expect.ts';
import type { Tracker } from '../tracker.ts';
import { copyTuple, invertTuple, isV6Of, protoOf, T, TUPLE_WORDS, tuplesEqual, zoneOf } from '../tuple.ts';

/** What is translated. */
export const MANIP = { SRC: 0, DST: 1 } as const;

/** Where to.  Addresses are four words, an IPv4 address the first of them. */
export interface NatRange {
  readonly hasAddrs: boolean;
  readonly minAddr: Int32Array;
  readonly maxAddr: Int32Array;
  readonly hasPorts: boolean;
  readonly minPort: number;
  readonly maxPort: number;
  /** The address depends on the source only. */
  readonly isPersistent: boolean;
  /** Do not try the original port first: NF_NAT_RANGE_PROTO_RANDOM_FULLY, and NF_NAT_RANGE_PROTO_RANDOM. */
  readonly isRandom: boolean;
  readonly isHash: boolean;
}

const MAX_ATTEMPTS = 128;
/** In place of a tuple's port 0 bits. */
const hasPortsOf = (proto: number): boolean =>
  proto === PROTO.TCP || proto === PROTO.UDP || proto === PROTO.UDPLITE || proto === PROTO.SCTP;
const isIcmp = (proto: number): boolean => proto === PROTO.ICMP || proto === PROTO.ICMPV6;

const compareUnsigned = (a: number, b: number): number => (a >>> 0) - (b >>> 0);

/** Compares four words. */
function compareAddr(a: Int32Array, at: number, b: Int32Array, bt = 0): number {
  for (let i = 0; i < 4; i++) {
    const c = compareUnsigned(a[at + i]!, b[bt + i]!);
    if (c !== 0) return c;
  }
  return 0;
}

export class NatChooser {
  private readonly tracker: Tracker;
  private readonly current = new Int32Array(TUPLE_WORDS);
  private readonly chosen = new Int32Array(TUPLE_WORDS);
  private readonly reply = new Int32Array(TUPLE_WORDS);
  /** For bindings that change nothing unless they must. */
  private readonly nullAddr = new Int32Array(4);
  private readonly nullRange: NatRange = {
    hasAddrs: true,
    minAddr: this.nullAddr,
    maxAddr: this.nullAddr,
    hasPorts: false,
    minPort: 0,
    maxPort: 0,
    isPersistent: false,
    isRandom: false,
    isHash: false,
  };

  constructor(tracker: Tracker) {
    this.tracker = tracker;
  }

  isDone(conn: number, manip: number): boolean {
    return (this.tracker.table.status[conn]! & (manip === MANIP.SRC ? IPS.SRC_NAT_DONE : IPS.DST_NAT_DONE)) !== 0;
  }

  /**
   * Sets up the translation of connection `conn` once; a confirmed one stays as it is.  False if that was done already, and
   * the packet must be dropped.
   */
  setUp(conn: number, range: NatRange, manip: number): boolean {
    const { tracker, current, chosen, reply } = this;
    const { table } = tracker;
    if (tracker.isConfirmed(conn)) return true;
    if (this.isDone(conn, manip)) return false;
    const replyAt = table.tupleAt(2 * conn + 1);
    invertTuple(table.tuples, replyAt, current, 0);
    this.choose(conn, range, manip);
    if (!tuplesEqual(chosen, 0, current, 0)) {
      invertTuple(chosen, 0, reply, 0);
      copyTuple(reply, 0, table.tuples, replyAt);
      table.status[conn]! |= manip === MANIP.SRC ? IPS.SRC_NAT : IPS.DST_NAT;
    }
    if (manip === MANIP.SRC) table.linkSource(conn);
    table.status[conn]! |= manip === MANIP.SRC ? IPS.SRC_NAT_DONE : IPS.DST_NAT_DONE;
    return true;
  }

  /** The same without a range: the address stays, and the port too unless it is taken. */
  setUpNull(conn: number, manip: number): boolean {
    const { tuples } = this.tracker.table;
    const at = this.tracker.table.tupleAt(2 * conn + 1) + (manip === MANIP.SRC ? T.DST : T.SRC);
    for (let i = 0; i < 4; i++) this.nullAddr[i] = tuples[at + i]!;
    return this.setUp(conn, this.nullRange, manip);
  }

  /** Makes the connection that was expected go where its master goes (nf_nat_follow_master). */
  followMaster(conn: number, exp: Expectation): void {
    const { table } = this.tracker;
    const at = table.tupleAt(2 * exp.master + exp.dir);
    const port = exp.savedPort;
    // Whoever announced it is to see it come from where its own packets go, and at the address that it has itself.
    const peer = table.tuples.slice(at + T.DST, at + T.DST + 4);
    const announcer = table.tuples.slice(at, at + 4);
    this.setUp(conn, { ...this.nullRange, minAddr: peer, maxAddr: peer }, MANIP.SRC);
    const range = { ...this.nullRange, minAddr: announcer, maxAddr: announcer };
    this.setUp(conn, { ...range, hasPorts: true, minPort: port, maxPort: port }, MANIP.DST);
  }

  /** Fills `chosen` from `current`. */
  private choose(conn: number, range: NatRange, manip: number): void {
    const { current, chosen } = this;
    const triesFirst = !range.isRandom && !range.isHash;
    if (manip === MANIP.SRC && triesFirst) {
      if (this.isInRange(current, range)) {
        if (!this.isUsed(current, conn)) {
          copyTuple(current, 0, chosen, 0);
          return;
        }
      } else if (this.likeBefore(range) && !this.isUsed(chosen, conn)) {
        return;
      }
    }
    copyTuple(current, 0, chosen, 0);
    this.chooseAddr(range, manip);
    if (triesFirst) {
      if (range.hasPorts) {
        const isGood = this.portIsInRange(chosen, range, manip);
        if (isGood && (range.minPort === range.maxPort || !this.isUsed(chosen, conn))) return;
      } else if (!this.isUsed(chosen, conn)) {
        return;
      }
    }
    this.choosePort(conn, range, manip);
  }

  /** Whether the answer to `tuple` would be taken for one of another connection. */
  private isUsed(tuple: Int32Array, conn: number): boolean {
    invertTuple(tuple, 0, this.reply, 0);
    return this.tracker.isTaken(this.reply, 0, conn);
  }

  private isInRange(tuple: Int32Array, range: NatRange): boolean {
    if (
      range.hasAddrs &&
      (compareAddr(tuple, T.SRC, range.minAddr) < 0 || compareAddr(tuple, T.SRC, range.maxAddr) > 0)
    ) {
      return false;
    }
    return !range.hasPorts || this.portIsInRange(tuple, range, MANIP.SRC);
  }

  private portIsInRange(tuple: Int32Array, range: NatRange, manip: number): boolean {
    const proto = protoOf(tuple[T.META]!);
    if (!hasPortsOf(proto) && !isIcmp(proto) && proto !== PROTO.GRE) return true;
    const ports = tuple[T.PORTS]!;
    const port = manip === MANIP.SRC || isIcmp(proto) ? ports >>> 16 : ports & 0xffff;
    return port >= range.minPort && port <= range.maxPort;
  }

  /** Takes the source that another connection from the same address and port was given, if that is in the range. */
  private likeBefore(range: NatRange): boolean {
    const { current, chosen } = this;
    const { table } = this.tracker;
    const { tuples } = table;
    for (let conn = table.firstSource(current, 0); conn >= 0; conn = table.sourceAfter(conn)) {
      const at = table.tupleAt(2 * conn);
      // A row that nobody finds any more, or yet, is still here.
      const isLive = (table.status[conn]! & (IPS.CONFIRMED | IPS.DYING)) === IPS.CONFIRMED;
      const isSame =
        isLive &&
        tuples[at + T.META] === current[T.META] &&
        compareAddr(tuples, at, current) === 0 &&
        tuples[at + T.PORTS]! >>> 16 === current[T.PORTS]! >>> 16;
      if (!isSame || !invertTuple(tuples, table.tupleAt(2 * conn + 1), chosen, 0)) continue;
      for (let i = 0; i < 4; i++) chosen[T.DST + i] = current[T.DST + i]!;
      chosen[T.PORTS] = (chosen[T.PORTS]! & 0xffff0000) | (current[T.PORTS]! & 0xffff);
      if (this.isInRange(chosen, range)) return true;
    }
    return false;
  }

  /** An address of the range: always the same for the same two hosts. */
  private chooseAddr(range: NatRange, manip: number): void {
    if (!range.hasAddrs) return;
    const { chosen } = this;
    const at = manip === MANIP.SRC ? T.SRC : T.DST;
    if (compareAddr(range.minAddr, 0, range.maxAddr) === 0) {
      for (let i = 0; i < 4; i++) chosen[at + i] = range.minAddr[i]!;
      return;
    }
    const words = isV6Of(chosen[T.META]!) ? 4 : 1;
    const dst = chosen.slice(T.DST, T.DST + 4);
    let hash = range.isPersistent ? 0 : dst[words - 1]! ^ zoneOf(chosen[T.META]!);
    for (let i = 0; i < 4; i++) hash = hashAdd(hash, chosen[i]!);
    hash = hashFinish(hash);
    let isFree = false;
    for (let i = 0; i < words; i++) {
      const min = isFree ? 0 : range.minAddr[i]! >>> 0;
      const size = isFree ? 0x100000000 : (range.maxAddr[i]! >>> 0) - min + 1;
      chosen[at + i] = min + Math.floor(((hash >>> 0) / 0x100000000) * size);
      // Once below the highest address, all further words are free.
      if (chosen[at + i] !== range.maxAddr[i]) isFree = true;
      if (!range.isPersistent) hash ^= dst[i]!;
    }
  }

  /** A port, or ICMP id, with which `chosen` is not taken; if none is found, any. */
  private choosePort(conn: number, range: NatRange, manip: number): void {
    const { chosen } = this;
    const proto = protoOf(chosen[T.META]!);
    const isQuery = isIcmp(proto);
    if (!isQuery && !hasPortsOf(proto)) return;
    const isHigh = isQuery || manip === MANIP.SRC;
    let min = 0;
    let size = 65_536;
    if (range.hasPorts) {
      min = Math.min(range.minPort, range.maxPort);
      size = Math.abs(range.maxPort - range.minPort) + 1;
    } else if (!isQuery) {
      if (manip === MANIP.DST) return;
      const port = chosen[T.PORTS]! >>> 16;
      // Low ports stay low, as servers expect of some.
      if (port < 512) [min, size] = [1, 511];
      else if (port < 1024) [min, size] = [600, 424];
      else [min, size] = [1024, 64_512];
    }
    let attempts = Math.min(size, MAX_ATTEMPTS);
    for (;;) {
      const offset = Math.floor(this.tracker.random() * 65_536);
      for (let i = 0; i < attempts; i++) {
        const port = min + ((offset + i) % size);
        chosen[T.PORTS] = isHigh
          ? (chosen[T.PORTS]! & 0xffff) | (port << 16)
          : (chosen[T.PORTS]! & 0xffff0000) | (port & 0xffff);
        if (!this.isUsed(chosen, conn)) return;
      }
      if (attempts >= size || attempts < 16) return;
      attempts >>= 1;
    }
  }
}
