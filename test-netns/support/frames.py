"""Raw frames for the tests, with nothing but Python's own library.

frames.py send IFACE HEX...            sends each frame out of IFACE
frames.py capture IFACE SECONDS        prints "ready", then each frame that IFACE receives, as hex, until SECONDS are over;
                                       a VLAN tag that the kernel took out of a frame is put back
frames.py exchange SEND HEX SECONDS IFACE...  sends HEX out of SEND and prints "IFACE HEX" for what the others get
"""
import select, socket, struct, sys, time

SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40


def open_device(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.bind((name, 0))
    return s


def receive(s):
    """One frame, with its VLAN tag; None for one that this host sent."""
    frame, controls, _, address = s.recvmsg(65536, 256)
    if address[2] == PACKET_OUTGOING:
        return None
    for level, kind, data in controls:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack('IIIHHHH', data[:20])
            if status & TP_STATUS_VLAN_VALID:
                tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                frame = frame[:12] + struct.pack('>HH', tpid, tci) + frame[12:]
    return frame


def listen(sockets, seconds, found):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for s in select.select(list(sockets), [], [], left)[0]:
            frame = receive(s)
            if frame is not None:
                found(sockets[s], frame)


command, args = sys.argv[1], sys.argv[2:]
if command == 'send':
    device = open_device(args[0])
    for text in args[1:]:
        device.send(bytes.fromhex(text))
elif command == 'capture':
    device = open_device(args[0])
    print('ready', flush=True)
    listen({device: args[0]}, float(args[1]), lambda name, frame: print(frame.hex(), flush=True))
elif command == 'exchange':
    sockets = {open_device(name): name for name in args[3:]}
    open_device(args[0]).send(bytes.fromhex(args[1]))
    listen(sockets, float(args[2]), lambda name, frame: print(name, frame.hex(), flush=True))
else:
    sys.exit(__doc__)
