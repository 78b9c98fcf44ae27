/**
 * `SocketTransport`: a NetlinkTransport (transport.ts) on a real socket of the kernel, through the native addon.  It talks
 * to the kernel (port id 0) and to other processes in the same network namespace alike.
 *
 * One receive buffer serves all sockets of a process: a batch is handed over before anything else is received, and
 * receivers may keep nothing of it.
 */
import { type NativeNetlinkSocket, native } from '../native/index.ts';
import { workMs } from '../util/clock.ts';
import { ERRNO } from '../util/errno.ts';
import { NETLINK_GENERIC } from './constants.ts';
import { isOverrun, type NetlinkReceiver, type NetlinkTransport, RECEIVE_BATCH } from './transport.ts';

/** Room for one datagram: an upcall of a 64 KB packet with its key and userdata.  Bytes. */
const STRIDE = 72 << 10;
/** Batches taken before the event loop gets its turn, and the time after which no other is taken. */
const BATCHES_PER_POLL = 8;
const MS_PER_POLL = 5;

interface ReceiveBuffer {
  readonly bytes: Uint8Array;
  readonly dv: DataView;
  /** Size and sender's port id of each datagram. */
  readonly info: Int32Array;
}

let idle: ReceiveBuffer | undefined;

/**
 * The shared buffer, or one more if that is in use: a receiver that runs the event loop's work inside its callback (a
 * test does) must not find its datagram overwritten.
 */
function takeBuffer(): ReceiveBuffer {
  const taken = idle;
  idle = undefined;
  if (taken !== undefined) return taken;
  // Fresh pages of the arena cost nothing until a datagram touches them.
  const { buffer } = native().createArena(RECEIVE_BATCH * STRIDE);
  return { bytes: new Uint8Array(buffer), dv: new DataView(buffer), info: new Int32Array(2 * RECEIVE_BATCH) };
}

/** What `openSocketTransport` may be told; each has a default. */
export interface SocketOptions {
  /** NETLINK_* (NETLINK_GENERIC). */
  readonly protocol?: number;
  /** Port id to bind; 0, the default, lets the kernel choose. */
  readonly portId?: number;
  /** Receive buffer, bytes (4 MiB, which holds some 10,000 upcalls); an unprivileged process gets less. */
  readonly rcvbuf?: number;
}

/**
 * Opens a netlink socket in the process's network namespace.  Throws an Error with `errno`, `code` and `syscall`:
 * EADDRINUSE if the port id is taken.
 */
export function openSocketTransport(options: SocketOptions = {}): SocketTransport {
  const { protocol = NETLINK_GENERIC, portId = 0, rcvbuf = 4 << 20 } = options;
  return new SocketTransport(native().openNetlink(protocol, portId, rcvbuf));
}

export class SocketTransport implements NetlinkTransport {
  readonly portId: number;
  private readonly socket: NativeNetlinkSocket;
  private receiver: NetlinkReceiver | null = null;
  private closed = false;
  /**
   * Something was lost, and the receiver does not know yet.  The kernel says so when it begins; it then drops whatever comes until the queue is
   * empty, and says nothing more: who looked at everything anew before that would miss changes.
   */
  private isLossy = false;

  /** Takes over `socket`, and closes it in `close`. */
  constructor(socket: NativeNetlinkSocket) {
    this.socket = socket;
    this.portId = socket.portId;
  }

  send(bytes: Uint8Array, offset: number, size: number, portId: number): number {
    return this.closed ? -ERRNO.EBADF : this.socket.send(bytes, offset, size, portId, 0);
  }

  sendMany(bytes: Uint8Array, list: Int32Array, n: number): number {
    return this.closed ? -ERRNO.EBADF : this.socket.sendMany(bytes, list, n);
  }

  /** As the interface says, but the kernel does not tell whether a group has listeners: never -ESRCH. */
  multicast(bytes: Uint8Array, offset: number, size: number, group: number): number {
    return this.closed ? -ERRNO.EBADF : this.socket.send(bytes, offset, size, 0, group);
  }

  join(group: number): void {
    this.socket.joinGroup(group);
  }
  leave(group: number): void {
    this.socket.leaveGroup(group);
  }

  receive(receiver: NetlinkReceiver | null): void {
    if (this.closed) return;
    const wasPolling = this.receiver !== null;
    this.receiver = receiver;
    if (receiver === null) this.socket.poll(null);
    else if (!wasPolling) {
      this.socket.poll(() => this.drain());
      this.drainLossy();
    }
  }

  setRef(on: boolean): void {
    this.socket.setRef(on);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.receiver = null;
    this.socket.close();
  }

  private drain(): void {
    const buffer = takeBuffer();
    const until = workMs() + MS_PER_POLL;
    try {
      for (let i = 0; i < BATCHES_PER_POLL && this.receiver !== null; i++) {
        if (!this.receiveBatch(buffer, this.receiver) || workMs() >= until) break;
      }
    } finally {
      idle = buffer;
    }
    this.drainLossy();
  }

  /** An empty queue wakes nobody. */
  private drainLossy(): void {
    if (this.isLossy && this.receiver !== null) setImmediate(() => this.drain());
  }

  /** Receives and delivers one batch.  False if there was less than a whole one: nothing is left for now. */
  private receiveBatch({ bytes, dv, info }: ReceiveBuffer, { maxBatch = RECEIVE_BATCH }: NetlinkReceiver): boolean {
    const n = this.socket.receive(bytes, STRIDE, maxBatch, info);
    if (n < 0) {
      // Any error but "nothing there" means that something was lost; the next receive goes on after it.
      if (n !== -ERRNO.EAGAIN) this.isLossy = true;
      if (n === -ERRNO.ENOBUFS) return true;
      this.tellOverflow();
      return false;
    }
    for (let i = 0; i < n; i++) {
      const size = info[2 * i] ?? 0;
      if (size > STRIDE || isOverrun(dv, i * STRIDE, size)) this.isLossy = true;
      else this.receiver?.datagram(bytes, dv, i * STRIDE, size, (info[2 * i + 1] ?? 0) >>> 0);
    }
    if (n < maxBatch) this.tellOverflow();
    this.receiver?.batchEnd?.();
    return n === maxBatch;
  }

  private tellOverflow(): void {
    if (!this.isLossy || this.receiver === null) return;
    this.isLossy = false;
    this.receiver.overflow?.();
  }
}
