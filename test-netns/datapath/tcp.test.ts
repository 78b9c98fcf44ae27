/**
 * TCP with the devices' default offloads: partial checksums and 64 KB super-packets pass whole, over two veth ports and over
 * two internal (TAP) ports, without a storm of retransmissions.
 */
import { expect, test } from 'vitest';
import { type Namespace, useLab } from '../support/harness.ts';
import { startSwitch, vsctl } from '../support/switch.ts';

let sw: Namespace;
const hosts = new Map<string, Namespace>();

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  hosts.set('va', await lab.host(sw, 'va', 'va', '10.9.0.1/24', 'fd09::1/64'));
  hosts.set('vb', await lab.host(sw, 'vb', 'vb', '10.9.0.2/24', 'fd09::2/64'));
  await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb');
  for (const [port, n] of [
    ['ta', 3],
    ['tb', 4],
  ] as const) {
    await vsctl(sw, `add-port br0 ${port} -- set interface ${port} type=internal`);
    const host = await lab.namespace(port);
    await sw.ip(`link set ${port} netns ${host.name}`);
    await host.address(port, `10.9.0.${n}/24`, `fd09::${n}/64`);
    hosts.set(port, host);
  }
});

interface Iperf {
  readonly end: {
    readonly sum_sent: { bits_per_second: number; retransmits: number; bytes: number };
    readonly sum_received: { bits_per_second: number };
  };
}

async function iperf(from: Namespace, to: Namespace, address: string, seconds: number): Promise<Iperf['end']> {
  const server = to.daemon(`iperf3-${address}`, ['iperf3', '-s', '-1']);
  await server.until('listens', async () => (await to.ok(['ss', '-Hltn', 'sport = :5201'])) !== '');
  const text = await from.ok(['iperf3', '-c', address, '-t', `${seconds}`, '-J'], { timeoutMs: (seconds + 20) * 1000 });
  return (JSON.parse(text) as Iperf).end;
}

test.each([
  ['veth to veth', 'va', 'vb', '10.9.0.2'],
  ['veth to veth, IPv6', 'va', 'vb', 'fd09::2'],
  ['TAP to TAP', 'ta', 'tb', '10.9.0.4'],
  ['veth to TAP', 'va', 'tb', 'fd09::4'],
  ['TAP to veth', 'ta', 'vb', '10.9.0.2'],
])('%s', async (name, from, to, address) => {
  const { sum_sent: sent, sum_received: received } = await iperf(hosts.get(from)!, hosts.get(to)!, address, 2);
  const gbits = received.bits_per_second / 1e9;
  console.log(`${name}: ${gbits.toFixed(2)} Gbit/s, ${sent.retransmits} retransmissions`);
  // A switch that hands on packets of 1500 bytes one by one, or breaks checksums, is far below this on any machine.
  expect(gbits).toBeGreaterThan(0.2);
  // A full queue costs a few segments in a thousand, over a Linux bridge too; a storm is far more.
  const segments = sent.bytes / 1448;
  expect(sent.retransmits).toBeLessThan(10 + segments / 100);
});
