"""The tunnels' side of play.py: a host device with addresses, the far end of which is a socket of the player, and tunnel ports."""
import struct, subprocess

from outer import DEVICE, FAR_DEVICE, FAR_MAC, FARS4, FARS6, GBP, GENEVE, GRE_PORT, HOST4, HOST6, HOST_MAC, UDP_PORTS, VXLAN
from wire import ACTION, KEY, attr, u32

VPORT_GRE, VPORT_VXLAN, VPORT_GENEVE = 3, 4, 5
TYPE, NAME, OPTIONS, PORT_NO, UPCALL_PID = 2, 3, 4, 1, 5
DST_PORT, EXTENSION, GROUP_POLICY = 1, 2, 1
TUNNEL_IPV4_DST, TUNNEL_TTL = 2, 4
PORTS = {VXLAN: ('vx0', VPORT_VXLAN), GBP: ('vx1', VPORT_VXLAN), GENEVE: ('gn0', VPORT_GENEVE), GRE_PORT: ('gr0', VPORT_GRE)}
# Room for all that may be around a frame of Ethernet size.
MTU = 2000


def ip(*args):
    subprocess.run(('ip', *args), check=True)


def mac(address):
    return ':'.join(f'{byte:02x}' for byte in address)


def address(packed):
    if len(packed) == 4:
        return '.'.join(map(str, packed))
    return ':'.join(packed[at:at + 2].hex() for at in range(0, 16, 2))


def make():
    ip('link', 'add', DEVICE, 'address', mac(HOST_MAC), 'mtu', str(MTU), 'type', 'veth', 'peer', 'name', FAR_DEVICE, 'address', mac(FAR_MAC), 'mtu', str(MTU))
    with open(f'/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6', 'w') as f:
        f.write('0')
    for name in (FAR_DEVICE, DEVICE):
        ip('link', 'set', name, 'up')
    ip('addr', 'add', f'{address(HOST4)}/24', 'dev', DEVICE)
    ip('addr', 'add', f'{address(HOST6)}/64', 'dev', DEVICE, 'nodad')
    for far in (*FARS4, *FARS6):
        ip('neigh', 'replace', address(far), 'lladdr', mac(FAR_MAC), 'dev', DEVICE, 'nud', 'permanent')


def remove():
    ip('link', 'del', DEVICE)


def vports(pid):
    """[(number, payload of OVS_VPORT_CMD_NEW)]"""
    for number, (name, kind) in PORTS.items():
        options = b''
        if number in UDP_PORTS:
            options = attr(DST_PORT, struct.pack('=H', UDP_PORTS[number]))
            options += attr(EXTENSION, attr(GROUP_POLICY)) if number == GBP else b''
        payload = attr(TYPE, u32(kind)) + attr(NAME, name.encode() + b'\0') + attr(PORT_NO, u32(number)) + attr(UPCALL_PID, pid)
        yield number, payload + (attr(OPTIONS, options) if options else b'')


def probe_actions():
    """Actions that send the probe to the far end of the underlay."""
    tunnel = attr(TUNNEL_IPV4_DST, FARS4[0]) + attr(TUNNEL_TTL, b'\x40')
    return attr(ACTION['set'], attr(KEY['tunnel'], tunnel)) + attr(ACTION['output'], u32(VXLAN))
