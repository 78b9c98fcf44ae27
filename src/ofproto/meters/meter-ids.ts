/**
 * The meters of a datapath, which its switches share: numbers for them, and what the datapath says to theirs.
 * `meter-table.ts` has those of a switch.
 * Source: ofproto/ofproto-dpif.c (meter_set, meter_get, meter_del), lib/dpif.c (dpif_meter_set), lib/id-pool.c.
 */
import type { Dpif } from '../../dpif/dpif.ts';
import { errnoOf } from '../../dpif/dpif-error.ts';
import type { DpifMeterFeatures, DpifMeterStats } from '../../dpif/dpif-meters.ts';
import { METER_FLAG } from '../../openflow/messages/group/meter.ts';
import type { MeterConfig, MeterFeatures } from '../../openflow/messages/switch/switch-types.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import { ERRNO } from '../../util/errno.ts';

/** OFPMBT13_DROP. */
const DROP = 1;
/** Flags that a datapath can do. */
const FLAGS = METER_FLAG.KBPS | METER_FLAG.PKTPS | METER_FLAG.BURST | METER_FLAG.STATS;
const NONE: DpifMeterFeatures = { maxMeters: 0, maxBands: 0, hasDrop: false };

/** Throws the OfpError of a configuration that no datapath can do. */
function checkConfig({ flags, bands }: MeterConfig): void {
  const isKbps = (flags & METER_FLAG.KBPS) !== 0;
  const isPktps = (flags & METER_FLAG.PKTPS) !== 0;
  if (isKbps === isPktps) throw new OfpError(OFPERR.OFPMMFC_BAD_FLAGS, 'meter: want one of kbps and pktps');
  if (bands.length === 0) throw new OfpError(OFPERR.OFPMMFC_OUT_OF_BANDS, 'meter without bands');
  if (bands.some((b) => b.rate === 0)) throw new OfpError(OFPERR.OFPMMFC_BAD_RATE, 'meter band: rate is 0');
  if ((flags & ~FLAGS) !== 0) throw new OfpError(OFPERR.OFPMMFC_BAD_FLAGS, `meter flags 0x${flags.toString(16)}`);
  if (bands.some((b) => b.type !== DROP)) throw new OfpError(OFPERR.OFPMMFC_BAD_BAND, 'meter band that does not drop');
}

// biome-ignore format: table
const ERRORS = new Map<number, keyof typeof OFPERR>([
  [ERRNO.EFBIG, 'OFPMMFC_OUT_OF_METERS'], [ERRNO.ENOMEM, 'OFPMMFC_OUT_OF_METERS'], [ERRNO.EBADF, 'OFPMMFC_BAD_FLAGS'],
  [ERRNO.EINVAL, 'OFPMMFC_OUT_OF_BANDS'], [ERRNO.ENODEV, 'OFPMMFC_BAD_BAND'], [ERRNO.EDOM, 'OFPMMFC_BAD_RATE'],
]);

export class MeterIds {
  private readonly dpif: Dpif;
  private readonly used = new Set<number>();
  private next = 0;
  private known: DpifMeterFeatures = NONE;

  constructor(dpif: Dpif) {
    this.dpif = dpif;
  }

  /** Asks the datapath what it can do; without this it has no meters. */
  async start(): Promise<void> {
    this.known = (await this.dpif.meters?.features()) ?? NONE;
  }

  get features(): MeterFeatures {
    const { maxMeters, maxBands, hasDrop } = this.known;
    const capabilities = maxMeters === 0 ? 0 : FLAGS;
    return { maxMeters, maxBands, bandTypes: hasDrop ? 1 << DROP : 0, capabilities, maxColor: 0 };
  }

  /** Makes a meter in the datapath; resolves to its number there.  Rejects with an OfpError. */
  async make(config: MeterConfig): Promise<number> {
    const id = this.take();
    try {
      await this.set(id, config);
    } catch (e) {
      this.free(id);
      throw e;
    }
    return id;
  }

  /** Changes meter `id` of the datapath.  Rejects with an OfpError. */
  async set(id: number, config: MeterConfig): Promise<void> {
    checkConfig(config);
    const hasBurst = (config.flags & METER_FLAG.BURST) !== 0;
    try {
      await this.dpif.meters?.set(id, {
        isKbps: (config.flags & METER_FLAG.KBPS) !== 0,
        bands: config.bands.map(({ rate, burstSize }) => ({ rate, burst: hasBurst ? burstSize : rate })),
      });
    } catch (cause) {
      const name = ERRORS.get(errnoOf(cause)) ?? 'OFPMMFC_UNKNOWN';
      throw new OfpError(OFPERR[name], `meter ${config.meterId}: ${String(cause)}`);
    }
  }

  /** What went through meter `id` of the datapath; undefined if it does not tell. */
  async stats(id: number): Promise<DpifMeterStats | undefined> {
    try {
      return await this.dpif.meters?.get(id);
    } catch {
      // It is logged where it failed; the switch's meter has no statistics then.
      return undefined;
    }
  }

  /** Deletes meter `id` of the datapath, whose number is free then. */
  async release(id: number): Promise<void> {
    try {
      await this.dpif.meters?.del(id);
    } catch {
      // It is logged where it failed.  A meter that stays behind harms nobody, and is replaced when its number is used again.
    }
    this.free(id);
  }

  private free(id: number): void {
    this.used.delete(id);
    this.next = Math.min(this.next, id);
  }

  /** The lowest number that was given back lately, else the next. */
  private take(): number {
    const { maxMeters } = this.known;
    if (this.used.size >= maxMeters) throw new OfpError(OFPERR.OFPMMFC_OUT_OF_METERS, 'meters of the datapath');
    let id = this.next;
    if (this.used.has(id)) for (id = 0; this.used.has(id); ) id++;
    this.used.add(id);
    this.next = id + 1 >= maxMeters ? 0 : id + 1;
    return id;
  }
}
