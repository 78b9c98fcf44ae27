"""Random switches, in the words of ovs-ofctl, ovs-vsctl and ovs-appctl, and frames, for two vswitchds to make the same of: scenarios of
scripts/vswitchd-diff.

  scenario.py SEED OUT.json

A scenario is {"seed", "steps"}; play.py says what a step is.
"""
import json, os, random, re, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
from actions import actions, group, meter
from match import Packet, conjunctions, match
from questions import VERSIONS, questions
from settings import BR0, BR1, CLEAN, FORGET, PATCH, appctl, ofctl, settings
from simple_actions import World
from traffic import Translation, connections, drawn, pipeline

TABLES = (0, 1, 2, 3, 64, 200)


def flows(r, frames, world):
    """The flows of a bridge, as text."""
    found = []
    for table in world.tables:
        for _ in range(r.randint(3, 7) if table == 0 else r.randint(0, 2) if table > 3 else r.randint(1, 5)):
            text, packet = match(r, r.choice(frames)[1], table, world.ports)
            start = f'table={table},priority={r.choice([1, 10, 10, 100, 1000])},cookie={r.getrandbits(16):#x}'
            if r.random() < 0.05:
                start += r.choice([',idle_timeout=300', ',hard_timeout=900', ',send_flow_rem', ',importance=5', ',check_overlap', ',reset_counts'])
            found.append(','.join(p for p in (start, text) if p) + ',actions=' + actions(r, packet, table, world))
        if r.random() < 0.7:
            found.append(f'table={table},priority=0,actions=' + r.choice(['normal', 'normal', 'drop', f'resubmit(,{r.choice(world.tables)})', 'output:4', 'controller']))
    return found


def given(r, bridge, texts):
    """Steps that give flows to a bridge: one by one, some at a time, in bundles, by several versions."""
    steps = []
    while texts:
        count = 1 if r.random() < 0.6 else r.randint(2, 6)
        some, texts = texts[:count], texts[count:]
        version = 'OpenFlow15' if r.random() < 0.6 else r.choice(VERSIONS)
        if count == 1:
            steps.append(ofctl('add-flow', bridge, some[0], version=version))
        else:
            how = r.choice([[], ['--bundle'], ['--bundle']])
            if how:
                # In a bundle, stock does not see overlaps with those of the bundle's flows that have new masks.
                some = [text.replace(',check_overlap', '') for text in some]
            steps.append(ofctl(*how, 'add-flows', bridge, '-', stdin='\n'.join(some) + '\n', version=version))
    return steps


def change(r, frames, world):
    """A change between frames."""
    table = r.choice(world.tables)
    text, packet = match(r, r.choice(frames)[1], table, world.ports)
    listed = [ofctl('mod-flows', 'br0', f'table={table},{text},actions={actions(r, packet, table, world)}'), ofctl('del-flows', 'br0', f'table={table},{text}'),
              ofctl('--strict', 'del-flows', 'br0', f'table={table},priority=0'), ofctl('mod-flows', '--strict', 'br0', f'table={table},priority=0,actions=output:3'),
              ofctl('add-flow', 'br0', f'table=0,priority=50,{text},actions={actions(r, packet, 0, world)}'), ofctl('del-flows', 'br0', 'out_port=2'), appctl('fdb/flush', 'br0'),
              ofctl('mod-port', 'br0', '3', r.choice(['no-flood', 'flood', 'up'])), ofctl('del-flows', 'br0', 'cookie=0x1/0x1')]
    if world.groups:
        number = r.choice(world.groups)
        listed += [ofctl('mod-group', 'br0', group(r, number, world)), ofctl('del-groups', 'br0', f'group_id={number}'),
                   ofctl('insert-buckets', 'br0', f'group_id={number},command_bucket_id={r.choice(["first", "last", "7"])},bucket=bucket_id:99,actions=output:1'),
                   ofctl('remove-buckets', 'br0', f'group_id={number},command_bucket_id={r.choice(["first", "all", "7"])}')]
    if world.meters:
        listed.append(ofctl('mod-meter', 'br0', meter(r, r.choice(world.meters)), version='OpenFlow13'))
    return r.choice(listed)


HASHED = re.compile(r'group_id=(\d+),type=select,(?!selection_method=hash)')


def without_buckets_of_hashed(steps):
    """Without commands that add or remove buckets of groups that choose by the datapath's hash: stock then shares the hashes among the new buckets alone."""
    kept, hashed = [], set()
    for step in steps:
        text = ' '.join(step.get('args', []))
        hashed.update(HASHED.findall(text))
        if not re.search(r'(insert|remove)-buckets', text) or re.search(r'group_id=(\d+)', text)[1] not in hashed:
            kept.append(step)
    return kept


def scenario(seed):
    r = random.Random(seed)
    frames = drawn(r)
    world = World((*BR0, PATCH), TABLES)
    how = Translation(r) if r.random() < 0.35 else None
    steps, undo = settings(r)
    if r.random() < 0.25:
        world.meters = [1, 2]
        steps += [ofctl('add-meter', 'br0', meter(r, number), version=r.choice(VERSIONS[3:])) for number in world.meters]
    if r.random() < 0.45:
        numbers = [n for n in range(1, 5) if r.random() < 0.8]
        for number in numbers:
            steps.append(ofctl('add-group', 'br0', group(r, number, world), version=r.choice(['OpenFlow15'] * 4 + ['OpenFlow11', 'OpenFlow13'])))
            world.groups.append(number)
    texts = flows(r, frames, world) + (pipeline(r, how) if how else [])
    if r.random() < 0.2:
        texts += conjunctions(r, frames, r.choice(TABLES[:3]), BR0, 7)
    steps += given(r, 'br0', texts)
    if r.random() < 0.4:
        steps += given(r, 'br1', flows(r, frames, World((*BR1, PATCH), TABLES[:2])))
    else:
        steps.append(ofctl('add-flow', 'br1', 'priority=0,actions=normal'))
    heard = r.choice([None, ['resume'], ['invalid_ttl']])
    if heard:
        version = r.choice(VERSIONS)
        form = ['-P', r.choice(['nxt_packet_in', 'nxt_packet_in2', 'openflow10' if version == 'OpenFlow10' else 'standard'])] if r.random() < 0.6 else []
        steps.append({'do': 'listen', 'args': ['-O', version, *form, 'monitor', 'br0', '65535', *heard]})
    sent = [(r.choice(range(1, 7)) if r.random() < 0.2 else r.choice(BR0), r.choice(frames)[0].hex()) for _ in range(r.randint(10, 20))]
    if how:
        sent = sent[:6] + [(port, frame) for port, frame in connections(r, how, 14)]
    for index, (port, frame) in enumerate(sent):
        steps.append({'do': 'frame', 'port': port, 'frame': frame})
        if index > 2 and r.random() < 0.06:
            steps.append(change(r, frames, world))
    if heard:
        steps.append({'do': 'heard'})
    asked = [(port, frame) for port, frame in sent if port in BR0]
    steps += questions(r, asked, frames, lambda: actions(r, Packet(), 0, world))
    quiet = [step | {'quiet': True} for step in [*undo, *CLEAN, *FORGET]]
    return {'seed': seed, 'steps': without_buckets_of_hashed(steps) + quiet}


if __name__ == '__main__':
    with open(sys.argv[2], 'w') as f:
        json.dump(scenario(int(sys.argv[1])), f, indent=1)
