"""Random flow tables in the words of ovs-ofctl, with groups and frames, for two vswitchds to make the same of: scenarios of
scripts/vswitchd-diff.

  random_tables.py SEED OUT.json

A scenario is {"groups": [text], "flows": [text], "frames": [[port, hex]]}.  Matches are drawn from what the scenario's frames say of
themselves, some fields of it, some of these masked, so that most flows are hit; actions fit their match, but for a few that are to be
refused.
"""
import json, os, random, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import random_frames

PORTS = (1, 2, 3, 4)
TABLES = (0, 1, 2, 3)
MACS = ['02:00:00:00:00:01', '02:00:00:00:00:a3', '01:00:5e:00:00:01']
# OpenFlow's name of a field of a frame, its kind, and whether it may be masked.
NAMES = {
    'eth_src': ('dl_src', 'mac', True), 'eth_dst': ('dl_dst', 'mac', True),
    'nw_src': ('nw_src', 'ip', True), 'nw_dst': ('nw_dst', 'ip', True),
    'arp_sip': ('arp_spa', 'ip', True), 'arp_tip': ('arp_tpa', 'ip', True), 'arp_op': ('arp_op', 'dec', False),
    'v6_src': ('ipv6_src', 'ip6', True), 'v6_dst': ('ipv6_dst', 'ip6', True), 'v6_label': ('ipv6_label', 'hex', True),
    'nw_ttl': ('nw_ttl', 'dec', False), 'l4_src': ('tp_src', 'hex', True), 'l4_dst': ('tp_dst', 'hex', True),
    'icmp_type': ('icmp_type', 'dec', False), 'icmp_code': ('icmp_code', 'dec', False),
}
IP = {0x800: 'ip', 0x86DD: 'ipv6'}
L4 = {(0x800, 6): 'tcp', (0x800, 17): 'udp', (0x800, 132): 'sctp', (0x800, 1): 'icmp',
      (0x86DD, 6): 'tcp6', (0x86DD, 17): 'udp6', (0x86DD, 132): 'sctp6', (0x86DD, 58): 'icmp6'}


def mac(n):
    return ':'.join(f'{n:012x}'[i:i + 2] for i in range(0, 12, 2))


def ip(n):
    return '.'.join(str(b) for b in n.to_bytes(4, 'big'))


def ip6(n):
    return ':'.join(f'{n:032x}'[i:i + 4] for i in range(0, 32, 4))


TEXT = {'mac': mac, 'ip': ip, 'ip6': ip6, 'hex': hex, 'dec': str}


def value(r, kind, width, n, may_mask):
    text = TEXT[kind]
    if not may_mask or r.random() < 0.6:
        return text(n)
    bits = 20 if width == 4 and kind == 'hex' else 8 * width
    if kind == 'mac' or r.random() < 0.3:
        mask = r.getrandbits(bits)
    else:
        mask = (1 << bits) - (1 << bits - r.randint(1, bits))
    return f'{text(n & mask)}/{text(mask)}'


class Packet:
    """What a flow's actions may rely on: what its match says of the packet."""

    def __init__(self, eth_type=None, proto=None):
        self.eth_type, self.proto = eth_type, proto

    is_ip = property(lambda self: self.eth_type in IP)
    l4 = property(lambda self: L4.get((self.eth_type, self.proto)))


def match(r, spec, table):
    """(text, Packet) of a match that the frame of `spec` has, mostly."""
    parts, packet = [], Packet()
    if r.random() < 0.3:
        parts.append(f'in_port={r.choice(PORTS)}')
    eth_type = spec['type'][1]
    if r.random() < 0.75:
        proto = spec.get('nw_proto', (1, None))[1]
        if eth_type in IP:
            packet.eth_type = eth_type
            name = L4.get((eth_type, proto))
            if name and r.random() < 0.6:
                parts.append(name)
                packet.proto = proto
            else:
                parts.append(IP[eth_type])
        elif eth_type == 0x806:
            parts.append('arp')
            packet.eth_type = eth_type
        elif eth_type >= 0x600 and eth_type not in (0x8847, 0x8848):
            parts.append(f'dl_type={eth_type:#x}')
            packet.eth_type = eth_type
        elif eth_type in (0x8847, 0x8848):
            parts.append('mpls' if eth_type == 0x8847 else 'mplsm')
            packet.eth_type = eth_type
    for key, (name, kind, may_mask) in NAMES.items():
        if key not in spec or r.random() < 0.75:
            continue
        if key.startswith(('nw_s', 'nw_d')) and packet.eth_type != 0x800 or key.startswith('v6') and packet.eth_type != 0x86DD:
            continue
        if key.startswith('arp') and packet.eth_type != 0x806 or key == 'nw_ttl' and not packet.is_ip:
            continue
        if key.startswith('l4') and packet.l4 not in ('tcp', 'udp', 'sctp', 'tcp6', 'udp6', 'sctp6'):
            continue
        if key.startswith('icmp_') and packet.l4 not in ('icmp', 'icmp6'):
            continue
        width, n = spec[key]
        parts.append(f'{name}={value(r, kind, width, n, may_mask)}')
    if packet.l4 in ('tcp', 'tcp6') and r.random() < 0.2:
        parts.append('tcp_flags=' + r.choice(['+syn', '+ack', '-rst', '+syn-ack', '0x2/0x3f']))
    if r.random() < 0.12:
        tci = spec.get('tci0', (2, 0))[1]
        parts.append(r.choice([f'dl_vlan={tci & 0xfff}' if tci else 'vlan_tci=0', 'vlan_tci=0x1000/0x1000',
                               f'vlan_tci={tci:#x}/{(r.getrandbits(13) | 0x1000):#x}', 'dl_vlan=100']))
    if packet.is_ip and r.random() < 0.1:
        parts.append('ip_frag=' + r.choice(['no', 'yes', 'first', 'later', 'not_later']))
    if packet.is_ip and r.random() < 0.1:
        parts.append(f'nw_tos={r.choice([0, 4, 0xb8, 0xfc])}')
    if table > 0 and r.random() < 0.3:
        parts.append(f'reg{r.randint(0, 2)}=' + r.choice(['0', '1', '0x5/0x5', '0x10']))
    if table > 0 and r.random() < 0.15:
        parts.append('metadata=' + r.choice(['0', '0x5', '0x1/0x1']))
    if table > 0 and packet.is_ip and r.random() < 0.25:
        parts.append('ct_state=' + r.choice(['+trk', '-trk', '+trk+new', '+trk+est', '+trk+inv', '+new']))
    if r.random() < 0.02:
        parts.append(r.choice(['nw_dst=10.0.0.1', 'tcp_dst=80', 'bogus=1', 'reg17=1']))
    r.shuffle(parts)
    return ','.join(parts), packet


def simple(r, packet, has_groups):
    """One action without a list of its own."""
    choices = ['output', 'output', 'output', 'reg', 'reg', 'mac', 'mac', 'vlan', 'normal', 'flood', 'in_port', 'all', 'move', 'stack',
               'note', 'controller', 'trunc', 'queue', 'multipath', 'bundle', 'tunnel', 'local', 'outreg']
    if packet.is_ip:
        choices += ['ip', 'ip', 'ttl', 'tos', 'ct', 'ct', 'ct_clear']
    if packet.l4 in ('tcp', 'udp', 'tcp6', 'udp6'):
        choices += ['port', 'port', 'learn']
    if packet.l4 == 'tcp':
        choices += ['fin']
    if has_groups:
        choices += ['group', 'group']
    kind = r.choice(choices)
    port = r.choice(PORTS)
    if kind == 'reg':
        return r.choice([f'load:{r.choice([0, 1, 5, 16])}->NXM_NX_REG{r.randint(0, 2)}[]', f'load:1->NXM_NX_REG0[{r.randint(0, 31)}]',
                         'set_field:0x5->metadata', 'set_field:0x1/0x3->reg1'])
    if kind == 'mac':
        return r.choice([f'mod_dl_src:{r.choice(MACS)}', f'mod_dl_dst:{r.choice(MACS)}',
                         'set_field:00:00:00:00:00:10/00:00:00:00:00:f0->eth_dst'])
    if kind == 'vlan':
        return r.choice([f'mod_vlan_vid:{r.choice([1, 100, 4095])}', 'mod_vlan_pcp:5', 'strip_vlan', 'push_vlan:0x8100', 'push_vlan:0x88a8'])
    if kind in ('normal', 'flood', 'in_port', 'all', 'local'):
        return kind
    if kind == 'move':
        return r.choice(['move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]', 'move:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15]',
                         'move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG0[0..11]', 'move:NXM_NX_REG0[0..7]->NXM_OF_ETH_SRC[0..7]'])
    if kind == 'stack':
        return r.choice(['push:NXM_NX_REG0[]', 'push:NXM_OF_ETH_SRC[]', 'pop:NXM_NX_REG2[]', 'pop:NXM_OF_ETH_DST[]'])
    if kind == 'note':
        return 'note:00.11.22.33.44.55'
    if kind == 'controller':
        return r.choice(['controller', 'controller(max_len=60)', 'controller(userdata=01.02.03)'])
    if kind == 'trunc':
        return f'output(port={port},max_len={r.choice([14, 60, 200])})'
    if kind == 'queue':
        return r.choice(['set_queue:1', 'pop_queue', f'enqueue:{port}:1'])
    if kind == 'multipath':
        return 'multipath(' + r.choice(['eth_src', 'symmetric_l4', 'symmetric_l3l4', 'symmetric_l3']) + ',50,' + r.choice(
            ['modulo_n', 'hash_threshold', 'hrw', 'iter_hash']) + f',{r.choice([1, 3, 16])},0,NXM_NX_REG1[0..7])'
    if kind == 'bundle':
        return r.choice(['bundle(symmetric_l4,60,hrw,ofport,members:1,2,3)', 'bundle(eth_src,0,active_backup,ofport,members:4,1)',
                         'bundle_load(symmetric_l3l4,7,hrw,ofport,NXM_NX_REG0[],members:1,2,3,4)'])
    if kind == 'tunnel':
        return 'set_tunnel:' + r.choice(['0', '0x17'])
    if kind == 'outreg':
        return 'output:NXM_NX_REG0[0..15]'
    if kind == 'ip':
        if packet.eth_type == 0x800:
            return r.choice(['mod_nw_src:10.9.9.9', 'mod_nw_dst:10.0.0.2', 'set_field:10.0.0.0/255.0.0.255->ip_src'])
        return r.choice(['set_field:fd00::9->ipv6_src', 'set_field:fd00::2->ipv6_dst', 'set_field:0x5->ipv6_label'])
    if kind == 'ttl':
        return r.choice(['dec_ttl', 'mod_nw_ttl:9'])
    if kind == 'tos':
        return r.choice(['mod_nw_tos:184', 'mod_nw_ecn:2'])
    if kind == 'ct':
        inner = []
        if r.random() < 0.5:
            inner.append('commit')
            if r.random() < 0.4:
                inner.append('exec(load:5->NXM_NX_CT_MARK[])')
        if r.random() < 0.7:
            inner.append(f'table={r.choice(TABLES[1:])}')
        if r.random() < 0.5:
            inner.append(f'zone={r.choice([0, 1, 9])}')
        if 'commit' in inner and packet.eth_type == 0x800 and r.random() < 0.3:
            inner.append('nat(src=10.200.0.1)')
        return f"ct({','.join(inner)})"
    if kind == 'ct_clear':
        return 'ct_clear'
    if kind == 'port':
        l4 = packet.l4.rstrip('6')
        return r.choice([f'mod_tp_src:{r.choice([0, 80, 65535])}', f'mod_tp_dst:{r.choice([53, 5000])}', f'set_field:8/0xff->{l4}_dst'])
    if kind == 'learn':
        l4 = packet.l4.rstrip('6').upper()
        return (f'learn(table={r.choice(TABLES[1:])},priority=77,idle_timeout=300,eth_type={packet.eth_type:#x},nw_proto={packet.proto},'
                f'NXM_OF_{l4}_DST[]=NXM_OF_{l4}_SRC[],' + r.choice(['output:NXM_OF_IN_PORT[]', 'load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]']) + ')')
    if kind == 'fin':
        return 'fin_timeout(idle_timeout=100,hard_timeout=200)'
    if kind == 'group':
        return f'group:{r.randint(1, 4)}'
    return f'output:{port}'


def actions(r, packet, table, has_groups):
    if r.random() < 0.05:
        return 'drop'
    found = []
    for _ in range(r.choice([1, 1, 2, 2, 3, 4, 6])):
        chance = r.random()
        if chance < 0.13:
            found.append(f'resubmit({r.choice(["", "", 1, 2, 4])},{r.choice(TABLES)})')
        elif chance < 0.19:
            inner = [simple(r, packet, has_groups) for _ in range(r.randint(1, 3))]
            found.append(f"clone({','.join(a for a in inner if 'enqueue' not in a)})")
        elif chance < 0.22:
            found.append(f'check_pkt_larger({r.choice([60, 100, 500])})->NXM_NX_REG0[0]')
        elif chance < 0.23:
            found.append('exit')
        else:
            found.append(simple(r, packet, has_groups))
    if r.random() < 0.08:
        found.append(f"write_actions({','.join(simple(r, Packet(), has_groups) for _ in range(2))})" if r.random() < 0.5 else 'write_metadata:0x5')
    if table < TABLES[-1] and r.random() < 0.3:
        found.append(f'goto_table:{r.randint(table + 1, TABLES[-1])}')
    return ','.join(found)


def groups(r):
    found = []
    for number in range(1, 5):
        kind = r.choice(['all', 'select', 'select', 'indirect', 'ff'])
        if r.random() < 0.2:
            continue
        buckets, has_ids = [], r.random() < 0.5
        for index in range(1 if kind == 'indirect' else r.randint(1, 4)):
            parts = [f'bucket_id:{7 * index}'] if has_ids else []
            if kind == 'select' and r.random() < 0.6:
                parts.append(f'weight:{r.choice([0, 1, 5, 100])}')
            if kind == 'ff':
                parts.append(f'watch_port:{r.choice(PORTS)}')
            inner = [simple(r, Packet(), False) for _ in range(r.randint(1, 2))]
            parts.append('actions=' + ','.join(inner))
            buckets.append('bucket=' + ','.join(parts))
        method = ''
        if kind == 'select' and r.random() < 0.5:
            method = r.choice(['selection_method=hash,fields(eth_src,eth_dst),', 'selection_method=hash,fields=eth_dst,', 'selection_method=dp_hash,'])
        found.append(f'group_id={number},type={kind},{method}' + ','.join(buckets))
    return found


def scenario(seed):
    r = random.Random(seed)
    drawn = [random_frames.draw(r) for _ in range(r.randint(4, 8))]
    listed = groups(r) if r.random() < 0.4 else []
    flows = []
    for table in TABLES:
        for _ in range(r.randint(3, 7) if table == 0 else r.randint(1, 5)):
            text, packet = match(r, r.choice(drawn)[1], table)
            start = f'table={table},priority={r.choice([1, 10, 10, 100, 1000])},cookie={r.getrandbits(16):#x}'
            flows.append(','.join(p for p in (start, text) if p) + ',actions=' + actions(r, packet, table, bool(listed)))
        if r.random() < 0.7:
            flows.append(f'table={table},priority=0,actions=' + r.choice(['normal', 'normal', 'drop', f'resubmit(,{table + 1})', 'output:4']))
    frames = []
    for _ in range(r.randint(10, 20)):
        frames.append([r.choice(PORTS), r.choice(drawn)[0].hex()])
    return {'seed': seed, 'groups': listed, 'flows': flows, 'frames': frames}


if __name__ == '__main__':
    with open(sys.argv[2], 'w') as f:
        json.dump(scenario(int(sys.argv[1])), f, indent=1)
