"""Commands to a vswitchd: the tools as they are, and ovs-appctl's protocol without its start for what is asked after every frame."""
import json, os, socket, subprocess, time

TIMEOUT = 60


def run(*command, stdin=None):
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return {'status': 'timeout', 'out': '', 'err': ''}
    return {'status': done.returncode, 'out': done.stdout, 'err': done.stderr}


def ask(path, method, *args):
    """What the daemon behind a control socket answers."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(path)
        s.sendall(json.dumps({'id': 0, 'method': method, 'params': args}).encode())
        answer = b''
        while True:
            part = s.recv(65536)
            if not part:
                raise ConnectionError(f'{path}: {method}: {answer!r} and no more')
            answer += part
            try:
                return json.loads(answer)
            except ValueError:
                continue


def is_listening(path):
    """A socket is there for a moment before anybody listens at it."""
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(path) == 0


def vswitchd_socket():
    run_dir = os.environ['OVS_RUNDIR']
    with open(f'{run_dir}/ovs-vswitchd.pid') as f:
        return f'{run_dir}/ovs-vswitchd.{f.read().strip()}.ctl'


def appctl(path, *args):
    answer = ask(path, *args)
    if answer['error'] is not None:
        return {'status': 2, 'out': '', 'err': answer['error']}
    return {'status': 0, 'out': answer['result'], 'err': ''}


# OFPT_FEATURES_REQUEST, whose reply has no list of ports from OpenFlow 1.3 on.
FEATURES = {'OpenFlow13': '0405000800000000', 'OpenFlow14': '0505000800000000', 'OpenFlow15': '0605000800000000'}


class Listener:
    """An `ovs-ofctl monitor`, for what comes to controllers.

    Stock takes note of a connection's version only when it needs it, and until then has misses sent to controllers, as it would have for
    one before 1.3.  So later versions ask something whose answer depends on the version.
    """

    def __init__(self, args):
        self.path = f"{os.environ['OVS_RUNDIR']}/listener.ctl"
        self.log = f"{os.environ['OVS_RUNDIR']}/listener.log"
        with open(self.log, 'w') as f:
            self.process = subprocess.Popen(['ovs-ofctl', f'--unixctl={self.path}', *args], stdout=f, stderr=f, stdin=subprocess.DEVNULL)
        while not is_listening(self.path) and self.process.poll() is None:
            time.sleep(0.005)
        request = next((FEATURES[arg] for arg in args if arg in FEATURES), None)
        if request and self.process.poll() is None:
            ask(self.path, 'ofctl/send', request)
            ask(self.path, 'ofctl/barrier')

    def end(self):
        """All that was heard."""
        if self.process.poll() is None:
            ask(self.path, 'ofctl/barrier')
            ask(self.path, 'exit')
        status = self.process.wait(TIMEOUT)
        with open(self.log) as f:
            return {'status': status, 'out': f.read(), 'err': ''}
