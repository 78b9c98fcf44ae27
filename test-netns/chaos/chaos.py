"""chaos.py kill|churn TAPSWITCH VSWITCHD AMOUNT SEED: see scripts/chaos.  Runs in namespaces of its own."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 'combos')]

from changes import Changes  # noqa: E402
from lab import Failed, Lab  # noqa: E402

# What a log may say of all this: controllers that are not there, ports that are asked to be in two places.
EXPECTED = [
    'connection failed', 'connection dropped', 'could not create interface', 'No such device', 'Connection refused', 'reconnect|', 'rconn|WARN',
    'tunnel: tv', 'duplicate', 'receive error: Connection reset by peer', 'send error: Broken pipe', 'possibility for remote exploit', 'due to excessive rate',
]


def rss_kb(pid):
    with open(f'/proc/{pid}/status') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('VmRSS'))


def stalls_left_out(lines):
    """Without warnings of stalls that were the machine's: the process did not run for most of the time."""
    starved = False
    for line in lines:
        stall = re.search(r'Unreasonably long (\d+)ms poll interval \((\d+)ms user, (\d+)ms system\)', line)
        if stall is not None:
            starved = int(stall[2]) + int(stall[3]) < int(stall[1]) / 2
        # What it cost is said in the lines after.
        if not (starved and (stall or re.search(r'timeval\|WARN\|(faults|disk|context switches): ', line))):
            yield line


def percentile(sorted_list, percent):
    return sorted_list[min(len(sorted_list) - 1, len(sorted_list) * percent // 100)]


def fds(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


class Chaos:
    def __init__(self, tapswitch, vswitchd, seed):
        self.dir = tempfile.mkdtemp()
        os.environ.update(OVS_RUNDIR=self.dir, OVS_LOGDIR=self.dir, OVS_DBDIR=self.dir)
        self.lab = lab = Lab(tapswitch, vswitchd, 'process', self.dir, 1.0)
        self.problems = []
        lab.start()
        lab.vsctl('add-br', 'br0', '--', 'set', 'open_vswitch', '.', 'other_config:max-idle=3000')
        for n in (1, 2, 3, 4):
            lab.host(n)
            lab.vsctl('add-port', 'br0', f'p{n}')
        lab.pings(1, '10.0.0.2')
        self.changes = Changes(lab, seed, wait=True)
        self.datapath = lab.processes['datapath'].pid

    def python(self, host, name, *args):
        return self.lab.spawn(name, 'nsenter', f'--net=/run/netns/{host}', '/usr/bin/python3', '-I', '-S', f'{HERE}/traffic.py', *map(str, args))

    def begin_traffic(self):
        self.python('h2', 'count', 'count', 7000, f'{self.dir}/datagrams')
        self.python('h2', 'echo', 'echo', 7001)
        self.lab.until('h2 listens', lambda: ':7001' in subprocess.run(['ip', 'netns', 'exec', 'h2', 'ss', '-Hltn'], text=True, capture_output=True).stdout)
        self.python('h1', 'send', 'send', '10.0.0.2', 7000, 10)
        self.python('h1', 'talk', 'talk', '10.0.0.2', 7001, f'{self.dir}/answers')
        self.lab.until('traffic flows', lambda: os.path.exists(f'{self.dir}/datagrams') and os.path.exists(f'{self.dir}/answers'))

    def read(self, name):
        with open(f'{self.dir}/{name}') as f:
            return json.load(f)

    def end_traffic(self):
        """Ends it; what there was of it."""
        lab = self.lab
        before = self.read('answers')
        time.sleep(1)
        after = self.read('answers')
        if not isinstance(after, int) or not isinstance(before, int) or after <= before:
            self.problems.append(f'the connection did not last: {after}')
        for name in ('send', 'talk', 'count', 'echo'):
            lab.kill(name)
        return self.read('datagrams')

    def no_flows(self):
        """Without traffic and changes all flows expire."""
        try:
            self.lab.until('the datapath has no flows', lambda: self.lab.dpctl('dump-flows').strip() == '', 20)
        except Failed as error:
            self.problems.append(f'{error}: {self.lab.dpctl("dump-flows")[:2000]}')

    def kill(self, times):
        lab, changes = self.lab, self.changes
        changes.wait = False
        self.begin_traffic()
        memory, handles = [], []
        for n in range(times):
            end = time.monotonic() + changes.random.uniform(0, 5)
            while time.monotonic() < end:
                changes.one()
            lab.kill('vswitchd')
            for _ in range(changes.random.randrange(3)):
                changes.one()
            lab.spawn_vswitchd()
            memory.append(rss_kb(self.datapath))
        lab.kill('vswitchd')
        lab.start_vswitchd()
        lab.vsctl('set', 'open_vswitch', '.', 'external_ids:last=1')
        sent, lost = self.finish()
        print(f'{times} kills, {changes.made} changes: of {sent} datagrams, 10 ms apart, {sum(lost)} were lost, in gaps of {lost[:12]}')
        quarter = max(1, times // 4)
        print(f'datapath: {min(memory[:quarter]) // 1024}-{max(memory[:quarter]) // 1024} MB in the first quarter, '
              f'{min(memory[-quarter:]) // 1024}-{max(memory[-quarter:]) // 1024} MB in the last; {fds(self.datapath)} file descriptors')
        # 10 ms apart: more than half a second without any is no packet in flight.
        if lost and lost[0] > 50:
            self.problems.append(f'a gap of {lost[0]} datagrams')
        if max(memory[-quarter:]) > max(memory[:quarter]) * 1.25 + 16384:
            self.problems.append('the datapath grows')

    def finish(self):
        """Ends traffic and changes and checks what is left: the datagrams sent, and the sizes of the gaps in them, largest first."""
        self.verify()
        received, gaps = self.end_traffic()
        self.changes.end()
        self.verify()
        self.no_flows()
        lost = sorted((missing for _, missing in gaps), reverse=True)
        return received + sum(lost), lost

    def verify(self):
        try:
            self.changes.check()
        except Failed as error:
            self.problems.append(str(error))

    def churn(self, minutes):
        lab, changes = self.lab, self.changes
        self.begin_traffic()
        vswitchd = lab.processes['vswitchd'].pid
        samples, lags, began = [], [], time.monotonic()
        end = began + minutes * 60
        clock = Clock(f'{self.dir}/ovs-vswitchd.{vswitchd}.ctl', vswitchd)
        due = began
        while time.monotonic() < end:
            n = changes.one()
            # 1,000 a minute.
            due += n * 60 / 1000
            while True:
                lags.append(clock.round_trip())
                rest = due - time.monotonic()
                if rest <= 0:
                    break
                time.sleep(min(rest, 0.05))
            if not samples or time.monotonic() - samples[-1][0] > 2:
                samples.append((time.monotonic(), rss_kb(vswitchd), rss_kb(self.datapath)))
        sent, lost = self.finish()
        took = time.monotonic() - began
        print(f'{changes.made} changes in {took:.0f} s: of {sent} datagrams {sum(lost)} were lost, in gaps of {lost[:12]}')
        for what, values in (('a command is answered', [ms for ms, _ in lags]), ('  in which vswitchd computes', [cpu for _, cpu in lags])):
            values.sort()
            print(f'{what} {percentile(values, 50):.1f} ms (median), {percentile(values, 99):.0f} ms (99 %), {values[-1]:.0f} ms (longest)')
        if values[-1] > 50:
            self.problems.append(f'vswitchd computes for {values[-1]:.0f} ms before it answers')
        with open(f'{self.dir}/memory.log', 'w') as f:
            f.writelines(f'{when - began:.0f} s: vswitchd {a} kB, datapath {b} kB\n' for when, a, b in samples)
        third = max(1, len(samples) // 3)
        for name, column in (('vswitchd', 1), ('datapath', 2)):
            first, last = (sorted(s[column] for s in part)[third // 2] for part in (samples[third:2 * third], samples[-third:]))
            print(f'{name}: {samples[0][column] // 1024} MB at first, {first // 1024} MB in the second third, {last // 1024} MB in the last')
            if last > first * 1.15 + 8192:
                self.problems.append(f'{name} grows')
        # One lost datagram here and there is the host's; a gap is ours.
        if lost and lost[0] > 20:
            self.problems.append(f'a gap of {lost[0]} datagrams')

    def logs(self):
        for name in ('vswitchd', 'datapath', 'ovsdb-server'):
            with open(f'{self.dir}/{name}.log', errors='replace') as f:
                seen = set()
                for line in stalls_left_out(f):
                    if not any(f'|{level}|' in line for level in ('WARN', 'ERR', 'EMER')) and '|' in line:
                        continue
                    text = line.split('|', 2)[-1].strip()
                    if any(word in line for word in EXPECTED) or text in seen or len(seen) > 20:
                        continue
                    seen.add(text)
                    self.problems.append(f'{name} said: {text[:300]}')


class Clock:
    """How long vswitchd takes to answer on its control socket: as long as something else keeps it from its event loop."""

    def __init__(self, path, pid):
        self.schedstat = f'/proc/{pid}/task/{pid}/schedstat'
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.n = 0

    def cpu_ms(self):
        """What its thread has used, without waiting for a CPU that others have."""
        with open(self.schedstat) as f:
            return int(f.read().split()[0]) / 1e6

    def round_trip(self):
        """The ms that it took, and for how many of them vswitchd computed."""
        began, used = time.monotonic(), self.cpu_ms()
        self.n += 1
        self.socket.sendall(json.dumps({'id': self.n, 'method': 'version', 'params': []}).encode())
        answer = b''
        while not answer.strip().endswith(b'}'):
            answer += self.socket.recv(65536)
        return (time.monotonic() - began) * 1000, self.cpu_ms() - used


def main():
    what, tapswitch, vswitchd, amount, seed = sys.argv[1:6]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chaos = Chaos(tapswitch, vswitchd, int(seed))
    try:
        getattr(chaos, what)(int(amount) if what == 'kill' else float(amount))
    finally:
        if os.environ.get('KEEP'):
            shutil.copytree(chaos.dir, os.environ['KEEP'], dirs_exist_ok=True, ignore=lambda d, names: [n for n in names if not n.endswith(('.log', '.db'))])
        for process in chaos.lab.processes.values():
            process.kill()
            process.wait()
    chaos.logs()
    shutil.rmtree(chaos.dir)
    for problem in chaos.problems:
        print(f'problem: {problem}')
    print(f'{what}: {len(chaos.problems)} problems')
    sys.exit(1 if chaos.problems else 0)


main()
