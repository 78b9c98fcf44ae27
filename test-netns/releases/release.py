"""The steps of scripts/other-releases, in order: many of scripts/combos, and those about what differs from release to release.

Each goes on where the one before ended.  Whatever a tool of the release prints is the release's own; so what is expected is mostly that it
succeeds, and shows what was just done.
"""
import re
import struct

import steps
from lab import Failed, mac, run
from netlink import Netlink
from wire import attr, attrs

# Port id of our datapath, and what openvswitch.h calls these.
DATAPATH = 0x54415053
OVS_DP_CMD_NEW, OVS_DP_CMD_GET = 1, 3
OVS_DP_ATTR_NAME, OVS_DP_ATTR_UPCALL_PID, OVS_DP_ATTR_USER_FEATURES = 1, 2, 5
EEXIST = 17
# The features of openvswitch.h that the release and the datapath may agree on.
UNALIGNED, VPORT_PIDS, PER_CPU = 1, 2, 8

VERSIONS = ['OpenFlow10', 'OpenFlow11', 'OpenFlow12', 'OpenFlow13', 'OpenFlow14', 'OpenFlow15']


def has(what, text, *patterns):
    """Every pattern is found in a tool's output."""
    for pattern in patterns:
        if not re.search(pattern, text, re.M):
            raise Failed(f'{what}: no {pattern!r} in {text!r}')


def versions(lab):
    """Flows, groups, meters and statistics in every version of OpenFlow that a client may choose."""
    for i, version in enumerate(VERSIONS):
        def ofctl(*args, **more):
            return run('ovs-ofctl', '-O', version, *args, **more)
        bridge, cookie = 'br0', f'0x{i + 1}00'
        has(f'{version} show', ofctl('show', bridge), r'p1')
        ofctl('add-flow', bridge, f'cookie={cookie},priority=77,udp,tp_dst=99,actions=mod_nw_tos:8,NORMAL')
        # Several at once: a bundle, where the version has them.
        ofctl('--bundle' if i >= 4 else '--no-names', 'add-flows', bridge, '-',
              input=f'cookie={cookie},priority=78,tcp,actions=mod_vlan_vid:9,NORMAL\ncookie={cookie},priority=79,dl_type=0x88b7,actions=drop\n')
        has(f'{version} dump-flows', ofctl('dump-flows', bridge, f'cookie={cookie}/-1'), r'priority=77,udp,tp_dst=99', r'priority=78,tcp', r'0x88b7')
        has(f'{version} dump-aggregate', ofctl('dump-aggregate', bridge, f'cookie={cookie}/-1'), r'flow_count=3')
        ofctl('mod-flows', bridge, f'cookie={cookie}/-1,udp,tp_dst=99,actions=drop')
        for command in ('dump-ports', 'dump-ports-desc', 'dump-tables', 'dump-desc', 'get-frags', 'queue-stats', 'dump-tlv-map', 'dump-ipfix-bridge'):
            if command == 'dump-ipfix-bridge' or command == 'queue-stats':
                run('ovs-ofctl', '-O', version, command, bridge, check=False)
            else:
                ofctl(command, bridge)
        if i >= 1:
            ofctl('add-group', bridge, 'group_id=9,type=select,bucket=output:1,bucket=output:2')
            ofctl('mod-group', bridge, 'group_id=9,type=select,bucket=output:2,bucket=output:1,bucket=output:3')
            has(f'{version} dump-groups', ofctl('dump-groups', bridge), r'group_id=9,type=select,.*bucket=')
            has(f'{version} dump-group-stats', ofctl('dump-group-stats', bridge), r'group_id=9')
            ofctl('del-groups', bridge)
        if i >= 3:
            ofctl('add-meter', bridge, 'meter=9,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=2000')
            ofctl('mod-meter', bridge, 'meter=9,pktps,bands=type=drop,rate=1000')
            has(f'{version} dump-meters', ofctl('dump-meters', bridge), r'meter=9 pktps')
            has(f'{version} meter-stats', ofctl('meter-stats', bridge), r'meter:9')
            has(f'{version} meter-features', ofctl('meter-features', bridge), r'max_meter')
            ofctl('del-meters', bridge)
        if i >= 3:
            has(f'{version} dump-table-features', ofctl('dump-table-features', bridge), r'table 0')
        ofctl('replace-flows', bridge, '-', input='priority=0,actions=NORMAL\n')
        with open(f'{lab.work}/flows.txt', 'w') as f:
            f.write('priority=0,actions=NORMAL\n')
        lab.expect(f'{version} diff-flows', ofctl('diff-flows', bridge, f'{lab.work}/flows.txt'), '')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def monitors(lab):
    """Packets for controllers, flow monitors, port_status and packet_out."""
    for version in VERSIONS:
        # Flow monitors are Nicira's, in OpenFlow 1.0; those of 1.4 and later ovs-ofctl has since 3.0.
        watches = version == 'OpenFlow10' or version >= 'OpenFlow14' and lab.release >= '3'
        name = f'monitor-{version}'
        lab.spawn(name, 'ovs-ofctl', '-O', version, 'monitor', 'br0', '65534', *(['watch:'] if watches else []))
        try:
            monitored(lab, version, name, watches)
        finally:
            lab.kill(name)
        lab.ofctl('del-flows', 'br0', 'dl_type=0x88b8')


def monitored(lab, version, name, watches):
    lab.ofctl('add-flow', 'br0', 'priority=90,dl_type=0x88b8,actions=controller')

    def packet_in():
        lab.ofctl('packet-out', 'br0', f'in_port=1,packet=02000000000202000000000188b8{"00" * 50},actions=table')
        return 'PACKET_IN' in lab.log(name)
    lab.until(f'{version}: a packet_in came', packet_in)
    if watches:
        lab.ofctl('add-flow', 'br0', 'priority=91,dl_type=0x88b8,actions=controller')
        lab.until(f'{version}: the flow monitor tells of a flow', lambda: re.search(r'event=ADDED.*0x88b8', lab.log(name)))
    run('ip', 'link', 'set', 'p4', 'down')
    lab.until(f'{version}: a port_status came', lambda: 'PORT_STATUS' in lab.log(name))
    run('ip', 'link', 'set', 'p4', 'up')


def select_group(lab):
    """A select group: each connection stays with one bucket, the buckets share them."""
    lab.ofctl('add-group', 'br0', 'group_id=3,type=select,selection_method=hash,fields(ip_src,udp_src),'
              'bucket=weight:1,actions=set_field:0x1->reg1,resubmit(,5),bucket=weight:1,actions=set_field:0x2->reg1,resubmit(,5)')
    lab.ofctl('--names', 'add-flow', 'br0', 'priority=50,icmp,in_port=p1,nw_dst=10.0.0.2,actions=group:3')
    lab.ofctl('--names', 'add-flow', 'br0', 'table=5,icmp,actions=output:p2')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))
    lab.ofctl('del-groups', 'br0')
    lab.ofctl('--names', 'del-flows', 'br0', 'icmp')
    lab.ofctl('del-flows', 'br0', 'table=5')
    # A hash of the datapath's own choice: recirculation.
    lab.ofctl('add-group', 'br0', 'group_id=3,type=select,selection_method=dp_hash,bucket=weight:1,actions=output:2,bucket=weight:1,actions=output:2')
    lab.ofctl('--names', 'add-flow', 'br0', 'priority=50,icmp,in_port=p1,nw_dst=10.0.0.2,actions=group:3')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))
    has('dump-flows', lab.dpctl('dump-flows'), r'hash\(|dp_hash\(')
    lab.ofctl('del-groups', 'br0')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def metered(lab):
    """A meter of the datapath, which the release made, counts and drops."""
    lab.ofctl('add-meter', 'br0', 'meter=5,pktps,stats,bands=type=drop,rate=1')
    lab.ofctl('--names', 'add-flow', 'br0', 'priority=60,icmp,in_port=p1,actions=meter:5,NORMAL')
    lab.settled(lambda: None)
    got = lab.flood(1, '10.0.0.2', 20)
    if not 0 < got < 20:
        raise Failed(f'{got} of 20 pings through a meter of one packet a second')
    has('meter-stats', lab.ofctl('meter-stats', 'br0', 'meter=5'), r'meter:5 .*packet_in_count:[1-9]', r'0: packet_count:[1-9]')
    lab.ofctl('del-flows', 'br0', 'icmp')
    lab.ofctl('del-meters', 'br0')
    lab.settled(lambda: lab.pings(1, '10.0.0.2'))


def tools(lab):
    """The release's ovs-dpctl on our datapath, and its ovs-appctl for the same commands in vswitchd."""
    lab.pings(1, '10.0.0.2')
    commands = [lambda *args, **more: lab.dpctl(*args, **more), lambda *args, **more: lab.appctl(f'dpctl/{args[0]}', *args[1:], **more)]
    for ask in commands:
        has('dump-dps', ask('dump-dps'), r'system@ovs-system')
        has('show', ask('show', 'ovs-system'), r'lookups: hit:\d+', r'masks: hit:', r'port \d+: p1')
        has('show -s', ask('show', '-s', 'ovs-system'), r'RX packets:\d+')
        has('dump-flows', ask('dump-flows', 'ovs-system'), r'in_port\(')
        has('dump-flows -m', ask('dump-flows', '-m', 'ovs-system'), r'^ufid:')
        has('dump-flows --names', ask('dump-flows', '--names', 'ovs-system'), r'in_port\(p1\)')
        ask('dump-conntrack')
        has('ct-stats-show', ask('ct-stats-show'), r'Connections Stats')
        has('ct-get-limits', ask('ct-get-limits'), r'default limit=0')
        ask('ct-set-limits', 'ovs-system', 'default=10', 'zone=3,limit=5')
        has('ct-get-limits', ask('ct-get-limits', 'ovs-system', 'zone=3'), r'default limit=10', r'zone=3,limit=5,count=0')
        ask('ct-del-limits', 'ovs-system', 'zone=3')
        ask('ct-set-limits', 'ovs-system', 'default=0')
        # With a datapath's name 3.1.0 fails.
        ask('flush-conntrack', 'zone=3')
        has('cache-get-size', ask('cache-get-size', 'ovs-system'), r'masks-cache: size: ?\d+')
        ask('cache-set-size', 'ovs-system', 'masks-cache', '256')
    dpctl = lab.dpctl
    dpctl('add-dp', 'dp9')
    run('ip', 'link', 'add', 'o1', 'type', 'veth', 'peer', 'name', 'o2')
    dpctl('add-if', 'dp9', 'o1', 'o2')
    dpctl('add-flow', 'dp9', 'in_port(1),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(dst=9)', 'push_vlan(vid=5,pcp=0),2')
    has('dump-flows dp9', dpctl('dump-flows', 'dp9'), r'udp\(dst=9\)', r'push_vlan\(vid=5,pcp=0\),2')
    dpctl('mod-flow', 'dp9', 'in_port(1),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(dst=9)', '1')
    dpctl('del-flows', 'dp9')
    dpctl('del-if', 'dp9', 'o2')
    dpctl('del-dp', 'dp9')
    run('ip', 'link', 'del', 'o1')


def appctl(lab):
    """Commands of vswitchd that people and scripts use."""
    has('ofproto/trace', lab.appctl('ofproto/trace', 'br0', 'in_port=1,icmp,nw_src=10.0.0.1,nw_dst=10.0.0.2'), r'Final flow:', r'Datapath actions:')
    has('ofproto/list', lab.appctl('ofproto/list'), r'^br0$')
    has('dpif/show', lab.appctl('dpif/show'), r'^system@ovs-system: hit:', r'p1 \d+/\d+: \(system\)')
    has('dpif/dump-flows', lab.appctl('dpif/dump-flows', 'br0'), r'in_port\(')
    has('dpif/show-dp-features', lab.appctl('dpif/show-dp-features', 'br0'), r'^Recirc: Yes', r'^CT state: Yes', r'^Max dp_hash algorithm: ')
    has('upcall/show', lab.appctl('upcall/show'), r'flows +: \(current', r'ufid enabled : true')
    has('fdb/show', lab.appctl('fdb/show', 'br0'), re.escape(mac(1)))
    has('bridge/dump-flows', lab.appctl('bridge/dump-flows', 'br0'), r'NORMAL')
    has('dpif-netlink/dispatch-mode', lab.appctl('dpif-netlink/dispatch-mode'), r'^ovs-system: per-(cpu|vport) dispatch mode')
    for command in ('coverage/show', 'memory/show', 'vlog/list', 'list-commands', 'fdb/stats-show br0', 'tnl/ports/show',
                    'ovs/route/show', 'revalidator/wait'):
        lab.appctl(*command.split())


def status(lab):
    """What vswitchd writes into a database of this release."""
    get = lambda *args: lab.vsctl('--if-exists', 'get', *args).strip()  # noqa: E731
    has('Open_vSwitch datapath_types', get('open_vswitch', '.', 'datapath_types'), r'system')
    has('Open_vSwitch iface_types', get('open_vswitch', '.', 'iface_types'), r'vxlan')
    has('Open_vSwitch cur_cfg', str(get('open_vswitch', '.', 'cur_cfg') == get('open_vswitch', '.', 'next_cfg')), r'True')
    has('Interface status', get('interface', 'p1', 'status'), r'driver_name=veth')
    has('Interface mac_in_use', get('interface', 'p1', 'mac_in_use'), r':')
    lab.until('counters are written', lambda: re.search(r'rx_packets=[1-9]', get('interface', 'p1', 'statistics')))
    lab.until('the link is up', lambda: get('interface', 'p1', 'link_state') == 'up')
    has('datapath_id', get('bridge', 'br0', 'datapath_id'), r'"?[0-9a-f]{16}')
    lab.vsctl('set-controller', 'br0', 'tcp:127.0.0.1:1')
    lab.until('the controller is tried', lambda: re.search(r'state=BACKOFF|last_error=', get('controller', 'br0', 'status')))
    lab.vsctl('del-controller', 'br0')
    lab.vsctl('set', 'open_vswitch', '.', 'other_config:enable-statistics=true')
    lab.until('statistics of the system are written', lambda: re.search(r'cpu=', get('open_vswitch', '.', 'statistics')))
    lab.vsctl('set', 'open_vswitch', '.', 'other_config:enable-statistics=false')


def zones(lab):
    """Timeouts and limits of conntrack zones, as far as the release's database has them."""
    lab.vsctl('--', '--id=@d', 'create', 'datapath', 'datapath_version=0', '--', 'set', 'open_vswitch', '.', 'datapaths:system=@d')
    lab.vsctl('add-zone-tp', 'system', 'zone=4', 'udp_single=7', 'icmp_first=9')
    has('list-zone-tp', lab.vsctl('list-zone-tp', 'system'), r'udp_single=7')
    lab.ofctl('add-flow', 'br0', 'priority=80,icmp,actions=ct(commit,zone=4),NORMAL')
    lab.until('connections are tracked', lambda: lab.ping(1, '10.0.0.2', 1) and 'zone=4' in lab.dpctl('dump-conntrack'))
    if 'set-zone-limit' in run('ovs-vsctl', '--help'):
        lab.vsctl('set-zone-limit', 'system', '4', '3')
        lab.until('the limit is the datapath\'s', lambda: 'zone=4,limit=3' in lab.dpctl('ct-get-limits', 'ovs-system', 'zone=4'))
        has('list-zone-limits', lab.vsctl('list-zone-limits', 'system'), r'4')
        lab.vsctl('del-zone-limit', 'system', '4')
    lab.ofctl('del-flows', 'br0', 'icmp')
    lab.vsctl('del-zone-tp', 'system', 'zone=4')
    lab.dpctl('flush-conntrack')
    lab.pings(1, '10.0.0.2')


def restored(lab):
    """The other vswitchd takes the datapath over, as an upgrade or a downgrade does, and gives it back."""
    for _ in range(2):
        lab.stop_vswitchd()
        lab.other_side()
        lab.start_vswitchd()
        # What comes while a vswitchd configures its ports may be lost.
        lab.until('hosts reach each other', lambda: lab.ping(1, '10.0.0.2') == 3 and lab.ping(3, '10.0.0.4') == 3)
        lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))
        if features(Netlink(DATAPATH)) & UNALIGNED == 0:
            raise Failed('the datapath has no features')


def features(netlink, name=b'ovs-system\0'):
    """The features that are in force on a datapath."""
    errno, replies = netlink.request(netlink.family('ovs_datapath'), OVS_DP_CMD_GET, struct.pack('=I', 0) + attr(OVS_DP_ATTR_NAME, name), version=2)
    if errno:
        raise Failed(f'a datapath is asked for: errno {errno}')
    return struct.unpack('=I', dict(attrs(replies[0][8:]))[OVS_DP_ATTR_USER_FEATURES])[0]


def old_client(lab):
    """A client of before there were features finds the datapath there: it gets it without them.  The next vswitchd sets its own."""
    netlink = Netlink(DATAPATH)
    before = features(netlink)
    if before & UNALIGNED == 0:
        raise Failed(f'features 0x{before:x}')
    lab.stop_vswitchd()
    make = struct.pack('=I', 0) + attr(OVS_DP_ATTR_NAME, b'ovs-system\0') + attr(OVS_DP_ATTR_UPCALL_PID, struct.pack('=I', netlink.pid))
    for version, after in ((2, before), (1, 0)):
        errno, _ = netlink.request(netlink.family('ovs_datapath'), OVS_DP_CMD_NEW, make, version=version)
        lab.expect(f'errno for version {version}', errno, EEXIST)
        lab.expect(f'features after version {version}', features(netlink), after)
    has('show', lab.dpctl('show'), r'port \d+: p1')
    lab.start_vswitchd()
    lab.until('features are back', lambda: features(netlink) == before)
    lab.until('hosts reach each other', lambda: lab.ping(1, '10.0.0.2', 1))
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def of_combos(*names):
    """Steps of scripts/combos, by name."""
    return [step for step in steps.STEPS if step.__name__ in names]


STEPS = [
    *of_combos('start', 'ping4', 'ping6', 'internal', 'internal_gone', 'vlan', 'native', 'plain', 'patch', 'patch_gone', 'flows', 'flows_gone',
               'conntrack', 'conntrack_gone', 'mirror', 'mirror_gone', 'vxlan', 'vxlan_gone'),
    versions, monitors, select_group, metered, tools, appctl, status, zones,
    *of_combos('killed', 'stopped'),
    restored, old_client,
    *of_combos('cleanup'),
]
