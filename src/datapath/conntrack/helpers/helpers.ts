/**
 * Helpers: they read what is said in a connection about others to come, and expect those.  With NAT, they also rewrite what
 * is said.
 *
 *  - ftp: PORT and EPRT of the client, the answers to PASV and EPSV of the server.
 *  - tftp: a read or write request, which is answered from another port.
 *
 * A command must begin where a segment's payload begins.  Rare: nothing here is hot but run() of a plain segment.
 * Sources: RFC 959, 2428, 1350; net/netfilter/nf_conntrack_ftp.c, nf_nat_ftp.c, nf_conntrack_tftp.c.
 */
import { foldSum, setIpv4Checksum, sumBytes } from '../../../packet/checksum.ts';
import { IP, IPV6, TCP, UDP } from '../../../packet/ip.ts';
import { type Packet, SLOT_SIZE } from '../../../packet/packet.ts';
import { CTINFO, DIR, directionOf, IPS, PROTO } from '../ct-constants.ts';
import type { IpView } from '../ip-view.ts';
import { SeqAdjust } from '../nat/seq-adjust.ts';
import { adjustSequence } from '../nat/seq-rewrite.ts';
import type { Tracker } from '../tracker.ts';
import { isV6Of, metaOf, T, TUPLE_WORDS, zoneOf } from '../tuple.ts';
import type { Expectation } from './expect.ts';
import { type FtpCommand, findCommand, formatCommand } from './ftp-text.ts';
import { HELPER } from './helper-names.ts';

const EXPECT_MS = 300_000;
const TFTP = { READ: 1, WRITE: 2 } as const;
/** Longest payload that is read for commands. */
const MAX_LINE = 512;
/** Ports tried for an expectation that must be another one than was said. */
const MAX_TRIES = 128;

export class Helpers {
  private readonly tracker: Tracker;

  constructor(tracker: Tracker) {
    this.tracker = tracker;
  }

  /** Runs the connection's helper on a packet, which is writable if the connection has NAT.  False: drop it. */
  run(pkt: Packet, ip: IpView, conn: number, ctinfo: number): boolean {
    const { table } = this.tracker;
    if (ip.l4 === 0) return true;
    const helper = table.helper[conn]!;
    if (helper === HELPER.FTP && ip.proto === PROTO.TCP) {
      if (!this.ftp(pkt, ip, conn, ctinfo)) return false;
    } else if (helper === HELPER.TFTP && ip.proto === PROTO.UDP) {
      this.tftp(ip, conn, ctinfo);
    }
    if ((table.status[conn]! & IPS.SEQ_ADJUST) === 0 || ip.proto !== PROTO.TCP) return true;
    const adjust = this.tracker.seqAdjusts.get(conn);
    if (adjust !== undefined) adjustSequence(pkt, ip, adjust, directionOf(ctinfo));
    return true;
  }

  private ftp(pkt: Packet, ip: IpView, conn: number, ctinfo: number): boolean {
    if (ctinfo !== CTINFO.ESTABLISHED && ctinfo !== CTINFO.ESTABLISHED_REPLY) return true;
    const { view, l4, end } = ip;
    if (end - l4 < TCP.HLEN) return true;
    const at = l4 + ((view.getUint8(l4 + 12) >>> 4) << 2);
    if (at >= end || end - at > MAX_LINE) return true;
    const dir = directionOf(ctinfo);
    const text = Buffer.from(view.buffer, view.byteOffset + at, end - at).toString('latin1');
    const command = findCommand(text, dir === DIR.REPLY, ip.isV6);
    if (command === undefined) return true;
    // Half of a command: the rest of it could not be understood any more.
    if (command === 'partial') return false;
    const { table } = this.tracker;
    // Only what is said about oneself counts.
    const said = command.addr;
    const mine = table.tupleAt(2 * conn + dir);
    if (said?.some((word, i) => word !== table.tuples[mine + i]) === true) return true;
    const isTranslated = (table.status[conn]! & IPS.NAT_MASK) !== 0;
    const exp = this.expected(conn, dir, PROTO.TCP, command.port, command.port, isTranslated);
    if (!isTranslated) {
      this.tracker.expectations.add(exp);
      return true;
    }
    return this.translateFtp(pkt, ip, conn, dir, command, exp, at);
  }

  /** Expects the connection that `command` announces at the translated address, and says that address. */
  private translateFtp(
    pkt: Packet,
    ip: IpView,
    conn: number,
    dir: number,
    command: FtpCommand,
    exp: Expectation,
    at: number,
  ): boolean {
    const { expectations, random } = this.tracker;
    let port = command.port;
    for (let i = 0; ; i++) {
      exp.tuple[T.PORTS] = port;
      if (!this.isTaken(exp) && expectations.add(exp)) break;
      if (i === MAX_TRIES) return false;
      port = 1024 + Math.floor(random() * 64_512);
    }
    const text = formatCommand(command, exp.tuple.subarray(T.DST, T.DST + 4), port, ip.isV6);
    if (text === command.text) return true;
    if (this.replace(pkt, ip, conn, dir, at + command.offset, command.text.length, text)) return true;
    expectations.remove(exp);
    return false;
  }

  private isTaken(exp: Expectation): boolean {
    const known = this.tracker.expectations.find(exp.tuple, this.tracker.now);
    return known !== undefined && known.master !== exp.master;
  }

  /** Replaces `size` bytes at `at` of the payload by `text`. */
  private replace(pkt: Packet, ip: IpView, conn: number, dir: number, at: number, size: number, text: string): boolean {
    const { view, l3, l4 } = ip;
    const grown = text.length - size;
    if (pkt.end + grown > (pkt.slot + 1) * SLOT_SIZE) return false;
    const { bytes } = pkt.arena;
    bytes.copyWithin(at + text.length, at + size, ip.end);
    bytes.set(Buffer.from(text, 'latin1'), at);
    pkt.end += grown;
    ip.end += grown;
    if (ip.isV6) {
      view.setUint16(l3 + IPV6.LEN, view.getUint16(l3 + IPV6.LEN) + grown);
    } else {
      view.setUint16(l3 + IP.TOTAL, view.getUint16(l3 + IP.TOTAL) + grown);
      setIpv4Checksum(view, l3);
    }
    // It is computed whole: a partial one is completed here.
    view.setUint16(l4 + TCP.CHECK, 0);
    view.setUint16(l4 + TCP.CHECK, ~foldSum(sumBytes(view, l4, ip.end - l4, ip.pseudo(PROTO.TCP))));
    pkt.vnetFlags = 0;
    if (grown === 0) return true;
    const { seqAdjusts, table } = this.tracker;
    let adjust = seqAdjusts.get(conn);
    if (adjust === undefined) {
      adjust = new SeqAdjust();
      seqAdjusts.set(conn, adjust);
    }
    table.status[conn]! |= IPS.SEQ_ADJUST;
    adjust.change(dir, view.getInt32(l4 + TCP.SEQ), grown);
    return true;
  }

  private tftp(ip: IpView, conn: number, ctinfo: number): void {
    const { view, l4, end } = ip;
    if (end - l4 < UDP.HLEN + 2 || directionOf(ctinfo) !== DIR.ORIGINAL) return;
    const opcode = view.getUint16(l4 + UDP.HLEN);
    if (opcode !== TFTP.READ && opcode !== TFTP.WRITE) return;
    const { table, expectations } = this.tracker;
    const replyPorts = table.tuples[table.tupleAt(2 * conn + 1) + T.PORTS]!;
    const originalPort = table.tuples[table.tupleAt(2 * conn) + T.PORTS]! >>> 16;
    const isTranslated = (table.status[conn]! & IPS.NAT_MASK) !== 0;
    expectations.add(this.expected(conn, DIR.ORIGINAL, PROTO.UDP, replyPorts & 0xffff, originalPort, isTranslated));
  }

  /** A connection from the other end of `conn` to the end that sends in direction `dir`, on `port`. */
  private expected(
    conn: number,
    dir: number,
    proto: number,
    port: number,
    savedPort: number,
    isTranslated: boolean,
  ): Expectation {
    const { table, now } = this.tracker;
    const tuple = new Int32Array(TUPLE_WORDS);
    table.readTuple(2 * conn + 1 - dir, tuple);
    const meta = tuple[T.META]!;
    tuple[T.PORTS] = port;
    tuple[T.META] = metaOf(zoneOf(meta), proto, isV6Of(meta));
    return { master: conn, tuple, anySource: false, expires: now + EXPECT_MS, dir, isTranslated, savedPort, helper: 0 };
  }
}
