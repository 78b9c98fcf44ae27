"""Requests over netlink, to the kernel or to a datapath of a port id of its own; one at a time."""
import select, socket, struct

from wire import attr, attrs

NETLINK_GENERIC = 16
SO_RCVBUFFORCE = 33
REQUEST, ACK = 1, 4
ERROR, DONE = 2, 3
TIMEOUT = 20.0


class Netlink:
    """Requests to one peer, one at a time."""

    def __init__(self, peer, protocol=NETLINK_GENERIC):
        self.peer, self.seq = peer, 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.bind((0, 0))
        self.pid = self.socket.getsockname()[0]

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
                if got == ERROR:
                    return -struct.unpack_from('=i', body)[0], replies
                if got == DONE:
                    return 0, replies
                replies.append(body)

    def family(self, name):
        errno, replies = self.request(NETLINK_GENERIC, 3, attr(2, name.encode() + b'\0'))
        if errno:
            raise SystemExit(f'{name}: errno {errno}')
        found = dict(attrs(replies[0][4:]))
        return struct.unpack('=H', found[1])[0]
