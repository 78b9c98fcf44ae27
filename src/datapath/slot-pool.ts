/**
 * Slots and packets for the time between two flushes.
 *
 * A packet that is changed after it was queued, or cloned, gets a slot of the arena for itself.  That slot stays taken
 * until the ports have been flushed, because a port may have it queued by then.  When the arena is empty, the ports are
 * flushed at once, and slots that no live packet uses come back.  Hot path.
 */
import { type Arena, HEADROOM, Packet, SLOT_SIZE, VNET_HDR_SIZE } from '../packet/packet.ts';

export class SlotPool {
  readonly arena: Arena;
  private readonly flushPorts: () => void;
  /** Slots taken since the last flush: `held[0, nHeld)`. */
  private readonly held: Int32Array;
  private nHeld = 0;
  /** Packets whose slots must not go: those of newPacket(), and the stack. */
  private readonly fixed: Packet[] = [];
  private readonly stack: Packet[] = [];
  private depth = 0;

  /** `flushPorts` sends what is queued on all ports. */
  constructor(arena: Arena, flushPorts: () => void) {
    this.arena = arena;
    this.flushPorts = flushPorts;
    this.held = new Int32Array(arena.slots);
  }

  /** A packet for good.  Its slot is kept while it is not -1. */
  newPacket(): Packet {
    const pkt = new Packet(this.arena);
    this.fixed.push(pkt);
    return pkt;
  }

  /** A packet until popPacket(). */
  pushPacket(): Packet {
    if (this.depth === this.stack.length) this.stack.push(new Packet(this.arena));
    return this.stack[this.depth++]!;
  }
  popPacket(): void {
    this.stack[--this.depth]!.slot = -1;
  }

  /** A slot until the next flush, or -1. */
  take(): number {
    let slot = this.arena.take();
    if (slot < 0) {
      this.flushPorts();
      this.giveBack();
      slot = this.arena.take();
      if (slot < 0) return -1;
    }
    this.held[this.nHeld++] = slot;
    return slot;
  }

  /** Whether `n` bytes, and a virtio_net_hdr before them, fit between the slot's start and the packet's. */
  hasRoom(pkt: Packet, n: number): boolean {
    return pkt.start - n - VNET_HDR_SIZE >= pkt.slot * SLOT_SIZE;
  }

  /** Copies the packet to a slot of its own, with full headroom.  False if there is none, or the packet is too large. */
  moveToOwnSlot(pkt: Packet): boolean {
    if (pkt.end - pkt.start > SLOT_SIZE - HEADROOM) return false;
    const slot = this.take();
    if (slot < 0) return false;
    pkt.moveTo(slot);
    pkt.isShared = false;
    return true;
  }

  /** Moves a packet that has a slot to itself so far back in it that `n` bytes fit before it.  False if it is too large. */
  makeRoom(pkt: Packet, n: number): boolean {
    if (this.hasRoom(pkt, n)) return true;
    // The network header of an Ethernet frame is aligned to 4 bytes, as in a frame that was received.
    const start = pkt.slot * SLOT_SIZE + ((VNET_HDR_SIZE + n + 3) & ~3) + 2;
    const end = start + pkt.end - pkt.start;
    if (end > (pkt.slot + 1) * SLOT_SIZE) return false;
    pkt.arena.bytes.copyWithin(start, pkt.start, pkt.end);
    pkt.start = start;
    pkt.end = end;
    return true;
  }

  /** To be called after all ports have been flushed. */
  giveBack(): void {
    let kept = 0;
    for (let i = 0; i < this.nHeld; i++) {
      const slot = this.held[i]!;
      if (this.isLive(slot)) this.held[kept++] = slot;
      else this.arena.give(slot);
    }
    this.nHeld = kept;
  }

  private isLive(slot: number): boolean {
    for (const pkt of this.fixed) if (pkt.slot === slot) return true;
    for (let i = 0; i < this.depth; i++) if (this.stack[i]!.slot === slot) return true;
    return false;
  }
}
