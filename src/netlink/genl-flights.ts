/**
 * The requests of one GenlClient (genl.ts) that are under way: which answer is whose, and how long an answer is waited for.
 *
 * A flight is the messages of one datagram, whose sequence numbers follow each other.
 * Source: lib/netlink-socket.c (nl_sock_transact_multiple__).
 */
import { monotonicMs } from '../util/clock.ts';
import { ERRNO } from '../util/errno.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { GENL_HDRLEN, NLMSG, NLMSG_HDRLEN } from './constants.ts';
import { NetlinkError } from './errors.ts';
import { isPeerGone, peerError } from './genl-peer.ts';
import { errorExtack, errorNumber, formatHeader } from './genl-text.ts';
import type { MessageView } from './message.ts';
import type { NetlinkTransport } from './transport.ts';

const log = vlog('netlink_socket');
const rl = new RateLimit(60, 600);

/** How long to wait for an answer, and how often to look whether the peer still exists. */
const TIMEOUT_MS = 10_000;
const TICK_MS = 1000;
/** How much later than a request another one was sent whose answer means that the first gets none. */
const OVERTAKEN_MS = 250;

/** Messages of one datagram whose answers are awaited. */
export interface Flight {
  readonly first: number;
  readonly count: number;
  readonly where: string;
  readonly deadline: number;
  /** Result of each message, 0 or a positive errno. */
  readonly results: Int32Array;
  /** A query is over with its reply, a batch with the answer to its last message. */
  readonly endsWithReply: boolean;
  readonly onMessage: ((index: number, msg: MessageView) => void) | undefined;
  extack: string | undefined;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** When a flight that begins now is given up. */
export const flightDeadline = (): number => monotonicMs() + TIMEOUT_MS;

export class Flights {
  private readonly transport: NetlinkTransport;
  private readonly peer: number;
  private readonly awaited: Flight[] = [];
  private ticker: NodeJS.Timeout | undefined;
  private isClosed = false;

  constructor(transport: NetlinkTransport, peer: number) {
    this.transport = transport;
    this.peer = peer;
  }

  add(flight: Flight): void {
    this.awaited.push(flight);
    if (this.awaited.length === 1) this.wake();
  }

  isUnderWay(flight: Flight): boolean {
    return this.awaited.includes(flight);
  }

  /** Takes a message of the peer's; one that nobody waits for is ignored. */
  onMessage(msg: MessageView): void {
    log.dbg(() => `recv: ${formatHeader(new Uint8Array(msg.dv.buffer, msg.dv.byteOffset + msg.start))}`, rl);
    const flight = this.awaited.find((f) => (msg.seq - f.first) >>> 0 < f.count);
    if (flight === undefined) {
      log.dbg(() => `ignoring unexpected seq ${msg.seq}`, rl);
      return;
    }
    const index = (msg.seq - flight.first) >>> 0;
    const isLast = index === flight.count - 1;
    if (msg.type === NLMSG.ERROR) {
      const errno = errorNumber(msg);
      flight.results[index] = errno;
      if (errno !== 0) flight.extack = errorExtack(msg);
      if (isLast) this.land(flight);
    } else if (msg.type >= NLMSG.MIN_TYPE && msg.end - msg.start >= NLMSG_HDRLEN + GENL_HDRLEN) {
      try {
        flight.onMessage?.(index, msg);
      } catch (e) {
        this.fail(flight, e instanceof Error ? e : new Error(String(e)));
        return;
      }
      if (isLast && flight.endsWithReply) this.land(flight);
    }
  }

  private land(flight: Flight): void {
    this.awaited.splice(this.awaited.indexOf(flight), 1);
    if (this.awaited.length === 0) this.sleep();
    flight.resolve();
    // Answers come in the order of requests.  What was asked long before this and has none was lost with the process that had it, whose
    // place another has taken since.
    for (const f of this.awaited.filter((x) => x.deadline + OVERTAKEN_MS < flight.deadline)) {
      this.fail(f, peerError(ERRNO.ECONNREFUSED, this.peer, f.where));
    }
  }

  /** Ends a flight, if it is under way. */
  fail(flight: Flight, error: Error): void {
    const i = this.awaited.indexOf(flight);
    if (i < 0) return;
    this.awaited.splice(i, 1);
    if (this.awaited.length === 0) this.sleep();
    flight.reject(error);
  }

  /** Ends all. */
  failAll(error: (f: Flight) => Error): void {
    for (const f of [...this.awaited]) this.fail(f, error(f));
  }

  /** While answers are awaited the process must live, and a peer that died must be noticed. */
  private wake(): void {
    this.transport.setRef(true);
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  private sleep(): void {
    if (!this.isClosed) this.transport.setRef(false);
    clearInterval(this.ticker);
  }

  private tick(): void {
    const now = monotonicMs();
    for (const f of this.awaited.filter((x) => x.deadline <= now)) {
      this.fail(f, new NetlinkError(ERRNO.ETIMEDOUT, f.where, 'no answer from the datapath'));
    }
    if (this.awaited.length === 0 || !isPeerGone(this.transport, this.peer)) return;
    this.failAll((f) => peerError(ERRNO.ECONNREFUSED, this.peer, f.where));
  }

  /** Ends all, because the socket is closed. */
  close(): void {
    this.isClosed = true;
    this.failAll((f) => new NetlinkError(ERRNO.EBADF, f.where, 'the socket was closed'));
  }
}
