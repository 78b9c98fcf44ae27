"""Steps about tunnels, to devices of the kernel in a host's namespace."""
import os
import re

from lab import mac, run

# The switch's address on the underlay.
UNDER = '02:00:00:00:ff:09'


def underlay(lab):
    """A network between the switch's own network namespace and host 9."""
    lab.namespace('h9')
    lab.veth('under', 'h9', mac(9))
    run('ip', 'link', 'set', 'under', 'address', UNDER, 'addrgenmode', 'none')
    run('ip', 'addr', 'add', '172.31.1.1/24', 'dev', 'under')
    run('ip', '-n', 'h9', 'addr', 'add', '172.31.1.100/24', 'dev', 'eth0')
    run('ip', 'neigh', 'replace', '172.31.1.100', 'lladdr', mac(9), 'dev', 'under', 'nud', 'permanent')
    run('ip', '-n', 'h9', 'neigh', 'replace', '172.31.1.1', 'lladdr', UNDER, 'dev', 'eth0', 'nud', 'permanent')


def vxlan(lab):
    """A VXLAN tunnel to a device of the kernel in a host's namespace."""
    underlay(lab)
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


# Type, kind of the device that is the far end, what that is told, what the port is told.  Openvswitch.ko makes the first two itself; for the
# others vswitchd makes a device over rtnetlink.
TUNNELS = [
    ('geneve', 'geneve', 'id 11 remote 172.31.1.1', {'remote_ip': '172.31.1.100', 'key': '11'}),
    ('gre', 'gretap', 'local 172.31.1.100 remote 172.31.1.1 key 12', {'remote_ip': '172.31.1.100', 'key': '12'}),
    ('erspan', 'erspan', 'seq local 172.31.1.100 remote 172.31.1.1 key 13 erspan_ver 1 erspan 123',
     {'remote_ip': '172.31.1.100', 'key': '13', 'erspan_ver': '1', 'erspan_idx': '123'}),
    ('ip6gre', 'ip6gretap', 'local fd31::100 remote fd31::1 key 14', {'remote_ip': 'fd31::100', 'key': '14'}),
    ('ip6erspan', 'ip6erspan', 'seq local fd31::100 remote fd31::1 key 15 erspan_ver 2 erspan_dir egress erspan_hwid 7',
     {'remote_ip': 'fd31::100', 'key': '15', 'erspan_ver': '2', 'erspan_dir': '1', 'erspan_hwid': '7'}),
]


def tunnels(lab):
    """Tunnels of the other types."""
    underlay(lab)
    run('sysctl', '-qw', 'net.ipv6.conf.under.disable_ipv6=0')
    run('ip', 'netns', 'exec', 'h9', 'sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=0')
    run('ip', 'addr', 'add', 'fd31::1/64', 'dev', 'under', 'nodad')
    run('ip', '-n', 'h9', 'addr', 'add', 'fd31::100/64', 'dev', 'eth0', 'nodad')
    run('ip', 'neigh', 'replace', 'fd31::100', 'lladdr', mac(9), 'dev', 'under', 'nud', 'permanent')
    run('ip', '-n', 'h9', 'neigh', 'replace', 'fd31::1', 'lladdr', UNDER, 'dev', 'eth0', 'nud', 'permanent')
    for n, (kind, device, told, options) in enumerate(TUNNELS, 11):
        run('ip', '-n', 'h9', 'link', 'add', f'far{n}', 'address', mac(n), 'type', device, *told.split())
        run('ip', '-n', 'h9', 'link', 'set', f'far{n}', 'addrgenmode', 'none', 'up')
        run('ip', '-n', 'h9', 'addr', 'add', f'10.0.{n}.2/24', 'dev', f'far{n}')
        run('ip', '-n', 'h9', 'neigh', 'replace', f'10.0.{n}.1', 'lladdr', mac(1), 'dev', f'far{n}', 'nud', 'permanent')
        run('ip', '-n', 'h1', 'addr', 'add', f'10.0.{n}.1/24', 'dev', 'eth0')
        run('ip', '-n', 'h1', 'neigh', 'replace', f'10.0.{n}.2', 'lladdr', mac(n), 'dev', 'eth0', 'nud', 'permanent')
        lab.vsctl('add-port', 'br0', f't{n}', '--', 'set', 'interface', f't{n}', f'type={kind}',
                  *(f'options:{name}={quoted(value)}' for name, value in options.items()))
    reached(lab)
    return devices()


def tunnels_taken_over(lab):
    """The next vswitchd takes the devices over, or makes them anew."""
    lab.kill('vswitchd')
    lab.start_vswitchd()
    lab.vsctl('set', 'open_vswitch', '.', 'external_ids:tunnels=1')
    reached(lab)
    # Stock makes their ports anew, with numbers in the order of a hash table.
    return devices() | {'ovs-dpctl show': '', 'ovs-dpctl dump-flows': ''}


def tunnels_gone(lab):
    for n, _ in enumerate(TUNNELS, 11):
        lab.vsctl('del-port', f't{n}')
        run('ip', '-n', 'h1', 'addr', 'del', f'10.0.{n}.1/24', 'dev', 'eth0')
    lab.until('their devices are gone', lambda: not [name for name in os.listdir('/sys/class/net') if '_sys' in name])
    run('ip', 'link', 'del', 'under')
    run('ip', 'netns', 'del', 'h9')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def reached(lab):
    """The far ends of all of them are."""
    far = [f'10.0.{n}.2' for n, _ in enumerate(TUNNELS, 11)]
    for to in far:
        lab.until(f'{to} is reached', lambda to=to: lab.ping(1, to, 1))
    lab.settled(lambda: [lab.pings(1, to) for to in far])


def devices():
    """How those are that were made over rtnetlink."""
    return {f'ip link show {kind}': re.sub(r'^\d+: ', '', run('ip', '-d', 'link', 'show', f'{kind}_sys')) for kind in ('erspan', 'ip6gre', 'ip6erspan')}


def quoted(value):
    return f'"{value}"' if ':' in value else value
