"""Scenarios of super-packets, for generate.py: frames of TCP and UDP with a virtio_net_hdr that leaves checksum and segmentation to
whoever sends them last, through random flows: cut, measured, changed, tagged, told to user space.
"""
import random, struct

import random_flows
from random_frames import IP6S, IPS, MACS, TOS, checksum, filled
from random_flows import PID
from wire import ACTION, attr, attrs, u32

NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_ECN = 0, 1, 3, 4, 0x80
TCP, UDP = 6, 17
FIN, SYN, PSH, ACK, CWR = 1, 2, 8, 0x10, 0x80
FREQUENT, FLOWS = 60, 80
SIZES = (0, 1, 100, 1000, 1460, 1461, 3000, 9000, 20000)
SEGMENTS = (100, 536, 1000, 1400, 1448)


class SuperActions(random_flows.Actions):
    def choices(self, depth):
        more = ['trunc'] * 3 + ['userspace'] + (['check_pkt_len'] * 3 if depth < 3 else [])
        return super().choices(depth) + more

    def one(self, depth):
        data = super().one(depth)
        # What is left of a super-packet that an output cuts is explained in docs/differences-from-ovs.md; that upcalls are cut is compared.
        return data + self.userspace() if attrs(data)[0][0] == ACTION['trunc'] else data

    def nested(self, name, depth):
        if name != 'check_pkt_len':
            return super().nested(name, depth)
        before = self.__dict__.copy()
        size = self.r.choice([60, 554, 1014, 1418, 1514, 1515, 2000, 10000, 65535])
        lists = []
        for _ in range(2):
            lists.append(self.draw(self.r.randint(0, 3), depth))
            self.__dict__.update(before)
        return attr(ACTION['check_pkt_len'], attr(1, size.to_bytes(2, 'little')) + attr(2, lists[0]) + attr(3, lists[1]))


def folded(data):
    """The sum that a partial checksum begins with: that of the pseudo header, not inverted."""
    return ~checksum(data) & 0xFFFF


def draw(r):
    """(virtio_net_hdr, frame, spec)."""
    src, dst = r.choice(MACS[:3]), r.choice(MACS[:3])
    spec = {'eth_src': (6, int.from_bytes(src, 'big')), 'eth_dst': (6, int.from_bytes(dst, 'big'))}
    is_v6, proto = r.random() < 0.4, r.choice([TCP] * 5 + [UDP])
    size, mss = r.choice(SIZES + SIZES[5:] * 2), r.choice(SEGMENTS)
    if mss == 100:
        size = min(size, 3000)
    if proto == UDP:
        size = min(size, r.choice([1400, 9000]))
    body = r.randbytes(size)
    sport, dport = r.choice([1, 80, 5000]), r.choice([1, 80, 5000])
    spec.update(l4_src=(2, sport), l4_dst=(2, dport))
    if proto == TCP:
        options = r.choice([b'', b'', b'\1\1\x08\x0a' + bytes(8), b'\1\3\3\7'])
        flags = r.choice([ACK, ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, SYN, ACK | CWR | FIN])
        spec['tcp_flags'] = (2, flags)
        head = struct.pack('>HHIIHHHH', sport, dport, r.choice([0xFFFFFF00, r.getrandbits(32)]), r.getrandbits(32), (5 + len(options) // 4) << 12 | flags, 1000, 0, 0) + options
        at = 16
    else:
        head, at, flags = struct.pack('>HHHH', sport, dport, 8 + size, 0), 6, 0
    segment = head + body
    tos, ttl = r.choice(TOS), r.choice([0, 1, 2, 64, 255])
    common = {'nw_proto': (1, proto), 'nw_tos': (1, tos), 'nw_ttl': (1, ttl), 'nw_frag': (1, 0)}
    if is_v6:
        a, b = r.choice(IP6S[:2]), r.choice(IP6S[:2])
        label = r.choice([0, 0x12345])
        pseudo = a + b + struct.pack('>IHBB', len(segment), 0, 0, proto)
        ip = struct.pack('>IHBB', 6 << 28 | tos << 20 | label, len(segment), proto, ttl) + a + b
        spec.update(common, type=(2, 0x86DD), v6_src=(16, int.from_bytes(a, 'big')), v6_dst=(16, int.from_bytes(b, 'big')), v6_label=(4, label))
    else:
        a, b = r.choice(IPS[:4]), r.choice(IPS[:4])
        padding = r.choice([b'', b'', b'', b'\1' * 4])
        pseudo = a + b + struct.pack('>BBH', 0, proto, len(segment))
        ip = struct.pack('>BBHHHBBH', 0x45 + len(padding) // 4, tos, 20 + len(padding) + len(segment), r.choice([0, 0xFFFE, 77]), r.choice([0, 0x4000]), ttl, proto, 0)
        ip = filled(ip + a + b + padding, 10, b'')
        spec.update(common, type=(2, 0x800), nw_src=(4, int.from_bytes(a, 'big')), nw_dst=(4, int.from_bytes(b, 'big')))
    tags = b''
    for index in range(r.choice([0, 0, 0, 0, 1, 1, 2])):
        tpid, tci = r.choice([0x8100, 0x8100, 0x88A8]), r.choice([0x1005, 0x1FFF, 0xF001])
        tags += struct.pack('>HH', tpid, tci)
        spec[f'tpid{index}'], spec[f'tci{index}'] = (2, tpid), (2, tci)
    link = dst + src + tags + struct.pack('>H', spec['type'][1])
    l4 = len(link) + len(ip)
    is_super = len(segment) + len(ip) > 1500 or size > mss and r.random() < 0.5
    if is_super or r.random() < 0.5:
        segment = segment[:at] + struct.pack('>H', folded(pseudo)) + segment[at + 2:]
        gso = (GSO_TCPV6 if is_v6 else GSO_TCPV4) | (GSO_ECN if flags & CWR else 0) if proto == TCP else GSO_UDP
        if not is_super:
            gso, mss = GSO_NONE, 0
        offloads = struct.pack('=BBHHHH', NEEDS_CSUM, gso, l4 + len(head) if is_super else 0, mss, l4, at)
    else:
        segment, offloads = filled(segment, at, pseudo, proto == UDP), bytes(10)
    return offloads, link + ip + segment, spec


def scenario(seed, count):
    r = random.Random(seed)
    often = [(r.randint(1, 4), *draw(r)) for _ in range(FREQUENT)]
    flows, taken = [], []
    for _ in range(FLOWS * 20):
        if len(flows) == FLOWS:
            break
        port, _, _, spec = r.choice(often)
        fields = random_flows.match(r, spec, port)
        shown = random_flows.encodable(fields)
        if all(random_flows.disjoint(shown, other) for other in taken):
            taken.append(shown)
            drawn = SuperActions(r, fields, [1]).draw(r.randint(1, 5))
            flows.append(random_flows.encoded(fields, drawn + attr(ACTION['output'], u32(r.randint(1, 4)))))
    frames = []
    for _ in range(count):
        port, offloads, frame, _ = r.choice(often) if r.random() < 0.6 else (r.randint(1, 4), *draw(r))
        frames.append([port, frame.hex(), None, offloads.hex()])
    return {'seed': seed, 'pid': PID.hex(), 'flows': flows, 'frames': frames}
