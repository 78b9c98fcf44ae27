/** The main job: hosts reach each other and the bridge through a datapath process, in IPv4 and IPv6, without a lost packet. */
import { expect, test } from 'vitest';
import { type Namespace, useLab } from '../support/harness.ts';
import { startSwitch, stockDpctl, vsctl } from '../support/switch.ts';

let sw: Namespace;
let a: Namespace;
let b: Namespace;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'va', '10.9.0.1/24', 'fd09::1/64');
  b = await lab.host(sw, 'b', 'vb', '10.9.0.2/24', 'fd09::2/64');
  await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb');
  await sw.address('br0', '10.9.0.254/24', 'fd09::fe/64');
});

test.each([
  ['host to host, IPv4', () => a, '10.9.0.2'],
  ['host to host, IPv6', () => a, 'fd09::2'],
  ['host to bridge, IPv4', () => a, '10.9.0.254'],
  ['host to bridge, IPv6', () => b, 'fd09::fe'],
  ['bridge to host, IPv4', () => sw, '10.9.0.2'],
  ['bridge to host, IPv6', () => sw, 'fd09::1'],
])('%s: every ping is answered', async (_name, from, to) => {
  const { sent, received, text } = await from().ping(to, 10);
  expect({ sent, received }, text).toEqual({ sent: 10, received: 10 });
});

test('an established flow is forwarded by the datapath alone', async () => {
  await a.ping('10.9.0.2', 1);
  const lookups = async () => {
    const text = (await stockDpctl(sw, ['show'])).stdout;
    const [, hit, missed, lost] = /lookups: hit:(\d+) missed:(\d+) lost:(\d+)/.exec(text)?.map(Number) ?? [];
    return { hit: hit!, missed: missed!, lost: lost! };
  };
  const before = await lookups();
  await a.ping('10.9.0.2', 20);
  const after = await lookups();
  expect(after.hit - before.hit).toBeGreaterThanOrEqual(40);
  // ARP and neighbour discovery between known hosts may miss; the pings may not.
  expect(after.missed - before.missed).toBeLessThan(6);
  expect(after.lost).toBe(0);
});

test('a 1500-byte packet and one in fragments pass', async () => {
  for (const size of [1472, 6000]) {
    const { status, stdout } = await a.run([
      'ping',
      '-n',
      '-c',
      '3',
      '-i',
      '0.1',
      '-W',
      '2',
      '-s',
      `${size}`,
      '10.9.0.2',
    ]);
    expect(status, stdout).toBe(0);
    expect(stdout).toContain(' 0% packet loss');
  }
});
