/**
 * The switch as a whole: follows the database, and makes the datapath and its bridges what it says.
 *
 *     replica changes, a device changes, the datapath is lost or back
 *        -> reconfigure(): delete, create, add, configure (bridge.ts)
 *        -> one transaction: every column that says what came of it, and cur_cfg, for which ovs-vsctl waits
 *
 * Reconfigurations never overlap; what happens during one leads to one more.  They do nothing while another process has
 * the database's lock.  A datapath that cannot be opened, or that goes away, is an error in the rows of its interfaces,
 * and is tried again every second; the process stays.
 * Everything that this needs of the world comes through VswitchdOptions, so a test runs it on fakes.
 * Source: vswitchd/bridge.c (bridge_run, bridge_reconfigure), vswitchd/vswitch.xml.
 */
import type { DpifProvider } from '../dpif/dpif.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { setVlanLimit } from '../odp/vlan-limit.ts';
import { dpCapabilities } from '../ofproto/dp-support.ts';
import type { OfprotoBacker, OpenBacker } from '../ofproto/ofproto-provider.ts';
import { Idl, type Txn } from '../ovsdb/idl.ts';
import type { SessionOptions } from '../ovsdb/jsonrpc.ts';
import * as schema from '../ovsdb/vswitch-schema.ts';
import { coverage, coverageRun } from '../util/coverage.ts';
import { ERRNO } from '../util/errno.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { Bridge } from './bridge.ts';
import { IFACE_TYPES, interfacesOf, isDatapathGone } from './bridge-ports.ts';
import { failedColumns } from './iface-status.ts';
import { LoopLag } from './loop-lag.ts';
import type { NetdevTable } from './netdev.ts';
import { PATCH } from './patch-port.ts';
import { readConfig, type SwitchConfig } from './switch-config.ts';
import { OVS_VERSION, VERSION_TEXT } from './version.ts';

const log = vlog('bridge');
const reconfigured = coverage('bridge_reconfigure');

/** The datapath that all bridges share, unless it is said otherwise. */
const SYSTEM_DATAPATH: DatapathKind = { name: 'ovs-system', types: ['system'] };
const LOCK = 'ovs_vswitchd';
/** How often to look whether the datapath is still there, or there again. */
const DATAPATH_CHECK_MS = 1000;
/** How soon the database is told of a controller that came or went. */
const STATUS_DELAY_MS = 100;
/** Devices that change together, as when a lab is set up, are looked at together. */
const NETDEV_DELAY_MS = 30;

export interface DatapathKind {
  readonly name: string;
  /** Values of Bridge.datapath_type that mean it. */
  readonly types: readonly string[];
}

export interface VswitchdOptions {
  readonly datapath?: DatapathKind;
  /** "unix:FILE", "tcp:HOST:PORT". */
  readonly database: string;
  openProvider(): Promise<DpifProvider>;
  readonly openBacker: OpenBacker;
  openNetdevs(): Promise<NetdevTable>;
  /** What the column "datapath_version" of bridges says; undefined: nothing is known. */
  datapathVersion?(): string | undefined;
  readonly session?: SessionOptions;
  /** Where the bridges' OpenFlow sockets are; without it there are none. */
  readonly runDir?: string;
  /** For tests: overrides of the periods, in ms. */
  readonly datapathCheckMs?: number;
  readonly statsMs?: number;
}

const REPLICATED = [
  {
    table: schema.Open_vSwitch,
    omit: ['external_ids', 'manager_options', 'system_type', 'system_version'],
    quiet: ['cur_cfg', 'statistics', 'datapath_types', 'iface_types', 'ovs_version', 'db_version'],
  },
  {
    table: schema.Bridge,
    omit: ['external_ids'],
    quiet: ['datapath_id', 'datapath_version', 'status', 'rstp_status'],
  },
  { table: schema.Port, omit: ['external_ids'], quiet: ['status', 'statistics', 'rstp_status', 'rstp_statistics'] },
  {
    table: schema.Interface,
    omit: ['external_ids'],
    quiet: [
      ...['admin_state', 'duplex', 'link_speed', 'link_state', 'link_resets', 'mac_in_use', 'ifindex', 'mtu'],
      ...['ofport', 'error', 'statistics', 'status', 'lacp_current', 'bfd_status'],
    ],
  },
  { table: schema.Controller, omit: ['external_ids'], quiet: ['is_connected', 'role', 'status'] },
  { table: schema.Flow_Table, omit: ['external_ids'], quiet: [] },
  { table: schema.Datapath, omit: ['external_ids', 'ct_zones', 'datapath_version'], quiet: ['capabilities'] },
  { table: schema.SSL, omit: ['external_ids'], quiet: [] },
  { table: schema.Mirror, omit: ['external_ids'], quiet: ['statistics'] },
];

/** Why the datapath cannot be opened, in words for the person who reads the "error" column. */
function unavailable(error: unknown): string {
  if (!(error instanceof NetlinkError)) return (error as Error).message;
  const isMissing = error.errno === ERRNO.ENOENT || error.errno === ERRNO.ECONNREFUSED;
  return isMissing
    ? `${error.text}: no openvswitch module and no tapswitch datapath in this network namespace`
    : error.text;
}

export class Vswitchd {
  /** Resolves when the first configuration is in force and the database says so. */
  readonly configured: Promise<void>;
  private readonly options: VswitchdOptions;
  private readonly netdevs: NetdevTable;
  private readonly datapath: DatapathKind;
  private readonly idl: Idl;
  private readonly lag = new LoopLag();
  private readonly bridges = new Map<string, Bridge>();
  private readonly contendedLimit = new RateLimit(1, 1);
  private provider: DpifProvider | undefined;
  private currentBacker: OfprotoBacker | undefined;
  /** Whether ports that an earlier run left in the datapath have been looked for. */
  private isSwept = false;
  /** Why there is no datapath, if one is wanted. */
  private datapathError: string | undefined;
  private config: SwitchConfig | undefined;
  private resolveConfigured: () => void = () => undefined;
  private running: Promise<void> | undefined;
  private isDirty = false;
  private isStopping = false;
  private readonly timers = new Map<string, NodeJS.Timeout>();

  private constructor(options: VswitchdOptions, netdevs: NetdevTable) {
    this.options = options;
    this.netdevs = netdevs;
    this.datapath = options.datapath ?? SYSTEM_DATAPATH;
    this.configured = new Promise((resolve) => {
      this.resolveConfigured = resolve;
    });
    netdevs.watch((name) => this.netdevChanged(name));
    this.idl = new Idl({
      remote: options.database,
      database: schema.DATABASE,
      tables: REPLICATED,
      lock: LOCK,
      ...(options.session === undefined ? {} : { session: options.session }),
      changed: () => this.reconfigureSoon(),
    });
    this.after('datapath', this.datapathCheckMs, () => this.checkDatapath());
  }

  /** Starts to follow the database.  Throws a RangeError if its name is none. */
  static async start(options: VswitchdOptions): Promise<Vswitchd> {
    return new Vswitchd(options, await options.openNetdevs());
  }

  /** Undefined while there is no bridge, or no datapath. */
  get backer(): OfprotoBacker | undefined {
    return this.currentBacker;
  }

  /** Ends everything.  With `cleanup` the ports and the datapath go too; else it stays as it is, and forwards. */
  async stop(cleanup: boolean): Promise<void> {
    this.isStopping = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
    // First, because what runs may be waiting for the database.
    this.idl.close();
    await this.running;
    if (cleanup) {
      for (const bridge of this.bridges.values()) {
        await bridge.ofproto.destroy().catch((e: Error) => log.warn(`bridge ${bridge.name}: ${e.message}`));
      }
    }
    await this.closeDatapath(cleanup);
    this.netdevs.close();
    this.lag.stop();
  }

  private get datapathCheckMs(): number {
    return this.options.datapathCheckMs ?? DATAPATH_CHECK_MS;
  }

  /** Calls `what` once after `ms`; a later call of the same name is left out until then. */
  private after(name: string, ms: number, what: () => void): void {
    if (this.isStopping || this.timers.has(name)) return;
    const timer = setTimeout(() => {
      this.timers.delete(name);
      if (!this.isStopping) what();
    }, ms);
    this.timers.set(name, timer);
  }

  private netdevChanged(name: string): void {
    const isOurs = this.config?.bridges.some((bridge) => interfacesOf(bridge).some((iface) => iface.name === name));
    if (isOurs === true) this.after('netdev', NETDEV_DELAY_MS, () => this.reconfigureSoon());
  }

  private reconfigureSoon(): void {
    this.isDirty = true;
    if (this.running !== undefined || this.isStopping) return;
    this.running = (async () => {
      while (this.isDirty && !this.isStopping) {
        this.isDirty = false;
        try {
          await this.reconfigure();
        } catch (error) {
          log.err(`reconfiguration failed: ${(error as Error).stack}`);
          this.after('retry', this.datapathCheckMs, () => this.reconfigureSoon());
        }
      }
      this.running = undefined;
    })();
  }

  private async reconfigure(): Promise<void> {
    const { idl } = this;
    if (!idl.hasData) return;
    if (idl.isLockContended) {
      const text = `another ovs-vswitchd process is running, disabling this process (pid ${process.pid}) until it goes away`;
      log.err(text, this.contendedLimit);
      await this.closeDatapath(false);
      return;
    }
    if (!idl.hasLock) return;
    reconfigured.n++;
    const config = readConfig(idl);
    this.config = config;
    setVlanLimit(config.vlanLimit);
    try {
      await this.apply(config);
    } catch (error) {
      if (!isDatapathGone(error)) throw error;
      await this.loseDatapath(error as NetlinkError);
    }
    const status = await idl.transact((txn) => this.write(txn, config));
    if (status === 'try-again') this.after('retry', this.datapathCheckMs, () => this.reconfigureSoon());
    if (status !== 'success' && status !== 'unchanged') return;
    if (this.timers.has('stats')) return;
    // The first time.
    this.resolveConfigured();
    // After who started this in the background has been let go.
    void this.configured.then(() => log.info(VERSION_TEXT));
    this.after('stats', this.options.statsMs ?? config.statsIntervalMs, () => this.updateStatistics());
  }

  private async apply(config: SwitchConfig): Promise<void> {
    const wanted = config.bridges.filter((bridge) => this.datapath.types.includes(bridge.datapathType));
    const names = new Set(wanted.map((bridge) => bridge.name));
    for (const [name, bridge] of this.bridges) {
      if (names.has(name)) continue;
      this.bridges.delete(name);
      await bridge.ofproto.destroy();
    }
    if (wanted.length === 0) {
      this.datapathError = undefined;
      return this.closeDatapath(true);
    }
    const backer = await this.ensureBacker(config);
    if (backer === undefined) return;
    backer.setOptions(config.backer);
    for (const bridge of wanted) await this.bridges.get(bridge.name)?.deletePorts(bridge);
    for (const { name } of wanted) {
      if (this.bridges.has(name)) continue;
      const ofproto = backer.createOfproto(name);
      ofproto.onControllerStatus = () =>
        this.after('controllers', STATUS_DELAY_MS, () => void this.updateControllers());
      this.bridges.set(name, new Bridge(ofproto, this.netdevs, this.options.runDir));
    }
    for (const bridge of wanted) await this.bridges.get(bridge.name)?.addPorts(bridge);
    for (const bridge of wanted) await this.bridges.get(bridge.name)?.configure(bridge);
    if (!this.isSwept) {
      await this.sweep(backer, new Set(wanted.flatMap((bridge) => interfacesOf(bridge).map((iface) => iface.name))));
      this.isSwept = true;
      backer.configured();
    }
  }

  private async ensureBacker(config: SwitchConfig): Promise<OfprotoBacker | undefined> {
    if (this.currentBacker !== undefined) return this.currentBacker;
    try {
      this.provider ??= await this.options.openProvider();
      this.currentBacker = await this.options.openBacker(this.provider, this.datapath.name, config.backer);
      this.currentBacker.onPortVanished(() => this.after('netdev', NETDEV_DELAY_MS, () => this.reconfigureSoon()));
      if (this.datapathError !== undefined) log.info(`datapath ${this.datapath.name} is available again`);
      this.datapathError = undefined;
      this.isSwept = false;
    } catch (error) {
      const why = unavailable(error);
      if (this.datapathError !== why) log.err(`datapath ${this.datapath.name} is not available (${why}); trying again`);
      this.datapathError = why;
      this.provider?.close();
      this.provider = undefined;
    }
    return this.currentBacker;
  }

  /** Deletes ports that an earlier run left in the datapath, and that no bridge wants any more. */
  private async sweep(backer: OfprotoBacker, wanted: ReadonlySet<string>): Promise<void> {
    for (const { name, portNo } of await backer.strayPorts()) {
      if (wanted.has(name)) continue;
      log.info(`${this.datapath.name}: deleting port ${name}, which no bridge wants`);
      await backer.dpif.portDel(portNo).catch((error: Error) => log.warn(`${name}: ${error.message}`));
    }
  }

  private write(txn: Txn, config: SwitchConfig): void {
    for (const config_ of config.bridges) {
      const bridge = this.bridges.get(config_.name);
      if (bridge !== undefined) {
        bridge.write(txn, config_, this.options.datapathVersion?.() ?? '<unknown>');
        continue;
      }
      const why = this.datapath.types.includes(config_.datapathType)
        ? `datapath ${this.datapath.name} is not available (${this.datapathError})`
        : `bridge ${config_.name}: datapath_type "${config_.datapathType}" is not supported`;
      for (const { uuid } of interfacesOf(config_)) {
        if (uuid !== undefined) txn.update(schema.Interface, uuid, failedColumns(why));
      }
    }
    const root = config.root === undefined ? undefined : this.idl.row(schema.Open_vSwitch, config.root);
    if (root === undefined) return;
    const support = this.currentBacker?.probedSupport;
    for (const [type, uuid] of root.datapaths) {
      if (support === undefined || !this.datapath.types.includes(type)) continue;
      txn.update(schema.Datapath, uuid, { capabilities: dpCapabilities(support) });
    }
    txn.update(schema.Open_vSwitch, root._uuid, {
      cur_cfg: config.nextCfg,
      iface_types: [...(this.netdevs.types ?? IFACE_TYPES), PATCH].sort(),
      datapath_types: this.datapath.types,
      // Whoever started the database may have written these; ovs-ctl does.
      ovs_version: root.ovs_version ?? OVS_VERSION,
      db_version: root.db_version ?? schema.SCHEMA_VERSION,
    });
  }

  /** Once a second: is the datapath still there, or there again? */
  private async checkDatapath(): Promise<void> {
    const backer = this.currentBacker;
    if (backer === undefined) {
      if (this.datapathError !== undefined) this.reconfigureSoon();
    } else {
      try {
        await backer.dpif.stats();
      } catch (error) {
        // A reconfiguration under way meets the error itself, and must not lose its backer between two steps.
        await this.running;
        if (this.currentBacker === backer && error instanceof NetlinkError) {
          await this.loseDatapath(error);
          this.reconfigureSoon();
        }
      }
    }
    coverageRun();
    this.after('datapath', this.datapathCheckMs, () => void this.checkDatapath());
  }

  private async loseDatapath(error: NetlinkError): Promise<void> {
    if (this.currentBacker === undefined) return;
    log.err(`datapath ${this.datapath.name} is gone (${error.text}); its bridges will be set up again when it is back`);
    await this.closeDatapath(false);
    this.datapathError = unavailable(error);
  }

  private async closeDatapath(deleteIt: boolean): Promise<void> {
    const { currentBacker, provider } = this;
    this.bridges.clear();
    this.currentBacker = undefined;
    this.provider = undefined;
    await currentBacker?.close(deleteIt).catch((e: Error) => log.warn(`closing ${this.datapath.name}: ${e.message}`));
    provider?.close();
  }

  /** Writes how the controllers are doing. */
  private async updateControllers(): Promise<void> {
    // A reconfiguration under way writes it, too.
    await this.running;
    const { config } = this;
    if (config === undefined || !this.idl.hasLock) return;
    const status = await this.idl.transact((txn) => {
      for (const bridge of config.bridges) this.bridges.get(bridge.name)?.writeControllers(txn, bridge);
    });
    if (status === 'try-again') this.after('controllers', STATUS_DELAY_MS, () => void this.updateControllers());
  }

  private async updateStatistics(): Promise<void> {
    const config = this.config;
    try {
      const writers: ((txn: Txn) => void)[] = [];
      for (const bridge of config?.bridges ?? []) {
        const writer = await this.bridges.get(bridge.name)?.readStatistics(bridge);
        if (writer !== undefined) writers.push(writer);
      }
      if (writers.length > 0 && this.idl.hasLock) {
        await this.idl.transact((txn) => {
          for (const writer of writers) writer(txn);
          // Seconds since this and that go by without being told.
          for (const bridge of this.config?.bridges ?? []) this.bridges.get(bridge.name)?.writeControllers(txn, bridge);
        });
      }
    } catch (error) {
      // The datapath went away; checkDatapath says so.
      log.dbg(`no statistics: ${(error as Error).message}`);
    }
    const ms = this.options.statsMs ?? this.config?.statsIntervalMs ?? 5000;
    this.after('stats', ms, () => void this.updateStatistics());
  }
}
