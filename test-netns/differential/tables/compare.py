"""Compares what two vswitchds made of scenarios and prints each difference; the status is 1 if there is one.

  compare.py MOST LIST SCENARIO.json STOCK.json OURS.json [...]     MOST: differences of a scenario that are printed

LIST becomes a file with the seeds of the scenarios that differ.

Left out is what cannot be the same: ages, the numbers of recirculations, and, where a step says so, the order of lines.
"""
import json, os, re, sys

VOLATILE = [(r'\b(duration|used|idle_age|hard_age)([=:])[0-9.a-z]+,? ?', r''), (r'recirc_id\(0x[0-9a-f]+\)', 'recirc_id(ID)'),
            (r'recirc\(0x[0-9a-f]+\)', 'recirc(ID)'), (r'recirc_id=0x[0-9a-f]+', 'recirc_id=ID'),
            (r'recirc_id=[1-9][0-9]*\b', 'recirc_id=ID'), (r'^( *\S+ +\d+  [0-9a-f:]{17}) +\d+$', r'\1'), (r'^NXST.*|^OFPST.*', ''),
            (r'\d{4}-\S+Z\|\d+\|', ''), (r' \(xid=0x[0-9a-f]+\)', ''), (r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'UUID'), (r'addr:\S+', ''),
            (r'hit:\d+ missed:\d+', ''), (r'/run-(ours|stock)/', '/'), (r'^[0-9a-f]{8}  .*', '')]

# The module and ours draw the ids of fragments that they make.
FRAGMENT_ID = re.compile(r'^(\d .{24}86dd.{12}2c.{66}.{8}).{8}')
# A connection that has not said its version yet has misses sent to controllers, of which there are none: chance.
MISSED = re.compile(r'table_id=254, (n_packets=\d+, n_bytes=\d+, )')
# Of what is mirrored, stock does not match the VLAN that it looks at.
VLAN = re.compile(r'(?<=,)(dl_vlan|dl_vlan_pcp|vlan_tci)=[^,]+,')
TAGGED = re.compile(r'eth_type\(0x(8100|88a8)\),vlan\(')
# Where a hash is of addresses and ports, stock matches ports for packets without ports, too, and deletes their flows in every round.
HASHES = re.compile(r'symmetric_l4\b|type=select')
PORTLESS = re.compile(r'eth\(src=[0-9a-f:]{17},dst=[0-9a-f:]{17}\).*ipv[46]\(src=[^/,]+,dst=[^/,]+,(label=[^,]+,)?proto=(?!(1|6|17|58|132),)')
# Where headers of IP or ARP are set, Debian's stock matches the protocol or the operation, as 3.1.1 does.
SETS_IP = re.compile(r'set\(ipv[46]\(')
PROTOCOL = [(re.compile(r'(?<=[(,])proto=\d+,'), ''), (re.compile(r'(?<=,)nw_proto=\d+,'), ''),
            (re.compile(r',op=\d+/0xff(?=[,)])|(?<=\()op=\d+/0xff,|,arp_op=\d+(?=,|$)'), ''),
            (re.compile(r'(?<=,)(icmp|tcp|udp|sctp|igmp)(?=,)'), 'ip'), (re.compile(r'(?<=,)(icmp6|tcp6|udp6|sctp6)(?=,)'), 'ipv6')]
# The same where what is set is there already, or nothing comes of it.
MAY_SET_IP = re.compile(r'mod_nw_|dec_ttl|->(nw|ip|ipv6|arp)_|->NXM_(OF_IP|NX_IP|NX_IPV6|OF_ARP|NX_ARP)_')
WIDTH = 240


def plain(text):
    for pattern, by in VOLATILE:
        text = re.sub(pattern, by, text, flags=re.M)
    return MISSED.sub('', text)


def lines(result, is_ordered):
    if result is None or isinstance(result, list):
        return [FRAGMENT_ID.sub(r'\1 ID ', line) for line in result or []]
    if 'decode error' in result['out']:
        # ovs-ofctl prints bytes, ages among them, and as many flows as came before what it does not understand.
        return [f"status {result['status']}", 'decode error']
    found = [line.rstrip() for line in plain(result['out'] + result['err']).split('\n') if line.strip()]
    return [f"status {result['status']}"] + (found if is_ordered else sorted(found))


def messages(result):
    """Messages of ovs-ofctl monitor, whose order is chance: each with the lines that belong to it."""
    text = plain(result['out'])
    return [f"status {result['status']}", *sorted(re.split(r'\n(?=\S+ \(OF1\.\d\))', text))]


def protocol_stripped(line):
    for pattern, by in PROTOCOL:
        line = pattern.sub(by, line)
    return line


def without_protocol(found):
    """The flows that set IP headers, without the protocol; of a trace, all its megaflows if any does."""
    sets_ip = any(SETS_IP.search(line) for line in found)
    return [protocol_stripped(line) if SETS_IP.search(line) or (sets_ip and line.startswith('Megaflow')) else line for line in found]


def pair(step, a, b, is_mirrored, is_hashed, may_set_ip):
    if step['do'] == 'heard':
        return messages(a), messages(b)
    x, y = (lines(result, step.get('ordered', True)) for result in (a, b))
    if step['do'] == 'appctl' and x != y:
        x, y = without_protocol(x), without_protocol(y)
        if may_set_ip:
            x = [less if line not in y and (less := protocol_stripped(line)) in y else line for line in x]
    if step['do'] == 'appctl' and is_mirrored:
        x, y = ([VLAN.sub('', line) if line.startswith('Megaflow') else line for line in found] for found in (x, y))
    if step['do'] == 'appctl' and step['args'][0] == 'dpctl/dump-flows':
        # Stock leaves out that there is a tag where nothing looks at it, and the datapath refuses such a flow: only ours has it.
        y = [line for line in y if line in x or not (TAGGED.search(line) or (is_hashed and PORTLESS.search(line)))]
    return x, y


def title(step):
    if step['do'] == 'frame':
        return f"frame {step['frame']} on port {step['port']}"
    return ' '.join([step['do'], *step.get('args', []), repr(step['stdin']) if 'stdin' in step else ''])


def short(text, other=''):
    """`text`, if it is long where it begins to differ from the other side's."""
    at = max(0, len(os.path.commonprefix([text, other])) - WIDTH // 2) if len(text) > WIDTH else 0
    return ('...' if at else '') + text[at:at + WIDTH] + ('...' if at + WIDTH < len(text) else '')


def nearest(line, others):
    return max(others, key=lambda other: len(os.path.commonprefix([line, other])), default='')


def main(most, listed, files):
    total, different = 0, []
    for names in zip(files[::3], files[1::3], files[2::3]):
        scenario, a, b = (json.load(open(name)) for name in names)
        found, is_mirrored = [], any('mirror' in step.get('args', []) for step in scenario['steps'])
        is_hashed, may_set_ip = (any(pattern.search(title(step)) for step in scenario['steps']) for pattern in (HASHES, MAY_SET_IP))
        for index, (step, x, y) in enumerate(zip(scenario['steps'], a['results'], b['results'])):
            x, y = pair(step, x, y, is_mirrored, is_hashed, may_set_ip)
            if x != y and 'quiet' not in step:
                found.append((index, title(step), x, y))
        total += len(found)
        different += [scenario['seed']] if found else []
        for index, what, x, y in found[:most]:
            print(f"scenario {scenario['seed']}: step {index}: {short(what)}")
            for line in x:
                if line not in y:
                    print(f'  stock: {short(line, nearest(line, y))}')
            for line in y:
                if line not in x:
                    print(f'  ours:  {short(line, nearest(line, x))}')
            if sorted(x) == sorted(y):
                print('  another order')
        if len(found) > most:
            print(f"scenario {scenario['seed']}: {len(found) - most} more differences")
    with open(listed, 'w') as f:
        f.writelines(f'{seed}\n' for seed in different)
    print(f'{len(files) // 3} scenarios, {len(files) // 3 - len(different)} of them the same, {total} differences')
    return 1 if total else 0


if __name__ == '__main__':
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
