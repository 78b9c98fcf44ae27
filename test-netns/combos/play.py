"""Plays the steps on one combination of vswitchd and datapath: play.py TAPSWITCH VSWITCHD DATAPATH WORK SLOW [STEP,STEP...]

VSWITCHD is ours or stock, DATAPATH process or module.  Leaves in WORK/VSWITCHD-DATAPATH.json, for each step, why it failed, if it did, and
what the tools show after it.  Runs in namespaces of its own.
"""
import json
import os
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import Lab  # noqa: E402
from steps import MODULE_ONLY, STEPS  # noqa: E402


def look(lab):
    """What is compared after a step."""
    shown = {
        'ovs-vsctl show': lab.vsctl('show'),
        'ovs-vsctl list interface': lab.vsctl('--columns=name,type,ofport,ofport_request,error,admin_state,link_state,mac_in_use,mtu', 'list', 'interface'),
        'ovs-dpctl show': lab.dpctl('show', check=False),
        'ovs-dpctl dump-flows': lab.dpctl('dump-flows', check=False),
    }
    for bridge in lab.vsctl('list-br').split():
        for command in ('dump-flows', 'dump-groups', 'dump-meters', 'dump-ports-desc'):
            shown[f'ovs-ofctl {command} {bridge}'] = lab.ofctl(command, bridge, check=False)
        shown[f'ovs-appctl fdb/show {bridge}'] = lab.appctl('fdb/show', bridge, check=False)
    return shown


def main():
    tapswitch, vswitchd, datapath, work, slow = sys.argv[1:6]
    only = set(sys.argv[6].split(',')) if len(sys.argv) > 6 else None
    name = f'{vswitchd}-{datapath}'
    # Sockets cannot be in a folder that a virtual machine shares with its host.
    directory = tempfile.mkdtemp()
    os.environ.update(OVS_RUNDIR=directory, OVS_LOGDIR=directory, OVS_DBDIR=directory)
    lab = Lab(tapswitch, vswitchd, datapath, directory, float(slow), os.environ.get('COMPAT'))
    results = []
    for step in STEPS:
        if only is not None and step.__name__ not in only or step in MODULE_ONLY and datapath != 'module':
            continue
        began = time.monotonic()
        failure, more = None, None
        try:
            more = step(lab)
        except Exception as error:  # noqa: BLE001: whatever goes wrong, the next step is tried
            failure = f'{type(error).__name__}: {error}'
            if os.environ.get('TRACE'):
                traceback.print_exc()
        shown = {}
        if 'vswitchd' in lab.processes:
            try:
                shown = look(lab) | (more or {})
            except Exception as error:  # noqa: BLE001
                failure = failure or f'looking: {error}'
        results.append({'step': step.__name__, 'failure': failure, 'shown': shown})
        print(f'{name} {step.__name__}: {failure or "ok"} ({time.monotonic() - began:.1f} s)', flush=True)
        with open(f'{work}/{name}.json', 'w') as f:
            json.dump(results, f)
        if step.__name__ == 'start' and failure is not None:
            break
    for process in lab.processes.values():
        process.kill()
        process.wait()
    os.makedirs(f'{work}/{name}', exist_ok=True)
    for file in os.listdir(directory):
        if file.endswith('.log'):
            shutil.copy(f'{directory}/{file}', f'{work}/{name}')
    shutil.rmtree(directory)


main()
