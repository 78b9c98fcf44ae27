/** VLANs in VLANs: a dot1q-tunnel port puts its customers' tagged frames into a VLAN of the provider's, and takes them out again. */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Daemon, type Namespace, ROOT, useLab } from '../support/harness.ts';
import { startSwitch, vsctl } from '../support/switch.ts';

const FRAMES = ['/usr/bin/python3', '-I', '-S', join(ROOT, 'test-netns/support/frames.py')];
let sw: Namespace;
const host = new Map<string, Namespace>();

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  for (const name of ['c1', 'c2', 'provider']) host.set(name, await lab.host(sw, name, `v${name}`));
  await startSwitch(sw);
  await vsctl(
    sw,
    'set Open_vSwitch . other_config:vlan-limit=0 -- add-br br0 -- add-port br0 vprovider -- ' +
      'add-port br0 vc1 vlan_mode=dot1q-tunnel tag=100 cvlans=10,20 -- add-port br0 vc2 vlan_mode=dot1q-tunnel tag=200',
  );
});

const S_TAG = (vid: number): string => `88a8${vid.toString(16).padStart(4, '0')}`;
const C_TAG = (vid: number): string => `8100${vid.toString(16).padStart(4, '0')}`;

/** A broadcast of an experimental type, told apart by its number, with tags. */
const frame = (n: number, ...tags: string[]): string =>
  `ffffffffffff02000000000a${tags.join('')}88b5${n.toString(16).padStart(8, '0')}${'a5'.repeat(50)}`;

const send = (from: string, ...frames: string[]): Promise<string> =>
  host.get(from)!.ok([...FRAMES, 'send', 'eth0', ...frames]);

let nCaptures = 0;
async function captures(...names: string[]): Promise<Daemon[]> {
  const daemons: Daemon[] = [];
  for (const name of names) {
    const daemon = host.get(name)!.daemon(`capture-${name}-${++nCaptures}`, [...FRAMES, 'capture', 'eth0', '60']);
    await daemon.until('is ready', () => daemon.output().includes('ready'));
    daemons.push(daemon);
  }
  return daemons;
}
const seen = (daemon: Daemon): string[] =>
  daemon
    .output()
    .split('\n')
    .filter((f) => f.includes('88b5'));

test('customers are in VLANs of their own, whatever VLANs they use', async () => {
  const [provider, c2] = (await captures('provider', 'c2')) as [Daemon, Daemon];
  // c1 may use VLANs 10 and 20 only.
  await send('c1', frame(1, C_TAG(30)), frame(2), frame(3, C_TAG(20)), frame(4, C_TAG(10)));
  await provider.until('saw the last', () => seen(provider).includes(frame(4, S_TAG(100), C_TAG(10))));
  expect(seen(provider)).toEqual([frame(3, S_TAG(100), C_TAG(20)), frame(4, S_TAG(100), C_TAG(10))]);
  await send('provider', frame(5, S_TAG(200)));
  await c2.until('saw its own', () => seen(c2).includes(frame(5)));
  expect(seen(c2)).toEqual([frame(5)]);
});

test('what comes from the provider leaves its outer tag behind', async () => {
  const [c1, c2] = (await captures('c1', 'c2')) as [Daemon, Daemon];
  await send(
    'provider',
    frame(6, S_TAG(100), C_TAG(30)),
    frame(7, S_TAG(100), C_TAG(10)),
    frame(8, S_TAG(200), C_TAG(10)),
  );
  await c1.until('saw it', () => seen(c1).includes(frame(7, C_TAG(10))));
  await c2.until('saw it', () => seen(c2).includes(frame(8, C_TAG(10))));
  expect(seen(c1)).toEqual([frame(7, C_TAG(10))]);
  expect(seen(c2)).toEqual([frame(8, C_TAG(10))]);
});

test('the outer tag can be one of 802.1Q', async () => {
  await vsctl(sw, 'set Port vc1 other_config:qinq-ethtype=802.1q');
  const [provider] = (await captures('provider')) as [Daemon];
  await send('c1', frame(9, C_TAG(10)));
  await provider.until('saw it', () => seen(provider).includes(frame(9, C_TAG(100), C_TAG(10))));
});

test('with a limit of one tag the second is payload, and goes along', async () => {
  await vsctl(sw, 'set Open_vSwitch . other_config:vlan-limit=1 -- clear Port vc1 cvlans');
  const [provider, c1] = (await captures('provider', 'c1')) as [Daemon, Daemon];
  await send('c1', frame(10, C_TAG(30)), frame(11, C_TAG(30), C_TAG(31)));
  await provider.until('saw both', () => seen(provider).length === 2);
  expect(seen(provider)).toEqual([frame(10, C_TAG(100), C_TAG(30)), frame(11, C_TAG(100), C_TAG(30), C_TAG(31))]);
  await send('provider', frame(12, S_TAG(100), C_TAG(40), C_TAG(41)));
  await c1.until('saw it', () => seen(c1).includes(frame(12, C_TAG(40), C_TAG(41))));
});

test('protected ports do not reach each other, but the others', async () => {
  await vsctl(
    sw,
    'set Port vc1 vlan_mode=trunk protected=true -- clear Port vc1 tag -- set Port vc2 vlan_mode=trunk protected=true -- clear Port vc2 tag',
  );
  const [provider, c2] = (await captures('provider', 'c2')) as [Daemon, Daemon];
  await send('c1', frame(13));
  await provider.until('saw it', () => seen(provider).includes(frame(13)));
  await send('provider', frame(14));
  await c2.until('saw the last', () => seen(c2).includes(frame(14)));
  expect(seen(c2)).toEqual([frame(14)]);
});

test('an untagged frame gets a tag for its priority where a port asks for it', async () => {
  await vsctl(
    sw,
    'set Port vc1 protected=false tag=7 vlan_mode=access -- set Port vc2 protected=false tag=7 vlan_mode=access',
  );
  await vsctl(sw, 'set Port vc2 other_config:priority-tags=if-nonzero');
  const [c2] = (await captures('c2')) as [Daemon];
  await send('provider', frame(15, '8100a007'), frame(16, C_TAG(7)));
  await c2.until('saw both', () => seen(c2).length === 2);
  expect(seen(c2)).toEqual([frame(15, '8100a000'), frame(16)]);
});
