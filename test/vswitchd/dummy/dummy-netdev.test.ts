/** Dummy devices by themselves: streams between them, ARP replies, captures, queues, numbers of ports. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { setConsole } from '../../../src/util/vlog.ts';
import { wantedPortNo } from '../../../src/vswitchd/dummy/dummy-dpif.ts';
import { DummyNetdevs } from '../../../src/vswitchd/dummy/dummy-netdevs.ts';
import { until } from '../../ovsdb/ovsdb-server.ts';

let dir: string;
let netdevs: DummyNetdevs;
let lines: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'dummy-'));
  netdevs = new DummyNetdevs('none');
  lines = [];
  setConsole((line) => lines.push(line));
});
afterEach(() => {
  netdevs.close();
  setConsole(undefined);
  rmSync(dir, { recursive: true });
});

function device(name: string, options: Record<string, string> = {}) {
  netdevs.configure(name, 'dummy', new Map(Object.entries(options)));
  const found = netdevs.find(name);
  if (found === undefined) throw new Error(`no device ${name}`);
  const got: Uint8Array[] = [];
  found.attach((frame) => got.push(frame));
  return { device: found, got };
}
const frame = (n: number) => Uint8Array.from({ length: 60 }, (_, i) => (i + n) & 0xff);

test('a device says how it was set up', () => {
  const settingsOf = (name: string) => Object.fromEntries(netdevs.settings(name));
  const pstream = `punix:${join(dir, 'wire')}`;
  device('a', { pstream, ifindex: '7' });
  device('b', { n_rxq: '3' });
  netdevs.configure('c', 'dummy-pmd', new Map([['n_rxq', '3']]));
  expect(settingsOf('a')).toEqual({ ifindex: '7', pstream });
  expect(settingsOf('b')).toEqual({});
  expect([...netdevs.settings('c')].map((kv) => kv.join('='))).toEqual([
    'configured_rx_queues=3',
    'configured_tx_queues=1',
    'requested_rx_queues=3',
    'requested_tx_queues=1',
  ]);
});

test('frames go both ways over a stream, and it connects again', async () => {
  const path = join(dir, 'wire');
  const a = device('a', { stream: `unix:${path}` });
  expect(a.device.isConnected).toBe(false);
  const b = device('b', { pstream: `punix:${path}` });
  expect(b.device.isConnected).toBe(undefined);
  await until(() => a.device.isConnected === true, 'a connection');
  a.device.transmit(frame(1));
  a.device.transmit(frame(2));
  await until(() => b.got.length === 2, 'two frames at b');
  expect(b.got).toEqual([frame(1), frame(2)]);
  b.device.transmit(frame(3));
  await until(() => a.got.length === 1, 'a frame at a');
  netdevs.release('b');
  await until(() => a.device.isConnected === false, 'the end of the connection');
  device('b', { pstream: `punix:${path}` });
  await until(() => a.device.isConnected === true, 'another connection');
});

test('a stream that is none is said to be none', () => {
  expect(device('a', { stream: 'nonsense' }).device.isConnected).toBe(undefined);
  expect(lines.join()).toContain('nonsense: open failed');
});

test('a device with an address answers ARP requests for it, not others', async () => {
  const { device: a, got } = device('a');
  a.ip4 = Uint8Array.of(10, 0, 0, 1);
  const request = (last: string) =>
    Uint8Array.from(
      Buffer.from(
        `ffffffffffff505400000005080600010800060400015054000000050a000002${'00'.repeat(6)}0a0000${last}`,
        'hex',
      ),
    );
  a.transmit(request('09'));
  a.transmit(request('01'));
  await until(() => got.length > 0, 'a reply');
  expect(got.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual([
    '505400000005aa55aa55000008060001080006040002aa55aa5500000a0000015054000000050a000002',
  ]);
});

test('captures are appended to; what exceeds the MTU is neither sent nor counted', () => {
  const pcap = join(dir, 'both.pcap');
  const { device: a } = device('a', { pcap });
  a.transmit(frame(1));
  a.receive(frame(2));
  a.transmit(new Uint8Array(1515));
  netdevs.configure('a', 'dummy', new Map());
  netdevs.configure('a', 'dummy', new Map([['pcap', pcap]]));
  a.transmit(frame(3));
  expect(readFileSync(pcap).length).toBe(24 + 3 * (16 + 60));
  expect(a.stats()).toMatchObject({ txPackets: 2n, txBytes: 120n });
});

test('addresses count up, and ports have the numbers in their names', () => {
  expect([device('a').device.mac, device('b').device.mac]).toEqual(['aa:55:aa:55:00:00', 'aa:55:aa:55:00:01']);
  expect(['p1', 'br0', 'br12', 'eth', 'p0', 'p99999'].map(wantedPortNo)).toEqual([
    1,
    100,
    112,
    undefined,
    undefined,
    undefined,
  ]);
});
