/**
 * The kernel tells of so many changes of devices that some get lost (ENOBUFS), while vswitchd and the datapath do not read: then both look
 * at all devices again, and find what came, went and changed.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, type Namespace, useLab } from '../support/harness.ts';
import { type Switch, startSwitch, vsctl } from '../support/switch.ts';

/** Changes of a device's MTU, each of which is told to everybody: more than their sockets hold. */
const N_CHANGES = 12_000;

let sw: Namespace;
let a: Namespace;
let parts: Switch;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'va', '10.9.0.1/24');
  await lab.host(sw, 'b', 'vb', '10.9.0.2/24');
  await lab.host(sw, 'c', 'vc', '10.9.0.3/24');
  parts = await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb -- add-port br0 vc');
  // Its device is not there yet.
  await sw.run(['ovs-vsctl', '--timeout=60', 'add-port', 'br0', 'late']);
});

const column = async (iface: string, name: string): Promise<string> =>
  (await sw.ok(['ovs-vsctl', 'get', 'interface', iface, name])).trim();

test('vswitchd and the datapath find out what they were not told', async () => {
  expect(await column('late', 'error')).toMatch(/No such device/);
  const late = await sw.lab.namespace('late');
  const batch = join(sw.lab.dir, 'changes');
  await sw.ip('link add noise type veth peer name noise2');
  const lines = Array.from({ length: N_CHANGES }, (_, i) => `link set dev noise mtu ${1400 + (i % 2)}\n`);
  writeFileSync(batch, lines.join(''));

  const sleepers = [parts.vswitchd, parts.datapath];
  for (const { pid } of sleepers) process.kill(pid, 'SIGSTOP');
  try {
    await sw.ok(['ip', '-batch', batch]);
    await sw.ip('link del vb');
    await sw.ip('link set vc mtu 1300');
    await sw.lab.veth(sw, 'late', late, 'eth0');
    await late.address('eth0', '10.9.0.4/24');
  } finally {
    for (const { pid } of sleepers) process.kill(pid, 'SIGCONT');
  }

  await eventually('the new device is a port', async () => (await column('late', 'error')) === '[]');
  await eventually('the port without device says so', async () => /No such device/.test(await column('vb', 'error')));
  await eventually('the new MTU is known', async () => (await column('vc', 'mtu')) === '1300');
  expect(parts.vswitchd.output()).toContain('rtnetlink notifications were lost');
  await eventually('the new port forwards', async () => (await a.ping('10.9.0.4', 1)).received === 1);
  expect(await a.ping('10.9.0.3', 3)).toMatchObject({ received: 3 });
});
