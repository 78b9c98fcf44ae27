"""Matches that a frame has, mostly: some of what it says of itself, some of that masked, and what only a switch knows."""
from text import ip, ip6, value

IP = {0x800: 'ip', 0x86DD: 'ipv6'}
L4 = {(0x800, 6): 'tcp', (0x800, 17): 'udp', (0x800, 132): 'sctp', (0x800, 1): 'icmp',
      (0x86DD, 6): 'tcp6', (0x86DD, 17): 'udp6', (0x86DD, 132): 'sctp6', (0x86DD, 58): 'icmp6'}
WITH_PORTS = ('tcp', 'udp', 'sctp', 'tcp6', 'udp6', 'sctp6')
# A frame's field: OpenFlow's name, its kind, its bits, whether it may be masked, and when it may be named.
FIELDS = {
    'eth_src': ('dl_src', 'mac', 48, True, lambda p: True),
    'eth_dst': ('dl_dst', 'mac', 48, True, lambda p: True),
    'nw_src': ('nw_src', 'ip', 32, True, lambda p: p.eth_type == 0x800),
    'nw_dst': ('nw_dst', 'ip', 32, True, lambda p: p.eth_type == 0x800),
    'arp_sip': ('arp_spa', 'ip', 32, True, lambda p: p.eth_type == 0x806),
    'arp_tip': ('arp_tpa', 'ip', 32, True, lambda p: p.eth_type == 0x806),
    'arp_op': ('arp_op', 'dec', 8, False, lambda p: p.eth_type == 0x806),
    'arp_sha': ('arp_sha', 'mac', 48, True, lambda p: p.eth_type == 0x806),
    'arp_tha': ('arp_tha', 'mac', 48, True, lambda p: p.eth_type == 0x806),
    'v6_src': ('ipv6_src', 'ip6', 128, True, lambda p: p.eth_type == 0x86DD),
    'v6_dst': ('ipv6_dst', 'ip6', 128, True, lambda p: p.eth_type == 0x86DD),
    'v6_label': ('ipv6_label', 'hex', 20, True, lambda p: p.eth_type == 0x86DD),
    'nw_ttl': ('nw_ttl', 'dec', 8, False, lambda p: p.is_ip),
    'l4_src': ('tp_src', 'hex', 16, True, lambda p: p.l4 in WITH_PORTS),
    'l4_dst': ('tp_dst', 'hex', 16, True, lambda p: p.l4 in WITH_PORTS),
    'icmp_type': ('icmp_type', 'dec', 8, False, lambda p: p.l4 in ('icmp', 'icmp6')),
    'icmp_code': ('icmp_code', 'dec', 8, False, lambda p: p.l4 in ('icmp', 'icmp6')),
    'nd_target': ('nd_target', 'ip6', 128, True, lambda p: p.l4 == 'nd'),
}
STATES = ['+trk', '-trk', '+trk+new', '+trk+est', '+trk+inv', '+new', '+trk-new', '+trk+est+rpl', '+trk+est-rpl', '+trk+rel', '+trk+snat',
          '+trk+dnat', '0/0x2', '0x21/0x23']


class Packet:
    """What a flow's actions may rely on: what its match says of the packet."""

    def __init__(self, eth_type=None, proto=None, source=None, is_nd=False, is_tagged=False):
        self.eth_type, self.proto, self.source = eth_type, proto, source
        self.is_nd, self.is_tagged = is_nd, is_tagged

    is_ip = property(lambda self: self.eth_type in IP)
    is_mpls = property(lambda self: self.eth_type in (0x8847, 0x8848))

    @property
    def l4(self):
        return 'nd' if self.is_nd else L4.get((self.eth_type, self.proto))


def protocol(r, spec, packet):
    """The first word of a match: what kind of packet it is, as far as it says."""
    eth_type, proto = spec['type'][1], spec.get('nw_proto', (1, None))[1]
    packet.eth_type = eth_type
    if eth_type in IP:
        name = L4.get((eth_type, proto))
        if name and r.random() < 0.6:
            packet.proto = proto
            if name == 'icmp6' and 'nd_target' in spec and r.random() < 0.6:
                packet.is_nd = True
                return f"icmp6,icmp_type={spec['icmp_type'][1]},icmp_code=0"
            return name
        if proto is not None and r.random() < 0.2:
            packet.proto = proto
            return f'{IP[eth_type]},nw_proto={proto}'
        return IP[eth_type]
    if eth_type in (0x8847, 0x8848):
        return 'mpls' if eth_type == 0x8847 else 'mplsm'
    if eth_type == 0x806:
        return 'arp'
    if eth_type >= 0x600:
        return f'dl_type={eth_type:#x}'
    packet.eth_type = None
    return f'dl_type={eth_type:#x}' if r.random() < 0.1 else ''


def vlan(r, spec, packet):
    tci = spec.get('tci0', (2, 0))[1]
    text = r.choice([f'dl_vlan={tci & 0xfff}' if tci else 'vlan_tci=0', 'vlan_tci=0x1000/0x1000', f'dl_vlan_pcp={tci >> 13}',
                     f'vlan_tci={tci:#x}/{(r.getrandbits(13) | 0x1000):#x}', 'dl_vlan=100', f'vlan_vid={tci & 0x1fff:#x}/0x1fff', 'vlan_vid=0'])
    packet.is_tagged = bool(tci) and text != 'vlan_vid=0'
    return text


def registers(r, packet):
    """What earlier tables left."""
    text = r.choice([f'reg{r.randint(0, 2)}=' + r.choice(['0', '1', '0x5/0x5', '0x10', '0/0xff00']), 'metadata=' + r.choice(['0', '0x5', '0x1/0x1']),
                     'xreg0=' + r.choice(['0', '0x5', '0x100000000/0xf00000000']), 'xxreg0=' + r.choice(['0', '0x5', '0/0xff']), 'tun_id=' + r.choice(['0', '0x17', '0x10/0xf0']),
                     'pkt_mark=' + r.choice(['0', '7', '0x1/0x3']), 'actset_output=' + r.choice(['2', 'unset']), 'conj_id=7'])
    return text


def connection(r, packet):
    parts = [f'ct_state={r.choice(STATES)}']
    if r.random() < 0.2:
        parts.append(r.choice(['ct_zone=1', 'ct_mark=5', 'ct_mark=0x1/0x1', 'ct_label=0x7', 'ct_label=0/0xf0']))
    if r.random() < 0.1 and '+trk' in parts[0]:
        parts.append('ct_nw_src=10.0.0.0/8' if packet.eth_type == 0x800 else 'ct_ipv6_src=fd00::/16')
    return ','.join(parts)


def rare(r):
    """What is refused, or means something else than it seems to."""
    return r.choice(['nw_dst=10.0.0.1', 'tcp_dst=80', 'bogus=1', 'reg17=1', 'in_port=77', 'in_port=LOCAL', 'packet_type=(0,0)', 'nw_tos=3', 'tun_src=1.2.3.4',
                     'ip_dscp=64', 'dl_vlan=5000', 'tcp,icmp_type=1', 'ipv6_label=0x100000', 'dl_type=0x9999', 'nsh_spi=1', 'dl_src=1', 'nw_src=1.2.3'])


def match(r, spec, table, ports):
    """(text, Packet) of a match that the frame of `spec` has, mostly."""
    parts, packet = [], Packet()
    if r.random() < 0.3:
        parts.append(f'in_port={r.choice(ports)}')
    if r.random() < 0.75:
        parts.append(protocol(r, spec, packet))
    for key, (name, kind, bits, may_mask, is_there) in FIELDS.items():
        if key not in spec or not is_there(packet) or r.random() < 0.75:
            continue
        text = value(r, kind, bits, spec[key][1], may_mask)
        parts.append(f'{name}={text}')
        if key in ('nw_src', 'v6_src') and '/' not in text:
            packet.source = text
    if packet.is_nd and 'nd_sll' in spec and spec['icmp_type'][1] == 135 and r.random() < 0.4:
        parts.append(f"nd_sll={value(r, 'mac', 48, spec['nd_sll'][1])}")
    if packet.l4 in ('tcp', 'tcp6') and r.random() < 0.2:
        parts.append('tcp_flags=' + r.choice(['+syn', '+ack', '-rst', '+syn-ack', '0x2/0x3f', '0x10']))
    if packet.is_mpls and r.random() < 0.5:
        label = spec.get('mpls0', (4, 0))[1]
        parts.append(r.choice([f'mpls_label={label >> 12}', f'mpls_bos={label >> 8 & 1}', f'mpls_tc={label >> 9 & 7}', f'mpls_ttl={label & 255}']))
    if r.random() < 0.15:
        parts.append(vlan(r, spec, packet))
    if packet.is_ip and r.random() < 0.1:
        parts.append('ip_frag=' + r.choice(['no', 'yes', 'first', 'later', 'not_later']))
    if packet.is_ip and r.random() < 0.12:
        parts.append(r.choice([f'nw_tos={r.choice([0, 4, 0xb8, 0xfc])}', 'ip_dscp=46', f'nw_ecn={r.randint(0, 3)}']))
    if table > 0 and r.random() < 0.35:
        parts.append(registers(r, packet))
    if table > 0 and packet.is_ip and r.random() < 0.3:
        parts.append(connection(r, packet))
    if r.random() < 0.03:
        parts.append(rare(r))
    return ','.join(part for part in parts if part), packet


def conjunctions(r, drawn, table, ports, number):
    """Flows of a conjunction: two or three dimensions with some matches each, and what is done with packets of all."""
    n, priority = r.randint(2, 3), r.choice([20, 500])
    known = [spec for _, spec in drawn if 'nw_src' in spec]
    if not known:
        return []
    spec = r.choice(known)
    words = [[f'nw_src={ip(spec["nw_src"][1])}', 'nw_src=10.0.0.0/24', 'nw_src=192.168.0.0/16'],
             [f'nw_dst={ip(spec["nw_dst"][1])}', 'nw_dst=10.0.0.0/8', 'nw_dst=224.0.0.0/4'],
             [f'in_port={port}' for port in ports]][:n]
    flows = []
    for index, choices in enumerate(words):
        for word in r.sample(choices, r.randint(1, len(choices))):
            more = f',conjunction({number + 1},{index + 1}/{n})' if r.random() < 0.2 else ''
            flows.append(f'table={table},priority={priority},ip,{word},actions=conjunction({number},{index + 1}/{n}){more}')
    flows.append(f'table={table},priority={priority},conj_id={number},ip,actions=' + r.choice(['output:2', 'mod_dl_src:02:00:00:00:00:cc,output:3', f'resubmit(,{table + 1})']))
    return flows
