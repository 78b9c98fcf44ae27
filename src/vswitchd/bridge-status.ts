/**
 * What one bridge tells the database: the columns that say how the bridge, its interfaces and its controllers are, and
 * what the interfaces have counted.  bridge.ts calls it.  Source: vswitchd/bridge.c, vswitchd/vswitch.xml.
 */
import type { Ofproto } from '../ofproto/ofproto-provider.ts';
import type { Txn } from '../ovsdb/idl.ts';
import type { RowValues } from '../ovsdb/ovsdb-types.ts';
import { Bridge as BridgeTable, Controller, Interface, Mirror } from '../ovsdb/vswitch-schema.ts';
import { vlog } from '../util/vlog.ts';
import { featuresOf } from './bridge-devices.ts';
import { type BridgePorts, interfacesOf, isDatapathGone, reason } from './bridge-ports.ts';
import {
  deviceColumns,
  failedColumns,
  linkColumns,
  patchColumns,
  statisticsColumn,
  tunnelColumns,
} from './iface-status.ts';
import { mirrorStatistics } from './mirror-config.ts';
import type { NetdevTable } from './netdev.ts';
import { PATCH, patchMac } from './patch-port.ts';
import type { BridgeConfig, InterfaceConfig } from './switch-config.ts';

const log = vlog('bridge');

export class BridgeStatus {
  private readonly ofproto: Ofproto;
  private readonly netdevs: NetdevTable;
  private readonly ports: BridgePorts;

  constructor(ofproto: Ofproto, netdevs: NetdevTable, ports: BridgePorts) {
    this.ofproto = ofproto;
    this.netdevs = netdevs;
    this.ports = ports;
  }

  /** Writes what the bridge, its interfaces and its controllers are. */
  write(txn: Txn, config: BridgeConfig, datapathId: string, version: string): void {
    txn.update(BridgeTable, config.uuid, { datapath_id: datapathId, datapath_version: version });
    this.writeControllers(txn, config);
    for (const iface of interfacesOf(config)) {
      if (iface.uuid !== undefined) txn.update(Interface, iface.uuid, this.interfaceColumns(iface));
    }
  }

  private interfaceColumns({ name, type }: InterfaceConfig): RowValues<typeof Interface> {
    const port = this.ofproto.ports.get(name);
    if (port === undefined) return failedColumns(this.ports.errorOf(name) ?? `${name} is not a port of the datapath`);
    if (port.type === PATCH) {
      return { ofport: port.ofport, error: undefined, ...patchColumns(patchMac(this.ofproto.name, name)) };
    }
    if (port.tunnel !== undefined) {
      return { ofport: port.ofport, error: undefined, ...tunnelColumns(patchMac(this.ofproto.name, name)) };
    }
    return {
      ofport: port.ofport,
      error: undefined,
      ...deviceColumns(this.netdevs.get(name), type),
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
      this.writeMirrors(txn, config);
    };
  }
}
