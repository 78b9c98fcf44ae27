/**
 * What a port sends with a priority: packets that a flow has put into a queue of the device's queueing discipline, which chooses by
 * skb->priority.
 *
 * A socket has one priority, so there is one for each; and so that packets that wait in a slow queue do not take the place of others,
 * since what waits counts against the buffer of the socket that it came from.  port-io.ts has packets of priority 0.
 * Source: packet(7), SO_PRIORITY in socket(7).
 */
import type { NativePort } from '../../native/index.ts';
import { type Packet, VNET_HDR_SIZE } from '../../packet/packet.ts';

/** Frames of a batch. */
const BATCH = 64;
/** Priorities of a port at a time. */
const MAX_LANES = 256;

interface Lane {
  /** undefined: it could not be opened, so that what is queued is dropped; the next packet tries again. */
  readonly port: NativePort | undefined;
  /** Offset and size of each queued frame with its header: see NativePort.send. */
  readonly queue: Int32Array;
  nQueued: number;
}

export class PriorityLanes {
  private readonly open: (priority: number) => NativePort;
  private readonly lanes = new Map<number, Lane>();
  /** Those that have something queued. */
  private readonly dirty: Lane[] = [];
  /** Frames that the device, or its queueing discipline, did not take. */
  nDropped = 0;

  /** `open` opens a socket; it may throw. */
  constructor(open: (priority: number) => NativePort) {
    this.open = open;
  }

  /** Hot path. */
  send(pkt: Packet): void {
    const lane = this.lanes.get(pkt.skbPriority) ?? this.add(pkt.skbPriority);
    if (lane.nQueued === 0) this.dirty.push(lane);
    const i = 2 * lane.nQueued++;
    lane.queue[i] = pkt.writeVnetHdr();
    lane.queue[i + 1] = VNET_HDR_SIZE + pkt.end - pkt.start;
    if (lane.nQueued === BATCH) this.flush();
  }

  /** Hot path. */
  flush(): void {
    for (let i = 0; i < this.dirty.length; i++) {
      const lane = this.dirty[i]!;
      const n = lane.nQueued;
      lane.nQueued = 0;
      const sent = lane.port === undefined ? 0 : lane.port.send(lane.queue, n);
      if (sent < n) this.nDropped += sent < 0 ? n : n - sent;
    }
    this.dirty.length = 0;
  }

  close(): void {
    this.dirty.length = 0;
    for (const { port } of this.lanes.values()) port?.close();
    this.lanes.clear();
  }

  private add(priority: number): Lane {
    if (this.lanes.size === MAX_LANES) {
      this.flush();
      this.close();
    }
    const lane = { port: this.tryOpen(priority), queue: new Int32Array(2 * BATCH), nQueued: 0 };
    if (lane.port !== undefined) this.lanes.set(priority, lane);
    return lane;
  }

  private tryOpen(priority: number): NativePort | undefined {
    try {
      return this.open(priority);
    } catch {
      // The device is gone, or no descriptor is left: its packets are counted as dropped.
      return undefined;
    }
  }
}
