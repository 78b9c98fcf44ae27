/**
 * A port on a device that whoever embeds the datapath gives it: frames go in and out as plain bytes.  The datapath inside a
 * vswitchd that runs with --enable-dummy has such ports (embedded.ts).
 */
import { type Arena, Packet, SLOT_SIZE, VNET_HDR_SIZE } from '../../packet/packet.ts';
import type { DeviceStats, PortBackend, PortEvents } from './port-backend.ts';

/** A device of the embedding program. */
export interface FrameDevice {
  /** 0 if it has no number. */
  readonly ifindex: number;
  /** Largest frame without Ethernet header, bytes. */
  readonly mtu: number;
  /** Sets who gets the frames that arrive at the device, one a call; null: nobody.  Never called within `transmit`. */
  attach(receive: ((frame: Uint8Array) => void) | null): void;
  /** Sends a frame, whose bytes become the device's. */
  transmit(frame: Uint8Array): void;
  stats(): DeviceStats;
}

/** Bytes that a frame can have in a slot. */
const MAX_FRAME = SLOT_SIZE - 256;

export class FramePort implements PortBackend {
  readonly takesOffloads = false;
  readonly name: string;
  private readonly arena: Arena;
  private readonly device: FrameDevice;
  private readonly packet: Packet;
  private queue: Uint8Array[] = [];

  /** `name`: what the datapath calls the port. */
  constructor(arena: Arena, device: FrameDevice, name: string) {
    this.arena = arena;
    this.name = name;
    this.device = device;
    this.packet = new Packet(arena);
  }

  get ifindex(): number {
    return this.device.ifindex;
  }
  get mtu(): number {
    return this.device.mtu;
  }

  start(events: PortEvents): void {
    this.device.attach((frame) => this.receive(frame, events));
  }

  private receive(frame: Uint8Array, events: PortEvents): void {
    if (frame.length > MAX_FRAME || this.arena.available === 0) return;
    const { arena, packet } = this;
    const slot = arena.take();
    packet.reset(slot);
    arena.bytes.fill(0, packet.start - VNET_HDR_SIZE, packet.start);
    arena.bytes.set(frame, packet.start);
    packet.end = packet.start + frame.length;
    events.receive(packet);
    events.batchEnd();
    arena.give(slot);
  }

  send(pkt: Packet): void {
    this.queue.push(this.arena.bytes.slice(pkt.start, pkt.end));
  }

  flush(): void {
    if (this.queue.length === 0) return;
    const frames = this.queue;
    this.queue = [];
    for (const frame of frames) this.device.transmit(frame);
  }

  stats(): DeviceStats {
    return this.device.stats();
  }

  close(): void {
    this.queue = [];
    this.device.attach(null);
  }
}
