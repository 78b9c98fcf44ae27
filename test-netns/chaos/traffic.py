"""Traffic of hosts that must not stop: numbered datagrams, of which each missing one is noticed, and a connection that stays.

    traffic.py send ADDRESS PORT MS     a datagram every MS ms until it is killed
    traffic.py count PORT FILE          leaves in FILE, over and over, [received, [[when, missing in a row]...]]
    traffic.py talk ADDRESS PORT FILE   talks with `echo`; leaves in FILE how many answers there were, or why it ended
    traffic.py echo PORT
"""
import json
import os
import socket
import sys
import time


def send(address, port, ms):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    n, due = 0, time.monotonic()
    while True:
        try:
            s.sendto(n.to_bytes(8, 'big'), (address, int(port)))
        except OSError:
            pass
        n += 1
        due += float(ms) / 1000
        time.sleep(max(0, due - time.monotonic()))


def write(file, value):
    with open(file + '.new', 'w') as f:
        json.dump(value, f)
    os.rename(file + '.new', file)


def count(port, file):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind(('', int(port)))
    expected, received, gaps, written = None, 0, [], 0
    while True:
        n = int.from_bytes(s.recv(64), 'big')
        received += 1
        if expected is not None and n > expected:
            gaps.append([time.time(), n - expected])
        expected = max(n + 1, expected or 0)
        if time.monotonic() - written > 0.2:
            written = time.monotonic()
            write(file, [received, gaps])


def talk(address, port, file):
    answers = 0
    try:
        s = socket.create_connection((address, int(port)), timeout=60)
        while True:
            s.sendall(b'x')
            if s.recv(1) != b'x':
                raise OSError('closed')
            answers += 1
            write(file, answers)
            time.sleep(0.05)
    except OSError as error:
        write(file, f'after {answers} answers: {error}')


def echo(port):
    s = socket.create_server(('', int(port)))
    while True:
        c, _ = s.accept()
        while True:
            data = c.recv(64)
            if not data:
                break
            c.sendall(data)


{'send': send, 'count': count, 'talk': talk, 'echo': echo}[sys.argv[1]](*sys.argv[2:])
