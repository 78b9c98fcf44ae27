/** Table Datapath and what hangs from it: capabilities, and zones of the connection tracker with timeouts of their own. */
import { expect, test } from 'vitest';
import { eventually, type Namespace, TAPSWITCH, useLab } from '../support/harness.ts';
import { startSwitch, stockDpctl, vsctl } from '../support/switch.ts';

let sw: Namespace;
let a: Namespace;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  await startSwitch(sw);
  await vsctl(sw, 'add-br br0');
  const b = await lab.namespace('b');
  a = await lab.namespace('a');
  for (const [ns, port, address] of [
    [a, 'p1', '10.8.0.1/24'],
    [b, 'p2', '10.8.0.2/24'],
  ] as const) {
    await vsctl(sw, `add-port br0 ${port} -- set interface ${port} type=internal`);
    await sw.ip(`link set ${port} netns ${ns.name}`);
    await ns.address(port, address);
  }
  const flows = [
    'table=0,icmp,actions=ct(commit,zone=5,table=1)',
    'table=0,arp,actions=normal',
    'table=1,actions=normal',
  ];
  await sw.ok(['ovs-ofctl', 'del-flows', 'br0']);
  for (const flow of flows) await sw.ok(['ovs-ofctl', 'add-flow', 'br0', flow]);
});

/** Timeout of the ICMP connection in zone 5, in seconds; undefined if there is none. */
async function timeout(): Promise<number | undefined> {
  const { stdout } = await stockDpctl(sw, ['dump-conntrack', '-s', 'zone=5']);
  const seconds = /^icmp,.*timeout=(\d+)/m.exec(stdout)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
const restart = async () => {
  await sw.run([TAPSWITCH, 'exec', '--', 'ovs-dpctl', 'flush-conntrack']);
  expect((await a.ping('10.8.0.2', 3)).received).toBe(3);
};

test('capabilities are those that were found', async () => {
  // Nobody makes the row but the administrator, or OVN.
  await vsctl(sw, '-- --id=@dp create datapath datapath_version=0 -- set open_vswitch . datapaths:system=@dp');
  const text = await vsctl(sw, 'list-dp-cap system');
  for (const capability of ['ct_timeout=true', 'recirc=true', 'max_vlan_headers=2']) expect(text).toContain(capability);
});

test('a zone with a policy has its times, one without the usual ones', async () => {
  await restart();
  expect(await timeout()).toBeLessThanOrEqual(30);
  await vsctl(sw, 'add-zone-tp system zone=5 icmp_first=900 icmp_reply=900');
  expect(await vsctl(sw, 'list-zone-tp system')).toContain('Zone:5, Timeout Policies: icmp_first=900 icmp_reply=900');
  await eventually('flows that name the policy', async () => {
    await restart();
    return ((await timeout()) ?? 0) > 800;
  });
  const flows = await sw.ok(['ovs-appctl', 'dpctl/dump-flows']);
  expect(flows).toMatch(/ct\(commit,zone=5,timeout=ovs_tp_\d+_icmp4/);

  await vsctl(sw, 'del-zone-tp system zone=5');
  await eventually('flows without it', async () => {
    await restart();
    return ((await timeout()) ?? 999) <= 30;
  });
});
