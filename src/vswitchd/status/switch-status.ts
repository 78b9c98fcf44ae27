/**
 * What the switch tells the database: after a reconfiguration what came of it, with cur_cfg, for which ovs-vsctl waits;
 * soon after they change, how controllers are doing; and at their interval, statistics.
 * vswitchd.ts says when; bridge-status.ts has what belongs to a bridge.
 * Source: vswitchd/bridge.c (run_status_update, run_stats_update), vswitchd/vswitch.xml.
 */

import { TUNNEL_TYPES } from '../../dpif/tunnel-types.ts';
import { dpCapabilities } from '../../ofproto/backer/dp-support.ts';
import type { Idl, Txn, TxnStatus } from '../../ovsdb/idl.ts';
import * as schema from '../../ovsdb/vswitch-schema.ts';
import { vlog } from '../../util/vlog.ts';
import type { Bridge } from '../bridge/bridge.ts';
import { IFACE_TYPES, interfacesOf } from '../bridge/bridge-ports.ts';
import { PATCH } from '../bridge/patch-port.ts';
import type { BridgeConfig, SwitchConfig } from '../config/switch-config.ts';
import type { NetdevTable } from '../devices/netdev.ts';
import type { SwitchDatapath } from '../switch-datapath.ts';
import { OVS_VERSION } from '../version.ts';
import type { Counted } from './bridge-status.ts';
import { failedColumns } from './iface-status.ts';
import { readSystemStats } from './system-stats.ts';

const log = vlog('bridge');

/** From this many on, the counters of all devices are asked for at once. */
const MANY_DEVICES = 8;

/** Each port and device is asked for. */
const NOTHING_COUNTED: Counted = { ports: undefined, devices: undefined };

export interface SwitchStatusParts {
  readonly idl: Idl;
  readonly netdevs: NetdevTable;
  readonly datapath: SwitchDatapath;
  /** By name. */
  readonly bridges: ReadonlyMap<string, Bridge>;
  /** Where the pidfiles are of the processes that Open_vSwitch.statistics tells of. */
  readonly runDir: string | undefined;
  /** What the column "datapath_version" of bridges says. */
  datapathVersion(): string;
}

export class SwitchStatus {
  private readonly parts: SwitchStatusParts;

  constructor(parts: SwitchStatusParts) {
    this.parts = parts;
  }

  /** Writes what came of `config`. */
  async writeAll(config: SwitchConfig): Promise<TxnStatus> {
    const counters = await this.readFirstStatistics(config);
    return this.parts.idl.transact((txn) => {
      for (const bridge of config.bridges) this.writeBridge(txn, bridge);
      for (const write of counters) write(txn);
      this.writeRoot(txn, config);
    });
  }

  /** Writes how the controllers are doing. */
  writeControllers(config: SwitchConfig): Promise<TxnStatus> {
    return this.parts.idl.transact((txn) => this.putControllers(txn, config));
  }

  /** Asks what new ports have counted; gives the functions that write it.  Never rejects. */
  private async readFirstStatistics(config: SwitchConfig): Promise<((txn: Txn) => void)[]> {
    const writers: ((txn: Txn) => void)[] = [];
    const withNew = config.bridges.flatMap((wanted) => {
      const bridge = this.parts.bridges.get(wanted.name);
      return bridge === undefined || bridge.nNewPorts === 0 ? [] : { wanted, bridge };
    });
    const nNew = withNew.reduce((n, { bridge }) => n + bridge.nNewPorts, 0);
    try {
      const counted = nNew >= MANY_DEVICES ? await this.countAll(config) : NOTHING_COUNTED;
      for (const { wanted, bridge } of withNew) writers.push(await bridge.readFirstStatistics(wanted, counted));
    } catch (error) {
      log.dbg(`no statistics: ${(error as Error).message}`);
    }
    return writers;
  }

  /** Asks what all ports have counted, and writes it.  Never rejects. */
  async writeStatistics(config: SwitchConfig): Promise<void> {
    const { idl, bridges, runDir } = this.parts;
    try {
      const counted = await this.countAll(config);
      const writers: ((txn: Txn) => void)[] = [];
      for (const bridge of config.bridges) {
        const writer = await bridges.get(bridge.name)?.readStatistics(bridge, counted);
        if (writer !== undefined) writers.push(writer);
      }
      const system = config.hasSystemStats ? await readSystemStats({ proc: '/proc', runDir }) : new Map();
      if (!idl.hasLock) return;
      await idl.transact((txn) => {
        if (config.root !== undefined) txn.update(schema.Open_vSwitch, config.root, { statistics: system });
        for (const writer of writers) writer(txn);
        // Seconds since this and that go by without being told.
        this.putControllers(txn, config);
      });
    } catch (error) {
      // The datapath went away; vswitchd.ts says so.
      log.dbg(`no statistics: ${(error as Error).message}`);
    }
  }

  private async countAll(config: SwitchConfig): Promise<Counted> {
    const { datapath, netdevs } = this.parts;
    let nDevices = 0;
    for (const bridge of config.bridges) {
      for (const { type } of interfacesOf(bridge)) if (type === 'system') nDevices++;
    }
    return {
      ports: await datapath.backer?.dpif.portStatsDump?.(),
      // All includes those that are not ours.
      devices: nDevices >= MANY_DEVICES ? await netdevs.statsDump?.() : undefined,
    };
  }

  private putControllers(txn: Txn, config: SwitchConfig): void {
    for (const bridge of config.bridges) this.parts.bridges.get(bridge.name)?.writeControllers(txn, bridge);
  }

  private writeBridge(txn: Txn, config: BridgeConfig): void {
    const { datapath, bridges } = this.parts;
    const bridge = bridges.get(config.name);
    if (bridge !== undefined) {
      bridge.write(txn, config, this.parts.datapathVersion());
      return;
    }
    const why = datapath.supports(config.datapathType)
      ? `datapath ${datapath.kind.name} is not available (${datapath.error})`
      : `bridge ${config.name}: datapath_type "${config.datapathType}" is not supported`;
    for (const { uuid } of interfacesOf(config)) {
      if (uuid !== undefined) txn.update(schema.Interface, uuid, failedColumns(why));
    }
  }

  private writeRoot(txn: Txn, config: SwitchConfig): void {
    const { idl, netdevs, datapath } = this.parts;
    const root = config.root === undefined ? undefined : idl.row(schema.Open_vSwitch, config.root);
    if (root === undefined) return;
    const support = datapath.backer?.probedSupport;
    for (const [type, uuid] of root.datapaths) {
      if (support === undefined || !datapath.supports(type)) continue;
      txn.update(schema.Datapath, uuid, { capabilities: dpCapabilities(support) });
    }
    txn.update(schema.Open_vSwitch, root._uuid, {
      cur_cfg: config.nextCfg,
      iface_types: [...(netdevs.types ?? IFACE_TYPES), PATCH, ...TUNNEL_TYPES.map((t) => t.name)].sort(),
      datapath_types: datapath.kind.types,
      dpdk_initialized: false,
      dpdk_version: 'none',
      // Whoever started the database may have written these; ovs-ctl does.
      ovs_version: root.ovs_version ?? OVS_VERSION,
      db_version: root.db_version ?? idl.schemaVersion ?? schema.SCHEMA_VERSION,
    });
  }
}
