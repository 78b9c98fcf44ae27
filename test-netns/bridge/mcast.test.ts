/** Multicast snooping: what hosts' own stacks say about groups decides who gets a group's packets. */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Daemon, eventually, type Namespace, ROOT, useLab } from '../support/harness.ts';
import { startSwitch, vsctl } from '../support/switch.ts';

const PYTHON = ['/usr/bin/python3', '-I', '-S'];
const FRAMES = [...PYTHON, join(ROOT, 'test-netns/support/frames.py')];
let sw: Namespace;
const host = new Map<string, Namespace>();

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  for (const [i, name] of ['a', 'b', 'c'].entries()) {
    const ns = await lab.host(sw, name, `v${name}`, `10.9.0.${i + 1}/24`);
    await ns.ok(['ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0']);
    host.set(name, ns);
  }
  await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb -- add-port br0 vc');
  await vsctl(
    sw,
    'set Bridge br0 mcast_snooping_enable=true other_config:mcast-snooping-disable-flood-unregistered=true',
  );
});

/** Is a member of the group until it is stopped. */
const JOIN_4 = `
import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.3') + socket.inet_aton('10.9.0.2'))
time.sleep(120)`;
const JOIN_6 = `
import socket, struct, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, 'ff05::1:3') + struct.pack('I', socket.if_nametoindex('eth0')))
time.sleep(120)`;

const mdb = (): Promise<string> => sw.ok(['ovs-appctl', 'mdb/show', 'br0']);

/** A UDP packet for the group, told apart by its number. */
const datagram = (n: number): string =>
  `01005e010203020000000001 0800 45000020000040000511 0000 0a090001 ef010203 13881389000c0000 ${n.toString(16).padStart(8, '0')}`
    .replaceAll(' ', '')
    .padEnd(120, '0');

/** A broadcast, which all get. */
const marker = (n: number): string =>
  `ffffffffffff02000000000188b5${n.toString(16).padStart(8, '0')}${'a5'.repeat(42)}`;

let nCaptures = 0;
async function capture(at: string): Promise<Daemon> {
  const daemon = host.get(at)!.daemon(`capture-${at}-${++nCaptures}`, [...FRAMES, 'capture', 'eth0', '60']);
  await daemon.until('is ready', () => daemon.output().includes('ready'));
  return daemon;
}
const send = (...frames: string[]): Promise<string> => host.get('a')!.ok([...FRAMES, 'send', 'eth0', ...frames]);

test('a host that joins a group gets its packets, and another does not', async () => {
  const member = host.get('b')!.daemon('member', [...PYTHON, '-c', JOIN_4]);
  await eventually('b is in the group', async () => / 2 +0 +239\.1\.2\.3 /.test(await mdb()));
  const [b, c] = [await capture('b'), await capture('c')];
  await send(datagram(1));
  await b.until('saw it', () => b.output().includes(datagram(1)));
  // A broadcast behind it reaches both.
  await send(marker(1));
  for (const capture of [b, c]) await capture.until('saw the last', () => capture.output().includes(marker(1)));
  expect(c.output()).not.toContain(datagram(1));
  await member.stop();
  await eventually('b has left', async () => !(await mdb()).includes('239.1.2.3'));
  // The flow that sent them there may stay a moment longer.
  let n = 1;
  await eventually('b gets them no more', async () => {
    n++;
    await send(datagram(n), marker(n));
    await b.until('saw the last', () => b.output().includes(marker(n)));
    return !b.output().includes(datagram(n));
  });
  for (const daemon of [b, c]) await daemon.stop();
});

test('groups of IPv6, and routers', async () => {
  const member = host.get('c')!.daemon('member', [...PYTHON, '-c', JOIN_6]);
  await eventually('c is in the group', async () => / 3 +0 +ff05::1:3 /.test(await mdb()));
  await member.stop();
  // IGMPv2 query from 10.9.0.1 to all hosts.
  await send('01005e000001020000000001080046c0002000004000010200000a090001e0000001940400001114eeeb00000000');
  await eventually('a is a router', async () => /^ +1 +0 +querier /m.test(await mdb()));
  expect(await sw.ok(['ovs-appctl', 'mdb/flush', 'br0'])).toContain('table successfully flushed');
  expect(await mdb()).not.toContain('querier');
});

test('without snooping there is no table, and all get everything', async () => {
  await vsctl(sw, 'set Bridge br0 mcast_snooping_enable=false');
  expect((await sw.run(['ovs-appctl', 'mdb/show', 'br0'])).stderr).toContain('multicast snooping is disabled');
  const c = await capture('c');
  await send(datagram(3));
  await c.until('saw it', () => c.output().includes(datagram(3)));
  await c.stop();
});
