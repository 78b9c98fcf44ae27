/**
 * The ports of one bridge: which have to go, which are missing, and deleting and adding them.
 *
 * A device that cannot be opened is no failure of the bridge: the reason is kept for its interface's "error" column, and
 * the next reconfiguration tries again.  bridge.ts calls `doomed`, `remove` and `add`; bridge-status.ts asks `errorOf`.
 * Source: vswitchd/bridge.c (bridge_delete_or_reconfigure_ports, bridge_add_ports).
 */
import { tunnelTypeOfDevice } from '../../dpif/tunnel-types.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import type { Ofport, Ofproto } from '../../ofproto/ofproto-provider.ts';
import { ERRNO, errnoText } from '../../util/errno.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { BridgeConfig, InterfaceConfig } from '../config/switch-config.ts';
import type { NetdevTable } from '../devices/netdev.ts';
import { PATCH, patchError } from './patch-port.ts';
import { isTunnel, TunnelPorts } from './tunnel-ports.ts';

const log = vlog('bridge');
const netdevLog = vlog('netdev');
const limit = new RateLimit(1, 5);

/** Interface types that can be ports. */
export const IFACE_TYPES: readonly string[] = ['internal', 'system', 'tap'];
const DATAPATH_NAMES = new Set(['ovs-system', 'ovs-netdev', 'ovs-dummy']);
/** Names that datapaths have, and their devices for tunnels: an interface of that name would be taken for one. */
const isReserved = (name: string): boolean => DATAPATH_NAMES.has(name) || tunnelTypeOfDevice(name) !== undefined;
/** An error of which only the log says what it is, as stock has it for reserved names. */
const ONLY_LOGGED = '';

/** Nobody answers on the datapath's port id any more. */
export const isDatapathGone = (error: unknown): boolean =>
  error instanceof NetlinkError && error.errno === ERRNO.ECONNREFUSED;

/** What went wrong with a device or port, in words for a person. */
export const reason = (error: unknown): string =>
  error instanceof NetlinkError ? error.text : (error as Error).message;

/** All interfaces of a bridge, in the order of their ports' names. */
export function interfacesOf(config: BridgeConfig): readonly InterfaceConfig[] {
  let interfaces = interfacesByBridge.get(config);
  if (interfaces === undefined) {
    interfaces = config.ports.flatMap((port) => port.interfaces);
    interfacesByBridge.set(config, interfaces);
  }
  return interfaces;
}
const interfacesByBridge = new WeakMap<BridgeConfig, readonly InterfaceConfig[]>();

/** Whether its settings alone say that it cannot be a port. */
const isRefused = ({ name, type, options, refusal }: InterfaceConfig): boolean =>
  refusal !== undefined || (type === PATCH && patchError(name, options) !== undefined);

interface Iface {
  readonly ofport: Ofport;
  /** The device's number when it was added: another number is another device of the same name. */
  readonly ifindex: number | undefined;
  /** How often the device's link had changed by then. */
  readonly linkResets?: number | undefined;
}

export class BridgePorts {
  private readonly name: string;
  private readonly ofproto: Ofproto;
  private readonly netdevs: NetdevTable;
  private readonly ifaces = new Map<string, Iface>();
  /** Numbers of the ports that were added here, as the database has them: the configuration has those of the beginning. */
  private readonly numbers = new Map<string, number>();
  /** Names of the ports that were added since `takeAdded`. */
  private added = new Set<string>();
  readonly tunnels: TunnelPorts;
  /** By interface name: why it is not part of the bridge. */
  private errors = new Map<string, string>();

  constructor(ofproto: Ofproto, netdevs: NetdevTable) {
    this.name = ofproto.name;
    this.ofproto = ofproto;
    this.netdevs = netdevs;
    this.tunnels = new TunnelPorts(ofproto, netdevs);
  }

  /** Why the interface is not a port, empty if its row does not say; undefined if it is one, or nobody tried. */
  errorOf(name: string): string | undefined {
    return this.errors.get(name);
  }

  /** How often the link of a port's device had changed before it became one. */
  linkResetsBefore(name: string): number {
    return this.ifaces.get(name)?.linkResets ?? 0;
  }

  /** How many ports have been added since `takeAdded`. */
  get nAdded(): number {
    return this.added.size;
  }

  /** Names of the ports that have been added since the last call. */
  takeAdded(): ReadonlySet<string> {
    const { added } = this;
    this.added = new Set();
    return added;
  }

  /** Names of the ports that are not wanted, or not as they are. */
  doomed(config: BridgeConfig): ReadonlySet<string> {
    const wanted = new Map(interfacesOf(config).map((iface) => [iface.name, iface]));
    for (const name of this.ifaces.keys()) if (!this.ofproto.ports.has(name)) this.ifaces.delete(name);
    for (const name of this.numbers.keys()) if (!wanted.has(name)) this.numbers.delete(name);
    const doomed = new Set<string>();
    for (const port of this.ofproto.ports.values()) {
      const iface = wanted.get(port.name);
      if (iface === undefined || port.type !== this.portType(iface.type) || this.isStale(iface) || isRefused(iface))
        doomed.add(port.name);
      else for (const name of this.renumbered(iface, port, wanted)) doomed.add(name);
    }
    return doomed;
  }

  /** Deletes these ports.  Rejects only if the datapath is gone. */
  async remove(doomed: ReadonlySet<string>): Promise<void> {
    for (const name of doomed) {
      const port = this.ofproto.ports.get(name);
      this.ifaces.delete(name);
      try {
        await this.ofproto.portDel(name);
        if (port !== undefined) this.release([port]);
      } catch (error) {
        if (isDatapathGone(error)) throw error;
        log.warn(`bridge ${this.name}: could not delete interface ${name} (${reason(error)})`);
      }
    }
  }

  /** Gives up what belongs to ports that have been deleted. */
  release(ports: readonly Ofport[]): void {
    for (const { name, ofport } of ports) {
      this.netdevs.release?.(name);
      this.tunnels.forget(name);
      log.info(`bridge ${this.name}: deleted interface ${name} on port ${ofport}`);
    }
  }

  /**
   * Adds the ports that are missing: those that want a certain number first, then those that had one.  `onAdded` is told of each before packets
   * can come from it.  Rejects only if the datapath is gone.
   */
  async add(config: BridgeConfig, onAdded: (name: string) => void): Promise<void> {
    const missing = interfacesOf(config).filter((iface) => !this.ofproto.ports.has(iface.name));
    const rank = ({ isLocal, ofportRequest, ofportHint }: InterfaceConfig) =>
      isLocal ? 0 : ofportRequest !== undefined ? 1 : ofportHint !== undefined ? 2 : 3;
    missing.sort((a, b) => rank(a) - rank(b));
    const errors = new Map<string, string>();
    for (const iface of missing) {
      const error = await this.addPort(iface, onAdded);
      if (error === undefined) {
        this.added.add(iface.name);
        continue;
      }
      errors.set(iface.name, error);
      this.numbers.delete(iface.name);
      if (error !== ONLY_LOGGED && this.errors.get(iface.name) !== error) log.warn(error);
    }
    this.errors = errors;
    // Learnt later, they would have everything configured again.
    await Promise.all(missing.map(({ name, type }) => this.learnFeatures(name, type)));
  }

  private async learnFeatures(name: string, type: string): Promise<void> {
    if (type !== 'internal' && this.ofproto.ports.has(name)) await this.netdevs.learnFeatures?.(name);
  }

  private portType(type: string): string {
    return this.netdevs.openType?.(type) ?? type;
  }

  private isStale(iface: InterfaceConfig): boolean {
    if (this.portType(iface.type) !== 'system') return false;
    const known = this.ifaces.get(iface.name);
    const now = this.netdevs.get(iface.name);
    return now === undefined || (known?.ifindex !== undefined && known.ifindex !== now.ifindex);
  }

  /** The ports to delete so that `iface` gets the number that it asks for: itself, and who has that number by chance. */
  private renumbered(iface: InterfaceConfig, port: Ofport, wanted: ReadonlyMap<string, InterfaceConfig>): string[] {
    const request = iface.ofportRequest;
    if (iface.isLocal || request === undefined || request === port.ofport) return [];
    const holder = [...this.ofproto.ports.values()].find((p) => p.ofport === request);
    if (holder === undefined) return [iface.name];
    return wanted.get(holder.name)?.ofportRequest === request ? [] : [iface.name, holder.name];
  }

  /** Adds one port; gives the text for its "error" column if that cannot be done. */
  private async addPort(iface: InterfaceConfig, onAdded: (name: string) => void): Promise<string | undefined> {
    const { name, type } = iface;
    if (iface.refusal !== undefined) return iface.refusal;
    if (isReserved(name)) {
      if (!this.errors.has(name)) log.warn(`could not create interface ${name}, name is reserved`);
      return ONLY_LOGGED;
    }
    if (type === PATCH) return this.addPatchPort(iface, onAdded);
    if (isTunnel(type)) return this.addTunnel(iface, onAdded);
    if (!(this.netdevs.types ?? IFACE_TYPES).includes(type)) {
      netdevLog.warn(`could not create netdev ${name} of unknown type ${type}`, limit);
      return `could not open network device ${name} (${errnoText(ERRNO.EAFNOSUPPORT)})`;
    }
    try {
      this.netdevs.configure?.(name, type, iface.options);
      const before = this.netdevs.get(name) ?? (await this.netdevs.refresh(name));
      if (type === 'system' && before === undefined) return `could not open network device ${name} (No such device)`;
    } catch (error) {
      return `could not open network device ${name} (${reason(error)})`;
    }
    try {
      const { ofportRequest: ofport, ofportHint, isLocal } = iface;
      // One that could not be a port until now has no number any more.
      const before = this.errors.has(name) ? undefined : (this.numbers.get(name) ?? ofportHint);
      const port = await this.ofproto.portAdd({ name, type: this.portType(type), ofport, before, isLocal });
      onAdded(name);
      const netdev = await this.netdevs.refresh(name).catch(() => undefined);
      this.ifaces.set(name, { ofport: port, ifindex: netdev?.ifindex, linkResets: netdev?.linkResets });
      this.numbers.set(name, port.ofport);
      log.info(`bridge ${this.name}: added interface ${name} on port ${port.ofport}`);
      return undefined;
    } catch (error) {
      if (isDatapathGone(error)) throw error;
      return `could not add network device ${name} to ofproto (${reason(error)})`;
    }
  }

  /** The same for a tunnel. */
  private async addTunnel(iface: InterfaceConfig, onAdded: (name: string) => void): Promise<string | undefined> {
    const { name } = iface;
    try {
      const port = await this.tunnels.add(iface, onAdded);
      if (typeof port === 'string') return port;
      log.info(`bridge ${this.name}: added interface ${name} on port ${port.ofport}`);
      return undefined;
    } catch (error) {
      if (isDatapathGone(error)) throw error;
      return `could not add network device ${name} to ofproto (${reason(error)})`;
    }
  }

  /** The same for a port without device. */
  private async addPatchPort(
    { name, options, ofportRequest, ofportHint }: InterfaceConfig,
    onAdded: (name: string) => void,
  ): Promise<string | undefined> {
    const error = patchError(name, options);
    if (error !== undefined) return error;
    try {
      const [ofport, before] = [ofportRequest, ofportHint];
      const port = await this.ofproto.portAdd({ name, type: PATCH, ofport, before, isLocal: false });
      onAdded(name);
      this.ofproto.setPatchPeer(name, options.get('peer'));
      this.ifaces.set(name, { ofport: port, ifindex: undefined });
      log.info(`bridge ${this.name}: added interface ${name} on port ${port.ofport}`);
      return undefined;
    } catch (e) {
      return `could not add network device ${name} to ofproto (${reason(e)})`;
    }
  }
}
