/**
 * Generic netlink, the serving side: what af_netlink.c and genetlink.c do for openvswitch.ko.  It takes datagrams from
 * any client, walks their messages, finds family and command, checks attributes, runs the command (dp-, vport-, flow- and
 * packet-commands.ts) and sends what comes of it: a reply, a notification, an acknowledgement, an error, a dump.
 * server.ts puts it together with the families.
 *
 * Nothing that a client sends can end or stall it: a command's NetlinkError becomes NLMSG_ERROR, any other exception is
 * logged and becomes EINVAL, no send blocks, and a dump is pushed bit by bit (dump-queue.ts).
 * Source: net/netlink/af_netlink.c (netlink_rcv_skb, netlink_ack), net/netlink/genetlink.c.
 */
import {
  GENL_HDRLEN,
  LITTLE_ENDIAN,
  NLM_F,
  NLMSG,
  NLMSG_HDRLEN,
  NLMSGERR_ATTR,
  nlaAlign,
  OVS_HDRLEN,
} from '../../netlink/constants.ts';
import { NetlinkError, NetlinkFormatError } from '../../netlink/errors.ts';
import { MessageView, MessageWriter } from '../../netlink/message.ts';
import type { NetlinkReceiver, NetlinkTransport } from '../../netlink/transport.ts';
import { ERRNO } from '../../util/errno.ts';
import type { Logger } from '../../util/vlog.ts';
import { AttrTable, type PolicyViolation, writeRule } from './attr-policy.ts';
import { DumpQueue } from './dump-queue.ts';
import { type DumpSource, type GenlFamily, type GenlOp, type Replies, Request } from './genl-family.ts';
import { Overruns } from './overruns.ts';

/** Whether anyone listens to a multicast group: see multicast.ts. */
export interface GroupListeners {
  has(group: number): boolean;
}

export interface ServerOptions {
  /** Bound to the port id that clients know; closed by its owner, not here. */
  readonly transport: NetlinkTransport;
  readonly log: Logger;
  /** Everybody listens to everything if this is left out. */
  readonly listeners?: GroupListeners;
  /** Shared with whoever else sends through the transport; one of the server's own if left out.  Closed here. */
  readonly overruns?: Overruns;
  /** Called after each batch of datagrams: the time to flush what they made ports queue. */
  readonly batchEnd?: () => void;
}

/** A family as the server uses it: its commands by number, and room for its attributes. */
interface Served {
  readonly family: GenlFamily;
  readonly ops: readonly (GenlOp | undefined)[];
  /** Commands from here on demand a clean header: those added after the kernel began to check. */
  readonly strictFrom: number;
  readonly request: Request;
}

export class GenlServer implements NetlinkReceiver, Replies {
  private readonly transport: NetlinkTransport;
  private readonly log: Logger;
  private readonly listeners: GroupListeners | undefined;
  private readonly onBatchEnd: (() => void) | undefined;
  private readonly served = new Map<number, Served>();
  private readonly dumps: DumpQueue;
  private readonly overruns: Overruns;
  private readonly view = new MessageView();
  /** The one message that is being built, and where it began. */
  private readonly writer = new MessageWriter();
  private messageAt = 0;
  private readonly ackWriter = new MessageWriter();
  constructor(options: ServerOptions) {
    this.transport = options.transport;
    this.log = options.log;
    this.listeners = options.listeners;
    this.onBatchEnd = options.batchEnd;
    this.dumps = new DumpQueue(options.transport);
    this.overruns = options.overruns ?? new Overruns(options.transport);
  }

  /** Serves `family` from now on.  Its id must be free. */
  register(family: GenlFamily): void {
    const ops: GenlOp[] = [];
    for (const op of family.ops) ops[op.cmd] = op;
    const request = new Request(family, new AttrTable(family.parsedAttrs ?? family.maxattr));
    this.served.set(family.id, { family, ops, strictFrom: ops.length, request });
  }

  /** The families that are served, in order of registration. */
  *families(): IterableIterator<GenlFamily> {
    for (const { family } of this.served.values()) yield family;
  }

  /** Starts answering. */
  start(): void {
    this.transport.receive(this);
  }

  /** Stops answering; what is queued for clients stays as it is. */
  close(): void {
    this.transport.receive(null);
    this.dumps.close();
    this.overruns.close();
  }

  datagram(_bytes: Uint8Array, dv: DataView, offset: number, size: number, from: number): void {
    // The kernel's own messages (port id 0) answer nothing that was asked here.
    if (from === 0) return;
    const end = offset + size;
    const msg = this.view;
    for (let at = offset; msg.set(dv, at, end); at = msg.start + nlaAlign(msg.end - msg.start)) this.message(msg, from);
  }

  batchEnd(): void {
    this.onBatchEnd?.();
  }

  overflow(): void {
    this.log.warn('requests were lost: clients sent faster than they were read');
  }

  private message(msg: MessageView, from: number): void {
    let errno = 0;
    let violation: PolicyViolation | undefined;
    let text: string | undefined;
    if ((msg.flags & NLM_F.REQUEST) !== 0 && msg.type >= NLMSG.MIN_TYPE) {
      try {
        const result = this.dispatch(msg, from);
        if (result === DUMP_STARTED) return;
        violation = result;
        errno = violation?.errno ?? 0;
      } catch (error) {
        errno = this.errnoOf(error);
        if (error instanceof NetlinkError) text = error.extack;
      }
    }
    if (errno !== 0 || (msg.flags & NLM_F.ACK) !== 0) this.ack(msg, from, errno, violation?.message ?? text, violation);
  }

  /** Runs a command.  Throws NetlinkError, or returns what is wrong with the attributes, or DUMP_STARTED. */
  private dispatch(msg: MessageView, from: number): PolicyViolation | typeof DUMP_STARTED | undefined {
    const served = this.served.get(msg.type);
    if (served === undefined) throw new NetlinkError(ERRNO.ENOENT, `family ${msg.type}`);
    const { family, request } = served;
    if (msg.end - msg.start < NLMSG_HDRLEN + GENL_HDRLEN + family.hdrsize) {
      throw new NetlinkError(ERRNO.EINVAL, `${family.name}: message of ${msg.end - msg.start} bytes`);
    }
    if (msg.cmd >= served.strictFrom) checkHeader(msg);
    const op = served.ops[msg.cmd];
    if (op === undefined) throw new NetlinkError(ERRNO.EOPNOTSUPP, `${family.name}: command ${msg.cmd}`);

    request.from = from;
    request.msg = msg;
    request.dpIfindex = family.hdrsize === OVS_HDRLEN ? msg.dpIfindex : 0;
    const attrsAt = msg.payload + GENL_HDRLEN + family.hdrsize;
    const isDump = (msg.flags & NLM_F.DUMP) === NLM_F.DUMP;
    if (isDump ? op.dumpit === undefined : op.doit === undefined) {
      throw new NetlinkError(ERRNO.EOPNOTSUPP, `${family.name}: command ${msg.cmd}`);
    }
    if (isDump && this.dumps.isBusy(from)) throw new NetlinkError(ERRNO.EBUSY, `${family.name}: dump`);
    family.prepare?.();
    const violation = request.attrs.parse(msg.dv, msg.start, attrsAt, msg.end, family.rules);
    if (isDump) {
      this.startDump(op, request, violation);
      return DUMP_STARTED;
    }
    if (violation === undefined) op.doit?.(request, this);
    return violation;
  }

  /** What is wrong with a dump's request is told at its end (NLMSG_DONE), not in its place. */
  private startDump(op: GenlOp, request: Request, violation: PolicyViolation | undefined): void {
    let source: DumpSource;
    try {
      if (violation !== undefined && op.dumpChecksAttrs) throw new NetlinkError(violation.errno, violation.message);
      source = op.dumpit?.(request) ?? new FailedDump(new NetlinkError(ERRNO.EOPNOTSUPP, 'dump'));
    } catch (error) {
      source = new FailedDump(new NetlinkError(this.errnoOf(error), 'dump'));
    }
    this.dumps.start(request.from, request.msg.seq, source);
  }

  /** The errno to answer for something that was thrown; logs it if it is no errno by itself. */
  private errnoOf(error: unknown): number {
    if (error instanceof NetlinkError) {
      this.log.dbg(() => error.message);
      return error.errno;
    }
    if (error instanceof NetlinkFormatError) {
      this.log.dbg(() => error.message);
      return ERRNO.EINVAL;
    }
    this.log.err(() => `a request could not be handled: ${error instanceof Error ? error.stack : String(error)}`);
    return ERRNO.EINVAL;
  }

  /**
   * Sends struct nlmsgerr: the errno, the request (its header alone when there is no error), and an extended ack.
   *
   *     | nlmsghdr | -errno | request ... | [MSG text] [OFFS offset] [POLICY nest] |
   */
  private ack(msg: MessageView, to: number, errno: number, text?: string, violation?: PolicyViolation): void {
    const w = this.ackWriter;
    const size = errno === 0 ? NLMSG_HDRLEN : msg.end - msg.start;
    const flags = (errno === 0 ? NLM_F.CAPPED : 0) | (text === undefined ? 0 : NLM_F.ACK_TLVS);
    w.reset();
    const at = w.begin(NLMSG.ERROR, flags, msg.seq, to);
    w.reserve(4 + nlaAlign(size));
    w.dv.setInt32(w.size, -errno, LITTLE_ENDIAN);
    w.size += 4;
    const request = new Uint8Array(msg.dv.buffer, msg.dv.byteOffset + msg.start, size);
    w.bytes.set(request, w.size);
    w.bytes.fill(0, w.size + size, w.size + nlaAlign(size));
    w.size += text === undefined ? size : nlaAlign(size);
    if (text !== undefined) {
      w.attrString(NLMSGERR_ATTR.MSG, text);
      if (violation !== undefined) {
        w.attrU32(NLMSGERR_ATTR.OFFS, violation.offset);
        if (violation.rule !== undefined) writeRule(w, NLMSGERR_ATTR.POLICY, violation.rule);
      }
    }
    w.end(at);
    this.send(w, to);
  }

  // What follows is for commands: see Replies.

  begin(req: Request, cmd: number, dpIfindex: number): MessageWriter {
    return this.beginMessage(req.family, cmd, dpIfindex, req.msg.seq, req.from);
  }
  beginEvent(family: GenlFamily, cmd: number, dpIfindex: number): MessageWriter {
    return this.beginMessage(family, cmd, dpIfindex, 0, 0);
  }
  private beginMessage(family: GenlFamily, cmd: number, dpIfindex: number, seq: number, to: number): MessageWriter {
    const w = this.writer;
    w.reset();
    if (family.hdrsize === OVS_HDRLEN) {
      this.messageAt = w.beginOvs(family.id, 0, seq, to, cmd, family.version, dpIfindex);
    } else {
      this.messageAt = w.begin(family.id, 0, seq, to);
      w.genl(cmd, family.version);
    }
    return w;
  }

  reply(req: Request): void {
    this.writer.end(this.messageAt);
    this.send(this.writer, req.from);
  }

  notify(req: Request): void {
    this.writer.end(this.messageAt);
    this.multicast(req.family.group);
    if (req.wantsEcho) this.send(this.writer, req.from);
  }

  announce(family: GenlFamily): void {
    this.writer.end(this.messageAt);
    this.multicast(family.group);
  }

  mustNotify(req: Request): boolean {
    return req.wantsEcho || (this.listeners?.has(req.family.group) ?? true);
  }

  private multicast(group: number): void {
    // Nobody listening (ESRCH) is the usual case.
    if (group !== 0) this.transport.multicast(this.writer.bytes, 0, this.writer.size, group);
  }

  private send(w: MessageWriter, to: number): void {
    this.overruns.check(this.transport.send(w.bytes, 0, w.size, to), to);
  }
}

/** A dump that ends with an error before it has begun. */
class FailedDump implements DumpSource {
  private readonly error: NetlinkError;

  constructor(error: NetlinkError) {
    this.error = error;
  }
  next(): never {
    throw this.error;
  }
}

/** Says that the answer, whatever it is, comes from the dump. */
const DUMP_STARTED = Symbol('dump started');

/** The checks of genl_header_check(), for commands that only newer families have. */
function checkHeader(msg: MessageView): void {
  if (msg.dv.getUint16(msg.payload + 2, LITTLE_ENDIAN) !== 0) {
    throw new NetlinkError(ERRNO.EINVAL, 'genlmsghdr', 'genlmsghdr.reserved field is not 0');
  }
  const dump = (msg.flags & NLM_F.DUMP) === NLM_F.DUMP ? NLM_F.DUMP : 0;
  if ((msg.flags & ~(dump | NLM_F.REQUEST | NLM_F.ACK | NLM_F.ECHO)) !== 0) {
    const text = 'ambiguous or reserved bits set in nlmsg_flags';
    throw new NetlinkError(ERRNO.EINVAL, 'nlmsghdr', text);
  }
}
