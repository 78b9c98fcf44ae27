/**
 * One bridge: makes its switch (ofproto) what the database wants it to be, and tells the database what came of it.
 *
 * vswitchd.ts calls, in this order and each for all bridges before the next: `deletePorts` (so that names and numbers are
 * free), `addPorts`, `configure`, and then, in one transaction, `write`.  Each compares what is wanted with what is, so a call
 * that changes nothing costs nothing.  A device that cannot be opened is no failure of the bridge: its interface gets
 * ofport -1 and a text in its "error" column, and is tried again at the next reconfiguration.
 * Source: vswitchd/bridge.c, vswitchd/vswitch.xml.
 */
import { NetlinkError } from '../netlink/errors.ts';
import type { LinkFeatures } from '../ofproto/connmgr/openflow-settings.ts';
import type { BundleConfig, Ofport, Ofproto } from '../ofproto/ofproto-provider.ts';
import type { Txn } from '../ovsdb/idl.ts';
import { Bridge as BridgeTable, Controller, Interface } from '../ovsdb/vswitch-schema.ts';
import { ERRNO } from '../util/errno.ts';
import { MAC_SIZE, parseMac } from '../util/inet.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { isMulticast, isZeroMac, normalMac, pickBridgeMac, pickDatapathId } from './bridge-mac.ts';
import { NetdevControl } from './device-control.ts';
import { deviceColumns, failedColumns, linkColumns, patchColumns, statisticsColumn } from './iface-status.ts';
import type { NetdevTable } from './netdev.ts';
import { PATCH, patchMac, peerError } from './patch-port.ts';
import type { BridgeConfig, InterfaceConfig, PortConfig } from './switch-config.ts';
import { isTargetPermitted } from './unix-targets.ts';

const log = vlog('bridge');
const limit = new RateLimit(1, 5);

/** Interface types that can be ports. */
export const IFACE_TYPES: readonly string[] = ['internal', 'system', 'tap'];
/** Names that datapaths have: an interface of that name would be taken for one. */
const RESERVED_NAMES = new Set(['ovs-system', 'ovs-netdev', 'ovs-dummy']);

/** Nobody answers on the datapath's port id any more. */
export const isDatapathGone = (error: unknown): boolean =>
  error instanceof NetlinkError && error.errno === ERRNO.ECONNREFUSED;

const reason = (error: unknown): string => (error instanceof NetlinkError ? error.text : (error as Error).message);

interface Iface {
  readonly ofport: Ofport;
  /** The device's number when it was added: another number is another device of the same name. */
  readonly ifindex: number | undefined;
}

export class Bridge {
  readonly name: string;
  readonly ofproto: Ofproto;
  private readonly netdevs: NetdevTable;
  private readonly runDir: string | undefined;
  private readonly ifaces = new Map<string, Iface>();
  /** By interface name: why it is not part of the bridge. */
  private errors = new Map<string, string>();
  /** What each setting was last set to, so that only changes reach the ofproto. */
  private readonly applied = new Map<string, string>();
  private mac = '';
  private datapathId = '';

  /** `runDir` is where the bridge's OpenFlow sockets are; undefined: it has none. */
  constructor(ofproto: Ofproto, netdevs: NetdevTable, runDir: string | undefined) {
    this.runDir = runDir;
    this.name = ofproto.name;
    this.ofproto = ofproto;
    this.netdevs = netdevs;
  }

  /** Removes ports that are not wanted, or not as they are.  Rejects only if the datapath is gone. */
  async deletePorts(config: BridgeConfig): Promise<void> {
    const wanted = new Map(interfacesOf(config).map((iface) => [iface.name, iface]));
    for (const name of this.ifaces.keys()) if (!this.ofproto.ports.has(name)) this.ifaces.delete(name);
    const doomed = new Set<string>();
    for (const port of this.ofproto.ports.values()) {
      const iface = wanted.get(port.name);
      if (iface === undefined || port.type !== this.portType(iface.type) || this.isStale(iface)) doomed.add(port.name);
      else for (const name of this.renumbered(iface, port, wanted)) doomed.add(name);
    }
    this.removeBundles(config, doomed);
    for (const name of doomed) {
      const ofport = this.ofproto.ports.get(name)?.ofport;
      this.ifaces.delete(name);
      try {
        await this.ofproto.portDel(name);
        this.netdevs.release?.(name);
        log.info(`bridge ${this.name}: deleted interface ${name} on port ${ofport}`);
      } catch (error) {
        if (isDatapathGone(error)) throw error;
        log.warn(`bridge ${this.name}: could not delete interface ${name} (${reason(error)})`);
      }
    }
  }

  /** Adds the ports that are missing: those that want a certain number first.  Rejects only if the datapath is gone. */
  async addPorts(config: BridgeConfig): Promise<void> {
    const missing = interfacesOf(config).filter((iface) => !this.ofproto.ports.has(iface.name));
    const rank = (iface: InterfaceConfig) => (iface.isLocal ? 0 : iface.ofportRequest !== undefined ? 1 : 2);
    missing.sort((a, b) => rank(a) - rank(b));
    const errors = new Map<string, string>();
    for (const iface of missing) {
      const error = await this.addPort(iface);
      if (error === undefined) continue;
      errors.set(iface.name, error);
      if (this.errors.get(iface.name) !== error) log.warn(error);
    }
    this.errors = errors;
  }

  /** Sets addresses, MTUs, VLANs and tables. */
  async configure(config: BridgeConfig): Promise<void> {
    for (const { name, type, options } of interfacesOf(config)) {
      if (this.ofproto.ports.has(name)) this.netdevs.configure?.(name, type, options);
    }
    this.configurePatchPorts(config);
    await this.configureAddresses(config);
    await this.configureMtus(config);
    for (const port of config.ports) this.configureBundle(port);
    this.ifChanged('mac table', [config.macAgingSec, config.macTableSize], () =>
      this.ofproto.setMacTable(config.macAgingSec, config.macTableSize),
    );
    this.ifChanged('flood vlans', config.floodVlans, () => this.ofproto.setFloodVlans(config.floodVlans));
    this.configureDevices(config);
    const { rows: _, ...openflow } = config.openflow;
    const { datapathId, runDir } = this;
    this.ifChanged('openflow', [openflow, datapathId], () => {
      const controllers = openflow.controllers.filter((c) => isTargetPermitted(c.target, this.name, runDir ?? '/'));
      this.ofproto.setOpenflow({ ...openflow, controllers, datapathId, runDir });
    });
  }

  /** Says what the ports' devices are like. */
  private configureDevices(config: BridgeConfig): void {
    for (const { name, type } of interfacesOf(config)) {
      const netdev = this.netdevs.get(name);
      if (netdev === undefined || !this.ofproto.ports.has(name)) continue;
      const hwAddr = parseMac(netdev.mac ?? '') ?? new Uint8Array(MAC_SIZE);
      const control = new NetdevControl(this.netdevs, name);
      const features = this.featuresOf(name, type);
      this.ofproto.setPortDevice(name, { hwAddr, isUp: netdev.isUp, hasCarrier: netdev.hasCarrier, features, control });
    }
  }

  /** An internal port has no link, whatever its device says. */
  private featuresOf(name: string, type: string): LinkFeatures | undefined {
    return type === 'internal' ? undefined : this.netdevs.features?.(name);
  }

  /** Writes what the bridge and its interfaces are. */
  write(txn: Txn, config: BridgeConfig, version: string): void {
    txn.update(BridgeTable, config.uuid, { datapath_id: this.datapathId, datapath_version: version });
    this.writeControllers(txn, config);
    for (const iface of interfacesOf(config)) {
      if (iface.uuid === undefined) continue;
      const port = this.ofproto.ports.get(iface.name);
      const values =
        port?.type === PATCH
          ? { ofport: port.ofport, error: undefined, ...patchColumns(patchMac(this.name, iface.name)) }
          : port === undefined
            ? failedColumns(this.errors.get(iface.name) ?? `${iface.name} is not a port of the datapath`)
            : {
                ofport: port.ofport,
                error: undefined,
                ...deviceColumns(this.netdevs.get(iface.name), iface.type),
                ...linkColumns(this.featuresOf(iface.name, iface.type)?.curr ?? 0),
              };
      txn.update(Interface, iface.uuid, values);
    }
  }

  /** Writes how the controllers are doing. */
  writeControllers(txn: Txn, config: BridgeConfig): void {
    const known = this.ofproto.controllerStatus();
    for (const [target, uuid] of config.openflow.rows) {
      const status = known.get(target);
      txn.update(Controller, uuid, {
        is_connected: status?.isConnected ?? false,
        role: status?.role,
        status: status?.pairs ?? new Map(),
      });
    }
  }

  /** Asks what the ports have counted; gives the function that writes it.  Ports that went away meanwhile are left out. */
  async readStatistics(config: BridgeConfig): Promise<(txn: Txn) => void> {
    const found: { uuid: string; statistics: ReadonlyMap<string, number> }[] = [];
    for (const { uuid, name, type } of interfacesOf(config)) {
      if (uuid === undefined || !this.ofproto.ports.has(name)) continue;
      try {
        const port = await this.ofproto.portStats(name);
        const device = type === 'system' && this.netdevs.get(name) ? await this.netdevs.stats(name) : undefined;
        found.push({ uuid, statistics: statisticsColumn(port, device) });
      } catch (error) {
        if (isDatapathGone(error)) throw error;
        log.dbg(`${name}: no statistics (${reason(error)})`);
      }
    }
    return (txn) => {
      for (const { uuid, statistics } of found) txn.update(Interface, uuid, { statistics });
    };
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

  private removeBundles(config: BridgeConfig, doomed: ReadonlySet<string>): void {
    const kept = new Set(config.ports.filter((p) => !p.interfaces.some((i) => doomed.has(i.name))).map((p) => p.name));
    for (const key of [...this.applied.keys()]) {
      const name = /^bundle (.*)$/s.exec(key)?.[1];
      if (name === undefined || kept.has(name)) continue;
      this.ofproto.bundleRemove(name);
      this.applied.delete(key);
    }
  }

  /** Adds one port; gives the text for its "error" column if that cannot be done. */
  private async addPort(iface: InterfaceConfig): Promise<string | undefined> {
    const { name, type } = iface;
    if (RESERVED_NAMES.has(name)) return `could not create interface ${name}, name is reserved`;
    if (type === PATCH) return this.addPatchPort(iface);
    if (!(this.netdevs.types ?? IFACE_TYPES).includes(type)) {
      return `could not open network device ${name} (interfaces of type "${type}" are not supported)`;
    }
    this.netdevs.configure?.(name, type, iface.options);
    try {
      const before = this.netdevs.get(name) ?? (await this.netdevs.refresh(name));
      if (type === 'system' && before === undefined) return `could not open network device ${name} (No such device)`;
    } catch (error) {
      return `could not open network device ${name} (${reason(error)})`;
    }
    try {
      const ofport = iface.isLocal ? undefined : (iface.ofportRequest ?? iface.ofportHint);
      const port = await this.ofproto.portAdd({ name, type: this.portType(type), ofport, isLocal: iface.isLocal });
      const netdev = await this.netdevs.refresh(name).catch(() => undefined);
      this.ifaces.set(name, { ofport: port, ifindex: netdev?.ifindex });
      log.info(`bridge ${this.name}: added interface ${name} on port ${port.ofport}`);
      return undefined;
    } catch (error) {
      if (isDatapathGone(error)) throw error;
      return `could not add network device ${name} to ofproto (${reason(error)})`;
    }
  }

  /** The same for a port without device. */
  private async addPatchPort({
    name,
    options,
    ofportRequest,
    ofportHint,
  }: InterfaceConfig): Promise<string | undefined> {
    const error = peerError(name, options.get('peer'));
    if (error !== undefined) return error;
    try {
      const ofport = ofportRequest ?? ofportHint;
      const port = await this.ofproto.portAdd({ name, type: PATCH, ofport, isLocal: false });
      this.ofproto.setPatchPeer(name, options.get('peer'));
      this.ifaces.set(name, { ofport: port, ifindex: undefined });
      log.info(`bridge ${this.name}: added interface ${name} on port ${port.ofport}`);
      return undefined;
    } catch (e) {
      return `could not add network device ${name} to ofproto (${reason(e)})`;
    }
  }

  /** Tells patch ports their peers, if these have changed. */
  private configurePatchPorts(config: BridgeConfig): void {
    for (const { name, type, options } of interfacesOf(config)) {
      if (type !== PATCH || !this.ofproto.ports.has(name)) continue;
      const peer = options.get('peer');
      const error = peerError(name, peer);
      if (error === undefined) this.ofproto.setPatchPeer(name, peer);
      else log.warn(error, limit);
      this.ofproto.setPortDevice(name, { hwAddr: patchMac(this.name, name), isUp: true, hasCarrier: true });
    }
  }

  private async configureAddresses(config: BridgeConfig): Promise<void> {
    const mac = pickBridgeMac(config, (name) =>
      this.ofproto.ports.has(name) ? this.netdevs.get(name)?.mac : undefined,
    );
    if (mac !== this.mac) this.ofproto.setHwaddr(mac);
    this.mac = mac;
    const id = pickDatapathId(config.datapathId, mac);
    if (id !== this.datapathId) log.info(`bridge ${this.name}: using datapath ID ${id}`);
    this.datapathId = id;
    await this.setMac(this.name, mac, `bridge ${this.name}: failed to set bridge Ethernet address`);
    for (const iface of interfacesOf(config)) {
      const wanted = iface.type === 'internal' ? normalMac(iface.mac) : undefined;
      if (wanted === undefined) continue;
      const where = `interface ${iface.name}`;
      if (iface.isLocal) {
        log.err(`${where}: ignoring mac in Interface record (use Bridge record to set local port's mac)`, limit);
      } else if (isMulticast(wanted)) log.err(`${where}: cannot set MAC to multicast address`, limit);
      else if (isZeroMac(wanted)) log.err(`${where}: cannot set MAC to all zero address`, limit);
      else await this.setMac(iface.name, wanted, `${where}: setting MAC failed`);
    }
  }

  private async setMac(name: string, mac: string, complaint: string): Promise<void> {
    const netdev = this.netdevs.get(name);
    if (netdev === undefined || netdev.mac === mac || !this.ofproto.ports.has(name)) return;
    try {
      await this.netdevs.setMac(name, mac);
    } catch (error) {
      log.err(`${complaint}: ${reason(error)}`, limit);
    }
  }

  /**
   * Sets the MTUs that are asked for, and those of internal ports that nobody asked one for to the lowest among the
   * bridge's other devices, since what they send goes out there.
   */
  private async configureMtus(config: BridgeConfig): Promise<void> {
    const present = interfacesOf(config).filter((iface) => this.ofproto.ports.has(iface.name));
    const others = present.filter((iface) => iface.type !== 'internal');
    for (const iface of present) if (iface.mtuRequest !== undefined) await this.setMtu(iface.name, iface.mtuRequest);
    const mtus = others.map((iface) => this.netdevs.get(iface.name)?.mtu ?? 0).filter((mtu) => mtu > 0);
    if (mtus.length === 0) return;
    const lowest = Math.min(...mtus);
    for (const iface of present) {
      if (iface.type === 'internal' && iface.mtuRequest === undefined) await this.setMtu(iface.name, lowest);
    }
  }

  private async setMtu(name: string, mtu: number): Promise<void> {
    const netdev = this.netdevs.get(name);
    if (netdev === undefined || netdev.mtu === mtu) return;
    try {
      await this.netdevs.setMtu(name, mtu);
    } catch (error) {
      log.warn(`${name}: could not set MTU ${mtu} (${reason(error)})`, limit);
    }
  }

  private configureBundle(port: PortConfig): void {
    const { name, vlanMode, tag, trunks, isProtected, tagging } = port;
    const members = port.interfaces.map((iface) => iface.name).filter((member) => this.ofproto.ports.has(member));
    if (members.length === 0) return;
    const bundle: BundleConfig = { name, members, vlanMode, tag, trunks, isProtected, ...tagging };
    const numbers = members.map((member) => this.ofproto.ports.get(member)?.ofport);
    this.ifChanged(`bundle ${name}`, [bundle, numbers], () => this.ofproto.bundleSet(bundle));
  }

  private ifChanged(what: string, value: unknown, apply: () => void): void {
    const text = JSON.stringify(value);
    if (this.applied.get(what) === text) return;
    apply();
    this.applied.set(what, text);
  }
}

/** All interfaces of a bridge, in the order of their ports' names. */
export const interfacesOf = (config: BridgeConfig): InterfaceConfig[] => config.ports.flatMap((p) => [...p.interfaces]);
