/**
 * A port in memory: frames are put in by hand, and what is sent can be looked at.  For tests and for programs that embed
 * a datapath.
 */

import type { Arena } from '../../packet/packet.ts';
import { Packet } from '../../packet/packet.ts';
import { countRx, countTx, newDeviceStats } from '../../util/device-stats.ts';
import type { DeviceStats, PortBackend, PortEvents } from './port-backend.ts';

export interface MemoryPortOptions {
  readonly name: string;
  readonly ifindex?: number;
  readonly mtu?: number;
  readonly takesOffloads?: boolean;
}

/** Offload fields of a packet, for `inject` and in `SentFrame`. */
export interface Offloads {
  vnetFlags: number;
  gsoType: number;
  gsoSize: number;
  hdrLen: number;
  csumStart: number;
  csumOffset: number;
}

export interface SentFrame extends Offloads {
  bytes: Uint8Array;
}

export class MemoryPort implements PortBackend {
  readonly name: string;
  readonly ifindex: number;
  mtu: number;
  takesOffloads: boolean;
  /** While false, what is flushed is counted as dropped, as a device does that is administratively down. */
  isUp = true;
  isClosed = false;
  /** What was flushed, oldest first; take away what was seen. */
  readonly sent: SentFrame[] = [];

  private readonly arena: Arena;
  private readonly queue: Packet[] = [];
  private events: PortEvents | undefined;
  private readonly counters: DeviceStats = newDeviceStats();

  constructor(arena: Arena, options: MemoryPortOptions) {
    this.arena = arena;
    this.name = options.name;
    this.ifindex = options.ifindex ?? 0;
    this.mtu = options.mtu ?? 1500;
    this.takesOffloads = options.takesOffloads ?? true;
  }

  start(events: PortEvents): void {
    this.events = events;
  }

  /** Receives frames as one batch.  Throws if the port was not started, or the arena has too few slots. */
  inject(frames: readonly ArrayLike<number>[], offloads: Partial<Offloads> = {}): void {
    if (this.events === undefined) throw new Error(`${this.name}: not started`);
    if (this.arena.available < frames.length) throw new Error(`${this.name}: no slots for ${frames.length} frames`);
    // All slots first: those of a device are its own as well.
    const slots = frames.map(() => this.arena.take());
    const pkt = new Packet(this.arena);
    frames.forEach((frame, i) => {
      pkt.reset(slots[i]!);
      this.arena.bytes.set(frame, pkt.start);
      pkt.end = pkt.start + frame.length;
      Object.assign(pkt, offloads);
      countRx(this.counters, frame.length);
      this.events?.receive(pkt);
    });
    this.events.batchEnd();
    for (const slot of slots) this.arena.give(slot);
  }

  send(pkt: Packet): void {
    const queued = new Packet(this.arena);
    queued.cloneFrom(pkt);
    queued.writeVnetHdr();
    this.queue.push(queued);
  }

  flush(): void {
    for (const pkt of this.queue.splice(0)) {
      if (!this.isUp || this.isClosed) {
        this.counters.txDropped++;
        continue;
      }
      // From the header before the frame, as a device would take them: whoever overwrote it is found out.
      pkt.readVnetHdr();
      const { vnetFlags, gsoType, gsoSize, hdrLen, csumStart, csumOffset } = pkt;
      const bytes = this.arena.bytes.slice(pkt.start, pkt.end);
      this.sent.push({ bytes, vnetFlags, gsoType, gsoSize, hdrLen, csumStart, csumOffset });
      countTx(this.counters, bytes.length);
    }
  }

  stats(): DeviceStats {
    return { ...this.counters };
  }

  close(): void {
    this.isClosed = true;
    this.queue.length = 0;
  }
}
