/** VLANs: access ports of different VLANs are apart, and a trunk port carries their frames with tags. */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Namespace, ROOT, useLab } from '../support/harness.ts';
import { startSwitch, vsctl } from '../support/switch.ts';

const FRAMES = ['/usr/bin/python3', '-I', '-S', join(ROOT, 'test-netns/support/frames.py')];
let sw: Namespace;
const host = new Map<string, Namespace>();

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  for (const [name, n] of [
    ['a10', 1],
    ['b10', 2],
    ['a20', 3],
  ] as const) {
    host.set(name, await lab.host(sw, name, `v${name}`, `10.9.0.${n}/24`));
  }
  host.set('trunk', await lab.host(sw, 'trunk', 'vtrunk'));
  await startSwitch(sw);
  await vsctl(
    sw,
    'add-br br0 -- add-port br0 va10 tag=10 -- add-port br0 vb10 tag=10 -- add-port br0 va20 tag=20 -- add-port br0 vtrunk',
  );
});

test('hosts of one VLAN reach each other, those of different ones do not', async () => {
  expect((await host.get('a10')!.ping('10.9.0.2', 3)).received).toBe(3);
  expect((await host.get('a10')!.ping('10.9.0.3', 3)).received).toBe(0);
});

test('a broadcast leaves the trunk with its tag', async () => {
  const trunk = host.get('trunk')!;
  const capture = trunk.daemon('capture', [...FRAMES, 'capture', 'eth0', '30']);
  await capture.until('is ready', () => capture.output().includes('ready'));
  const arp = '00010800060400010200000000010a0900010000000000000a090063';
  await host.get('a20')!.ok([...FRAMES, 'send', 'eth0', `ffffffffffff0200000000010806${arp}${'00'.repeat(18)}`]);
  await capture.until('saw the frame', () =>
    capture.output().includes(`ffffffffffff02000000000181000014${'0806'}${arp}`),
  );
});

test('a tagged frame from the trunk reaches the access port of its VLAN without the tag', async () => {
  const b10 = host.get('b10')!;
  const a20 = host.get('a20')!;
  const seen = [b10, a20].map((ns) => ns.daemon('capture-untagged', [...FRAMES, 'capture', 'eth0', '30']));
  for (const capture of seen) await capture.until('is ready', () => capture.output().includes('ready'));
  const body = `88b5${'a5'.repeat(46)}`;
  const header = 'ffffffffffff020000000002';
  await host.get('trunk')!.ok([...FRAMES, 'send', 'eth0', `${header}8100000a${body}`]);
  await seen[0]!.until('saw the frame', () => seen[0]!.output().includes(header + body));
  expect(seen[1]!.output()).not.toContain(body);
});
