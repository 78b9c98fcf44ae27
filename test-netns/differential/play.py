"""Plays scenarios of generate.py on a datapath and writes what came of them: the frames out of every port, the upcalls, the
flows' statistics, the errno of every request.  It runs outside on the emulated datapath and, the same file, on the real module.

  play.py PORT-ID IN.json OUT.json [IN.json OUT.json]...      PORT-ID: where the datapath listens; 0 for the kernel's own

Frames enter at the far ends of four veth pairs, one at a time: after each comes a probe, a frame that the flow of its port
sends out of every port and to user space.  When that has arrived everywhere, all that its predecessor caused has arrived too.
Nothing of Open vSwitch is used, and only what comes with Python, so that it is quick where the machine is emulated.

A step of a scenario is [PORT, FRAME, ACTIONS or null, OFFLOADS]: executed rather than received if it has actions, sent with a
virtio_net_hdr if it has offloads.  Where the frame is null, the connections are listed.
"""
import json, os, select, socket, struct, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import ACTION, KEY, attr, attrs, be16, u32

SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
NETLINK_NETFILTER, NETLINK_GENERIC, VNET_HLEN, NO_OFFLOADS, NEEDS_CSUM = 12, 16, 10, bytes(10), 1
CTNETLINK_GET, CTNETLINK_DELETE = 0x101, 0x102
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
REQUEST, ACK, ECHO, ROOT, MATCH, CREATE, EXCL = 1, 4, 8, 0x100, 0x200, 0x400, 0x200
PORTS = (1, 2, 3, 4)
PROBE_TYPE, PROBE_DATA, TIMEOUT = 0x88B5, b'probe---', 20.0
PROBE = bytes.fromhex('02000000fefe02000000fdfd') + be16(PROBE_TYPE) + bytes(46)
DATAPATH = 'diff-dp'


class Netlink:
    """Requests to one datapath, one at a time."""

    def __init__(self, peer, protocol=NETLINK_GENERIC):
        self.peer, self.seq = peer, 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.socket.bind((0, 0))
        self.pid = self.socket.getsockname()[0]
        self.families = {}

    def send_raw(self, kind, flags, payload):
        self.seq += 1
        self.socket.sendto(struct.pack('=IHHII', 16 + len(payload), kind, REQUEST | flags, self.seq, self.pid) + payload, (self.peer, 0))

    def send(self, kind, command, payload, flags, version=1):
        self.send_raw(kind, flags, struct.pack('=BBH', command, version, 0) + payload)

    def receive(self):
        """[(type, bytes after nlmsghdr)] of a datagram.  Acks of an earlier request never come here: all are awaited."""
        data, found, at = self.socket.recv(1 << 17), [], 0
        while at + 16 <= len(data):
            size, kind = struct.unpack_from('=IH', data, at)
            found.append((kind, data[at + 16:at + size]))
            at += size + 3 & ~3
        return found

    def request(self, kind, command, payload, flags=0, version=1):
        """Sends and waits: (errno, replies)."""
        self.send(kind, command, payload, flags | ACK, version)
        return self.replies()

    def replies(self):
        replies = []
        while True:
            if not select.select([self.socket], [], [], TIMEOUT)[0]:
                raise SystemExit('no answer')
            for got, body in self.receive():
                if got == 2:
                    return -struct.unpack_from('=i', body)[0], replies
                if got == 3:
                    return 0, replies
                replies.append(body)

    def family(self, name):
        errno, replies = self.request(16, 3, attr(2, name.encode() + b'\0'))
        if errno:
            raise SystemExit(f'{name}: errno {errno}')
        found = dict(attrs(replies[0][4:]))
        return struct.unpack('=H', found[1])[0]


class Player:
    def __init__(self, peer):
        self.requests, self.upcalls, self.netfilter = Netlink(peer), Netlink(peer), Netlink(peer, NETLINK_NETFILTER)
        self.upcalls.socket.setblocking(False)
        self.dp_type, self.vport_type, self.flow_type, self.packet_type = (
            self.requests.family(f'ovs_{name}') for name in ('datapath', 'vport', 'flow', 'packet'))
        self.sockets = {}
        for port in PORTS:
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
            s.bind((f'q{port}', 0))
            s.setblocking(False)
            self.sockets[port] = s

    def dp(self, kind, command, payload, flags=0, version=1):
        header = struct.pack('=i', self.ifindex)
        errno, replies = self.requests.request(kind, command, header + payload, flags, version)
        return errno, [reply[8:] for reply in replies]

    def must(self, what, errno):
        if errno:
            raise SystemExit(f'{what}: {os.strerror(errno)}')

    def set_up(self):
        pid = u32(self.upcalls.pid)
        self.ifindex = 0
        self.must('new datapath', self.dp(self.dp_type, 1, attr(1, DATAPATH.encode() + b'\0') + attr(2, pid) + attr(5, u32(1)), 0, 2)[0])
        self.ifindex = socket.if_nametoindex(DATAPATH)
        for port in PORTS:
            name = f'p{port}'.encode() + b'\0'
            self.must(f'port {port}', self.dp(self.vport_type, 1, attr(2, u32(1)) + attr(3, name) + attr(1, u32(port)) + attr(5, pid))[0])
        everywhere = b''.join(attr(ACTION['output'], u32(port)) for port in PORTS)
        actions = everywhere + attr(ACTION['userspace'], attr(1, pid) + attr(2, PROBE_DATA))
        for port in PORTS:
            key = attr(KEY['in_port'], u32(port)) + attr(KEY['eth'], bytes(12)) + attr(KEY['eth_type'], be16(PROBE_TYPE))
            mask = attr(KEY['in_port'], b'\xff' * 4) + attr(KEY['eth'], bytes(12)) + attr(KEY['eth_type'], b'\xff\xff')
            self.must('probe flow', self.put(key, mask, actions))

    def put(self, key, mask, actions):
        return self.dp(self.flow_type, 1, attr(1, key) + attr(7, mask) + attr(2, actions), CREATE | EXCL)[0]

    def tear_down(self):
        self.must('delete datapath', self.dp(self.dp_type, 2, b'', 0, 2)[0])

    def drain(self, out):
        """Whatever has arrived, into `out`.  True if a probe was among it, for each of where."""
        probes = set()
        for port, s in self.sockets.items():
            while True:
                try:
                    frame, controls, _, _ = s.recvmsg(1 << 17, 128)
                except BlockingIOError:
                    break
                offloads, frame = frame[:VNET_HLEN], frame[VNET_HLEN:]
                for level, kind, data in controls:
                    if level == SOL_PACKET and kind == PACKET_AUXDATA:
                        status, _, _, _, _, tci, tpid = struct.unpack('IIIHHHH', data[:20])
                        if status & TP_STATUS_VLAN_VALID:
                            tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                            frame = frame[:12] + struct.pack('>HH', tpid, tci) + frame[12:]
                if frame == PROBE:
                    probes.add(port)
                else:
                    out['out'].append([port, frame.hex()] + ([offloads.hex()] if offloads[0] & NEEDS_CSUM or offloads[1] else []))
        while True:
            try:
                messages = self.upcalls.receive()
            except BlockingIOError:
                break
            for kind, body in messages:
                if kind != self.packet_type:
                    continue
                found = attrs(body[8:])
                if (4, PROBE_DATA) in found:
                    probes.add(0)
                else:
                    out['upcalls'].append([body[0], [[k, p.hex()] for k, p in found]])
        return probes

    def frame(self, port, frame, actions=None, offloads=NO_OFFLOADS):
        out = {'out': [], 'upcalls': []}
        if actions is not None:
            key = attr(KEY['in_port'], u32(port)) + attr(KEY['skb_mark'], u32(5)) + attr(KEY['priority'], u32(6))
            out['executed'] = self.dp(self.packet_type, 3, attr(1, frame) + attr(2, key) + attr(3, actions))[0]
        else:
            try:
                self.sockets[port].send(offloads + frame)
            except OSError as error:
                out['send'] = error.errno
        self.sockets[port].send(NO_OFFLOADS + PROBE)
        missing, end = {0, *PORTS}, time.monotonic() + TIMEOUT
        while missing:
            left = end - time.monotonic()
            if left <= 0:
                out['lost'] = sorted(missing)
                break
            select.select([*self.sockets.values(), self.upcalls.socket], [], [], left)
            missing -= self.drain(out)
        return out

    def dump(self):
        """Statistics of each flow by its key and mask: [packets, bytes, TCP flags]."""
        errno, flows = self.dp(self.flow_type, 3, b'', ROOT | MATCH)
        self.must('dump', errno)
        found = {}
        for flow in flows:
            a = dict(attrs(flow))
            packets, size = struct.unpack('=QQ', a[3]) if 3 in a else (0, 0)
            found[f'{a[1].hex()}/{a[7].hex()}'] = [packets, size, a.get(4, b'\0')[0], a.get(2, b'').hex()]
        return found

    def connections(self):
        self.netfilter.send_raw(CTNETLINK_GET, ROOT | MATCH, bytes(4))
        errno, found = self.netfilter.replies()
        self.must('list connections', errno)
        return [connection[4:].hex() for connection in found]

    def forget_connections(self):
        self.netfilter.send_raw(CTNETLINK_DELETE, ACK, bytes(4))
        self.must('delete connections', self.netfilter.replies()[0])

    def play(self, scenario):
        self.set_up()
        if scenario.get('conntrack'):
            self.forget_connections()
        pid, own = self.upcalls.pid.to_bytes(4, 'little').hex(), scenario['pid']
        hexes = bytes.fromhex
        result = {'pid': pid, 'flows': [], 'frames': []}
        for flow in scenario['flows']:
            result['flows'].append(self.put(hexes(flow['key']), hexes(flow['mask']), hexes(flow['actions'].replace(own, pid))))
        traced = scenario.get('trace', False)
        before = self.dump() if traced else {}
        for port, frame, actions, offloads in ([*step, None, None][:4] for step in scenario['frames']):
            if frame is None:
                result['frames'].append({'out': [], 'upcalls': [], 'connections': self.connections()})
                continue
            out = self.frame(port, hexes(frame), hexes(actions.replace(own, pid)) if actions else None, hexes(offloads) if offloads else NO_OFFLOADS)
            if traced:
                after = self.dump()
                out['hit'] = [flow for flow in after if after[flow][:3] != before[flow][:3]]
                before = after
            result['frames'].append(out)
        result['stats'] = self.dump()
        self.tear_down()
        return result


def ip(*args):
    subprocess.run(('ip', *args), check=True)


def make_devices():
    for name in ('all', 'default'):
        with open(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6', 'w') as f:
            f.write('1')
    for port in PORTS:
        ip('link', 'add', f'p{port}', 'type', 'veth', 'peer', 'name', f'q{port}')
        for side in 'pq':
            ip('link', 'set', f'{side}{port}', 'up')


make_devices()
player = Player(int(sys.argv[1], 0))
for source, target in zip(sys.argv[2::2], sys.argv[3::2]):
    with open(source) as f:
        scenario = json.load(f)
    start = time.monotonic()
    played = player.play(scenario)
    print(f'{len(played["frames"])} frames in {time.monotonic() - start:.1f} s', flush=True)
    with open(target, 'w') as f:
        json.dump(played, f)
