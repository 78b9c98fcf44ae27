"""Lists of actions, with lists in them; buckets of groups, and meters."""
from match import Packet
from simple_actions import simple


def resubmit(r, world):
    port, table = r.choice(['', '', '', *world.ports]), r.choice(world.tables)
    return f'resubmit({port},{table}' + (',ct)' if r.random() < 0.1 else ')')


def nested(r, packet, world):
    inner = [simple(r, packet, world) if r.random() > 0.15 else resubmit(r, world) for _ in range(r.randint(1, 3))]
    return f"clone({','.join(a for a in inner if not a.startswith('enqueue'))})"


def actions(r, packet, table, world):
    if r.random() < 0.05:
        return 'drop'
    found = []
    for _ in range(r.choice([1, 1, 2, 2, 3, 4, 6])):
        chance = r.random()
        if chance < 0.15:
            found.append(resubmit(r, world))
        elif chance < 0.21:
            found.append(nested(r, packet, world))
        else:
            found.append(simple(r, packet, world))
    if r.random() < 0.1:
        found.append(f"write_actions({','.join(simple(r, Packet(), world) for _ in range(r.randint(1, 3)))})")
    if r.random() < 0.03:
        found.append('clear_actions')
    later = [t for t in world.tables if t > table]
    if later and r.random() < 0.3:
        found.append(f'goto_table:{r.choice(later)}')
    return ','.join(found)


def bucket(r, kind, world, bucket_id, others):
    parts = [] if bucket_id is None else [f'bucket_id:{bucket_id}']
    if kind == 'select' and r.random() < 0.6:
        parts.append(f'weight:{r.choice([0, 1, 5, 100])}')
    if kind == 'ff':
        parts.append(f'watch_group:{r.choice(others)}' if others and r.random() < 0.2 else f'watch_port:{r.choice(world.ports)}')
    inner = [simple(r, Packet(), world) for _ in range(r.randint(1, 2))]
    if r.random() < 0.15:
        inner.append(resubmit(r, world))
    return 'bucket=' + ','.join([*parts, 'actions=' + ','.join(inner)])


METHODS = ['', '', 'selection_method=hash,fields(eth_src,eth_dst),', 'selection_method=hash,fields=eth_dst,', 'selection_method=dp_hash,', 'selection_method=dp_hash,selection_method_param=5,',
           'selection_method=hash,selection_method_param=9,fields(ip_src=255.255.255.0,ip_dst),', 'selection_method=hash,', 'selection_method=bogus,']


def group(r, number, world):
    kind = r.choice(['all', 'select', 'select', 'indirect', 'ff'])
    has_ids, others = r.random() < 0.5, [n for n in world.groups if n < number]
    # A group may lead to those before it; a circle is refused by both.
    inner = type(world)(world.ports, world.tables, others if r.random() < 0.3 else [])
    buckets = [bucket(r, kind, inner, 7 * index if has_ids else None, others) for index in range(1 if kind == 'indirect' else r.randint(0 if r.random() < 0.1 else 1, 4))]
    method = r.choice(METHODS) if kind == 'select' else ''
    return f'group_id={number},type={kind},{method}' + ','.join(buckets)


def meter(r, number):
    """One that never drops: what it counts must not depend on how fast the frames come."""
    unit = r.choice(['kbps', 'pktps'])
    flags = r.choice([unit, f'{unit},stats', f'{unit},burst,stats'])
    burst = ',burst_size=1000000' if 'burst' in flags else ''
    band = r.choice(['drop', 'drop', 'drop', 'dscp_remark'])
    return f'meter={number},{flags},band=type={band},rate=10000000{burst}' + (',prec_level=1' if band == 'dscp_remark' else '')
