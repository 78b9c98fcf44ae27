/**
 * Dumps: one request, many answers.  The kernel fills a buffer each time that the client reads; a process is not told when
 * a client reads, so this pushes: as many datagrams at once as the client's queue takes, the rest by timer, never
 * blocking.  server.ts starts dumps; what is dumped is a DumpSource (genl-family.ts).
 *
 * A datagram holds several messages, up to DATAGRAM_SIZE bytes, each with NLM_F_MULTI; the last one holds only
 * NLMSG_DONE, whose payload is 0 or -errno.
 * Source: net/netlink/af_netlink.c (netlink_dump).
 */
import { LITTLE_ENDIAN, NLM_F, NLMSG } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { MessageWriter } from '../../netlink/message.ts';
import type { NetlinkTransport } from '../../netlink/transport.ts';
import { ERRNO } from '../../util/errno.ts';
import { DUMP_STEP, type DumpSource } from './genl-family.ts';

/** What the kernel fills at most: a client's buffer must take it. */
export const DATAGRAM_SIZE = 32_768;
/** Datagrams sent before others get their turn. */
const BURST = 8;
/** A client that has not read for so long is given up.  ms */
const PATIENCE_MS = 10_000;
/** Delays between attempts while the client's queue is full.  ms */
const [MIN_DELAY_MS, MAX_DELAY_MS] = [1, 50];

interface Dump {
  readonly to: number;
  readonly seq: number;
  readonly source: DumpSource;
  /** The datagram being made or, if it could not be sent yet, waiting; `isLast` if the dump ends with it. */
  readonly writer: MessageWriter;
  isLast: boolean;
  /** There is nothing more to dump; why, if it was an error. */
  isDone: boolean;
  errno: number;
  delayMs: number;
  waitedMs: number;
  timer: NodeJS.Timeout | undefined;
  immediate: NodeJS.Immediate | undefined;
}

export class DumpQueue {
  private readonly transport: NetlinkTransport;
  /** By port id: a socket can have one dump at a time. */
  private readonly dumps = new Map<number, Dump>();
  /** Dumps that ended early, because the client went away or did not read. */
  nAbandoned = 0;

  constructor(transport: NetlinkTransport) {
    this.transport = transport;
  }

  /** Whether port id `to` has a dump that is not finished. */
  isBusy(to: number): boolean {
    return this.dumps.has(to);
  }

  /** Starts sending `source` to `to`.  The caller has checked that it is not busy. */
  start(to: number, seq: number, source: DumpSource): void {
    const writer = new MessageWriter(DATAGRAM_SIZE);
    const dump: Dump = {
      to,
      seq,
      source,
      writer,
      isLast: false,
      isDone: false,
      errno: 0,
      delayMs: MIN_DELAY_MS,
      waitedMs: 0,
      timer: undefined,
      immediate: undefined,
    };
    this.dumps.set(to, dump);
    this.run(dump);
  }

  /** Ends all dumps, unfinished as they are. */
  close(): void {
    for (const dump of this.dumps.values()) this.end(dump);
  }

  private run(dump: Dump): void {
    dump.timer = dump.immediate = undefined;
    for (let i = 0; i < BURST; i++) {
      if (dump.writer.size === 0) this.fill(dump);
      const sent = this.transport.send(dump.writer.bytes, 0, dump.writer.size, dump.to);
      if (sent === -ERRNO.EAGAIN || sent === -ERRNO.ENOBUFS) {
        this.wait(dump);
        return;
      }
      if (sent < 0 || dump.isLast) {
        if (sent < 0) this.nAbandoned++;
        this.end(dump);
        return;
      }
      dump.writer.reset();
      dump.delayMs = MIN_DELAY_MS;
      dump.waitedMs = 0;
    }
    dump.immediate = setImmediate(() => this.run(dump));
  }

  private wait(dump: Dump): void {
    if (dump.waitedMs >= PATIENCE_MS) {
      this.nAbandoned++;
      this.end(dump);
      return;
    }
    dump.waitedMs += dump.delayMs;
    dump.timer = setTimeout(() => this.run(dump), dump.delayMs);
    // A dump that nobody reads must not keep the process from ending.
    dump.timer.unref();
    dump.delayMs = Math.min(2 * dump.delayMs, MAX_DELAY_MS);
  }

  private fill(dump: Dump): void {
    const w = dump.writer;
    try {
      for (;;) {
        const step = dump.isDone ? DUMP_STEP.END : dump.source.next(w, DATAGRAM_SIZE - w.size, w.size === 0);
        if (step === DUMP_STEP.MORE) continue;
        if (step === DUMP_STEP.END) dump.isDone = true;
        break;
      }
    } catch (error) {
      dump.isDone = true;
      dump.errno = error instanceof NetlinkError ? error.errno : ERRNO.EINVAL;
      w.reset();
    }
    // The end comes in a datagram of its own, as from the kernel: clients may look at the first message only.
    if (w.size > 0) return;
    putDone(w, dump.seq, dump.to, dump.errno);
    dump.isLast = true;
  }

  private end(dump: Dump): void {
    clearTimeout(dump.timer);
    clearImmediate(dump.immediate);
    this.dumps.delete(dump.to);
  }
}

function putDone(w: MessageWriter, seq: number, portId: number, errno: number): void {
  const at = w.begin(NLMSG.DONE, NLM_F.MULTI, seq, portId);
  w.reserve(4);
  w.dv.setInt32(w.size, -errno, LITTLE_ENDIAN);
  w.size += 4;
  w.end(at);
}
