"""Single actions in the words of ovs-ofctl, by what they are about.  `World` says what there is beside the packet."""
from dataclasses import dataclass, field

MACS = ['02:00:00:00:00:01', '02:00:00:00:00:a3', '01:00:5e:00:00:01']


@dataclass
class World:
    """What a scenario's actions may name."""
    ports: tuple
    tables: tuple
    groups: list = field(default_factory=list)
    meters: list = field(default_factory=list)
    n_addresses: int = 0

    def new_address(self):
        """One that no other NAT of the scenario uses: which port a second connection would get is chance."""
        self.n_addresses += 1
        return self.n_addresses


def output(r, packet, world):
    port = r.choice(world.ports)
    return r.choice([f'output:{port}'] * 8 + ['normal', 'normal', 'flood', 'in_port', 'all', 'local', f'output(port={port},max_len={r.choice([14, 60, 200])})',
                     'output:NXM_NX_REG0[0..15]', 'output:99', f'output(port={port},max_len=13)'])


def register(r, packet, world):
    n = r.randint(0, 2)
    return r.choice([f'load:{r.choice([0, 1, 5, 16])}->NXM_NX_REG{n}[]', f'load:1->NXM_NX_REG0[{r.randint(0, 31)}]', 'set_field:0x5->metadata',
                     'set_field:0x1/0x3->reg1', 'set_field:0x100000005->xreg0', 'set_field:0x5/0xff->xxreg0', 'load:7->NXM_NX_PKT_MARK[]',
                     'set_field:0x1/0x3->pkt_mark', 'set_tunnel:0x17', 'set_tunnel:0', 'set_tunnel64:0x1700000017', 'set_field:0x10/0xf0->tun_id',
                     'load:0x3->OXM_OF_METADATA[8..11]', 'delete_field:reg1', 'write_metadata:0x5/0xf'])


def ethernet(r, packet, world):
    return r.choice([f'mod_dl_src:{r.choice(MACS)}', f'mod_dl_dst:{r.choice(MACS)}', 'set_field:00:00:00:00:00:10/00:00:00:00:00:f0->eth_dst',
                     f'set_field:{r.choice(MACS)}->eth_src', 'load:0x5->NXM_OF_ETH_SRC[0..7]'])


def tag(r, packet, world):
    listed = [f'mod_vlan_vid:{r.choice([1, 100, 4095])}', 'mod_vlan_pcp:5', 'strip_vlan', 'push_vlan:0x8100', 'push_vlan:0x88a8', 'pop_vlan',
              'push_vlan:0x8100,set_field:4196->vlan_vid', 'push_vlan:0x88a8,set_field:4106->vlan_vid,push_vlan:0x8100,set_field:4107->vlan_vid',
              'load:0x1064->NXM_OF_VLAN_TCI[]']
    if packet.is_tagged:
        listed += ['set_field:4196->vlan_vid', 'set_field:3->vlan_pcp', 'set_vlan_vid:7', 'set_vlan_pcp:1']
    return r.choice(listed)


def copy(r, packet, world):
    listed = ['move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]', 'move:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15]', 'move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG0[0..11]',
              'move:NXM_NX_REG0[0..7]->NXM_OF_ETH_SRC[0..7]', 'move:NXM_NX_REG0[]->NXM_NX_REG2[]', 'move:NXM_OF_ETH_SRC[16..47]->NXM_NX_REG1[]',
              'move:NXM_NX_XXREG0[0..31]->NXM_NX_REG2[]', 'move:NXM_NX_TUN_ID[0..15]->NXM_NX_REG1[8..23]',
              'push:NXM_NX_REG0[]', 'push:NXM_OF_ETH_SRC[]', 'pop:NXM_NX_REG2[]', 'pop:NXM_OF_ETH_DST[]', 'pop:NXM_NX_REG0[4..11]']
    if packet.eth_type == 0x800:
        listed += ['move:NXM_OF_IP_SRC[]->NXM_NX_REG0[]', 'move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]', 'move:NXM_NX_REG0[0..7]->NXM_OF_IP_DST[24..31]']
    if packet.eth_type == 0x806:
        listed += ['move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]', 'move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]', 'load:2->NXM_OF_ARP_OP[]']
    if packet.eth_type == 0x86DD:
        listed += ['move:NXM_NX_IPV6_SRC[0..31]->NXM_NX_REG0[]', 'move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[]']
    return r.choice(listed)


def address(r, packet, world):
    if packet.eth_type == 0x800:
        return r.choice(['mod_nw_src:10.9.9.9', 'mod_nw_dst:10.0.0.2', 'set_field:10.0.0.0/255.0.0.255->ip_src', 'load:0xa->NXM_OF_IP_DST[0..3]'])
    return r.choice(['set_field:fd00::9->ipv6_src', 'set_field:fd00::2->ipv6_dst', 'set_field:0x5->ipv6_label', 'set_field:fd00::/ffff::->ipv6_dst'])


def life(r, packet, world):
    return r.choice(['dec_ttl', 'dec_ttl', 'dec_ttl(1,2)', 'mod_nw_ttl:9', 'mod_nw_ttl:1', 'mod_nw_tos:184', 'mod_nw_ecn:2', 'set_field:3->ip_ecn', 'set_field:10->ip_dscp',
                     'load:5->NXM_NX_IP_TTL[]'])


def transport(r, packet, world):
    l4 = packet.l4.rstrip('6')
    return r.choice([f'mod_tp_src:{r.choice([0, 80, 65535])}', f'mod_tp_dst:{r.choice([53, 5000])}', f'set_field:8/0xff->{l4}_dst', f'set_field:77->{l4}_src'])


def icmp(r, packet, world):
    if packet.l4 == 'nd':
        return r.choice(['set_field:fd00::7->nd_target', 'set_field:02:00:00:00:00:77->nd_sll', 'set_field:02:00:00:00:00:78->nd_tll'])
    return r.choice(['set_field:0->icmp_type', 'set_field:3->icmp_code']) if packet.l4 == 'icmp' else r.choice(['set_field:129->icmpv6_type', 'set_field:1->icmpv6_code'])


def arp(r, packet, world):
    return r.choice(['set_field:2->arp_op', 'set_field:10.0.0.9->arp_spa', 'set_field:10.0.0.8->arp_tpa', 'set_field:02:00:00:00:00:99->arp_sha'])


def labels(r, packet, world):
    if packet.is_mpls:
        return r.choice(['set_mpls_label:77', 'set_mpls_ttl:9', 'set_mpls_tc:3', 'dec_mpls_ttl', 'pop_mpls:0x800', 'pop_mpls:0x86dd', 'pop_mpls:0x8847', 'push_mpls:0x8847',
                         'set_field:5->mpls_label', 'push_mpls:0x8848,set_mpls_label:16,push_mpls:0x8847'])
    return r.choice(['push_mpls:0x8847', 'push_mpls:0x8847,set_mpls_label:100,set_mpls_ttl:5', 'push_mpls:0x8848,push_mpls:0x8848', 'push_mpls:0x8847,pop_mpls:0x800',
                     'push_mpls:0x8847,dec_mpls_ttl'])


def headers(r, packet, world):
    return r.choice(['decap()', 'decap(),encap(ethernet)', 'encap(nsh(md_type=1))', 'encap(nsh(md_type=1)),set_field:0x1234->nsh_spi,encap(ethernet),set_field:02:00:00:00:00:0a->eth_dst',
                     'encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),encap(ethernet)', 'encap(nsh(md_type=1)),dec_nsh_ttl,encap(ethernet)', 'encap(ethernet)',
                     'encap(mpls),encap(ethernet)', 'encap(nsh(md_type=1)),decap()'])


def choice_of_port(r, packet, world):
    hashed = r.choice(['eth_src', 'symmetric_l4', 'symmetric_l3l4', 'symmetric_l3', 'symmetric_l3l4+udp', 'nw_src', 'nw_dst'])
    return r.choice([f'multipath({hashed},{r.choice([0, 50])},{r.choice(["modulo_n", "hash_threshold", "hrw", "iter_hash"])},{r.choice([1, 3, 16])},0,NXM_NX_REG1[0..7])',
                     f'bundle({hashed},{r.choice([0, 60])},hrw,ofport,members:1,2,3)', f'bundle({hashed},0,active_backup,ofport,members:4,1)',
                     f'bundle_load({hashed},7,hrw,ofport,NXM_NX_REG0[],members:1,2,3,4)', f'bundle({hashed},0,hrw,ofport,members:)'])


def other(r, packet, world):
    port = r.choice(world.ports)
    return r.choice(['note:00.11.22.33.44.55', 'note:', 'controller', 'controller', 'controller(max_len=60)', 'controller(userdata=01.02.03)', 'controller(reason=invalid_ttl,id=3)',
                     'controller(max_len=128,reason=no_match)', 'controller:40', 'controller(pause,userdata=05)', 'set_queue:1', 'set_queue:7', 'pop_queue', f'enqueue:{port}:1',
                     'sample(probability=65535,collector_set_id=1,obs_domain_id=2,obs_point_id=3)', f'sample(probability=1,collector_set_id=9,sampling_port={port})',
                     f'check_pkt_larger({r.choice([60, 100, 500])})->NXM_NX_REG0[0]', f'check_pkt_larger({r.choice([60, 100, 500])})->NXM_NX_REG0[0]', 'exit', 'debug_recirc'])


def track(r, packet, world):
    chance = r.random()
    if chance < 0.1:
        return 'ct_clear'
    inner = []
    if r.random() < 0.5:
        inner.append('commit')
        if r.random() < 0.1:
            inner.append('force')
        if r.random() < 0.4:
            inner.append('exec(' + r.choice(['load:5->NXM_NX_CT_MARK[]', 'set_field:0x1/0xf->ct_mark', 'set_field:0x7->ct_label', 'load:3->NXM_NX_CT_LABEL[64..71]',
                                             'move:NXM_NX_REG0[]->NXM_NX_CT_MARK[]']) + ')')
    if r.random() < 0.7:
        inner.append(f'table={r.choice(world.tables[1:])}')
    if r.random() < 0.5:
        inner.append('zone=' + r.choice(['0', '1', '9', 'NXM_NX_REG0[0..15]']))
    if r.random() < 0.15:
        inner.append('nat')
    elif 'commit' in inner and packet.source and r.random() < 0.5:
        number = world.new_address()
        side = r.choice(['src', 'src', 'dst'])
        inner.append(f'nat({side}=10.{200 if side == "src" else 201}.{number >> 8}.{number & 255})' if packet.eth_type == 0x800 else f'nat({side}=fd00:{"a" if side == "src" else "b"}::{number:x})')
    return f"ct({','.join(inner)})"


def learn(r, packet, world):
    start = f'table={r.choice(world.tables[1:])},' + r.choice(['', 'priority=77,', 'priority=77,idle_timeout=300,', 'hard_timeout=600,cookie=0x77,', 'limit=2,', 'delete_learned,', 'send_flow_rem,',
                                                              'limit=1,result_dst=NXM_NX_REG1[0],', 'fin_idle_timeout=100,'])
    listed = ['NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]', 'NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]',
              'NXM_OF_IN_PORT[],NXM_OF_ETH_SRC[],load:0x5->NXM_NX_REG1[]', 'eth_type=0x800,NXM_OF_ETH_DST[],output:NXM_NX_REG0[0..15]', 'dl_vlan=100,NXM_OF_ETH_SRC[0..15]=NXM_OF_ETH_DST[0..15]',
              'NXM_NX_REG1[0..7]=NXM_NX_REG0[0..7],load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]']
    if packet.eth_type == 0x800:
        listed += ['eth_type=0x800,NXM_OF_IP_SRC[]=NXM_OF_IP_DST[],NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],output:NXM_OF_IN_PORT[]', 'eth_type=0x800,NXM_OF_IP_SRC[0..7]']
    if packet.l4 in ('tcp', 'udp', 'tcp6', 'udp6'):
        l4 = packet.l4.rstrip('6').upper()
        listed += [f'eth_type={packet.eth_type:#x},nw_proto={packet.proto},NXM_OF_{l4}_DST[]=NXM_OF_{l4}_SRC[],output:NXM_OF_IN_PORT[]'] * 3
    if r.random() < 0.04:
        listed = ['NXM_OF_TCP_SRC[]', 'NXM_OF_IN_PORT[]=1->2', 'load:1->NXM_OF_IP_SRC[]', 'bogus']
    return f'learn({start}{r.choice(listed)})'


def refused(r, packet, world):
    """What no switch takes, or not for all packets."""
    return r.choice(['mod_tp_dst:80', 'mod_nw_src:1.2.3.4', 'output:70000', 'resubmit(1', 'set_field:1->tcp_flags', 'group:77', 'meter:77', 'load:256->NXM_OF_ETH_SRC[0..7]', 'dec_mpls_ttl',
                     'push_vlan:0x800', 'bogus:1', 'set_field:5->nw_proto', 'ct(commit,table=255)', 'goto_table:0', 'move:NXM_OF_ETH_SRC[]->NXM_NX_REG0[]', 'multipath(eth_src)'])


def simple(r, packet, world):
    """One action without a list of its own; it may be two words that belong together."""
    kinds = [output] * 5 + [register, register, ethernet, ethernet, tag, copy, other, other, choice_of_port]
    if packet.is_ip:
        kinds += [address, life, life, track, track, track]
    if packet.l4 in ('tcp', 'udp', 'sctp', 'tcp6', 'udp6', 'sctp6'):
        kinds += [transport, transport, learn]
    if packet.l4 in ('icmp', 'icmp6', 'nd'):
        kinds += [icmp]
    if packet.eth_type == 0x806:
        kinds += [arp, arp]
    if packet.is_mpls or r.random() < 0.2:
        kinds += [labels] * (5 if packet.is_mpls else 1)
    if r.random() < 0.15:
        kinds += [learn, headers]
    chance = r.random()
    if world.groups and chance < 0.15:
        return f'group:{r.choice(world.groups)}'
    if world.meters and chance > 0.93:
        return f'meter:{r.choice(world.meters)}'
    if 0.5 < chance < 0.51:
        return refused(r, packet, world)
    if packet.l4 == 'tcp' and 0.6 < chance < 0.63:
        return 'fin_timeout(idle_timeout=100,hard_timeout=200)'
    return r.choice(kinds)(r, packet, world)
