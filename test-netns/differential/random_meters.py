"""Scenarios for meters, for generate.py: random flows whose actions send packets through meters, in groups of frames before which
meters are made anew and after which they are asked for.

What a bucket gets while time goes by is no matter of luck: rates are 1 kbit/s or 1 packet/s, so that a second adds less than a packet
(frames have 1000 bytes and a little, and bursts leave half of one over), or bursts are such that nothing or everything is dropped.
A group that took longer than that is not compared.
"""
import random

import random_flows
import random_frames
from random_flows import PID
from wire import ACTION, attr, u32

SET, DEL, GET = 2, 3, 4
ID, KBPS, STATS, BANDS, CLEAR = 1, 2, 3, 4, 6
BAND_TYPE, BAND_RATE, BAND_BURST = 1, 2, 3
DROP = 1
# The table has 1024 places at first: 1026 has the place of 2.
IDS = [0, 1, 2, 3, 4, 5, 1026, 0xFFFFFFFF]
GROUP, WINDOW, FLOWS, FREQUENT = 8, 0.9, 80, 60
LEAST_SIZE, MOST_SIZE = 1000, 1040


class MeterActions(random_flows.Actions):
    def choices(self, depth):
        return super().choices(depth) + ['meter'] * 10

    def one(self, depth):
        r = self.r
        if r.choice(self.choices(depth)) == 'meter':
            return attr(ACTION['meter'], u32(r.choice(IDS)))
        return super().one(depth)


def draw_frame(r):
    while True:
        frame, spec = random_frames.draw(r)
        if len(frame) <= LEAST_SIZE:
            return frame + bytes(r.randint(LEAST_SIZE, MOST_SIZE) - len(frame)), spec


def band(r):
    """(attributes of a band, whether its rate counts kbit)."""
    kind, is_kbps = r.random(), r.random() < 0.5
    if kind < 0.15:
        rate, burst = r.choice([1, 1000, 0xFFFFFFFF]), 0
    elif kind < 0.3:
        rate, burst = r.choice([1, 1000000]), 1000000
    else:
        rate, burst = 1, r.choice([8 * k + 4 for k in range(7)]) if is_kbps else r.randint(0, 7)
    kind = r.choice([DROP] * 9 + [0, 2])
    return attr(BAND_TYPE, u32(kind)) + attr(BAND_RATE, u32(rate)) + attr(BAND_BURST, u32(burst)), is_kbps


def damaged_band(r, attributes):
    """Bytes of a band's attributes, one of which lacks, is zero or short."""
    parts = [attributes[at:at + 8] for at in range(0, len(attributes), 8)]
    which = r.randrange(len(parts))
    parts[which] = r.choice([b'', parts[which][:4] + bytes(4), attr(which + 1, b'\1\0')])
    return b''.join(parts)


def set_meter(r, number):
    """Attributes of a request that makes a meter."""
    attributes, is_kbps = band(r)
    payload = attr(ID, u32(number)) + attr(BANDS, attr(0, attributes)) + (attr(KBPS) if is_kbps else b'')
    payload += attr(CLEAR) if r.random() < 0.4 else b''
    return payload + (attr(STATS, r.choice([bytes(16), r.randbytes(3) + bytes(5) + r.randbytes(3) + bytes(5)])) if r.random() < 0.1 else b'')


def wrong_meter(r, number):
    """Attributes of one that cannot be made, or has a band in an unusual place."""
    attributes, _ = band(r)
    good = attr(0, attributes)
    bands = r.choice([b'', good + good, attr(0), attr(0, damaged_band(r, attributes)), b'\3\0\0\0', attr(7, attributes), good])
    payload = attr(ID, u32(number)) if r.random() < 0.9 else b''
    payload += attr(BANDS, bands) if r.random() < 0.9 else b''
    return payload + (attr(STATS, bytes(8)) if r.random() < 0.1 else b'')


def request(command, payload):
    return {'request': ['meter', command, payload.hex()]}


def group(r, frames):
    """Steps: the meters, frames, and what the meters have counted."""
    yield {'window': WINDOW}
    for number in r.sample(IDS, len(IDS)):
        if r.random() < 0.1:
            yield request(SET, wrong_meter(r, number))
        # Whatever came of that, the meter is a new one, or none.
        yield request(DEL, attr(ID, u32(number))) if r.random() < 0.1 else request(SET, set_meter(r, number))
    yield from frames
    for number in [*IDS, 77]:
        yield request(GET, attr(ID, u32(number)))
    if r.random() < 0.1:
        yield request(r.choice([GET, DEL]), r.choice([b'', attr(ID, b'\1'), attr(ID, u32(77)), attr(ID, bytes(8))]))


def scenario(seed, count):
    r = random.Random(seed)
    often = [(r.randint(1, 4), *draw_frame(r)) for _ in range(FREQUENT)]
    flows, taken = [], []
    for _ in range(FLOWS * 20):
        if len(flows) == FLOWS:
            break
        port, _, spec = r.choice(often)
        fields = random_flows.match(r, spec, port)
        shown = random_flows.encodable(fields)
        if all(random_flows.disjoint(shown, other) for other in taken):
            taken.append(shown)
            actions = MeterActions(r, fields, [1])
            drawn = actions.draw(r.randint(1, 5))
            flows.append(random_flows.encoded(fields, drawn + attr(ACTION['output'], u32(r.randint(1, 4)))))
    steps, made = [], 0
    while made < count:
        frames = []
        for _ in range(min(GROUP, count - made)):
            port, frame, spec = r.choice(often) if r.random() < 0.7 else (r.randint(1, 4), *draw_frame(r))
            frames.append([port, frame.hex()])
            if r.random() < 0.15:
                fields = {name: (width, value, 0) for name, (width, value) in spec.items()}
                frames[-1].append((MeterActions(r, fields, [1]).draw(r.randint(1, 4)) + attr(ACTION['output'], u32(1))).hex())
        made += len(frames)
        steps += group(r, frames)
    return {'seed': seed, 'pid': PID.hex(), 'flows': flows, 'frames': steps}
