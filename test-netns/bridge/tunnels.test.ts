/**
 * Tunnel interfaces of our vswitchd: two switches, each with its own datapath and database, joined by tunnels over a veth.
 * (tunnel.test.ts has the datapath's tunnel ports by themselves.)
 */
import { expect, test } from 'vitest';
import { eventually, type Lab, type Namespace, useLab } from '../support/harness.ts';
import { type Switch, startSwitch, startVswitchd, vsctl } from '../support/switch.ts';

interface Side {
  readonly ns: Namespace;
  readonly sw: Switch;
  readonly number: 1 | 2;
}
let left: Side;
let right: Side;

/** A switch whose host has 10.20.0.`number` on br0 itself. */
async function makeSide(lab: Lab, name: string, number: 1 | 2): Promise<Side> {
  const ns = await lab.namespace(name);
  const sw = await startSwitch(ns);
  await vsctl(ns, 'add-br br0 -- set bridge br0 fail_mode=secure');
  await ns.address('br0', `10.20.0.${number}/24`);
  return { ns, sw, number };
}
useLab(async (lab) => {
  left = await makeSide(lab, 'left', 1);
});
useLab(async (lab) => {
  right = await makeSide(lab, 'right', 2);
  await lab.veth(left.ns, 'under', right.ns, 'under');
  for (const { ns, number } of [left, right]) await ns.address('under', `192.0.2.${number}/24`, `fd02::${number}/64`);
});

const ofctl = ({ ns }: Side, ...args: string[]) => ns.ok(['ovs-ofctl', ...args]);
const appctl = ({ ns }: Side, ...args: string[]) => ns.ok(['ovs-appctl', ...args]);
const peerOf = (side: Side) => (side === left ? right : left);
const underlay = (side: Side, isV6 = false) => (isV6 ? `fd02::${side.number}` : `192.0.2.${side.number}`);
const get = async ({ ns }: Side, name: string, column: string) =>
  (await vsctl(ns, `get interface ${name} ${column}`)).trim();

/** Gives `side` a tunnel t0 as OpenFlow port 1, and these flows alone. */
async function setUp(side: Side, type: string, options: string, flows: readonly string[]): Promise<void> {
  const set = options.split(' ').map((o) => `options:${o.replace('=', '="')}"`);
  await vsctl(
    side.ns,
    `--if-exists del-port t0 -- add-port br0 t0 -- set interface t0 type=${type} ofport_request=1 ${set.join(' ')}`,
  );
  expect(await get(side, 't0', 'error')).toBe('[]');
  await ofctl(side, 'del-flows', 'br0');
  await addFlows(side, flows);
}

/** Adds flows, and waits until those of the datapath that drop packets for want of them have gone. */
async function addFlows(side: Side, flows: readonly string[]): Promise<void> {
  for (const flow of flows) await ofctl(side, 'add-flow', 'br0', flow);
  await appctl(side, 'revalidator/wait');
}

async function expectPing(received: number, count = 3): Promise<void> {
  const result = await left.ns.ping('10.20.0.2', count);
  expect(result.received, result.text).toBe(received);
}
const NORMAL = ['actions=NORMAL'];

// biome-ignore format: table
test.each([
  { name: 'VXLAN',           type: 'vxlan',  more: 'key=7',                 isV6: false, device: 'vxlan_sys_4789', port: 'vxlan: key=7, remote_ip=192.0.2.2' },
  { name: 'VXLAN over IPv6', type: 'vxlan',  more: 'key=7 dst_port=4790',   isV6: true,  device: 'vxlan_sys_4790', port: 'vxlan: dst_port=4790, key=7, remote_ip=fd02::2' },
  { name: 'VXLAN with group policy', type: 'vxlan', more: 'exts=gbp dst_port=4791', isV6: false, device: 'vxlan_sys_4791', port: 'vxlan: dst_port=4791, remote_ip=192.0.2.2' },
  { name: 'Geneve',          type: 'geneve', more: 'key=7 csum=true',       isV6: false, device: 'genev_sys_6081', port: 'geneve: csum=true, key=7, remote_ip=192.0.2.2' },
  { name: 'GRE',             type: 'gre',    more: 'in_key=7 out_key=7 ttl=9', isV6: false, device: 'gre_sys',     port: 'gre: key=7, remote_ip=192.0.2.2, ttl=9' },
  { name: 'GRE over IPv6',   type: 'ip6gre', more: 'key=7',                 isV6: true,  device: 'ip6gre_sys',     port: 'ip6gre: key=7, remote_ip=fd02::2' },
  { name: 'ERSPAN',          type: 'erspan', more: 'key=7 erspan_ver=1 erspan_idx=0x5', isV6: false, device: 'erspan_sys', port: 'erspan: erspan_idx=0x5, erspan_ver=1, key=7, remote_ip=192.0.2.2' },
])('$name', async ({ type, more, isV6, device, port }) => {
  for (const side of [left, right]) await setUp(side, type, `remote_ip=${underlay(peerOf(side), isV6)} ${more}`, NORMAL);
  await expectPing(3);
  const large = await left.ns.run(['ping', '-n', '-c', '2', '-i', '0.1', '-W', '2', '-s', '1400', '10.20.0.2']);
  expect(large.stdout).toContain(' 0% packet loss');
  expect(await appctl(left, 'dpif/show')).toMatch(new RegExp(`\n    t0 1/\\d+: \\(${port}\\)\n`));
  expect(await appctl(left, 'dpctl/show')).toContain(`: ${device} (`);
  expect(await appctl(left, 'ofproto/list-tunnels')).toMatch(/^port \d+: t0 \(/);
  const way = '{tunnel_egress_iface=under, tunnel_egress_iface_carrier=up}';
  expect(await get(left, 't0', 'status')).toBe(way);
  await vsctl(left.ns, 'del-port t0');
  expect(await appctl(left, 'dpctl/show')).not.toContain(device);
});

test('Geneve options are fields of tun_metadata, set on one side and matched on the other', async () => {
  const map = '{class=0x102,type=0x1,len=4}->tun_metadata0';
  for (const side of [left, right]) {
    await setUp(side, 'geneve', `remote_ip=${underlay(peerOf(side))} key=flow`, []);
    await ofctl(side, '-OOpenFlow13', 'del-groups', 'br0');
    await ofctl(side, 'del-tlv-map', 'br0');
    await ofctl(side, 'add-tlv-map', 'br0', map);
  }
  const to = 'in_port=LOCAL,actions=set_field:0xcafe->tun_metadata0,set_tunnel:5,output:1';
  const from = 'in_port=1,tun_id=5,tun_metadata0=0xcafe,actions=LOCAL';
  for (const side of [left, right]) await addFlows(side, [to, from]);
  await expectPing(3);
  expect(await appctl(right, 'dpctl/dump-flows')).toContain('geneve({class=0x102,type=0x1,len=4,0xcafe}');
  // In a group, too.
  const bucket = 'bucket=set_field:0xcafe->tun_metadata0,set_field:5->tun_id,output:1';
  await ofctl(left, '-OOpenFlow13', 'add-group', 'br0', `group_id=1,type=indirect,${bucket}`);
  await ofctl(left, '-OOpenFlow13', 'mod-flows', 'br0', 'in_port=LOCAL,actions=group:1');
  await appctl(left, 'revalidator/wait');
  await expectPing(3);
  await ofctl(right, 'mod-flows', 'br0', 'in_port=LOCAL,actions=set_field:0xbeef->tun_metadata0,set_tunnel:5,output:1');
  await appctl(right, 'revalidator/wait');
  await expectPing(0, 2);
});

test('one port for any key and remote end', async () => {
  for (const side of [left, right]) {
    const to = `set_field:77->tun_id,set_field:${underlay(peerOf(side))}->tun_dst,output:1`;
    const from = `in_port=1,tun_id=77,tun_src=${underlay(peerOf(side))},actions=LOCAL`;
    await setUp(side, 'vxlan', 'remote_ip=flow key=flow', [`in_port=LOCAL,actions=${to}`, from]);
  }
  await expectPing(3);
  // A port that asks for this key is found first.
  const own = `type=vxlan options:remote_ip=${underlay(left)} options:key=77 ofport_request=2`;
  await addFlows(right, ['in_port=2,actions=LOCAL']);
  await vsctl(right.ns, `add-port br0 t1 -- set interface t1 ${own}`);
  await expectPing(3);
  const statistics = async (name: string) => /rx_packets=(\d+)/.exec(await get(right, name, 'statistics'))?.[1];
  await eventually('packets are counted on the other port', async () => Number(await statistics('t1')) >= 3);
  await vsctl(right.ns, 'del-port t1');
});

test('packets that no tunnel asks for are dropped, until one does', async () => {
  await setUp(left, 'vxlan', `remote_ip=${underlay(right)} key=1`, NORMAL);
  await setUp(right, 'vxlan', `remote_ip=${underlay(left)} in_key=2 out_key=1`, NORMAL);
  await expectPing(0, 2);
  expect(right.sw.vswitchd.output()).toContain('(no OpenFlow tunnel port for this packet)');
  await vsctl(right.ns, 'set interface t0 options:in_key=1');
  expect(await appctl(right, 'dpif/show')).toContain('(vxlan: key=1, remote_ip=192.0.2.1)');
  await eventually('packets arrive', async () => (await left.ns.ping('10.20.0.2', 1)).received === 1);
});

test('tunnels that cannot be say why', async () => {
  await setUp(left, 'vxlan', `remote_ip=${underlay(right)}`, NORMAL);
  const refused = async (type: string, options: string): Promise<string> => {
    const set = options === '' ? [] : options.split(' ').map((o) => `options:${o}`);
    await left.ns.run([
      ...['ovs-vsctl', '--timeout=60', '--if-exists', 'del-port', 'x0', '--', 'add-port', 'br0', 'x0'],
      ...['--', 'set', 'interface', 'x0', `type=${type}`, ...set],
    ]);
    expect(await get(left, 'x0', 'ofport')).toBe('-1');
    return get(left, 'x0', 'error');
  };
  expect(await refused('vxlan', '')).toBe(`"x0: vxlan type requires valid 'remote_ip' argument"`);
  expect(await refused('vxlan', 'remote_ip=224.0.0.1')).toBe('"x0: multicast remote_ip=224.0.0.1 not allowed"');
  const twice = '"could not add network device x0 to ofproto (File exists)"';
  expect(await refused('vxlan', `remote_ip=${underlay(right)}`)).toBe(twice);
  const policy = "x0: VXLAN-GBP, and non-VXLAN-GBP tunnels can't be configured on the same dst_port";
  expect(await refused('vxlan', 'remote_ip=flow exts=gbp')).toBe(`"${policy}"`);
  expect(await refused('stt', 'remote_ip=192.0.2.9')).toContain('could not add network device x0 to ofproto');
  await vsctl(left.ns, 'del-port x0');
});

test('programs that look for a Geneve device do not take ours for a fault, without the preload library too', async () => {
  await setUp(left, 'geneve', `remote_ip=${underlay(right)}`, NORMAL);
  expect(await left.ns.ip('-o link show genev_tap_6081')).toMatch(/UP,LOWER_UP> mtu 65000/);
  // As ovn-controller does.  It aborts where a device genev_sys_6081 is of another kind.
  const { status, stderr } = await left.ns.run(['ovs-dpctl', 'show']);
  expect([status, stderr]).toEqual([1, expect.stringContaining('kernel module is probably not loaded')]);
});

test('a tunnel outlives its vswitchd', async () => {
  for (const side of [left, right]) await setUp(side, 'geneve', `remote_ip=${underlay(peerOf(side))}`, NORMAL);
  await expectPing(3);
  const device = async () => /port (\d+): genev_sys_6081/.exec(await appctl(left, 'dpctl/show'))?.[1];
  const before = await device();
  await left.sw.vswitchd.kill();
  await expectPing(3);
  left.sw.vswitchd = await startVswitchd(left.ns);
  await eventually('the port is there', async () => (await appctl(left, 'dpif/show')).includes('    t0 1/'));
  expect(await device()).toBe(before);
  // Returns when the configuration is done.
  await vsctl(left.ns, 'set open_vswitch . external_ids:restarted=yes');
  await addFlows(left, NORMAL);
  await expectPing(3);
});
