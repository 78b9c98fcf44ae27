"""Frames: drawn ones of all protocols, whole and damaged, again and again; and packets of connections in their order."""
import random_frames
from random_connections import CLIENT_PORT, NAT_PORT, SCTP, SERVER_PORT, Connection

ZONES = ['', ',zone=1', ',zone=9']


class Translation:
    """What connections must know of the pipeline that tracks them."""
    nat_address, nat_port = bytes([10, 0, 0, 170]), NAT_PORT

    def __init__(self, r):
        self.is_v6 = r.random() < 0.35
        self.nat = r.choice(['none', 'none', 'src', 'dst', 'src-port', 'null'])
        if self.is_v6:
            self.nat_address = bytes.fromhex('fd0000000000000000000000000000aa')


def pipeline(r, how):
    """Flows that track connections from CLIENT_PORT to SERVER_PORT and let through what they allow."""
    word, address, zone = ('ipv6', 'fd00::aa', r.choice(ZONES)) if how.is_v6 else ('ip', '10.0.0.170', r.choice(ZONES))
    port = f':{NAT_PORT}' if how.nat == 'src-port' else ''
    written = f'[{address}]{port}' if how.is_v6 and port else f'{address}{port}'
    nat = {'none': '', 'null': ',nat'}.get(how.nat, f",nat({how.nat[:3]}={written})")
    look = ',nat' if how.nat != 'none' else ''
    mark = r.choice(['', ',exec(load:5->NXM_NX_CT_MARK[])', ',exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[],set_field:0x7->ct_label)'])
    back = r.choice([f'output:{CLIENT_PORT}', f'ct_clear,output:{CLIENT_PORT}', f'resubmit(,2),output:{CLIENT_PORT}'])
    return [f'table=0,priority=2000,{word},ct_state=-trk,actions=load:3->NXM_NX_REG0[],ct(table=1{zone}{look})',
            f'table=1,priority=2000,{word},ct_state=+trk+new,in_port={CLIENT_PORT},actions=ct(commit{zone}{nat}{mark}),output:{SERVER_PORT}',
            f'table=1,priority=2000,{word},ct_state=+trk+est,in_port={CLIENT_PORT},actions=output:{SERVER_PORT}',
            f'table=1,priority=2000,{word},ct_state=+trk+est,in_port={SERVER_PORT},actions={back}',
            f'table=1,priority=2001,{word},ct_state=+trk+rel,actions=controller(max_len=80),output:3',
            f"table=1,priority=2000,{word},ct_state=+trk+inv,actions={r.choice(['drop', 'output:4', 'ct_clear,resubmit(,2)'])}"]


def connections(r, how, count):
    """[port, frame] of a few connections at a time."""
    running, found = [], []
    for number in range(r.randint(1, 4)):
        connection = Connection(r, how, number)
        # Some states of SCTP last three seconds only.
        if connection.proto != SCTP:
            running.append(connection.steps(r.choice([3, 8])))
    while running and len(found) < count:
        step = next(chosen := r.choice(running), None)
        if step is None:
            running.remove(chosen)
        else:
            found.append(step)
    return found


def drawn(r):
    return [random_frames.draw(r) for _ in range(r.randint(4, 8))]
