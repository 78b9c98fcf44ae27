"""Compares what two datapaths made of a scenario and prints each difference with its frame; the status is 1 if there is one that
docs/differences-from-ovs.md does not explain.

  compare.py SCENARIO.json REAL.json OURS.json [MOST]

Left out is what nobody can expect to agree: the number of a hash (OVS_PACKET_ATTR_HASH, the key's dp_hash), the id of an IPv6 fragment,
a source port that NAT chose at random, how long a connection of UDP and a short one of SCTP live, and the port id within an
upcall's actions.
"""
import json, os, re, sys, zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from random_connections import NAT_PORT, crc32c
from outer import WIRE, completed, plain_outer
from wire import KEY, attr, attrs, be16, format_actions, format_key

UPCALL_NAMES = {1: 'packet', 2: 'key', 3: 'actions', 4: 'userdata', 5: 'egress_tun', 9: 'mru', 10: 'len', 11: 'hash'}
TUNNEL_TP_SRC = 9
IPPROTO_FRAGMENT, IPPROTO_SCTP = 44, 132
COMMANDS = {1: 'MISS', 2: 'ACTION', 3: 'EXECUTE'}


def load(path):
    with open(path) as f:
        return json.load(f)


def plain_key(key, lucky):
    parts = []
    for kind, payload in attrs(key):
        if kind == KEY['dp_hash'] and any(payload):
            payload = b'hash'
        elif kind in (KEY['tcp'], KEY['udp'], KEY['sctp']) and payload[:2] in lucky:
            payload = bytes(2) + payload[2:]
        parts.append(attr(kind, payload))
    return b''.join(parts)


def plain_upcall(upcall, pid, ids, lucky):
    command, found = upcall
    parts = [COMMANDS.get(command, str(command))]
    for kind, text in found:
        if kind == 2:
            text = format_key(plain_key(bytes.fromhex(text), lucky))
        elif kind == 1:
            text = without_luck(bytes.fromhex(text), ids, lucky).hex()
        elif kind == 3:
            text = format_actions(bytes.fromhex(text.replace(pid, 'a5c3e187')))
        elif kind == 5:
            text = ' '.join(f'{k}={"port" if k == TUNNEL_TP_SRC else p.hex()}' for k, p in attrs(bytes.fromhex(text)))
        elif kind == 11:
            text = 'hash'
        parts.append(f'{UPCALL_NAMES.get(kind, kind)}: {text}')
    return '\n      '.join(parts)


def both_can_send(frame):
    """False for what a packet socket cannot do and the module can, as its tag is beside the frame and not in it: a tag with less
    than an ethertype behind it, which the receiver drops, and an 802.1ad tag in a frame that is as large as can be."""
    tpid = frame[12:14]
    return not (tpid in (b'\x81\x00', b'\x88\xa8') and len(frame) < 20 or tpid == b'\x88\xa8' and len(frame) > 1514)


def without_fragment_id(frame, at, ids):
    """The id of an IPv6 fragment is random on both sides: which of the ids so far it is takes its place.  It may be cut."""
    number = frame[at + 44:at + 48]
    if frame[at - 2:at] != b'\x86\xdd' or frame[at + 6:at + 7] != bytes([IPPROTO_FRAGMENT]) or not number:
        return frame
    return frame[:at + 44] + ids.setdefault(number, len(ids)).to_bytes(len(number), 'big') + frame[at + 48:]


def nat_ports(result):
    """Source ports that NAT chose at random, as the connection's own and the one asked for were taken: by its connections."""
    found = set()
    for outcome in result['frames']:
        for connection in map(bytes.fromhex, outcome.get('connections', ())):
            own, chosen = inner(connection, 1, 2, 2), inner(connection, 2, 2, 3)
            if inner(connection, 1, 2, 1) in (b'\x06', b'\x11', b'\x84') and chosen not in (own, be16(NAT_PORT)):
                found.add(chosen)
    return found


def without_nat_port(packet, at, lucky):
    """An IP packet at `at` of a frame, with 0 in place of a source port that is a matter of luck, and a checksum that fits."""
    is_v6 = packet[at] >> 4 == 6
    proto, l4 = (packet[at + 6], at + 40) if is_v6 else (packet[at + 9], at + 20)
    if proto == IPPROTO_SCTP and packet[l4:l4 + 2] in lucky:
        segment = packet[l4:l4 + 8] + bytes(4) + packet[l4 + 12:]
        is_right = packet[l4 + 8:l4 + 12] == crc32c(segment).to_bytes(4, 'little')
        return packet[:l4] + bytes(2) + segment[2:8] + (bytes(4) if is_right else b'BAD!') + segment[12:]
    if proto not in (6, 17) or packet[l4:l4 + 2] not in lucky:
        return packet
    check = l4 + (16 if proto == 6 else 6)
    total = (~int.from_bytes(packet[check:check + 2], 'big') & 0xFFFF) + (~int.from_bytes(packet[l4:l4 + 2], 'big') & 0xFFFF)
    total = (total & 0xFFFF) + (total >> 16)
    packet = packet[:check] + be16(~total & 0xFFFF) + packet[check + 2:]
    return packet[:l4] + bytes(2) + packet[l4 + 2:]


def without_luck(frame, ids, lucky):
    at = 14
    while frame[at - 2:at] in (b'\x81\x00', b'\x88\xa8'):
        at += 4
    if lucky and frame[at - 2:at] in (b'\x08\x00', b'\x86\xdd') and len(frame) > at:
        frame = without_nat_port(frame, at, lucky)
    return without_fragment_id(frame, at, ids)


def plain_frame(outcome, pid, lucky=frozenset()):
    ports, ids = {}, {}
    for port, frame, *offloads in outcome['out']:
        if port == WIRE:
            text = plain_outer(completed(bytes.fromhex(frame), *map(bytes.fromhex, offloads)))
            if text is not None:
                ports.setdefault('wire', []).append(text)
            continue
        if not both_can_send(bytes.fromhex(frame)):
            continue
        if offloads and bytes.fromhex(offloads[0])[1] == 0:
            # Who completes a checksum is no matter.
            frame, offloads = completed(bytes.fromhex(frame), bytes.fromhex(offloads[0])).hex(), []
        frame = without_luck(bytes.fromhex(frame), ids, lucky).hex()
        ports.setdefault(str(port), []).append(' '.join([frame, *offloads]))
    # In ours packets of different sockets overtake each other.
    plain = {f'port {port}': sorted(frames) if port == 'wire' else frames for port, frames in sorted(ports.items())}
    plain['upcalls'] = [plain_upcall(u, pid, ids, lucky) for u in outcome['upcalls']]
    if 'connections' in outcome:
        found = [bytes.fromhex(c) for c in outcome['connections']]
        plain['connections'] = sorted(plain_connection(c, lucky) for c in found if not is_short_lived(c))
    if 'replies' in outcome:
        plain['replies'] = [format_attrs(without_time(attrs(bytes.fromhex(reply)))) for reply in outcome['replies']]
    for name in ('send', 'lost', 'executed', 'errno'):
        if name in outcome:
            plain[name] = [str(outcome[name])]
    return plain


METER_USED = 5


def without_time(found):
    """Attributes of a meter: when it was last used is left out."""
    return [(kind, b'' if kind == METER_USED else payload) for kind, payload in found]


def format_attrs(found):
    return ' '.join(f'{kind}={payload.hex()}' for kind, payload in found)


CT_NAMES = {1: 'orig', 2: 'reply', 3: 'status', 4: 'protoinfo', 5: 'help', 8: 'mark', 14: 'master', 18: 'zone', 22: 'labels', 25: 'synproxy'}
CT_LEFT_OUT = {10: 'use', 12: 'id'}
CT_REPLY, CT_STATUS, CT_PROTOINFO, CT_TIMEOUT = 2, 3, 4, 7
ASSURED, IPPROTO_UDP = 4, 17
# SCTP_CONNTRACK_COOKIE_WAIT, COOKIE_ECHOED, SHUTDOWN_SENT, SHUTDOWN_RECD, SHUTDOWN_ACK_SENT: for three seconds.
SCTP_SHORT_LIVED = (2, 3, 5, 6, 7)


def inner(data, *path):
    """The payload of an attribute within attributes, or b''."""
    for kind in path:
        data = dict(attrs(data)).get(kind, b'')
    return data


def is_short_lived(connection):
    """Whether the connection is over so soon that it depends on how fast the machine plays."""
    return inner(connection, CT_PROTOINFO, 3, 1) in [bytes([state]) for state in SCTP_SHORT_LIVED]


def plain_connection(connection, lucky):
    """A connection of ctnetlink as text.  Its timeout counts down while the scenario plays: rounded up to 20 s.  One of UDP that is
    answered for two seconds is assured and lives longer: so neither is compared."""
    parts, is_udp = [], inner(connection, 1, 2, 1) == bytes([IPPROTO_UDP])
    for kind, payload in sorted(attrs(connection)):
        if kind == CT_TIMEOUT:
            parts += [] if is_udp else [f'timeout<={max(int.from_bytes(payload, "big") + 19, 20) // 20 * 20}']
        elif kind == CT_STATUS and is_udp:
            parts.append(f'status={int.from_bytes(payload, "big") & ~ASSURED:08x}')
        elif kind not in CT_LEFT_OUT:
            text = payload.hex()
            if kind == CT_REPLY and inner(payload, 2, 3) in lucky:
                text = text.replace(attr(3, inner(payload, 2, 3)).hex(), attr(3, bytes(2)).hex())
            parts.append(f'{CT_NAMES.get(kind, kind)}={text}')
    return ' '.join(parts)


def shortened(text):
    """Text in which long frames are only begun, and told apart by a checksum."""
    return re.sub('[0-9a-f]{600,}', lambda m: f'{m[0][:400]}... ({len(m[0]) // 2} bytes, {zlib.crc32(m[0].encode()):08x})', text)


def show(side, plain, other):
    for name, items in plain.items():
        for item in items:
            if name == 'connections' and item in other[name]:
                continue
            print(f'    {side} {name}: {shortened(item)}')


def flow_text(flow):
    return f'{format_key(bytes.fromhex(flow["key"]))}\n    mask {format_key(bytes.fromhex(flow["mask"]))}\n    actions {format_actions(bytes.fromhex(flow["actions"]))}'


def without_stale_addresses(plain):
    """The key of an ACTION upcall behind pop_eth, recirc and push_eth is out of date on both sides; in the module its addresses
    are those of before, and ours are zero."""
    return plain | {'upcalls': [re.sub(' eth=[0-9a-f]*', '', u) if u.startswith('ACTION') else u for u in plain['upcalls']]}


def without_order(plain):
    """Frames of different priority leave ours through different sockets, where they overtake each other."""
    return {name: sorted(items) if name.startswith('port ') else items for name, items in plain.items()}


def priority_ports(scenario, stats):
    """Ports whose frames hit a flow that sets a priority."""
    return {int.from_bytes(inner(bytes.fromhex(flow['key']), KEY['in_port']), 'little') for flow in scenario['flows']
            if 'priority=' in format_actions(bytes.fromhex(flow['actions'])) and stats.get(f'{flow["key"]}/{flow["mask"]}', [1])[0]}


def only_different(real, ours):
    return [{name: side[name] for name in side if real.get(name) != ours.get(name)} for side in (real, ours)]


def stats_differences(real, ours):
    for flow in sorted({*real, *ours}):
        sides = [side.get(flow) for side in (real, ours)]
        if sides[0] is None or sides[1] is None or sides[0][:3] != sides[1][:3]:
            yield flow, sides


def step_text(step):
    if isinstance(step, dict):
        if 'wire' in step:
            return f'from the underlay: {step["wire"]}'
        return f'request {step["request"]}' if 'request' in step else f'window of {step["window"]} s'
    port, frame, actions, _ = [*step, None, None][:4]
    return f'into port {port}: {frame}' + (f'\n    executed with {format_actions(bytes.fromhex(actions))}' if actions else '')


def late_steps(scenario, *sides):
    """Numbers of the steps in windows that one side was too slow for."""
    groups = [[]]
    for index, step in enumerate(scenario['frames']):
        if isinstance(step, dict) and 'window' in step:
            groups.append([])
        groups[-1].append(index)
    return {index for group in groups if any(side['frames'][i].get('late') for side in sides for i in group) for index in group}


def main(scenario, real, ours, most):
    differences = explained = 0
    for flow, a, b in zip(scenario['flows'], real['flows'], ours['flows'], strict=True):
        if a != b:
            differences += 1
            if differences <= most:
                print(f'flow: the module answers {a}, ours {b}\n    {flow_text(flow)}')
    bad, lucky = [], (nat_ports(real), nat_ports(ours))
    late, unordered = late_steps(scenario, real, ours), priority_ports(scenario, ours['stats'])
    for index, (step, a, b) in enumerate(zip(scenario['frames'], real['frames'], ours['frames'], strict=True)):
        if index in late:
            continue
        sides = plain_frame(a, real['pid'], lucky[0]), plain_frame(b, ours['pid'], lucky[1])
        if sides[0] != sides[1] and without_stale_addresses(sides[0]) == without_stale_addresses(sides[1]):
            explained += 1
        elif sides[0] != sides[1] and isinstance(step, list) and step[0] in unordered and without_order(sides[0]) == without_order(sides[1]):
            explained += 1
        elif sides[0] != sides[1]:
            differences += 1
            bad.append(index)
            if differences <= most:
                print(f'frame {index} {shortened(step_text(step))}')
                different = only_different(*sides)
                for side, plain, other in zip(('module', 'ours  '), different, reversed(different)):
                    show(side, plain, other)
                for flow in b.get('hit', ()):
                    key, mask = (bytes.fromhex(half) for half in flow.split('/'))
                    print(f'    hit {format_key(key)}\n    mask {format_key(mask)}\n    actions {format_actions(bytes.fromhex(ours["stats"][flow][3]))}')
    for flow, sides in stats_differences(real['stats'], ours['stats']) if not late else ():
        differences += 1
        if differences <= most:
            key, mask = (format_key(bytes.fromhex(half)) for half in flow.split('/'))
            print(f'statistics: packets, bytes, TCP flags: the module {sides[0] and sides[0][:3]}, ours {sides[1] and sides[1][:3]}\n    {key}\n    mask {mask}')
    upcalls = sum(len(f['upcalls']) for f in real['frames'])
    out = sum(len(f['out']) for f in real['frames'])
    installed = real['flows'].count(0)
    frames = sum(isinstance(step, list) or 'wire' in step for step in scenario['frames']) - len(late)
    tails = (f', {explained} explained ones' if explained else '') + (f', {len(late)} steps too slow to compare' if late else '')
    print(f'seed {scenario["seed"]}: {frames} frames in, {out} out, {upcalls} upcalls, {installed} of {len(real["flows"])} flows: {differences} differences{tails}')
    return bad, differences


if __name__ == '__main__':
    bad, differences = main(*(load(path) for path in sys.argv[1:4]), int(sys.argv[4]) if len(sys.argv) > 4 else 20)
    sys.exit(1 if differences else 0)
