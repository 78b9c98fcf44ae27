/**
 * Datapaths of type "dummy": the netlink client on the datapath in this process, with what is special about dummies: ports
 * get the number in their name ("p7" is port 7, "br1" is port 101) and types as their devices have them.
 * Source: lib/dpif-netdev.c (choose_port, dpif_dummy_register).
 */
import type { Dpif, DpifProvider, UpcallHandler } from '../../dpif/dpif.ts';
import type { DpifDpStats, DpifFlow, DpifOp, DpifPort, PortEvent } from '../../dpif/dpif-types.ts';
import { LoggedDpif } from '../../dpif/logged-dpif.ts';
import { type TunnelConfig, tunnelDevice, tunnelType } from '../../dpif/tunnel-types.ts';
import { ERRNO } from '../../util/errno.ts';
import { vlog } from '../../util/vlog.ts';
import { DummyFlows, isOfOnePort, ofOneRecircId } from './dummy-flows.ts';
import type { DummyNetdevs } from './dummy-netdevs.ts';
import { withPids } from './dummy-pids.ts';
import type { HeldEvents } from './held-events.ts';

const log = vlog('dpif');

export const DUMMY_DPIF_TYPE = 'dummy';
/** No port has a larger number. */
export const DUMMY_MAX_PORT = 0xffff;
const NO_MASKS = { nMaskHit: undefined, nMasks: undefined, nCacheHit: undefined, masksCacheSize: undefined };

/**
 * What a datapath is called in the datapath process.  There all names of devices are one set, and a datapath's own port is a device of its name;
 * here a bridge and a datapath may have the same one.  "ovs-dummy" is nobody else's.
 */
const WIRE_PREFIX = 'dp~';
const wireName = (name: string): string => (name.startsWith('ovs-') ? name : WIRE_PREFIX + name);
const ownName = (name: string): string => (name.startsWith(WIRE_PREFIX) ? name.slice(WIRE_PREFIX.length) : name);

/** The number to try first for a port called `name`; undefined if the name has none. */
export function wantedPortNo(name: string): number | undefined {
  const digits = /\d+/.exec(name)?.[0];
  if (digits === undefined) return undefined;
  const wanted = (name.startsWith('br') ? 100 : 0) + Number(digits);
  return wanted > 0 && wanted <= DUMMY_MAX_PORT ? wanted : undefined;
}

/** What all providers of the datapaths of a process share. */
export interface DummyWorld {
  readonly netdevs: DummyNetdevs;
  /** By the names of datapaths. */
  readonly flows: Map<string, DummyFlows>;
  readonly portEvents: HeldEvents;
}

/** A provider of type "dummy" over `provider`, whose datapaths it gives out.  `isByHand`: for the commands of dpctl. */
export function dummyProvider(provider: DpifProvider, world: DummyWorld, isByHand: boolean): DpifProvider {
  const { flows } = world;
  return {
    type: DUMMY_DPIF_TYPE,
    enumerate: async () => (await provider.enumerate()).map(ownName).sort(),
    open: async (name, create) => {
      const dpif = await provider.open(wireName(name), create);
      const known = flows.get(dpif.name) ?? new DummyFlows();
      flows.set(dpif.name, known);
      // What is logged is what comes and goes here, under the type of this provider.
      const inner = dpif instanceof LoggedDpif ? dpif.unlogged : dpif;
      return new LoggedDpif(dummyDpif(inner, world, known, isByHand));
    },
    close: () => provider.close(),
  };
}

function dummyDpif(dpif: Dpif, { netdevs, portEvents }: DummyWorld, known: DummyFlows, isByHand: boolean): Dpif {
  const typed = (port: DpifPort): DpifPort => ({
    ...port,
    name: port.name === dpif.name ? ownName(port.name) : netdevs.names.fromWire(port.name),
    type: netdevs.typeOf(port.name) ?? port.type,
  });
  const changed = {
    type: DUMMY_DPIF_TYPE,
    name: ownName(dpif.name),
    async portAdd(name: string, type: string, portNo: number | undefined, tunnel?: TunnelConfig): Promise<number> {
      const ofTunnel = tunnelType(type);
      const config = tunnel ?? { dstPort: ofTunnel?.defaultPort ?? 0, extensions: [] };
      const device = ofTunnel === undefined ? name : tunnelDevice(ofTunnel, config);
      if (ofTunnel !== undefined) netdevs.addTunnel(device, type);
      const number = portNo ?? (await freePort(dpif, device));
      return dpif.portAdd(netdevs.names.toWire(device), 'system', number);
    },
    async portQuery(which: string | number): Promise<DpifPort | undefined> {
      const own = which === ownName(dpif.name) ? dpif.name : which;
      const port = await dpif.portQuery(typeof own === 'string' ? netdevs.names.toWire(own) : own);
      return port === undefined ? undefined : typed(port);
    },
    portPoll: (onEvent: (event: PortEvent) => void): (() => void) =>
      dpif.portPoll((event) => {
        const ours = event.kind === 'changed' ? { ...event, name: netdevs.names.fromWire(event.name) } : event;
        portEvents.pass(() => onEvent(ours));
      }),
    portDump: async (): Promise<DpifPort[]> => (await dpif.portDump()).map(typed),
    // Masks and their cache are a kernel's.
    stats: async (): Promise<DpifDpStats> => ({ ...(await dpif.stats()), ...NO_MASKS }),
    operate: (ops: readonly DpifOp[]): Promise<void> => operate(dpif, known, ops, isByHand),
    flowDump: (terse: boolean, visit: (flows: readonly DpifFlow[]) => void | Promise<void>): Promise<void> =>
      dpif.flowDump(terse, (flows) => visit(flows.map((flow) => known.shown(flow)))),
    async flowFlush(): Promise<void> {
      await dpif.flowFlush();
      known.flushed();
    },
    setUpcallHandler(handler: UpcallHandler | null): Promise<void> {
      if (handler === null) return dpif.setUpcallHandler(null);
      return dpif.setUpcallHandler((upcalls) => {
        known.heard(upcalls, dpif.name);
        return handler(upcalls);
      });
    },
    upcallPid: (): number => 0,
    queuePriority: (queue: number): number => queue,
  };
  return new Proxy(dpif, {
    get(target, key) {
      if (key in changed) return changed[key as keyof typeof changed];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Carries out `ops` with the port ids that the datapath takes. */
async function operate(dpif: Dpif, known: DummyFlows, all: readonly DpifOp[], isByHand: boolean): Promise<void> {
  const ops = all.filter((op) => op.type !== 'put' || isOfOnePort(op));
  for (const op of all) if (!ops.includes(op)) op.result = ERRNO.EINVAL;
  const inner = ops.map((op): DpifOp => {
    const changed = op.type === 'put' ? ofOneRecircId(op) : { ...op };
    return 'actions' in changed && changed.actions !== undefined
      ? { ...changed, actions: withPids(changed.actions) }
      : changed;
  });
  await dpif.operate(inner);
  for (const [i, op] of ops.entries()) {
    const done = inner[i] as DpifOp;
    const asked = op.type === 'put' ? { key: op.key, mask: op.mask } : {};
    Object.assign(op, done, asked, 'actions' in op ? { actions: op.actions } : {});
    if (op.type === 'get' && op.flow !== undefined) op.flow = known.shown(op.flow);
    if (op.result === 0) known.done(op, isByHand);
    // What is logged of it is what a datapath in userspace is given.
    if (op.type === 'put' && log.isEnabled('dbg')) Object.assign(op, known.written(op, isByHand));
  }
}

/** Undefined lets the datapath choose. */
async function freePort(dpif: Dpif, name: string): Promise<number | undefined> {
  const wanted = wantedPortNo(name);
  if (wanted === undefined) return undefined;
  // Of all ports, because to ask for one that is not there is logged as a failure.
  const ports = await dpif.portDump();
  return ports.some((port) => port.portNo === wanted) ? undefined : wanted;
}
