"""The steps of scripts/combos, in order; each goes on where the one before ended.

A step changes the switch and says what must happen; what is looked at afterwards is the same for all (see play.py).  The last word of a
name tells what it is about: rows of the table of features.
"""
import os
import signal
import socket
import struct
import subprocess

from lab import Ears, Failed, mac, run

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


def internal(lab):
    """An internal port that moves to another network namespace."""
    lab.no_ipv6(2)
    lab.no_ipv6(3)
    lab.vsctl('add-port', 'br0', 'int5', '--', 'set', 'interface', 'int5', 'type=internal', 'mac="02:00:00:00:00:05"')
    lab.namespace('h5')
    run('ip', 'link', 'set', 'int5', 'netns', 'h5')
    run('ip', '-n', 'h5', 'link', 'set', 'int5', 'addrgenmode', 'none')
    run('ip', '-n', 'h5', 'addr', 'add', '10.0.0.5/24', 'dev', 'int5')
    run('ip', '-n', 'h5', 'link', 'set', 'int5', 'up')
    run('ip', '-n', 'h5', 'neigh', 'replace', '10.0.0.1', 'lladdr', mac(1), 'dev', 'int5', 'nud', 'permanent')
    run('ip', '-n', 'h1', 'neigh', 'replace', '10.0.0.5', 'lladdr', mac(5), 'dev', 'eth0', 'nud', 'permanent')
    lab.until('int5 is reached', lambda: lab.ping(1, '10.0.0.5', 1))
    lab.settled(lambda: lab.pings(1, '10.0.0.5'))
    lab.until('int5 is seen to be up', lambda: lab.vsctl('get', 'interface', 'int5', 'link_state').strip() == 'up')


def internal_gone(lab):
    lab.vsctl('del-port', 'int5')
    run('ip', 'netns', 'del', 'h5')


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

    def traffic():
        lab.expect('a connection', lab.greeting(1, '10.0.0.2', 8080), 'h2 10.0.0.77')
        lab.pings(1, '10.0.0.2')
    lab.settled(traffic)
    # A host that may not: what it sends is new, and no rule takes that.
    lab.no_ping(2, '10.0.0.1')


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


def vxlan(lab):
    """A VXLAN tunnel to a device of the kernel in a host's namespace."""
    lab.namespace('h9')
    lab.veth('under', 'h9', mac(9))
    run('ip', 'link', 'set', 'under', 'address', '02:00:00:00:ff:09', 'addrgenmode', 'none')
    run('ip', 'addr', 'add', '172.31.1.1/24', 'dev', 'under')
    run('ip', '-n', 'h9', 'addr', 'add', '172.31.1.100/24', 'dev', 'eth0')
    run('ip', 'neigh', 'replace', '172.31.1.100', 'lladdr', mac(9), 'dev', 'under', 'nud', 'permanent')
    run('ip', '-n', 'h9', 'neigh', 'replace', '172.31.1.1', 'lladdr', '02:00:00:00:ff:09', 'dev', 'eth0', 'nud', 'permanent')
    run('ip', '-n', 'h9', 'link', 'add', 'vxlan0', 'address', mac(6), 'type', 'vxlan', 'id', '5', 'remote', '172.31.1.1', 'dstport', '4789', 'dev', 'eth0')
    run('ip', '-n', 'h9', 'link', 'set', 'vxlan0', 'addrgenmode', 'none', 'up')
    run('ip', '-n', 'h9', 'addr', 'add', '10.0.0.6/24', 'dev', 'vxlan0')
    run('ip', '-n', 'h9', 'neigh', 'replace', '10.0.0.1', 'lladdr', mac(1), 'dev', 'vxlan0', 'nud', 'permanent')
    run('ip', '-n', 'h1', 'neigh', 'replace', '10.0.0.6', 'lladdr', mac(6), 'dev', 'eth0', 'nud', 'permanent')
    lab.vsctl('add-port', 'br0', 'vx0', '--', 'set', 'interface', 'vx0', 'type=vxlan', 'options:remote_ip=172.31.1.100', 'options:key=5')
    lab.until('the far end is reached', lambda: lab.ping(1, '10.0.0.6', 1))
    lab.settled(lambda: lab.pings(1, '10.0.0.6'))


def vxlan_gone(lab):
    lab.vsctl('del-port', 'vx0')
    run('ip', 'link', 'del', 'under')
    run('ip', 'netns', 'del', 'h9')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def vanish(lab):
    """A device goes away, and one of its name comes."""
    run('ip', 'link', 'del', 'p4')
    lab.until('p4 is gone', lambda: 'p4' not in lab.dpctl('show'))
    lab.until('that is said', lambda: 'No such device' in lab.vsctl('get', 'interface', 'p4', 'error'))


def returned(lab):
    lab.veth('p4', 'h4', mac(4))
    for n in lab.hosts:
        if n != 4:
            lab.introduce(4, n)
    lab.introduce(4, 4)
    lab.until('p4 is back', lambda: lab.ping(1, '10.0.0.4', 1))
    lab.until('there is no error', lambda: lab.vsctl('get', 'interface', 'p4', 'error').strip() == '[]')
    lab.settled(lambda: lab.pings(1, '10.0.0.4'))


class Pinging:
    """A ping that goes on."""

    def __init__(self, lab, n, to):
        self.lab, self.file = lab, f'{lab.work}/pinging'
        with open(self.file, 'w') as out:
            self.process = subprocess.Popen(
                ['nsenter', f'--net=/run/netns/h{n}', 'ping', '-n', '-i', '0.1', to], stdout=out, stderr=out)
        self.answers(5)

    def answered(self):
        with open(self.file) as f:
            return f.read().count(' ttl=')

    def answers(self, more):
        want = self.answered() + more
        self.lab.until('pings are answered', lambda: self.answered() >= want)

    def end(self):
        """Fails if more were lost than a restart may cost."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10 * self.lab.slow)
        with open(self.file) as f:
            summary = f.read().split('---\n')[-1].split()
        lost = int(summary[0]) - int(summary[3])
        # Those under way count as lost; and stock begins without flows: how long packets then take depends on the machine.
        if lost > 10 * max(1, self.lab.slow / 2):
            raise Failed(f'{lost} pings were lost')


def killed(lab):
    """kill -9 under traffic: what flows goes on, before and after the next start."""
    pinging = Pinging(lab, 1, '10.0.0.2')
    lab.kill('vswitchd')
    pinging.answers(10)
    lab.no_ping(3, '10.0.0.4')
    lab.start_vswitchd()
    lab.vsctl('set', 'open_vswitch', '.', 'external_ids:killed=1')
    lab.until('others are reached', lambda: lab.ping(3, '10.0.0.4', 1))
    pinging.answers(10)
    pinging.end()
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def stopped(lab):
    """exit leaves the datapath as it is."""
    pinging = Pinging(lab, 1, '10.0.0.2')
    lab.stop_vswitchd()
    pinging.answers(10)
    lab.start_vswitchd()
    lab.vsctl('set', 'open_vswitch', '.', 'external_ids:stopped=1')
    pinging.answers(10)
    pinging.end()
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def orphans(lab):
    """What a vswitchd that is gone left: ports and flows that the database does not have are removed by the next."""
    lab.kill('vswitchd')
    run('ovs-vsctl', '--no-wait', 'del-port', 'p3')
    lab.dpctl('add-if', 'ovs-system', 'stray,type=internal')
    lab.dpctl('add-flow', 'ovs-system', 'in_port(1),eth(src=00:00:00:00:00:99),eth_type(0x0800),ipv4(frag=no)', '2')
    lab.start_vswitchd()
    lab.vsctl('set', 'open_vswitch', '.', 'external_ids:orphans=1')
    lab.until('the ports are those of the database', lambda: 'stray' not in lab.dpctl('show') and ' p3' not in lab.dpctl('show'))
    lab.until('the flow is gone', lambda: '00:99' not in lab.dpctl('dump-flows'))
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(1, '10.0.0.4')))
    lab.no_ping(3, '10.0.0.1')


def adopted(lab):
    lab.vsctl('add-port', 'br0', 'p3')
    lab.settled(lambda: (lab.pings(3, '10.0.0.1'), lab.pings(1, '10.0.0.4')))


def overrun(lab):
    """More happens in the datapath, while vswitchd does not look, than its sockets hold: it looks at all of it anew."""
    process = lab.processes['vswitchd']
    process.send_signal(signal.SIGSTOP)
    try:
        notify(0x54415053 if lab.datapath_kind == 'process' else 0, 3000)
        lab.dpctl('del-if', 'ovs-system', 'p4')
    finally:
        process.send_signal(signal.SIGCONT)
    lab.until('the port is back', lambda: lab.ping(3, '10.0.0.4', 1))
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def stray(lab):
    """A port that somebody else puts into the datapath is removed."""
    # Stock is so quick that the tool does not find the device any more.
    lab.dpctl('add-if', 'ovs-system', 'stray,type=internal', check=False)
    lab.until('it is gone', lambda: 'stray' not in lab.dpctl('show'))
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def notify(peer, times):
    """Has a datapath tell its listeners about port 1 again and again: a vport is set to what it is."""
    netlink_generic, family_id, get_family, ovs_vport_set = 16, 16, 3, 4
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_generic) as s:
        s.bind((0, 0))

        def request(kind, command, version, body):
            message = struct.pack('=BBH', command, version, 0) + body
            s.sendto(struct.pack('=IHHII', 16 + len(message), kind, 1, 1, 0) + message, (peer, 0))
        request(family_id, get_family, 1, struct.pack('=HH', 4 + 10, 2) + b'ovs_vport\0\0\0')
        s.settimeout(30)
        answer, at = s.recv(65536), 20
        while at + 4 <= len(answer):
            size, kind = struct.unpack_from('=HH', answer, at)
            if kind == 1:
                family, = struct.unpack_from('=H', answer, at + 4)
            at += size + 3 & ~3
        for _ in range(times):
            request(family, ovs_vport_set, 1, struct.pack('=iHHI', socket.if_nametoindex('ovs-system'), 8, 1, 1))


def cleanup(lab):
    """exit --cleanup leaves nothing of the datapath."""
    lab.stop_vswitchd('--cleanup')
    lab.expect('datapaths', lab.dpctl('dump-dps', check=False).strip(), '')
    if os.path.exists('/sys/class/net/br0'):
        raise Failed('br0 is still there')


STEPS = [start, ping4, ping6, internal, internal_gone, vlan, native, plain, patch, patch_gone, flows, flows_gone, conntrack, conntrack_gone,
         mirror, mirror_gone, vxlan, vxlan_gone, vanish, returned, killed, stopped, orphans, adopted, overrun, stray, cleanup]
