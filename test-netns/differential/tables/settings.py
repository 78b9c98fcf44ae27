"""How the two bridges are set up: VLANs of ports, mirrors, flags of ports, fragments.  br0 has port1 to port4, br1 has port5 and port6; patch
ports join them.  Every setting has the steps that undo it: `RESET` does all of them."""
BR0, BR1, PATCH = (1, 2, 3, 4), (1, 2), 10
PORTS = [f'port{n}' for n in range(1, 7)]
# What stock does not match although it looks at it, the address of STP, does not count if both kinds of frames are refused.
FLAGS = [['no-flood'], ['no-receive', 'no-receive-stp'], ['no-forward'], ['no-packet-in'], ['down']]
UNDONE = [['flood'], ['receive', 'receive-stp'], ['forward'], ['packet-in'], ['up']]


def vsctl(*args):
    return {'do': 'vsctl', 'args': list(args)}


def ofctl(*args, stdin=None, version='OpenFlow15', is_ordered=True):
    step = {'do': 'ofctl', 'args': ['-O', version, *args], 'ordered': is_ordered}
    return step if stdin is None else step | {'stdin': stdin}


def appctl(*args, is_ordered=True):
    return {'do': 'appctl', 'args': list(args), 'ordered': is_ordered}


def chained(*commands):
    return vsctl(*[word for command in commands for word in ['--', *command]])


NEUTRAL = chained(*[['clear', 'port', port, 'vlan_mode', 'tag', 'trunks', 'cvlans'] for port in PORTS],
                  *[['set', 'port', port, 'protected=false'] for port in PORTS], *[['clear', 'bridge', bridge, 'mirrors'] for bridge in ('br0', 'br1')])
CLEAN = [ofctl(command, bridge) for bridge in ('br0', 'br1') for command in ('del-flows', 'del-groups', 'del-meters')]
FORGET = [appctl('revalidator/purge'), appctl('fdb/flush'), appctl('dpctl/flush-conntrack'), appctl('revalidator/wait')]


def vlan_mode(r, port):
    return r.choice([['set', 'port', port, 'vlan_mode=access', f'tag={r.choice([1, 100])}'], ['set', 'port', port, 'tag=100'], ['set', 'port', port, 'trunks=1,2,100'],
                     ['set', 'port', port, 'vlan_mode=native-tagged', 'tag=100'], ['set', 'port', port, 'vlan_mode=native-untagged', 'tag=100', 'trunks=1,4095'],
                     ['set', 'port', port, 'vlan_mode=dot1q-tunnel', 'tag=100'], ['set', 'port', port, 'vlan_mode=dot1q-tunnel', 'tag=100', 'cvlans=1,2'],
                     ['set', 'port', port, 'protected=true']])


def mirror(r):
    source, target = r.sample(PORTS[:4], 2)
    picked = r.choice([['select-all=true'], ['select-src-port=@s'], ['select-dst-port=@s'], ['select-src-port=@s', 'select-dst-port=@s'], ['select-all=true', 'select-vlan=100,0'],
                       ['select-all=true', 'snaplen=40']])
    # Of a mirror to a VLAN stock does not match what it looks at.
    return chained(['--id=@s', 'get', 'port', source], ['--id=@t', 'get', 'port', target], ['--id=@m', 'create', 'mirror', 'name=m', *picked, 'output-port=@t'],
                   ['set', 'bridge', 'br0', 'mirrors=@m'])


def flagged(n, word):
    # Only 1.0 knows of STP.
    return ofctl('mod-port', 'br0', str(n), word, version='OpenFlow10' if 'stp' in word else 'OpenFlow15')


def settings(r):
    """(steps that set up, steps that undo)."""
    steps, undo = [], []
    if r.random() < 0.35:
        steps.append(chained(*[vlan_mode(r, port) for port in r.sample(PORTS, r.randint(1, 4))]))
        undo = [NEUTRAL]
    elif r.random() < 0.2:
        # Not with the above: whether a port admits a VLAN decides on copies, and stock does not match it.
        steps.append(mirror(r))
        undo = [NEUTRAL]
    if r.random() < 0.25:
        n, flag = r.choice(BR0), r.randrange(len(FLAGS))
        steps += [flagged(n, word) for word in FLAGS[flag]]
        undo = [*undo, *[flagged(n, word) for word in UNDONE[flag]]]
    if r.random() < 0.2:
        steps.append(ofctl('set-frags', 'br0', r.choice(['drop', 'nx-match', 'reassemble'])))
        undo = [*undo, ofctl('set-frags', 'br0', 'normal')]
    return steps, undo
