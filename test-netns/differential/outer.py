"""Outer headers of tunnelled frames, for the scenarios of random_tunnels.py: how the underlay is numbered, headers around an inner frame,
and a frame off the underlay without what a sender may choose.
"""
import struct

from random_frames import checksum, filled
from wire import be16

# The underlay: the datapath's host has the first address of each pair, and who is at the far end the others.
WIRE = 9
DEVICE, FAR_DEVICE = 'u0', 'v0'
HOST_MAC, FAR_MAC = bytes.fromhex('020000000901'), bytes.fromhex('020000000902')
HOST4, FARS4 = bytes([10, 9, 0, 1]), (bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3]))
HOST6 = bytes.fromhex('fd09') + bytes(13) + b'\1'
FARS6 = tuple(bytes.fromhex('fd09') + bytes(13) + bytes([n]) for n in (2, 3))
IPV4, IPV6, UDP, GRE, NEEDS_CSUM = 0x800, 0x86DD, 17, 47, 1
# Numbers of the tunnel ports; GBP is VXLAN with group policy.
VXLAN, GBP, GENEVE, GRE_PORT = 11, 12, 13, 14
UDP_PORTS = {VXLAN: 4789, GBP: 4790, GENEVE: 6081}
# What senders choose source ports from: VXLAN the host's ephemeral ports, Geneve all.
EPHEMERAL, ANY_PORT = range(32768, 61000), range(1, 65536)


def ip(is_v6, src, dst, proto, segment, tos=0, ttl=64, fragment=0, label=0):
    if is_v6:
        return struct.pack('>IHBB', 6 << 28 | tos << 20 | label, len(segment), proto, ttl) + src + dst + segment
    head = struct.pack('>BBHHHBBH', 0x45, tos, 20 + len(segment), 1, fragment, ttl, proto, 0) + src + dst
    return filled(head, 10, b'') + segment


def pseudo(is_v6, src, dst, proto, size):
    return src + dst + (struct.pack('>IHBB', size, 0, 0, proto) if is_v6 else struct.pack('>BBH', 0, proto, size))


def udp(is_v6, src, dst, sport, dport, body, has_checksum):
    segment = struct.pack('>HHHH', sport, dport, 8 + len(body), 0) + body
    return filled(segment, 6, pseudo(is_v6, src, dst, UDP, len(segment)), True) if has_checksum else segment


def link(is_v6, packet):
    """From the far end to the host."""
    return HOST_MAC + FAR_MAC + struct.pack('>H', IPV6 if is_v6 else IPV4) + packet


def is_tagged(frame):
    return frame[12:14] in (b'\x81\x00', b'\x88\xa8')


def inner_at(frame, l4, proto):
    """Where the frame within a tunnel's packet begins."""
    if proto == GRE:
        return l4 + 4 + sum(4 for bit in (0x80, 0x20, 0x10) if frame[l4] & bit)
    is_geneve = frame[l4 + 2:l4 + 4] == be16(UDP_PORTS[GENEVE])
    return l4 + 16 + (4 * (frame[l4 + 8] & 0x3F) if is_geneve else 0)


def completed(frame, offloads=b''):
    """A frame with the checksum that its virtio_net_hdr leaves to the device."""
    if not offloads or not offloads[0] & NEEDS_CSUM:
        return frame
    start, offset = struct.unpack_from('=HH', offloads, 6)
    value = checksum(frame[start:]) or 0xFFFF
    return frame[:start + offset] + struct.pack('>H', value) + frame[start + offset + 2:]


def plain_outer(frame):
    """A frame off the underlay with what its sender may choose left out: the id of an IPv4 packet, the UDP source port.  Checksums are
    left out if they are right.  None for what no tunnel sends."""
    kind = int.from_bytes(frame[12:14], 'big')
    if kind == IPV4 and frame[14] == 0x45:
        is_v6, proto, l4, src, dst = False, frame[23], 34, frame[26:30], frame[30:34]
        head = frame[14:18] + b'--' + frame[20:24] + (b'ok' if checksum(frame[14:34]) == 0 else b'BAD') + frame[26:34]
    elif kind == IPV6:
        is_v6, proto, l4, src, dst = True, frame[20], 54, frame[22:38], frame[38:54]
        head = frame[14:54]
    else:
        return None
    if proto not in (UDP, GRE):
        return None
    if is_tagged(frame[inner_at(frame, l4, proto):]):
        # The module copies the congestion bits from the wrong place.
        head = bytes([head[0], head[1] & (0xCF if is_v6 else 0xFC)]) + head[2:]
    body = frame[l4:]
    if proto == UDP:
        sport, has_checksum = int.from_bytes(body[:2], 'big'), body[6:8] != b'\0\0'
        is_right = checksum(pseudo(is_v6, src, dst, UDP, len(body)) + body) == 0
        check = 'none' if not has_checksum else 'right' if is_right else 'WRONG'
        is_geneve = body[2:4] == be16(UDP_PORTS[GENEVE])
        port = 'any port' if sport in (ANY_PORT if is_geneve else EPHEMERAL) else f'port {sport}'
        return f'{frame[:14].hex()} {head.hex()} udp from {port} checksum {check} {body[2:6].hex()} {body[8:].hex()}'
    return f'{frame[:14].hex()} {head.hex()} gre {body.hex()}'
