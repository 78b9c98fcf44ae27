"""Scenarios for conntrack, for generate.py: a random pipeline of CT actions, and packets of connections through it, some of
which keep to their protocol and some of which do not.

Clients are at port 1, servers at port 2.  Every flow ends in user space, so that each upcall tells the whole key: state, zone,
mark, labels, original tuple.  NAT is such that its choice is no matter of luck: one address, and a port at most.
"""
import random, struct

from random_flows import PID
from random_frames import checksum, filled
from wire import ACTION, KEY, attr, be16, u32

CT = {'commit': 1, 'zone': 2, 'mark': 3, 'labels': 4, 'helper': 5, 'nat': 6, 'force': 7, 'eventmask': 8}
NAT = {'src': 1, 'dst': 2, 'min': 3, 'max': 4, 'port_min': 5, 'port_max': 6, 'persistent': 7}
CLIENT_PORT, SERVER_PORT, OTHER_PORT = 1, 2, 3
NAT_PORT = 7777
NEW, INVALID = 0x01, 0x10
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
MACS = {CLIENT_PORT: bytes.fromhex('020000000001'), SERVER_PORT: bytes.fromhex('020000000002')}
TCP, UDP, ICMP, ICMP6, SCTP, GRE = 6, 17, 1, 58, 132, 47


class Pipeline:
    """The flows: one or two stages of ct(...), recirc, and what is done by state."""

    def __init__(self, r, is_v6):
        self.r, self.is_v6 = r, is_v6
        self.zones = r.choice([[0], [1], [5], [65535], [1, 2], [3, 3], [0, 7]])
        self.nat = r.choice(['none', 'none', 'src', 'dst', 'src-port', 'null'])
        self.nat_address = bytes.fromhex('fd0000000000000000000000000000aa') if is_v6 else bytes([10, 0, 0, 170])
        self.nat_port = NAT_PORT
        self.flows = []
        for port in (CLIENT_PORT, SERVER_PORT):
            for stage in range(len(self.zones)):
                self.stage(port, stage)
            self.last(port)

    def ct(self, stage, **fields):
        nat = {'src': attr(NAT['src']), 'src-port': attr(NAT['src']), 'dst': attr(NAT['dst'])}
        data = b''.join(attr(CT[name], value) for name, value in fields.items() if name != 'nat')
        data += attr(CT['zone'], struct.pack('=H', self.zones[stage])) if self.zones[stage] or self.r.random() < 0.5 else b''
        if 'nat' in fields:
            inner = nat.get(fields['nat'], b'')
            if inner:
                inner += attr(NAT['min'], self.nat_address)
                inner += attr(NAT['port_min'], struct.pack('=H', self.nat_port)) if fields['nat'] == 'src-port' else b''
            data += attr(CT['nat'], inner)
        return attr(ACTION['ct'], data)

    def flow(self, port, recirc, state, state_mask, actions):
        kind = be16(0x86DD if self.is_v6 else 0x800)
        head = attr(KEY['ipv6'], bytes(40)) if self.is_v6 else attr(KEY['ipv4'], bytes(12))
        key = attr(KEY['recirc_id'], u32(recirc)) + attr(KEY['in_port'], u32(port)) + attr(KEY['ct_state'], u32(state)) + attr(KEY['eth'], bytes(12)) + attr(KEY['eth_type'], kind) + head
        mask = attr(KEY['recirc_id'], b'\xff' * 4) + attr(KEY['in_port'], b'\xff' * 4) + attr(KEY['ct_state'], u32(state_mask)) + attr(KEY['eth'], bytes(12)) + attr(KEY['eth_type'], b'\xff\xff') + head
        self.flows.append({'key': key.hex(), 'mask': mask.hex(), 'actions': actions.hex()})

    def uses_nat(self, stage):
        return self.nat != 'none' and stage == len(self.zones) - 1

    def stage(self, port, stage):
        look_up = {'nat': 'null'} if self.uses_nat(stage) else {}
        self.flow(port, stage, 0, 0, self.ct(stage, **look_up) + attr(ACTION['recirc'], u32(10 + stage)))
        following = u32(stage + 1)
        for state in (NEW, 0, INVALID):
            actions = b''
            if state == NEW:
                actions = self.commit(stage, port)
            elif state == 0 and self.r.random() < 0.3:
                actions = self.ct(stage, commit=b'', **self.marks())
            elif state == INVALID:
                actions = self.r.choice([b'', attr(ACTION['ct_clear'])])
            self.flow(port, 10 + stage, state, NEW | INVALID, actions + self.tell(stage) + attr(ACTION['recirc'], following))

    def marks(self):
        r, fields = self.r, {}
        if r.random() < 0.5:
            mask = r.choice([0xFFFFFFFF, 0xFF, 0xF0F0F0F0])
            fields['mark'] = u32(r.getrandbits(32) & mask) + u32(mask)
        if r.random() < 0.5:
            mask = r.choice([b'\xff' * 16, b'\xff' * 4 + bytes(12), r.randbytes(16)])
            fields['labels'] = bytes(v & m for v, m in zip(r.randbytes(16), mask)) + mask
        return fields

    def commit(self, stage, port):
        r = self.r
        if r.random() < (0.05 if port == CLIENT_PORT else 0.4):
            return b''
        fields = {r.choice(['commit'] * 4 + ['force']): b''} | self.marks()
        if 'force' in fields:
            fields['commit'] = b''
        if self.uses_nat(stage):
            fields['nat'] = self.nat if port == CLIENT_PORT else 'null'
        return self.ct(stage, **fields)

    def tell(self, stage):
        return attr(ACTION['userspace'], attr(1, PID) + attr(2, bytes([stage])))

    def last(self, port):
        other = SERVER_PORT if port == CLIENT_PORT else CLIENT_PORT
        clear = attr(ACTION['ct_clear']) + self.tell(200) if self.r.random() < 0.3 else b''
        self.flow(port, len(self.zones), 0, 0, attr(ACTION['output'], u32(other)) + self.tell(100) + clear)


class Connection:
    """Two ends, and packets between them as they are seen where they enter."""

    def __init__(self, r, pipeline, number):
        self.r, self.is_v6 = r, pipeline.is_v6
        self.proto = r.choice([TCP] * 6 + [UDP] * 3 + [ICMP6 if self.is_v6 else ICMP] * 2 + [SCTP, GRE, 99])
        host = r.randint(1, 4)
        self.client = self.address(host)
        self.server = self.address(100 + r.randint(0, 1))
        self.ports = (10000 + number, r.choice([80, 53, 443]))
        if pipeline.nat == 'src-port':
            self.server = self.address(110 + number % 60)
        # As the server, and the client's packets to it, are seen on their sides.
        self.seen_client, self.seen_server, self.seen_port = self.client, self.server, self.ports[0]
        if self.proto in (TCP, UDP, SCTP):
            if pipeline.nat.startswith('src'):
                self.seen_client = pipeline.nat_address
            if pipeline.nat == 'src-port':
                self.seen_port = pipeline.nat_port
        elif pipeline.nat.startswith('src'):
            self.seen_client = pipeline.nat_address
        if pipeline.nat == 'dst':
            self.seen_server = pipeline.nat_address
        self.id = r.getrandbits(16)

    def address(self, host):
        return bytes.fromhex('fd') + bytes(14) + bytes([host]) if self.is_v6 else bytes([10, 0, 0, host])

    def ends(self, from_client):
        """(source, destination, source port, destination port) where such a packet enters."""
        if from_client:
            return self.client, self.server, *self.ports
        return self.seen_server, self.seen_client, self.ports[1], self.seen_port

    def ip(self, src, dst, proto, segment, fragment=0, ttl=64):
        if self.is_v6:
            return struct.pack('>IHBB', 6 << 28, len(segment), proto, ttl) + src + dst + segment
        self.id = self.id + 1 & 0xFFFF
        head = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(segment), self.id, fragment, ttl, proto, 0) + src + dst
        return filled(head, 10, b'') + segment

    def frame(self, from_client, packet):
        port = CLIENT_PORT if from_client else SERVER_PORT
        macs = MACS[SERVER_PORT if from_client else CLIENT_PORT] + MACS[port]
        return [port, (macs + be16(0x86DD if self.is_v6 else 0x800) + packet).hex()]

    def pseudo(self, src, dst, proto, size):
        return src + dst + (struct.pack('>IHBB', size, 0, 0, proto) if self.is_v6 else struct.pack('>BBH', 0, proto, size))

    def summed(self, src, dst, proto, segment, at, is_udp=False):
        if proto == ICMP:
            return filled(segment, at, b'')
        done = filled(segment, at, self.pseudo(src, dst, proto, len(segment)), is_udp)
        return done if self.r.random() > 0.02 else done[:at] + bytes([done[at] ^ 1]) + done[at + 1:]

    def tcp(self, from_client, flags, seq, ack, body=b'', window=5000, options=b''):
        src, dst, sport, dport = self.ends(from_client)
        offset = 5 + len(options) // 4
        head = struct.pack('>HHIIHHHH', sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, offset << 12 | flags, window, 0, 0)
        return self.ip(src, dst, TCP, self.summed(src, dst, TCP, head + options + body, 16))

    def udp(self, from_client, body, src_dst=None):
        src, dst, sport, dport = self.ends(from_client)
        segment = struct.pack('>HHHH', sport, dport, 8 + len(body), 0) + body
        return self.ip(src, dst, UDP, self.summed(src, dst, UDP, segment, 6, True))

    def echo(self, from_client, seq, body):
        src, dst = self.ends(from_client)[:2]
        kinds = (128, 129) if self.is_v6 else (8, 0)
        kind = kinds[0 if from_client else 1]
        if self.r.random() < 0.05:
            kind = self.r.choice([13, 14, 17, 18, 15, 16, 5, 130, 133, 135])
        segment = struct.pack('>BBHHH', kind, 0, 0, self.ports[0], seq) + body
        return self.ip(src, dst, self.proto, self.summed(src, dst, self.proto, segment, 2))

    def other(self, from_client, body):
        src, dst, sport, dport = self.ends(from_client)
        if self.proto == SCTP:
            kind = self.r.choice([1, 2, 10, 11, 0, 0, 3, 7, 8, 14, 4, 5, 6])
            body = struct.pack('>HHII', sport, dport, 0 if kind == 1 else 77, 0) + struct.pack('>BBHI', kind, 0, 20, 77) + bytes(12)
            body = body[:8] + struct.pack('<I', crc32c(body)) + body[12:]
        elif self.proto == GRE:
            body = bytes.fromhex('00000800') + body
        return self.ip(src, dst, self.proto, body)

    def error(self, from_client, packet):
        """An ICMP error from that side about a packet that came to it, as it saw that."""
        src, dst = self.ends(from_client)[:2]
        if self.r.random() < 0.3:
            src = self.address(200)
        if self.is_v6:
            kind, proto = self.r.choice([(1, 4), (2, 0), (3, 0), (4, 1)]), ICMP6
        else:
            kind, proto = self.r.choice([(3, 1), (3, 3), (3, 4), (11, 0), (12, 0), (5, 1)]), ICMP
        segment = bytes([*kind, 0, 0]) + bytes(4) + packet[:self.r.choice([28, 48, 100, 20])]
        return self.ip(src, dst, proto, self.summed(src, dst, proto, segment, 2))

    def as_received(self, packet, from_client):
        """`packet`, which enters from there, as the other side gets it."""
        at, size = (8, 16) if self.is_v6 else (12, 4)
        if from_client:
            src, dst = self.seen_client, self.seen_server
        else:
            src, dst = self.server, self.client
        packet = packet[:at] + src + dst + packet[at + 2 * size:]
        l4 = at + 2 * size
        if self.proto in (TCP, UDP, SCTP):
            if from_client:
                packet = packet[:l4] + be16(self.seen_port) + packet[l4 + 2:]
            else:
                packet = packet[:l4 + 2] + be16(self.ports[0]) + packet[l4 + 4:]
        return packet if self.is_v6 else filled(packet[:10] + bytes(2) + packet[12:20], 10, b'') + packet[20:]

    def fragments(self, packet):
        """IP fragments of a packet, or the packet if it is small."""
        r, head = self.r, 40 if self.is_v6 else 20
        step = r.choice([8, 24, 56, 400])
        body = packet[head:]
        if len(body) <= step:
            return [packet]
        pieces = []
        for at in range(0, len(body), step):
            more, part = at + step < len(body), body[at:at + step]
            if self.is_v6:
                frag = struct.pack('>BBHI', packet[6], 0, at | more, self.id)
                pieces.append(packet[:4] + be16(8 + len(part)) + bytes([44]) + packet[7:40] + frag + part)
            else:
                new = packet[:2] + be16(20 + len(part)) + packet[4:6] + be16(more << 13 | at >> 3) + packet[8:10] + bytes(2) + packet[12:20]
                pieces.append(filled(new, 10, b'') + part)
        self.id = self.id + 1 & 0xFFFF
        chance = r.random()
        if chance < 0.3:
            r.shuffle(pieces)
        elif chance < 0.4:
            pieces.insert(r.randrange(len(pieces)), r.choice(pieces))
        elif chance < 0.5:
            pieces.pop(r.randrange(len(pieces)))
        return pieces

    def steps(self, count):
        """Frames of this connection, in order."""
        r = self.r
        made = self.tcp_steps(count) if self.proto == TCP else self.simple_steps(count)
        last = None
        for from_client, packet in made:
            if last is not None and r.random() < 0.06:
                yield self.frame(not last[0], self.error(not last[0], self.as_received(last[1], last[0])))
            if self.proto != TCP and len(packet) > 60 and r.random() < 0.25 or r.random() < 0.02:
                for piece in self.fragments(packet):
                    yield self.frame(from_client, piece)
            else:
                yield self.frame(from_client, packet + (bytes(r.choice([1, 6, 30])) if r.random() < 0.1 else b''))
            last = from_client, packet

    def simple_steps(self, count):
        r, seq = self.r, r_start(self.r)
        for index in range(r.randint(1, count)):
            from_client = index == 0 or r.random() < 0.5
            body = r.randbytes(r.choice([0, 3, 40, 200, 900]))
            if self.proto == UDP:
                yield from_client, self.udp(from_client, body)
            elif self.proto in (ICMP, ICMP6):
                seq += from_client
                yield from_client, self.echo(from_client, seq & 0xFFFF, body)
            else:
                yield from_client, self.other(from_client, body)

    def tcp_steps(self, count):
        r = self.r
        seqs = [r_start(r), r_start(r)]  # Of the client, of the server: what is sent next.
        window = r.choice([100, 1000, 65535])
        options = r.choice([b'', b'\2\4\5\xb4', b'\2\4\5\xb4\4\2\1\1', b'\2\4\5\xb4\1\3\3\7', b'\1\1\x08\x0a' + bytes(8), b'\4\2\1\1\1\3\3\2'])
        answer = options if r.random() < 0.8 else b''

        def make(side, flags, body=b'', seq_off=0, ack_off=0, options=b'', window=window):
            return not side, self.tcp(not side, flags, seqs[side] + seq_off, seqs[1 - side] + ack_off if flags & ACK else 0, body, window, options)

        start = r.random()
        if start < 0.8:
            yield make(0, SYN, options=options)
            if r.random() < 0.1:
                yield make(0, SYN, options=options)
            if r.random() < 0.05:
                yield make(1, RST | ACK, ack_off=1)
            seqs[0] += 1
            if r.random() < 0.93:
                yield make(1, SYN | ACK, options=answer, ack_off=r.choice([0] * 12 + [1, -1, 1000]))
                seqs[1] += 1
            if r.random() < 0.9:
                yield make(0, ACK)
        elif start < 0.9:  # Both open at once.
            yield make(0, SYN, options=options)
            yield make(1, SYN, options=answer)
            seqs = [seqs[0] + 1, seqs[1] + 1]
            yield make(0, SYN | ACK, seq_off=-1)
            yield make(1, SYN | ACK, seq_off=-1)
        # Otherwise it is picked up in the middle.
        sent = None
        for _ in range(r.randint(0, count)):
            side, chance = r.randint(0, 1), r.random()
            if chance < 0.45:
                body = r.randbytes(r.choice([1, 10, 50, 500]))
                sent = make(side, ACK | r.choice([0, PSH]), body)
                seqs[side] += len(body)
                yield sent
            elif chance < 0.60:
                yield make(side, ACK, window=r.choice([0, window]))
            elif chance < 0.66 and sent is not None:
                yield sent
            elif chance < 0.72:
                yield make(side, ACK, r.randbytes(10), seq_off=r.choice([-100000, 100000, 70000, -70000, -1, 1 << 31, 200]))
            elif chance < 0.77:
                yield make(side, ACK, ack_off=r.choice([100000, -100000, 5, -5, 1 << 31]))
            elif chance < 0.80:
                yield make(side, r.choice([0, SYN | FIN, SYN | RST, FIN, PSH, URG, ACK | URG, 63, FIN | RST, SYN | PSH | ACK]), r.choice([b'', b'x']))
            elif chance < 0.83:
                yield make(side, RST | r.choice([0, ACK]), seq_off=r.choice([0, 0, 5000, -5, 1 << 30]))
            elif chance < 0.88:
                sack = struct.pack('>BBBBII', 1, 1, 5, 10, seqs[1 - side] + 100 & 0xFFFFFFFF, seqs[1 - side] + 200 & 0xFFFFFFFF)
                yield make(side, ACK, options=sack)
            elif chance < 0.96:
                yield make(side, FIN | ACK)
                seqs[side] += 1
            else:
                yield make(side, SYN, seq_off=r.choice([0, 1000, -1, 1 << 31]), options=options)


def r_start(r):
    return r.choice([1000, 0xFFFFFFF0, 0x7FFFFFF0, r.getrandbits(32)])


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def scenario(seed, count):
    r = random.Random(seed)
    pipelines = {is_v6: Pipeline(r, is_v6) for is_v6 in (False, True)}
    frames, open_ones, number = [], [], 0
    while len(frames) < count:
        while len(open_ones) < 6:
            number += 1
            open_ones.append(Connection(r, pipelines[r.random() < 0.4], number).steps(r.choice([3, 10, 25])))
        running = r.choice(open_ones)
        for _ in range(r.choice([1, 1, 4])):
            step = next(running, None)
            if step is None:
                open_ones.remove(running)
                break
            frames.append(step)
        if len(frames) % 50 == 0 and frames[-1][1] is not None:
            frames.append([0, None])
    frames.append([0, None])
    flows = [flow for pipeline in pipelines.values() for flow in pipeline.flows]
    return {'seed': seed, 'pid': PID.hex(), 'flows': flows, 'frames': frames, 'conntrack': True}
