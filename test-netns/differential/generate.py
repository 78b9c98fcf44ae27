"""Makes a scenario: flows that do not overlap, so that which one a packet hits is no matter of luck, and frames.

  generate.py KIND SEED FRAMES OUT.json [N,N...]     with numbers of frames: only these, to be played with a look at the flows hit
"""
import json, os, random, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import random_connections
import random_flows
import random_frames
import random_meters
import random_supers
import random_tunnels
from wire import ACTION, attr, u32

FREQUENT, FLOWS, ATTEMPTS, RECIRC_IDS = 90, 90, 2500, (1, 2, 3)
EVERYTHING, EXECUTED = 0xFFFFFFFF, 0.15


def stateless(seed, count, kinds, Actions):
    """A scenario in which no frame depends on another."""
    r = random.Random(seed)
    # Half of the frames come again and again, damaged in other ways: the flows are made for them.
    often = [(r.randint(1, 4), *random_frames.draw(r, kinds)) for _ in range(FREQUENT)]
    frames = []
    for _ in range(count):
        if r.random() < 0.5:
            port, frame, spec = r.choice(often)
            frames.append((port, random_frames.damaged(r, frame)[:1514], spec))
        else:
            frames.append((r.randint(1, 4), *random_frames.draw(r, kinds)))
    flows, taken = [], []

    def add(fields, actions):
        shown = random_flows.encodable(fields)
        if all(random_flows.disjoint(shown, other) for other in taken):
            taken.append(shown)
            flows.append(random_flows.encoded(fields, actions))

    for _ in range(ATTEMPTS):
        if len(flows) >= FLOWS:
            break
        port, _, spec = r.choice(often)
        fields = random_flows.match(r, spec, port)
        actions = Actions(r, fields, RECIRC_IDS)
        drawn = actions.draw(r.randint(1, 5))
        add(fields, drawn + attr(ACTION['output'], u32(r.randint(1, 4))))
    # What comes round again meets a flow for its id and kind, whatever its port; some kinds are left to user space.
    for number in RECIRC_IDS:
        for _ in range(40):
            _, _, spec = r.choice(frames)
            fields = {name: (width, value, 0) for name, (width, value) in spec.items()}
            fields |= {name: (2, spec[name][1], 0xFFFF) for name in random_flows.ALWAYS_EXACT if name in spec}
            fields |= {name: (2, spec[name][1], 0x1000) for name in ('tci0', 'tci1') if name in spec}
            fields['recirc'] = (4, number, EVERYTHING)
            actions = Actions(r, fields, [number + 1])
            add(fields, actions.draw(r.randint(0, 3)) + attr(ACTION['output'], u32(r.randint(1, 4))))
    # Some are not received but executed, with actions of their own.
    played = []
    for port, frame, spec in frames:
        played.append([port, frame.hex()])
        if r.random() < EXECUTED:
            fields = {name: (width, value, 0) for name, (width, value) in spec.items()}
            actions = Actions(r, fields, RECIRC_IDS)
            played[-1].append((actions.draw(r.randint(1, 4)) + attr(ACTION['output'], u32(r.randint(1, 4)))).hex())
    return {'seed': seed, 'pid': random_flows.PID.hex(), 'flows': flows, 'frames': played}


KINDS = {
    'frames': lambda seed, count: stateless(seed, count, random_frames.COMMON, random_flows.Actions),
    'conntrack': random_connections.scenario,
    'meters': random_meters.scenario,
    'super': random_supers.scenario,
    'tunnels': random_tunnels.scenario,
    'headers': lambda seed, count: stateless(seed, count, random_frames.HEADERS, random_flows.HeaderActions),
}

if __name__ == '__main__':
    made = KINDS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
    if len(sys.argv) > 5:
        made |= {'frames': [made['frames'][int(n)] for n in sys.argv[5].split(',')], 'trace': True}
    with open(sys.argv[4], 'w') as f:
        json.dump(made, f)
