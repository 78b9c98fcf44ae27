import { expect, it } from 'vitest';
import { FIELD } from '../../../src/flow/fields.ts';
import { setField, setFieldOnes } from '../../../src/flow/flow-key.ts';
import { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import type { Rule } from '../../../src/ofproto/tables/rule.ts';
import type { RuleChange } from '../../../src/ofproto/tables/rule-change.ts';
import { inTurns } from '../../../src/ofproto/tables/turns.ts';
import { newMatch } from '../../../src/openflow/match/match.ts';
import { type FlowMod, OFPTT_ALL } from '../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import { setClock } from '../../../src/util/clock.ts';
import { waitFor } from '../../support/wait-for.ts';

const N = 3000;

function flowOf(i: number): FlowMod {
  const match = newMatch();
  setField(match.flow, FIELD.reg0, i);
  setFieldOnes(match.mask, FIELD.reg0);
  return newFlowMod('ADD', { match, priority: 1, idleTimeout: i % 2 });
}

function filled(): { tables: FlowTables; changes: RuleChange[] } {
  const changes: RuleChange[] = [];
  const tables = new FlowTables((some) => changes.push(...some));
  for (let i = 0; i < N; i++) tables.apply(flowOf(i));
  changes.length = 0;
  return { tables, changes };
}
const nSeen = (tables: FlowTables): number => [...tables.rules()].length;
/** Long ago: each piece is as small as can be. */
const AT_ONCE = Number.NEGATIVE_INFINITY;

it('a deletion in pieces is seen at once: all flows or none, and each is told of once', async () => {
  const { tables, changes } = filled();
  const seen: number[] = [];
  const piece = tables.inPieces(newFlowMod('DELETE'));
  let nPieces = 1;
  for (; !piece(AT_ONCE); nPieces++) seen.push(nSeen(tables));
  expect(nPieces).toBeGreaterThan(20);
  expect(new Set(seen)).toEqual(new Set([N, 0]));
  expect(seen.toSorted((a, b) => b - a)).toEqual(seen);
  expect(changes.map((c) => c.kind)).toEqual(new Array(N).fill('removed'));
  expect(new Set(changes.map((c) => c.rule)).size).toBe(N);
  expect(tables.size).toBe(0);
  await waitFor(() => expect(tables.table(0).classifier.size).toBe(0));
});

it('rules that are gone, but for their place in the classifier, are not seen, nor in the way of new ones', async () => {
  const { tables } = filled();
  tables.apply(newFlowMod('DELETE'));
  const { classifier } = tables.table(0);
  expect([nSeen(tables), classifier.size]).toEqual([0, N]);
  for (let i = 0; i < N; i += 2) tables.apply(flowOf(i));
  expect(nSeen(tables)).toBe(N / 2);
  const packet = newMatch().flow;
  const isFound = (i: number): boolean => {
    setField(packet, FIELD.reg0, i);
    return tables.lookup(0, packet, undefined) !== undefined;
  };
  expect([0, 1, 2, N - 1].map(isFound)).toEqual([true, false, true, false]);
  await waitFor(() => expect(classifier.size).toBe(N / 2));
  expect([0, 1, 2, N - 1].map(isFound)).toEqual([true, false, true, false]);
});

it('flows that a transaction removed come back with it, though those removed before leave the classifier meanwhile', async () => {
  const { tables } = filled();
  const { classifier } = tables.table(0);
  tables.apply(newFlowMod('DELETE'));
  tables.apply(flowOf(N));
  const tx = tables.begin(true);
  tx.apply(newFlowMod('DELETE'));
  expect(tables.size).toBe(0);
  await waitFor(() => expect(classifier.size).toBe(1));
  tx.revert();
  expect([nSeen(tables), classifier.size]).toEqual([1, 1]);
  const packet = newMatch().flow;
  setField(packet, FIELD.reg0, N);
  expect(tables.lookup(0, packet, undefined)).toBeDefined();
});

it('whoever comes between has the change carried to its end', async () => {
  const { tables, changes } = filled();
  const piece = tables.inPieces(newFlowMod('DELETE'));
  const done = inTurns(tables, (untilMs) => piece(untilMs === Number.POSITIVE_INFINITY ? untilMs : AT_ONCE));
  expect(nSeen(tables)).toBe(N);
  tables.apply(newFlowMod('ADD', { priority: 7 }));
  expect([nSeen(tables), changes.length]).toEqual([1, N + 1]);
  await done;
  expect(nSeen(tables)).toBe(1);
});

it('what is asked to wait for it does, and then happens', async () => {
  const { tables } = filled();
  const piece = tables.inPieces(newFlowMod('DELETE'));
  const done = inTurns(tables, (untilMs) => piece(untilMs === Number.POSITIVE_INFINITY ? untilMs : AT_ONCE));
  let nThen = -1;
  tables.whenIdle(() => {
    nThen = nSeen(tables);
  });
  expect(nThen).toBe(-1);
  await done;
  expect(nThen).toBe(0);
});

it('a selection in turns finds the flows of the moment when it began, whatever happens to them meanwhile', async () => {
  const { tables } = filled();
  for (let i = 0; i < N; i += 2) tables.apply(newFlowMod('DELETE_STRICT', { match: flowOf(i).match, priority: 1 }));
  const all = { ...newFlowMod('DELETE'), table: OFPTT_ALL, strictPriority: undefined, withHidden: false };
  const regs = (rules: readonly Rule[]): number[] =>
    rules.map((r) => r.match.values[0] as number).sort((a, b) => a - b);
  const want = regs(tables.select(all));
  expect(want.length).toBe(N / 2);
  // Time is up whenever somebody looks.
  let now = 0;
  setClock({ monotonicMs: () => (now += 1000), wallMs: () => 0 });
  try {
    const [first, second] = [tables.selectInTurns(all), tables.selectInTurns(all)];
    expect([first, second].every((x) => x instanceof Promise)).toBe(true);
    tables.apply(newFlowMod('DELETE'));
    for (let i = 0; i < N; i += 2) tables.apply(flowOf(i));
    expect(regs(await first)).toEqual(want);
    expect(regs(await second)).toEqual(want);
    expect(regs(tables.select(all))).toEqual(want.map((reg) => reg - 1));
  } finally {
    setClock(undefined);
  }
  await waitFor(() => expect(tables.table(0).classifier.size).toBe(N / 2));
});

it('flows whose time is up go, and only those', async () => {
  const { tables, changes } = filled();
  await tables.expire(Number.MAX_SAFE_INTEGER);
  expect([nSeen(tables), changes.length]).toEqual([N / 2, N / 2]);
  expect(changes.every((c) => c.kind === 'removed' && c.reason === 0)).toBe(true);
});
