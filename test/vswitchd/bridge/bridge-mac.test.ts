import { afterEach, beforeEach, expect, test } from 'vitest';
import { setConsole } from '../../../src/util/vlog.ts';
import { macFromUuid, normalMac, pickBridgeMac, pickDatapathId } from '../../../src/vswitchd/bridge/bridge-mac.ts';
import type { BridgeConfig, InterfaceConfig, PortConfig } from '../../../src/vswitchd/config/switch-config.ts';

let lines: string[] = [];
beforeEach(() => {
  lines = [];
  setConsole((line) => lines.push(line));
});
afterEach(() => setConsole(undefined));

const iface = (name: string, isLocal = false): InterfaceConfig => ({
  ...{ uuid: undefined, name, type: isLocal ? 'internal' : 'system', isLocal },
  ...{ ofportRequest: undefined, ofportHint: undefined, mac: undefined, mtuRequest: undefined, options: new Map() },
});
const port = (name: string, change: Partial<PortConfig> = {}): PortConfig => ({
  ...{
    uuid: undefined,
    name,
    mac: undefined,
    interfaces: [iface(name, name === 'br0')],
    vlanMode: 'trunk',
    tag: undefined,
  },
  ...{ trunks: [], isProtected: false, isMirrorOutput: false },
  ...change,
});
const OPENFLOW: BridgeConfig['openflow'] = {
  ...{ versions: 0b10, failMode: 'standalone', controllers: [], tls: undefined, rows: new Map() },
  desc: { dpDesc: undefined, serialNum: undefined },
};
const bridge = (ports: PortConfig[], change: Partial<BridgeConfig> = {}): BridgeConfig => ({
  ...{ uuid: '04030201-0000-0605-0000-000000000000', name: 'br0', datapathType: 'system', ports, hwaddr: undefined },
  ...{
    datapathId: undefined,
    macAgingSec: 300,
    macTableSize: 8192,
    floodVlans: [],
    forwardBpdu: false,
    mirrors: [],
    mcast: undefined,
    openflow: OPENFLOW,
  },
  ...change,
});

const MACS: Record<string, string> = {
  br0: '00:00:00:00:00:01',
  low: '00:11:00:00:00:01',
  high: '00:11:00:00:00:02',
  local: '02:00:00:00:00:01',
  multicast: '01:00:00:00:00:01',
  zero: '00:00:00:00:00:00',
  reserved: '00:e0:2b:00:00:04',
};
const pick = (config: BridgeConfig) => pickBridgeMac(config, (name) => MACS[name]);

// biome-ignore format: table
test.each<[string, BridgeConfig, string]>([
  ['the lowest universal address',      bridge([port('high'), port('low'), port('br0')]),                        MACS['low'] ?? ''],
  ['not local, multicast, zero ones',   bridge([port('local'), port('multicast'), port('zero'), port('high')]),  MACS['high'] ?? ''],
  ['not a reserved one',                bridge([port('reserved'), port('high')]),                                MACS['high'] ?? ''],
  ['not a mirror output',               bridge([port('low', { isMirrorOutput: true }), port('high')]),           MACS['high'] ?? ''],
  ['not a device that is not there',    bridge([port('gone'), port('high')]),                                    MACS['high'] ?? ''],
  ['of a bond, the first by name',      bridge([port('bond', { interfaces: [iface('high'), iface('low')] })]),   MACS['high'] ?? ''],
  ['Port.mac stands for the port',      bridge([port('high', { mac: '00:01:02:03:04:05' })]),                    '00:01:02:03:04:05'],
  ['other_config:hwaddr before all',    bridge([port('low')], { hwaddr: 'A:B:c:d:e:f' }),                        '0a:0b:0c:0d:0e:0f'],
  ['hwaddr that is none',               bridge([port('low')], { hwaddr: 'nonsense' }),                           MACS['low'] ?? ''],
  ['its own does not count: the UUID',  bridge([port('br0')]),                                                   '02:02:03:04:05:06'],
])('%s', (_name, config, want) => {
  expect(pick(config)).toBe(want);
});

test.each([
  ['01:00:00:00:00:01', 'cannot set MAC address to multicast address 01:00:00:00:00:01'],
  ['00:00:00:00:00:00', 'cannot set MAC address to zero'],
])('hwaddr %s is refused with a word', (hwaddr, text) => {
  expect(pick(bridge([port('low')], { hwaddr }))).toBe(MACS['low']);
  expect(lines.join('')).toContain(text);
});

test('addresses from UUIDs are unicast and local', () => {
  expect(macFromUuid('ffffffff-0000-ffff-0000-000000000000')).toBe('fe:ff:ff:ff:ff:ff');
  expect(macFromUuid('550e8400-e29b-41d4-a716-446655440000')).toBe('02:84:0e:55:d4:41');
});

// biome-ignore format: table
test.each([
  ['00000000000000ab',  '00000000000000ab'],
  ['0xAB',              '00000000000000ab'],
  ['ab',                '000002030405060a'],
  ['0x',                '000002030405060a'],
  ['0000000000000000',  '000002030405060a'],
  ['0x11112222333344445', '000002030405060a'],
  [undefined,           '000002030405060a'],
])('datapath id %s', (configured, want) => {
  expect(pickDatapathId(configured, '02:03:04:05:06:0a')).toBe(want);
});

test('normal form', () => {
  expect(normalMac('0:1:2:3:4:FF')).toBe('00:01:02:03:04:ff');
  expect(normalMac('0:1:2:3:4')).toBe(undefined);
  expect(normalMac(undefined)).toBe(undefined);
});
