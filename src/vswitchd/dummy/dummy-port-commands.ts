/**
 * `ovs-appctl dpif-dummy/change-port-number`: a port of a dummy datapath gets another number behind the switch's back.
 * Neighbour: dummy-commands.ts.  Source: lib/dpif-netdev.c (dpif_dummy_change_port_number).
 */
import type { DpifProvider } from '../../dpif/dpif.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import { DUMMY_MAX_PORT } from './dummy-dpif.ts';
import type { HeldEvents } from './held-events.ts';

/** The datapath's own port, which stays what it is. */
const DP_LOCAL_PORT = 0;

/** `provider`: of the datapaths that are meant; it stays its owner's to close. */
export function dummyPortCommands(provider: DpifProvider, portEvents: HeldEvents): UnixctlCommand[] {
  return [
    {
      name: 'dpif-dummy/change-port-number',
      usage: 'dp port new-number',
      minArgs: 3,
      maxArgs: 3,
      run: async ([datapath = '', port = '', number = '']) => {
        await portEvents.during(() => changePortNumber(provider, datapath, port, number));
        return '';
      },
    },
  ];
}

async function changePortNumber(provider: DpifProvider, datapath: string, name: string, text: string): Promise<void> {
  if (!(await provider.enumerate()).includes(datapath)) throw new UnixctlError('unknown datapath or not a dummy');
  const dpif = await provider.open(datapath, false);
  try {
    const ports = await dpif.portDump();
    const port = ports.find((p) => p.name === name && p.portNo !== DP_LOCAL_PORT);
    if (port === undefined) throw new UnixctlError('unknown port');
    const wanted = Number.parseInt(text, 10) || 0;
    if (wanted <= 0 || wanted > DUMMY_MAX_PORT) throw new UnixctlError('bad port number');
    if (ports.some((p) => p.portNo === wanted)) throw new UnixctlError('port number already in use');
    await dpif.portDel(port.portNo);
    // The device is there already, whatever its type.
    await dpif.portAdd(name, 'system', wanted);
  } finally {
    dpif.close();
  }
}
