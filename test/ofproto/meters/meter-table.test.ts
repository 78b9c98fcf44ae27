import { beforeEach, describe, expect, it } from 'vitest';
import type { Dpif } from '../../../src/dpif/dpif.ts';
import type { DpifMeterConfig, DpifMeterStats } from '../../../src/dpif/dpif-meters.ts';
import { MeterIds } from '../../../src/ofproto/meters/meter-ids.ts';
import { MeterTable } from '../../../src/ofproto/meters/meter-table.ts';
import { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import { OFPRR, type RuleChange } from '../../../src/ofproto/tables/rule-change.ts';
import { METER, type MeterBand, type MeterMod } from '../../../src/openflow/messages/switch/switch-types.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { ERRNO } from '../../../src/util/errno.ts';
import { addFlow, catchAll } from '../support/rules.ts';

const COMMAND = { ADD: 0, MODIFY: 1, DELETE: 2 } as const;
const KBPS = 1;
const BURST = 4;

/** A datapath with room for three meters of two bands. */
class Meters {
  readonly byId = new Map<number, DpifMeterConfig>();
  errno = 0;
  async features() {
    return { maxMeters: 3, maxBands: 2, hasDrop: true };
  }
  async set(id: number, config: DpifMeterConfig): Promise<void> {
    if (this.errno !== 0) throw Object.assign(new Error('refused'), { errno: this.errno });
    this.byId.set(id, config);
  }
  async get(id: number): Promise<DpifMeterStats> {
    const config = this.byId.get(id);
    if (config === undefined) throw Object.assign(new Error('none'), { errno: ERRNO.ENOENT });
    return { nPackets: BigInt(id), nBytes: 9n, bands: config.bands.map(() => ({ nPackets: 1n, nBytes: 2n })) };
  }
  async del(id: number): Promise<void> {
    this.byId.delete(id);
  }
}

let changes: RuleChange[];
let nChanges: number;
let dp: Meters;
let tables: FlowTables;
let meters: MeterTable;

beforeEach(async () => {
  changes = [];
  nChanges = 0;
  dp = new Meters();
  tables = new FlowTables((some) => changes.push(...some));
  const ids = new MeterIds({ meters: dp } as unknown as Dpif);
  await ids.start();
  meters = new MeterTable(tables, ids, () => nChanges++);
  tables.checkActions = (actions) => meters.checkActions(actions);
});

const band = (rate = 10, more: Partial<MeterBand> = {}): MeterBand => ({
  type: 1,
  precLevel: 0,
  rate,
  burstSize: 0,
  ...more,
});
const mod = (command: keyof typeof COMMAND, meterId: number, bands = [band()], flags = KBPS): MeterMod => ({
  command: COMMAND[command],
  meterId,
  flags,
  bands,
});
const errorOf = (done: Promise<unknown>): Promise<string | undefined> =>
  done.then(
    () => undefined,
    (e: unknown) => {
      if (e instanceof OfpError) return e.code;
      throw e;
    },
  );
const useMeter = (priority: number, meterId: number): void =>
  addFlow(tables, { priority, match: catchAll(), actions: [{ kind: 'meter', meterId }] });

describe('meter_mod', () => {
  it('makes, changes and deletes meters of the datapath; their numbers there are used again', async () => {
    await meters.apply(mod('ADD', 5, [band(10, { burstSize: 3 })], KBPS | BURST));
    await meters.apply(mod('ADD', 6, [band(20, { burstSize: 3 })], 2));
    expect([...dp.byId]).toEqual([
      [0, { isKbps: true, bands: [{ rate: 10, burst: 3 }] }],
      // Without a burst of its own it is a second's worth.
      [1, { isKbps: false, bands: [{ rate: 20, burst: 20 }] }],
    ]);
    await meters.apply(mod('MODIFY', 5, [band(1), band(2)]));
    expect(dp.byId.get(0)?.bands).toHaveLength(2);
    expect(meters.configs(METER.ALL).map((c) => [c.meterId, c.bands.length])).toEqual([
      [5, 2],
      [6, 1],
    ]);
    await meters.apply(mod('DELETE', 5));
    await meters.apply(mod('ADD', 7));
    expect([meters.datapathId(5), meters.datapathId(6), meters.datapathId(7)]).toEqual([undefined, 1, 0]);
    await meters.apply(mod('DELETE', METER.ALL));
    expect(dp.byId.size).toBe(0);
    await meters.apply(mod('DELETE', 99));
  });

  it.each([
    ['a number twice', mod('ADD', 1), 'OFPMMFC_METER_EXISTS'],
    ['a change of none', mod('MODIFY', 2), 'OFPMMFC_UNKNOWN_METER'],
    ['number 0', mod('ADD', 0), 'OFPMMFC_INVALID_METER'],
    ['a reserved number', mod('ADD', METER.MAX + 1), 'OFPMMFC_INVALID_METER'],
    ['all', mod('MODIFY', METER.ALL), 'OFPMMFC_INVALID_METER'],
    ['three bands', mod('ADD', 2, [band(), band(), band()]), 'OFPMMFC_OUT_OF_BANDS'],
    ['no band', mod('ADD', 2, []), 'OFPMMFC_OUT_OF_BANDS'],
    ['no unit', mod('ADD', 2, [band()], 8), 'OFPMMFC_BAD_FLAGS'],
    ['two units', mod('ADD', 2, [band()], 3), 'OFPMMFC_BAD_FLAGS'],
    ['an unknown flag', mod('ADD', 2, [band()], 0x11), 'OFPMMFC_BAD_FLAGS'],
    ['a rate of 0', mod('ADD', 2, [band(0)]), 'OFPMMFC_BAD_RATE'],
    ['a band that marks', mod('ADD', 2, [band(1, { type: 2 })]), 'OFPMMFC_BAD_BAND'],
    ['an unknown command', { ...mod('ADD', 2), command: 9 }, 'OFPMMFC_BAD_COMMAND'],
  ])('refuses %s', async (_what, m, code) => {
    await meters.apply(mod('ADD', 1));
    expect(await errorOf(meters.apply(m))).toBe(code);
    expect([meters.configs(METER.ALL).length, dp.byId.size]).toEqual([1, 1]);
  });

  it('what the datapath refuses leaves no meter, and no number taken', async () => {
    dp.errno = ERRNO.ENOMEM;
    for (let i = 0; i < 5; i++) expect(await errorOf(meters.apply(mod('ADD', 1)))).toBe('OFPMMFC_OUT_OF_METERS');
    dp.errno = 0;
    for (const n of [1, 2, 3]) await meters.apply(mod('ADD', n));
    expect(await errorOf(meters.apply(mod('ADD', 4)))).toBe('OFPMMFC_OUT_OF_METERS');
  });

  it('two at a time wait for each other', async () => {
    const [a, b] = await Promise.all([errorOf(meters.apply(mod('ADD', 1))), errorOf(meters.apply(mod('ADD', 1)))]);
    expect([a, b, dp.byId.size]).toEqual([undefined, 'OFPMMFC_METER_EXISTS', 1]);
  });

  it('meters of what goes to userspace have flows checked again', async () => {
    await meters.apply(mod('ADD', METER.CONTROLLER));
    await meters.apply(mod('ADD', 1));
    await meters.apply(mod('DELETE', METER.CONTROLLER));
    expect(nChanges).toBe(2);
  });

  it('without meters in the datapath there are none', async () => {
    const none = new MeterTable(tables, new MeterIds({} as Dpif), () => {});
    expect(await errorOf(none.apply(mod('ADD', 1)))).toBe('OFPMMFC_INVALID_METER');
    expect(none.features).toEqual({ maxMeters: 0, maxBands: 0, bandTypes: 0, capabilities: 0, maxColor: 0 });
  });
});

describe('meters and flows', () => {
  it('a flow needs its meter, and goes with it', async () => {
    expect(() => useMeter(1, 5)).toThrow(/OFPMMFC_INVALID_METER/);
    await meters.apply(mod('ADD', 5));
    await meters.apply(mod('ADD', 6));
    useMeter(1, 5);
    useMeter(2, 6);
    expect((await meters.stats(METER.ALL)).map((s) => [s.meterId, s.flowCount, s.packetInCount])).toEqual([
      [5, 1, 0n],
      [6, 1, 1n],
    ]);
    changes = [];
    await meters.apply(mod('DELETE', 5));
    expect(changes).toMatchObject([{ kind: 'removed', reason: OFPRR.METER_DELETE, rule: { priority: 1 } }]);
    expect(tables.size).toBe(1);
  });

  it('statistics of no meter are an error; those that the datapath lacks are left out', async () => {
    await expect(meters.stats(3)).rejects.toThrow(/OFPMMFC_UNKNOWN_METER/);
    expect(() => meters.configs(3)).toThrow(/OFPMMFC_UNKNOWN_METER/);
    await meters.apply(mod('ADD', 3));
    dp.byId.clear();
    expect(await meters.stats(METER.ALL)).toEqual([]);
  });
});
