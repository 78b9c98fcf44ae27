"""Random changes of a switch's configuration, as an operator or an orchestrator makes them, and what must be true when they end.

Bridge br0 with ports p1 ... is the lab's own and is not touched: its hosts' traffic must not suffer.  What comes and goes are internal
ports, tunnels, patch ports, bridges, mirrors, VLANs, controllers, and OpenFlow rules.
"""
import random
import subprocess

from lab import Failed, run

NAMES = [f'x{n}' for n in range(12)]
BRIDGES = ['bra', 'brb', 'brc']
TUNNELS = {'vxlan': 'tv', 'geneve': 'tg', 'gre': 'tr'}


class Changes:
    def __init__(self, lab, seed, wait):
        self.lab, self.random, self.wait, self.made, self.refused = lab, random.Random(seed), wait, 0, 0

    def one(self):
        """Makes a few changes: one transaction or one bundle; gives how many."""
        r = self.random
        kinds = [self.port] * 5 + [self.bridge, self.patch, self.tunnel, self.tag, self.mirror, self.controller, self.mac] + [self.flows] * 4
        n = r.choice(kinds)()
        self.made += n
        return n

    def vsctl(self, *args):
        options = [f'--timeout={int(30 * self.lab.slow)}'] + ([] if self.wait else ['--no-wait'])
        done = subprocess.run(['ovs-vsctl', *options, *args], text=True, capture_output=True)
        # A name that is taken elsewhere, say: such a transaction changes nothing.
        if done.returncode != 0 and 'Alarm clock' not in done.stderr:
            self.refused += 1
        elif done.returncode != 0:
            raise Failed(f'ovs-vsctl {" ".join(args)}: {done.stderr.strip()}')

    def port(self):
        name, r = self.random.choice(NAMES), self.random
        if r.random() < 0.5:
            self.vsctl('--may-exist', 'add-port', 'br0', name, '--', 'set', 'interface', name, 'type=internal')
        else:
            self.vsctl('--if-exists', 'del-port', name)
        return 1

    def bridge(self):
        name = self.random.choice(BRIDGES)
        if self.random.random() < 0.5:
            self.vsctl('--may-exist', 'add-br', name)
        else:
            self.vsctl('--if-exists', 'del-br', name)
        return 1

    def patch(self):
        name = self.random.choice(BRIDGES)
        a, b = f'to-{name}', f'from-{name}'
        if self.random.random() < 0.5:
            self.vsctl('--may-exist', 'add-br', name, '--', '--may-exist', 'add-port', 'br0', a, '--', 'set', 'interface', a, 'type=patch', f'options:peer={b}',
                       '--', '--may-exist', 'add-port', name, b, '--', 'set', 'interface', b, 'type=patch', f'options:peer={a}')
        else:
            self.vsctl('--if-exists', 'del-port', a, '--', '--if-exists', 'del-port', b)
        return 2

    def tunnel(self):
        kind = self.random.choice(list(TUNNELS))
        name = TUNNELS[kind]
        if self.random.random() < 0.5:
            self.vsctl('--may-exist', 'add-port', 'br0', name, '--', 'set', 'interface', name, f'type={kind}', 'options:remote_ip=192.0.2.7', f'options:key={self.random.randrange(100)}')
        else:
            self.vsctl('--if-exists', 'del-port', name)
        return 1

    def tag(self):
        name = self.random.choice(NAMES)
        self.vsctl('--if-exists', 'set', 'port', name, f'tag={self.random.randrange(1, 4095)}')
        return 1

    def mac(self):
        self.vsctl('set', 'bridge', 'br0', f'other_config:mac-table-size={self.random.randrange(1000, 4000)}')
        return 1

    def mirror(self):
        if self.random.random() < 0.5:
            self.vsctl('--id=@out', 'get', 'port', 'p4', '--', '--id=@m', 'create', 'mirror', f'name=m{self.random.randrange(1000)}', 'select-all=true', 'output-port=@out',
                       '--', 'set', 'bridge', 'br0', 'mirrors=@m')
        else:
            self.vsctl('clear', 'bridge', 'br0', 'mirrors')
        return 1

    def controller(self):
        name = self.random.choice(BRIDGES)
        target = self.random.choice(['tcp:127.0.0.1:1', 'ptcp:0:127.0.0.1', 'unix:/nowhere'])
        if self.random.random() < 0.5:
            self.vsctl('--may-exist', 'add-br', name, '--', 'set-controller', name, target, '--', 'set-fail-mode', name, 'secure')
        else:
            self.vsctl('--may-exist', 'add-br', name, '--', 'del-controller', name, '--', 'del-fail-mode', name)
        return 2

    def flows(self):
        r, lines = self.random, []
        for _ in range(r.randrange(5, 20)):
            # So few places that soon as many flows go as come: who measures memory wants as many at the end as in the middle.
            match = f'table={r.randrange(1, 20)},priority={r.randrange(100)},ip,nw_dst=10.{r.randrange(4)}.{r.randrange(8)}.0/24'
            if r.random() < 0.5:
                lines.append(f'add {match},actions=set_field:{r.randrange(9)}->reg0,resubmit(,{r.randrange(20, 30)})')
            else:
                lines.append(f'delete {match.replace(match.split(",")[1] + ",", "")}')
        subprocess.run(['ovs-ofctl', '-O', 'OpenFlow14', '--bundle', 'add-flows', 'br0', '-'], input='\n'.join(lines), text=True, capture_output=True)
        return len(lines)

    def end(self):
        """Takes back all that was made."""
        lab = self.lab
        lab.vsctl('clear', 'bridge', 'br0', 'mirrors')
        words = []
        for name in [*NAMES, *TUNNELS.values(), *(f'to-{bridge}' for bridge in BRIDGES)]:
            words += ['--', '--if-exists', 'del-port', name]
        for bridge in BRIDGES:
            words += ['--', '--if-exists', 'del-br', bridge]
        lab.vsctl(*words[1:])
        lab.ofctl('del-flows', 'br0')
        lab.ofctl('add-flow', 'br0', 'priority=0,actions=NORMAL')

    def check(self):
        """The datapath, the host and the database must agree about ports."""
        lab = self.lab
        wanted, problems = {'ovs-system'}, []
        text = lab.vsctl('--format=csv', '--data=bare', '--no-heading', '--columns=name,type,ofport,error', 'list', 'interface')
        rows = [[word.strip('"') for word in line.split(',', 3)] for line in text.strip().split('\n')]
        names = {name for name, *_ in rows}
        for name, kind, ofport, error in rows:
            # Its peer may have gone with its bridge.
            is_alone = kind == 'patch' and name.replace('to-', 'from-') not in names and 'No usable peer' in error
            if (error and not is_alone) or ofport in ('', '-1'):
                problems.append(f'{name}: ofport {ofport} {error}')
            if kind in TUNNELS:
                wanted.add({'vxlan': 'vxlan_sys_4789', 'geneve': 'genev_sys_6081', 'gre': 'gre_sys'}[kind])
            elif kind != 'patch':
                wanted.add(name)

        def shown():
            return {line.split()[2] for line in lab.dpctl('show').split('\n') if line.startswith('  port ')}

        def devices():
            names = {line.split(': ')[1].split('@')[0] for line in run('ip', '-o', 'link').strip().split('\n')}
            return {name for name in names if not name.startswith('lo') and name not in ('gre0', 'gretap0', 'erspan0', 'sit0', 'tunl0', 'ip6tnl0', 'ip6gre0', 'ip_vti0', 'ip6_vti0')}
        # The device of a Geneve port has another name.
        wanted_devices = {name.replace('genev_sys', 'genev_tap') for name in wanted}
        try:
            lab.until('', lambda: shown() == wanted and devices() == wanted_devices, 5)
        except Failed:
            problems.append(f'ports of the datapath {sorted(shown() ^ wanted)}, devices {sorted(devices() ^ wanted_devices)} are there or not, against the database')
        if problems:
            raise Failed('; '.join(problems))
