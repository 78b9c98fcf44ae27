/**
 * Meters: token buckets that the METER action sends packets through, and the table of them that each datapath has.
 * meter-commands.ts makes and shows them.
 *
 * A band's bucket holds bits, or thousandths of a packet, so that rate (kbit/s or packets/s) times milliseconds is what
 * flows in; it is full at first, and at most `burst` thousands.  Each packet takes its cost from every bucket that has as
 * much; of the bands whose bucket has not, the one with the highest rate decides.
 * Source: net/openvswitch/meter.c.
 */
import { NetlinkError } from '../netlink/errors.ts';
import { OVS_METER_BAND_TYPE } from '../netlink/families/ovs-meter.ts';
import { ERRNO } from '../util/errno.ts';

/** Bands that a meter may have (DP_MAX_BANDS). */
export const MAX_BANDS = 1;
/** Meters that a datapath may have (DP_METER_NUM_MAX); the table is full one meter earlier. */
export const MAX_METERS = 200_000;
/** DP_METER_ARRAY_SIZE_MIN. */
const MIN_TABLE_SIZE = 1024;

export interface MeterBandSpec {
  /** OVS_METER_BAND_TYPE; one that is not DROP only counts. */
  readonly type: number;
  /** kbit/s or packets/s, more than 0. */
  readonly rate: number;
  /** kbit or packets. */
  readonly burst: number;
}

export interface MeterSpec {
  readonly id: number;
  readonly isKbps: boolean;
  /** Whether the answer to the SET that replaces this meter tells its statistics. */
  readonly keepsStats: boolean;
  readonly bands: readonly MeterBandSpec[];
  /** Statistics to begin with. */
  readonly nPackets?: number;
  readonly nBytes?: number;
}

/** A band at work. */
class Band {
  readonly type: number;
  readonly rate: number;
  readonly size: number;
  /** Contents of the bucket, packets and bytes that it had too little for: numbers that outgrow a small integer. */
  readonly state: Float64Array;

  constructor({ type, rate, burst }: MeterBandSpec) {
    this.type = type;
    this.rate = rate;
    this.size = burst * 1000;
    this.state = Float64Array.of(this.size, 0, 0);
  }
  get nPackets(): number {
    return this.state[PACKETS]!;
  }
  get nBytes(): number {
    return this.state[BYTES]!;
  }
}
/** Places in `state`; of a meter's, the first is the time of the last packet. */
const [BUCKET, USED, PACKETS, BYTES] = [0, 0, 1, 2] as const;

export class Meter {
  readonly id: number;
  readonly isKbps: boolean;
  readonly keepsStats: boolean;
  readonly bands: readonly Band[];
  /** More time than this fills no bucket further; ms. */
  private readonly maxDeltaMs: number;
  private readonly state: Float64Array;

  /** `nowMs`: monotonic time. */
  constructor(spec: MeterSpec, nowMs: number) {
    this.id = spec.id;
    this.isKbps = spec.isKbps;
    this.keepsStats = spec.keepsStats;
    this.bands = spec.bands.map((band) => new Band(band));
    // 32 bits, as in the kernel: where a burst is millions of times the rate, less is filled in than time has passed for.
    this.maxDeltaMs = Math.max(0, ...this.bands.map((band) => Math.floor(band.size / band.rate) >>> 0));
    this.state = Float64Array.of(nowMs, spec.nPackets ?? 0, spec.nBytes ?? 0);
  }

  /** Monotonic ms of the last packet, or of the meter's creation. */
  get usedMs(): number {
    return this.state[USED]!;
  }
  get nPackets(): number {
    return this.state[PACKETS]!;
  }
  get nBytes(): number {
    return this.state[BYTES]!;
  }

  /** Sends a packet of `size` bytes through it.  Returns whether it is to be dropped.  Hot path. */
  mustDrop(size: number, nowMs: number): boolean {
    const { state, bands } = this;
    const delta = Math.min(Math.max(nowMs - state[USED]!, 0), this.maxDeltaMs);
    state[USED] = nowMs;
    state[PACKETS]! += 1;
    state[BYTES]! += size;

    const cost = this.isKbps ? size * 8 : 1000;
    let exceeded = -1;
    let exceededRate = 0;
    for (let i = 0; i < bands.length; i++) {
      const band = bands[i]!;
      const filled = band.state[BUCKET]! + (Math.imul(delta, band.rate) >>> 0);
      const bucket = Math.min(filled, band.size);
      if (bucket >= cost) {
        band.state[BUCKET] = bucket - cost;
        continue;
      }
      band.state[BUCKET] = bucket;
      if (band.rate > exceededRate) {
        exceededRate = band.rate;
        exceeded = i;
      }
    }
    if (exceeded < 0) return false;
    const band = bands[exceeded]!;
    band.state[PACKETS]! += 1;
    band.state[BYTES]! += size;
    return band.type === OVS_METER_BAND_TYPE.DROP;
  }
}

/** The meters of a datapath by id: an array with a place for `id % size`, for clients that number from 0. */
export class MeterTable {
  private slots: (Meter | undefined)[] = emptySlots(MIN_TABLE_SIZE);
  private nMeters = 0;
  /** Told to clients; one less is the most that it takes. */
  readonly max: number;

  constructor(max = MAX_METERS) {
    this.max = max;
  }

  get count(): number {
    return this.nMeters;
  }

  /** `id` as u32 or int32.  Hot path. */
  find(id: number): Meter | undefined {
    const meter = this.slots[id & (this.slots.length - 1)];
    return meter !== undefined && (meter.id | 0) === (id | 0) ? meter : undefined;
  }

  /**
   * Puts `meter` in, in the place of the one with its id, which is returned.  Throws NetlinkError: EFBIG if there are too
   * many, EBUSY if another meter has its place.
   */
  set(meter: Meter): Meter | undefined {
    const old = this.find(meter.id);
    if (old === undefined) {
      if (this.nMeters + 1 >= this.max) throw new NetlinkError(ERRNO.EFBIG, `meter ${meter.id}: there are too many`);
      if (this.nMeters + 1 >= this.slots.length) this.resize(this.slots.length * 2);
      if (this.slots[this.place(meter.id)] !== undefined) {
        throw new NetlinkError(ERRNO.EBUSY, `meter ${meter.id}: its place is taken by another`);
      }
      this.nMeters++;
    }
    this.slots[this.place(meter.id)] = meter;
    return old;
  }

  /** Removes the meter, if there is one with that id, and returns it. */
  delete(id: number): Meter | undefined {
    const meter = this.find(id);
    if (meter === undefined) return undefined;
    this.slots[this.place(id)] = undefined;
    this.nMeters--;
    const half = this.slots.length / 2;
    const mayShrink = half >= MIN_TABLE_SIZE && this.nMeters <= half / 2;
    if (mayShrink && this.slots.every((m, i) => i < half || m === undefined)) this.resize(half);
    return meter;
  }

  private place(id: number): number {
    return id & (this.slots.length - 1);
  }

  private resize(size: number): void {
    const old = this.slots;
    this.slots = emptySlots(size);
    // Places that were different stay so: the larger of two powers of 2 tells apart what the smaller does.
    for (const meter of old) if (meter !== undefined) this.slots[this.place(meter.id)] = meter;
  }
}

const emptySlots = (size: number): (Meter | undefined)[] => Array.from({ length: size }, () => undefined);
