"""The laboratory of scripts/combos: one switch, hosts, and what is looked at after each step.

It runs inside namespaces of its own (network, processes, mounts), which end with it and take everything along.  The switch is in the
network namespace of this process; each host is a network namespace whose eth0 is the far end of a port.
"""
import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import time

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
PYTHON = ['/usr/bin/python3', '-I', '-S', '-c']
# Greets whoever connects: "NAME PEER-ADDRESS".
GREETER = '''
import socket, sys
s = socket.create_server(('', int(sys.argv[2])))
while True:
    c, peer = s.accept()
    c.sendall(f'{sys.argv[1]} {peer[0]}'.encode())
    c.close()
'''
GREETED = '''
import socket, sys
try:
    c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
    print(c.makefile().read())
except OSError as e:
    print(e)
'''


class Failed(Exception):
    """A step's expectation that was not met."""


def run(*command, check=True, timeout=600, **more):
    """Runs a command; gives what it printed."""
    done = subprocess.run(command, text=True, capture_output=True, timeout=timeout, **more)
    if check and done.returncode != 0:
        raise Failed(f'{" ".join(command)}: status {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}')
    return done.stdout if check else done.stdout + done.stderr


@contextlib.contextmanager
def inside(host):
    """Sockets opened in here belong to the host's network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open('/proc/self/ns/net') as home, open(f'/run/netns/{host}') as there:
        libc.setns(there.fileno(), CLONE_NEWNET)
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


class Lab:
    def __init__(self, tapswitch, vswitchd, datapath, work, slow, compat=None):
        self.tapswitch, self.vswitchd_kind, self.datapath_kind, self.work, self.slow = tapswitch, vswitchd, datapath, work, slow
        self.compat = compat
        self.processes = {}
        # Stock programs find our datapath by the preload library; the module needs none.
        self.stock = [tapswitch, 'exec', '--'] if datapath == 'process' else []
        self.hosts = []

    # Processes

    def spawn(self, name, *command):
        with open(f'{self.work}/{name}.log', 'a') as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes[name] = process
        return process

    def log(self, name):
        """What a process has logged since it started first."""
        with open(f'{self.work}/{name}.log') as f:
            return f.read()

    def kill(self, name, sig=signal.SIGKILL):
        process = self.processes.pop(name)
        process.send_signal(sig)
        process.wait(60 * self.slow)

    def until(self, what, check, seconds=15):
        """Waits until check() is true; gives what it gave."""
        end = time.monotonic() + seconds * self.slow
        while True:
            found = check()
            if found:
                return found
            if time.monotonic() > end:
                raise Failed(f'waited in vain until {what}')
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise Failed(f'{name} ended with status {process.returncode}')
            time.sleep(0.05)

    def start(self):
        work = self.work
        run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
        if self.datapath_kind == 'process':
            compat = ['--kernel-compat', self.compat] if self.compat else []
            self.spawn('datapath', self.tapswitch, 'datapath', '--ready-file', f'{work}/ready', *compat)
            self.until('the datapath is ready', lambda: os.path.exists(f'{work}/ready'))
        run('ovsdb-tool', 'create', f'{work}/conf.db', '/usr/share/openvswitch/vswitch.ovsschema')
        self.spawn('ovsdb-server', 'ovsdb-server', f'{work}/conf.db', f'--remote=punix:{work}/db.sock', '-vsyslog:off')
        self.until('the database is ready', lambda: os.path.exists(f'{work}/db.sock'))
        self.start_vswitchd()

    def spawn_vswitchd(self):
        """Starts vswitchd, and waits for nothing."""
        if self.vswitchd_kind == 'ours':
            program = [self.tapswitch, 'vswitchd']
        else:
            program = [*self.stock, 'ovs-vswitchd', '-vsyslog:off']
        return self.spawn('vswitchd', *program, f'unix:{self.work}/db.sock', '--pidfile', '-vconsole:info')

    def start_vswitchd(self):
        process = self.spawn_vswitchd()

        def answers():
            with contextlib.suppress(OSError, ValueError):
                with open(f'{self.work}/ovs-vswitchd.pid') as f:
                    return int(f.read()) == process.pid and 'Open vSwitch' in run('ovs-appctl', 'version', check=False)
        self.until('vswitchd takes commands', answers, 60)

    def stop_vswitchd(self, *how):
        process = self.processes.pop('vswitchd')
        run('ovs-appctl', 'exit', *how)
        process.wait(30 * self.slow)

    # Tools

    def vsctl(self, *args):
        return run('ovs-vsctl', f'--timeout={int(60 * self.slow)}', *args)

    def ofctl(self, *args, check=True):
        return run('ovs-ofctl', '-O', 'OpenFlow15', *args, check=check)

    def appctl(self, *args, check=True):
        return run('ovs-appctl', *args, check=check)

    def dpctl(self, *args, check=True):
        return run(*self.stock, 'ovs-dpctl', *args, check=check)

    # Hosts

    def veth(self, port, host, mac):
        run('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
        run('ip', '-n', host, 'link', 'set', 'eth0', 'address', mac, 'addrgenmode', 'none')
        run('ip', '-n', host, 'link', 'set', 'eth0', 'up')
        run('ip', 'link', 'set', port, 'up')

    def namespace(self, name):
        run('ip', 'netns', 'add', name)
        # A host with IPv6 reports its multicast groups whenever it likes.
        run('ip', 'netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.default.router_solicitations=0',
            'net.ipv6.conf.default.accept_dad=0', 'net.ipv6.conf.default.accept_ra=0', 'net.ipv6.conf.default.disable_ipv6=1')
        run('ip', '-n', name, 'link', 'set', 'lo', 'up')

    def host(self, n):
        """Host hN behind port pN, which knows the other hosts: nobody asks for addresses meanwhile."""
        name = f'h{n}'
        self.namespace(name)
        self.veth(f'p{n}', name, mac(n))
        self.hosts.append(n)
        self.introduce(n, n)
        for other in self.hosts:
            if other != n:
                self.introduce(n, other)
                self.introduce(other, n)

    def introduce(self, n, other):
        if n == other:
            run('ip', '-n', f'h{n}', 'addr', 'add', f'10.0.0.{n}/24', 'dev', 'eth0')
        else:
            run('ip', '-n', f'h{n}', 'neigh', 'replace', f'10.0.0.{other}', 'lladdr', mac(other), 'dev', 'eth0', 'nud', 'permanent')

    def ipv6(self, n, *others):
        """Gives host n IPv6, and lets it know others."""
        run('ip', 'netns', 'exec', f'h{n}', 'sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=0')
        run('ip', '-n', f'h{n}', 'addr', 'add', f'fd00::{n}/64', 'dev', 'eth0', 'nodad')
        for other in others:
            run('ip', '-n', f'h{n}', 'neigh', 'replace', f'fd00::{other}', 'lladdr', mac(other), 'dev', 'eth0', 'nud', 'permanent')

    def no_ipv6(self, n):
        run('ip', 'netns', 'exec', f'h{n}', 'sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=1')

    def ping(self, n, to, count=3, seconds=8):
        """How many of `count` pings from host n were answered, the last one within `seconds`."""
        text = run('ip', 'netns', 'exec', f'h{n}', 'ping', '-n', '-q', '-c', str(count), '-i', '0.2', '-W', str(seconds), to, check=False)
        return int(text.split(' received')[0].split()[-1]) if ' received' in text else 0

    def pings(self, n, to, count=3):
        got = self.ping(n, to, count, 3 * self.slow)
        if got != count:
            raise Failed(f'h{n} to {to}: {got} of {count} pings answered')

    def no_ping(self, n, to):
        if self.ping(n, to, 1, 0.5 * min(self.slow, 4)) != 0:
            raise Failed(f'h{n} to {to}: a ping was answered')

    def greeter(self, n, port):
        self.spawn(f'greeter-{n}-{port}', 'nsenter', f'--net=/run/netns/h{n}', *PYTHON, GREETER, f'h{n}', str(port))
        self.until(f'h{n} listens', lambda: run('ip', 'netns', 'exec', f'h{n}', 'ss', '-Hltn', f'sport = :{port}'))

    def greeting(self, n, address, port):
        return run('ip', 'netns', 'exec', f'h{n}', *PYTHON, GREETED, address, str(port), str(5 * self.slow)).strip()

    def expect(self, what, got, want):
        if got != want:
            raise Failed(f'{what}: {got!r}, not {want!r}')

    def settled(self, traffic):
        """Has the datapath the flows of `traffic` alone, as they are when addresses are known."""
        # Flows of before the last change are gone after this.
        self.appctl('revalidator/wait')
        traffic()
        self.appctl('revalidator/wait')
        self.appctl('revalidator/purge')
        traffic()
        self.appctl('revalidator/wait')


class Ears:
    """What comes out at some hosts: frames with their VLAN tag, by packet sockets."""

    def __init__(self, lab, hosts):
        self.lab, self.sockets = lab, {}
        for n in hosts:
            with inside(f'h{n}'):
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            s.setblocking(False)
            self.sockets[n] = s

    def close(self):
        for s in self.sockets.values():
            s.close()

    def heard(self, token):
        """{(host, VLAN or None)} of frames that hold `token`, what the host sent itself left out."""
        found = set()
        for n, s in self.sockets.items():
            while True:
                try:
                    frame, aux, _, address = s.recvmsg(65536, 64)
                except BlockingIOError:
                    break
                if address[2] == PACKET_OUTGOING or token not in frame:
                    continue
                vlan = None
                for level, kind, data in aux:
                    if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                        status, = struct.unpack_from('=I', data)
                        tci, = struct.unpack_from('=H', data, 16)
                        if status & 0x10:
                            vlan = tci & 0xFFF
                if vlan is None and frame[12:14] == b'\x81\x00':
                    vlan = struct.unpack_from('>H', frame, 14)[0] & 0xFFF
                found.add((n, vlan))
        return found

    def probe(self, sender, dst, vlan, want):
        """Sends a frame from a host; what of it is heard must be `want`."""
        token = os.urandom(8)
        tag = struct.pack('>HH', 0x8100, vlan) if vlan is not None else b''
        frame = bytes.fromhex(dst.replace(':', '')) + bytes.fromhex(mac(sender).replace(':', '')) + tag + b'\x88\xb5' + token
        with inside(f'h{sender}'):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.sendto(frame.ljust(64, b'\0'), ('eth0', 0))
        s.close()
        found = set()
        end = time.monotonic() + 3 * self.lab.slow
        while time.monotonic() < end and not found >= want:
            found |= self.heard(token)
            time.sleep(0.02)
        # What should not come may come a little later.
        time.sleep(0.1 * self.lab.slow)
        found |= self.heard(token)
        if found != want:
            raise Failed(f'a frame of h{sender} to {dst} with VLAN {vlan} came out at {sorted(map(str, found))}, not {sorted(map(str, want))}')


def mac(n):
    return f'02:00:00:00:00:{n:02x}'
