"""How values of fields are written for ovs-ofctl, whole and under masks."""


def mac(n):
    return ':'.join(f'{n:012x}'[i:i + 2] for i in range(0, 12, 2))


def ip(n):
    return '.'.join(str(b) for b in n.to_bytes(4, 'big'))


def ip6(n):
    return ':'.join(f'{n:032x}'[i:i + 4] for i in range(0, 32, 4))


TEXT = {'mac': mac, 'ip': ip, 'ip6': ip6, 'hex': hex, 'dec': str}


def value(r, kind, bits, n, may_mask=True):
    """`n` in the words of its kind, sometimes under a mask: the first bits, or any."""
    text = TEXT[kind]
    if not may_mask or r.random() < 0.6:
        return text(n)
    if kind == 'mac' or r.random() < 0.3:
        mask = r.getrandbits(bits)
    else:
        mask = (1 << bits) - (1 << bits - r.randint(1, bits))
    return f'{text(n & mask)}/{text(mask)}'
