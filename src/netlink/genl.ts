/**
 * Generic netlink from the client's side: requests, their answers, and which socket at the other end they go to.
 *
 * A GenlEndpoint says how to open a socket and what port id the peer has: 0 is the kernel, DATAPATH_PORT_ID an emulated
 * datapath.  `genl-family.ts` finds that out; nothing else in a client knows the difference.  A GenlClient is one socket on
 * which requests are answered; dumps (`genl-dump.ts`) and notifications (`genl-notify.ts`) have sockets of their own, so
 * that a slow reader of one never holds up the others.
 *
 * How answers are matched (`genl-flights.ts`): every message has its own sequence number; what comes back carries it, in any order.  Errors
 * always come back.  Success comes back only where it is asked for: a query asks for its reply (NLM_F_ECHO, or a GET), and
 * a batch asks for an acknowledgement of the last message of each datagram, because the peer works through a datagram in
 * order: once the last one is answered, all before it that had no error have succeeded.
 *
 * Source: lib/netlink-socket.c, include/uapi/linux/netlink.h.
 */
import { coverage } from '../util/coverage.ts';
import { ERRNO } from '../util/errno.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { LITTLE_ENDIAN, NLM_F } from './constants.ts';
import { NetlinkError } from './errors.ts';
import { type Flight, Flights, flightDeadline } from './genl-flights.ts';
import { peerError } from './genl-peer.ts';
import { formatHeader } from './genl-text.ts';
import { forEachMessage, type MessageView, MessageWriter } from './message.ts';
import type { NetlinkTransport } from './transport.ts';

const log = vlog('netlink_socket');
const rl = new RateLimit(60, 600);
const sent = coverage('netlink_sent');
const received = coverage('netlink_received');
const overflows = coverage('netlink_overflow');

/** The other end, and how to open sockets to it. */
export interface GenlEndpoint {
  open(): NetlinkTransport;
  /** Port id of the peer. */
  readonly peer: number;
}

/** Headers of one request to an ovs_* family. */
export interface OvsRequest {
  /** nlmsg_type: the family's number. */
  readonly family: number;
  readonly cmd: number;
  readonly version: number;
  /** NLM_F_* besides NLM_F_REQUEST. */
  readonly flags: number;
  readonly dpIfindex: number;
}

/** A datagram of a batch is sent when it has grown to this, so that any peer's queue can take it. */
const DATAGRAM_BYTES = 32_768;
const FIRST_RETRY_MS = 1;
const LAST_RETRY_MS = 50;

/** One socket for requests and their answers.  Methods may be called while others are awaited. */
export class GenlClient {
  readonly endpoint: GenlEndpoint;
  private readonly transport: NetlinkTransport;
  private readonly writer = new MessageWriter();
  private readonly flights: Flights;
  private readonly unsent: { readonly bytes: Uint8Array; readonly flight: Flight }[] = [];
  private seq = 0;
  private retryMs = FIRST_RETRY_MS;
  private retry: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(endpoint: GenlEndpoint) {
    this.endpoint = endpoint;
    this.transport = endpoint.open();
    this.transport.setRef(false);
    this.flights = new Flights(this.transport, endpoint.peer);
    this.transport.receive({
      datagram: (_bytes, dv, offset, size, from) => {
        // Anybody in the namespace may send here; only the peer's answers count.
        if (from === endpoint.peer) this.onDatagram(dv, offset, offset + size);
      },
      overflow: () => {
        overflows.n++;
        this.flights.failAll((f) => new NetlinkError(ERRNO.ENOBUFS, f.where));
      },
    });
  }

  /** Port id of this client's socket. */
  get portId(): number {
    return this.transport.portId;
  }

  /**
   * Sends one request and resolves to what `decode` makes of its reply.  The request must be one that is answered: a GET,
   * or one with NLM_F_ECHO.  Rejects with the NetlinkError that the peer sent, ETIMEDOUT, ECONNREFUSED, or what `decode`
   * throws.
   */
  query<T>(
    request: OvsRequest,
    fill: (w: MessageWriter) => void,
    decode: (msg: MessageView) => T,
    where: string,
  ): Promise<T> {
    const w = this.writer;
    w.reset();
    const seq = this.nextSeq(1);
    this.begin(w, request, seq, request.flags);
    fill(w);
    w.end(0);
    return this.fly(w, seq, where, decode);
  }

  /** As {@link query}, for nlctrl, whose messages have no ovs_header. */
  queryGenl<T>(
    type: number,
    cmd: number,
    version: number,
    fill: (w: MessageWriter) => void,
    decode: (msg: MessageView) => T,
    where: string,
  ): Promise<T> {
    const w = this.writer;
    w.reset();
    const seq = this.nextSeq(1);
    w.begin(type, NLM_F.REQUEST, seq, this.transport.portId);
    w.genl(cmd, version);
    fill(w);
    w.end(0);
    return this.fly(w, seq, where, decode);
  }

  private async fly<T>(w: MessageWriter, seq: number, where: string, decode: (msg: MessageView) => T): Promise<T> {
    let reply: { value: T } | undefined;
    const flight = await this.launch(w, seq, 1, where, true, (_i, msg) => {
      reply = { value: decode(msg) };
    });
    const errno = flight.results[0] ?? 0;
    if (errno !== 0) throw new NetlinkError(errno, where, flight.extack);
    // An acknowledgement without a reply: the peer does not know NLM_F_ECHO.
    if (reply === undefined) throw new NetlinkError(ERRNO.EPROTO, where, 'no reply to a query');
    return reply.value;
  }

  /** Sends one request and waits until it is carried out.  Rejects as {@link query} does. */
  async transact(request: OvsRequest, fill: (w: MessageWriter) => void, where: string): Promise<void> {
    const w = this.writer;
    w.reset();
    const seq = this.nextSeq(1);
    this.begin(w, request, seq, request.flags | NLM_F.ACK);
    fill(w);
    w.end(0);
    const flight = await this.launch(w, seq, 1, where, false, undefined);
    const errno = flight.results[0] ?? 0;
    if (errno !== 0) throw new NetlinkError(errno, where, flight.extack);
  }

  /**
   * Sends `count` requests in as few datagrams as is wise, in order, and resolves to the result of each (0 or an errno)
   * when all are carried out.  `fill` writes request `i`'s attributes after saying what request it is; `onMessage` gets
   * the replies.  Rejects only if the peer cannot be reached; `results` of an earlier datagram are lost then.
   */
  async batch(
    count: number,
    request: (i: number) => OvsRequest,
    fill: (i: number, w: MessageWriter) => void,
    onMessage: (i: number, msg: MessageView) => void,
    where: string,
  ): Promise<Int32Array> {
    const results = new Int32Array(count);
    const launched: Promise<void>[] = [];
    const w = this.writer;
    for (let i = 0; i < count; ) {
      const from = i;
      w.reset();
      const seq = this.nextSeq(count - from);
      let last = 0;
      for (; i < count && (i === from || w.size < DATAGRAM_BYTES); i++) {
        const r = request(i);
        last = this.begin(w, r, (seq + i - from) >>> 0, r.flags);
        fill(i, w);
        w.end(last);
      }
      w.dv.setUint16(last + 6, w.dv.getUint16(last + 6, LITTLE_ENDIAN) | NLM_F.ACK, LITTLE_ENDIAN);
      const flight = this.launch(w, seq, i - from, where, false, (index, msg) => onMessage(from + index, msg));
      launched.push(flight.then((f) => results.set(f.results, from)));
    }
    await Promise.all(launched);
    return results;
  }

  /** Gives up the socket; whoever still waits gets EBADF. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.flights.close();
    clearTimeout(this.retry);
    this.transport.close();
  }

  private begin(w: MessageWriter, r: OvsRequest, seq: number, flags: number): number {
    return w.beginOvs(r.family, flags | NLM_F.REQUEST, seq, this.transport.portId, r.cmd, r.version, r.dpIfindex);
  }

  /** Reserves `n` sequence numbers, none of them 0, which upcalls and notifications have. */
  private nextSeq(n: number): number {
    if (this.seq + n > 0xffffffff) this.seq = 0;
    const first = this.seq + 1;
    this.seq += n;
    return first;
  }

  private launch(
    w: MessageWriter,
    first: number,
    count: number,
    where: string,
    endsWithReply: boolean,
    onMessage: Flight['onMessage'],
  ): Promise<Flight> {
    return new Promise((resolve, reject) => {
      if (this.closed) {
        reject(new NetlinkError(ERRNO.EBADF, where, 'the socket was closed'));
        return;
      }
      const flight: Flight = {
        first,
        count,
        where,
        deadline: flightDeadline(),
        results: new Int32Array(count),
        endsWithReply,
        onMessage,
        extack: undefined,
        resolve: () => resolve(flight),
        reject,
      };
      this.flights.add(flight);
      if (this.unsent.length > 0 || !this.trySend(w.bytes, w.size, flight)) {
        this.unsent.push({ bytes: w.bytes.slice(0, w.size), flight });
        this.retryLater();
      }
    });
  }

  /** False if the peer has no room now.  A failure otherwise ends the flight. */
  private trySend(bytes: Uint8Array, size: number, flight: Flight): boolean {
    const n = this.transport.send(bytes, 0, size, this.endpoint.peer);
    log.dbg(() => `send (${n < 0 ? `errno ${-n}` : 'Success'}): ${formatHeader(bytes)}`, rl);
    if (n === -ERRNO.EAGAIN || n === -ERRNO.ENOBUFS) return false;
    if (n < 0) this.flights.fail(flight, peerError(-n, this.endpoint.peer, flight.where));
    else sent.n++;
    return true;
  }

  private retryLater(): void {
    if (this.retry !== undefined) return;
    this.retry = setTimeout(() => {
      this.retry = undefined;
      while (this.unsent[0] !== undefined) {
        const { bytes, flight } = this.unsent[0];
        if (this.flights.isUnderWay(flight) && !this.trySend(bytes, bytes.length, flight)) {
          this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
          this.retryLater();
          return;
        }
        this.unsent.shift();
      }
      this.retryMs = FIRST_RETRY_MS;
    }, this.retryMs);
  }

  private onDatagram(dv: DataView, offset: number, end: number): void {
    received.n++;
    forEachMessage(dv, offset, end, (msg) => this.flights.onMessage(msg));
  }
}
