"""Plays scenarios of random_tables.py on the bridge br0 of a vswitchd and writes what came of them: what ovs-ofctl says to every flow
and group, the frames out of every port, the counters, the datapath's flows, and what ofproto/trace says of the frames.

  play_tables.py GAP-MS PATIENCE IN.json OUT.json [IN.json OUT.json]...     OVS_RUNDIR names the vswitchd

Frames enter at the far ends of the four veth pairs, one at a time; the next one follows when nothing has come out for GAP-MS, and,
with a PATIENCE of 1, when revalidators have gone round: what they learn from flows that were hit in the meantime, they learn in any order.
"""
import json, os, select, socket, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
PORTS = (1, 2, 3, 4)
PACKET_IGNORE_OUTGOING, SOL_PACKET, PACKET_AUXDATA = 23, 263, 8
TRACES = 6


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30)
    return {'status': done.returncode, 'out': done.stdout, 'err': done.stderr}


def ofctl(*args):
    return run('ovs-ofctl', '-O', 'OpenFlow15', *args)


def appctl(*args):
    return run('ovs-appctl', '-T', '20', *args)


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


def exchange(sockets, gap, port, frame):
    try:
        sockets[port].send(bytes.fromhex(frame))
    except OSError as error:
        return [f'not sent: {error.strerror}']
    found, owners = [], {s: p for p, s in sockets.items()}
    while ready := select.select(list(owners), [], [], gap)[0]:
        found += [f'{owners[s]} {frame_of(s)}' for s in ready]
    # The order of what goes out of different ports is nobody's promise.
    return sorted(found, key=lambda line: line.split()[0])


def play(scenario, sockets, gap, is_patient):
    for command in (['del-flows', 'br0'], ['del-groups', 'br0']):
        ofctl(*command)
    for command in ('revalidator/purge', 'fdb/flush', 'dpctl/flush-conntrack'):
        appctl(command)
    result = {'groups': [ofctl('add-group', 'br0', g) for g in scenario['groups']],
              'flows': [ofctl('add-flow', 'br0', f) for f in scenario['flows']]}
    exchange(sockets, gap, 1, '02fefefefefe02fefefefefe88b5' + '00' * 46)
    result['frames'] = []
    for step in scenario['frames']:
        result['frames'].append(exchange(sockets, gap, *step))
        if is_patient:
            appctl('revalidator/wait')
    appctl('revalidator/wait')
    result['dump-flows'] = ofctl('dump-flows', 'br0')
    result['dump-aggregate'] = ofctl('dump-aggregate', 'br0')
    result['dump-group-stats'] = ofctl('dump-group-stats', 'br0')
    result['dump-groups'] = ofctl('dump-groups', 'br0')
    result['dpctl'] = appctl('dpctl/dump-flows')
    result['fdb'] = appctl('fdb/show', 'br0')
    seen = []
    for step in scenario['frames']:
        if step not in seen and len(seen) < TRACES:
            seen.append(step)
    result['traces'] = [appctl('ofproto/trace', 'br0', f'in_port={port}', frame) for port, frame in seen]
    return result


if __name__ == '__main__':
    wait, patience, files = float(sys.argv[1]) / 1000, sys.argv[2] == '1', sys.argv[3:]
    devices = {port: open_device(f'far{port}') for port in PORTS}
    for source, target in zip(files[::2], files[1::2]):
        with open(source) as f:
            chosen = json.load(f)
        began = time.monotonic()
        outcome = play(chosen, devices, wait, patience)
        outcome['seconds'] = round(time.monotonic() - began, 2)
        with open(target, 'w') as f:
            json.dump(outcome, f, indent=1)
