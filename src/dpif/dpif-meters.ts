/**
 * Meters of a datapath: token buckets that flows pass packets through, by number; dpif.ts has them as the optional member
 * `meters`.  A meter of a flow's that is not there passes all packets.  Source: lib/dpif.h (dpif_meter_*).
 */

export interface DpifMeterConfig {
  /** Rates in kbit/s and bursts in kbit; else packets/s, and packets. */
  readonly isKbps: boolean;
  /** Each drops what exceeds its rate.  One at least. */
  readonly bands: readonly { readonly rate: number; readonly burst: number }[];
}

export interface DpifMeterFeatures {
  /** 0: the datapath has no meters, or none that work. */
  readonly maxMeters: number;
  readonly maxBands: number;
  /** Whether bands may drop. */
  readonly hasDrop: boolean;
}

interface Counts {
  readonly nPackets: bigint;
  readonly nBytes: bigint;
}
/** What came to a meter, and what exceeded each of its bands. */
export interface DpifMeterStats extends Counts {
  readonly bands: readonly Counts[];
}

/** Rejects as the methods of Dpif do. */
export interface DpifMeters {
  features(): Promise<DpifMeterFeatures>;
  /** Makes meter `id`, or another in its place, with counts of 0. */
  set(id: number, config: DpifMeterConfig): Promise<void>;
  /** ENOENT if there is none. */
  get(id: number): Promise<DpifMeterStats>;
  /** Deletes it; nothing happens if there is none. */
  del(id: number): Promise<void>;
}
