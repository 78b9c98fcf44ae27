/**
 * Sends what tunnel ports encapsulate: a queue for each raw socket (address family, IP protocol, whether it may be
 * fragmented), shared by all ports.  Headers are written beside the frame, not before it, because others may have the frame
 * queued with other bytes there; the kernel gathers both.
 */
import { type NativeTunnelSocket, TUNNEL_TX_WORDS } from '../../native/index.ts';
import { type Arena, HEADROOM, SLOT_SIZE } from '../../packet/packet.ts';
import { vlog } from '../../util/vlog.ts';
import { BATCH } from '../ports/port-io.ts';
import { TUN, type TunnelInfo } from './tunnel-info.ts';
import type { TunnelSockets } from './tunnel-sockets.ts';

const log = vlog('tunnel');

/** Room for the headers of a packet: UDP, Geneve with all options.  A slot has BATCH times this. */
const HEADER_ROOM = 512;
/** How long a route's source address is believed, ms. */
const SOURCE_MS = 1000;
const MAX_SOURCES = 256;

/** Who is told of packets that did not leave. */
export interface TunnelTxOwner {
  /** `errno` is positive; `bytes` are those of the frame. */
  sendFailed(errno: number, bytes: number): void;
}

/** One socket's queue. */
export class TunnelQueue {
  readonly isIpv6: boolean;
  private readonly socket: NativeTunnelSocket;
  private readonly slot: number;
  private readonly list = new Int32Array(BATCH * TUNNEL_TX_WORDS);
  private readonly owners: (TunnelTxOwner | undefined)[] = Array.from({ length: BATCH }, () => undefined);
  private n = 0;

  constructor(socket: NativeTunnelSocket, isIpv6: boolean, slot: number) {
    this.socket = socket;
    this.isIpv6 = isIpv6;
    this.slot = slot;
  }

  /** Where the next packet's headers are to be written. */
  get headerAt(): number {
    return this.slot * SLOT_SIZE + HEADROOM - 2 + this.n * HEADER_ROOM;
  }

  /** Queues a packet: `headSize` bytes at headerAt, then `[start, end)` of the arena.  Hot path. */
  push(
    owner: TunnelTxOwner,
    headSize: number,
    start: number,
    end: number,
    tos: number,
    ttl: number,
    tun: TunnelInfo,
  ): void {
    const { list } = this;
    const at = this.n * TUNNEL_TX_WORDS;
    list[at] = this.headerAt;
    list[at + 1] = headSize;
    list[at + 2] = start;
    list[at + 3] = end - start;
    list[at + 4] = tos;
    list[at + 5] = ttl;
    if (this.isIpv6) {
      for (let i = 0; i < 4; i++) {
        list[at + 6 + i] = tun[TUN.IPV6_SRC + i]!;
        list[at + 10 + i] = tun[TUN.IPV6_DST + i]!;
      }
    } else {
      list[at + 6] = tun[TUN.SRC]!;
      list[at + 10] = tun[TUN.DST]!;
    }
    this.owners[this.n++] = owner;
    if (this.n === BATCH) this.flush();
  }

  flush(): void {
    const { list, n } = this;
    if (n === 0) return;
    this.n = 0;
    if (this.socket.send(list, n) === n) return;
    for (let i = 0; i < n; i++) {
      const result = list[i * TUNNEL_TX_WORDS + 1]!;
      if (result < 0) this.owners[i]?.sendFailed(-result, list[i * TUNNEL_TX_WORDS + 3]!);
    }
  }

  close(): void {
    this.n = 0;
    this.socket.close();
  }
}

interface Source {
  readonly words: Int32Array;
  readonly until: number;
}

export class TunnelTx {
  private readonly sockets: TunnelSockets;
  private readonly arena: Arena;
  private readonly clock: () => number;
  /** By protocol << 2 | ipv6 << 1 | df; opened when first needed, null where that failed. */
  private readonly queues = new Map<number, TunnelQueue | null>();
  private readonly open: TunnelQueue[] = [];
  private readonly sources = new Map<string, Source>();

  /** `clock`: monotonic ms. */
  constructor(sockets: TunnelSockets, arena: Arena, clock: () => number) {
    this.sockets = sockets;
    this.arena = arena;
    this.clock = clock;
  }

  /** The queue for such packets; null where there is no such socket. */
  queue(protocol: number, isIpv6: boolean, dontFragment: boolean): TunnelQueue | null {
    const key = (protocol << 2) | (isIpv6 ? 2 : 0) | (dontFragment ? 1 : 0);
    const known = this.queues.get(key);
    if (known !== undefined) return known;
    let queue: TunnelQueue | null = null;
    const socket = this.openSocket(protocol, isIpv6, dontFragment);
    if (socket !== undefined) {
      const slot = this.arena.take();
      if (slot < 0) {
        socket.close();
        return null;
      }
      queue = new TunnelQueue(socket, isIpv6, slot);
      this.open.push(queue);
    }
    this.queues.set(key, queue);
    return queue;
  }

  private openSocket(protocol: number, isIpv6: boolean, dontFragment: boolean): NativeTunnelSocket | undefined {
    try {
      return this.sockets.openRaw(isIpv6, protocol, false, dontFragment);
    } catch (error) {
      // What was to leave through it is counted as failed.
      log.err(() => `tunnels cannot send IP protocol ${protocol}: ${(error as Error).message}`);
      return undefined;
    }
  }

  /**
   * Fills in the source address of `tun`, if it has none, as the route to its destination says: for a checksum, or to tell
   * somebody.  Returns the address's words, or undefined if there is no route.
   */
  source(isIpv6: boolean, tun: TunnelInfo): Int32Array | undefined {
    const from = isIpv6 ? TUN.IPV6_DST : TUN.DST;
    const words = tun.slice(from, from + 4);
    if (!isIpv6) words.fill(0, 1);
    const name = `${isIpv6} ${words.join()}`;
    const now = this.clock();
    const known = this.sources.get(name);
    if (known !== undefined && known.until > now) return known.words;
    if (this.sources.size >= MAX_SOURCES) this.sources.clear();
    if (this.sockets.source(isIpv6, words) < 0) return undefined;
    this.sources.set(name, { words, until: now + SOURCE_MS });
    return words;
  }

  flush(): void {
    for (let i = 0; i < this.open.length; i++) this.open[i]!.flush();
  }

  close(): void {
    for (const queue of this.open.splice(0)) queue.close();
    this.queues.clear();
  }
}
