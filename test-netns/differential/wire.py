"""Netlink messages of the ovs families, as bytes: what generate.py builds, play.py sends and compare.py prints.

Numbers and layouts: include/uapi/linux/openvswitch.h, netlink.h, genetlink.h.
"""
import struct

# The names are those of the header, in small letters.
KEY_NAMES = {
    1: 'encap', 2: 'priority', 3: 'in_port', 4: 'eth', 5: 'vlan', 6: 'eth_type', 7: 'ipv4', 8: 'ipv6', 9: 'tcp', 10: 'udp',
    11: 'icmp', 12: 'icmpv6', 13: 'arp', 14: 'nd', 15: 'skb_mark', 16: 'tunnel', 17: 'sctp', 18: 'tcp_flags', 19: 'dp_hash',
    20: 'recirc_id', 21: 'mpls', 22: 'ct_state', 23: 'ct_zone', 24: 'ct_mark', 25: 'ct_labels', 26: 'ct_tuple4',
    27: 'ct_tuple6', 28: 'nsh', 32: 'ipv6_exthdrs',
}
KEY = {name: number for number, name in KEY_NAMES.items()}
ACTION_NAMES = {
    1: 'output', 2: 'userspace', 3: 'set', 4: 'push_vlan', 5: 'pop_vlan', 6: 'sample', 7: 'recirc', 8: 'hash', 9: 'push_mpls',
    10: 'pop_mpls', 11: 'set_masked', 12: 'ct', 13: 'trunc', 14: 'push_eth', 15: 'pop_eth', 16: 'ct_clear', 17: 'push_nsh',
    18: 'pop_nsh', 19: 'meter', 20: 'clone', 21: 'check_pkt_len', 22: 'add_mpls', 23: 'dec_ttl',
}
ACTION = {name: number for number, name in ACTION_NAMES.items()}
# Actions whose payload is attributes, and which of these are lists of actions: a number, or True for the payload itself.
NESTED = {2: (), 6: (2,), 20: True, 21: (2, 3), 23: (1,)}


def attr(kind, payload=b''):
    return struct.pack('=HH', 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attrs(data):
    """[(kind, payload)] of a sequence of attributes."""
    found, at = [], 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from('=HH', data, at)
        if size < 4 or at + size > len(data):
            break
        found.append((kind & 0x3FFF, data[at + 4:at + size]))
        at += size + 3 & ~3
    return found


def u32(n):
    return struct.pack('=I', n)


def be16(n):
    return struct.pack('>H', n)


def be32(n):
    return struct.pack('>I', n)


def format_key(data):
    """Attributes of a key as text: name=hex, nested ones in braces."""
    parts = []
    for kind, payload in attrs(data):
        name = KEY_NAMES.get(kind, str(kind))
        parts.append(f'{name}{{{format_key(payload)}}}' if kind == KEY['encap'] else f'{name}={payload.hex()}')
    return ' '.join(parts)


def format_actions(data):
    parts = []
    for kind, payload in attrs(data):
        name = ACTION_NAMES.get(kind, str(kind))
        lists = NESTED.get(kind)
        if lists is True:
            text = format_actions(payload)
        elif lists is not None:
            inner = [format_actions(p) if k in lists else f'{k}={p.hex()}' for k, p in attrs(payload)]
            text = '; '.join(inner)
        elif name in ('set', 'set_masked'):
            text = format_key(payload)
        else:
            text = payload.hex()
        parts.append(f'{name}({text})')
    return ', '.join(parts) or 'drop'
