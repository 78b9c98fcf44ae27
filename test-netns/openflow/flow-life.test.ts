/** The life of flows, as ovs-appctl sees and rules it: purged, left alone, without megaflows, and with what the datapath can do. */
import { expect, test } from 'vitest';
import { type Namespace, useLab } from '../support/harness.ts';
import { startSwitch, vsctl } from '../support/switch.ts';

let sw: Namespace;
let a: Namespace;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'va', '10.9.0.1/24');
  await lab.host(sw, 'b', 'vb', '10.9.0.2/24');
  await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb');
});

const appctl = (...args: string[]): Promise<string> => sw.ok(['ovs-appctl', ...args]);
const pings = async (): Promise<void> => expect((await a.ping('10.9.0.2', 3)).received).toBe(3);
const ipFlows = async (): Promise<string[]> =>
  (await appctl('dpif/dump-flows', 'br0')).split('\n').filter((l) => l.includes('eth_type(0x0800)'));

test('a flow tells the rules and groups that it came from', async () => {
  const ofctl = (...args: string[]) => sw.ok(['ovs-ofctl', '-OOpenFlow15', ...args]);
  await ofctl('--may-create', 'mod-group', 'br0', 'group_id=7,type=all,bucket=actions=normal');
  await ofctl('add-flow', 'br0', 'cookie=0x12,ip,in_port=va,actions=goto_table:1');
  await ofctl('add-flow', 'br0', 'cookie=0x34,table=1,actions=group:7');
  await appctl('revalidator/purge');
  await pings();
  const flow = (await appctl('dpif/dump-flows', '-m', 'br0'))
    .split('\n')
    .find((l) => /in_port\(va\).*eth_type\(0x0800\)/.test(l));
  const [ufid = ''] = /^ufid:\S+/.exec(flow ?? '') ?? [];
  const from = (await appctl('ofproto/detrace', ufid)).replace(/(duration|n_packets|n_bytes)=\d+s?/g, '$1=N');
  expect(from).toBe(
    'cookie=0x12, duration=N, n_packets=N, n_bytes=N, ip,in_port=1,actions=goto_table:1\n' +
      'cookie=0x34, table_id=1, duration=N, n_packets=N, n_bytes=N, ,actions=group:7\n' +
      'group_id=7,type=all,bucket=bucket_id:0,actions=NORMAL\n',
  );
  expect(await appctl('ofproto/detrace', 'ufid:00112233-4455-4677-8899-aabbccddeeff')).toBe('');
  await ofctl('del-flows', 'br0', 'cookie=0x12/-1');
  await ofctl('del-flows', 'br0', 'cookie=0x34/-1');
  await appctl('revalidator/purge');
});

test('purge deletes flows, and packets go on', async () => {
  await pings();
  expect((await ipFlows()).length).toBeGreaterThan(0);
  await appctl('revalidator/pause');
  await appctl('revalidator/purge');
  expect(await ipFlows()).toEqual([]);
  await pings();
  await appctl('revalidator/resume');
  await appctl('revalidator/wait');
});

test('without megaflows, flows have all of a packet; with them, what decided', async () => {
  expect(await appctl('upcall/disable-megaflows')).toContain('megaflows disabled');
  await pings();
  expect((await ipFlows()).join('\n')).toContain('icmp(type=8,code=0)');
  expect(await appctl('upcall/enable-megaflows')).toContain('megaflows enabled');
  await pings();
  expect((await ipFlows()).join('\n')).not.toContain('icmp(');
});

test('the datapath is known to do what the kernel module can', async () => {
  const features = await appctl('dpif/show-dp-features', 'br0');
  expect(features.split('\n').filter((l) => l.endsWith(': No'))).toEqual([
    'Tunnel push pop: No',
    'Explicit Drop action: No',
    'Optimized Balance TCP mode: No',
    'IPv6 ND Extension: No',
  ]);
  expect(features).toContain('Max VLAN headers: 2\n');
  await appctl('dpif/set-dp-features', 'br0', 'recirc', 'false');
  expect(await appctl('dpif/set-dp-features', 'br0', 'recirc')).toContain('[run time]:false, [boot time]:true');
  await pings();
  await appctl('dpif/set-dp-features', 'br0', 'recirc', 'true');
});
