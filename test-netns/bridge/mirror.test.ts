/** Mirrors: frames between two hosts are seen by a third, whole or in part, or in a VLAN of their own; and they are counted. */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Daemon, eventually, type Namespace, ROOT, useLab } from '../support/harness.ts';
import { startSwitch, vsctl } from '../support/switch.ts';

const FRAMES = ['/usr/bin/python3', '-I', '-S', join(ROOT, 'test-netns/support/frames.py')];
const MAC_A = '020000000001';
const MAC_B = '020000000002';
let sw: Namespace;
const host = new Map<string, Namespace>();

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  host.set('a', await lab.host(sw, 'a', 'va', '10.9.0.1/24'));
  host.set('b', await lab.host(sw, 'b', 'vb', '10.9.0.2/24'));
  host.set('monitor', await lab.host(sw, 'monitor', 'vmonitor'));
  await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb -- add-port br0 vmonitor');
});

/** A frame of an experimental type, told apart by its number. */
const frame = (dst: string, src: string, n: number, size = 60): string =>
  `${dst}${src}88b5${n.toString(16).padStart(8, '0')}${'a5'.repeat(size - 18)}`;

const send = (from: string, ...frames: string[]): Promise<string> =>
  host.get(from)!.ok([...FRAMES, 'send', 'eth0', ...frames]);

let nCaptures = 0;

async function capture(at: string): Promise<Daemon> {
  const daemon = host.get(at)!.daemon(`capture-${at}-${++nCaptures}`, [...FRAMES, 'capture', 'eth0', '60']);
  await daemon.until('is ready', () => daemon.output().includes('ready'));
  return daemon;
}

const seen = (daemon: Daemon): string[] => daemon.output().split('\n');

/** Takes the place of the bridge's mirrors. */
const setMirror = (columns: string): Promise<string> =>
  vsctl(
    sw,
    '--id=@va get Port va -- --id=@vb get Port vb -- --id=@out get Port vmonitor -- ' +
      `--id=@m create Mirror name=m ${columns} -- set Bridge br0 mirrors=@m`,
  );

test('a ping is seen by a third host, both ways, and counted', async () => {
  await setMirror('select_all=true output_port=@out');
  const monitor = await capture('monitor');
  expect((await host.get('a')!.ping('10.9.0.2', 3)).received).toBe(3);
  const icmp = (from: string, to: string) => (f: string) => f.slice(24, 28) === '0800' && f.slice(52, 68) === from + to;
  const [there, back] = [icmp('0a090001', '0a090002'), icmp('0a090002', '0a090001')];
  await monitor.until(
    'saw them',
    () => seen(monitor).filter(there).length >= 3 && seen(monitor).filter(back).length >= 3,
  );
  expect(seen(monitor).filter((f) => there(f) || back(f))).toHaveLength(6);
  const count = async (key: string) => Number(await vsctl(sw, `--if-exists get Mirror m statistics:${key}`));
  // Requests and replies at least; who asked for whom before is seen, too.
  await eventually('statistics', async () => (await count('tx_packets')) >= 6);
  expect(await count('tx_bytes')).toBeGreaterThanOrEqual(6 * 98);
  await monitor.stop();
});

test('a mirror port has nothing but what is mirrored, and what it sends is dropped', async () => {
  await setMirror('select_src_port=@va output_port=@out');
  const [monitor, b] = [await capture('monitor'), await capture('b')];
  await send('monitor', frame('ffffffffffff', MAC_A, 1));
  await send('b', frame('ffffffffffff', MAC_B, 2));
  await send('a', frame('ffffffffffff', MAC_A, 3));
  for (const c of [monitor, b]) await c.until('saw the last', () => seen(c).includes(frame('ffffffffffff', MAC_A, 3)));
  expect(seen(monitor).filter((f) => f.slice(24, 28) === '88b5')).toEqual([frame('ffffffffffff', MAC_A, 3)]);
  expect(seen(b).filter((f) => f.slice(24, 28) === '88b5')).toEqual([frame('ffffffffffff', MAC_A, 3)]);
  for (const c of [monitor, b]) await c.stop();
});

test('a mirror takes the beginning of a frame, and the frame itself stays whole', async () => {
  await setMirror('select_dst_port=@vb output_port=@out snaplen=100');
  const [monitor, b] = [await capture('monitor'), await capture('b')];
  const long = frame(MAC_B, MAC_A, 4, 1000);
  await send('a', long);
  await b.until('saw it', () => seen(b).includes(long));
  await monitor.until('saw it', () => seen(monitor).includes(long.slice(0, 200)));
  expect(seen(monitor)).not.toContain(long);
  for (const c of [monitor, b]) await c.stop();
});

test('a mirror of one VLAN leaves the others alone', async () => {
  await setMirror('select_all=true select_vlan=7 output_port=@out');
  const monitor = await capture('monitor');
  const tagged = (vid: string, n: number) => frame('ffffffffffff', MAC_A, n).replace('88b5', `8100${vid}88b5`);
  await send('a', frame('ffffffffffff', MAC_A, 5), tagged('0008', 6), tagged('0007', 7));
  await monitor.until('saw the last', () => seen(monitor).includes(tagged('0007', 7)));
  expect(seen(monitor).filter((f) => f.includes('88b5'))).toEqual([tagged('0007', 7)]);
  await monitor.stop();
});

test('a mirror to a VLAN sends to its ports, with its tag', async () => {
  await vsctl(sw, 'set Bridge br0 flood_vlans=99');
  await setMirror('select_src_port=@va output_vlan=99');
  await vsctl(sw, 'set Port vb tag=5 -- set Port va tag=5 -- set Port vmonitor trunks=99');
  const [monitor, b] = [await capture('monitor'), await capture('b')];
  const one = frame(MAC_B, MAC_A, 8);
  await send('a', one);
  await monitor.until('saw it', () => seen(monitor).includes(one.replace('88b5', '8100006388b5')));
  await b.until('saw it', () => seen(b).includes(one));
  for (const c of [monitor, b]) await c.stop();
});

test('without mirrors the port is one like the others', async () => {
  await vsctl(sw, 'clear Bridge br0 mirrors -- clear Port vb tag -- clear Port va tag -- clear Port vmonitor trunks');
  const b = await capture('b');
  await send('monitor', frame('ffffffffffff', MAC_A, 9));
  await b.until('saw it', () => seen(b).includes(frame('ffffffffffff', MAC_A, 9)));
  await b.stop();
});
