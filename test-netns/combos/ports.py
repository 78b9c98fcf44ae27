"""Steps about ports: internal ones, devices that vanish, move and come back, and what does not belong to the switch."""
import os

from lab import mac, run


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


def vanish(lab):
    """A device goes away, and one of its name comes."""
    run('ip', 'link', 'del', 'p4')
    lab.until('p4 is gone', lambda: 'p4' not in lab.dpctl('show'))
    lab.until('that is said', lambda: 'No such device' in lab.vsctl('get', 'interface', 'p4', 'error'))
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def returned(lab):
    lab.veth('p4', 'h4', mac(4))
    for n in lab.hosts:
        if n != 4:
            lab.introduce(4, n)
    lab.introduce(4, 4)
    lab.until('p4 is back', lambda: lab.ping(1, '10.0.0.4', 1))
    lab.until('there is no error', lambda: lab.vsctl('get', 'interface', 'p4', 'error').strip() == '[]')
    lab.settled(lambda: lab.pings(1, '10.0.0.4'))


def moved(lab):
    """A port's device moves to another network namespace: that is as if it were gone."""
    lab.namespace('away')
    run('ip', 'link', 'set', 'p4', 'netns', 'away')
    lab.until('p4 is gone', lambda: 'p4' not in lab.dpctl('show'))
    lab.until('that is said', lambda: 'No such device' in lab.vsctl('get', 'interface', 'p4', 'error'))
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def came_back(lab):
    run('ip', '-n', 'away', 'link', 'set', 'p4', 'netns', str(os.getpid()))
    run('ip', 'netns', 'del', 'away')
    run('ip', 'link', 'set', 'p4', 'up')
    lab.until('p4 is back', lambda: lab.ping(1, '10.0.0.4', 1))
    lab.until('there is no error', lambda: lab.vsctl('get', 'interface', 'p4', 'error').strip() == '[]')
    lab.until('p4 is seen to be up', lambda: lab.vsctl('get', 'interface', 'p4', 'link_state').strip() == 'up')
    lab.settled(lambda: lab.pings(1, '10.0.0.4'))


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


def stray(lab):
    """A port that somebody else puts into the datapath is removed."""
    # Stock is so quick that the tool does not find the device any more.
    lab.dpctl('add-if', 'ovs-system', 'stray,type=internal', check=False)
    lab.until('it is gone', lambda: 'stray' not in lab.dpctl('show'))
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))
