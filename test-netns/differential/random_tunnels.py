"""Scenarios for tunnels, for generate.py: frames that random flows send through VXLAN, Geneve and GRE, and packets off the underlay, whole
and damaged, into flows that match what the outer headers said.
"""
import random, struct

import outer
import random_flows
import random_frames
from outer import FARS4, FARS6, GBP, GENEVE, GRE_PORT, HOST4, HOST6, UDP_PORTS, VXLAN
from random_flows import PID
from wire import ACTION, KEY, attr, be16, be32, u32

# OVS_TUNNEL_KEY_ATTR_*
ID, SRC4, DST4, TOS, TTL, DF, CSUM, OAM, OPTIONS, TP_SRC, TP_DST, VXLAN_OPTS, SRC6, DST6 = range(14)
PORTS = (VXLAN, GBP, GENEVE, GRE_PORT)
IDS = [0, 1, 5, 0x123456, 0xFFFFFF]
TUNNEL_TOS = [0, 1, 2, 3, 0x28, 0x2B, 0xFC]
TTLS = [1, 2, 64, 255]
POLICIES = [0, 1, 0x8000, 0x00480001, 0xFFFFFFFF]
ODD_TYPES = [0x800, 0x86DD, 0x6559, 0x88BE, 0]
# The module looks for IP behind an LLC header, too: rarely in the right place.
KINDS = [kind for kind in random_frames.COMMON if kind not in (0, 0x5FF)]
FREQUENT, FLOWS, FAR_SHARE = 60, 60, 0.5
PROBE = bytes.fromhex('02000000fefe02000000fdfd') + be16(0x88B5) + bytes(46)


def geneve_options(r):
    data = b''
    for _ in range(r.choice([0, 1, 1, 2, 3])):
        body = r.randbytes(4 * r.choice([0, 1, 2, 4, 31]))
        data += struct.pack('>HBB', r.choice([0x0102, 0xFFFF]), r.choice([1, 0x80, 0x7F]), len(body) // 4 | r.choice([0, 0, 0, 0x20])) + body
    return data


class TunnelActions(random_flows.Actions):
    """Actions with set(tunnel) and output to the port that goes with it, mostly."""

    def __init__(self, r, fields, recirc_ids):
        super().__init__(r, fields, recirc_ids)
        # The port that the last metadata were for.
        self.last = 0

    def choices(self, depth):
        return super().choices(depth) + ['tunnel'] * 12 + ['egress']

    def one(self, depth):
        name = self.r.choice(self.choices(depth))
        if name == 'tunnel':
            return self.tunnel()
        if name == 'egress':
            return self.egress()
        return super().one(depth)

    def tunnel(self):
        r, port = self.r, self.r.choice(PORTS)
        data = self.metadata(port)
        if r.random() < 0.1:
            # With the metadata of before, if there are any: those of another kind of tunnel would be sent as this one's.
            return attr(ACTION['output'], u32(self.last or port))
        self.last = port
        between = self.one(3) if r.random() < 0.2 else b''
        # What is between may have set other metadata.
        return attr(ACTION['set'], attr(KEY['tunnel'], data)) + between + attr(ACTION['output'], u32(self.last))

    def egress(self):
        """userspace that asks with which outer header the packet would leave."""
        self.last = port = self.r.choice(PORTS)
        data = self.metadata(port)
        return attr(ACTION['set'], attr(KEY['tunnel'], data)) + attr(ACTION['userspace'], attr(1, PID) + attr(3, u32(port)))

    def metadata(self, port):
        r, is_v6 = self.r, self.r.random() < 0.4
        fars = FARS6 if is_v6 else FARS4
        data = attr(ID, bytes(4) + be32(r.choice([*IDS, 0xFFFFFFFF]))) if r.random() < 0.8 else b''
        if r.random() < 0.2:
            data += attr(SRC6 if is_v6 else SRC4, HOST6 if is_v6 else HOST4)
        data += attr(DST6 if is_v6 else DST4, r.choice(fars)) if r.random() < 0.99 else b''
        data += attr(TOS, bytes([r.choice(TUNNEL_TOS)])) if r.random() < 0.6 else b''
        data += attr(TTL, bytes([r.choice(TTLS)])) if r.random() < 0.99 else b''
        for flag in (DF, CSUM, OAM):
            data += attr(flag) if r.random() < (0.4 if flag != OAM else 0.1) else b''
        data += attr(TP_DST, be16(r.choice([4789, 5000]))) if r.random() < 0.1 else b''
        if port == GBP and r.random() < 0.7:
            data += attr(VXLAN_OPTS, attr(1, u32(r.choice(POLICIES))))
        elif port == GENEVE and r.random() < 0.7:
            data += attr(OPTIONS, geneve_options(r))
        return data


class Outer:
    """One kind of packet off the underlay: its headers, as attributes of a key too."""

    def __init__(self, r):
        self.r = r
        self.port, self.is_v6, self.has_checksum = r.choice(PORTS), r.random() < 0.4, r.random() < 0.5
        self.src, self.dst = r.choice(FARS6 if self.is_v6 else FARS4), HOST6 if self.is_v6 else HOST4
        if self.port == GRE_PORT:
            # A checksum makes the module's device drop the packet.
            self.is_v6 = self.has_checksum = False
            self.src, self.dst = r.choice(FARS4), HOST4
        if self.port == GENEVE and self.is_v6:
            # Without one, a device that the module makes drops it, and one that vswitchd makes for the module does not.
            self.has_checksum = True
        self.tos, self.ttl, self.df, self.sport = r.choice(TUNNEL_TOS), r.choice(TTLS), r.random() < 0.5, r.choice([1, 1024, 50000])
        self.id, self.policy, self.oam = r.choice(IDS), r.choice(POLICIES), r.random() < 0.2
        self.has_id, self.has_sequence, self.has_policy = r.random() < 0.7, r.random() < 0.2, r.random() < 0.7
        self.options = geneve_options(r)

    def packet(self, inner, is_odd):
        """A frame with outer headers around `inner`; some of those are wrong if `is_odd`."""
        if self.port == GRE_PORT:
            segment, proto = self.gre(inner, is_odd), outer.GRE
        else:
            body = (self.geneve(is_odd) if self.port == GENEVE else self.vxlan(is_odd)) + inner
            segment, proto = outer.udp(self.is_v6, self.src, self.dst, self.sport, UDP_PORTS[self.port], body, self.has_checksum), outer.UDP
        # What a mark does to a tagged frame is no matter of Open vSwitch: the module looks for the inner header in the wrong place.
        tos = self.tos & ~3 if outer.is_tagged(inner) else self.tos
        return outer.link(self.is_v6, outer.ip(self.is_v6, self.src, self.dst, proto, segment, tos, self.ttl, 0x4000 if self.df else 0))

    def vxlan(self, is_odd):
        flags, reserved = 0x08000000, 0
        if self.port == GBP and self.has_policy:
            flags |= 0x80000000 | self.policy & 0x0048FFFF
        if is_odd:
            flags, reserved = flags ^ self.r.choice([0x08000000, 1 << self.r.randrange(32)]), self.r.choice([0, 0, 7])
        return be32(flags) + be32(self.id << 8 | reserved)

    def geneve(self, is_odd):
        r, first, kind, reserved = self.r, len(self.options) // 4, 0x6558, 0
        critical = any(self.options[at + 2] & 0x80 for at in self.option_starts())
        if is_odd:
            first = r.choice([first, first, 0, 1, 63, 0x40 | first])
            kind, reserved, critical = r.choice([0x6558, *ODD_TYPES]), r.choice([0, 9]), r.random() < 0.5
        return bytes([first, self.oam << 7 | critical << 6]) + be16(kind) + be32(self.id << 8 | reserved) + self.options

    def option_starts(self):
        at = 0
        while at < len(self.options):
            yield at
            at += 4 + 4 * (self.options[at + 3] & 0x1F)

    def gre(self, inner, is_odd):
        r, kind = self.r, 0x6558
        flags = self.has_checksum << 15 | self.has_id << 13 | self.has_sequence << 12
        if is_odd:
            flags ^= r.choice([0, 0x8000, 0x4000, 0x2000, 0x1000, 0x0800, 1, 7, 0x80])
            kind = r.choice([0x6558, *ODD_TYPES])
        tail = (be32(self.id) if self.has_id else b'') + (be32(5) if self.has_sequence else b'')
        head = struct.pack('>HH', flags, kind)
        if not self.has_checksum:
            return head + tail + inner
        return random_frames.filled(head + bytes(4) + tail + inner, 4, b'')

    def spec(self):
        """What a key's tunnel attributes say of it: {field: (width, value)}."""
        number = lambda data: int.from_bytes(data, 'big')
        size = 16 if self.is_v6 else 4
        fields = {'tun_src': (size, number(self.src)), 'tun_dst': (size, number(self.dst)), 'tun_tos': (1, self.tos), 'tun_ttl': (1, self.ttl),
                  'tun_csum': (1, int(self.has_checksum))}
        if self.port != GRE_PORT or self.has_id:
            fields['tun_id'] = (8, self.id)
        if self.port != GRE_PORT:
            fields |= {'tun_tp_src': (2, self.sport), 'tun_tp_dst': (2, UDP_PORTS[self.port])}
        if self.port == GENEVE:
            fields['tun_oam'] = (1, int(self.oam))
        if self.port == GBP and self.has_policy:
            fields['tun_gbp'] = (4, self.policy & 0x0048FFFF)
        return fields


def tunnel_match(r, packet):
    """{field: (width, value, mask)} of a flow's tunnel attributes; some are left out."""
    fields = {'tun_family': (1, 6 if packet.is_v6 else 4, 0xFF)}
    for name, (width, value) in packet.spec().items():
        if name in ('tun_dst', 'tun_ttl') or r.random() < 0.6:
            ones = (1 << 8 * width) - 1
            fields[name] = (width, value, r.choice([ones, ones, 0, r.getrandbits(8 * width)]))
    for name in ('tun_csum', 'tun_oam'):
        if name in fields:
            fields[name] = (1, fields[name][1], r.choice([0, 1]))
    return fields


def tunnel_key(fields, which, options):
    """OVS_KEY_ATTR_TUNNEL of a key (`which` 0) or a mask (1)."""
    is_v6 = fields['tun_family'][1] == 6
    kinds = {'tun_id': ID, 'tun_src': SRC6 if is_v6 else SRC4, 'tun_dst': DST6 if is_v6 else DST4, 'tun_tos': TOS, 'tun_ttl': TTL, 'tun_tp_src': TP_SRC, 'tun_tp_dst': TP_DST}
    data = b''.join(attr(kind, fields[name][1 + which].to_bytes(fields[name][0], 'big')) for name, kind in kinds.items() if name in fields)
    for name, kind in (('tun_csum', CSUM), ('tun_oam', OAM)):
        data += attr(kind) if name in fields and fields[name][1 + which] else b''
    if 'tun_gbp' in fields:
        data += attr(VXLAN_OPTS, attr(1, u32(fields['tun_gbp'][1 + which])))
    return attr(KEY['tunnel'], data + (attr(OPTIONS, options) if options else b''))


def received_flow(r, packet, spec):
    """(fields, flow) for what comes out of the tunnel."""
    fields = random_flows.match(r, spec, packet.port)
    tunnel = tunnel_match(r, packet) if r.random() < 0.85 else {}
    actions = TunnelActions(r, fields, [1]).draw(r.randint(0, 3)) + attr(ACTION['output'], u32(r.randint(1, 4)))
    flow = random_flows.encoded(fields, actions)
    if tunnel:
        tunnel = {name: (width, value & mask, mask) for name, (width, value, mask) in tunnel.items()}
        for name in ('tun_dst', 'tun_ttl'):
            tunnel[name] = (tunnel[name][0], packet.spec()[name][1], tunnel[name][2])
        options = packet.options if packet.port == GENEVE and r.random() < 0.4 else b''
        masks = b'\xff' * len(options) if r.random() < 0.6 else r.randbytes(len(options))
        flow['key'] = tunnel_key(tunnel, 0, options).hex() + flow['key']
        flow['mask'] = tunnel_key(tunnel, 1, masks).hex() + flow['mask']
    return random_flows.encodable(fields) | tunnel, flow


def may_lack_checksum(frame, is_v6):
    return frame[20] == outer.UDP and frame[56:58] != be16(UDP_PORTS[GENEVE]) if is_v6 else frame[23] == outer.UDP


def damaged(r, frame, is_v6):
    """An outer frame of which bytes behind the Ethernet header are wrong, but for the UDP port; mostly with right checksums of IP."""
    head = 54 if is_v6 else 34
    chance = r.random()
    if chance < 0.35:
        size = r.randint(head, min(len(frame), head + 60))
        frame = frame[:size]
        if is_v6:
            frame = frame[:18] + be16(size - 54) + frame[20:]
        else:
            frame = frame[:16] + be16(size - 14) + frame[18:]
        if r.random() < 0.7 and size >= head + 8 and may_lack_checksum(frame, is_v6):
            # A datagram of that size without checksum; over IPv6, too, tunnels take one.
            frame = frame[:head + 4] + be16(size - head) + b'\0\0' + frame[head + 8:]
    elif chance < 0.85:
        at = r.choice([at for at in range(head, min(len(frame), head + 60)) if at not in (head + 2, head + 3)])
        frame = frame[:at] + bytes([frame[at] ^ 1 << r.randrange(8)]) + frame[at + 1:]
        if r.random() < 0.7 and at >= head + 8 and may_lack_checksum(frame, is_v6):
            frame = frame[:head + 6] + b'\0\0' + frame[head + 8:]
    else:
        # Not the congestion bits: of a tagged frame they are not compared.
        at = r.randrange(16, head - (32 if is_v6 else 8))
        frame = frame[:at] + bytes([frame[at] ^ 1 << r.randrange(8)]) + frame[at + 1:]
    if not is_v6 and r.random() < 0.95:
        frame = frame[:14] + random_frames.filled(frame[14:24] + bytes(2) + frame[26:34], 10, b'') + frame[34:]
    return frame


def wire_step(r, packet, frame):
    """What enters at the far end, and probes through the socket, with checksum and without, that it enters by."""
    probes = []
    has_one_kind = packet.port == GRE_PORT or packet.port == GENEVE and packet.is_v6
    for has_checksum in (packet.has_checksum,) if has_one_kind else (False, True):
        plain = Outer(random.Random(0))
        plain.__dict__.update(port=packet.port, is_v6=packet.is_v6, src=packet.src, dst=packet.dst, has_checksum=has_checksum)
        probes.append(plain.packet(PROBE, False).hex())
    return {'wire': frame.hex(), 'probes': probes}


def scenario(seed, count):
    r = random.Random(seed)
    often = [(r.randint(1, 4), *random_frames.draw(r, KINDS)) for _ in range(FREQUENT)]
    packets = [Outer(r) for _ in range(FREQUENT)]
    flows, taken = [], []

    def add(shown, flow):
        if all(random_flows.disjoint(shown, other) for other in taken):
            taken.append(shown)
            flows.append(flow)

    for _ in range(FLOWS * 12):
        if len(flows) < FLOWS:
            port, _, spec = r.choice(often)
            fields = random_flows.match(r, spec, port)
            actions = TunnelActions(r, fields, [1]).draw(r.randint(1, 4)) + attr(ACTION['output'], u32(r.randint(1, 4)))
            add(random_flows.encodable(fields), random_flows.encoded(fields, actions))
    for _ in range(FLOWS * 12):
        if len(flows) < 2 * FLOWS:
            add(*received_flow(r, r.choice(packets), r.choice(often)[2]))
    steps = []
    for _ in range(count):
        port, inner, _ = r.choice(often) if r.random() < 0.85 else (r.randint(1, 4), *random_frames.draw(r, KINDS))
        if r.random() < FAR_SHARE:
            packet = r.choice(packets)
            frame = packet.packet(inner, r.random() < 0.15)
            steps.append(wire_step(r, packet, damaged(r, frame, packet.is_v6) if r.random() < 0.2 else frame))
        else:
            steps.append([port, inner.hex()])
    return {'seed': seed, 'pid': PID.hex(), 'flows': flows, 'frames': steps, 'underlay': True}
