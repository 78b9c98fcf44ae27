"""Plays the steps of scripts/other-releases on one release: play.py TAPSWITCH SIDE TREE WORK SLOW [STEP,STEP...]

SIDE is theirs (the release's ovs-vswitchd on our datapath) or ours (our vswitchd with the release's schema and tools); the release's programs
are found by PATH.  Prints a line for each step, and leaves logs in WORK/RELEASE-SIDE.  Runs in namespaces of its own.
"""
import os
import re
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
for neighbour in ('.', '../combos', '../differential'):
    sys.path.insert(0, os.path.join(HERE, neighbour))

from lab import Lab, run  # noqa: E402
from release import STEPS  # noqa: E402

# What a vswitchd warns of that is right: pattern, and why.
KNOWN = [
    (r'interface int5: setting MAC failed', 'the port is in another network namespace'),
    (r'ofproto_dpif_xlate.*dropping VLAN|receive tunnel port not found', 'so the step wants it'),
    (r'received packet on unknown port', 'it came while a new vswitchd configured its ports'),
    (r'127.0.0.1:1: connection failed|cannot find route for controller', 'nobody listens there'),
    (r'rconn.*connection dropped .(Connection reset by peer|Broken pipe)', 'a client was killed'),
    (r'timeval(\(\w+\))?\|WARN', 'how fast the machine is'),
]


class ReleaseLab(Lab):
    """The laboratory of scripts/combos with the programs and the schema of a release."""

    def __init__(self, tapswitch, side, tree, work, slow):
        super().__init__(tapswitch, {'ours': 'ours', 'theirs': 'stock'}[side], 'process', work, slow)
        self.tree = tree
        self.release = run('ovs-vsctl', '--version').split('\n')[0].split()[-1]

    def start(self):
        work = self.work
        run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
        self.spawn('datapath', self.tapswitch, 'datapath', '--ready-file', f'{work}/ready')
        self.until('the datapath is ready', lambda: os.path.exists(f'{work}/ready'))
        run('ovsdb-tool', 'create', f'{work}/conf.db', f'{self.tree}/vswitchd/vswitch.ovsschema')
        self.spawn('ovsdb-server', 'ovsdb-server', f'{work}/conf.db', f'--remote=punix:{work}/db.sock', '-vsyslog:off')
        self.until('the database is ready', lambda: os.path.exists(f'{work}/db.sock'))
        self.start_vswitchd()

    def ping(self, n, to, count=3, seconds=2):
        """One by one: ping(8) waits for the last of several for two round trips only, which on a busy machine is no time."""
        return sum(super(ReleaseLab, self).ping(n, to, 1, seconds) for _ in range(count))

    def flood(self, n, to, count):
        """How many of `count` pings in a row are answered, some of which are to be lost."""
        return super().ping(n, to, count)

    def log(self, name):
        """What a process has logged since it started first."""
        with open(f'{self.work}/{name}.log', errors='replace') as f:
            return f.read()

    def other_side(self):
        """From here on vswitchds that are started are the other one: ours, or the release's."""
        self.vswitchd_kind = {'ours': 'stock', 'stock': 'ours'}[self.vswitchd_kind]


def complaints(lab):
    """Warnings and errors of vswitchd's log that are not known, without when they came; each once."""
    found = []
    for line in lab.log('vswitchd').split('\n') if os.path.exists(f'{lab.work}/vswitchd.log') else []:
        said = re.search(r'\|\d+\|(\w+(?:\([^)]*\))?\|(?:WARN|ERR|EMER)\|.*)', line) or re.search(r'((?:\w+Error:|assertion ).*)', line)
        if said and said[1] not in found and not any(re.search(pattern, line) for pattern, _ in KNOWN):
            found.append(said[1])
    return found


def main():
    tapswitch, side, tree, work, slow = sys.argv[1:6]
    only = sys.argv[6].split(',') if len(sys.argv) > 6 else None
    directory = tempfile.mkdtemp()
    os.environ.update(OVS_RUNDIR=directory, OVS_LOGDIR=directory, OVS_DBDIR=directory)
    lab = ReleaseLab(tapswitch, side, tree, directory, float(slow))
    name, n, failed, told = f'{lab.release} {side}', 0, 0, set()
    for step in STEPS:
        if only is not None and step.__name__ not in ('start', *only):
            continue
        began, failure = time.monotonic(), None
        try:
            step(lab)
        except Exception as error:  # noqa: BLE001: whatever goes wrong, the next step is tried
            failure = f'{type(error).__name__}: {error}'
            if os.environ.get('TRACE'):
                traceback.print_exc()
        new = [said for said in complaints(lab) if said not in told]
        told.update(new)
        for process_name, process in list(lab.processes.items()):
            if process.poll() is not None:
                failure = f'{failure or ""} {process_name} ended with status {process.returncode}'
                del lab.processes[process_name]
        if new:
            failure = (failure or 'warnings that are not known') + ''.join(f'\n    {said}' for said in new)
        n, failed = n + 1, failed + (failure is not None)
        print(f'{name} {step.__name__}: {f"FAILED: {failure}" if failure else "ok"} ({time.monotonic() - began:.1f} s)', flush=True)
        if failure is not None and (step.__name__ == 'start' or 'vswitchd' not in lab.processes):
            break
    for process in lab.processes.values():
        process.kill()
        process.wait()
    logs = f'{work}/{lab.release}-{side}'
    shutil.rmtree(logs, ignore_errors=True)
    os.makedirs(logs)
    for file in os.listdir(directory):
        if file.endswith('.log'):
            shutil.copy(f'{directory}/{file}', logs)
    shutil.rmtree(directory)
    print(f'{name}: {n} steps, {failed} failed', flush=True)
    sys.exit(1 if failed else 0)


main()
