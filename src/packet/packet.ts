/**
 * Packets and the memory that they live in.
 *
 * All packets of a process live in one arena: one ArrayBuffer, so that a packet is integers (offsets into it) and every
 * view stays monomorphic.  The arena is cut into slots of equal size:
 *
 *     | headroom            | frame (Ethernet header first)                   | unused |
 *     ^ slot * SLOT_SIZE    ^ start                                     end ^
 *
 * Directly before the frame, at `start - VNET_HDR_SIZE`, is room for a struct virtio_net_hdr: ports receive into it and
 * send from it.  Offload state (a checksum to be completed, a super-packet to be cut up) lives in fields of `Packet`,
 * in units of bytes from `start`; pushes and pulls keep it true.
 */

/** Bytes of a slot: a frame of 65535 + 14 + 8 bytes, the headroom, and padding to whole cache lines. */
export const SLOT_SIZE = 66_048;
/** Bytes before a received frame: pushes grow into it.  Frames start 2 bytes past a multiple of 4: IP is aligned. */
export const HEADROOM = 130;
export const VNET_HDR_SIZE = 10;

/** virtio_net_hdr.flags and gso_type.  Source: include/uapi/linux/virtio_net.h. */
export const VNET_F = { NEEDS_CSUM: 1, DATA_VALID: 2 } as const;
// biome-ignore format: table
export const VNET_GSO = { NONE: 0, TCPV4: 1, UDP: 3, TCPV6: 4, UDP_L4: 5, ECN: 0x80 } as const;

/** The memory: `buffer` from native().createArena(), or any ArrayBuffer in a test. */
export class Arena {
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly slots: number;
  private readonly free: Int32Array;
  private nFree: number;

  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.slots = Math.floor(buffer.byteLength / SLOT_SIZE);
    this.free = Int32Array.from({ length: this.slots }, (_, i) => this.slots - 1 - i);
    this.nFree = this.slots;
  }

  /** Takes a slot: its number, or -1 if none is left.  Hot path. */
  take(): number {
    return this.nFree === 0 ? -1 : this.free[--this.nFree]!;
  }
  /** Gives a slot back.  Hot path. */
  give(slot: number): void {
    this.free[this.nFree++] = slot;
  }
  get available(): number {
    return this.nFree;
  }
  /** Takes `n` adjacent slots for a port's receive batch, at start-up only; returns the first.  Throws if too few. */
  takeRun(n: number): number {
    // Slots leave the free list in rising order until the first one is given back.
    const first = this.take();
    for (let i = 1; i < n; i++) if (this.take() !== first + i) throw new RangeError(`arena: no ${n} adjacent slots`);
    return first;
  }
}

/**
 * One packet.  Objects are reused; a packet that must outlive the call that got it is copied (`copyFrom`).
 * Fields are public and mutable on purpose: this is the datapath's working state.
 */
export class Packet {
  readonly arena: Arena;
  slot = -1;
  /** Offset in the arena of the first byte, and one past the last. */
  start = 0;
  end = 0;

  // Offloads, as in struct virtio_net_hdr; csumStart and hdrLen count from `start`.
  vnetFlags = 0;
  gsoType = 0;
  gsoSize = 0;
  hdrLen = 0;
  csumStart = 0;
  csumOffset = 0;

  // Metadata that travels with it.
  inPort = 0;
  skbPriority = 0;
  skbMark = 0;
  recircId = 0;
  /** Flow hash of the headers (as skb->hash), 0 until computed. */
  hash = 0;
  /** Largest fragment received, when this was reassembled; else 0. */
  mru = 0;
  /** Bytes that the next output keeps (OVS_ACTION_ATTR_TRUNC), 0 for all. */
  cutLen = 0;
  /** Its tracked connection, as a number of conntrack's table + 1; 0 is none.  Good while `nfctGen` is that row's. */
  nfct = 0;
  nfctGen = 0;
  /** What it is to that connection (CTINFO). */
  nfctInfo = 0;
  /** OVS_PACKET_ATTR_UPCALL_PID of the execution that this is part of, else 0. */
  upcallPid = 0;

  /** Tunnel metadata for outputs to tunnel ports: a flow key's tunnel words (set(tunnel(...))), or null. */
  txTunnel: Int32Array | null = null;

  // What key extraction found; pushes and pops keep it true.  Bytes from `start`.
  /** Ethertype of a packet without Ethernet header, else 0. */
  packetType = 0;
  /** Where the network header is: behind the Ethernet header and its VLAN tags. */
  l3 = 0;
  /** Where the transport header is, `l3` if there is none. */
  l4 = 0;
  /** Ethertype of what is at `l3` if the bytes before that do not say so, else 0: until the flow key is extracted. */
  protocol = 0;
  /** Headers were pushed or popped since the flow key was extracted. */
  isKeyStale = false;
  /** Others read the same bytes (a queued output, a clone): copy before writing. */
  isShared = false;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  get size(): number {
    return this.end - this.start;
  }

  /** Makes it an empty packet in `slot`, its metadata and offloads cleared. */
  reset(slot: number): void {
    this.slot = slot;
    this.start = this.end = slot * SLOT_SIZE + HEADROOM;
    this.vnetFlags = this.gsoType = this.gsoSize = this.hdrLen = this.csumStart = this.csumOffset = 0;
    this.resetMetadata();
  }

  /** Clears all but the bytes and the offload fields: what a port does not set of a packet that it received. */
  resetMetadata(): void {
    this.inPort = this.skbPriority = this.skbMark = this.recircId = this.hash = this.mru = this.cutLen = 0;
    this.nfct = this.nfctGen = this.nfctInfo = 0;
    this.upcallPid = this.packetType = this.protocol = this.l3 = this.l4 = 0;
    this.isKeyStale = this.isShared = false;
    this.txTunnel = null;
  }

  /** Makes it a copy of `from` (bytes, offloads and metadata) in slot `slot`. */
  copyFrom(from: Packet, slot: number): void {
    this.cloneFrom(from);
    this.moveTo(slot);
    this.isShared = false;
  }

  /** Makes it a second description of the bytes of `from`, with its offloads and metadata.  Hot path. */
  cloneFrom(from: Packet): void {
    this.slot = from.slot;
    this.start = from.start;
    this.end = from.end;
    this.vnetFlags = from.vnetFlags;
    this.gsoType = from.gsoType;
    this.gsoSize = from.gsoSize;
    this.hdrLen = from.hdrLen;
    this.csumStart = from.csumStart;
    this.csumOffset = from.csumOffset;
    this.inPort = from.inPort;
    this.skbPriority = from.skbPriority;
    this.skbMark = from.skbMark;
    this.recircId = from.recircId;
    this.hash = from.hash;
    this.mru = from.mru;
    this.cutLen = from.cutLen;
    this.nfct = from.nfct;
    this.nfctGen = from.nfctGen;
    this.nfctInfo = from.nfctInfo;
    this.upcallPid = from.upcallPid;
    this.packetType = from.packetType;
    this.protocol = from.protocol;
    this.l3 = from.l3;
    this.l4 = from.l4;
    this.isKeyStale = from.isKeyStale;
    this.isShared = from.isShared;
    this.txTunnel = from.txTunnel;
  }

  /** Makes it a description of what a port received: the bytes and offloads of `from`, without metadata.  Hot path. */
  receiveFrom(from: Packet): void {
    this.slot = from.slot;
    this.start = from.start;
    this.end = from.end;
    this.vnetFlags = from.vnetFlags;
    this.gsoType = from.gsoType;
    this.gsoSize = from.gsoSize;
    this.hdrLen = from.hdrLen;
    this.csumStart = from.csumStart;
    this.csumOffset = from.csumOffset;
    this.resetMetadata();
  }

  /** Copies its bytes to `slot` and goes on there. */
  moveTo(slot: number): void {
    const start = slot * SLOT_SIZE + HEADROOM;
    this.arena.bytes.copyWithin(start, this.start, this.end);
    this.slot = slot;
    this.end += start - this.start;
    this.start = start;
  }

  /** Reads the virtio_net_hdr that stands before the frame into the offload fields.  Hot path. */
  readVnetHdr(): void {
    const { view } = this.arena;
    const at = this.start - VNET_HDR_SIZE;
    this.vnetFlags = view.getUint8(at);
    this.gsoType = view.getUint8(at + 1);
    this.hdrLen = view.getUint16(at + 2, true);
    this.gsoSize = view.getUint16(at + 4, true);
    this.csumStart = view.getUint16(at + 6, true);
    this.csumOffset = view.getUint16(at + 8, true);
  }

  /** Writes the offload fields as a virtio_net_hdr before the frame; returns its offset.  Hot path. */
  writeVnetHdr(): number {
    const { view } = this.arena;
    const at = this.start - VNET_HDR_SIZE;
    view.setUint8(at, this.vnetFlags);
    view.setUint8(at + 1, this.gsoType);
    view.setUint16(at + 2, this.hdrLen, true);
    view.setUint16(at + 4, this.gsoSize, true);
    view.setUint16(at + 6, this.csumStart, true);
    view.setUint16(at + 8, this.csumOffset, true);
    return at;
  }
}
