"""A netlink client in the style of pyroute2, for preload.test.ts: plain socket calls, no library.

Run under LD_PRELOAD beside fake-datapath.ts; prints one JSON object, a result for each question.  Times are in ms.
"""
import errno, json, os, select, socket, struct, threading, time

GENERIC, CTRL, FIRST_ID = 16, 16, 900
REQUEST, ACK, DUMP = 1, 4, 0x300
NEW, REFUSED, GET, FATAL = 1, 2, 3, 99


def message(kind, cmd, seq, attrs=b"", flags=REQUEST):
    body = struct.pack("=BBH", cmd, 1, 0) + (b"" if kind == CTRL else struct.pack("=i", 0)) + attrs
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body


def get_family(name, seq):
    value = name.encode() + b"\0"
    attr = struct.pack("=HH", 4 + len(value), 2) + value
    return message(CTRL, 3, seq, attr + b"\0" * (-len(value) % 4))


def opened(connect=True):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
    if connect:
        s.connect((0, 0))
    else:
        s.bind((0, 0))
    return s


def answer(s, flags=socket.MSG_DONTWAIT):
    """(type, seq, errno or None, sender), or the name of the errno."""
    try:
        data, sender = s.recvfrom(65536, flags)
    except OSError as e:
        return errno.errorcode[e.errno]
    _, kind, _, seq, _ = struct.unpack_from("=IHHII", data)
    return [kind, seq, -struct.unpack_from("=i", data, 16)[0] if kind == 2 else None, sender[0]]


def timed(f):
    start = time.monotonic()
    result = f()
    return result, (time.monotonic() - start) * 1000


def readable(s):
    return bool(select.select([s], [], [], 0)[0])


out = {}

s = opened()
s.send(get_family("ovs_datapath", 1))
out["connected"] = answer(s)
out["peer"] = s.getpeername()[0]
out["own"] = s.getsockname()[0] != 0

s = opened(connect=False)
s.sendto(get_family("ovs_flow", 2), (0, 0))
out["unconnected"] = answer(s)
s.sendmsg([get_family("nlctrl", 3)], [], 0, (0, 0))
out["kernel"] = answer(s)
s.sendto(get_family("no_such", 4), (0, 0))
out["kernel refuses"] = answer(s)
s.sendto(get_family("ovs_nonsense", 5), (0, 0))
out["datapath refuses"] = answer(s)

s = opened()
s.send(message(FIRST_ID, NEW, 6))
out["silent success"], out["silent ms"] = timed(lambda: answer(s))
s.send(message(FIRST_ID, REFUSED, 7))
out["refused"] = answer(s)
s.send(message(FIRST_ID, GET, 8))
out["reply"] = answer(s)
out["nothing left"] = not readable(s)
s.send(message(FIRST_ID, NEW, 9, flags=REQUEST | ACK))
out["asked for ack"] = answer(s)
out["idle"] = answer(s)

pad = lambda m: m + b"\0" * (-len(m) % 4)
s.send(pad(message(FIRST_ID, NEW, 20)) + pad(message(FIRST_ID, REFUSED, 21)) + message(FIRST_ID, NEW, 22))
out["batch"] = [answer(s), answer(s)]

s.send(message(FIRST_ID, GET, 30, flags=REQUEST | DUMP))
out["dump"] = [answer(s) for _ in range(4)]

s.setblocking(True)
s.send(message(FIRST_ID, GET, 31))
out["peek"] = [answer(s, socket.MSG_PEEK), answer(s, 0)]

# A listener never waits, whatever other sockets of the process do.
listener = opened()
s.send(message(FIRST_ID, GET, 32))
out["listener"] = answer(listener)
out["after listener"] = answer(s)

# A descriptor used again is another socket.
s.send(message(FIRST_ID, GET, 40))
fd = s.fileno()
s.close()
s = opened()
out["same fd"] = s.fileno() == fd
out["reused"] = answer(s)

# Other sockets of the process are left alone.
a, b = socket.socketpair()
a.send(b"x")
out["unix"] = b.recv(1).decode()

# nfnetlink: conntrack (1), its expectations (2) and timeouts (8) are the datapath's, nftables (10) and the rest are not.
NETFILTER = 12


def nf_message(subsystem, kind, seq, flags):
    return struct.pack("=IHHIIBBH", 20, subsystem << 8 | kind, flags, seq, 0, 0, 0, 0)


s2 = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
s2.connect((0, 0))
s2.send(nf_message(1, 1, 70, REQUEST | DUMP))
out["conntrack dump"] = [answer(s2) for _ in range(3)]
s2.send(nf_message(1, 2, 71, REQUEST | ACK))
out["conntrack delete"] = [answer(s2) for _ in range(2)]
s2.sendto(nf_message(8, 1, 72, REQUEST | ACK), (0, 0))
out["timeout policy"] = answer(s2)
s2.send(nf_message(2, 1, 73, REQUEST | ACK))
out["expectation"] = answer(s2)
# The kernel knows no subsystem 77.
s2.send(nf_message(77, 1, 74, REQUEST | ACK))
out["no conntrack"] = answer(s2)
s2.close()

failures = []


def worker(n):
    t = opened()
    for i in range(5):
        t.send(message(FIRST_ID, GET, n * 100 + i))
        got = answer(t)
        if got != [FIRST_ID, n * 100 + i, None, 0]:
            failures.append(got)


threads = [threading.Thread(target=worker, args=(n,)) for n in range(6)]
for t in threads:
    t.start()
for t in threads:
    t.join()
out["thread failures"] = failures

pid = os.fork()
if pid == 0:
    c = opened()
    c.send(message(FIRST_ID, GET, 50))
    os._exit(0 if answer(c) == [FIRST_ID, 50, None, 0] else 1)
out["child"] = os.waitpid(pid, 0)[1]

# It got its predecessor's port id, and so may have got its answer, which came before those of the child and the threads.
while answer(s) != "EAGAIN":
    pass

# The datapath ends in the middle of a request.
s.send(message(FIRST_ID, FATAL, 60))
out["died"] = answer(s)
try:
    s.send(message(FIRST_ID, GET, 61))
    out["gone"] = "sent"
except OSError as e:
    out["gone"] = errno.errorcode[e.errno]
print(json.dumps(out))
