/**
 * Requests as bytes, and what Open vSwitch 3.1 answers to them: where a message alone, or its place among others, decides.
 *
 * Messages are written without their lengths: "04 14 1" is version 4, type 20, xid 1.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OfRig } from '../../fuzz/of-rig.ts';

let rig: OfRig;
beforeEach(async () => {
  rig = new OfRig();
  await rig.open();
});
afterEach(() => rig.close());

/** "04 12 7 0001 0001": version, type, xid, and the rest in hex. */
function message(text: string): Buffer {
  const [version = '', type = '', xid = '', ...rest] = text.trim().split(/\s+/);
  const body = Buffer.from(rest.join(''), 'hex');
  const header = Buffer.alloc(8);
  header.writeUInt8(Number.parseInt(version, 16), 0);
  header.writeUInt8(Number.parseInt(type, 16), 1);
  header.writeUInt16BE(8 + body.length, 2);
  header.writeUInt32BE(Number.parseInt(xid, 16), 4);
  return Buffer.concat([header, body]);
}

/** An answer as "type" and, of an error, "error type/code of xid N". */
function told(bytes: Uint8Array): string {
  const b = Buffer.from(bytes);
  if (b[1] !== 1) return `${b[1]} xid ${b.readUInt32BE(4)}`;
  return `error ${b.readUInt16BE(8)}/${b.readUInt16BE(10)} xid ${b.readUInt32BE(4)}`;
}

async function ask(...texts: readonly string[]): Promise<string[]> {
  const version = Number.parseInt(texts[0] as string, 16);
  const { stream } = rig.connect(1 << version);
  await rig.settle();
  stream.messages();
  for (const text of texts) stream.push(message(text));
  await rig.settle();
  return stream.messages().map(told);
}

const NO_FLAGS = '0000 00000000';
const MORE = '0001 00000000';
/** struct ofp11_flow_stats_request for all flows, with a match of nothing. */
const ALL_FLOWS = 'ff000000 ffffffff ffffffff 00000000 0000000000000000 0000000000000000 0001000400000000';
/** struct ofp_flow_mod of 1.3: its cookies, table and command are to be before it; then a match. */
const FLOW_MOD_REST = '0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000';
const NO_COOKIE = '0000000000000000 0000000000000000';

// biome-ignore format: a table, what is sent in one line and what is answered in the next
const CASES: readonly (readonly [name: string, sent: readonly string[], answers: readonly string[]])[] = [
  ['messages of switches are not read, whatever is in them',
    [`04 0a 1 ${'00'.repeat(24)}`, '04 0a 2 00', '04 13 3 0001 0000 00000000 00', `04 0c 4 ff ${'00'.repeat(71)}`],
    ['error 1/1 xid 1', 'error 1/6 xid 2', 'error 1/1 xid 3', 'error 1/1 xid 4']],
  ['a request in parts of which one has a body',
    [`04 12 5 0001 ${MORE}`, `04 12 5 0001 ${MORE} ${ALL_FLOWS}`, `04 12 5 0001 ${NO_FLAGS}`],
    ['19 xid 5']],
  ['a request in parts that has two bodies',
    [`04 12 5 0001 ${MORE} ${ALL_FLOWS}`, `04 12 5 0001 ${NO_FLAGS} ${ALL_FLOWS}`],
    ['error 1/2 xid 5']],
  ['a request in parts without any body, which it must have',
    [`04 12 5 0001 ${MORE}`, `04 12 5 0001 ${NO_FLAGS}`],
    ['error 1/6 xid 5']],
  ['a part of another request ends both',
    [`04 12 5 0001 ${MORE}`, `04 12 5 0002 ${NO_FLAGS} ${ALL_FLOWS}`, `04 12 5 0001 ${NO_FLAGS} ${ALL_FLOWS}`],
    ['error 1/2 xid 5', '19 xid 5']],
  ['a request without a body that says that more comes',
    [`04 12 5 0000 ${MORE}`, `04 12 5 0000 ${NO_FLAGS}`],
    ['19 xid 5']],
  ['a second hello',
    ['04 00 1', '04 00 2 0001 0008 00000010'],
    ['error 1/1 xid 1', 'error 1/1 xid 2']],
  ['a secondary controller may change nothing, not even with what cannot be read',
    [`04 18 1 00000003 00000000 ${'00'.repeat(8)}`, `04 0e 2 ${'00'.repeat(48)}`, `04 0e 3 ${'00'.repeat(7)}`, `04 0d 4 ${'00'.repeat(16)}`],
    ['25 xid 1', 'error 1/10 xid 2', 'error 1/6 xid 3', 'error 1/10 xid 4']],
  ['before 1.3 the flag says nothing',
    [`03 12 5 0000 ${MORE}`],
    ['19 xid 5']],
];

test.each(CASES)('%s', async (_name, sent, answers) => {
  expect(await ask(...sent)).toEqual(answers);
});

test('flows of fields that only the switch may name', async () => {
  const flowMod = (match: string, command = '00'): string =>
    `04 0e 9 ${NO_COOKIE} 00 ${command} ${FLOW_MOD_REST} ${match}`;
  const dpHash = '0001 000c 00014604 00000005 00000000';
  const recircId = '0001 000c 00014804 0000000';
  expect(
    await ask(
      flowMod(dpHash),
      flowMod(`${recircId}7 00000000`),
      flowMod(dpHash, '01'),
      flowMod(dpHash, '03'),
      flowMod(`${recircId}0 00000000`),
    ),
  ).toEqual(['error 1/5 xid 9', 'error 1/5 xid 9', 'error 1/5 xid 9']);
});

test('the table of the switch itself is shown to who names it, and cannot be changed', async () => {
  const change = (command: string): string => `04 0e 9 ${NO_COOKIE} fe ${command} ${FLOW_MOD_REST} 0001000400000000`;
  expect(await ask(...['00', '01', '03'].map(change))).toEqual([
    'error 1/5 xid 9',
    'error 1/5 xid 9',
    'error 1/5 xid 9',
  ]);
  // By a match of none of its flows: there is nothing to delete.
  expect(await ask(`04 0e 9 ${NO_COOKIE} fe 03 ${FLOW_MOD_REST} 0001 000c 80000004 00000003 00000000`)).toEqual([]);
  // What the bridge forwards by without controllers is in table 0.
  const aggregate = (table: string): string => `04 12 5 0002 ${NO_FLAGS} ${ALL_FLOWS.replace('ff', table)}`;
  const { stream } = rig.connect(1 << 4, 'service');
  await rig.settle();
  stream.messages();
  for (const table of ['fe', 'ff']) stream.push(message(aggregate(table)));
  await rig.settle();
  const FLOW_COUNT = 32;
  expect(stream.messages().map((m) => Buffer.from(m).readUInt32BE(FLOW_COUNT))).toEqual([4, 1]);
});
