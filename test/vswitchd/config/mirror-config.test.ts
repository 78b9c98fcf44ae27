import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Row, RowValues, Table, Uuid } from '../../../src/ovsdb/ovsdb-types.ts';
import { Bridge, type BridgeRow, Mirror, Port } from '../../../src/ovsdb/vswitch-schema.ts';
import { setConsole } from '../../../src/util/vlog.ts';
import { readMcast } from '../../../src/vswitchd/config/mcast-config.ts';
import { mirrorStatistics, readMirrors } from '../../../src/vswitchd/config/mirror-config.ts';
import type { RowSource } from '../../../src/vswitchd/config/row-source.ts';

let lines: string[] = [];
let rows: Map<string, unknown>;
beforeEach(() => {
  lines = [];
  rows = new Map();
  setConsole((line) => lines.push(line));
  for (const name of ['br0', 'p1', 'p2', 'p3']) add(Port, name, { name });
});
afterEach(() => setConsole(undefined));

const db: RowSource = {
  rows: () => [],
  row: <T extends Table>(table: T, uuid: Uuid) => rows.get(`${table.name} ${uuid}`) as Row<T> | undefined,
};
function add<T extends Table>(table: T, uuid: Uuid, values: RowValues<T>): Row<T> {
  const initial = Object.fromEntries(Object.entries(table.columns).map(([name, c]) => [name, c.initial]));
  const row = { _uuid: uuid, ...initial, ...values } as unknown as Row<T>;
  rows.set(`${table.name} ${uuid}`, row);
  return row;
}
const bridge = (values: RowValues<typeof Bridge> = {}): BridgeRow =>
  add(Bridge, 'b', { name: 'br0', ports: ['br0', 'p1', 'p2'], mirrors: ['m'], ...values });
const mirrors = (values: RowValues<typeof Mirror>) => {
  add(Mirror, 'm', { name: 'mine', ...values });
  return readMirrors(db, bridge(), new Set(['br0', 'p1', 'p2']));
};

describe('mirrors', () => {
  const ALL = ['br0', 'p1', 'p2'];
  const PLAIN = { id: 'm', name: 'mine', srcs: [], dsts: [], vlans: [], outPort: 'p2', outVlan: 0, snaplen: 0 };

  // biome-ignore format: table
  it.each<[string, RowValues<typeof Mirror>, object, string]>([
    ['all ports',         { select_all: true, output_port: 'p2' },                          { srcs: ALL, dsts: ALL }, ''],
    ['some ports',        { select_src_port: ['p1'], select_dst_port: ['br0'], output_port: 'p2' }, { srcs: ['p1'], dsts: ['br0'] }, ''],
    ['VLANs and sizes',   { select_vlan: [5, 6], snaplen: 64, output_port: 'p2' },          { vlans: [5, 6], snaplen: 64 }, ''],
    ['to a VLAN',         { output_vlan: 9 },                                               { outPort: undefined, outVlan: 9 }, ''],
    ['to both',           { output_port: 'p2', output_vlan: 9 },                            { outPort: 'p2' }, 'mirror mine specifies both output port and output vlan; ignoring output vlan'],
    ['a missing port',    { select_src_port: ['p3', 'p1', 'gone'], output_port: 'p2' },     { srcs: ['p1'] }, 'mirror mine cannot match on nonexistent port p3'],
  ])('%s', (_, values, want, warning) => {
    const [read] = mirrors(values);
    expect(read).toMatchObject({ ...PLAIN, ...want });
    if (warning === '') expect(lines).toEqual([]);
    else expect(lines.join('')).toContain(`bridge br0: ${warning}`);
  });

  it('leaves out those that send nowhere', () => {
    expect(mirrors({ select_all: true })).toEqual([]);
    expect(mirrors({ select_all: true, output_port: 'p3' })).toEqual([]);
    expect(lines.join('')).toContain('does not specify output; ignoring');
  });

  it('are told what they have sent', () => {
    expect([...mirrorStatistics({ txPackets: 3n, txBytes: 180n })]).toEqual([
      ['tx_packets', 3],
      ['tx_bytes', 180],
    ]);
  });
});

describe('multicast snooping', () => {
  it('is off by default', () => {
    expect(readMcast(db, bridge())).toBeUndefined();
  });

  it('has defaults, and settings of bridge and ports', () => {
    const row = (config: Record<string, string>) =>
      bridge({ mcast_snooping_enable: true, other_config: new Map(Object.entries(config)) });
    expect(readMcast(db, row({ 'mcast-snooping-aging-time': 'soon' }))).toEqual({
      ...{ agingSec: 300, maxEntries: 2048, floodsUnregistered: true, floodPorts: [], reportPorts: [] },
    });
    add(Port, 'p1', { name: 'p1', other_config: new Map([['mcast-snooping-flood', 'true']]) });
    add(Port, 'p2', { name: 'p2', other_config: new Map([['mcast-snooping-flood-reports', 'TRUE']]) });
    const settings = {
      'mcast-snooping-aging-time': '60',
      'mcast-snooping-table-size': '10',
      'mcast-snooping-disable-flood-unregistered': 'true',
    };
    expect(readMcast(db, row(settings))).toEqual({
      ...{ agingSec: 60, maxEntries: 10, floodsUnregistered: false, floodPorts: ['p1'], reportPorts: ['p2'] },
    });
  });
});
