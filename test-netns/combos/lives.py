"""Steps about ends and beginnings of vswitchd under traffic, and about what it is not told as its sockets overflow."""
import os
import re
import signal
import socket
import struct
import subprocess

from lab import Failed, inside, mac, run


class Pinging:
    """A ping that goes on."""

    def __init__(self, lab, n, to):
        self.lab, self.file = lab, f'{lab.work}/pinging'
        with open(self.file, 'w') as out:
            self.process = subprocess.Popen(
                ['nsenter', f'--net=/run/netns/h{n}', 'ping', '-n', '-i', '0.1', to], stdout=out, stderr=out)
        self.answers(5)

    def answered(self):
        with open(self.file) as f:
            return f.read().count(' ttl=')

    def answers(self, more):
        want = self.answered() + more
        self.lab.until('pings are answered', lambda: self.answered() >= want)

    def end(self):
        """Fails if more were lost than a restart may cost."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10 * self.lab.slow)
        with open(self.file) as f:
            summary = f.read().split('---\n')[-1].split()
        lost = int(summary[0]) - int(summary[3])
        # Those under way count as lost; and stock begins without flows: how long packets then take depends on the machine.
        if lost > 10 * max(1, self.lab.slow / 2):
            raise Failed(f'{lost} pings were lost')


def killed(lab):
    """kill -9 under traffic: what flows goes on, before and after the next start."""
    pinging = Pinging(lab, 1, '10.0.0.2')
    lab.kill('vswitchd')
    pinging.answers(10)
    lab.no_ping(3, '10.0.0.4')
    lab.start_vswitchd()
    lab.vsctl('set', 'open_vswitch', '.', 'external_ids:killed=1')
    lab.until('others are reached', lambda: lab.ping(3, '10.0.0.4', 1))
    pinging.answers(10)
    pinging.end()
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def stopped(lab):
    """exit leaves the datapath as it is."""
    pinging = Pinging(lab, 1, '10.0.0.2')
    lab.stop_vswitchd()
    pinging.answers(10)
    lab.start_vswitchd()
    lab.vsctl('set', 'open_vswitch', '.', 'external_ids:stopped=1')
    pinging.answers(10)
    pinging.end()
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def freeze(process):
    """Stops a process until SIGCONT; when this returns none of its threads runs any more."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


def overrun(lab):
    """More happens in the datapath, while vswitchd does not look, than its sockets hold: it looks at all of it anew."""
    process, before = lab.processes['vswitchd'], overflows(lab)
    freeze(process)
    try:
        notify(0x54415053 if lab.datapath_kind == 'process' else 0, 14000)
        lab.dpctl('del-if', 'ovs-system', 'p4')
    finally:
        process.send_signal(signal.SIGCONT)
    lab.until('the port is back', lambda: lab.ping(3, '10.0.0.4', 1))
    lab.until('vswitchd knows', lambda: overflows(lab) > before)
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def overflows(lab):
    """How often a socket of vswitchd held no more."""
    return int(lab.appctl('coverage/read-counter', 'netlink_overflow'))


def complaints(lab):
    """How often vswitchd said that it lost upcalls."""
    return lab.log('vswitchd').count('lost packet on')


def lost_upcalls(lab):
    return int(re.search(r'lost:(\d+)', lab.dpctl('show')).group(1))


def flooded(lab):
    """More packets miss, while vswitchd does not look, than its sockets hold: some are lost and counted, and those that come later are not."""
    process, before, lost = lab.processes['vswitchd'], complaints(lab), lost_upcalls(lab)
    freeze(process)
    try:
        with inside('h1'):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        # Of one kind: no flow takes them, and one is made for all.
        frame = bytes.fromhex((mac(2) + mac(1)).replace(':', '') + '88b6').ljust(1400, b'\0')
        lab.until('upcalls are lost', lambda: [s.sendto(frame, ('eth0', 0)) for _ in range(1000)] and lost_upcalls(lab) > lost)
        s.close()
    finally:
        process.send_signal(signal.SIGCONT)
    lab.until('vswitchd says so', lambda: complaints(lab) > before)
    lab.until('new flows are made', lambda: lab.ping(3, '10.0.0.1', 1))
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def deaf(lab):
    """More devices change, while vswitchd does not look, than its sockets hold: it looks at all of them anew."""
    run('ip', 'link', 'add', 'noise', 'type', 'veth', 'peer', 'name', 'noise2')
    changes = f'{lab.work}/changes'
    with open(changes, 'w') as f:
        f.writelines(f'link set dev noise mtu {1400 + i % 2}\n' for i in range(6000))
    process = lab.processes['vswitchd']
    freeze(process)
    try:
        run('ip', '-batch', changes)
        run('ip', 'link', 'set', 'p4', 'mtu', '1300')
        run('ip', 'link', 'set', 'p3', 'down')
    finally:
        process.send_signal(signal.SIGCONT)
    lab.until('the new MTU is known', lambda: lab.vsctl('get', 'interface', 'p4', 'mtu').strip() == '1300')
    lab.until('p3 is seen to be down', lambda: lab.vsctl('get', 'interface', 'p3', 'link_state').strip() == 'down')
    run('ip', 'link', 'del', 'noise')
    run('ip', 'link', 'set', 'p3', 'up')
    lab.until('p3 is seen to be up', lambda: lab.vsctl('get', 'interface', 'p3', 'link_state').strip() == 'up')
    lab.settled(lambda: (lab.pings(1, '10.0.0.2'), lab.pings(3, '10.0.0.4')))


def notify(peer, times):
    """Has a datapath tell its listeners about port 1 again and again: a vport is set to what it is."""
    netlink_generic, family_id, get_family, ovs_vport_set = 16, 16, 3, 4
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_generic) as s:
        s.bind((0, 0))

        def request(kind, command, version, body, flags=1):
            message = struct.pack('=BBH', command, version, 0) + body
            s.sendto(struct.pack('=IHHII', 16 + len(message), kind, flags, 1, 0) + message, (peer, 0))
        request(family_id, get_family, 1, struct.pack('=HH', 4 + 10, 2) + b'ovs_vport\0\0\0')
        s.settimeout(30)
        answer, at = s.recv(65536), 20
        while at + 4 <= len(answer):
            size, kind = struct.unpack_from('=HH', answer, at)
            if kind == 1:
                family, = struct.unpack_from('=H', answer, at + 4)
            at += size + 3 & ~3
        body = struct.pack('=iHHI', socket.if_nametoindex('ovs-system'), 8, 1, 1)
        for i in range(times // 100):
            for _ in range(99):
                request(family, ovs_vport_set, 1, body)
            # The last of some is acknowledged, so that others who ask the datapath get their turn.
            request(family, ovs_vport_set, 1, body, 1 | 4)
            s.recv(65536)


def cleanup(lab):
    """exit --cleanup leaves nothing of the datapath."""
    lab.stop_vswitchd('--cleanup')
    lab.expect('datapaths', lab.dpctl('dump-dps', check=False).strip(), '')
    if os.path.exists('/sys/class/net/br0'):
        raise Failed('br0 is still there')
