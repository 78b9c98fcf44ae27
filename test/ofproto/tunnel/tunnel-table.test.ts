import { expect, test } from 'vitest';
import { readTunnelSettings, type TunnelSettings } from '../../../src/dpif/tunnel-settings.ts';
import { tunnelType } from '../../../src/dpif/tunnel-types.ts';
import { FIELD } from '../../../src/flow/fields.ts';
import { type FlowKey, newFlow, setField, setFieldBytes } from '../../../src/flow/flow-key.ts';
import { type TunnelEnd, TunnelTable } from '../../../src/ofproto/tunnel/tunnel-table.ts';
import { formatTunnel } from '../../../src/ofproto/tunnel/tunnel-text.ts';
import { parseIpv4, parseIpv6 } from '../../../src/util/inet.ts';

function settings(text: string): TunnelSettings {
  const type = tunnelType('vxlan');
  const options = new Map(text.split(' ').map((kv) => [kv.split('=')[0] ?? '', kv.slice(kv.indexOf('=') + 1)]));
  const result = type && readTunnelSettings('t', type, options);
  if (result === undefined || 'why' in result) throw new Error(text);
  return result.settings;
}
const end = (name: string, text: string, odpPort = 3): TunnelEnd => ({ name, odpPort, tunnel: settings(text) });

function packet(id: number, src: string, dst: string, odpPort = 3, packetType = 0): FlowKey {
  const flow = newFlow();
  setField(flow, FIELD.inPort, odpPort);
  setField(flow, FIELD.packetType, packetType);
  flow[FIELD.tunId.word + 1] = id;
  const isV6 = src.includes(':');
  setField(flow, FIELD.tunPresent, isV6 ? 6 : 4);
  const [from, to] = isV6 ? [FIELD.tunIpv6Src, FIELD.tunIpv6Dst] : [FIELD.tunSrc, FIELD.tunDst];
  const bytes = (text: string) => (isV6 ? parseIpv6(text) : parseIpv4(text)) ?? new Uint8Array(16);
  setFieldBytes(flow, from, bytes(src), 0);
  setFieldBytes(flow, to, bytes(dst), 0);
  return flow;
}

test('the port that asks for more is found first: key before remote end, that before local end', () => {
  // In this order they are looked for.
  const names = [
    ['key, remote, local', 'key=5 remote_ip=1.1.1.1 local_ip=2.2.2.2'],
    ['key, remote', 'key=5 remote_ip=1.1.1.1'],
    ['key, local', 'key=5 remote_ip=flow local_ip=2.2.2.2'],
    ['key', 'key=5 remote_ip=flow'],
    ['key, any local', 'key=5 remote_ip=flow local_ip=flow'],
    ['remote, local', 'key=flow remote_ip=1.1.1.1 local_ip=2.2.2.2'],
    ['remote', 'key=flow remote_ip=1.1.1.1'],
    ['local', 'key=flow remote_ip=flow local_ip=2.2.2.2'],
    ['any', 'key=flow remote_ip=flow'],
    ['any local', 'key=flow remote_ip=flow local_ip=flow'],
  ] as const;
  const table = new TunnelTable<TunnelEnd>();
  const ends = names.map(([name, text]) => end(name, text));
  // Whatever the order in which they come.
  for (const e of [...ends].reverse()) expect(table.put(e)).toBe(undefined);
  expect([...table].map((e) => e.name)).toEqual(names.map(([name]) => name));
  const flow = packet(5, '1.1.1.1', '2.2.2.2');
  for (const e of ends) {
    expect(table.find(flow)?.name).toBe(e.name);
    table.remove(e);
  }
  expect(table.find(flow)).toBe(undefined);
});

test('what differs is no match', () => {
  const table = new TunnelTable<TunnelEnd>();
  table.put(end('v4', 'key=5 remote_ip=1.1.1.1'));
  table.put(end('v6', 'key=5 remote_ip=fd00::1 local_ip=fd00::2'));
  table.put(end('no key', 'remote_ip=1.1.1.1'));
  expect(table.find(packet(5, '1.1.1.1', '9.9.9.9'))?.name).toBe('v4');
  expect(table.find(packet(0, '1.1.1.1', '9.9.9.9'))?.name).toBe('no key');
  expect(table.find(packet(6, '1.1.1.1', '9.9.9.9'))).toBe(undefined);
  expect(table.find(packet(5, '1.1.1.2', '9.9.9.9'))).toBe(undefined);
  expect(table.find(packet(5, '1.1.1.1', '9.9.9.9', 4))).toBe(undefined);
  expect(table.find(packet(5, 'fd00::1', 'fd00::2'))?.name).toBe('v6');
  expect(table.find(packet(5, 'fd00::1', 'fd00::3'))).toBe(undefined);
});

test('a packet without Ethernet header is for ports that carry such', () => {
  const table = new TunnelTable<TunnelEnd>();
  const l3 = { packetType: 'legacy_l3' } as const;
  table.put(end('frames', 'remote_ip=1.1.1.1'));
  table.put({ ...end('packets', 'remote_ip=1.1.1.1'), tunnel: { ...settings('remote_ip=1.1.1.1'), ...l3 } });
  table.put(end('either', 'remote_ip=1.1.1.2 packet_type=ptap'));
  expect(table.find(packet(0, '1.1.1.1', '9.9.9.9'))?.name).toBe('frames');
  expect(table.find(packet(0, '1.1.1.1', '9.9.9.9', 3, 0x0800))?.name).toBe('packets');
  for (const type of [0, 0x0800]) expect(table.find(packet(0, '1.1.1.2', '9.9.9.9', 3, type))?.name).toBe('either');
});

test('two ports of the same settings cannot be; one may change', () => {
  const table = new TunnelTable<TunnelEnd>();
  const first = { ...end('first', 'key=5 remote_ip=1.1.1.1') };
  const second = end('second', 'key=5 remote_ip=1.1.1.1 ttl=9');
  table.put(first);
  expect(table.put(second)).toBe(first);
  expect([...table]).toEqual([first]);
  table.put(Object.assign(first, { tunnel: settings('key=6 remote_ip=1.1.1.1') }));
  expect(table.put(second)).toBe(undefined);
  expect(table.find(packet(5, '1.1.1.1', '2.2.2.2'))).toBe(second);
  expect(table.find(packet(6, '1.1.1.1', '2.2.2.2'))).toBe(first);
});

// biome-ignore format: table
test.each([
  ['remote_ip=1.1.1.1',                          'port 3: p (vxlan: ::->1.1.1.1, key=0, legacy_l2, dp port=3, ttl=64)\n'],
  ['remote_ip=1.1.1.1 local_ip=2.2.2.2 key=5',   'port 3: p (vxlan: 2.2.2.2->1.1.1.1, key=0x5, legacy_l2, dp port=3, ttl=64)\n'],
  ['remote_ip=flow key=flow tos=0x10 csum=true', 'port 3: p (vxlan: ::->flow, key=flow, legacy_l2, dp port=3, ttl=64, tos=0x10, csum=true)\n'],
  ['remote_ip=flow local_ip=flow out_key=7 ttl=inherit tos=inherit df_default=false',
    'port 3: p (vxlan: flow->flow, key=0, legacy_l2, dp port=3, out_key=0x7, ttl=inherit, tos=inherit, df=false)\n'],
  ['remote_ip=fd00::1 in_key=flow',              'port 3: p (vxlan: ::->fd00::1, key=flow, legacy_l2, dp port=3, out_key=none, ttl=64)\n'],
])('ofproto/list-tunnels of %s', (text, line) => {
  expect(formatTunnel(end('p', text))).toBe(line);
});
