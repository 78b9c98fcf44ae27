"""Plays scenarios of scenario.py on a vswitchd with bridges br0 and br1, and writes what came of each step.

  play.py PATIENCE IN.json OUT.json [IN.json OUT.json]...     OVS_RUNDIR names the vswitchd

Steps: {"do": "ofctl", "vsctl" or "appctl", "args", "stdin"} is a command; {"do": "frame", "port", "frame"} a frame that enters at the far end of
a veth pair, and is through before the next step; {"do": "listen", "args"} starts ovs-ofctl to listen as a controller, {"do": "heard"} tells what
came.  PATIENCE: how often all must be found asleep after a frame.
"""
import json, os, select, socket, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from control import Listener, appctl, run, vswitchd_socket
from quiet import until_quiet

PORTS = range(1, 7)
PACKET_IGNORE_OUTGOING, SOL_PACKET, PACKET_AUXDATA = 23, 263, 8


def open_device(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.bind((name, 0))
    return s


def frame_of(s):
    frame, controls, *_ = s.recvmsg(65536, 256)
    for level, kind, data in controls:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, tci, tpid = int.from_bytes(data[:4], 'little'), data[16:18][::-1], data[18:20][::-1]
            if status & 0x10:
                frame = frame[:12] + (tpid if status & 0x40 else b'\x81\0') + tci + frame[12:]
    return frame.hex()


class Player:
    def __init__(self, patience):
        self.sockets = {port: open_device(f'far{port}') for port in PORTS}
        self.owners = {s: port for port, s in self.sockets.items()}
        self.patience, self.control, self.listener = patience, vswitchd_socket(), None

    def arrived(self):
        found = []
        while ready := select.select(list(self.owners), [], [], 0)[0]:
            found += [f'{self.owners[s]} {frame_of(s)}' for s in ready]
        # The order of what goes out of different ports is nobody's promise.
        return sorted(found, key=lambda line: line.split()[0])

    def exchange(self, port, frame):
        try:
            self.sockets[port].send(bytes.fromhex(frame))
        except OSError as error:
            return [f'not sent: {error.strerror}']
        until_quiet(self.patience)
        # What revalidators learn from several flows at a time, they learn in any order: they go round after each frame.
        appctl(self.control, 'revalidator/wait')
        until_quiet(self.patience)
        return self.arrived()

    def step(self, step):
        do, args = step['do'], step.get('args', [])
        if do == 'frame':
            return self.exchange(step['port'], step['frame'])
        if do == 'appctl':
            return appctl(self.control, *args)
        if do == 'listen':
            self.listener = Listener(args)
            # The switch, too, must know which version it speaks.
            until_quiet(self.patience)
            return None
        if do == 'heard':
            return self.listener.end()
        done = run('ovs-ofctl', *args, stdin=step.get('stdin')) if do == 'ofctl' else run('ovs-vsctl', '--timeout=60', *args)
        # A client that has not said which version it speaks, or speaks an old one, changes what misses do: flows are translated when it is gone.
        until_quiet(1)
        return done


def main(patience, files):
    player = Player(patience)
    for source, target in zip(files[::2], files[1::2]):
        with open(source) as f:
            scenario = json.load(f)
        began = time.monotonic()
        player.arrived()
        results = [player.step(step) for step in scenario['steps']]
        with open(target, 'w') as f:
            json.dump({'seconds': round(time.monotonic() - began, 2), 'results': results}, f, indent=1)


if __name__ == '__main__':
    main(int(sys.argv[1]), sys.argv[2:])
