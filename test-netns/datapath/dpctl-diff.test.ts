/**
 * Our dpctl against stock ovs-dpctl: the same commands print the same text, on both outputs, with the same exit status,
 * and leave the same datapath behind.
 *
 * The first part runs one script of commands in two namespaces, each with a datapath process and devices of its own: one
 * through stock ovs-dpctl, the other through ours.  The second part lets both look at a switch that carries traffic.
 */
import { describe, expect, test } from 'vitest';
import { type Namespace, type Result, useLab } from '../support/harness.ts';
import { normalise, ourDpctl, startDatapath, startSwitch, stockDpctl, vsctl } from '../support/switch.ts';

/** UFIDs that a tool made up differ; those that a command gives begin with zeros. */
const withoutRandom = (text: string) =>
  text.replace(/ufid:(?!00000000-)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ufid:RANDOM');

const comparable = ({ status, stdout, stderr }: Result) => ({
  status,
  stdout: withoutRandom(normalise(stdout)),
  stderr: withoutRandom(normalise(stderr)),
});

const TCP4 =
  'in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags(0/0)';
const ANY4 = 'in_port(2),eth(),eth_type(0x0800),ipv4()';
const ANY6 = 'in_port(2),eth(),eth_type(0x86dd),ipv6()';
const U1 = 'ufid:00000000-0000-0000-0000-000000000001';

/** One command a line; words separated by spaces. */
const SCRIPT = `
dump-dps
show
show nodp
dump-flows
add-dp
add-dp dp0
add-dp dp0
add-dp foo@bar
--may-create add-dp dp0
dump-dps
show
show -s
show system@dp0
add-if dp0 v1 v2
add-if dp0 v1
add-if dp0 nodev
add-if dp0 t1,type=internal
add-if dp0 v3,port_no=10
add-if dp0 v3,port_no=10
add-if dp0 v3,port_no=70000
add-if dp0 v3,bogus=1
add-if nodp v1
show
show -s dp0
set-if dp0 v1,port_no=1
set-if dp0 v1,port_no=7
set-if dp0 nodev,type=internal
add-flow dp0 ${TCP4} 2
add-flow dp0 ${TCP4} 2
add-flow dp0 ${ANY4} 1,3
add-flow dp0 ${ANY6} drop-me
add-flow dp0 ${ANY6} push_vlan(vid=5,pcp=0),1
add-flow dp0 ${U1},in_port(3),eth(),eth_type(0x0806),arp() 1
add-flow dp0 in_port(3),nonsense() 1
add-flow nodp ${ANY4} 1
add-flow dp0
dump-flows
dump-flows dp0
dump-flows -m
dump-flows -m -m dp0
dump-flows --names
dump-flows -m --names
dump-flows --no-names dp0
dump-flows nodp
get-flow dp0 ${U1}
get-flow ${U1}
get-flow -m dp0 ${U1}
get-flow --names dp0 ${U1}
get-flow dp0 ufid:00000000-0000-0000-0000-000000000002
get-flow dp0 ufid:xyz
mod-flow dp0 ${ANY4} 3
mod-flow dp0 in_port(2),eth(),eth_type(0x8847),mpls() 3
--may-create mod-flow dp0 in_port(1),eth(),eth_type(0x86dd),ipv6() 3
--clear mod-flow dp0 ${ANY4} 1
-s mod-flow dp0 ${ANY4} 3
dump-flows
del-flow dp0 ${ANY4}
del-flow dp0 ${ANY4}
del-flow dp0 ${U1}
-s del-flow dp0 ${TCP4}
dump-flows
del-flows dp0
del-flows nodp
dump-flows
add-if dp0 t,type=vxlan
add-if dp0 t,type=vxlan,remote_ip=224.0.0.1
add-if dp0 t,type=vxlan,remote_ip=10.0.0
add-if dp0 t,type=vxlan,remote_ip=::
add-if dp0 t,type=vxlan,remote_ip=fd00::1,local_ip=10.0.0.1
add-if dp0 t,type=vxlan,remote_ip=10.0.0.1,local_ip=flow
add-if dp0 t,type=vxlan,remote_ip=flow,packet_type=legacy_l3
add-if dp0 t,type=geneve,remote_ip=flow,packet_type=legacy_l3
add-if dp0 t,type=gre,remote_ip=flow,packet_type=none
add-if dp0 t,type=erspan,remote_ip=flow,erspan_ver=3
add-if dp0 t,type=erspan,remote_ip=flow,erspan_idx=0x100000
add-if dp0 t,type=erspan,remote_ip=flow,erspan_dir=2
add-if dp0 t,type=ip6erspan,remote_ip=flow,erspan_hwid=0x40
add-if dp0 t,type=bareudp,remote_ip=flow,payload_type=x
add-if dp0 t,type=patch
add-if dp0 t,type=patch,peer=t
add-if dp0 t,type=patch,peer=u,key=1
add-if dp0 t,type=patch,peer=u
add-if dp0 t,type=lisp,remote_ip=flow
add-if dp0 t,type=vxlan,remote_ip=flow,tos=7
add-if dp0 t,type=vxlan,remote_ip=flow,exts=bogus
add-if dp0 t,type=vxlan,remote_ip=flow,key=flow,dst_port=4789,port_no=20
add-if dp0 t,type=vxlan,remote_ip=flow,dst_port=4790,exts=gbp
add-if dp0 t,type=vxlan,remote_ip=flow,dst_port=4790,exts=gbp
add-if dp0 a,type=vxlan,remote_ip=flow,dst_port=4791 b,type=vxlan,remote_ip=flow,dst_port=4791,exts=gbp
add-if dp0 vxlan_sys_4791,type=vxlan,remote_ip=flow,exts=gbp
add-if dp0 vxlan_sys_4791,type=geneve,remote_ip=flow
add-if dp0 g,type=geneve,remote_ip=fd00::1 r,type=gre,remote_ip=10.0.0.1,seq=true,csum=true e,type=erspan,remote_ip=flow,erspan_ver=1,erspan_idx=0x7
add-if dp0 h,type=geneve,remote_ip=10.0.0.2
show
show -s
set-if dp0 vxlan_sys_4789,dst_port=4800
set-if dp0 vxlan_sys_4789,remote_ip=flow,dst_port=4800
set-if dp0 vxlan_sys_4790,remote_ip=flow,exts=gbp vxlan_sys_4789,remote_ip=flow,dst_port=4790
set-if dp0 erspan_sys,remote_ip=flow
set-if dp0 v1,key=1
set-if dp0 vxlan_sys_4789,type=gre
del-if dp0 vxlan_sys_4790 20 t
del-if dp0 genev_sys_6081
add-if dp0 vxlan_sys_4790
add-if dp0 t,type=vxlan,remote_ip=flow,dst_port=4790,exts=gbp
show
del-if dp0 v1
del-if dp0 2
del-if dp0 77
del-if dp0 0
del-if dp0 nodev t1
show
add-dp dp1 v1,type=system
show dp0 dp1
dump-flows
del-dp dp1
del-dp dp1
del-dp dp0
dump-dps
show
no-such-command
`
  .split('\n')
  .filter((line) => line !== '');

describe('the same script in two namespaces', () => {
  let stock: Namespace;
  let ours: Namespace;
  useLab(async (lab) => {
    stock = await lab.namespace('stock');
    ours = await lab.namespace('ours');
    for (const ns of [stock, ours]) {
      await ns.ok(['sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1', 'net.ipv6.conf.all.disable_ipv6=1']);
      for (const n of [1, 2, 3]) await ns.ip(`link add v${n} type veth peer name pv${n}`);
      await startDatapath(ns);
    }
  });

  test.each(SCRIPT.map((line, i) => ({ line, i: i + 1 })))('$i: $line', async ({ line }) => {
    const args = line.split(' ');
    const want = await stockDpctl(stock, args);
    expect(comparable(await ourDpctl(ours, args))).toEqual(comparable(want));
    // What was only looked at cannot have come to differ.
    if (/^(show|dump-|get-)/.test(line)) return;
    const state = async (ns: Namespace) =>
      withoutRandom(
        normalise((await stockDpctl(ns, ['show'])).stdout + (await stockDpctl(ns, ['dump-flows', '-m', 'dp0'])).stdout),
      );
    expect(await state(ours)).toBe(await state(stock));
  });
});

describe('a switch that carries traffic', () => {
  let sw: Namespace;
  useLab(async (lab) => {
    sw = await lab.namespace('switch');
    const a = await lab.host(sw, 'a', 'va', '10.9.0.1/24', 'fd09::1/64');
    await lab.host(sw, 'b', 'vb', '10.9.0.2/24', 'fd09::2/64');
    await startSwitch(sw);
    await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb');
    await vsctl(sw, 'set Open_vSwitch . other_config:max-idle=60000');
    await sw.address('br0', '10.9.0.254/24');
    for (const to of ['10.9.0.2', 'fd09::2', '10.9.0.254']) await a.ping(to, 3);
  });

  test.each([
    ['dump-dps'],
    ['show'],
    ['show -s'],
    ['dump-flows'],
    ['dump-flows -m'],
    ['dump-flows --names'],
    ['dump-flows system@ovs-system'],
  ])('%s', async (line) => {
    const args = line.split(' ');
    // A packet between two looks is no difference: it would show between two looks of the same tool.
    for (let tries = 0; ; tries++) {
      const before = comparable(await stockDpctl(sw, args));
      const ours = comparable(await ourDpctl(sw, args));
      const after = comparable(await stockDpctl(sw, args));
      if (tries < 5 && JSON.stringify(before) !== JSON.stringify(after)) continue;
      expect(ours).toEqual(before);
      expect(before.stdout).not.toBe('');
      expect(before.stderr).toBe('');
      break;
    }
  });
});
