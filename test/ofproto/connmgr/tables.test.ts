/** Vacancy events and eviction of tables, and what tables say that they can do. */
import { describe, expect, test } from 'vitest';
import { reportVacancy, tableDescOf } from '../../../src/ofproto/connmgr/events/table-events.ts';
import type { Connections } from '../../../src/ofproto/connmgr/of-switch.ts';
import { includesFeatures, tableFeatures } from '../../../src/ofproto/connmgr/table-features.ts';
import { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import type { TableStatus } from '../../../src/openflow/messages/switch/switch-types.ts';

function rig(max: number) {
  const told: string[] = [];
  const conns = {
    broadcast(_type: string, reason: number, _kind: string, { desc }: TableStatus) {
      told.push(`${reason} at ${desc.vacancy}%`);
    },
  } as unknown as Connections;
  const tables: FlowTables = new FlowTables((changes) => reportVacancy(tables, conns, changes));
  const table = tables.table(0);
  table.maxFlows = max;
  return {
    told,
    tables,
    table,
    add: (priority: number, idleTimeout = 0) => tables.apply(newFlowMod('ADD', { priority, idleTimeout })),
    remove: (priority: number) => tables.apply(newFlowMod('DELETE_STRICT', { priority })),
  };
}

describe('vacancy', () => {
  test('each threshold tells once, then the other one', () => {
    const r = rig(10);
    r.table.vacancy = { down: 30, up: 70, awaits: 'down' };
    for (let p = 1; p <= 9; p++) r.add(p);
    expect(r.told).toEqual(['3 at 20%']);
    for (let p = 1; p <= 9; p++) r.remove(p);
    expect(r.told).toEqual(['3 at 20%', '4 at 80%']);
    for (let p = 1; p <= 8; p++) r.add(p);
    expect(r.told).toHaveLength(3);
  });

  test('no events unless they are asked for, nor for flows that take the place of others', () => {
    const r = rig(2);
    r.add(1);
    r.add(2);
    expect(r.told).toEqual([]);
    r.table.vacancy = { down: 50, up: 80, awaits: 'down' };
    r.add(2);
    expect(r.told).toEqual([]);
    expect(tableDescOf(r.table)).toMatchObject({ vacancy: 0, vacancyDown: 50, vacancyUp: 80, hasVacancyEvents: true });
  });

  test('of a table without limit', () => {
    const r = rig(Number.POSITIVE_INFINITY);
    expect(r.table.vacancyPercent).toBe(100);
    r.add(1);
    expect(r.table.vacancyPercent).toBe(99);
  });
});

test('eviction is on if the database or a controller wants it', () => {
  const { table, tables, add } = rig(1);
  add(1, 10);
  expect(() => add(2)).toThrow('OFPFMFC_TABLE_FULL');
  table.evictsByOpenflow = true;
  add(2, 10);
  expect([...tables.rules()].map((r) => r.priority)).toEqual([2]);
  table.setEviction([]);
  table.evictsByOpenflow = false;
  expect(tableDescOf(table).hasEviction).toBe(false);
  add(3, 10);
  table.setEviction(undefined);
  expect(() => add(4)).toThrow('OFPFMFC_TABLE_FULL');
});

describe('features', () => {
  const { tables } = rig(100);
  const all = tableFeatures(tables.tables);
  test('tables but the hidden one, each before the next', () => {
    expect(all).toHaveLength(254);
    expect(all[0]).toMatchObject({ tableId: 0, maxEntries: 100 });
    expect(all[1]?.maxEntries).toBe(1_000_000);
    expect(all[252]?.nonmissFeatures.next).toEqual(new Set([253]));
    expect(all[252]?.nonmissFeatures.instructions.has('goto_table')).toBe(true);
    expect(all[253]?.nonmissFeatures.instructions.has('goto_table')).toBe(false);
  });

  test('less is fine, more is not', () => {
    const has = all[0];
    if (has === undefined) throw new Error('no table');
    expect(includesFeatures(has, { ...has, match: new Set(), metadataWrite: 1n })).toBe(true);
    expect(includesFeatures(has, { ...has, supportsEviction: true })).toBe(false);
    expect(includesFeatures({ ...has, match: new Set() }, has)).toBe(false);
    const { nonmissFeatures } = has;
    expect(includesFeatures({ ...has, nonmissFeatures: { ...nonmissFeatures, next: new Set() } }, has)).toBe(false);
  });
});
