"""Compares what play.py saw on each combination: compare.py FILE.json...

Prints for each step and command in what the combinations differ, without what differs from moment to moment and what
docs/differences-from-ovs.md explains.  The status is 1 if there is a difference, or a step failed.
"""
import difflib
import json
import os
import re
import sys

# What differs from run to run: how often, how long, and numbers that are given out by chance.
MOMENT = [
    (r'used:(never|[0-9.]+m?s)', 'used:TIME'),
    (r'packets:\d+, bytes:\d+', 'packets:N, bytes:N'),
    (r', flags:[SFRPUEC.]+', ''),
    (r'(idle_age|hard_age)=\d+, ', ''),
    (r'duration=[0-9.]+s', 'duration=TIME'),
    (r'n_(packets|bytes)=\d+', r'n_\1=N'),
    (r'\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b', 'UUID'),
    (r'pid=\d+', 'pid=PID'),
    (r'recirc(_id)?\(0x[1-9a-f][0-9a-f]*\)', r'recirc\1(ID)'),
    (r'  (lookups|masks): .*', r'  \1'),
    (r'  cache: hit:.*', '  cache'),
    (r'  flows: \d+', '  flows'),
    (r'\(xid=0x[0-9a-f]+\)', ''),
    (r'\bhit:\d+ missed:\d+', 'hit:N missed:N'),
    # Connections: of which run of ping, from which port, and how far it is closed.
    (r'\b(id|sport|dport)=(?!8080\b)\d+', r'\1=N'),
    (r'state=(LAST_ACK|CLOSE_WAIT|FIN_WAIT|TIME_WAIT|CLOSE)\b', 'state=CLOSING'),
    # MACs of devices that nobody gave one.
    (r'\b(?!02:00:00|00:00:00|ff:ff)[0-9a-f]{2}(:[0-9a-f]{2}){5}\b', 'MAC'),
    # Ages in fdb/show.
    (r'^( *\S+ +\d+  [0-9a-f:]{17}) +\d+$', r'\1'),
]
# Differences on purpose, and no difference in behaviour: explained in docs/differences-from-ovs.md.
EXPLAINED = [
    # Who writes it: ovs-ctl for stock.
    (r'^    ovs_version: .*$', ''),
]


def normal(command, text):
    text = '\n'.join(line for line in text.split('\n') if not chatter(line))
    for pattern, replacement in MOMENT + EXPLAINED:
        text = re.sub(pattern, replacement, text, flags=re.M)
    lines = [line for line in text.split('\n') if line.strip() != '']
    if 'dump-flows' in command or 'fdb/show' in command:
        lines.sort()
    if 'dump-conntrack' in command:
        lines = sorted(set(lines))
    if command == 'ovs-vsctl show':
        lines = sorted_tree(lines)
    if 'list interface' in command:
        # Records, in the order of their UUIDs.
        records = re.split(r'^(?=name )', '\n'.join(lines), flags=re.M)
        lines = [line for record in sorted(records) for line in record.strip().split('\n') if line]
    return lines


def sorted_tree(lines):
    """Lines that indentation makes a tree: children in order, which otherwise is that of their UUIDs."""
    groups = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not groups or indent <= groups[0][2]:
            groups.append((line, [], indent))
        else:
            groups[-1][1].append(line)
    return [line for head, rest, _ in sorted(groups) for line in [head, *sorted_tree(rest)]]


def chatter(line):
    """Flows of what hosts send of their own accord, multicast reports; and what a stock tool logs."""
    return re.search(r'33:33:|ff02::|\|netdev_linux\|', line) is not None


def main():
    seen = {}
    for file in sys.argv[1:]:
        with open(file) as f:
            seen[os.path.basename(file).removesuffix('.json')] = json.load(f)
    names = list(seen)
    # What stock does on the module is what Open vSwitch does; then what it does here.
    reference = next((name for name in ('stock-module', 'stock-process') if name in seen), names[0] if names else None)
    failures = differences = compared = 0
    for name in names:
        for result in seen[name]:
            if result['failure']:
                failures += 1
                print(f'{name}: {result["step"]} failed: {result["failure"]}')
    for result in seen.get(reference, []):
        for command, text in result['shown'].items():
            want = normal(command, text)
            for name in names:
                if name == reference:
                    continue
                other = next((r for r in seen[name] if r['step'] == result['step']), None)
                if other is None:
                    continue
                compared += 1
                got = normal(command, other['shown'].get(command, '(nothing)'))
                if got == want:
                    continue
                differences += 1
                print(f'\n{result["step"]}: {command}: - {reference}, + {name}')
                for line in difflib.unified_diff(want, got, n=0, lineterm=''):
                    if not line.startswith(('---', '+++', '@@')):
                        print(f'  {line}')
    steps = len(seen.get(reference, []))
    print(f'{len(names)} combinations, {steps} steps, {compared} texts compared: {failures} failures, {differences} differences')
    sys.exit(1 if failures + differences > 0 or len(names) == 0 else 0)


main()
