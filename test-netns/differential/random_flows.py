"""Random flows for generate.py: a match made of what a frame says of itself (random_frames.py) with random masks, and a list of
actions that mostly suits it.  What does not suit is not wasted: whether a datapath refuses it, and how, is compared too.
"""
import struct

from wire import ACTION, KEY, attr, attrs, be16, be32, u32

from random_frames import IP6S, IPS, L4_PORTS, MACS, TOS, TTL

PID = bytes.fromhex('a5c3e187')  # Stands for the player's own port id, which is known only when it plays.
ALWAYS_EXACT = ('type', 'tpid0', 'tpid1')


def build(fields, which, skip=()):
    """Attributes of a key (`which` 0) or mask (1) from {field: (width, value, mask)}."""
    def get(name, width):
        return (fields[name][1 + which] if name in fields else 0).to_bytes(width, 'big')

    def has(name):
        return name in fields and name not in skip

    inner = b'' if fields['type'][1] == 4 and which == 0 else attr(KEY['eth_type'], get('type', 2))
    kind, proto = fields['type'][1], fields.get('nw_proto', (1, -1))[1]
    if kind == 0x800:
        inner += attr(KEY['ipv4'], get('nw_src', 4) + get('nw_dst', 4) + get('nw_proto', 1) + get('nw_tos', 1) + get('nw_ttl', 1) + get('nw_frag', 1))
    elif kind == 0x86DD:
        inner += attr(KEY['ipv6'], get('v6_src', 16) + get('v6_dst', 16) + get('v6_label', 4) + get('nw_proto', 1) + get('nw_tos', 1) + get('nw_ttl', 1) + get('nw_frag', 1))
    elif kind in (0x806, 0x8035):
        inner += attr(KEY['arp'], get('arp_sip', 4) + get('arp_tip', 4) + get('arp_op', 2) + get('arp_sha', 6) + get('arp_tha', 6) + bytes(2))
    elif has('mpls0'):
        inner += attr(KEY['mpls'], get('mpls0', 4))
    elif has('nsh_path'):
        base = attr(1, get('nsh_flags', 1) + get('nsh_ttl', 1) + get('nsh_mdtype', 1) + get('nsh_np', 1) + get('nsh_path', 4))
        inner += attr(KEY['nsh'], base + (attr(2, get('nsh_context', 16)) if has('nsh_context') else b''))
    if kind in (0x800, 0x86DD) and fields.get('nw_frag', (1, 0))[1] != 2 and 'l4' not in skip:
        ports = get('l4_src', 2) + get('l4_dst', 2)
        if proto == 6:
            inner += attr(KEY['tcp'], ports) + attr(KEY['tcp_flags'], get('tcp_flags', 2))
        elif proto == 17:
            inner += attr(KEY['udp'], ports)
        elif proto == 132:
            inner += attr(KEY['sctp'], ports)
        elif proto == 1 and kind == 0x800:
            inner += attr(KEY['icmp'], get('icmp_type', 1) + get('icmp_code', 1))
        elif proto == 58 and kind == 0x86DD:
            inner += attr(KEY['icmpv6'], get('icmp_type', 1) + get('icmp_code', 1))
            if fields.get('icmp_type', (1, 0))[1] in (135, 136) and 'nd' not in skip:
                inner += attr(KEY['nd'], get('nd_target', 16) + get('nd_sll', 6) + get('nd_tll', 6))
    for index in (1, 0):
        if f'tpid{index}' in fields:
            inner = attr(KEY['eth_type'], get(f'tpid{index}', 2)) + attr(KEY['vlan'], get(f'tci{index}', 2)) + attr(KEY['encap'], inner)
    head = b''
    if 'recirc' in fields:
        head += attr(KEY['recirc_id'], u32(fields['recirc'][1 + which]))
    if 'in_port' in fields:
        head += attr(KEY['in_port'], u32(fields['in_port'][1 + which]))
    return head + attr(KEY['eth'], get('eth_src', 6) + get('eth_dst', 6)) + inner


def random_mask(r, width):
    ones = (1 << 8 * width) - 1
    chance = r.random()
    if chance < 0.65:
        return ones
    if chance < 0.85:
        return ones << r.randint(0, 8 * width) & ones
    return r.getrandbits(8 * width)


def match(r, spec, port):
    """{field: (width, value, mask)} of a flow that the frame of `spec` at `port` should hit."""
    breadth = r.choice([0.5, 0.8, 1])
    fields = {name: (width, value, 0 if r.random() < breadth else random_mask(r, width)) for name, (width, value) in spec.items()}
    for name in ALWAYS_EXACT:
        if name in fields:
            fields[name] = (2, fields[name][1], 0xFFFF)
    for name in ('tci0', 'tci1'):
        if name in fields:
            fields[name] = (2, fields[name][1], fields[name][2] | 0x1000)
    if 'nw_proto' in fields:
        fields['nw_proto'] = (1, fields['nw_proto'][1], 0xFF if r.random() < 0.85 else 0)
        fields['nw_frag'] = (1, fields['nw_frag'][1], 0xFF if r.random() < 0.4 else 0)
    if 'icmp_type' in fields and 'nd_target' in fields:
        fields['icmp_type'] = (1, fields['icmp_type'][1], 0xFF)
        fields['icmp_code'] = (1, 0, 0xFF)
    for name in ('nsh_mdtype', 'nsh_np'):
        if name in fields:
            fields[name] = (1, fields[name][1], 0xFF)
    fields['in_port'] = (4, port, 0xFFFFFFFF)
    fields['recirc'] = (4, 0, 0xFFFFFFFF)
    return fields


def encodable(fields):
    """Only those of the fields that the flow's mask can have."""
    kind, dropped = fields['type'][1], ()
    is_ip = kind in (0x800, 0x86DD)
    if not is_ip and kind not in (0x806, 0x8035):
        dropped = ('nw_', 'v6_', 'l4_', 'tcp_', 'icmp_', 'nd_', 'arp_')
    elif is_ip and (fields.get('nw_proto', (1, 0, 0))[2] != 0xFF or fields['nw_frag'][1] == 2):
        dropped = ('l4_', 'tcp_', 'icmp_', 'nd_')
    elif fields.get('icmp_type', (1, 0, 0))[2] != 0xFF:
        dropped = ('nd_',)
    return {name: value for name, value in fields.items() if not name.startswith(dropped)} if dropped else fields


def disjoint(a, b):
    """True if no packet matches both."""
    if any((name in a) != (name in b) for name in ('tpid0', 'tpid1')):
        return True  # A flow says exactly how many tags there are.
    return any((a[name][1] ^ b[name][1]) & a[name][2] & b[name][2] for name in a if name in b)


def encoded(fields, actions):
    skip = []
    if 'nw_proto' in fields and fields['nw_proto'][2] != 0xFF:
        skip += ['l4']
    if 'icmp_type' not in fields or fields['icmp_type'][2] != 0xFF:
        skip += ['nd']
    value = {name: (w, v & m if name not in ('nw_proto', 'nw_frag', 'icmp_type') else v, m) for name, (w, v, m) in fields.items()}
    return {'key': build(value, 0).hex(), 'mask': build(fields, 1, skip).hex(), 'actions': actions.hex()}


class Actions:
    """Draws lists of actions for a flow.  It follows what they do to tags and type, so that most of them are valid."""

    def __init__(self, r, fields, recirc_ids):
        self.r, self.recirc_ids = r, recirc_ids
        self.fields = {name: value[1] for name, value in fields.items()}
        self.kind = self.fields['type']
        self.tags = ('tpid0' in fields) + ('tpid1' in fields)
        self.sloppy = r.random() < 0.06

    def output(self):
        return attr(ACTION['output'], u32(self.r.choice([1, 2, 3, 4] * 5 + [9])))

    def userspace(self):
        r = self.r
        inner = attr(1, PID) + (attr(2, r.randbytes(r.choice([1, 8, 13]))) if r.random() < 0.8 else b'')
        return attr(ACTION['userspace'], inner + (attr(4) if r.random() < 0.4 else b''))

    def set(self):
        """set or set_masked of a field that the packet has, or may have."""
        r, choices = self.r, ['eth', 'eth', 'skb_mark', 'priority']
        proto, frag = self.fields.get('nw_proto'), self.fields.get('nw_frag', 0)
        if self.sloppy:
            choices += ['ipv4', 'ipv6', 'tcp', 'udp', 'sctp', 'mpls', 'arp', 'icmp', 'vlan']
        if self.kind in (0x800, 0x86DD):
            choices += ['ipv4' if self.kind == 0x800 else 'ipv6'] * 4
            if proto in (6, 17, 132):
                choices += [{6: 'tcp', 17: 'udp', 132: 'sctp'}[proto]] * 4
        elif self.kind in (0x8847, 0x8848):
            choices += ['mpls'] * 4
        name, masked = r.choice(choices), r.random() < 0.6
        if name == 'eth':
            value = r.choice(MACS) + r.choice(MACS)
        elif name in ('skb_mark', 'priority'):
            value = r.randbytes(4)
        elif name == 'ipv4':
            value = r.choice(IPS) + r.choice(IPS) + bytes([0 if masked else proto or 0, r.choice(TOS), r.choice(TTL), 0 if masked else frag])
        elif name == 'ipv6':
            label = be32(r.choice([0, 1, 0xFFFFF, 0x54321]))
            value = r.choice(IP6S) + r.choice(IP6S) + label + bytes([0 if masked else proto or 0, r.choice(TOS), r.choice(TTL), 0 if masked else frag])
        elif name == 'mpls':
            value = be32(r.choice([0, 16, 99, 0xFFFFF]) << 12 | r.randint(0, 7) << 9 | r.choice([0, 0x100]) | r.choice(TTL))
        elif name == 'icmp':
            value = bytes([8, 0])
        elif name == 'vlan':
            value = be16(0x1003)
        elif name == 'arp':
            value = bytes(24)
        else:
            value = be16(r.choice(L4_PORTS)) + be16(r.choice(L4_PORTS))
        if not masked:
            return attr(ACTION['set'], attr(KEY[name], value))
        mask = bytes(r.choice([0, 0xFF, 0xFF, r.randint(0, 255)]) for _ in value)
        if name in ('ipv4', 'ipv6'):
            at = len(value) - 4
            mask = mask[:at] + b'\0' + mask[at + 1:at + 3] + b'\0'
            if name == 'ipv6':
                mask = mask[:32] + bytes([0, mask[33] & 0x0F]) + mask[34:]
        value = bytes(v & m for v, m in zip(value, mask)) if r.random() < 0.98 else value
        return attr(ACTION['set_masked'], attr(KEY[name], value + mask))

    def choices(self, depth):
        r = self.r
        choices = ['output'] * 6 + ['set'] * 7 + ['userspace', 'trunc', 'push_vlan', 'push_vlan', 'push_mpls', 'hash', 'ct_clear']
        choices += ['pop_vlan'] * (4 if self.tags else 1)
        if self.kind in (0x8847, 0x8848) or self.sloppy:
            choices += ['pop_mpls'] * 4
        if self.kind in (0x800, 0x86DD) and not self.tags or self.sloppy:
            choices += ['dec_ttl'] * 2
        if depth < 3:
            choices += ['clone', 'clone', 'sample', 'sample', 'check_pkt_len', 'check_pkt_len', 'recirc', 'recirc']
        if not self.tags and r.random() < 0.3 or self.sloppy:
            choices += ['pop_eth', 'push_eth']
        return choices

    def one(self, depth):
        r, name = self.r, self.r.choice(self.choices(depth))
        if name in ('output', 'set', 'userspace'):
            return getattr(self, name)()
        if name == 'trunc':
            return attr(ACTION['trunc'], u32(r.choice([14, 18, 20, 34, 60, 100, 1000, 65535, 13 if self.sloppy else 64])))
        if name == 'push_vlan':
            self.tags += 1
            return attr(ACTION['push_vlan'], be16(r.choice([0x8100, 0x88A8])) + be16(r.choice([0x1005, 0x1FFF, 0xF064, 0x1000])))
        if name == 'pop_vlan':
            self.tags = max(0, self.tags - 1)
            return attr(ACTION['pop_vlan'])
        if name == 'push_mpls':
            if self.tags and not self.sloppy:
                return self.output()
            self.kind = r.choice([0x8847, 0x8848])
            return attr(ACTION['push_mpls'], be32(r.choice([16, 100]) << 12 | r.choice([0, 0x100]) | r.choice(TTL)) + be16(self.kind))
        if name == 'pop_mpls':
            self.kind = r.choice([0x800, 0x86DD, 0x8847, 0x806, self.kind])
            return attr(ACTION['pop_mpls'], be16(self.kind))
        if name == 'hash':
            return attr(ACTION['hash'], u32(r.choice([0, 1])) + u32(r.choice([0, 7])))
        if name == 'recirc':
            return attr(ACTION['recirc'], u32(r.choice(self.recirc_ids)))
        if name in ('ct_clear', 'pop_eth'):
            return attr(ACTION[name])
        if name == 'push_eth':
            return attr(ACTION['push_eth'], r.choice(MACS) + r.choice(MACS))
        if name in ('add_mpls', 'push_nsh', 'pop_nsh'):
            return getattr(self, name)()
        return self.nested(name, depth + 1)

    def nested(self, name, depth):
        r, before = self.r, self.__dict__.copy()

        def inside(most):
            self.__dict__.update(before)
            data = self.draw(r.randint(0, most), depth)
            self.__dict__.update(before)
            return data

        if name == 'clone':
            return attr(ACTION['clone'], inside(4))
        if name == 'sample':
            return attr(ACTION['sample'], attr(1, u32(r.choice([0, 0xFFFFFFFF, 0xFFFFFFFF]))) + attr(2, inside(3)))
        if name == 'dec_ttl':
            return attr(ACTION['dec_ttl'], attr(1, inside(2)))
        size = r.choice([1, 14, 60, 74, 100, 200, 1000, 1500])
        return attr(ACTION['check_pkt_len'], attr(1, size.to_bytes(2, 'little')) + attr(2, inside(3)) + attr(3, inside(3)))

    def draw(self, length, depth=0):
        return b''.join(self.one(depth) for _ in range(length))


class HeaderActions(Actions):
    """Mostly headers that come and go: Ethernet, MPLS before and behind it, NSH."""

    def __init__(self, r, fields, recirc_ids):
        super().__init__(r, fields, recirc_ids)
        self.is_bare = False
        self.next_protocol = self.fields.get('nsh_np', 0)

    def choices(self, depth):
        r = self.r
        choices = ['output'] * 4 + ['userspace', 'trunc', 'hash']
        choices += ['clone', 'sample', 'check_pkt_len', 'recirc', 'recirc'] if depth < 3 else []
        if self.sloppy:
            return choices + ['pop_eth', 'push_eth', 'pop_mpls', 'push_mpls', 'pop_nsh', 'pop_vlan', 'set', 'dec_ttl'] * 2
        if self.is_bare:
            choices += ['push_eth'] * 4
        else:
            choices += ['push_vlan', 'pop_vlan', 'set', 'set'] + ['pop_eth'] * (0 if self.tags else 4)
        if self.kind in (0x8847, 0x8848):
            choices += ['pop_mpls'] * 4 + ['set'] * 2
        if self.kind == 0x894F:
            choices += ['pop_nsh'] * 6
        return choices + ['push_mpls'] * 2 + (['add_mpls'] * 2 + ['push_nsh'] * 2 if not self.tags else [])

    def one(self, depth):
        data = super().one(depth)
        kind = attrs(data)[0][0]
        if kind in (ACTION['pop_eth'], ACTION['push_eth']):
            self.is_bare = kind == ACTION['pop_eth']
        if kind == ACTION['pop_mpls'] and self.r.random() < 0.3:
            self.kind, self.is_bare = 0x6558, False
            return attr(ACTION['pop_mpls'], be16(0x6558))
        return data

    def add_mpls(self):
        r = self.r
        self.kind, is_behind = r.choice([0x8847, 0x8848]), r.random() < 0.5
        self.is_bare = self.is_bare or not is_behind
        return attr(ACTION['add_mpls'], be32(r.choice([16, 100]) << 12 | r.choice([0, 0x100]) | r.choice(TTL)) + be16(self.kind) + struct.pack('=H', is_behind))

    def push_nsh(self):
        r = self.r
        self.next_protocol = 3 if not self.is_bare else {0x800: 1, 0x86DD: 2, 0x894F: 4, 0x8847: 5}.get(self.kind, 0)
        self.kind, self.is_bare, md = 0x894F, True, r.choice([1, 1, 2])
        base = bytes([r.choice([0, 1, 2, 3]), r.choice([0, 1, 62, 63]), md if r.random() < 0.97 else 3, r.choice([0, 1, 3])]) + be32(r.choice([0x1FF, 0x12345678]))
        metadata = attr(2, r.randbytes(16)) if md == 1 else attr(3, r.randbytes(r.choice([0, 4, 8, 244])))
        return attr(ACTION['push_nsh'], attr(KEY['nsh'], attr(1, base) + metadata))

    def pop_nsh(self):
        self.kind = {1: 0x800, 2: 0x86DD, 3: 0x6558, 4: 0x894F, 5: 0x8847}.get(self.next_protocol, 0)
        self.is_bare, self.next_protocol = self.next_protocol != 3, 0
        return attr(ACTION['pop_nsh'])
