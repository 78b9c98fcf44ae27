"""Compares what two datapaths made of a scenario and prints each difference with its frame; the status is 1 if there is one that
docs/differences-from-ovs.md does not explain.

  compare.py SCENARIO.json REAL.json OURS.json [MOST]

Left out is what nobody can expect to agree: the number of a hash (OVS_PACKET_ATTR_HASH, the key's dp_hash), the id of an IPv6 fragment,
and the port id within an upcall's actions.
"""
import json, os, re, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import KEY, attr, attrs, format_actions, format_key

UPCALL_NAMES = {1: 'packet', 2: 'key', 3: 'actions', 4: 'userdata', 5: 'egress_tun', 9: 'mru', 10: 'len', 11: 'hash'}
IPPROTO_FRAGMENT = 44
COMMANDS = {1: 'MISS', 2: 'ACTION', 3: 'EXECUTE'}


def load(path):
    with open(path) as f:
        return json.load(f)


def plain_key(key):
    return b''.join(attr(k, (b'hash' if any(p) else p) if k == KEY['dp_hash'] else p) for k, p in attrs(key))


def plain_upcall(upcall, pid):
    command, found = upcall
    parts = [COMMANDS.get(command, str(command))]
    for kind, text in found:
        if kind == 2:
            text = format_key(plain_key(bytes.fromhex(text)))
        elif kind == 3:
            text = format_actions(bytes.fromhex(text.replace(pid, 'a5c3e187')))
        elif kind == 11:
            text = 'hash'
        parts.append(f'{UPCALL_NAMES.get(kind, kind)}: {text}')
    return '\n      '.join(parts)


def both_can_send(frame):
    """False for what a packet socket cannot do and the module can, as its tag is beside the frame and not in it: a tag with less
    than an ethertype behind it, which the receiver drops, and an 802.1ad tag in a frame that is as large as can be."""
    tpid = frame[12:14]
    return not (tpid in (b'\x81\x00', b'\x88\xa8') and len(frame) < 20 or tpid == b'\x88\xa8' and len(frame) > 1514)


def without_fragment_id(frame, ids):
    """The id of an IPv6 fragment is random on both sides: which of the ids so far it is takes its place."""
    at = 14
    while frame[at - 2:at] in (b'\x81\x00', b'\x88\xa8'):
        at += 4
    if frame[at - 2:at] != b'\x86\xdd' or frame[at + 6:at + 7] != bytes([IPPROTO_FRAGMENT]) or len(frame) < at + 48:
        return frame
    number = ids.setdefault(frame[at + 44:at + 48], len(ids))
    return frame[:at + 44] + number.to_bytes(4, 'big') + frame[at + 48:]


def plain_frame(outcome, pid):
    ports, ids = {}, {}
    for port, frame, *offloads in outcome['out']:
        if not both_can_send(bytes.fromhex(frame)):
            continue
        frame = without_fragment_id(bytes.fromhex(frame), ids).hex()
        ports.setdefault(str(port), []).append(' '.join([frame, *offloads]))
    plain = {f'port {port}': frames for port, frames in sorted(ports.items())}
    plain['upcalls'] = [plain_upcall(u, pid) for u in outcome['upcalls']]
    if 'connections' in outcome:
        plain['connections'] = sorted(map(plain_connection, outcome['connections']))
    for name in ('send', 'lost', 'executed'):
        if name in outcome:
            plain[name] = [str(outcome[name])]
    return plain


CT_NAMES = {1: 'orig', 2: 'reply', 3: 'status', 4: 'protoinfo', 5: 'help', 8: 'mark', 14: 'master', 18: 'zone', 22: 'labels', 25: 'synproxy'}
CT_LEFT_OUT = {10: 'use', 12: 'id'}
CT_TIMEOUT = 7


def plain_connection(text):
    """A connection of ctnetlink as text.  Its timeout counts down while the scenario plays: rounded up to 20 s."""
    parts = []
    for kind, payload in sorted(attrs(bytes.fromhex(text))):
        if kind == CT_TIMEOUT:
            parts.append(f'timeout<={(int.from_bytes(payload, "big") + 19) // 20 * 20}')
        elif kind not in CT_LEFT_OUT:
            parts.append(f'{CT_NAMES.get(kind, kind)}={payload.hex()}')
    return ' '.join(parts)


def show(side, plain, other):
    for name, items in plain.items():
        for item in items:
            if name == 'connections' and item in other[name]:
                continue
            print(f'    {side} {name}: {item}')


def flow_text(flow):
    return f'{format_key(bytes.fromhex(flow["key"]))}\n    mask {format_key(bytes.fromhex(flow["mask"]))}\n    actions {format_actions(bytes.fromhex(flow["actions"]))}'


def without_stale_addresses(plain):
    """The key of an ACTION upcall behind pop_eth, recirc and push_eth is out of date on both sides; in the module its addresses
    are those of before, and ours are zero."""
    return plain | {'upcalls': [re.sub(' eth=[0-9a-f]*', '', u) if u.startswith('ACTION') else u for u in plain['upcalls']]}


def only_different(real, ours):
    return [{name: side[name] for name in side if real.get(name) != ours.get(name)} for side in (real, ours)]


def stats_differences(real, ours):
    for flow in sorted({*real, *ours}):
        sides = [side.get(flow) for side in (real, ours)]
        if sides[0] is None or sides[1] is None or sides[0][:3] != sides[1][:3]:
            yield flow, sides


def main(scenario, real, ours, most):
    differences = explained = 0
    for flow, a, b in zip(scenario['flows'], real['flows'], ours['flows'], strict=True):
        if a != b:
            differences += 1
            if differences <= most:
                print(f'flow: the module answers {a}, ours {b}\n    {flow_text(flow)}')
    bad = []
    for index, ((port, frame, actions, _), a, b) in enumerate(zip(([*step, None, None][:4] for step in scenario['frames']), real['frames'], ours['frames'], strict=True)):
        sides = plain_frame(a, real['pid']), plain_frame(b, ours['pid'])
        if sides[0] != sides[1] and without_stale_addresses(sides[0]) == without_stale_addresses(sides[1]):
            explained += 1
        elif sides[0] != sides[1]:
            differences += 1
            bad.append(index)
            if differences <= most:
                print(f'frame {index} into port {port}: {frame}')
                if actions:
                    print(f'    executed with {format_actions(bytes.fromhex(actions))}')
                different = only_different(*sides)
                for side, plain, other in zip(('module', 'ours  '), different, reversed(different)):
                    show(side, plain, other)
                for flow in b.get('hit', ()):
                    key, mask = (bytes.fromhex(half) for half in flow.split('/'))
                    print(f'    hit {format_key(key)}\n    mask {format_key(mask)}\n    actions {format_actions(bytes.fromhex(ours["stats"][flow][3]))}')
    for flow, sides in stats_differences(real['stats'], ours['stats']):
        differences += 1
        if differences <= most:
            key, mask = (format_key(bytes.fromhex(half)) for half in flow.split('/'))
            print(f'statistics: packets, bytes, TCP flags: the module {sides[0] and sides[0][:3]}, ours {sides[1] and sides[1][:3]}\n    {key}\n    mask {mask}')
    upcalls = sum(len(f['upcalls']) for f in real['frames'])
    out = sum(len(f['out']) for f in real['frames'])
    installed = real['flows'].count(0)
    print(f'seed {scenario["seed"]}: {len(real["frames"])} frames in, {out} out, {upcalls} upcalls, {installed} of {len(real["flows"])} flows: {differences} differences' + (f', {explained} explained ones' if explained else ''))
    return bad, differences


if __name__ == '__main__':
    bad, differences = main(*(load(path) for path in sys.argv[1:4]), int(sys.argv[4]) if len(sys.argv) > 4 else 20)
    sys.exit(1 if differences else 0)
