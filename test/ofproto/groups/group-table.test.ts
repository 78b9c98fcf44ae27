import { beforeEach, describe, expect, it } from 'vitest';
import { GroupTable } from '../../../src/ofproto/groups/group-table.ts';
import { hashTable } from '../../../src/ofproto/groups/selection.ts';
import { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import { OFPRR, type RuleChange } from '../../../src/ofproto/tables/rule-change.ts';
import { OFPG } from '../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import { GROUP_BUCKET, GROUP_TYPE } from '../../../src/openflow/messages/switch/switch-types.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { FakeClock, setClock } from '../../../src/util/clock.ts';
import { bucket, groupMod } from '../support/groups.ts';
import { addFlow, catchAll, output } from '../support/rules.ts';

let changes: RuleChange[];
let nChanges: number;
let tables: FlowTables;
let groups: GroupTable;

beforeEach(() => {
  changes = [];
  nChanges = 0;
  tables = new FlowTables((some) => changes.push(...some));
  groups = new GroupTable(tables, { onChange: () => nChanges++, maxOfType: 3 });
  tables.checkActions = (actions) => groups.checkActions(actions);
});

const toGroup = (priority: number, ...ids: number[]): void =>
  addFlow(tables, { priority, match: catchAll(), actions: ids.map((groupId) => ({ kind: 'group', groupId })) });
const ids = (id: number): number[] | undefined => groups.find(id)?.buckets.map((b) => b.id);
const buckets = (...bucketIds: number[]) => bucketIds.map((id) => bucket(id, [output(id)]));
const codeOf = (f: () => unknown): string | undefined => {
  try {
    f();
    return undefined;
  } catch (e) {
    if (e instanceof OfpError) return e.code;
    throw e;
  }
};

describe('group_mod', () => {
  it('adds, modifies and deletes', () => {
    expect(groups.apply(groupMod('ADD', 1, 'ALL', buckets(0, 1)))).toMatchObject({ existed: false });
    expect(ids(1)).toEqual([0, 1]);
    expect(groups.apply(groupMod('ADD_OR_MOD', 1, 'SELECT', buckets(2)))).toMatchObject({ existed: true });
    expect([ids(1), groups.find(1)?.type]).toEqual([[2], GROUP_TYPE.SELECT]);
    groups.apply(groupMod('ADD_OR_MOD', 2, 'INDIRECT', buckets(0)));
    groups.apply(groupMod('DELETE', OFPG.ALL, 'ALL'));
    expect(groups.all()).toEqual([]);
    expect(nChanges).toBe(4);
  });

  it.each([
    ['a second group of an id', () => groupMod('ADD', 1, 'ALL'), 'OFPGMFC_GROUP_EXISTS'],
    ['a modification of none', () => groupMod('MODIFY', 9, 'ALL'), 'OFPGMFC_UNKNOWN_GROUP'],
    ['a bucket for none', () => groupMod('INSERT_BUCKET', 9, 'ALL', buckets(0)), 'OFPGMFC_UNKNOWN_GROUP'],
    [
      'a place behind no bucket',
      () => groupMod('INSERT_BUCKET', 1, 'ALL', [], { commandBucketId: 5 }),
      'OFPGMFC_UNKNOWN_BUCKET',
    ],
    [
      'two buckets of one id',
      () => groupMod('INSERT_BUCKET', 1, 'ALL', buckets(1), { commandBucketId: GROUP_BUCKET.LAST }),
      'OFPGMFC_BUCKET_EXISTS',
    ],
    [
      'the removal of no bucket',
      () => groupMod('REMOVE_BUCKET', 1, 'ALL', [], { commandBucketId: 5 }),
      'OFPGMFC_UNKNOWN_BUCKET',
    ],
    ['a reserved id', () => groupMod('ADD', OFPG.MAX + 1, 'ALL'), 'OFPGMFC_INVALID_GROUP'],
    ['an unknown type', () => ({ ...groupMod('ADD', 9, 'ALL'), type: 4 }), 'OFPGMFC_BAD_TYPE'],
    ['an unknown command', () => ({ ...groupMod('ADD', 9, 'ALL'), command: 4 }), 'OFPGMFC_BAD_COMMAND'],
  ])('refuses %s, and changes nothing', (_what, gm, code) => {
    groups.apply(groupMod('ADD', 1, 'ALL', buckets(0, 1)));
    expect(codeOf(() => groups.apply(gm()))).toBe(code);
    expect([ids(1), groups.all().length, nChanges]).toEqual([[0, 1], 1, 1]);
  });

  it('has room for so many groups of a type', () => {
    for (const id of [1, 2, 3]) groups.apply(groupMod('ADD', id, 'FF'));
    expect(codeOf(() => groups.apply(groupMod('ADD', 4, 'FF')))).toBe('OFPGMFC_OUT_OF_GROUPS');
    groups.apply(groupMod('ADD', 4, 'ALL'));
    expect(codeOf(() => groups.apply(groupMod('MODIFY', 4, 'FF')))).toBe('OFPGMFC_OUT_OF_GROUPS');
    expect(codeOf(() => groups.apply(groupMod('MODIFY', 3, 'FF')))).toBeUndefined();
  });

  it.each([
    [GROUP_BUCKET.FIRST, [7, 8, 0, 1]],
    [GROUP_BUCKET.LAST, [0, 1, 7, 8]],
    [0, [0, 7, 8, 1]],
    [1, [0, 1, 7, 8]],
  ])('insert_bucket at %i', (commandBucketId, want) => {
    groups.apply(groupMod('ADD', 1, 'SELECT', buckets(0, 1)));
    // Type and properties of the message do not count.
    groups.apply(groupMod('INSERT_BUCKET', 1, 'ALL', buckets(7, 8), { commandBucketId }));
    expect([ids(1), groups.find(1)?.type]).toEqual([want, GROUP_TYPE.SELECT]);
  });

  it.each([
    [GROUP_BUCKET.FIRST, [1, 2]],
    [GROUP_BUCKET.LAST, [0, 1]],
    [GROUP_BUCKET.ALL, []],
    [1, [0, 2]],
  ])('remove_bucket %i', (commandBucketId, want) => {
    groups.apply(groupMod('ADD', 1, 'ALL', buckets(0, 1, 2)));
    groups.apply(groupMod('REMOVE_BUCKET', 1, 'ALL', [], { commandBucketId }));
    expect(ids(1)).toEqual(want);
  });
});

describe('groups and flows', () => {
  it('refuses flows that send to no group', () => {
    expect(codeOf(() => toGroup(1, 5))).toBe('OFPBAC_BAD_OUT_GROUP');
    const modify = newFlowMod('MODIFY', { ofpacts: [{ kind: 'group', groupId: 5 }] });
    expect(codeOf(() => tables.apply(modify))).toBeUndefined();
    addFlow(tables, { priority: 1, match: catchAll(), actions: [] });
    expect(codeOf(() => tables.apply(modify))).toBe('OFPBAC_BAD_OUT_GROUP');
  });

  it('deletes the flows of a group with it', () => {
    for (const id of [1, 2]) groups.apply(groupMod('ADD', id, 'ALL', buckets(0)));
    toGroup(1, 1);
    toGroup(2, 1, 2);
    toGroup(3, 2);
    changes = [];
    groups.apply(groupMod('DELETE', 1, 'ALL'));
    expect(changes.map((c) => [c.kind, c.rule.priority, c.kind === 'removed' && c.reason])).toEqual([
      ['removed', 1, OFPRR.GROUP_DELETE],
      ['removed', 2, OFPRR.GROUP_DELETE],
    ]);
    expect(tables.size).toBe(1);
  });

  it('deletes all, with their flows', () => {
    for (const id of [1, 2]) groups.apply(groupMod('ADD', id, 'ALL', buckets(0)));
    toGroup(1, 2);
    groups.deleteAll();
    groups.deleteAll();
    expect([groups.all().length, tables.size, nChanges]).toEqual([0, 0, 3]);
  });

  it('counts references, through modifications of flows too', () => {
    groups.apply(groupMod('ADD', 1, 'ALL', buckets(0)));
    groups.apply(groupMod('ADD', 2, 'ALL', buckets(0)));
    toGroup(1, 1, 1);
    toGroup(2, 1);
    const refs = (id: number) => groups.stats(groups.find(id) as NonNullable<ReturnType<typeof groups.find>>).refCount;
    expect([refs(1), refs(2)]).toEqual([3, 0]);
    toGroup(2, 2);
    expect([refs(1), refs(2)]).toEqual([2, 1]);
  });

  it('a transaction changes flows and groups together', () => {
    groups.apply(groupMod('ADD', 1, 'ALL', buckets(0)));
    toGroup(1, 1);
    const before = nChanges;
    const tx = tables.begin();
    groups.applyIn(tx, groupMod('DELETE', 1, 'ALL'));
    groups.applyIn(tx, groupMod('ADD', 1, 'ALL', buckets(5)));
    groups.applyIn(tx, groupMod('ADD', 2, 'ALL', buckets(6)));
    tx.apply(newFlowMod('ADD', { priority: 9, ofpacts: [{ kind: 'group', groupId: 2 }] }));
    // Not seen yet, but by the transaction's own version.
    expect([ids(1), ids(2), groups.find(2, tx.version)?.buckets.length]).toEqual([[0], undefined, 1]);
    expect([...tables.rules()].map((r) => r.priority)).toEqual([1]);
    tx.commit();
    expect([ids(1), ids(2), nChanges - before]).toEqual([[5], [6], 1]);
    expect([...tables.rules()].map((r) => r.priority)).toEqual([9]);
  });

  it('a reverted transaction leaves both as they were', () => {
    groups.apply(groupMod('ADD', 1, 'ALL', buckets(0)));
    toGroup(1, 1);
    const tx = tables.begin();
    groups.applyIn(tx, groupMod('DELETE', OFPG.ALL, 'ALL'));
    expect(() => groups.applyIn(tx, groupMod('MODIFY', 1, 'ALL'))).toThrow(OfpError);
    tx.revert();
    expect([ids(1), tables.size, [...tables.uses.ofGroup(1)].length]).toEqual([[0], 1, 1]);
  });
});

describe('statistics', () => {
  it('are credited by bucket, and begin anew with a modification; the age does not', () => {
    const clock = new FakeClock();
    setClock(clock);
    groups.apply(groupMod('ADD', 1, 'ALL', buckets(0, 1)));
    const group = groups.find(1);
    if (group === undefined) throw new Error('no group');
    group.credit(group.buckets[1], 2n, 100n);
    group.credit(undefined, 1n, 10n);
    clock.advance(1500);
    expect(groups.stats(group)).toEqual({
      groupId: 1,
      refCount: 0,
      packetCount: 3n,
      byteCount: 110n,
      durationSec: 1,
      durationNsec: 500_000_000,
      buckets: [
        { packetCount: 1n, byteCount: 10n },
        { packetCount: 3n, byteCount: 110n },
      ],
    });
    groups.apply(groupMod('MODIFY', 1, 'ALL', buckets(0)));
    const now = groups.find(1);
    expect(now && groups.stats(now)).toMatchObject({ packetCount: 0n, durationSec: 1 });
    setClock(undefined);
  });

  it.each([
    ['REMOVE_BUCKET', [], { commandBucketId: GROUP_BUCKET.FIRST }, [1n]],
    ['INSERT_BUCKET', [7], { commandBucketId: GROUP_BUCKET.LAST }, [3n, 1n, 0n]],
  ] as const)('of buckets that stay go on with %s, those of the group do not', (command, added, where, want) => {
    groups.apply(groupMod('ADD', 1, 'ALL', buckets(0, 1)));
    const group = groups.find(1);
    group?.credit(group.buckets[0], 2n, 20n);
    group?.credit(undefined, 1n, 10n);
    groups.apply(groupMod(command, 1, 'ALL', buckets(...added), where));
    const now = groups.find(1);
    expect(now?.nPackets).toBe(0n);
    expect(now?.buckets.map((b) => b.nPackets)).toEqual(want);
    expect(now?.buckets.map((b) => b.nBytes)).toEqual(want.map((n) => n * 10n));
  });
});

describe('hashTable', () => {
  const shares = (...weights: number[]) => {
    const all = weights.map((weight, id) => ({ weight, id }));
    const table = hashTable(all);
    return table && weights.map((_, i) => table.filter((b) => b.id === i).length);
  };
  it.each([
    [
      [1, 1],
      [8, 8],
    ],
    [[1], [16]],
    [
      [0, 3],
      [0, 16],
    ],
    [
      [1, 2, 3, 4],
      [2, 3, 5, 6],
    ],
    [
      [100, 1],
      [127, 1],
    ],
    [
      [255, 1],
      [255, 1],
    ],
    [[1000, 1], undefined],
    [[0, 0], undefined],
    [[], undefined],
  ])('%j', (weights, want) => {
    expect(shares(...weights)).toEqual(want);
  });
});
