/**
 * Requests to the kernel's traffic control.  rtnetlink answers inside send(), so that none waits.
 * Neighbours: netlink/families/tc.ts has the formats; qos-*.ts and policing.ts decide.  Source: rtnetlink(7), net/sched/sch_api.c.
 */
import { type NativeNetlinkSocket, native } from '../../native/index.ts';
import { LITTLE_ENDIAN, NETLINK_ROUTE, NLM_F, NLMSG } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { filterInfo, RTM_TC, TC_H, TCA, TCMSG, TCMSG_SIZE } from '../../netlink/families/tc.ts';
import type { Kind } from '../../netlink/kinds.ts';
import { forEachMessage, type MessageView, MessageWriter } from '../../netlink/message.ts';
import type { AttrsOf } from '../../netlink/policy.ts';
import { ERRNO } from '../../util/errno.ts';

/** A qdisc or class of a device. */
export interface TcObject extends AttrsOf<typeof TCA> {
  readonly ifindex: number;
  readonly handle: number;
  readonly parent: number;
}

/** What a request is about.  `options` is what TCA_OPTIONS holds. */
export interface TcSubject {
  readonly ifindex: number;
  readonly handle?: number;
  readonly parent?: number;
  readonly info?: number;
  readonly kind?: string;
  readonly options?: Uint8Array;
}

/** The part of a netlink socket that this needs: a test puts a kernel of its own behind it. */
export type TcSocket = Pick<NativeNetlinkSocket, 'send' | 'receive' | 'close'>;

/** An answer, or a page of a dump. */
const ANSWER_SIZE = 32 << 10;
const NEW = NLM_F.CREATE | NLM_F.EXCL;

/** The bytes of `value`. */
export function encode<T>(kind: Kind<T>, value: T, room = 8192): Uint8Array {
  const dv = new DataView(new ArrayBuffer(room));
  return new Uint8Array(dv.buffer, 0, kind.write(dv, 0, value));
}

/** Throws NetlinkFormatError, or a RangeError if it is too short. */
export const decode = <T>(kind: Kind<T>, bytes: Uint8Array): T =>
  kind.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);

/** Methods throw a NetlinkError. */
export class TcClient {
  private readonly open: () => TcSocket;
  private socket: TcSocket | undefined;
  private readonly answer = new Uint8Array(new ArrayBuffer(ANSWER_SIZE));
  private readonly info = new Int32Array(2);
  private readonly w = new MessageWriter();
  private seq = 0;

  constructor(open: () => TcSocket = () => native().openNetlink(NETLINK_ROUTE, 0, 0)) {
    this.open = open;
  }

  /** The qdisc at a device's root; undefined: one that the kernel has put there by itself and does not show. */
  rootQdisc(ifindex: number): TcObject | undefined {
    try {
      return this.get(RTM_TC.GETQDISC, { ifindex, parent: TC_H.ROOT });
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ERRNO.ENOENT) return undefined;
      throw error;
    }
  }

  /** Puts a qdisc where there is none but the kernel's own. */
  addQdisc(subject: TcSubject): void {
    this.request(RTM_TC.NEWQDISC, NLM_F.ACK | NEW, subject);
  }

  /** Gives a qdisc that is there other options. */
  changeQdisc(subject: TcSubject): void {
    this.request(RTM_TC.NEWQDISC, NLM_F.ACK, subject);
  }

  /** Removes a qdisc; that there is none but the kernel's own is fine. */
  deleteQdisc(subject: TcSubject): void {
    try {
      this.request(RTM_TC.DELQDISC, NLM_F.ACK, subject);
    } catch (error) {
      if (!(error instanceof NetlinkError) || (error.errno !== ERRNO.ENOENT && error.errno !== ERRNO.EINVAL))
        throw error;
    }
  }

  /** Adds a class, or gives one that is there other options. */
  setClass(subject: TcSubject): void {
    this.request(RTM_TC.NEWTCLASS, NLM_F.ACK | NLM_F.CREATE, subject);
  }
  deleteClass(subject: TcSubject): void {
    this.request(RTM_TC.DELTCLASS, NLM_F.ACK, subject);
  }
  getClass(subject: TcSubject): TcObject | undefined {
    return this.get(RTM_TC.GETTCLASS, subject);
  }
  /** All classes of a device, in the kernel's order. */
  classes(ifindex: number): TcObject[] {
    return this.request(RTM_TC.GETTCLASS, NLM_F.DUMP, { ifindex });
  }

  addFilter(preference: number, subject: TcSubject): void {
    this.request(RTM_TC.NEWTFILTER, NLM_F.ACK | NEW, { ...subject, info: filterInfo(preference) });
  }
  deleteFilter(preference: number, subject: TcSubject): void {
    this.request(RTM_TC.DELTFILTER, NLM_F.ACK, { ...subject, info: filterInfo(preference) });
  }

  close(): void {
    this.socket?.close();
    this.socket = undefined;
  }

  private get(type: number, subject: TcSubject): TcObject | undefined {
    return this.request(type, NLM_F.ACK | NLM_F.ECHO, subject)[0];
  }

  private request(type: number, flags: number, subject: TcSubject): TcObject[] {
    this.socket ??= this.open();
    const { w, socket } = this;
    const seq = ++this.seq;
    w.reset();
    const at = w.begin(type, NLM_F.REQUEST | flags, seq, 0);
    w.reserve(TCMSG_SIZE);
    const { ifindex, handle = 0, parent = 0, info = 0, kind, options } = subject;
    w.size = TCMSG.write(w.dv, w.size, { family: 0, pad1: 0, pad2: 0, ifindex, handle, parent, info });
    if (kind !== undefined) w.attrString(TCA.type.kind, kind);
    if (options !== undefined) w.attrBytes(TCA.type.options, options);
    w.end(at);
    const sent = socket.send(w.bytes, 0, w.size, 0, 0);
    if (sent < 0) throw new NetlinkError(-sent, 'tc');
    const found: TcObject[] = [];
    let errno: number | undefined;
    while (errno === undefined) {
      const n = socket.receive(this.answer, ANSWER_SIZE, 1, this.info);
      if (n <= 0) throw new NetlinkError(n < 0 ? -n : ERRNO.EIO, 'tc');
      const size = Math.min(this.info[0] as number, ANSWER_SIZE);
      forEachMessage(new DataView(this.answer.buffer), 0, size, (msg) => {
        if (msg.seq !== seq) return;
        if (msg.type === NLMSG.DONE) errno ??= 0;
        else if (msg.type === NLMSG.ERROR) errno = -msg.dv.getInt32(msg.payload, LITTLE_ENDIAN);
        else found.push(readObject(msg));
      });
    }
    if (errno !== 0) throw new NetlinkError(errno, `tc on device ${ifindex}`);
    return found;
  }
}

function readObject(msg: MessageView): TcObject {
  const { ifindex, handle, parent } = TCMSG.read(msg.dv, msg.payload, TCMSG_SIZE);
  const at = msg.payload + TCMSG_SIZE;
  return { ifindex, handle, parent, ...TCA.read(msg.dv, at, msg.end - at) };
}
