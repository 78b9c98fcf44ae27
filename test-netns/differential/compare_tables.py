"""Compares what two vswitchds made of scenarios of random_tables.py and prints each difference; the status is 1 if there is one.

  compare_tables.py MOST LIST SCENARIO.json STOCK.json OURS.json [...]     MOST: differences of a scenario that are printed

LIST becomes a file with the seeds of the scenarios that differ.

Left out is what cannot be the same: ages, the numbers of recirculations, and the order of flows of one priority.
"""
import json, re, sys

VOLATILE = [(r'\b(duration|used|idle_age|hard_age)([=:])[0-9.a-z]+,? ?', r''), (r'recirc_id\(0x[0-9a-f]+\)', 'recirc_id(ID)'),
            (r'recirc\(0x[0-9a-f]+\)', 'recirc(ID)'), (r'recirc_id=0x[0-9a-f]+', 'recirc_id=ID'),
            (r'recirc_id=[1-9][0-9]*\b', 'recirc_id=ID'), (r'^( *\S+ +\d+  [0-9a-f:]{17}) +\d+$', r'\1'), (r'^NXST.*|^OFPST.*', ''),
            (r'^\S+Z\|\d+\|', ''), (r' \(xid=0x[0-9a-f]+\)', '')]

# Later versions of stock match the protocol wherever a field of IP is set; 3.1.0 and ours do not.
SETS_IP = re.compile(r'proto=\d+,?(?=.*actions:.*set\(ipv)')
TAGGED = re.compile(r'eth_type\(0x(8100|88a8)\),vlan\(')


def plain(text):
    for pattern, by in VOLATILE:
        text = re.sub(pattern, by, text, flags=re.M)
    return text


def lines(result, is_ordered=False):
    found = [line.rstrip() for line in plain(result['out'] + result['err']).split('\n') if line.strip()]
    return [f"status {result['status']}"] + (found if is_ordered else sorted(found))


def differences(scenario, a, b):
    for what in ('groups', 'flows'):
        for text, x, y in zip(scenario[what], a[what], b[what]):
            yield f'{what[:-1]} {text}', lines(x, True), lines(y, True)
    for step, x, y in zip(scenario['frames'], a['frames'], b['frames']):
        yield f'frame {step[1]} on port {step[0]}', x, y
    for what in ('dump-flows', 'dump-aggregate', 'dump-groups', 'dump-group-stats', 'fdb'):
        yield what, lines(a[what]), lines(b[what])
    x, y = ([SETS_IP.sub('', line) for line in lines(r['dpctl'])] for r in (a, b))
    # Stock leaves out that there is a tag where nothing looks at it, and the datapath refuses such a flow: only ours has it.
    yield 'dpctl', x, [line for line in y if line in x or not TAGGED.search(line)]
    for number, (x, y) in enumerate(zip(a['traces'], b['traces'])):
        yield f'trace {number}', lines(x, True), lines(y, True)


def main(most, listed, files):
    total, different = 0, []
    for names in zip(files[::3], files[1::3], files[2::3]):
        scenario, a, b = (json.load(open(name)) for name in names)
        found = [d for d in differences(scenario, a, b) if d[1] != d[2]]
        total += len(found)
        different += [scenario['seed']] if found else []
        for what, x, y in found[:most]:
            print(f"scenario {scenario['seed']}: {what}")
            for line in x:
                if line not in y:
                    print(f'  stock: {line}')
            for line in y:
                if line not in x:
                    print(f'  ours:  {line}')
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
