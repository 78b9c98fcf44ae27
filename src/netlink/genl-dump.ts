/**
 * Dumps: one request, many messages back, then NLMSG_DONE.  Each dump has a socket of its own.  While the caller is busy
 * with a batch of messages nothing more is received, so a dump of any size needs little memory: the peer waits, as the
 * kernel does, until there is room for more.  Source: lib/netlink-socket.c (nl_dump_start() and so on).
 */
import { monotonicMs } from '../util/clock.ts';
import { ERRNO } from '../util/errno.ts';
import { LITTLE_ENDIAN, NLM_F, NLMSG } from './constants.ts';
import { NetlinkError } from './errors.ts';
import type { GenlEndpoint, OvsRequest } from './genl.ts';
import { isPeerGone, peerError } from './genl-peer.ts';
import { errorExtack, errorNumber } from './genl-text.ts';
import { forEachMessage, type MessageView, MessageWriter } from './message.ts';

const TIMEOUT_MS = 10_000;
const TICK_MS = 1000;
const RETRY_MS = 5;
/** Datagrams taken at a time: of 32 KB each, with some hundred flows. */
const MAX_BATCH = 4;

/** Sequence numbers of all dumps: an answer to an earlier dump on a reused port id must not be taken for a new one's. */
let seq = 0;

/**
 * Dumps what `request` asks for.  `decode` makes an item of each message (undefined leaves it out) while the message is
 * valid; `visit` gets the items of what came in one go, and is awaited.  Resolves to whether the dump was consistent
 * (no NLM_F_DUMP_INTR).  Rejects with a NetlinkError, or with what `decode` or `visit` throw.
 */
export function dump<T>(
  endpoint: GenlEndpoint,
  request: OvsRequest,
  fill: (w: MessageWriter) => void,
  decode: (msg: MessageView) => T | undefined,
  visit: (items: T[]) => void | Promise<void>,
  where: string,
): Promise<boolean> {
  seq = (seq % 0x7fffffff) + 1;
  const mySeq = seq;
  return new Promise((resolve, reject) => {
    const transport = endpoint.open();
    let items: T[] = [];
    let isConsistent = true;
    let isDone = false;
    let isOver = false;
    let deadline = monotonicMs() + TIMEOUT_MS;

    const finish = (error: unknown): void => {
      if (isOver) return;
      isOver = true;
      clearInterval(ticker);
      transport.close();
      if (error !== undefined) reject(error instanceof Error ? error : new Error(String(error)));
      else resolve(isConsistent);
    };
    const take = (msg: MessageView): void => {
      if (msg.seq !== mySeq || isDone) return;
      if (msg.flags & NLM_F.DUMP_INTR) isConsistent = false;
      if (msg.type === NLMSG.ERROR) {
        const errno = errorNumber(msg);
        if (errno !== 0) throw new NetlinkError(errno, where, errorExtack(msg));
      } else if (msg.type === NLMSG.DONE) {
        // NLMSG_DONE carries an errno of its own, for a dump that failed half way.
        const error = msg.end - msg.payload >= 4 ? msg.dv.getInt32(msg.payload, LITTLE_ENDIAN) : 0;
        if (error < 0) throw new NetlinkError(-error, where);
        isDone = true;
      } else if (msg.type >= NLMSG.MIN_TYPE && msg.hasOvsHeader) {
        const item = decode(msg);
        if (item !== undefined) items.push(item);
      }
    };
    const deliver = async (): Promise<void> => {
      const batch = items;
      items = [];
      transport.receive(null);
      deadline = Number.POSITIVE_INFINITY;
      try {
        if (batch.length > 0) await visit(batch);
      } catch (e) {
        finish(e);
        return;
      }
      if (isOver) return;
      deadline = monotonicMs() + TIMEOUT_MS;
      if (isDone) finish(undefined);
      else transport.receive(receiver);
    };
    const receiver = {
      maxBatch: MAX_BATCH,
      datagram(_bytes: Uint8Array, dv: DataView, offset: number, size: number, from: number): void {
        if (isOver || from !== endpoint.peer) return;
        try {
          forEachMessage(dv, offset, offset + size, take);
        } catch (e) {
          finish(e);
        }
      },
      batchEnd(): void {
        if (!isOver && (items.length > 0 || isDone)) void deliver();
      },
      overflow(): void {
        finish(new NetlinkError(ERRNO.ENOBUFS, where));
      },
    };

    const w = new MessageWriter(256);
    const flags = request.flags | NLM_F.REQUEST | NLM_F.DUMP;
    const r = request;
    const at = w.beginOvs(r.family, flags, mySeq, transport.portId, r.cmd, r.version, r.dpIfindex);
    fill(w);
    w.end(at);
    const ticker = setInterval(() => {
      if (monotonicMs() >= deadline) finish(new NetlinkError(ERRNO.ETIMEDOUT, where, 'no answer from the datapath'));
      else if (isPeerGone(transport, endpoint.peer)) finish(peerError(ERRNO.ECONNREFUSED, endpoint.peer, where));
    }, TICK_MS);
    const send = (): void => {
      if (isOver) return;
      const n = transport.send(w.bytes, 0, w.size, endpoint.peer);
      if (n === -ERRNO.EAGAIN || n === -ERRNO.ENOBUFS) setTimeout(send, RETRY_MS);
      else if (n < 0) finish(peerError(-n, endpoint.peer, where));
    };
    transport.receive(receiver);
    send();
  });
}
