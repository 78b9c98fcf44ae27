/**
 * The nfnetlink face of conntrack: lists, makes, changes and ends connections, lists and ends expectations, and keeps timeout
 * policies, for tools such as ovs-dpctl, ovs-vswitchd and conntrack.  ctnetlink-events.ts tells listeners of connections.  It answers on a NETLINK_NETFILTER socket of its own, bound to the port id that the
 * generic netlink families use too.
 *
 * Of the kernel's commands it has those that these tools send.  Nothing that a client sends can end it.
 * Source: net/netfilter/nfnetlink.c, nf_conntrack_netlink.c, nfnetlink_cttimeout.c.
 */
import { LITTLE_ENDIAN, NLM_F, NLMSG, NLMSG_HDRLEN, nlaAlign } from '../../../netlink/constants.ts';
import { NetlinkError, NetlinkFormatError } from '../../../netlink/errors.ts';
import {
  CTA,
  IPCTNL_MSG_CT,
  IPCTNL_MSG_EXP,
  IPCTNL_MSG_TIMEOUT,
  NFGENMSG_SIZE,
  NFNL_SUBSYS,
  nfnlType,
} from '../../../netlink/families/ctnetlink.ts';
import { AttrCursor, MessageView, MessageWriter } from '../../../netlink/message.ts';
import type { NetlinkReceiver, NetlinkTransport } from '../../../netlink/transport.ts';
import { ERRNO } from '../../../util/errno.ts';
import type { Logger } from '../../../util/vlog.ts';
import { DumpQueue } from '../../commands/dump-queue.ts';
import { DUMP_STEP, type DumpSource } from '../../commands/genl-family.ts';
import type { GroupListeners } from '../../commands/genl-server.ts';
import { Overruns } from '../../commands/overruns.ts';
import { IPCT } from '../ct-constants.ts';
import type { Tracker } from '../tracker.ts';
import { TUPLE_WORDS } from '../tuple.ts';
import { CtAttrs } from './ctnetlink-attrs.ts';
import { newConnection } from './ctnetlink-change.ts';
import { CtnetlinkEvents } from './ctnetlink-events.ts';
import { deleteExpectations, expectationDump, findExpectation, putExpectation } from './ctnetlink-expect.ts';
import { connectionDump, fits, readFilter } from './ctnetlink-filter.ts';
import { beginMessage, putConnection } from './ctnetlink-messages.ts';
import { cpuStatsDump, expectationStatsDump, putGlobalStats } from './ctnetlink-stats.ts';
import { deletePolicy, putPolicy, readPolicyName, setPolicy } from './ctnetlink-timeout.ts';
import { readTuple } from './ctnetlink-tuple.ts';

export interface CtnetlinkOptions {
  /** Bound to the port id that clients know.  Closed by its owner. */
  readonly transport: NetlinkTransport;
  readonly tracker: Tracker;
  /** Monotonic ms. */
  readonly clock: () => number;
  readonly log: Logger;
  /** Who listens to which group of NETLINK_NETFILTER; without it nobody is told anything. */
  readonly listeners?: GroupListeners;
}

/** A message with the attributes that this server reads. */
interface Request {
  readonly msg: MessageView;
  readonly from: number;
  /** nfgen_family; 0 is all. */
  readonly family: number;
  attrs(): AttrCursor;
}

/** Says that the answer comes from a dump. */
const DUMP_STARTED = Symbol('dump started');
/** Room for one message. */
const MAX_MESSAGE = 1024;

export class CtnetlinkServer implements NetlinkReceiver {
  private readonly transport: NetlinkTransport;
  private readonly tracker: Tracker;
  private readonly clock: () => number;
  private readonly log: Logger;
  private readonly events: CtnetlinkEvents;
  private readonly dumps: DumpQueue;
  private readonly overruns: Overruns;
  private readonly view = new MessageView();
  private readonly writer = new MessageWriter();
  private readonly tuple = new Int32Array(TUPLE_WORDS);

  constructor(options: CtnetlinkOptions) {
    this.transport = options.transport;
    this.tracker = options.tracker;
    this.clock = options.clock;
    this.log = options.log;
    this.dumps = new DumpQueue(options.transport);
    this.overruns = new Overruns(options.transport);
    this.events = new CtnetlinkEvents(options);
  }

  start(): void {
    this.transport.receive(this);
    this.tracker.events = this.events;
  }
  close(): void {
    this.transport.receive(null);
    this.tracker.events = undefined;
    this.dumps.close();
    this.overruns.close();
  }

  datagram(_bytes: Uint8Array, dv: DataView, offset: number, size: number, from: number): void {
    if (from === 0) return;
    const msg = this.view;
    const end = offset + size;
    for (let at = offset; msg.set(dv, at, end); at = msg.start + nlaAlign(msg.end - msg.start)) this.message(msg, from);
  }

  private message(msg: MessageView, from: number): void {
    let errno = 0;
    if ((msg.flags & NLM_F.REQUEST) !== 0 && msg.type >= NLMSG.MIN_TYPE) {
      try {
        if (this.dispatch(msg, from) === DUMP_STARTED) return;
      } catch (error) {
        errno = error instanceof NetlinkError ? error.errno : ERRNO.EINVAL;
        if (!(error instanceof NetlinkError || error instanceof NetlinkFormatError)) {
          this.log.err(() => `a request could not be handled: ${error instanceof Error ? error.stack : String(error)}`);
        }
      }
    }
    if (errno !== 0 || (msg.flags & NLM_F.ACK) !== 0) this.ack(msg, from, errno);
  }

  private dispatch(msg: MessageView, from: number): typeof DUMP_STARTED | undefined {
    const attrsAt = msg.payload + NFGENMSG_SIZE;
    if (attrsAt > msg.end) throw new NetlinkError(ERRNO.EINVAL, 'nfgenmsg');
    const request: Request = {
      msg,
      from,
      family: msg.dv.getUint8(msg.payload),
      attrs: () => new AttrCursor(msg.dv, attrsAt, msg.end, 'CTA'),
    };
    this.tracker.advance(this.clock());
    switch (msg.type) {
      case nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.NEW):
        this.change(request);
        return undefined;
      case nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.GET):
      // There are no counters, and so none to be set to zero.
      case nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.GET_CTRZERO):
        return this.get(request);
      case nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.GET_STATS):
        this.writer.reset();
        putGlobalStats(this.writer, this.tracker, msg.seq, from);
        this.send(from);
        return undefined;
      case nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.GET_STATS_CPU):
        return this.dumpIfAsked(request, cpuStatsDump(this.tracker, msg.seq, from));
      case nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.GET_STATS_CPU):
        return this.dumpIfAsked(request, expectationStatsDump(this.tracker, msg.seq, from));
      case nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.DELETE):
        this.delete(request);
        return undefined;
      case nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.GET):
        return this.getExpectation(request);
      case nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.DELETE):
        deleteExpectations(this.tracker, request.attrs(), request.family);
        return undefined;
      case nfnlType(NFNL_SUBSYS.CTNETLINK_TIMEOUT, IPCTNL_MSG_TIMEOUT.NEW):
        setPolicy(this.tracker.policies, request.attrs(), msg.flags);
        return undefined;
      case nfnlType(NFNL_SUBSYS.CTNETLINK_TIMEOUT, IPCTNL_MSG_TIMEOUT.GET):
        return this.getPolicies(request);
      case nfnlType(NFNL_SUBSYS.CTNETLINK_TIMEOUT, IPCTNL_MSG_TIMEOUT.DELETE):
        deletePolicy(this.tracker.policies, request.attrs());
        return undefined;
      case nfnlType(NFNL_SUBSYS.CTNETLINK_TIMEOUT, IPCTNL_MSG_TIMEOUT.DEFAULT_GET): {
        const w = this.begin(request, nfnlType(NFNL_SUBSYS.CTNETLINK_TIMEOUT, IPCTNL_MSG_TIMEOUT.DEFAULT_SET));
        putPolicy(w, readPolicyName(request.attrs()));
        this.reply(from);
        return undefined;
      }
      default:
        throw new NetlinkError(ERRNO.EINVAL, `nfnetlink message ${msg.type}`);
    }
  }

  // Connections.

  private get(request: Request): typeof DUMP_STARTED | undefined {
    const { msg, from } = request;
    if ((msg.flags & NLM_F.DUMP) === NLM_F.DUMP) {
      return this.dump(
        request,
        connectionDump(this.tracker, msg.seq, from, readFilter(request.attrs(), request.family)),
      );
    }
    const conn = this.findConnection(request);
    if (conn < 0) throw new NetlinkError(conn === -1 ? ERRNO.ENOENT : ERRNO.EINVAL, 'connection');
    this.writer.reset();
    putConnection(this.writer, this.tracker, conn, msg.seq, from, 0);
    this.reply(from);
    return undefined;
  }

  /** Ends one connection, or all those that fit, or all. */
  private delete(request: Request): void {
    const conn = this.findConnection(request);
    if (conn === NO_TUPLE) {
      const filter = readFilter(request.attrs(), request.family);
      this.tracker.flush((each) => fits(this.tracker, each, filter));
      return;
    }
    if (conn < 0) throw new NetlinkError(ERRNO.ENOENT, 'connection');
    const id = new CtAttrs(request.attrs()).be32(CTA.ID);
    if (id !== undefined && id !== (this.tracker.idOf(conn) | 0)) throw new NetlinkError(ERRNO.ENOENT, 'connection id');
    this.tracker.delete(conn);
  }

  /** The connection with the request's tuple; -1 if there is none, NO_TUPLE if there is no tuple. */
  private findConnection(request: Request): number {
    let zone = 0;
    let tuple: { at: number; size: number } | undefined;
    const it = request.attrs();
    while (it.next()) {
      if (it.type === CTA.ZONE) {
        it.want(2);
        zone = it.dv.getUint16(it.at);
      } else if (it.type === CTA.TUPLE_ORIG || (it.type === CTA.TUPLE_REPLY && tuple === undefined)) {
        tuple = { at: it.at, size: it.size };
      }
    }
    if (tuple === undefined) return NO_TUPLE;
    readTuple(request.msg.dv, tuple.at, tuple.size, request.family, zone, this.tuple);
    const entry = this.tracker.find(this.tuple);
    return entry < 0 ? -1 : entry >> 1;
  }

  private change({ msg, family, attrs }: Request): void {
    const { tracker } = this;
    const { conn, isNew, hasLabels } = newConnection(tracker, attrs(), family, msg.flags);
    tracker.table.events[conn] = CHANGED | (isNew ? IPCT.NEW : 0) | (hasLabels || !isNew ? IPCT.LABEL : 0);
    tracker.deliver(conn);
  }

  private getExpectation(request: Request): typeof DUMP_STARTED | undefined {
    const { msg, from, family } = request;
    if ((msg.flags & NLM_F.DUMP) === NLM_F.DUMP) {
      return this.dump(request, expectationDump(this.tracker, family, msg.seq, from));
    }
    const exp = findExpectation(this.tracker, request.attrs(), family);
    this.writer.reset();
    putExpectation(this.writer, this.tracker, exp, msg.seq, from);
    this.send(from);
    return undefined;
  }

  // Timeout policies.

  private getPolicies(request: Request): typeof DUMP_STARTED | undefined {
    const { msg, from } = request;
    const type = nfnlType(NFNL_SUBSYS.CTNETLINK_TIMEOUT, IPCTNL_MSG_TIMEOUT.NEW);
    if ((msg.flags & NLM_F.DUMP) === NLM_F.DUMP) {
      const policies = [...this.tracker.policies.all()];
      return this.dump(request, {
        next: (w, room) => {
          const policy = policies[0];
          if (policy === undefined) return DUMP_STEP.END;
          if (room < MAX_MESSAGE) return DUMP_STEP.FULL;
          policies.shift();
          const at = beginMessage(w, type, NLM_F.MULTI, msg.seq, from, 0);
          putPolicy(w, policy);
          w.end(at);
          return DUMP_STEP.MORE;
        },
      });
    }
    const policy = this.tracker.policies.get(readPolicyName(request.attrs()).name);
    if (policy === undefined) throw new NetlinkError(ERRNO.ENOENT, 'timeout policy');
    const w = this.begin(request, type);
    putPolicy(w, policy);
    this.reply(from);
    return undefined;
  }

  // Sending.

  private dump(request: Request, source: DumpSource): typeof DUMP_STARTED {
    if (this.dumps.isBusy(request.from)) throw new NetlinkError(ERRNO.EBUSY, 'dump');
    this.dumps.start(request.from, request.msg.seq, source);
    return DUMP_STARTED;
  }

  /** What has no other form than a dump is not answered without that flag. */
  private dumpIfAsked(request: Request, source: DumpSource): typeof DUMP_STARTED | undefined {
    return (request.msg.flags & NLM_F.DUMP) === NLM_F.DUMP ? this.dump(request, source) : undefined;
  }

  private messageAt = 0;
  private begin(request: Request, type: number): MessageWriter {
    this.writer.reset();
    this.messageAt = beginMessage(this.writer, type, 0, request.msg.seq, request.from, 0);
    return this.writer;
  }
  private reply(to: number): void {
    if (this.messageAt >= 0) this.writer.end(this.messageAt);
    this.send(to);
  }
  private send(to: number): void {
    this.overruns.check(this.transport.send(this.writer.bytes, 0, this.writer.size, to), to);
  }

  /** struct nlmsgerr: the errno, and the request, or of a good one its header. */
  private ack(msg: MessageView, to: number, errno: number): void {
    const w = this.writer;
    const size = errno === 0 ? NLMSG_HDRLEN : msg.end - msg.start;
    w.reset();
    const at = w.begin(NLMSG.ERROR, errno === 0 ? NLM_F.CAPPED : 0, msg.seq, to);
    w.reserve(4 + nlaAlign(size));
    w.dv.setInt32(w.size, -errno, LITTLE_ENDIAN);
    w.bytes.set(new Uint8Array(msg.dv.buffer, msg.dv.byteOffset + msg.start, size), w.size + 4);
    w.size += 4 + size;
    w.end(at);
    this.send(to);
  }
}

const NO_TUPLE = -2;
/** What may have changed when a tool has changed something. */
const CHANGED = IPCT.REPLY | IPCT.ASSURED | IPCT.HELPER | IPCT.PROTOINFO | IPCT.SEQADJ | IPCT.MARK | IPCT.SYNPROXY;
