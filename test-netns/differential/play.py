"""Plays scenarios of generate.py on a datapath and writes what came of them: the frames out of every port, the upcalls, the
flows' statistics, the errno of every request.  It runs outside on the emulated datapath and, the same file, on the real module.

  play.py PORT-ID IN.json OUT.json [IN.json OUT.json]...      PORT-ID: where the datapath listens; 0 for the kernel's own

Frames enter at the far ends of four veth pairs, one at a time: after each comes a probe, a frame that the flow of its port
sends out of every port and to user space.  When that has arrived everywhere, all that its predecessor caused has arrived too.
Nothing of Open vSwitch is used, and only what comes with Python, so that it is quick where the machine is emulated.

A step of a scenario is [PORT, FRAME, ACTIONS or null, OFFLOADS]: executed rather than received if it has actions, sent with a
virtio_net_hdr if it has offloads.  Where the frame is null, the connections are listed.  Or it is {"request": [FAMILY, COMMAND, HEX]},
something else to ask the datapath; {"wire": FRAME, "probes": [FRAME...]}, what enters at the underlay's far end, and probes that take
the same way; or {"window": SECONDS}: what follows, up to the next such step, tells if it came later than that.
"""
import json, os, select, socket, struct, sys, time
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlink import ACK, NETLINK_GENERIC, SO_RCVBUFFORCE, TIMEOUT, Netlink
from outer import FAR_DEVICE, WIRE
from underlay import ip
from wire import ACTION, KEY, attr, attrs, be16, u32
import underlay

SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
NETLINK_NETFILTER, VNET_HLEN, NO_OFFLOADS, NEEDS_CSUM, CSUM_START = 12, 10, bytes(10), 1, 6
CTNETLINK_GET, CTNETLINK_DELETE = 0x101, 0x102
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
ROOT, MATCH, CREATE, EXCL = 0x100, 0x200, 0x400, 0x200
PORTS = (1, 2, 3, 4)
PROBE_TYPE, PROBE_DATA = 0x88B5, b'probe---'
PROBE = bytes.fromhex('02000000fefe02000000fdfd') + be16(PROBE_TYPE) + bytes(46)
DATAPATH = 'diff-dp'


class Player:
    def __init__(self, peer):
        self.requests, self.upcalls, self.netfilter = Netlink(peer), Netlink(peer), Netlink(peer, NETLINK_NETFILTER)
        self.upcalls.socket.setblocking(False)
        self.types = {name: self.requests.family(f'ovs_{name}') for name in ('datapath', 'vport', 'flow', 'packet', 'meter')}
        self.sockets = {}
        for port in PORTS:
            self.listen(port, f'q{port}')

    def listen(self, port, device):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        s.bind((device, 0))
        s.setblocking(False)
        self.sockets[port] = s

    def dp(self, kind, command, payload, flags=0, version=1):
        header = struct.pack('=i', self.ifindex)
        errno, replies = self.requests.request(kind, command, header + payload, flags, version)
        return errno, [reply[8:] for reply in replies]

    def must(self, what, errno):
        if errno:
            raise SystemExit(f'{what}: {os.strerror(errno)}')

    def set_up(self, has_underlay):
        pid = u32(self.upcalls.pid)
        self.ifindex = 0
        self.must('new datapath', self.dp(self.types['datapath'], 1, attr(1, DATAPATH.encode() + b'\0') + attr(2, pid) + attr(5, u32(1)), 0, 2)[0])
        self.ifindex = socket.if_nametoindex(DATAPATH)
        for port in PORTS:
            name = f'p{port}'.encode() + b'\0'
            self.must(f'port {port}', self.dp(self.types['vport'], 1, attr(2, u32(1)) + attr(3, name) + attr(1, u32(port)) + attr(5, pid))[0])
        everywhere = b''.join(attr(ACTION['output'], u32(port)) for port in PORTS)
        actions = everywhere + attr(ACTION['userspace'], attr(1, pid) + attr(2, PROBE_DATA))
        ports = list(PORTS)
        if has_underlay:
            underlay.make()
            self.listen(WIRE, FAR_DEVICE)
            for port, payload in underlay.vports(pid):
                self.must(f'port {port}', self.dp(self.types['vport'], 1, payload)[0])
                ports.append(port)
            actions += underlay.probe_actions()
        for port in ports:
            key = attr(KEY['in_port'], u32(port)) + attr(KEY['eth'], bytes(12)) + attr(KEY['eth_type'], be16(PROBE_TYPE))
            mask = attr(KEY['in_port'], b'\xff' * 4) + attr(KEY['eth'], bytes(12)) + attr(KEY['eth_type'], b'\xff\xff')
            self.must('probe flow', self.put(key, mask, actions))

    def put(self, key, mask, actions):
        return self.dp(self.types['flow'], 1, attr(1, key) + attr(7, mask) + attr(2, actions), CREATE | EXCL)[0]

    def tear_down(self):
        self.must('delete datapath', self.dp(self.types['datapath'], 2, b'', 0, 2)[0])
        if WIRE in self.sockets:
            self.sockets.pop(WIRE).close()
            underlay.remove()

    def drain(self, out):
        """Whatever has arrived, into `out`.  How often a probe was among it, for each of where."""
        probes = Counter()
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
                            if offloads[0] & NEEDS_CSUM:
                                start, = struct.unpack_from('=H', offloads, CSUM_START)
                                offloads = offloads[:CSUM_START] + struct.pack('=H', start + 4) + offloads[CSUM_START + 2:]
                if frame == PROBE or port == WIRE and frame.endswith(PROBE):
                    probes[port] += 1
                else:
                    out['out'].append([port, frame.hex()] + ([offloads.hex()] if offloads[0] & NEEDS_CSUM or offloads[1] else []))
        while True:
            try:
                messages = self.upcalls.receive()
            except BlockingIOError:
                break
            for kind, body in messages:
                if kind != self.types['packet']:
                    continue
                found = attrs(body[8:])
                if (4, PROBE_DATA) in found:
                    probes[0] += 1
                else:
                    out['upcalls'].append([body[0], [[k, p.hex()] for k, p in found]])
        return probes

    def frame(self, port, frame, actions=None, offloads=NO_OFFLOADS):
        out = {'out': [], 'upcalls': []}
        if actions is not None:
            key = attr(KEY['in_port'], u32(port)) + attr(KEY['skb_mark'], u32(5)) + attr(KEY['priority'], u32(6))
            out['executed'] = self.dp(self.types['packet'], 3, attr(1, frame) + attr(2, key) + attr(3, actions))[0]
        else:
            try:
                self.sockets[port].send(offloads + frame)
            except OSError as error:
                out['send'] = error.errno
        self.sockets[port].send(NO_OFFLOADS + PROBE)
        return self.wait_for_probes(1, out)

    def wire(self, frame, probes):
        """A frame from the far end of the underlay, and `probes`."""
        self.sockets[WIRE].send(NO_OFFLOADS + frame)
        for probe in probes:
            self.sockets[WIRE].send(NO_OFFLOADS + probe)
        return self.wait_for_probes(len(probes), {'out': [], 'upcalls': []})

    def wait_for_probes(self, count, out):
        missing, end = Counter({place: count for place in (0, *self.sockets)}), time.monotonic() + TIMEOUT
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
        errno, flows = self.dp(self.types['flow'], 3, b'', ROOT | MATCH)
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
        self.set_up(scenario.get('underlay', False))
        if scenario.get('conntrack'):
            self.forget_connections()
        pid, own = self.upcalls.pid.to_bytes(4, 'little').hex(), scenario['pid']
        hexes = bytes.fromhex
        result = {'pid': pid, 'flows': [], 'frames': []}
        for flow in scenario['flows']:
            result['flows'].append(self.put(hexes(flow['key']), hexes(flow['mask']), hexes(flow['actions'].replace(own, pid))))
        traced = scenario.get('trace', False)
        before = self.dump() if traced else {}
        deadline = None
        for step in scenario['frames']:
            late = {'late': True} if deadline is not None and time.monotonic() > deadline else {}
            if isinstance(step, dict):
                if 'wire' in step:
                    result['frames'].append(self.wire(hexes(step['wire']), [hexes(probe) for probe in step['probes']]))
                elif 'window' in step:
                    deadline = time.monotonic() + step['window']
                    result['frames'].append({'out': [], 'upcalls': []})
                else:
                    family, command, payload = step['request']
                    errno, replies = self.dp(self.types[family], command, hexes(payload))
                    result['frames'].append({'out': [], 'upcalls': [], 'errno': errno, 'replies': [reply.hex() for reply in replies], **late})
                continue
            port, frame, actions, offloads = [*step, None, None][:4]
            if frame is None:
                result['frames'].append({'out': [], 'upcalls': [], 'connections': self.connections()})
                continue
            out = self.frame(port, hexes(frame), hexes(actions.replace(own, pid)) if actions else None, hexes(offloads) if offloads else NO_OFFLOADS)
            if traced:
                after = self.dump()
                out['hit'] = [flow for flow in after if after[flow][:3] != before[flow][:3]]
                before = after
            if deadline is not None and time.monotonic() > deadline:
                late = {'late': True}
            result['frames'].append({**out, **late})
        result['stats'] = self.dump()
        self.tear_down()
        return result


def make_devices():
    for name in ('all', 'default'):
        with open(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6', 'w') as f:
            f.write('1')
    for port in PORTS:
        ip('link', 'add', f'p{port}', 'type', 'veth', 'peer', 'name', f'q{port}')
        for side in 'pq':
            ip('link', 'set', f'{side}{port}', 'up')


# On one CPU, so that the kernel has no queues that overtake each other.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
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
