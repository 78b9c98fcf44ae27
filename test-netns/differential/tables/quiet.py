"""Whether a switch has done all there was to do: nothing in this PID namespace runs, or waits for a processor, but who asks.

It does not depend on how fast the machine is: a process that has been sent something is not asleep, however late its turn comes.
"""
import os, time

ME = str(os.getpid())


def all_sleep():
    for pid in os.listdir('/proc'):
        if not pid.isdigit() or pid == ME:
            continue
        try:
            for thread in os.listdir(f'/proc/{pid}/task'):
                with open(f'/proc/{pid}/task/{thread}/stat') as f:
                    # "PID (name) STATE ..."
                    if f.read().rpartition(')')[2].split()[0] in 'RD':
                        return False
        except OSError:
            return False
    return True


def until_quiet(times, pause=0.002, limit=20):
    """Returns when all were asleep at `times` looks in a row; or after `limit` seconds."""
    deadline, seen = time.monotonic() + limit, 0
    while seen < times and time.monotonic() < deadline:
        time.sleep(pause)
        seen = seen + 1 if all_sleep() else 0
