/**
 * Datapaths of type "dummy": the netlink client on the datapath in this process, with what is special about dummies: ports
 * get the number in their name ("p7" is port 7, "br1" is port 101) and types as their devices have them.
 * Source: lib/dpif-netdev.c (choose_port, dpif_dummy_register).
 */
import type { Dpif, DpifProvider } from '../../dpif/dpif.ts';
import type { DpifPort } from '../../dpif/dpif-types.ts';
import type { DummyNetdevs } from './dummy-netdevs.ts';

export const DUMMY_DPIF_TYPE = 'dummy';
const MAX_PORT = 0xffff;

/** The number to try first for a port called `name`; undefined if the name has none. */
export function wantedPortNo(name: string): number | undefined {
  const digits = /\d+/.exec(name)?.[0];
  if (digits === undefined) return undefined;
  const wanted = (name.startsWith('br') ? 100 : 0) + Number(digits);
  return wanted > 0 && wanted <= MAX_PORT ? wanted : undefined;
}

/** A provider of type "dummy" over `provider`, whose datapaths it gives out. */
export function dummyProvider(provider: DpifProvider, netdevs: DummyNetdevs): DpifProvider {
  return {
    type: DUMMY_DPIF_TYPE,
    enumerate: () => provider.enumerate(),
    open: async (name, create) => dummyDpif(await provider.open(name, create), netdevs),
    close: () => provider.close(),
  };
}

function dummyDpif(dpif: Dpif, netdevs: DummyNetdevs): Dpif {
  const typed = (port: DpifPort): DpifPort => ({ ...port, type: netdevs.find(port.name)?.type ?? port.type });
  const changed = {
    type: DUMMY_DPIF_TYPE,
    async portAdd(name: string, _type: string, portNo: number | undefined): Promise<number> {
      const number = portNo ?? (await freePort(dpif, name));
      return dpif.portAdd(name, 'system', number);
    },
    async portQuery(which: string | number): Promise<DpifPort | undefined> {
      const port = await dpif.portQuery(which);
      return port === undefined ? undefined : typed(port);
    },
    portDump: async (): Promise<DpifPort[]> => (await dpif.portDump()).map(typed),
  };
  return new Proxy(dpif, {
    get(target, key) {
      if (key in changed) return changed[key as keyof typeof changed];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Undefined lets the datapath choose. */
async function freePort(dpif: Dpif, name: string): Promise<number | undefined> {
  const wanted = wantedPortNo(name);
  if (wanted === undefined) return undefined;
  // Of all ports, because to ask for one that is not there is logged as a failure.
  const ports = await dpif.portDump();
  return ports.some((port) => port.portNo === wanted) ? undefined : wanted;
}
