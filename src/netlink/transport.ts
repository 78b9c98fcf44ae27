/**
 * Transports: how netlink datagrams reach a peer.  `SocketTransport` (socket.ts) is a real socket; `MemoryNetlink`
 * here is a namespace full of sockets inside this process, for tests and for a datapath embedded in a program.  The
 * same server, client and test suites run on both.
 */
import { ERRNO } from '../util/errno.ts';
import { LITTLE_ENDIAN, NLMSG, NLMSG_HDRLEN } from './constants.ts';

/** What a transport calls.  `bytes` is the transport's own buffer: valid only during the call. */
export interface NetlinkReceiver {
  /** One datagram, which may hold several messages, from port id `from` (0 is the kernel). */
  datagram(bytes: Uint8Array, dv: DataView, offset: number, size: number, from: number): void;
  /** After the last datagram of a batch: the time to answer what was collected. */
  batchEnd?(): void;
  /** Datagrams of a batch at most; RECEIVE_BATCH if it is left out. */
  readonly maxBatch?: number;
  /**
   * Datagrams were lost because they came faster than they were read (ENOBUFS, or NLMSG_OVERRUN from a process that
   * could not send more: it is not handed over as a datagram).  What was queued has been handed over by then, and
   * what comes from now on is not lost without another call.
   */
  overflow?(): void;
}

/** A bound netlink socket.  No call blocks or throws, except `join` and `leave` (an Error with `errno`). */
export interface NetlinkTransport {
  /** This socket's own port id. */
  readonly portId: number;
  /** Sends a copy of `size` bytes to `portId`.  Returns `size`, or -errno (-EAGAIN: that socket's queue is full). */
  send(bytes: Uint8Array, offset: number, size: number, portId: number): number;
  /**
   * Sends `n` datagrams in order, with as few system calls as may be: words `3 * i` to `3 * i + 2` of `list` are offset, size and port id of
   * one, and the last of them becomes what `send` returns.  Returns how many went out.
   */
  sendMany(bytes: Uint8Array, list: Int32Array, n: number): number;
  /** Sends to every socket that joined `group` (1..32) but this one.  Returns `size`, or -ESRCH if there is none. */
  multicast(bytes: Uint8Array, offset: number, size: number, group: number): number;
  join(group: number): void;
  leave(group: number): void;
  /** Sets who receives from now on; null stops.  While null, datagrams queue up. */
  receive(receiver: NetlinkReceiver | null): void;
  /** Whether an open transport keeps the process alive; it does at first. */
  setRef(on: boolean): void;
  close(): void;
}

/** `sendMany` for transports to which one datagram costs as much as another. */
export function sendEach(to: Pick<NetlinkTransport, 'send'>, bytes: Uint8Array, list: Int32Array, n: number): number {
  let nSent = 0;
  for (let i = 0; i < 3 * n; i += 3) {
    const sent = to.send(bytes, list[i] as number, list[i + 1] as number, (list[i + 2] as number) >>> 0);
    list[i + 2] = sent;
    if (sent >= 0) nSent++;
  }
  return nSent;
}

/** Whether a datagram is NLMSG_OVERRUN alone, with which a process says what the kernel says with ENOBUFS.  Hot path. */
export const isOverrun = (dv: DataView, offset: number, size: number): boolean =>
  size === NLMSG_HDRLEN && dv.getUint16(offset + 4, LITTLE_ENDIAN) === NLMSG.OVERRUN;

/** Datagrams that a batch has at most. */
export const RECEIVE_BATCH = 64;

/** One network namespace's worth of netlink sockets, in memory. */
export class MemoryNetlink {
  private readonly sockets = new Map<number, MemoryTransport>();
  private nextPortId = 0xfffff000;

  /** Opens a socket.  `portId` 0 chooses one.  `queueBytes` bounds what waits unread; see `send`'s -EAGAIN. */
  open(portId = 0, queueBytes = 4 << 20): NetlinkTransport {
    const id = portId === 0 ? this.nextPortId-- : portId;
    if (this.sockets.has(id)) {
      throw Object.assign(new Error(`bind: port id ${id} is in use`), { errno: ERRNO.EADDRINUSE, code: 'EADDRINUSE' });
    }
    const socket = new MemoryTransport(this, id, queueBytes);
    this.sockets.set(id, socket);
    return socket;
  }

  /** For MemoryTransport only. */
  find(portId: number): MemoryTransport | undefined {
    return this.sockets.get(portId);
  }
  all(): Iterable<MemoryTransport> {
    return this.sockets.values();
  }
  remove(socket: MemoryTransport): void {
    this.sockets.delete(socket.portId);
  }
}

interface Queued {
  readonly bytes: Uint8Array;
  readonly from: number;
}

class MemoryTransport implements NetlinkTransport {
  readonly portId: number;
  readonly groups = new Set<number>();
  private readonly net: MemoryNetlink;
  private readonly queueBytes: number;
  private queue: Queued[] = [];
  private queuedBytes = 0;
  private receiver: NetlinkReceiver | null = null;
  private scheduled = false;
  private overflowed = false;
  private closed = false;

  constructor(net: MemoryNetlink, portId: number, queueBytes: number) {
    this.net = net;
    this.portId = portId;
    this.queueBytes = queueBytes;
  }

  send(bytes: Uint8Array, offset: number, size: number, portId: number): number {
    const peer = this.net.find(portId);
    if (peer === undefined) return -ERRNO.ECONNREFUSED;
    return peer.enqueue(bytes, offset, size, this.portId) ? size : -ERRNO.EAGAIN;
  }

  sendMany(bytes: Uint8Array, list: Int32Array, n: number): number {
    return sendEach(this, bytes, list, n);
  }

  multicast(bytes: Uint8Array, offset: number, size: number, group: number): number {
    let listeners = 0;
    for (const peer of this.net.all()) {
      if (peer === this || !peer.groups.has(group)) continue;
      listeners++;
      if (!peer.enqueue(bytes, offset, size, this.portId)) peer.overflowed = true;
    }
    return listeners > 0 ? size : -ERRNO.ESRCH;
  }

  join(group: number): void {
    this.groups.add(group);
  }
  leave(group: number): void {
    this.groups.delete(group);
  }

  receive(receiver: NetlinkReceiver | null): void {
    this.receiver = receiver;
    this.schedule();
  }

  setRef(): void {}

  close(): void {
    this.closed = true;
    this.receiver = null;
    this.queue = [];
    this.net.remove(this);
  }

  private enqueue(bytes: Uint8Array, offset: number, size: number, from: number): boolean {
    // A socket takes a datagram if it has any room left at all, as the kernel does.
    if (this.queuedBytes >= this.queueBytes) return false;
    this.queue.push({ bytes: bytes.slice(offset, offset + size), from });
    this.queuedBytes += size;
    this.schedule();
    return true;
  }

  private schedule(): void {
    if (this.scheduled || this.receiver === null || (this.queue.length === 0 && !this.overflowed)) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.deliver();
      this.schedule();
    });
  }

  private deliver(): void {
    const receiver = this.receiver;
    if (this.closed || receiver === null) return;
    if (this.overflowed) {
      this.overflowed = false;
      receiver.overflow?.();
    }
    for (const { bytes, from } of this.queue.splice(0, receiver.maxBatch ?? RECEIVE_BATCH)) {
      this.queuedBytes -= bytes.length;
      const dv = new DataView(bytes.buffer);
      if (isOverrun(dv, 0, bytes.length)) receiver.overflow?.();
      else receiver.datagram(bytes, dv, 0, bytes.length, from);
    }
    receiver.batchEnd?.();
  }
}
