"""The steps of scripts/combos, in order; each goes on where the one before ended.

A step changes the switch and says what must happen; what is looked at afterwards is the same for all (see play.py), and what the step gives
back besides: {command: text}.  Those about ports, tunnels and restarts are in files of their own.
"""
import os
import re

from lab import Ears, Failed, mac, run
from lives import cleanup, deaf, flooded, killed, overrun, stopped
from ports import adopted, came_back, internal, internal_gone, moved, orphans, returned, stray, vanish
from tunnels import tunnels, tunnels_gone, tunnels_taken_over, vxlan, vxlan_gone

BROADCAST = 'ff:ff:ff:ff:ff:ff'


def start(lab):
    lab.start()
    lab.vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'other-config:hwaddr=02:00:00:00:ff:00', 'other-config:mac-aging-time=3600')
    # Flows stay for the comparison, however slow the machine.
    lab.vsctl('set', 'open_vswitch', '.', 'other_config:max-idle=3600000')
    for n in (1, 2, 3, 4):
        lab.host(n)
        lab.vsctl('add-port', 'br0', f'p{n}')
    run('ip', 'addr', 'add', '10.0.0.254/24', 'dev', 'br0')
    run('ip', 'link', 'set', 'br0', 'up')
    for n in (1, 2, 3, 4):
        run('ip', '-n', f'h{n}', 'neigh', 'replace', '10.0.0.254', 'lladdr', '02:00:00:00:ff:00', 'dev', 'eth0', 'nud', 'permanent')
        run('ip', 'neigh', 'replace', f'10.0.0.{n}', 'lladdr', mac(n), 'dev', 'br0', 'nud', 'permanent')
    lab.until('br0 is seen to be up', lambda: lab.vsctl('get', 'interface', 'br0', 'link_state').strip() == 'up')


def ping4(lab):
    def traffic():
        lab.pings(1, '10.0.0.2')
        lab.pings(3, '10.0.0.254')
    lab.settled(traffic)


def ping6(lab):
    lab.ipv6(2, 3)
    lab.ipv6(3, 2)
    lab.settled(lambda: lab.pings(2, 'fd00::3'))


def features(lab):
    """What vswitchd found out about the datapath, by requests of which neither its log nor the kernel's speaks."""
    lab.vsctl('--id=@dp', 'create', 'datapath', 'datapath_version=0', '--', 'set', 'open_vswitch', '.', 'datapaths:system=@dp')
    lab.until('the datapath is described', lambda: lab.vsctl('list-dp-cap', 'system').strip())
    shown = {f'ovs-appctl {command}': lab.appctl(*command.split()) for command in (
        'dpif/show-dp-features br0', 'dpif-netlink/dispatch-mode', 'dpif/show', 'dpctl/dump-dps', 'dpctl/ct-get-limits')}
    shown['ovs-vsctl list-dp-cap'] = '\n'.join(sorted(lab.vsctl('list-dp-cap', 'system').split()))
    shown['ovs-ofctl meter-features'] = lab.ofctl('meter-features', 'br0')
    shown['complaints'] = '\n'.join(re.findall(r'\|((?!timeval)\w+\|(?:WARN|ERR|EMER)\|.*)', lab.log('vswitchd')))
    shown['dmesg'] = '\n'.join(re.findall(r'openvswitch: netlink: .*', run('dmesg')) if lab.datapath_kind == 'module' else [])
    return shown


def vlan(lab):
    """Access ports of two VLANs, a trunk, native VLANs."""
    lab.vsctl('set', 'port', 'p1', 'tag=10', '--', 'set', 'port', 'p2', 'tag=10', '--', 'set', 'port', 'p3', 'trunks=10,20',
              '--', 'set', 'port', 'p4', 'tag=20')
    ears = Ears(lab, (1, 2, 3, 4))

    def traffic():
        ears.probe(1, BROADCAST, None, {(2, None), (3, 10)})
        ears.probe(3, BROADCAST, 20, {(4, None)})
        ears.probe(3, BROADCAST, 10, {(1, None), (2, None)})
        ears.probe(3, BROADCAST, 30, set())
        ears.probe(3, BROADCAST, None, set())
        ears.probe(2, BROADCAST, 10, set())
        lab.pings(1, '10.0.0.2')
    lab.settled(traffic)
    ears.close()
    lab.no_ping(1, '10.0.0.4')


def native(lab):
    lab.vsctl('set', 'port', 'p3', 'vlan_mode=native-untagged', 'tag=20')
    ears = Ears(lab, (1, 2, 3, 4))

    def traffic():
        ears.probe(4, BROADCAST, None, {(3, None)})
        ears.probe(3, BROADCAST, None, {(4, None)})
        ears.probe(1, BROADCAST, None, {(2, None), (3, 10)})
    lab.settled(traffic)
    ears.close()


def plain(lab):
    for n in (1, 2, 3, 4):
        lab.vsctl('clear', 'port', f'p{n}', 'tag', 'trunks', 'vlan_mode')
    lab.settled(lambda: lab.pings(1, '10.0.0.4'))


def patch(lab):
    """A second bridge, behind patch ports, has host 4."""
    # One after the other, so that numbers are given in this order.
    lab.vsctl('del-port', 'p4', '--', 'add-br', 'br1', '--', 'set', 'bridge', 'br1', 'other-config:hwaddr=02:00:00:00:ff:01')
    lab.vsctl('add-port', 'br1', 'p4')
    lab.vsctl('add-port', 'br0', 'to1', '--', 'set', 'interface', 'to1', 'type=patch', 'options:peer=to0',
              '--', 'add-port', 'br1', 'to0', '--', 'set', 'interface', 'to0', 'type=patch', 'options:peer=to1')
    lab.settled(lambda: lab.pings(1, '10.0.0.4'))


def patch_gone(lab):
    lab.vsctl('del-port', 'to1', '--', 'del-br', 'br1', '--', 'add-port', 'br0', 'p4')
    lab.settled(lambda: lab.pings(1, '10.0.0.4'))


def flows(lab):
    """OpenFlow rules: drops, rewritten headers, tables, registers, groups, meters."""
    lab.ofctl('add-group', 'br0', 'group_id=1,type=all,bucket=output:p2,bucket=output:p3')
    lab.ofctl('add-meter', 'br0', 'meter=1,pktps,band=type=drop,rate=100000')
    lab.ofctl('--names', 'add-flow', 'br0', 'priority=20,icmp,in_port=p1,nw_dst=10.0.0.4,actions=drop')
    lab.ofctl('--names', 'add-flow', 'br0', 'priority=20,icmp,in_port=p2,nw_dst=10.0.0.4,actions=meter:1,load:0x5->NXM_NX_REG0[],resubmit(,1)')
    lab.ofctl('--names', 'add-flow', 'br0', 'table=1,reg0=0x5,ip,actions=mod_nw_tos:32,dec_ttl,output:p4')
    lab.ofctl('--names', 'add-flow', 'br0', 'priority=30,dl_type=0x88b5,in_port=p4,actions=push_vlan:0x8100,set_field:4103->vlan_vid,group:1')
    ears = Ears(lab, (1, 2, 3))

    def traffic():
        lab.pings(2, '10.0.0.4')
        lab.no_ping(1, '10.0.0.4')
        ears.probe(4, BROADCAST, None, {(2, 7), (3, 7)})
        ears.probe(4, BROADCAST, None, {(2, 7), (3, 7)})
    lab.settled(traffic)
    ears.close()


def flows_gone(lab):
    lab.ofctl('del-flows', 'br0')
    lab.ofctl('del-groups', 'br0')
    lab.ofctl('del-meters', 'br0')
    lab.no_ping(1, '10.0.0.2')
    lab.ofctl('add-flow', 'br0', 'priority=0,actions=NORMAL')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def conntrack(lab):
    """Connections of host 1 to host 2, behind another address; nobody else may begin one."""
    lab.ofctl('del-flows', 'br0')
    for flow in (
            'priority=10,ip,ct_state=-trk,actions=ct(table=1,zone=7,nat)',
            'priority=20,ip,in_port=p1,ct_state=-trk,actions=ct(table=1,zone=7,nat)',
            'priority=1,arp,actions=NORMAL',
            'table=1,priority=20,ip,in_port=p1,ct_state=+trk+new,actions=ct(commit,zone=7,nat(src=10.0.0.77),exec(set_field:0x3->ct_mark)),output:p2',
            'table=1,priority=10,ip,in_port=p1,ct_state=+trk+est,actions=output:p2',
            'table=1,priority=10,ip,in_port=p2,ct_state=+trk+est,ct_mark=0x3,actions=output:p1'):
        lab.ofctl('--names', 'add-flow', 'br0', flow)
    run('ip', '-n', 'h2', 'neigh', 'replace', '10.0.0.77', 'lladdr', mac(1), 'dev', 'eth0', 'nud', 'permanent')
    lab.greeter(2, 8080)
    shown = {}

    def traffic():
        lab.expect('a connection', lab.greeting(1, '10.0.0.2', 8080), 'h2 10.0.0.77')
        lab.pings(1, '10.0.0.2')
        shown['ovs-dpctl dump-conntrack'] = lab.dpctl('dump-conntrack', 'zone=7')
    lab.settled(traffic)
    # A host that may not: what it sends is new, and no rule takes that.
    lab.no_ping(2, '10.0.0.1')
    return shown


def conntrack_gone(lab):
    lab.ofctl('del-flows', 'br0')
    lab.ofctl('add-flow', 'br0', 'priority=0,actions=NORMAL')
    lab.appctl('dpctl/flush-conntrack')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def mirror(lab):
    """Whatever host 1 sends or gets comes out at port 4, too, which gets nothing else."""
    lab.vsctl('--id=@out', 'get', 'port', 'p4', '--', '--id=@one', 'get', 'port', 'p1',
              '--', '--id=@m', 'create', 'mirror', 'name=m0', 'select-src-port=@one', 'select-dst-port=@one', 'output-port=@out',
              '--', 'set', 'bridge', 'br0', 'mirrors=@m')
    ears = Ears(lab, (1, 2, 3, 4))

    def traffic():
        lab.pings(1, '10.0.0.2')
        ears.probe(1, mac(2), None, {(2, None), (4, None)})
        ears.probe(2, mac(1), None, {(1, None), (4, None)})
        ears.probe(3, mac(2), None, {(2, None)})
    lab.settled(traffic)
    ears.close()


def mirror_gone(lab):
    lab.vsctl('clear', 'bridge', 'br0', 'mirrors')
    lab.settled(lambda: lab.pings(1, '10.0.0.4'))


STEPS = [start, features, ping4, ping6, internal, internal_gone, vlan, native, plain, patch, patch_gone, flows, flows_gone, conntrack,
         conntrack_gone, mirror, mirror_gone, vxlan, vxlan_gone, vanish, returned, moved, came_back, killed, stopped, orphans, adopted, overrun,
         flooded, deaf, stray, tunnels, tunnels_taken_over, tunnels_gone, cleanup]
# What our datapath makes devices for over rtnetlink needs kinds of devices that many kernels lack.  They come last: ports have other numbers after
# them.
MODULE_ONLY = [tunnels, tunnels_taken_over, tunnels_gone]
