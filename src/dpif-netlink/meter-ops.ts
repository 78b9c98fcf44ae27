/**
 * Meters over the ovs_meter family.  Neighbours: dpif/dpif-meters.ts (the contract), dpif-netlink.ts.
 *
 * Kernels before 4.18 give every meter the number 0; there no meter can be used.  It shows when two are made, once a datapath.
 * Source: lib/dpif-netlink.c (dpif_netlink_meter_*, probe_broken_meters).
 */
import type { DpifMeterConfig, DpifMeterFeatures, DpifMeterStats, DpifMeters } from '../dpif/dpif-meters.ts';
import { NLM_F } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import {
  type MeterAttrs,
  OVS_METER_ATTR,
  OVS_METER_BAND_TYPE,
  OVS_METER_CMD,
  OVS_METER_FAMILY,
  OVS_METER_VERSION,
} from '../netlink/families/ovs-meter.ts';
import { lookupFamily } from '../netlink/genl-family.ts';
import type { MessageView } from '../netlink/message.ts';
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';
import type { OvsFamilies } from './ovs-families.ts';

const log = vlog('dpif_netlink');

/** Unlikely numbers for the meters of the probe, as it replaces what is there. */
const PROBE_IDS = [54545401, 54545402] as const;
const PROBE: DpifMeterConfig = { isKbps: true, bands: [{ rate: 1, burst: 1 }] };
const NO_METERS: DpifMeterFeatures = { maxMeters: 0, maxBands: 0, hasDrop: false };

export class MeterOps implements DpifMeters {
  private readonly fam: OvsFamilies;
  private readonly dpIfindex: number;
  private broken: Promise<boolean> | undefined;

  constructor(fam: OvsFamilies, dpIfindex: number) {
    this.fam = fam;
    this.dpIfindex = dpIfindex;
  }

  async features(): Promise<DpifMeterFeatures> {
    try {
      if (await this.isBroken()) return NO_METERS;
      const { maxMeters = 0, maxBands = 0, bands = [] } = await this.query('FEATURES', {});
      return { maxMeters, maxBands, hasDrop: bands.some((b) => b.type === OVS_METER_BAND_TYPE.DROP) };
    } catch (e) {
      if (!(e instanceof NetlinkError)) throw e;
      log.info(`meter features: ${e.message}`);
      return NO_METERS;
    }
  }

  async set(id: number, config: DpifMeterConfig): Promise<void> {
    if (await this.isBroken()) throw new NetlinkError(ERRNO.ENOMEM, `meter ${id}`);
    await this.put(id, config);
  }

  async get(id: number): Promise<DpifMeterStats> {
    const { stats, bands = [] } = await this.query('GET', { id });
    return {
      nPackets: stats?.nPackets ?? 0n,
      nBytes: stats?.nBytes ?? 0n,
      bands: bands.map((b) => ({ nPackets: b.stats?.nPackets ?? 0n, nBytes: b.stats?.nBytes ?? 0n })),
    };
  }

  async del(id: number): Promise<void> {
    await this.query('DEL', { id });
  }

  private async put(id: number, { isKbps, bands }: DpifMeterConfig): Promise<void> {
    const drops = bands.map((b) => ({ type: OVS_METER_BAND_TYPE.DROP, ...b }));
    const reply = await this.query('SET', { id, bands: drops, ...(isKbps && { kbps: true as const }) });
    if (reply.id !== id) log.info('Kernel returned a different meter id than requested');
  }

  private isBroken(): Promise<boolean> {
    this.broken ??= this.probe();
    return this.broken;
  }

  /** Whether two meters do not stay apart. */
  private async probe(): Promise<boolean> {
    for (const id of PROBE_IDS) await this.put(id, PROBE).catch(() => {});
    try {
      for (const id of PROBE_IDS) await this.query('GET', { id });
    } catch (e) {
      if (!(e instanceof NetlinkError)) throw e;
      log.info('The kernel module has a broken meter implementation.');
      return true;
    }
    for (const id of PROBE_IDS) await this.del(id);
    return false;
  }

  /** Sends a request and resolves to the reply's attributes.  The family is looked up each time: these requests are rare. */
  private async query(cmd: keyof typeof OVS_METER_CMD, attrs: MeterAttrs): Promise<MeterAttrs> {
    const family = (await lookupFamily(this.fam.client, OVS_METER_FAMILY)).id;
    const { dpIfindex } = this;
    return this.fam.client.query(
      { family, cmd: OVS_METER_CMD[cmd], version: OVS_METER_VERSION, flags: NLM_F.ECHO, dpIfindex },
      (w) => w.attrs(OVS_METER_ATTR, attrs),
      (msg: MessageView) => msg.readOvs(OVS_METER_ATTR),
      `ovs_meter ${cmd}`,
    );
  }
}
