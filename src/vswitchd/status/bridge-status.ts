/**
 * What one bridge tells the database: the columns that say how the bridge, its interfaces and its controllers are, and
 * what the interfaces have counted.  bridge.ts calls it.  Source: vswitchd/bridge.c, vswitchd/vswitch.xml.
 */
import type { DpifPortStats } from '../../dpif/dpif-types.ts';
import type { DeviceDriver } from '../../native/index.ts';
import type { LinkFeatures } from '../../ofproto/connmgr/openflow-settings.ts';
import type { Ofport, Ofproto } from '../../ofproto/ofproto-provider.ts';
import type { Txn } from '../../ovsdb/idl.ts';
import type { RowValues } from '../../ovsdb/ovsdb-types.ts';
import {
  Bridge as BridgeTable,
  Controller,
  Interface,
  type InterfaceRow,
  Mirror,
  Port,
  type PortRow,
} from '../../ovsdb/vswitch-schema.ts';
import { vlog } from '../../util/vlog.ts';
import { featuresOf } from '../bridge/bridge-devices.ts';
import { type BridgePorts, interfacesOf, isDatapathGone, reason } from '../bridge/bridge-ports.ts';
import { PATCH, patchMac } from '../bridge/patch-port.ts';
import { mirrorStatistics } from '../config/mirror-config.ts';
import type { BridgeConfig, InterfaceConfig } from '../config/switch-config.ts';
import type { Netdev, NetdevStats, NetdevTable } from '../devices/netdev.ts';
import type { RemoteDevices } from '../devices/remote-devices.ts';
import {
  deviceColumns,
  failedColumns,
  linkColumns,
  patchColumns,
  statisticsColumn,
  tunnelColumns,
} from './iface-status.ts';
import { SILENT_BRIDGE, SILENT_INTERFACE, SILENT_PORT } from './silent-protocols.ts';

const log = vlog('bridge');

/** What was asked of all at once. */
export interface Counted {
  /** By datapath number. */
  readonly ports: ReadonlyMap<number, DpifPortStats> | undefined;
  /** By name. */
  readonly devices: ReadonlyMap<string, NetdevStats> | undefined;
}

/** Columns, and what they were made of. */
interface Columns {
  readonly port: Ofport | undefined;
  readonly netdev: Netdev | undefined;
  readonly features: LinkFeatures | undefined;
  readonly driver: DeviceDriver | undefined;
  readonly linkResetsBefore: number;
  readonly type: string;
  readonly others: readonly unknown[];
  readonly values: RowValues<typeof Interface>;
  /** A row that has these values. */
  shownBy: InterfaceRow | undefined;
}

const NO_OTHERS: readonly unknown[] = [];

/** Whether `row` has `values`, because another row of these columns has them. */
const isShown = ({ shownBy, values }: Columns, row: InterfaceRow): boolean =>
  shownBy === row ||
  (shownBy !== undefined &&
    (Object.keys(values) as (keyof InterfaceRow)[]).every((name) => row[name] === shownBy[name]));

export class BridgeStatus {
  private readonly ofproto: Ofproto;
  private readonly netdevs: NetdevTable;
  private readonly ports: BridgePorts;
  private readonly remote: RemoteDevices;
  /** By interface name: what was written last. */
  private readonly columns = new Map<string, Columns>();
  /** Rows that have what is in SILENT_PORT. */
  private readonly silentPorts = new WeakSet<PortRow>();

  constructor(ofproto: Ofproto, netdevs: NetdevTable, ports: BridgePorts, remote: RemoteDevices) {
    this.ofproto = ofproto;
    this.netdevs = netdevs;
    this.ports = ports;
    this.remote = remote;
  }

  /** Writes what the bridge, its interfaces and its controllers are. */
  write(txn: Txn, config: BridgeConfig, datapathId: string, version: string): void {
    txn.update(BridgeTable, config.uuid, { ...SILENT_BRIDGE, datapath_id: datapathId, datapath_version: version });
    for (const { uuid } of config.ports) {
      const row = uuid === undefined ? undefined : txn.row(Port, uuid);
      if (row === undefined || this.silentPorts.has(row)) continue;
      if (!txn.update(Port, row._uuid, SILENT_PORT)) this.silentPorts.add(row);
    }
    this.writeControllers(txn, config);
    this.writeInterfaces(txn, config);
  }

  writeInterfaces(txn: Txn, config: BridgeConfig): void {
    const interfaces = interfacesOf(config);
    if (this.columns.size > interfaces.length) this.columns.clear();
    for (const iface of interfaces) {
      if (iface.uuid === undefined) continue;
      const columns = this.interfaceColumns(iface);
      const row = txn.row(Interface, iface.uuid);
      if (row === undefined) continue;
      // Where nothing had to be written, nothing has to be as long as both stay as they are.
      if (isShown(columns, row) || !txn.update(Interface, iface.uuid, columns.values)) columns.shownBy = row;
    }
  }

  /** The columns of before, if what they were made of is still the same.  All interfaces are asked for when any has changed: the usual one costs little. */
  private interfaceColumns(iface: InterfaceConfig): Columns {
    const { name, type } = iface;
    const port = this.ofproto.ports.get(name);
    const netdev = this.netdevs.get(name) ?? this.remote.get(name);
    const features = featuresOf(this.netdevs, name, type);
    const driver = this.netdevs.driver?.(name);
    const linkResetsBefore = this.ports.linkResetsBefore(name);
    const hasDevice = port !== undefined && port.type !== PATCH && port.tunnel === undefined;
    const others = hasDevice ? NO_OTHERS : this.othersOf(name, port);
    const old = this.columns.get(name);
    if (old !== undefined && old.port === port && old.netdev === netdev && old.features === features) {
      const isSame = old.driver === driver && old.linkResetsBefore === linkResetsBefore && old.type === type;
      if (isSame && others.every((part, i) => part === old.others[i])) return old;
    }
    const values = { ...SILENT_INTERFACE, ...this.makeColumns(iface, port) };
    const from = { port, netdev, features, driver, linkResetsBefore, type, others };
    const columns: Columns = { ...from, values, shownBy: undefined };
    this.columns.set(name, columns);
    return columns;
  }

  /** What the columns of a port without device, or of none, are made of besides. */
  private othersOf(name: string, port: Ofport | undefined): readonly unknown[] {
    const { tunnels } = this.ports;
    const error = port?.type === PATCH ? this.ofproto.patchError(name) : this.ports.errorOf(name);
    return [error, tunnels.statusOf(name), port?.tunnel === undefined ? 0 : tunnels.ifindexOf(port)];
  }

  private makeColumns({ name, type }: InterfaceConfig, port: Ofport | undefined): RowValues<typeof Interface> {
    if (port === undefined) {
      // Taken from the datapath behind our back, and soon back: its row keeps its number until then.
      const error = this.ports.errorOf(name);
      return error === undefined ? {} : failedColumns(error);
    }
    if (port.type === PATCH) {
      const error = this.ofproto.patchError(name);
      return { ofport: port.ofport, error, ...patchColumns(patchMac(this.ofproto.name, name)) };
    }
    if (port.tunnel !== undefined) {
      return {
        ofport: port.ofport,
        error: undefined,
        ...tunnelColumns(
          patchMac(this.ofproto.name, name),
          this.ports.tunnels.ifindexOf(port),
          this.ports.tunnels.statusOf(name),
        ),
      };
    }
    return {
      ofport: port.ofport,
      error: undefined,
      ...deviceColumns(
        this.netdevs.get(name) ?? this.remote.get(name),
        type,
        this.netdevs.driver?.(name),
        this.ports.linkResetsBefore(name),
      ),
      ...linkColumns(featuresOf(this.netdevs, name, type)?.curr ?? 0),
    };
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

  private writeMirrors(txn: Txn, config: BridgeConfig): void {
    for (const { id } of config.mirrors) {
      const stats = this.ofproto.mirrorStats(id);
      if (stats !== undefined) txn.update(Mirror, id, { statistics: mirrorStatistics(stats) });
    }
  }

  /**
   * Asks what the ports have counted, where it is not in `counted`; gives the function that writes it.  Ports that went away
   * meanwhile are left out.
   */
  async readStatistics(config: BridgeConfig, counted: Counted): Promise<(txn: Txn) => void> {
    const hasMoved = await this.ports.tunnels.findEgress(interfacesOf(config));
    const write = await this.readCounters(interfacesOf(config), counted);
    return (txn) => {
      for (const { uuid, name } of hasMoved) txn.update(Interface, uuid, { status: this.ports.tunnels.statusOf(name) });
      write(txn);
      this.writeMirrors(txn, config);
    };
  }

  /** The same for the ports that have been added since the last time: a row has counters as soon as it has a port. */
  async readFirstStatistics(config: BridgeConfig, counted: Counted): Promise<(txn: Txn) => void> {
    const added = this.ports.takeAdded();
    return this.readCounters(
      interfacesOf(config).filter(({ name }) => added.has(name)),
      counted,
    );
  }

  private async readCounters(interfaces: readonly InterfaceConfig[], counted: Counted): Promise<(txn: Txn) => void> {
    const found: { uuid: string; statistics: ReadonlyMap<string, number> }[] = [];
    for (const { uuid, name, type } of interfaces) {
      if (uuid === undefined || !this.ofproto.ports.has(name)) continue;
      try {
        const { odpPort, type: portType, tunnel } = this.ofproto.ports.get(name) as Ofport;
        const known = portType === 'system' || portType === 'internal' ? counted.ports?.get(odpPort) : undefined;
        const port = known ?? (await this.ofproto.portStats(name));
        const isDevice = type === 'system' && this.netdevs.get(name) !== undefined;
        const device = isDevice ? (counted.devices?.get(name) ?? (await this.netdevs.stats(name))) : undefined;
        const hasDevice = portType !== PATCH && tunnel === undefined;
        found.push({ uuid, statistics: statisticsColumn(port, device ?? (hasDevice ? 'none' : 'unknown')) });
      } catch (error) {
        if (isDatapathGone(error)) throw error;
        log.dbg(`${name}: no statistics (${reason(error)})`);
      }
    }
    return (txn) => {
      for (const { uuid, statistics } of found) txn.update(Interface, uuid, { statistics });
    };
  }
}
