"""What is asked when the frames are through: flows, groups, meters, tables, ports, and ofproto/trace of all kinds."""
from match import L4
from settings import appctl, ofctl
from text import ip, ip6, mac

VERSIONS = ['OpenFlow10', 'OpenFlow11', 'OpenFlow12', 'OpenFlow13', 'OpenFlow14', 'OpenFlow15']
CT_NEXT = ['trk,new', 'trk,est', 'trk,est,rpl', 'trk,inv', 'trk,rel', 'trk,new,snat', 'new', 'bogus', 'trk|est']
# Stock answers cookie=0/-1 with rules of its internal table as well.
CRITERIA = ['table=1', 'ip', 'in_port=1', 'out_port=2', 'out_group=1', 'cookie=0x10/-1', 'table=0,tcp', 'cookie=0x10/0x10', 'table=64', 'reg0=1', 'bogus']


def flow_text(r, port, spec):
    """The frame of `spec` in words, not all of them."""
    proto = spec.get('nw_proto', (1, None))[1]
    parts = [f'in_port={port}', f"dl_src={mac(spec['eth_src'][1])}", f"dl_dst={mac(spec['eth_dst'][1])}"]
    eth_type = spec['type'][1]
    name = L4.get((eth_type, proto))
    if eth_type == 0x800:
        parts += [name or f'ip,nw_proto={proto or 0}', f"nw_src={ip(spec.get('nw_src', (4, 1))[1])}", f"nw_dst={ip(spec.get('nw_dst', (4, 1))[1])}", 'nw_ttl=64']
    elif eth_type == 0x86DD:
        parts += [name or f'ipv6,nw_proto={proto or 0}', f"ipv6_src={ip6(spec.get('v6_src', (16, 1))[1])}", f"ipv6_dst={ip6(spec.get('v6_dst', (16, 1))[1])}", 'nw_ttl=9']
    elif eth_type == 0x806:
        parts += ['arp', 'arp_op=1', 'arp_tpa=10.0.0.1']
    else:
        parts.append(f'dl_type={eth_type:#x}')
    if 'l4_src' in spec and name:
        parts += [f"tp_src={spec['l4_src'][1]}", f"tp_dst={spec['l4_dst'][1]}"]
    if 'tci0' in spec and r.random() < 0.8:
        parts.append(f"dl_vlan={spec['tci0'][1] & 0xfff}")
    if r.random() < 0.2:
        parts.append(r.choice(['reg0=5', 'metadata=5', 'ct_state=trk|est', 'tun_id=0x17', 'pkt_mark=7', 'recirc_id=0x77777', 'nw_tos=4', 'bogus=3']))
    return ','.join(parts)


def datapath_text(r, port, spec):
    """The key of such a frame as the datapath has it; port1 is the datapath's port 3."""
    text = f"in_port({port + 2}),eth(src={mac(spec['eth_src'][1])},dst={mac(spec['eth_dst'][1])})"
    eth_type = spec['type'][1]
    if eth_type == 0x800:
        proto = spec.get('nw_proto', (1, 0))[1]
        text += f",eth_type(0x0800),ipv4(src={ip(spec.get('nw_src', (4, 1))[1])},dst=10.0.0.1,proto={proto},tos=0,ttl=64,frag=no)"
        text += {6: ',tcp(src=1,dst=80),tcp_flags(0x2)', 17: ',udp(src=53,dst=53)', 1: ',icmp(type=8,code=0)'}.get(proto, '')
        return text if r.random() < 0.9 else text.replace('ipv4', 'ip4')
    # What ends with a tag's type has masks of a tag in stock's trace, and no tag.
    eth_type = 0x88b5 if eth_type in (0x8100, 0x88a8) else max(eth_type, 0x600)
    return text + f',eth_type(0x{eth_type:04x})' if r.random() < 0.9 else 'skb_priority(0),' + text


def wrong_trace(r, port, frame):
    return r.choice([['br9', f'in_port={port}'], ['br0', f'in_port={port}', frame[:-1]], ['br0', f'in_port={port}', 'zz'], ['br0'], [], ['br0', 'in_port=1,nw_src=1.2.3.4'], ['br0', 'in_port=77'],
                     ['br0', f'in_port={port}', frame, 'more', 'and more'], ['br0', f'in_port={port}', frame[:20]], ['ovs-system', 'in_port(2),eth('], ['ovs-system', 'in_port(99),eth_type(0x800)'],
                     ['br0', f'in_port={port}', '--ct-next'], ['br0', f'in_port={port},ip', '-generate', '-generate'], ['br0', f'in_port={port}', '-bogus'], ['in_port(2)'], ['br0', '', frame],
                     ['br0', f'in_port={port}', '--l7', 'x'], ['br0', f'in_port={port}', '-generate', '--l7-len', '9']])


def trace(r, frames, drawn, actions):
    port, frame = r.choice(frames)
    spec = r.choice(drawn)[1]
    next_states = [word for _ in range(r.randint(1, 3)) for word in ('--ct-next', r.choice(CT_NEXT))] if r.random() < 0.3 else []
    chance = r.random()
    if chance < 0.5:
        return appctl('ofproto/trace', 'br0', f'in_port={port}', frame, *next_states)
    if chance < 0.7:
        return appctl('ofproto/trace', 'br0', flow_text(r, port, spec), *r.choice([[], ['-generate'], ['-generate', '--l7-len', '20']]), *next_states)
    if chance < 0.8:
        return appctl('ofproto/trace', *r.choice([['ovs-system'], ['system@ovs-system'], []]), datapath_text(r, port, spec), *r.choice([[], ['-generate'], [frame]]))
    if chance < 0.92:
        return appctl('ofproto/trace-packet-out', *r.choice([[], ['-consistent']]), 'br0', flow_text(r, port, spec), *r.choice([[], [frame]]), actions())
    return appctl(r.choice(['ofproto/trace'] * 5 + ['ofproto/trace-packet-out']), *wrong_trace(r, port, frame))


def questions(r, frames, drawn, actions):
    found = [ofctl('dump-flows', 'br0', is_ordered=False), ofctl('dump-flows', 'br1', is_ordered=False), appctl('dpctl/dump-flows', is_ordered=False)]
    found += [ofctl('dump-flows', 'br0', version=r.choice(VERSIONS[:5]), is_ordered=False), ofctl('dump-flows', '--no-stats', '--no-names', 'br0', version=r.choice(VERSIONS), is_ordered=False),
              ofctl('dump-flows', 'br0', r.choice(CRITERIA), version=r.choice(VERSIONS), is_ordered=False)]
    found += [ofctl('dump-aggregate', 'br0', *r.choice([[], [r.choice(CRITERIA)]]), version=r.choice(VERSIONS)), ofctl('dump-tables', 'br0', version=r.choice(VERSIONS)),
              ofctl('dump-groups', 'br0', version=r.choice(VERSIONS[1:]), is_ordered=False), ofctl('dump-group-stats', 'br0', version=r.choice(VERSIONS[1:]), is_ordered=False),
              ofctl('meter-stats', 'br0', version=r.choice(VERSIONS[3:]), is_ordered=False), ofctl('dump-meters', 'br0', version=r.choice(VERSIONS[3:]), is_ordered=False),
              ofctl('dump-ports', 'br0', version=r.choice(VERSIONS), is_ordered=False), appctl('fdb/show', 'br0', is_ordered=False), appctl('fdb/show', 'br1', is_ordered=False),
              appctl('dpctl/dump-conntrack', is_ordered=False)]
    rare = [ofctl('dump-ports-desc', 'br0', version=r.choice(VERSIONS), is_ordered=False), ofctl('dump-group-features', 'br0', version='OpenFlow13'), ofctl('meter-features', 'br0', version='OpenFlow13'),
            ofctl('show', 'br0', version=r.choice(VERSIONS), is_ordered=False), ofctl('dump-group-stats', 'br0', '1'), ofctl('dump-groups', 'br0', '2'), ofctl('meter-stats', 'br0', 'meter=1'), ofctl('queue-stats', 'br0'),
            ofctl('dump-ports', 'br0', '2'), ofctl('dump-ports', 'br0', '77'), ofctl('get-frags', 'br0'), appctl('bridge/dump-flows', 'br0', is_ordered=False), appctl('fdb/stats-show', 'br0'),
            ofctl('dump-table-features', 'br0', version='OpenFlow13'), appctl('dpif/show'), ofctl('diff-flows', 'br0', 'br1', is_ordered=False)]
    found += r.sample(rare, 3)
    return found + [trace(r, frames, drawn, actions) for _ in range(6)]
