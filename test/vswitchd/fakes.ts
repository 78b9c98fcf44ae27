/** A datapath, switches and network devices that exist only here, for tests of the bridge layer. */

import type { Dpif, DpifProvider } from '../../src/dpif/dpif.ts';
import type { DpifDpStats, DpifPortStats } from '../../src/dpif/dpif-types.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import type { Ufid } from '../../src/odp/odp-ufid.ts';
import { NO_LIMITS, type ZoneLimits } from '../../src/ofproto/backer/ct-zone-limits.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from '../../src/ofproto/backer/dp-support.ts';
import type { ControllerStatus, OpenflowSettings, PortDevice } from '../../src/ofproto/connmgr/openflow-settings.ts';
import type { McastSettings } from '../../src/ofproto/mcast/mcast-settings.ts';
import type { MirrorSettings } from '../../src/ofproto/mirror/mirror-settings.ts';
import type {
  BackerOptions,
  BundleConfig,
  FdbEntry,
  FlowControl,
  MdbEntry,
  Ofport,
  OfportRequest,
  Ofproto,
  OfprotoBacker,
  OpenBacker,
  PortVanishedHandler,
} from '../../src/ofproto/ofproto-provider.ts';
import { ERRNO } from '../../src/util/errno.ts';
import type { Netdev, NetdevStats, NetdevTable } from '../../src/vswitchd/devices/netdev.ts';

/** What happened, in order, as short texts. */
export type Journal = string[];

export class FakeNetdevs implements NetdevTable {
  readonly devices = new Map<string, Netdev>();
  private readonly watchers = new Set<(name: string) => void>();
  private nextIndex = 10;
  readonly journal: Journal;
  /** Names of interfaces whose options were told. */
  readonly told = new Set<string>();
  /** Names of interfaces that have gone. */
  readonly released: string[] = [];

  constructor(journal: Journal) {
    this.journal = journal;
  }

  configure(name: string): void {
    this.told.add(name);
  }

  release(name: string): void {
    this.released.push(name);
  }

  /** A device appears, or changes. */
  put(name: string, change: Partial<Netdev> = {}): void {
    const old = this.devices.get(name);
    const ifindex = old?.ifindex ?? this.nextIndex++;
    const mac = `02:00:00:00:00:${ifindex.toString(16).padStart(2, '0')}`;
    const fresh: Netdev = {
      name,
      ifindex,
      mac,
      mtu: 1500,
      isUp: false,
      hasCarrier: false,
      linkResets: 0,
      kind: undefined,
    };
    this.devices.set(name, { ...(old ?? fresh), ...change });
    for (const watcher of this.watchers) watcher(name);
  }
  drop(name: string): void {
    this.devices.delete(name);
    for (const watcher of this.watchers) watcher(name);
  }

  get(name: string): Netdev | undefined {
    return this.devices.get(name);
  }
  async refresh(name: string): Promise<Netdev | undefined> {
    return this.devices.get(name);
  }
  async setMac(name: string, mac: string): Promise<void> {
    this.journal.push(`mac ${name} ${mac}`);
    this.put(name, { mac });
  }
  async setMtu(name: string, mtu: number): Promise<void> {
    this.journal.push(`mtu ${name} ${mtu}`);
    this.put(name, { mtu });
  }
  async setUp(name: string, isUp: boolean): Promise<void> {
    this.journal.push(`${isUp ? 'up' : 'down'} ${name}`);
    this.put(name, { isUp, hasCarrier: isUp });
  }
  async stats(): Promise<NetdevStats> {
    const keys = ['multicast', 'collisions', 'rxOverErrors', 'rxCrcErrors', 'rxFrameErrors', 'rxMissedErrors'];
    return Object.fromEntries(keys.map((key, i) => [key, BigInt(i)])) as unknown as NetdevStats;
  }
  watch(onChange: (name: string) => void): () => void {
    this.watchers.add(onChange);
    return () => this.watchers.delete(onChange);
  }
  close(): void {
    this.watchers.clear();
  }
}

/** The "system" datapaths of a namespace. */
export class FakeWorld {
  readonly journal: Journal = [];
  readonly netdevs = new FakeNetdevs(this.journal);
  /** Ports of ovs-system by name; undefined: there is no such datapath. */
  ports: Map<string, number> | undefined;
  /** The one that was opened last. */
  backer: FakeBacker | undefined;
  /** False: nobody answers. */
  isAlive = true;
  /** What becomes of questions after the datapath itself; 0: they are answered. */
  statsErrno = 0;
  /** How often it was asked for. */
  nAsked = 0;

  readonly openNetdevs = async () => this.netdevs;
  readonly openProvider = async (): Promise<DpifProvider> => {
    this.check();
    return { type: 'system', enumerate: async () => [], open: () => Promise.reject(), close: () => undefined };
  };
  readonly openBacker: OpenBacker = async (_provider, name, options) => {
    this.check();
    this.ports ??= new Map([[name, 0]]);
    this.journal.push(`open ${name}`);
    this.backer = new FakeBacker(this, options);
    return this.backer;
  };

  check(): void {
    if (!this.isAlive) throw new NetlinkError(ERRNO.ECONNREFUSED, 'ovs_datapath');
  }
  /** The datapath process dies: all that it had made is gone. */
  die(): void {
    this.isAlive = false;
    for (const [name, device] of this.netdevs.devices) if (device.kind === 'tun') this.netdevs.drop(name);
    this.ports = undefined;
  }
}

export class FakeBacker implements OfprotoBacker {
  readonly world: FakeWorld;
  readonly dpif: Dpif;
  readonly ofprotos = new Map<string, FakeOfproto>();
  readonly flows: FlowControl = {
    purge: async () => void this.world.journal.push('purge'),
    flush: async () => void this.world.journal.push('flush flows'),
    pause: async () => void this.world.journal.push('pause'),
    resume: () => void this.world.journal.push('resume'),
    setFlowLimit: (flows) => void this.world.journal.push(`flow limit ${flows}`),
  };
  options: BackerOptions;
  ctZones: ReadonlyMap<number, ReadonlyMap<string, number>> = new Map();
  ctLimits: ZoneLimits = NO_LIMITS;
  readonly probedSupport: DpSupport = { ...KERNEL_DP_SUPPORT, addMpls: false };
  support: DpSupport = this.probedSupport;
  private vanished: PortVanishedHandler | undefined;

  constructor(world: FakeWorld, options: BackerOptions) {
    this.world = world;
    this.options = options;
    const dpif: Partial<Dpif> = {
      type: 'system',
      name: 'ovs-system',
      stats: async () => {
        world.check();
        world.nAsked++;
        if (world.statsErrno !== 0) throw new NetlinkError(world.statsErrno, 'ovs_datapath');
        if (world.ports === undefined) throw new NetlinkError(ERRNO.ENODEV, 'ovs-system');
        return {} as DpifDpStats;
      },
      portDel: async (portNo) => {
        const name = [...(world.ports ?? [])].find(([, n]) => n === portNo)?.[0];
        world.journal.push(`dpif del ${name}`);
        world.ports?.delete(name ?? '');
      },
    };
    this.dpif = dpif as Dpif;
  }

  async setCtZones(zones: ReadonlyMap<number, ReadonlyMap<string, number>>): Promise<void> {
    this.ctZones = zones;
  }
  async setCtLimits(limits: ZoneLimits): Promise<void> {
    this.ctLimits = limits;
  }
  setOptions(options: Partial<BackerOptions>): void {
    this.options = { ...this.options, ...options };
  }
  async setSupport(support: DpSupport): Promise<void> {
    this.support = support;
    this.world.journal.push('flows anew');
  }
  createOfproto(name: string): Ofproto {
    this.world.journal.push(`create ${name}`);
    const ofproto = new FakeOfproto(this, name);
    this.ofprotos.set(name, ofproto);
    return ofproto;
  }
  async strayPorts(): Promise<{ name: string; portNo: number }[]> {
    const owned = new Set([...this.ofprotos.values()].flatMap((o) => [...o.ports.keys()]));
    return [...(this.world.ports ?? [])]
      .filter(([name, n]) => n !== 0 && !owned.has(name))
      .map(([name, portNo]) => ({ name, portNo }));
  }
  async revalidated(): Promise<void> {}
  configured(): void {
    this.world.journal.push('configured');
  }
  onPortVanished(handler: PortVanishedHandler): () => void {
    this.vanished = handler;
    return () => {
      this.vanished = undefined;
    };
  }
  /** The port's device is gone from the datapath. */
  vanish(ofproto: string, port: string): void {
    this.ofprotos.get(ofproto)?.ports.delete(port);
    this.world.ports?.delete(port);
    this.vanished?.(ofproto, port);
  }
  memory(): Record<string, number> {
    return { handlers: 1, revalidators: 1, 'udpif keys': 7, ports: 2 };
  }
  listTunnels(): string {
    return '';
  }
  async showDpif(): Promise<string> {
    return 'system@ovs-system: hit:0 missed:0\n';
  }
  async trace(args: readonly string[], isPacketOut: boolean): Promise<string> {
    return `${isPacketOut ? 'packet-out' : 'trace'} ${args.join(' ')}\n`;
  }
  detrace(ufid: Ufid): string {
    return `rules of ${ufid}\n`;
  }
  showUpcall(): string {
    return 'system@ovs-system:\n';
  }
  async close(deleteDatapath: boolean): Promise<void> {
    this.world.journal.push(deleteDatapath ? 'close and delete' : 'close');
    if (deleteDatapath) this.world.ports = undefined;
  }
}

export class FakeOfproto implements Ofproto {
  readonly name: string;
  readonly ports = new Map<string, Ofport>();
  readonly bundles = new Map<string, BundleConfig>();
  private readonly backer: FakeBacker;

  constructor(backer: FakeBacker, name: string) {
    this.backer = backer;
    this.name = name;
  }

  private get world(): FakeWorld {
    return this.backer.world;
  }
  openflow: OpenflowSettings | undefined;
  readonly controllers = new Map<string, ControllerStatus>();
  readonly devices = new Map<string, PortDevice>();
  readonly queues = new Map<string, ReadonlyMap<number, number>>();
  setOpenflow(settings: OpenflowSettings): void {
    this.openflow = settings;
  }
  controllerStatus(): ReadonlyMap<string, ControllerStatus> {
    return this.controllers;
  }
  setPortDevice(name: string, device: PortDevice): void {
    this.devices.set(name, device);
  }
  async portPolice(): Promise<boolean> {
    return true;
  }
  setPortQueues(name: string, dscps: ReadonlyMap<number, number>): void {
    this.queues.set(name, dscps);
  }
  reconnect(): void {}
  onControllerStatus: (() => void) | undefined;

  async portAdd({ name, type, ofport, isLocal }: OfportRequest): Promise<Ofport> {
    const { world } = this;
    world.check();
    const others = [...this.backer.ofprotos.values()].filter((o) => o !== this);
    if (others.some((o) => o.ports.has(name))) throw new NetlinkError(ERRNO.EBUSY, name);
    const used = new Set([...this.ports.values()].map((p) => p.ofport));
    let number = isLocal ? 0xfffe : (ofport ?? 1);
    if (used.has(number)) number = 1;
    while (used.has(number)) number++;
    const odpPort = world.ports?.get(name) ?? Math.max(0, ...(world.ports?.values() ?? [])) + 1;
    world.ports?.set(name, odpPort);
    if (type === 'internal') world.netdevs.put(name, { kind: 'tun' });
    const port = { name, type, ofport: number, odpPort };
    this.ports.set(name, port);
    world.journal.push(`add ${this.name} ${name} ${number}`);
    return port;
  }
  async setTunnel(name: string): Promise<void> {
    this.world.journal.push(`tunnel ${this.name} ${name}`);
  }
  async portDel(name: string): Promise<void> {
    this.world.check();
    this.world.journal.push(`del ${this.name} ${name}`);
    if (this.ports.get(name)?.type === 'internal') this.world.netdevs.devices.delete(name);
    this.ports.delete(name);
    this.world.ports?.delete(name);
  }
  /** By port. */
  readonly peers = new Map<string, string | undefined>();
  setPatchPeer(name: string, peer: string | undefined): void {
    this.peers.set(name, peer);
  }
  patchError(name: string): string | undefined {
    return this.peers.get(name) === 'nobody' ? 'no such peer' : undefined;
  }
  async portStats(name: string): Promise<DpifPortStats> {
    this.world.check();
    const n = BigInt(this.ports.get(name)?.odpPort ?? 0);
    return {
      ...{ rxPackets: n, txPackets: n, rxBytes: n * 100n, txBytes: n * 100n },
      ...{ rxErrors: 0n, txErrors: 0n, rxDropped: 0n, txDropped: 0n },
      ...{ upcallSuccess: undefined, upcallFail: undefined },
    };
  }
  bundleSet(config: BundleConfig): void {
    this.bundles.set(config.name, config);
    const vlan = config.tag === undefined ? '' : ` tag=${config.tag}`;
    this.world.journal.push(`bundle ${config.name} ${config.vlanMode}${vlan} [${config.members}]`);
  }
  bundleRemove(name: string): void {
    this.bundles.delete(name);
    this.world.journal.push(`unbundle ${name}`);
  }
  forwardsBpdu = false;
  setForwardBpdu(isForwarded: boolean): void {
    this.forwardsBpdu = isForwarded;
  }
  mcast: McastSettings | undefined;
  setMcastSnooping(settings: McastSettings | undefined): void {
    this.mcast = settings;
  }
  readonly mdb = {
    entries: (): MdbEntry[] | undefined => {
      if (this.mcast === undefined) return undefined;
      return [
        { ofport: 2, vlan: 5, group: '224.1.1.1', ageSec: 7 },
        { ofport: 0xfffe, vlan: 0, group: undefined, ageSec: 0 },
      ];
    },
    flush: (): boolean => {
      this.world.journal.push(`mdb flush ${this.name}`);
      return this.mcast !== undefined;
    },
  };
  mirrors: readonly MirrorSettings[] = [];
  setMirrors(mirrors: readonly MirrorSettings[]): void {
    this.mirrors = mirrors;
  }
  mirrorStats(): undefined {}
  setHwaddr(mac: string): void {
    this.world.journal.push(`hwaddr ${this.name} ${mac}`);
  }
  dumpFlows(hasOffloads: boolean): string {
    return `flows of ${this.name}${hasOffloads ? ', offloaded' : ''}\n`;
  }
  readonly fdb = {
    configure: (agingSec: number, maxEntries: number): void => {
      this.world.journal.push(`macs ${agingSec} ${maxEntries}`);
    },
    setFloodVlans: (vlans: readonly number[]): void => {
      this.world.journal.push(`flood [${vlans}]`);
    },
    entries: (): FdbEntry[] => [
      { ofport: 1, vlan: 0, mac: '02:00:00:00:00:0a', ageSec: 3 },
      { ofport: 0xfffe, vlan: 10, mac: '02:00:00:00:00:0b', ageSec: -1 },
    ],
    add: (name: string, vlan: number, mac: number): boolean => {
      this.world.journal.push(`fdbAdd ${this.name} ${name} ${vlan} ${mac.toString(16)}`);
      return mac !== 1;
    },
    delete: (vlan: number, mac: number): boolean => {
      this.world.journal.push(`fdbDelete ${this.name} ${vlan} ${mac.toString(16)}`);
      return mac !== 1;
    },
    stats: () => ({ nEntries: 1, maxEntries: 8192, nStatic: 0, learned: 3, expired: 1, evicted: 0, moved: 1 }),
    clearStats: (): void => {
      this.world.journal.push(`clear ${this.name}`);
    },
    flush: (): void => {
      this.world.journal.push(`flush ${this.name}`);
    },
  };
  async destroy(): Promise<void> {
    this.world.journal.push(`destroy ${this.name}`);
    for (const name of this.ports.keys()) {
      this.world.ports?.delete(name);
      this.world.netdevs.devices.delete(name);
    }
    this.backer.ofprotos.delete(this.name);
  }
}
