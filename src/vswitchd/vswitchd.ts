/**
 * The switch as a whole: follows the database, and makes the datapath and its bridges what it says.
 *
 *     replica changes, a device changes, the datapath is lost or back
 *        -> reconfigure(): delete, create, add, configure (bridge.ts)
 *        -> one transaction: every column that says what came of it, and cur_cfg (switch-status.ts)
 *
 * Reconfigurations never overlap; what happens during one leads to one more.  They do nothing while another process has
 * the database's lock.  A datapath that cannot be opened, or that goes away (switch-datapath.ts), is an error in the rows
 * of its interfaces, and is tried again every second; the process stays.
 * Everything that this needs of the world comes through VswitchdOptions, so a test runs it on fakes.
 * Source: vswitchd/bridge.c (bridge_run, bridge_reconfigure), vswitchd/vswitch.xml.
 */
import type { DpifProvider } from '../dpif/dpif.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { setVlanLimit } from '../odp/key/vlan-limit.ts';
import { NO_LIMITS, type ZoneLimits } from '../ofproto/backer/ct-zone-limits.ts';
import type { OfprotoBacker, OpenBacker } from '../ofproto/ofproto-provider.ts';
import { Idl } from '../ovsdb/idl.ts';
import type { SessionOptions } from '../ovsdb/jsonrpc.ts';
import { DATABASE } from '../ovsdb/vswitch-schema.ts';
import { coverage, coverageRun } from '../util/coverage.ts';
import { ERRNO } from '../util/errno.ts';
import { stopwatch } from '../util/stopwatch.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { Bridge } from './bridge/bridge.ts';
import { interfacesOf, isDatapathGone } from './bridge/bridge-ports.ts';
import { REPLICATED } from './config/replicated.ts';
import { ConfigMemo, readConfig, type SwitchConfig } from './config/switch-config.ts';
import { TlsCheck } from './config/tls-check.ts';
import { Unsupported } from './config/unsupported.ts';
import type { NetdevTable } from './devices/netdev.ts';
import { type After, Periodic } from './periodic.ts';
import type { DeviceQos } from './qos/device-qos.ts';
import { SwitchStatus } from './status/switch-status.ts';
import { type DatapathKind, SwitchDatapath } from './switch-datapath.ts';
import { Timers } from './timers.ts';
import { VERSION_LINE } from './version.ts';

const log = vlog('bridge');
const reconfigured = coverage('bridge_reconfigure');
const reconfiguration = stopwatch('bridge_reconfigure');

/** The datapath that all bridges share, unless it is said otherwise. */
const SYSTEM_DATAPATH: DatapathKind = { name: 'ovs-system', types: ['system'] };
const LOCK = 'ovs_vswitchd';
/** How often to look whether the datapath is still there, or there again. */
const DATAPATH_CHECK_MS = 1000;
/** How soon the database is told of a controller that came or went. */
const STATUS_DELAY_MS = 100;
/** Devices that change together, as when a lab is set up, are looked at together. */
const NETDEV_DELAY_MS = 30;

/** Whether a question after the datapath came back because there is none: a slow one (ETIMEDOUT), or a lost answer (ENOBUFS), is no loss. */
const hasVanished = (error: unknown): error is NetlinkError =>
  error instanceof NetlinkError && (isDatapathGone(error) || error.errno === ERRNO.ENODEV);

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
  /** Whether a port that somebody else deleted comes back by itself (the default), or with the next change of the database or a device. */
  readonly addsPortsBack?: boolean;
  /** Told of each port that a bridge has no longer. */
  portGone?(name: string): void;
  /** The clock that statistics go by; without it the system's. */
  readonly after?: After;
}

export class Vswitchd {
  /** Resolves when the first configuration is in force and the database says so. */
  readonly configured: Promise<void>;
  private readonly options: VswitchdOptions;
  private readonly netdevs: NetdevTable;
  private readonly datapath: SwitchDatapath;
  private readonly idl: Idl;
  private readonly status: SwitchStatus;
  private readonly bridges = new Map<string, Bridge>();
  private readonly contendedLimit = new RateLimit(1, 1);
  private readonly timers = new Timers();
  private readonly statistics: Periodic;
  private readonly memo = new ConfigMemo();
  private readonly unsupported = new Unsupported((type) => this.datapath.supports(type));
  private readonly tlsCheck = new TlsCheck();
  private config: SwitchConfig | undefined;
  /** Names of its interfaces. */
  private devices: ReadonlySet<string> = new Set();
  private resolveConfigured: () => void = () => undefined;
  private running: Promise<void> | undefined;
  private isDirty = false;
  /** Whether flow-restore-wait has never been false yet. */
  private isRestoring = true;
  private isStopping = false;

  private constructor(options: VswitchdOptions, netdevs: NetdevTable) {
    this.options = options;
    this.netdevs = netdevs;
    this.statistics = new Periodic(() => this.updateStatistics(), options.after);
    this.datapath = new SwitchDatapath(options.datapath ?? SYSTEM_DATAPATH, {
      openProvider: () => options.openProvider(),
      openBacker: options.openBacker,
      portGone: (name) => options.portGone?.(name),
      portVanished: () => {
        if (options.addsPortsBack !== false) this.timers.after('netdev', NETDEV_DELAY_MS, () => this.reconfigureSoon());
      },
    });
    this.configured = new Promise((resolve) => {
      this.resolveConfigured = resolve;
    });
    netdevs.watch((name) => this.netdevChanged(name));
    this.idl = new Idl({
      remote: options.database,
      database: DATABASE,
      tables: REPLICATED,
      lock: LOCK,
      // The database's word on TLS goes before the command line's.
      session: { ...options.session, tls: () => this.config?.tls ?? options.session?.tls?.() },
      changed: () => this.reconfigureSoon(),
    });
    const { idl, datapath, bridges } = this;
    const datapathVersion = () => options.datapathVersion?.() ?? '<unknown>';
    this.status = new SwitchStatus({ idl, netdevs, datapath, bridges, runDir: options.runDir, datapathVersion });
    this.timers.after('datapath', this.datapathCheckMs, () => void this.checkDatapath());
  }

  /** Starts to follow the database.  Throws a RangeError if its name is none. */
  static async start(options: VswitchdOptions): Promise<Vswitchd> {
    return new Vswitchd(options, await options.openNetdevs());
  }

  /** Traffic control of the devices; undefined: they have none. */
  get qos(): DeviceQos | undefined {
    return this.netdevs.qos;
  }

  /** Whether the database says how many connections zones may hold. */
  get limitsZones(): boolean {
    const { defaultLimit, zones } = this.ctLimits;
    return defaultLimit !== undefined || zones.size > 0;
  }

  private get ctLimits(): ZoneLimits {
    const own = [...(this.config?.ctLimits ?? [])].find(([type]) => this.datapath.supports(type));
    return own?.[1] ?? NO_LIMITS;
  }

  /** Undefined while there is no bridge, or no datapath. */
  get backer(): OfprotoBacker | undefined {
    return this.datapath.backer;
  }

  /** Ends everything.  With `cleanup` the ports and the datapath go too; else it stays as it is, and forwards. */
  async stop(cleanup: boolean): Promise<void> {
    this.isStopping = true;
    this.timers.stop();
    this.statistics.stop();
    // First, because what runs may be waiting for the database.
    this.idl.close();
    await this.running;
    if (cleanup) {
      for (const bridge of this.bridges.values()) {
        await bridge.destroy().catch((e: Error) => log.warn(`bridge ${bridge.name}: ${e.message}`));
      }
    }
    await this.closeDatapath(cleanup);
    this.netdevs.close();
  }

  private get datapathCheckMs(): number {
    return this.options.datapathCheckMs ?? DATAPATH_CHECK_MS;
  }

  private netdevChanged(name: string): void {
    if (this.devices.has(name)) this.timers.after('netdev', NETDEV_DELAY_MS, () => this.reconfigureSoon());
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
          this.timers.after('retry', this.datapathCheckMs, () => this.reconfigureSoon());
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
    // What happened to devices until now is looked at now: ports that cannot be are tried, and told of, once.
    this.timers.cancel('netdev');
    reconfigured.n++;
    const stop = reconfiguration.start();
    this.unsupported.report(idl);
    const config = this.untilRestored(readConfig(idl, this.memo));
    this.config = config;
    this.devices = new Set(config.bridges.flatMap((bridge) => interfacesOf(bridge).map(({ name }) => name)));
    this.tlsCheck.report(config.tls);
    const isNewLimit = setVlanLimit(config.vlanLimit);
    try {
      // Flows that there are say of tags what the old limit let them.
      if (isNewLimit && this.backer !== undefined) await this.backer.setSupport(this.backer.support);
      await this.apply(config);
    } catch (error) {
      if (!isDatapathGone(error)) throw error;
      await this.loseDatapath(error as NetlinkError);
    }
    const status = await this.status.writeAll(config);
    stop();
    if (status === 'try-again') this.timers.after('retry', this.datapathCheckMs, () => this.reconfigureSoon());
    if (status !== 'success' && status !== 'unchanged') return;
    const isFirst = !this.statistics.isStarted;
    this.statistics.every(this.options.statsMs ?? config.statsIntervalMs);
    if (!isFirst) return;
    this.resolveConfigured();
    // After who started this in the background has been let go.
    void this.configured.then(() => log.info(VERSION_LINE));
  }

  /**
   * While flows are being restored no controller may meddle.  Once they have been, other_config:flow-restore-wait means
   * nothing any more.
   */
  private untilRestored(config: SwitchConfig): SwitchConfig {
    this.isRestoring &&= config.flowRestoreWait;
    if (!this.isRestoring) return config;
    const bridges = config.bridges.map((b) => ({ ...b, openflow: { ...b.openflow, controllers: [] } }));
    return { ...config, bridges, backer: { ...config.backer, flowRestoreWait: true } };
  }

  private async apply(config: SwitchConfig): Promise<void> {
    const wanted = config.bridges.filter((bridge) => this.datapath.supports(bridge.datapathType));
    const names = new Set(wanted.map((bridge) => bridge.name));
    for (const [name, bridge] of this.bridges) {
      if (names.has(name)) continue;
      this.bridges.delete(name);
      await bridge.destroy();
    }
    if (wanted.length === 0) return this.closeDatapath(true);
    const backer = await this.datapath.open(config.backer);
    if (backer === undefined) return;
    backer.setOptions(config.backer);
    for (const bridge of wanted) await this.bridges.get(bridge.name)?.deletePorts(bridge);
    for (const { name } of wanted) {
      if (this.bridges.has(name)) continue;
      const ofproto = backer.createOfproto(name);
      ofproto.onControllerStatus = () => this.controllersChanged();
      this.bridges.set(name, new Bridge(ofproto, this.netdevs, this.options.runDir, this.options.session?.tls?.()));
    }
    for (const bridge of wanted) await this.bridges.get(bridge.name)?.addPorts(bridge);
    for (const bridge of wanted) await this.bridges.get(bridge.name)?.configure(bridge);
    const isOurs = ([type]: readonly [string, unknown]) => this.datapath.supports(type);
    await backer.setCtZones([...config.ctZones].find(isOurs)?.[1] ?? new Map());
    await backer.setCtLimits(this.ctLimits);
    backer.setOptions({ flowRestoreWait: false, ...config.backer });
    await this.datapath.sweep(new Set(wanted.flatMap((bridge) => interfacesOf(bridge).map((iface) => iface.name))));
  }

  /** Once a second: is the datapath still there, or there again? */
  private async checkDatapath(): Promise<void> {
    // Without waiting for the answer: one that was asked of a datapath that died comes only when the next question was answered by its successor.
    this.timers.after('datapath', this.datapathCheckMs, () => void this.checkDatapath());
    const { backer } = this.datapath;
    if (backer === undefined) {
      if (this.datapath.error !== undefined) this.reconfigureSoon();
    } else {
      try {
        await backer.dpif.stats();
      } catch (error) {
        // A reconfiguration under way meets the error itself, and must not lose its backer between two steps.
        await this.running;
        if (this.datapath.backer === backer && hasVanished(error)) {
          await this.loseDatapath(error);
          this.reconfigureSoon();
        }
      }
    }
    coverageRun();
  }

  private async loseDatapath(error: NetlinkError): Promise<void> {
    this.bridges.clear();
    await this.datapath.lose(error);
  }

  private async closeDatapath(deleteIt: boolean): Promise<void> {
    this.bridges.clear();
    await this.datapath.close(deleteIt);
  }

  private async updateControllers(): Promise<void> {
    // A reconfiguration under way writes it, too.
    await this.running;
    if (this.config === undefined || !this.idl.hasLock) return;
    const status = await this.status.writeControllers(this.config);
    if (status === 'try-again') this.controllersChanged();
  }

  private controllersChanged(): void {
    this.timers.after('controllers', STATUS_DELAY_MS, () => void this.updateControllers());
  }

  private async updateStatistics(): Promise<void> {
    if (this.config !== undefined) await this.status.writeStatistics(this.config);
  }
}
