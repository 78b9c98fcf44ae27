import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RowValues } from '../../../src/ovsdb/ovsdb-types.ts';
import { Bridge, Interface, Mirror, Open_vSwitch, Port, QoS } from '../../../src/ovsdb/vswitch-schema.ts';
import { setConsole } from '../../../src/util/vlog.ts';
import { ConfigMemo, readConfig } from '../../../src/vswitchd/config/switch-config.ts';
import { Rows } from '../rows.ts';

let lines: string[] = [];
beforeEach(() => {
  lines = [];
  setConsole((line) => lines.push(line));
});
afterEach(() => setConsole(undefined));

/** A database with one bridge, "br0", that has its own port and one of the values given. */
function withPort(values: RowValues<typeof Port>, ifaceValues: RowValues<typeof Interface> = {}): Rows {
  const db = new Rows();
  db.add(Interface, 'il', { name: 'br0', type: 'system' });
  db.add(Interface, 'i1', { name: 'p1', ...ifaceValues });
  db.add(Port, 'pl', { name: 'br0', interfaces: ['il'] });
  db.add(Port, 'p1', { name: 'p1', interfaces: ['i1'], ...values });
  db.add(Bridge, 'b', { name: 'br0', ports: ['p1', 'pl'] });
  db.add(Open_vSwitch, 'o', { bridges: ['b'], next_cfg: 7 });
  return db;
}

test('no row, no bridges', () => {
  expect(readConfig(new Rows())).toEqual({
    root: undefined,
    nextCfg: 0,
    backer: { maxIdleMs: 10_000, flowLimit: 200_000, maxRevalidatorMs: 500, minRevalidatePps: 5 },
    vlanLimit: 1,
    flowRestoreWait: false,
    hasSystemStats: false,
    ctZones: new Map(),
    ctLimits: new Map(),
    tls: undefined,
    statsIntervalMs: 5000,
    bridges: [],
  });
});

test.each([
  ['4', 4000],
  ['0', undefined],
  ['soon', undefined],
])('bundle-idle-timeout=%s', (text, want) => {
  const db = withPort({});
  db.add(Open_vSwitch, 'o', { bridges: ['b'], other_config: new Map([['bundle-idle-timeout', text]]) });
  expect(readConfig(db).bridges[0]?.openflow.bundleIdleMs).toBe(want);
});

test('settings, and nonsense in their place', () => {
  const db = withPort({});
  const settings = { 'max-idle': '1500', 'flow-limit': '10', 'max-revalidator': 'soon', 'stats-update-interval': '10' };
  db.add(Open_vSwitch, 'o', { bridges: ['b'], other_config: new Map(Object.entries(settings)) });
  const config = readConfig(db);
  expect(config.backer).toEqual({ maxIdleMs: 1500, flowLimit: 10, maxRevalidatorMs: 500, minRevalidatePps: 5 });
  expect(config.statsIntervalMs).toBe(5000);
  db.add(Open_vSwitch, 'o', { other_config: new Map([['stats-update-interval', '12000']]) });
  expect(readConfig(db).statsIntervalMs).toBe(12_000);
});

test("a bridge's own port is internal whatever its row says, and ports are sorted", () => {
  const [bridge] = readConfig(withPort({})).bridges;
  expect(bridge?.ports.map((p) => p.name)).toEqual(['br0', 'p1']);
  expect(bridge?.ports[0]?.interfaces).toMatchObject([{ name: 'br0', type: 'internal', isLocal: true }]);
  expect(bridge?.ports[1]?.interfaces).toMatchObject([{ name: 'p1', type: 'system', isLocal: false, uuid: 'i1' }]);
});

test('a bridge without a port of its own gets one', () => {
  const db = withPort({});
  db.add(Bridge, 'b', { name: 'br0', ports: ['p1'] });
  const [bridge] = readConfig(db).bridges;
  expect(bridge?.ports[0]).toMatchObject({
    name: 'br0',
    uuid: undefined,
    interfaces: [{ isLocal: true, uuid: undefined }],
  });
  expect(lines.join('')).toContain('bridge br0: no port named br0, synthesizing one');
});

// biome-ignore format: table
test.each<[string, RowValues<typeof Port>, object, string]>([
  ['nothing set',              {},                                          { vlanMode: 'trunk',  tag: undefined, trunks: [] },     ''],
  ['a tag',                    { tag: 5 },                                  { vlanMode: 'access', tag: 5, trunks: [] },             ''],
  ['trunks',                   { trunks: [1, 2] },                          { vlanMode: 'trunk',  tag: undefined, trunks: [1, 2] }, ''],
  ['a tag and trunks',         { tag: 5, trunks: [1] },                     { vlanMode: 'access', tag: 5, trunks: [] },             'ignoring trunks in favor of implicit vlan'],
  ['native-tagged',            { vlan_mode: 'native-tagged', tag: 5, trunks: [1] }, { vlanMode: 'native-tagged', tag: 5, trunks: [1] }, ''],
  ['a mode that is none',      { vlan_mode: 'fancy', tag: 5 },              { vlanMode: 'trunk',  tag: 5, trunks: [] },             'unknown VLAN mode fancy, falling back to trunk mode'],
  ['protected',                { protected: true },                         { isProtected: true },                                  ''],
  ['customers',                { vlan_mode: 'dot1q-tunnel', tag: 5, cvlans: [1] }, { tagging: { cvlans: [1] } },                    ''],
  ['802.1q in 802.1q',         { other_config: new Map([['qinq-ethtype', '802.1q']]) }, { tagging: { qinqEthtype: 0x8100 } },       ''],
  ['tags for priorities',      { other_config: new Map([['priority-tags', 'true']]) }, { tagging: { priorityTags: 'if-nonzero' } }, ''],
  ['tags for all',             { other_config: new Map([['priority-tags', 'always']]) }, { tagging: { priorityTags: 'always' } },   ''],
])('VLANs: %s', (_name, values, want, warning) => {
  const port = readConfig(withPort(values)).bridges[0]?.ports[1];
  expect(port).toMatchObject(want);
  if (warning === '') expect(lines).toEqual([]);
  else expect(lines.join('')).toContain(warning);
});

test.each([
  [0, undefined],
  [1, 1],
  [65279, 65279],
  [65280, undefined],
  [undefined, undefined],
])('ofport_request %s', (request, want) => {
  const config = readConfig(withPort({}, { ofport_request: request, ofport: -1 }));
  expect(config.bridges[0]?.ports[1]?.interfaces[0]).toMatchObject({ ofportRequest: want, ofportHint: undefined });
});

test('mirrors, names that are no bridges, references that lead nowhere, and interfaces twice', () => {
  const db = withPort({ interfaces: ['i1', 'nowhere'] });
  db.add(Mirror, 'm', { name: 'm', output_port: 'p1' });
  db.add(Port, 'p2', { name: 'p2', interfaces: ['i1'] });
  db.add(Bridge, 'b', { name: 'br0', ports: ['p1', 'pl', 'p2', 'nowhere'], mirrors: ['m'] });
  db.add(Bridge, 'b2', { name: '../br1' });
  db.add(Bridge, 'b3', { name: 'br0' });
  db.add(Open_vSwitch, 'o', { bridges: ['b', 'b2', 'b3', 'nowhere'] });
  const { bridges } = readConfig(db);
  expect(bridges.map((b) => b.name)).toEqual(['br0']);
  expect(bridges[0]?.ports.map((p) => [p.name, p.isMirrorOutput, p.interfaces.length])).toEqual([
    ['br0', false, 1],
    ['p1', true, 1],
    ['p2', false, 0],
  ]);
  expect(lines.join('')).toContain('ignoring bridge with invalid name "../br1"');
  expect(lines.join('')).toContain('interface p1 specified twice');
});

test('what has not changed is the same object as before', () => {
  const db = withPort({ qos: 'q' });
  const memo = new ConfigMemo();
  const read = () => readConfig(db, memo).bridges[0];
  const first = read();
  expect(read()).toBe(first);
  db.add(Interface, 'i1', { name: 'p1', mac: '00:00:00:00:00:01' });
  const second = read();
  expect(second?.ports[0]).toBe(first?.ports[0]);
  expect(second?.ports[1]).not.toBe(first?.ports[1]);
  expect(second?.ports[1]?.interfaces[0]?.mac).toBe('00:00:00:00:00:01');
  expect(read()).toBe(second);
  // A row that was missing and is there now counts, too.
  db.add(QoS, 'q', { type: 'linux-htb' });
  expect(read()?.ports[1]?.qos?.type).toBe('linux-htb');
  expect(read()?.ports[0]).toBe(first?.ports[0]);
});
