/**
 * What port-tap.ts and port-netdev.ts have in common: frames in batches from a NativePort into the arena and out of it.
 *
 * All ports of an arena receive into the same 64 slots.  That is safe because a batch is dealt with before the next one
 * is received, on whatever port: `batchEnd` flushes every port that has some of it queued.
 */
import { type NativePort, RX_WORDS } from '../../native/index.ts';
import { type Arena, HEADROOM, Packet, SLOT_SIZE, VNET_F, VNET_GSO, VNET_HDR_SIZE } from '../../packet/packet.ts';
import { monotonicMs } from '../../util/clock.ts';
import { ERRNO } from '../../util/errno.ts';
import type { Policer } from './policer.ts';
import type { DevicePlace, DeviceStats, PortEvents } from './port-backend.ts';
import type { PriorityLanes } from './priority-lanes.ts';
import { type Spinnable, Spinner } from './spinner.ts';

/** Frames of a batch, received or sent. */
export const BATCH = 64;
/** Batches received before the event loop gets its turn. */
const BATCHES_PER_POLL = 4;
/** Wake-ups in a row that bring nothing but an error, after which a device is taken for gone. */
const MAX_ERRORS = 16;

/** What a port asks of the kernel about its device.  A caller gives one for all ports (its table of links). */
export interface DeviceInfo {
  /** Current name; '' if the device is gone. */
  name(ifindex: number): string;
  /** Bytes. */
  mtu(ifindex: number): number;
  /** Where it is, if that is another network namespace, and known. */
  elsewhere(ifindex: number): DevicePlace | undefined;
  /** Link-layer address of a device that is up and in our network namespace; undefined of another. */
  localAddress(ifindex: number): Uint8Array | undefined;
  /** Reads the counters now; zeros if the device is gone.  The object is the caller's. */
  readStats(ifindex: number): DeviceStats;
}

interface ReceiveRun {
  readonly firstSlot: number;
  readonly packet: Packet;
  /** RX_WORDS a frame: see NativePort.receive. */
  readonly info: Int32Array;
  readonly spinner: Spinner;
}

const runs = new WeakMap<Arena, ReceiveRun>();

/**
 * The slots that ports of `arena` receive into.  They are taken at the first call, which must come before anybody has
 * given a slot back (Arena.takeRun): call it at start-up.
 */
export function receiveRun(arena: Arena): ReceiveRun {
  let run = runs.get(arena);
  if (run === undefined) {
    run = {
      firstSlot: arena.takeRun(BATCH),
      packet: new Packet(arena),
      info: new Int32Array(BATCH * RX_WORDS),
      spinner: new Spinner(),
    };
    runs.set(arena, run);
  }
  return run;
}

export class PortIo implements Spinnable {
  readonly port: NativePort;
  private readonly run: ReceiveRun;
  private readonly lanes: PriorityLanes | undefined;
  private events: PortEvents | undefined;
  /** Offset and size of each queued frame with its header: see NativePort.send. */
  private readonly queue = new Int32Array(2 * BATCH);
  private nQueued = 0;
  /** Something may be queued in `lanes`. */
  private hasPriorities = false;
  private nErrors = 0;
  private closed = false;
  private nDropped = 0;
  /** Frames that did not fit into a slot. */
  private nTooLarge = 0;
  private policer: Policer | undefined;
  /** Frames that earlier policers found too many. */
  private nPoliced = 0;

  /** Takes over `port`.  `lanes` sends packets that have a priority; without, they are as all others. */
  constructor(port: NativePort, arena: Arena, lanes?: PriorityLanes) {
    this.port = port;
    this.lanes = lanes;
    this.run = receiveRun(arena);
  }

  /** Frames that the device did not take. */
  get txDropped(): number {
    return this.nDropped + (this.lanes?.nDropped ?? 0);
  }

  /** Limits what is received; undefined: nothing is limited. */
  police(policer: Policer | undefined): void {
    this.nPoliced += this.policer?.nDropped ?? 0;
    this.policer = policer;
  }

  /** Frames that came and were not handed over. */
  get rxDropped(): number {
    return this.nTooLarge + this.nPoliced + (this.policer?.nDropped ?? 0) + (this.closed ? 0 : this.port.lost());
  }

  start(events: PortEvents): void {
    this.events = events;
    this.port.poll(() => this.poll());
  }

  /** Hot path. */
  send(pkt: Packet): void {
    if (pkt.skbPriority !== 0 && this.lanes !== undefined && !this.closed) {
      this.hasPriorities = true;
      this.lanes.send(pkt);
      return;
    }
    const i = 2 * this.nQueued++;
    this.queue[i] = pkt.writeVnetHdr();
    this.queue[i + 1] = VNET_HDR_SIZE + pkt.end - pkt.start;
    if (this.nQueued === BATCH) this.flush();
  }

  /** Hot path. */
  flush(): void {
    if (this.hasPriorities) {
      this.hasPriorities = false;
      this.run.spinner.sent(this);
      this.lanes?.flush();
    }
    const n = this.nQueued;
    if (n === 0) return;
    this.nQueued = 0;
    this.run.spinner.sent(this);
    const sent = this.closed ? 0 : this.port.send(this.queue, n);
    if (sent < n) this.nDropped += sent < 0 ? n : n - sent;
  }

  get isClosed(): boolean {
    return this.closed;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.run.spinner.forget(this);
    this.events = undefined;
    this.nQueued = 0;
    this.hasPriorities = false;
    this.lanes?.close();
    this.port.close();
  }

  private poll(): void {
    if (this.receive() > 0) this.run.spinner.received(this);
  }

  /** Hands over what has come, up to some batches; returns how many the last one had. */
  receive(): number {
    for (let i = 1; ; i++) {
      const { events } = this;
      if (events === undefined) return 0;
      const { firstSlot, info } = this.run;
      const base = firstSlot * SLOT_SIZE + HEADROOM - VNET_HDR_SIZE;
      const n = this.port.receive(base, SLOT_SIZE, BATCH, info);
      if (n <= 0) {
        if (n < 0) this.receiveFailed(-n);
        return i > 1 ? BATCH : 0;
      }
      this.nErrors = 0;
      this.deliver(events, n);
      if (n < BATCH || i === BATCHES_PER_POLL) return n;
    }
  }

  /** Hot path. */
  private deliver(events: PortEvents, n: number): void {
    const { firstSlot, info, packet } = this.run;
    const { policer } = this;
    policer?.refill(monotonicMs());
    for (let i = 0; i < n; i++) {
      const size = info[i * RX_WORDS]!;
      if (size <= VNET_HDR_SIZE) {
        this.nTooLarge++;
        continue;
      }
      if (policer !== undefined && !policer.admits(size - VNET_HDR_SIZE)) continue;
      packet.reset(firstSlot + i);
      packet.end = packet.start + size - VNET_HDR_SIZE;
      packet.readVnetHdr();
      const tci = info[i * RX_WORDS + 1]!;
      if (tci >= 0) putBackVlanTag(packet, tci, info[i * RX_WORDS + 2]!);
      events.receive(packet);
    }
    events.batchEnd();
  }

  private receiveFailed(errno: number): void {
    // A device that is down says so once, and works again when it is up.  One that was deleted says it for ever.
    const isGone = errno === ERRNO.EBADFD || errno === ERRNO.ENXIO || errno === ERRNO.ENODEV || errno === ERRNO.EBADF;
    if (isGone || ++this.nErrors >= MAX_ERRORS) this.port.poll(null);
  }
}

/**
 * Puts a VLAN tag that the kernel had taken out of a received frame back in, before the EtherType.  Hot path.
 *
 *     | MAC addresses, 12 bytes | type ...     moves 4 bytes into the headroom to make room for     | tpid | tci |
 *
 * Where checksum and headers begin counts from the frame's start, so it moves too.
 */
export function putBackVlanTag(pkt: Packet, tci: number, tpid: number): void {
  const { bytes, view } = pkt.arena;
  const from = pkt.start;
  const to = from - 4;
  // A loop is faster than copyWithin for so few bytes.
  for (let i = 0; i < 12; i++) bytes[to + i] = bytes[from + i]!;
  view.setUint16(to + 12, tpid);
  view.setUint16(to + 14, tci);
  pkt.start = to;
  if ((pkt.vnetFlags & VNET_F.NEEDS_CSUM) !== 0) pkt.csumStart += 4;
  if (pkt.gsoType !== VNET_GSO.NONE) pkt.hdrLen += 4;
}
