/** What the datapath process tells a person. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { controlCommands } from '../../src/datapath/dp-control.ts';
import { DROP } from '../../src/datapath/drop-reasons.ts';
import { DatapathServer } from '../../src/datapath/server.ts';
import { Arena, SLOT_SIZE } from '../../src/packet/packet.ts';
import { vlog } from '../../src/util/vlog.ts';
import { FakePorts } from './fake-ports.ts';
import { DirectTransport, dpNew, execute, flowPut, outputs } from './requests.ts';

let server: DatapathServer;
let transport: DirectTransport;
let ports: FakePorts;

beforeEach(() => {
  transport = new DirectTransport();
  ports = new FakePorts();
  const arena = new Arena(new ArrayBuffer(64 * SLOT_SIZE));
  server = new DatapathServer({ transport, portFactory: ports, arena, log: vlog('test'), nCpus: 4 });
  server.start();
  for (const name of ['dp0', 'dp1']) transport.ask(dpNew(name));
});
afterEach(() => server.close());

const run = (name: string, ...args: string[]) =>
  controlCommands(server.datapaths)
    .find((command) => command.name === name)!
    .run(args);
const dp0 = () => ports.devices.get('dp0')!.ifindex;

test('datapath/show', () => {
  transport.ask(flowPut({ dpIfindex: dp0(), dst: 80 }));
  expect(run('datapath/show', 'dp0')).toBe(
    [
      'dp0:',
      '  ports: 1',
      '  flows: 1',
      '  meters: 0',
      '  lookups: hit:0 missed:0 lost:0',
      '  masks: hit:0 total:1 hit/pkt:0.00',
      '  masks-cache: size:256 hit:0',
      '  drops: 0',
      '',
    ].join('\n'),
  );
  expect(run('datapath/show').match(/^dp\d:$/gm)).toEqual(['dp0:', 'dp1:']);
});

test('datapath/drops has a line for each reason', () => {
  transport.ask(execute(dp0(), outputs(9, 8)));
  transport.ask(execute(dp0(), new Uint8Array(0)));
  const lines = run('datapath/drops', 'dp0').trimEnd().split('\n').slice(1);
  expect(lines).toHaveLength(Object.keys(DROP).length);
  expect(lines.filter((line) => !line.endsWith(' 0'))).toEqual(['  NO_PORT          2', '  LAST_ACTION      1']);
});

test('datapath/masks names the fields, and counts flows and use', () => {
  for (const dst of [80, 81]) transport.ask(flowPut({ dpIfindex: dp0(), dst }));
  const text = run('datapath/masks', 'dp0');
  expect(text).toMatch(/^dp0:\n {2}flows:2 hits:0 fields:/);
  const fields = text.trimEnd().split('fields:')[1]!.split(',');
  expect(fields).toEqual(expect.arrayContaining(['inPort', 'ethType', 'nwProto', 'nwFrag', 'tpDst']));
  for (const absent of ['ethDst', 'ethSrc', 'nwSrc', 'tpSrc', 'tunId']) expect(fields).not.toContain(absent);
});

test('a datapath that is not there', () => {
  expect(() => run('datapath/show', 'dp9')).toThrow(RangeError);
});
