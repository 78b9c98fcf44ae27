"""Random frames for generate.py: whole ones of every kind that the key extraction knows, from small pools of values so that
flows drawn from the same pools match, then some of them damaged.

`draw(random)` returns a frame and what it says of itself, a flat dict from field to (width in bytes, value) that
random_flows.py makes a flow of.  A field that a damaged frame no longer has may be in it: then the flow is one that misses.
"""
import struct

MACS = [bytes.fromhex(h) for h in ('020000000001', '020000000002', '0200000000a3', 'ffffffffffff', '01005e000001', '000000000000')]
IPS = [bytes.fromhex(h) for h in ('0a000001', '0a000002', '0a010203', 'c0a80101', 'e0000001', '00000000')]
IP6S = [bytes.fromhex(h) for h in ('fd000000000000000000000000000001', 'fd000000000000000000000000000002',
                                   'fe800000000000000000000000000001', 'ff020000000000000000000000000001', '00' * 16)]
L4_PORTS = [0, 1, 53, 80, 443, 4789, 5000, 65535]
TOS, TTL = [0, 1, 2, 3, 0xB8, 0xFC, 0xFF], [0, 1, 2, 63, 64, 128, 255]
TAGS = [0x1001, 0x1002, 0x1064, 0x1FFF, 0x1000, 0xF001, 0xB005, 0x0001, 0x0000, 0xE064]


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def filled(segment, at, pseudo, is_udp=False):
    """`segment` with the checksum over pseudo header and itself at offset `at`."""
    value = checksum(pseudo + segment)
    if is_udp and value == 0:
        value = 0xFFFF
    return segment[:at] + struct.pack('>H', value) + segment[at + 2:]


def payload(r):
    kind = r.random()
    return r.randbytes(r.randint(0, 8) if kind < 0.3 else r.randint(0, 120) if kind < 0.85 else r.randint(0, 1400))


def transport(r, proto, src, dst, spec, is_v6):
    """The bytes of an L4 header with payload, its checksum right over the pseudo header of src and dst."""
    body = payload(r)
    sport, dport = r.choice(L4_PORTS), r.choice(L4_PORTS)

    def pseudo(size):
        if is_v6:
            return src + dst + struct.pack('>IHBB', size, 0, 0, proto)
        return src + dst + struct.pack('>BBH', 0, proto, size)

    if proto == 6:
        options = r.choice([b'', b'', bytes(4), b'\1\1\x08\x0a' + bytes(8)])
        flags = r.choice([0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x3F, 0, 0x1FF, 0xC2, r.randint(0, 0xFFF)])
        spec.update(l4_src=(2, sport), l4_dst=(2, dport), tcp_flags=(2, flags))
        head = struct.pack('>HHIIHHHH', sport, dport, r.getrandbits(32), r.getrandbits(32),
                           (5 + len(options) // 4) << 12 | flags, 1000, 0, r.choice([0, 0, 5])) + options
        return filled(head + body, 16, pseudo(len(head + body)))
    if proto == 17:
        spec.update(l4_src=(2, sport), l4_dst=(2, dport))
        segment = struct.pack('>HHHH', sport, dport, 8 + len(body), 0) + body
        return segment if r.random() < 0.2 and not is_v6 else filled(segment, 6, pseudo(len(segment)), True)
    if proto == 132:
        spec.update(l4_src=(2, sport), l4_dst=(2, dport))
        return struct.pack('>HHII', sport, dport, r.getrandbits(32), r.getrandbits(32)) + body
    if proto in (1, 58):
        kind = r.choice([0, 3, 8, 11] if proto == 1 else [1, 128, 129, 133, 134, 135, 136, 136, 135])
        code = r.choice([0, 0, 0, 1, 4])
        spec.update(icmp_type=(1, kind), icmp_code=(1, code))
        if kind in (135, 136) and proto == 58 and code == 0:
            target = r.choice(IP6S)
            spec['nd_target'] = (16, int.from_bytes(target, 'big'))
            body = bytes(4) + target
            for option in r.choice([(), (1,), (2,), (1, 2), (1, 1), (2, 2), (5,), (14, 1)]):
                mac = r.choice(MACS)
                body += bytes([option, 1]) + mac
                spec['nd_sll' if option == 1 else 'nd_tll'] = (6, int.from_bytes(mac, 'big'))
            if r.random() < 0.2:
                body += r.choice([b'\1\0', b'\1\1', b'\2\5' + bytes(6), bytes(8), b'\1'])
        segment = bytes([kind, code, 0, 0]) + body
        return filled(segment, 2, pseudo(len(segment)) if is_v6 else b'')
    return body


def ipv4(r, spec):
    src, dst = r.choice(IPS), r.choice(IPS)
    proto = r.choice([6, 6, 6, 17, 17, 1, 132, 2, 47, 4, 255, 0])
    tos, ttl = r.choice(TOS), r.choice(TTL)
    options = r.choice([b'', b'', b'', b'\1' * 4, b'\x94\4\0\0', bytes(40)])
    fragment = r.choice([0] * 8 + [0x4000, 0x4000, 0x2000, 0x2000 | 8, 0x0001, 0x1FFF, 0x8000])
    frag = 2 if fragment & 0x1FFF else 1 if fragment & 0x2000 else 0
    spec.update(nw_src=(4, int.from_bytes(src, 'big')), nw_dst=(4, int.from_bytes(dst, 'big')), nw_proto=(1, proto),
                nw_tos=(1, tos), nw_ttl=(1, ttl), nw_frag=(1, frag))
    body = transport(r, proto, src, dst, spec, False)
    size = 20 + len(options) + len(body)
    head = struct.pack('>BBHHHBBH', 0x40 | (5 + len(options) // 4), tos, size, r.getrandbits(16), fragment, ttl, proto, 0) + src + dst + options
    return filled(head, 10, b'') + body


def ipv6(r, spec):
    src, dst = r.choice(IP6S), r.choice(IP6S)
    proto = r.choice([6, 6, 17, 17, 58, 58, 58, 132, 59, 41, 253])
    tclass, hop, label = r.choice(TOS), r.choice(TTL), r.choice([0, 0, 1, 0xFFFFF, 0x12345])
    chain = r.choice([()] * 6 + [(0,), (60,), (43,), (44,), (44,), (51,), (0, 60), (0, 43, 44), (60, 43), (0, 60, 43, 44, 51, 60), (50,), (135,), (60, 0)])
    frag, headers = 0, b''
    body = transport(r, proto, src, dst, spec, True)
    kinds = [*chain, proto]
    for index, kind in enumerate(chain):
        following = kinds[index + 1]
        if kind == 44:
            fragment = r.choice([0, 1, 8, 0xFFF8, 9])
            frag = 2 if fragment & ~7 else 1
            headers += struct.pack('>BBHI', following, 0, fragment, 77)
        elif kind == 51:
            headers += struct.pack('>BBH', following, 4, 0) + bytes(20)
        else:
            length = r.choice([0, 0, 1, 2])
            headers += bytes([following, length]) + bytes(6 + 8 * length)
    spec.update(v6_src=(16, int.from_bytes(src, 'big')), v6_dst=(16, int.from_bytes(dst, 'big')), v6_label=(4, label),
                nw_proto=(1, proto), nw_tos=(1, tclass), nw_ttl=(1, hop), nw_frag=(1, frag))
    return struct.pack('>IHBB', 6 << 28 | tclass << 20 | label, len(headers + body), kinds[0], hop) + src + dst + headers + body


def arp(r, spec):
    op = r.choice([1, 2, 3, 9, 256, 511])
    sha, tha, sip, tip = r.choice(MACS), r.choice(MACS), r.choice(IPS), r.choice(IPS)
    spec.update(arp_sip=(4, int.from_bytes(sip, 'big')), arp_tip=(4, int.from_bytes(tip, 'big')), arp_op=(2, op & 0xFF),
                arp_sha=(6, int.from_bytes(sha, 'big')), arp_tha=(6, int.from_bytes(tha, 'big')))
    kind = r.choice([b'\0\1\x08\0\6\4'] * 6 + [b'\0\2\x08\0\6\4', b'\0\1\x08\0\6\5', b'\0\1\x86\xdd\6\4'])
    return kind + struct.pack('>H', op) + sha + sip + tha + tip + bytes(r.choice([0, 18]))


def mpls(r, spec):
    labels = [r.choice([0, 3, 16, 100, 0xFFFFF]) << 12 | r.randint(0, 7) << 9 | r.choice(TTL) for _ in range(r.choice([1, 1, 2, 3, 4, 5]))]
    if r.random() < 0.9:
        labels[-1] |= 0x100
    spec['mpls0'] = (4, labels[0])
    return b''.join(struct.pack('>I', label) for label in labels) + r.choice([ipv4, ipv6])(r, {})


def nsh(r, spec):
    """A service header, mostly right, with what it says behind it."""
    md, np, flags = r.choice([1, 1, 1, 2, 2, 3]), r.choice([1, 2, 3, 3, 4, 5, 0, 6]), r.choice([0, 0, 1, 2, 3])
    ttl, path = r.choice([0, 1, 63]), r.choice([0x1FF, 0x200, 0x12345678])
    context = r.choice([bytes(16), bytes(range(16))]) if md == 1 else r.randbytes(r.choice([0, 4, 8, 244]))
    words = (8 + len(context)) // 4 if r.random() < 0.95 else r.choice([0, 1, 2, 5, 63])
    spec.update(nsh_flags=(1, flags), nsh_ttl=(1, ttl), nsh_mdtype=(1, md), nsh_np=(1, np), nsh_path=(4, path))
    if md == 1:
        spec['nsh_context'] = (16, int.from_bytes(context, 'big'))
    head = struct.pack('>HBB', flags << 12 | ttl << 6 | words, md, np) + struct.pack('>I', path) + context
    if np == 3:
        return head + draw(r)[0]
    return head + {1: ipv4, 2: ipv6, 4: nsh, 5: mpls}.get(np, lambda r, _: payload(r))(r, {})


COMMON = [0x800] * 8 + [0x86DD] * 6 + [0x806] * 2 + [0x8847, 0x8847, 0x8848, 0x8035, 0x894F, 0x8809, 0, 0x5FF, 0x600]
HEADERS = [0x800, 0x86DD, 0x8847, 0x8848, 0x806] + [0x894F] * 3 + [0, 0x5FF]


def draw(r, kinds=COMMON):
    """(frame, spec)."""
    src, dst = r.choice(MACS), r.choice(MACS)
    spec = {'eth_src': (6, int.from_bytes(src, 'big')), 'eth_dst': (6, int.from_bytes(dst, 'big'))}
    kind = r.choice(kinds)
    count = r.choice([0] * 6 + [1, 1, 1, 2, 3])
    tags = [(r.choice([0x8100, 0x8100, 0x88A8]), r.choice(TAGS)) for _ in range(count)]
    if kind == 0x800:
        body = ipv4(r, spec)
    elif kind == 0x86DD:
        body = ipv6(r, spec)
    elif kind in (0x806, 0x8035):
        body = arp(r, spec)
    elif kind in (0x8847, 0x8848):
        body = mpls(r, spec)
    elif kind == 0x894F and kinds is HEADERS:
        body = nsh(r, spec)
    elif kind in (0, 0x5FF):
        inner = r.choice([0x800, 0x806, 0x100, 0x5FF, 0x86DD, 0x8100] if kinds is COMMON else [0x800, 0x86DD, 0x8100, 0x8847])
        snap = r.choice([b'\xaa\xaa\3\0\0\0', b'\xaa\xaa\3\0\0\0', b'\xaa\xaa\3\0\0\1', b'\x42\x42\3\0\0\0'])
        body = snap + struct.pack('>H', inner) + (ipv4(r, {}) if inner == 0x800 else payload(r))
        is_snap = snap == b'\xaa\xaa\3\0\0\0' and inner >= 0x600
        kind, spec['type'] = min(len(body), 0x5FF), (2, inner if is_snap else 4)
    else:
        body = payload(r)
    spec.setdefault('type', (2, kind))
    for index, (tpid, tci) in enumerate(tags[:2]):
        spec[f'tpid{index}'], spec[f'tci{index}'] = (2, tpid), (2, tci | 0x1000)
    if count == 3:
        spec['type'] = (2, tags[2][0])
    frame = dst + src + b''.join(struct.pack('>HH', *tag) for tag in tags) + struct.pack('>H', kind) + body
    return damaged(r, frame)[:1514], spec


def damaged(r, frame):
    chance = r.random()
    if chance < 0.12:
        return frame[:r.randint(15, max(15, min(len(frame), 100)))]
    if chance < 0.20:
        at = r.randrange(12, min(len(frame), 80))
        return frame[:at] + bytes([frame[at] ^ 1 << r.randrange(8)]) + frame[at + 1:]
    if chance < 0.26:
        at = r.randrange(14, min(len(frame), 80)) if len(frame) > 14 else 13
        return frame[:at] + r.randbytes(1) + frame[at + 1:]
    if chance < 0.32:
        return frame + bytes(r.randint(1, 46))
    if chance < 0.34:
        return (frame + r.randbytes(1514))[:1514]
    return frame
