/**
 * Tunnel ports: frames of one datapath reach another one, and a kernel's own VXLAN device, over IPv4 and IPv6, through stock
 * ovs-dpctl's way of making such ports.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, type Namespace, ROOT, run, TAPSWITCH, useLab } from '../support/harness.ts';
import { startDatapath } from '../support/switch.ts';

let left: Namespace;
let right: Namespace;
let hasKernelVxlan = false;

const dpctl = (ns: Namespace, ...args: string[]) => ns.ok([TAPSWITCH, 'exec', '--', 'ovs-dpctl', ...args]);

useLab(async (lab) => {
  left = await lab.namespace('left');
  right = await lab.namespace('right');
  await lab.veth(left, 'under', right, 'under');
  await left.address('under', '192.0.2.1/24', 'fd02::1/64');
  await right.address('under', '192.0.2.2/24', 'fd02::2/64');
  for (const ns of [left, right]) {
    await startDatapath(ns);
    await dpctl(ns, 'add-dp', 'dp0');
  }
  await left.address('dp0', '10.8.0.1/24');
  await right.address('dp0', '10.8.0.2/24');
  const probe = await run(['unshare', '-n', 'ip', 'link', 'add', 'probe0', 'type', 'vxlan', 'id', '1', 'dstport', '0']);
  hasKernelVxlan = probe.status === 0;
});

interface Side {
  readonly ns: Namespace;
  readonly tunnel: string;
}

/** Port `device` is tunnel port 1 of `ns`; whatever comes through it goes to dp0, and what dp0 sends leaves with `tunnel`. */
async function connect({ ns, tunnel }: Side, device: string, match: string): Promise<void> {
  await dpctl(ns, 'del-flows', 'dp0');
  const ports = await dpctl(ns, 'show', 'dp0');
  const port = new RegExp(`port (\\d+): ${device} `).exec(ports)?.[1];
  expect(port, ports).toBeDefined();
  for (const type of ['eth_type(0x0800),ipv4()', 'eth_type(0x0806),arp()']) {
    await dpctl(ns, 'add-flow', 'dp0', `in_port(0),eth(),${type}`, `set(tunnel(${tunnel})),${port}`);
    await dpctl(ns, 'add-flow', 'dp0', `tunnel(${match}),in_port(${port}),eth(),${type}`, '0');
  }
}

// biome-ignore format: table
test.each([
  { name: 'VXLAN',                    port: 'type=vxlan',          device: 'vxlan_sys_4789',   ipv6: false, more: 'flags(df|key)',      match: 'flags(-csum+key)' },
  { name: 'VXLAN with checksums',     port: 'type=vxlan',          device: 'vxlan_sys_4789',   ipv6: false, more: 'flags(csum|key)',    match: 'flags(+csum+key)' },
  { name: 'VXLAN over IPv6',          port: 'type=vxlan',          device: 'vxlan_sys_4789',   ipv6: true,  more: 'flags(key)',         match: 'flags(-csum+key)' },
  { name: 'VXLAN over IPv6, checksums', port: 'type=vxlan',        device: 'vxlan_sys_4789',   ipv6: true,  more: 'flags(csum|key)',    match: 'flags(+csum+key)' },
  { name: 'VXLAN with group policy',  port: 'type=vxlan,exts=gbp,dst_port=4790', device: 'vxlan_sys_4790', ipv6: false, more: 'vxlan(gbp(id=300,flags=0x8)),flags(key)', match: 'vxlan(gbp(id=300,flags=0x8)),flags(+key)' },
  { name: 'Geneve',                   port: 'type=geneve',         device: 'genev_sys_6081',   ipv6: false, more: 'geneve({class=0x102,type=0x80,len=4,0xdeadbeef}),flags(key)', match: 'geneve({class=0x102,type=0x80,len=4,0xdeadbeef}),flags(+key)' },
  { name: 'Geneve over IPv6',         port: 'type=geneve',         device: 'genev_sys_6081',   ipv6: true,  more: 'flags(csum|key)',    match: 'flags(+csum+key)' },
  { name: 'GRE',                      port: 'type=gre',            device: 'gre_sys',          ipv6: false, more: 'flags(key)',         match: 'flags(-csum+key)' },
  { name: 'GRE with checksums',       port: 'type=gre',            device: 'gre_sys',          ipv6: false, more: 'flags(csum|key)',    match: 'flags(+csum+key)' },
  { name: 'GRE over IPv6',            port: 'type=ip6gre',         device: 'ip6gre_sys',       ipv6: true,  more: 'flags(key)',         match: 'flags(-csum+key)' },
  { name: 'ERSPAN version 1',         port: 'type=erspan',         device: 'erspan_sys',       ipv6: false, more: 'erspan(ver=1,idx=0x7),flags(key)', match: 'erspan(ver=1,idx=0x7),flags(+key)' },
  { name: 'ERSPAN version 2, IPv6',   port: 'type=ip6erspan',      device: 'ip6erspan_sys',    ipv6: true,  more: 'erspan(ver=2,dir=1,hwid=0x7),flags(key)', match: 'flags(+key)' },
])('$name', async ({ port, device, ipv6, more, match }) => {
  const [src, dst] = ipv6 ? ['ipv6_src=', 'ipv6_dst='] : ['src=', 'dst='];
  const address = (ns: Namespace) => (ipv6 ? 'fd02::' : '192.0.2.') + (ns === left ? '1' : '2');
  for (const ns of [left, right]) {
    if (!(await dpctl(ns, 'show', 'dp0')).includes(`: ${device} `)) {
      await dpctl(ns, 'add-if', 'dp0', `t0,${port},remote_ip=flow,key=flow`);
    }
    const peer = ns === left ? right : left;
    const tunnel = `tun_id=42,${dst}${address(peer)},ttl=7,${more}`;
    await connect({ ns, tunnel }, device, `tun_id=42,${src}${address(peer)},${dst}${address(ns)},ttl=7,${match}`);
  }
  const { sent, received, text } = await left.ping('10.8.0.2', 5);
  expect({ sent, received }, text).toEqual({ sent: 5, received: 5 });
  // Fragments of the inner packet's own, and outer packets that are too large for the path.
  const large = await left.run(['ping', '-n', '-c', '2', '-i', '0.1', '-W', '2', '-s', '1400', '10.8.0.2']);
  expect(large.stdout).toContain(' 0% packet loss');
});

test('VXLAN to the device of a kernel', async (context) => {
  if (!hasKernelVxlan) context.skip('this kernel has no VXLAN');
  const peer = await left.lab.namespace('kernel');
  await left.lab.veth(left, 'under2', peer, 'under2');
  await left.address('under2', '192.0.3.1/24', 'fd03::1/64');
  await peer.address('under2', '192.0.3.2/24', 'fd03::2/64');
  await dpctl(left, 'add-if', 'dp0', 'k0,type=vxlan,dst_port=4795,remote_ip=flow,key=flow');
  for (const ipv6 of [false, true]) {
    const [local, remote] = ipv6 ? ['fd03::1', 'fd03::2'] : ['192.0.3.1', '192.0.3.2'];
    await peer.ip(
      `link add vx0 address 02:00:00:00:00:77 type vxlan id 77 local ${remote} remote ${local} dstport 4795`,
    );
    await peer.address('vx0', '10.8.0.3/24');
    const [src, dst] = ipv6 ? ['ipv6_src=', 'ipv6_dst='] : ['src=', 'dst='];
    const tunnel = `tun_id=77,${dst}${remote},ttl=64,flags(csum|key)`;
    await connect(
      { ns: left, tunnel },
      'vxlan_sys_4795',
      `tun_id=77,${src}${remote},${dst}${local},ttl=0/0,flags(+key)`,
    );
    const { sent, received, text } = await left.ping('10.8.0.3', 5);
    expect({ sent, received }, text).toEqual({ sent: 5, received: 5 });
    await peer.ip('link del vx0');
  }
});

test('a tunnel port is a device that can be deleted, and goes with its port', async () => {
  const shown = async () => /port \d+: vxlan_sys_4796 /.test(await dpctl(right, 'show', 'dp0'));
  await dpctl(right, 'add-if', 'dp0', 'd0,type=vxlan,dst_port=4796,remote_ip=flow');
  expect(await right.ip('-o link show vxlan_sys_4796')).toMatch(/<BROADCAST,MULTICAST,UP,LOWER_UP> mtu 65000/);
  expect(await shown()).toBe(true);
  await right.ip('link del vxlan_sys_4796');
  await eventually('the port goes', async () => !(await shown()));
  // Again, twice: stock userspace deletes and makes anew what is there.
  await dpctl(right, 'add-if', 'dp0', 'd0,type=vxlan,dst_port=4796,remote_ip=flow');
  await dpctl(right, 'add-if', 'dp0', 'd1,type=vxlan,dst_port=4796,remote_ip=flow');
  await dpctl(right, 'del-if', 'dp0', 'vxlan_sys_4796');
  expect(await shown()).toBe(false);
  expect((await right.run(['ip', 'link', 'show', 'vxlan_sys_4796'])).status).toBe(1);
});

test('a UDP port that another program has is refused', async () => {
  const script = 'import socket,sys,time;s=socket.socket(2,2);s.bind(("",4797));open(sys.argv[1],"w");time.sleep(30)';
  const ready = `${right.lab.dir}/port-taken`;
  const other = right.daemon('other', ['python3', '-c', script, ready]);
  await other.until('has the port', () => existsSync(ready));
  const result = await right.run([
    ...[TAPSWITCH, 'exec', '--', 'ovs-dpctl', 'add-if', 'dp0', 'e0,type=vxlan,dst_port=4797,remote_ip=flow'],
  ]);
  expect(result.status).toBe(1);
  expect(result.stderr).toContain('Address already in use');
  await other.stop();
});

test('a userspace action tells how the packet would leave by a tunnel', async () => {
  await dpctl(left, 'add-if', 'dp0', 'u0,type=vxlan,dst_port=4798,remote_ip=flow');
  const port = /port (\d+): vxlan_sys_4798 /.exec(await dpctl(left, 'show', 'dp0'))?.[1] ?? '';
  const client = (of: string, actions: string) =>
    left.ok([join(ROOT, 'node_modules/.bin/tsx'), join(ROOT, 'test-netns/support/egress-client.ts'), of, actions]);
  const set = (to: string) => `set(tunnel(tun_id=5,${to},tos=0x4,ttl=9,flags(df|key)))`;
  // The source address is that of the route, the source port that of the flow.
  const v4 = 'tunnel(tun_id=0x5,src=192.0.2.1,dst=192.0.2.2,tos=0x4,ttl=9,tp_src=PORT,tp_dst=4798,flags(df|key))';
  const v6 = 'tunnel(tun_id=0x5,ipv6_src=fd02::1,ipv6_dst=fd02::2,tos=0x4,ttl=9,tp_src=PORT,tp_dst=4798,flags(df|key))';
  const withoutPort = (text: string) => text.trim().replace(/tp_src=\d+/, 'tp_src=PORT');
  expect(withoutPort(await client(port, set('dst=192.0.2.2')))).toBe(v4);
  expect(withoutPort(await client(port, set('ipv6_dst=fd02::2')))).toBe(v6);
  // A packet that is not to be wrapped, and a port that is no tunnel.
  expect((await client(port, 'set(skb_mark(1))')).trim()).toBe('none');
  expect((await client('0', set('dst=192.0.2.2'))).trim()).toBe('none');
});
