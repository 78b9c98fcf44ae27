/** Transactions that take several turns of the event loop: whoever needs the tables sees all of one, or nothing. */
import { expect, test } from 'vitest';
import { FIELD } from '../../../src/flow/fields.ts';
import { setField, setFieldOnes } from '../../../src/flow/flow-key.ts';
import { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import { newMatch } from '../../../src/openflow/match/match.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';

function add(port: number) {
  const match = newMatch();
  setField(match.flow, FIELD.inPort, port);
  setFieldOnes(match.mask, FIELD.inPort);
  return newFlowMod('ADD', { tableId: 0, match });
}
const count = (tables: FlowTables): number => [...tables.rules()].length;

/** A transaction of two flows, of which one is begun. */
function halfDone() {
  const changes: number[] = [];
  const tables = new FlowTables((list) => changes.push(list.length));
  const tx = tables.begin();
  tx.apply(add(1));
  tables.mayTakeTurns(() => {
    tx.apply(add(2));
    tx.commit();
  });
  return { tables, tx, changes };
}

test('look-ups see nothing of a transaction before its end', () => {
  const { tables } = halfDone();
  expect(count(tables)).toBe(0);
  tables.settle();
  expect(count(tables)).toBe(2);
});

test('another change has the transaction carried to its end before', () => {
  const { tables, changes } = halfDone();
  tables.apply(add(3));
  expect(changes).toEqual([2, 1]);
  expect(count(tables)).toBe(3);
});

test('what can wait waits for the end, and the end comes once', () => {
  const { tables, changes } = halfDone();
  let isCalled = false;
  tables.whenIdle(() => {
    isCalled = true;
  });
  expect(isCalled).toBe(false);
  tables.settle();
  tables.settle();
  expect(isCalled).toBe(true);
  expect(changes).toEqual([2]);
});

test('a transaction that is taken back is not carried to its end', () => {
  const { tables, tx, changes } = halfDone();
  tx.revert();
  tables.settle();
  expect(count(tables)).toBe(0);
  expect(changes).toEqual([]);
});
