/**
 * Sudden deaths.  Without vswitchd, established flows go on and new ones wait for the next vswitchd.  A datapath that is
 * killed takes its devices along, gives the others back as they were, and leaves clients with an error that says so.
 */
import { expect, test } from 'vitest';
import { eventually, type Namespace, useLab } from '../support/harness.ts';
import {
  ourDpctl,
  type Switch,
  startDatapath,
  startSwitch,
  startVswitchd,
  stockDpctl,
  vsctl,
} from '../support/switch.ts';

let sw: Namespace;
let a: Namespace;
let b: Namespace;
let c: Namespace;
let parts: Switch;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'va', '10.9.0.1/24');
  b = await lab.host(sw, 'b', 'vb', '10.9.0.2/24');
  c = await lab.host(sw, 'c', 'vc', '10.9.0.3/24');
  // Hosts that already know each other: what is tested is the flows, not the age of ARP entries.
  const macs = new Map<string, string>();
  const members = [
    [a, '10.9.0.1'],
    [b, '10.9.0.2'],
    [c, '10.9.0.3'],
  ] as const;
  for (const [host, address] of members) {
    macs.set(address, /link\/ether (\S+)/.exec(await host.ip('link show eth0'))?.[1] ?? '');
  }
  for (const [host, own] of members) {
    for (const [address, mac] of macs) {
      if (address !== own) await host.ip(`neigh replace ${address} lladdr ${mac} dev eth0 nud permanent`);
    }
  }
  parts = await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb -- add-port br0 vc');
});

/** A ping every 50 ms in the background; gives its sequence numbers that were answered, and how many were sent. */
function pingOn(from: Namespace, to: string) {
  const daemon = from.daemon(`ping-${to}`, ['ping', '-n', '-i', '0.05', '-W', '2', to]);
  const answered = () => [...daemon.output().matchAll(/icmp_seq=(\d+) ttl/g)].map((m) => Number(m[1]));
  const answers = async (n: number) => {
    const seen = answered().length;
    await eventually(`${n} more answers`, () => answered().length >= seen + n);
  };
  const end = async () => {
    process.kill(daemon.pid, 'SIGINT');
    await eventually('ping ends', () => !daemon.running);
    const [, sent = '0', received = '0'] = /(\d+) packets transmitted, (\d+) received/.exec(daemon.output()) ?? [];
    return { lost: Number(sent) - Number(received) };
  };
  return { answers, end };
}

test('kill -9 of vswitchd: established flows go on, new ones work after the restart', async () => {
  expect((await a.ping('10.9.0.2', 3)).received).toBe(3);
  const ping = pingOn(a, '10.9.0.2');
  await ping.answers(5);
  await parts.vswitchd.kill();
  await ping.answers(20);
  // c has not spoken yet: without vswitchd nobody makes flows for it.
  expect((await c.ping('10.9.0.2', 2)).received).toBe(0);
  await ping.answers(5);
  parts.vswitchd = await startVswitchd(sw);
  await eventually('a new host is reached', async () => (await c.ping('10.9.0.2', 1)).received === 1);
  await ping.answers(20);
  const { lost } = await ping.end();
  // 50 ms apart: a gap of a second at most while the new vswitchd takes over.
  expect(lost).toBeLessThanOrEqual(20);
  expect((await stockDpctl(sw, ['show'])).stdout).toMatch(/port 1: br0/);
});

test('kill -9 of the datapath: devices are gone or as before, clients get a clear error, the next start works', async () => {
  const deviceNames = async () => (await sw.ip('-o link')).match(/^\d+: [^:@]+/gm)?.map((s) => s.replace(/^\d+: /, ''));
  expect(await deviceNames()).toEqual(expect.arrayContaining(['br0', 'ovs-system', 'va']));
  await parts.datapath.kill();

  expect(await deviceNames()).not.toContain('br0');
  expect(await deviceNames()).not.toContain('ovs-system');
  expect(await sw.ip('-d link show va')).toMatch(/promiscuity 0 /);
  expect(await sw.ok(['tc', 'filter', 'show', 'dev', 'va', 'ingress'])).toBe('');
  // The host's stack receives again what the port did: nothing hides it any more.
  await sw.address('va', '10.9.0.77/24');
  await a.ip('neigh flush all');
  expect((await a.ping('10.9.0.77', 2)).received).toBe(2);
  await sw.ip('addr del 10.9.0.77/24 dev va');

  const ours = await ourDpctl(sw, ['show']);
  expect(ours.status).toBe(1);
  expect(ours.stderr).toMatch(/datapath/);
  expect(ours.stderr).toMatch(/Connection refused|no emulated datapath|not running/);
  const stock = await stockDpctl(sw, ['show']);
  expect(stock.status).not.toBe(0);
  expect(stock.stderr).not.toBe('');

  await parts.vswitchd.stop();
  await startDatapath(sw);
  parts.vswitchd = await startVswitchd(sw);
  await eventually('the switch works again', async () => (await b.ping('10.9.0.3', 1)).received === 1);
});
