/**
 * The meters of a switch, by OpenFlow number, each one of the datapath's (`meter-ids.ts`); a flow that uses one goes with it.
 *
 * Two numbers are not for flows: METER.CONTROLLER limits what goes to controllers, SLOWPATH what userspace has to look at.
 * Source: ofproto/ofproto.c (handle_meter_mod and what it calls).
 */
import {
  METER,
  type MeterConfig,
  type MeterMod,
  type MeterStats,
} from '../../openflow/messages/switch/switch-types.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { monotonicMs } from '../../util/clock.ts';
import type { FlowTables } from '../tables/flow-tables.ts';
import { someAction } from '../tables/rule.ts';
import { OFPRR } from '../tables/rule-change.ts';
import type { MeterIds } from './meter-ids.ts';

/** OFPMC13_*. */
const COMMAND = { ADD: 0, MODIFY: 1, DELETE: 2 } as const;

interface Meter {
  /** As the controller gave it. */
  config: MeterConfig;
  /** In the datapath. */
  readonly id: number;
  readonly createdMs: number;
}

export class MeterTable {
  private readonly tables: FlowTables;
  private readonly ids: MeterIds;
  private readonly onChange: () => void;
  private readonly byNumber = new Map<number, Meter>();
  /** Ends when the last meter_mod that was begun is done: they wait for each other, and for the datapath. */
  private last: Promise<unknown> = Promise.resolve();

  /** `onChange` is called when other meters than flows' own come or go: no flow changes that would have flows revalidated. */
  constructor(tables: FlowTables, ids: MeterIds, onChange: () => void) {
    this.tables = tables;
    this.ids = ids;
    this.onChange = onChange;
  }

  get features() {
    return this.ids.features;
  }

  /** Number of meter `number` in the datapath; undefined if there is none. */
  datapathId(number: number): number | undefined {
    return this.byNumber.get(number)?.id;
  }

  /** Throws OFPMMFC_INVALID_METER if actions name a meter that is not there. */
  checkActions(actions: readonly Ofpact[]): void {
    someAction(actions, (a) => {
      if (a.kind === 'meter' && !this.byNumber.has(a.meterId)) {
        throw new OfpError(OFPERR.OFPMMFC_INVALID_METER, `meter ${a.meterId}`);
      }
      return false;
    });
  }

  /** Carries out a meter_mod after those that were begun before.  Rejects with an OfpError, and nothing has changed then. */
  apply(mod: MeterMod): Promise<void> {
    const done = this.last.then(() => this.applyNow(mod));
    this.last = done.catch(() => {});
    return done;
  }

  private async applyNow(mod: MeterMod): Promise<void> {
    const { meterId, command } = mod;
    if (command === COMMAND.DELETE) {
      for (const number of meterId === METER.ALL ? [...this.byNumber.keys()] : [meterId]) await this.delete(number);
      return;
    }
    this.check(mod);
    const old = this.byNumber.get(meterId);
    if (command === COMMAND.ADD) {
      if (old !== undefined) throw new OfpError(OFPERR.OFPMMFC_METER_EXISTS, `meter ${meterId}`);
      const id = await this.ids.make(mod);
      this.byNumber.set(meterId, { config: configOf(mod), id, createdMs: monotonicMs() });
      if (isVirtual(meterId)) this.onChange();
    } else if (command === COMMAND.MODIFY) {
      if (old === undefined) throw new OfpError(OFPERR.OFPMMFC_UNKNOWN_METER, `meter ${meterId}`);
      await this.ids.set(old.id, mod);
      old.config = configOf(mod);
    } else throw new OfpError(OFPERR.OFPMMFC_BAD_COMMAND, `meter_mod: command ${command}`);
  }

  private check({ meterId, bands }: MeterMod): void {
    const { maxMeters, maxBands } = this.features;
    const isNumber = meterId !== 0 && (meterId <= METER.MAX || isVirtual(meterId));
    if (maxMeters === 0 || !isNumber) throw new OfpError(OFPERR.OFPMMFC_INVALID_METER, `meter ${meterId}`);
    if (bands.length > maxBands) throw new OfpError(OFPERR.OFPMMFC_OUT_OF_BANDS, `${bands.length} bands`);
  }

  private async delete(number: number): Promise<void> {
    const meter = this.byNumber.get(number);
    if (meter === undefined) return;
    const users = [...this.tables.uses.ofMeter(number)];
    if (users.length > 0) this.tables.removeAll(users, OFPRR.METER_DELETE);
    this.byNumber.delete(number);
    if (isVirtual(number)) this.onChange();
    await this.ids.release(meter.id);
  }

  /** Deletes all of them; the switch ends. */
  deleteAll(): Promise<void> {
    return this.apply({ command: COMMAND.DELETE, meterId: METER.ALL, flags: 0, bands: [] });
  }

  /** What is configured as meter `number`, or (METER.ALL) all of them; throws OFPMMFC_UNKNOWN_METER if there is none. */
  configs(number: number): MeterConfig[] {
    return this.select(number).map((m) => m.config);
  }

  /** What went through meter `number`, or (METER.ALL) all of them: those that the datapath has statistics of. */
  async stats(number: number): Promise<MeterStats[]> {
    const all: MeterStats[] = [];
    for (const { config, id, createdMs } of this.select(number)) {
      const stats = await this.ids.stats(id);
      if (stats === undefined) continue;
      const ageMs = Math.max(0, monotonicMs() - createdMs);
      all.push({
        meterId: config.meterId,
        flowCount: this.tables.uses.ofMeter(config.meterId).size,
        packetInCount: stats.nPackets,
        byteInCount: stats.nBytes,
        durationSec: Math.floor(ageMs / 1000),
        durationNsec: Math.floor(ageMs % 1000) * 1_000_000,
        bands: stats.bands.map((b) => ({ packetCount: b.nPackets, byteCount: b.nBytes })),
      });
    }
    return all;
  }

  private select(number: number): Meter[] {
    if (number === METER.ALL) {
      return [...this.byNumber.values()].sort((a, b) => a.config.meterId - b.config.meterId);
    }
    const meter = this.byNumber.get(number);
    if (meter === undefined) throw new OfpError(OFPERR.OFPMMFC_UNKNOWN_METER, `meter ${number}`);
    return [meter];
  }
}

const isVirtual = (number: number): boolean => number === METER.CONTROLLER || number === METER.SLOWPATH;
const configOf = ({ meterId, flags, bands }: MeterMod): MeterConfig => ({ meterId, flags, bands });
