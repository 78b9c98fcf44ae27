/**
 * The backer: the one datapath ("ovs-system") that all bridges share, the switches on it, and which datapath port is which
 * switch's.  It opens the datapath or makes it, finds ports of an earlier run there and takes them over, notices ports that
 * vanish, and runs the upcall handler and the revalidator.
 *
 * After a restart the datapath goes on with the flows that it has.  They are left alone until the bridges are configured
 * (`configured()`, or a while without changes), and then revalidated like our own.
 * Source: ofproto/ofproto-dpif.c (struct dpif_backer, open_dpif_backer, type_run).
 */
import { DPIF_PER_CPU_PID, type Dpif, type DpifProvider } from '../dpif/dpif.ts';
import { errnoOf } from '../dpif/dpif-error.ts';
import { dpifFullName } from '../dpif/dpif-name.ts';
import type { DpifOp, DpifPortStats, PortEvent } from '../dpif/dpif-types.ts';
import type { Ufid } from '../odp/odp-ufid.ts';
import { monotonicMs } from '../util/clock.ts';
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';
import { ODPP_NONE } from './bundle.ts';
import { CtZoneLimits, type ZoneLimits } from './ct-zone-limits.ts';
import { CtZones, type ZoneTimeouts } from './ct-zones.ts';
import { formatDetrace } from './detrace.ts';
import { probeDpSupport } from './dp-probe.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from './dp-support.ts';
import { MeterIds } from './meters/meter-ids.ts';
import { OfprotoSwitch } from './ofproto.ts';
import type { BackerOptions, FlowControl, OfprotoBacker, OpenBacker, PortVanishedHandler } from './ofproto-provider.ts';
import { formatDpif, formatUpcalls } from './show.ts';
import { StrayWatch } from './stray-watch.ts';
import type { SwitchBacker } from './switch-backer.ts';
import { PATCH, type SwitchPort } from './switch-port.ts';
import { tunnelDeviceName } from './tunnel/tunnel-devices.ts';
import { Tunnels } from './tunnel/tunnels.ts';
import { type Scheduler, systemScheduler } from './udpif/scheduler.ts';
import { Udpif } from './udpif/udpif.ts';
import { equalBytes } from './udpif/ukey.ts';
import { trace, tracePacketOut } from './xlate/trace/trace.ts';

const log = vlog('ofproto_dpif');

/** The datapath's own port, which no bridge has. */
const DP_LOCAL_PORT = 0;
/** How often MAC tables age. */
const TICK_MS = 1000;
/**
 * Without `configured()`, the bridges count as configured after this long without a change, or this long at all.  Long, for slow
 * machines: flows of ports that no bridge has yet would be deleted.
 */
const SETTLE_QUIET_MS = 10_000;
const SETTLE_MAX_MS = 60_000;

interface Owner {
  readonly bridge: OfprotoSwitch;
  readonly ofport: number;
}

export class DpifBacker implements OfprotoBacker, SwitchBacker {
  readonly dpif: Dpif;
  readonly meterIds: MeterIds;
  readonly tunnels: Tunnels;
  /** What the datapath can do, whatever is made use of. */
  probedSupport: DpSupport = KERNEL_DP_SUPPORT;
  private readonly switches = new Map<string, OfprotoSwitch>();
  private readonly owners = new Map<number, Owner>();
  private readonly udpif: Udpif;
  private readonly scheduler: Scheduler;
  private readonly vanishedHandlers = new Set<PortVanishedHandler>();
  private cancelTick: () => void = () => {};
  private cancelSettle: () => void = () => {};
  private cancelSettleMax: () => void = () => {};
  private stopPolling: () => void = () => {};
  private readonly ctZones: CtZones;
  private readonly ctLimits: CtZoneLimits;
  /** Resolves when flows are checked, or the datapath is given up. */
  private readonly whenSettled: Promise<void>;
  private tellSettled: () => void = () => {};
  private isRunScheduled = false;
  private isClosed = false;
  /** other_config:flow-restore-wait. */
  private isWaiting: boolean;
  onStrayPorts: (() => void) | undefined;
  onPortGone: ((name: string) => void) | undefined;
  private readonly strays: StrayWatch;
  /** One look at the datapath's ports at a time. */
  private resync: Promise<void> | undefined;

  constructor(dpif: Dpif, options: BackerOptions, scheduler: Scheduler) {
    this.dpif = dpif;
    this.whenSettled = new Promise((resolve) => {
      this.tellSettled = resolve;
    });
    this.meterIds = new MeterIds(dpif);
    this.ctZones = new CtZones(dpif);
    this.ctLimits = new CtZoneLimits(dpif);
    this.isWaiting = options.flowRestoreWait === true;
    this.tunnels = new Tunnels(dpif);
    this.scheduler = scheduler;
    const isPort = (name: string): boolean => [...this.switches.values()].some((s) => s.ports.has(name));
    this.strays = new StrayWatch(scheduler, isPort, () => void this.findStrays());
    this.udpif = new Udpif(
      dpif,
      {
        byOdpPort: (odpPort) => this.owners.get(odpPort),
        byTunnel: (flow) => this.tunnels.find(flow),
        byUuid: (uuid) => this.byUuid(uuid),
      },
      scheduler,
      options,
    );
    // When the statistics are fresh: a packet that was forwarded before is not taken for one of the next rule.
    this.udpif.revalidator.onDumped = () => {
      for (const s of this.switches.values()) s.expireRules();
    };
  }

  get flows(): FlowControl {
    return this.udpif;
  }

  get ofprotos(): ReadonlyMap<string, OfprotoSwitch> {
    return this.switches;
  }

  /** What translation may use of the datapath, and what that can. */
  get support(): DpSupport {
    return this.udpif.state.support;
  }

  /** Has flows made with `support`; those there are are made anew. */
  async setSupport(support: DpSupport): Promise<void> {
    this.udpif.state.support = support;
    this.revalidate();
    await this.udpif.flush();
  }

  /** Starts handling; `isFresh`: the datapath was made a moment ago and has no flows. */
  async start(isFresh: boolean): Promise<void> {
    await this.meterIds.start();
    await this.ctZones.start();
    this.probedSupport = await probeDpSupport(this.dpif);
    this.udpif.state.support = this.probedSupport;
    if (!this.isWaiting) await this.udpif.start();
    this.stopPolling = this.dpif.portPoll((event) => this.portEvent(event));
    this.tick();
    if (isFresh) this.configured();
    else this.cancelSettleMax = this.scheduler.after(SETTLE_MAX_MS, () => this.configured());
  }

  private tick(): void {
    this.run();
    this.cancelTick = this.scheduler.after(TICK_MS, () => this.tick());
  }

  private run(): void {
    for (const s of this.switches.values()) s.run();
    void this.ctZones.sweep(monotonicMs());
  }

  async setCtZones(zones: ReadonlyMap<number, ZoneTimeouts>): Promise<void> {
    if (await this.ctZones.set(zones)) this.revalidate();
  }
  setCtLimits(limits: ZoneLimits): Promise<void> {
    return this.ctLimits.set(limits);
  }
  ctPolicyName(zone: number, isIpv4: boolean, proto: number): string | undefined {
    return this.ctZones.policyName(zone, isIpv4, proto);
  }

  /** Flows have been restored: packets are taken from the datapath from now on, and its flows checked. */
  private async endWait(): Promise<void> {
    this.isWaiting = false;
    try {
      await this.udpif.start();
      this.configured();
    } catch (e) {
      log.err(`${dpifFullName(this.dpif)}: cannot take packets: ${String(e)}`);
    }
  }

  configured(): void {
    if (this.udpif.isSettled || this.isClosed || this.isWaiting) return;
    this.cancelSettle();
    this.cancelSettleMax();
    log.info(`${dpifFullName(this.dpif)}: flows are being checked from now on`);
    this.udpif.settle();
    this.tellSettled();
    this.udpif.revalidate();
  }

  setOptions(options: Partial<BackerOptions>): void {
    const { state } = this.udpif;
    if (this.isWaiting && options.flowRestoreWait !== true) void this.endWait();
    state.options = { ...state.options, ...options };
    state.flowLimit = Math.min(state.flowLimit, state.options.flowLimit);
    this.udpif.revalidator.wake();
  }

  createOfproto(name: string): OfprotoSwitch {
    if (this.switches.has(name)) throw new RangeError(`${name}: there is a switch of that name`);
    const made = new OfprotoSwitch(name, this);
    this.switches.set(name, made);
    this.revalidate();
    return made;
  }

  revalidate(): void {
    this.udpif.revalidate();
  }

  macsChanged(): void {
    // A batch may teach many addresses; flows are looked at once for all of them.
    if (this.isRunScheduled) return;
    this.isRunScheduled = true;
    void this.scheduler.yield().then(() => {
      this.isRunScheduled = false;
      if (!this.isClosed) this.run();
    });
  }

  changed(ofproto: OfprotoSwitch, gone: boolean): void {
    for (const [odpPort, owner] of this.owners) if (owner.bridge === ofproto) this.owners.delete(odpPort);
    if (gone) this.switches.delete(ofproto.name);
    else {
      for (const { odpPort, ofport, tunnel } of ofproto.xports) {
        if (odpPort !== ODPP_NONE && tunnel === undefined) this.owners.set(odpPort, { bridge: ofproto, ofport });
      }
    }
    this.revalidate();
    if (this.udpif.isSettled || this.isClosed) return;
    this.cancelSettle();
    this.cancelSettle = this.scheduler.after(SETTLE_QUIET_MS, () => this.configured());
  }

  async attach(name: string, type: string): Promise<number> {
    const dpType = type === 'internal' ? 'internal' : 'system';
    const there = await this.dpif.portQuery(name);
    if (there !== undefined && there.type === dpType && there.portNo !== DP_LOCAL_PORT) {
      const owner = this.owners.get(there.portNo);
      if (owner === undefined) return there.portNo;
      throw new RangeError(`${name}: already a port of bridge ${owner.bridge.name}`);
    }
    if (there !== undefined && there.portNo !== DP_LOCAL_PORT) await this.dpif.portDel(there.portNo);
    return this.dpif.portAdd(name, dpType, undefined);
  }

  async detach(odpPort: number): Promise<void> {
    if (!this.tunnels.devices.release(odpPort)) return;
    try {
      await this.dpif.portDel(odpPort, true);
    } catch (e) {
      // It went by itself: then it is where we want it.
      const errno = errnoOf(e);
      if (errno !== ERRNO.ENODEV && errno !== ERRNO.ENOENT) throw e;
    }
  }

  byUuid(uuid: Uint8Array): OfprotoSwitch | undefined {
    return [...this.switches.values()].find((s) => equalBytes(s.uuid, uuid));
  }

  portGone(name: string): void {
    this.onPortGone?.(name);
  }

  forgetMac(mac: number, vlan: number): void {
    for (const bridge of this.switches.values()) bridge.macs.forget(mac, vlan);
  }

  patchPort(name: string, peer: string): { readonly bridge: OfprotoSwitch; readonly port: SwitchPort } | undefined {
    for (const bridge of this.switches.values()) {
      const port = bridge.patchPort(name, peer);
      if (port !== undefined) return { bridge, port };
    }
    return undefined;
  }

  portStats(odpPort: number): Promise<DpifPortStats> {
    return this.dpif.portStats(odpPort);
  }

  operate(ops: DpifOp[]): Promise<void> {
    return this.dpif.operate(ops);
  }

  upcallPid(odpPort: number | undefined): number {
    return this.dpif.upcallPid?.(odpPort) ?? DPIF_PER_CPU_PID;
  }

  onPortVanished(handler: PortVanishedHandler): () => void {
    this.vanishedHandlers.add(handler);
    return () => this.vanishedHandlers.delete(handler);
  }

  private portEvent(event: PortEvent): void {
    if (this.isClosed) return;
    if (event.kind === 'resync') this.strays.added(undefined);
    else if (!event.deleted) {
      this.strays.added(event.name);
      return;
    }
    // One look at all ports serves any number of events; those during a look ask for another.
    const look = async () => {
      try {
        await this.findVanished();
      } catch (e) {
        log.warn(() => `${dpifFullName(this.dpif)}: cannot list ports: ${String(e)}`);
      }
    };
    const next: Promise<void> = (this.resync ?? Promise.resolve()).then(look);
    this.resync = next;
    void next.then(() => {
      if (this.resync === next) this.resync = undefined;
    });
  }

  /** Forgets ports whose devices are no longer in the datapath; those that came back with another number have that. */
  private async findVanished(): Promise<void> {
    const ports = (s: OfprotoSwitch) => new Map(Array.from(s.ports.values(), (p) => [p, { ...p }]));
    const before = new Map([...this.switches].map(([name, s]) => [name, ports(s)]));
    const dumped = await this.dpif.portDump();
    const there = new Map(dumped.map((p) => [p.portNo, p.name]));
    const numbers = new Map(dumped.map((p) => [p.name, p.portNo]));
    for (const s of this.switches.values()) {
      for (const port of [...s.ports.values()]) {
        // A port that was added, or became another one of the datapath, while we asked is not missing.
        const device = port.tunnel === undefined ? port.name : tunnelDeviceName(port.tunnel);
        const was = before.get(s.name)?.get(port);
        if (port.type === PATCH || was?.odpPort !== port.odpPort || was.tunnel !== port.tunnel) continue;
        if (there.get(port.odpPort) === device) continue;
        const number = numbers.get(device);
        if (port.tunnel === undefined && number !== undefined && !this.owners.has(number)) {
          s.portRenumbered(port.name, number);
          continue;
        }
        if (port.tunnel !== undefined) this.tunnels.devices.forget(port.odpPort);
        s.portVanished(port.name);
        for (const handler of this.vanishedHandlers) handler(s.name, port.name);
      }
    }
  }

  private async findStrays(): Promise<void> {
    try {
      if (!this.isClosed && (await this.strayPorts()).length > 0) this.onStrayPorts?.();
    } catch (e) {
      log.dbg(() => `${dpifFullName(this.dpif)}: cannot list ports: ${String(e)}`);
    }
  }

  async strayPorts(): Promise<{ name: string; portNo: number }[]> {
    const ports = await this.dpif.portDump();
    return ports
      .filter((p) => p.portNo !== DP_LOCAL_PORT && !this.owners.has(p.portNo))
      .filter((p) => this.tunnels.devices.nameOf(p.portNo) === undefined)
      .map(({ name, portNo }) => ({ name, portNo }));
  }

  async revalidated(): Promise<void> {
    // Flows of before are not checked against bridges whose ports are yet to come.
    if (!this.isWaiting) await this.whenSettled;
    if (this.isClosed) return;
    this.run();
    await this.udpif.revalidator.wholeRound();
  }

  async showDpif(): Promise<string> {
    return formatDpif(dpifFullName(this.dpif), await this.dpif.stats(), this.switches.values());
  }

  async trace(args: readonly string[], isPacketOut: boolean): Promise<string> {
    const ports = await this.dpif.portDump();
    const world = {
      type: this.dpif.type,
      bridges: this.switches,
      lookup: this.udpif.state.bridges,
      dpPorts: new Map(ports.map(({ name, portNo }) => [name, portNo])),
    };
    return (isPacketOut ? tracePacketOut : trace)(args, world, (op) => this.dpif.operate([op]));
  }

  detrace(ufid: Ufid): string {
    return formatDetrace(this.udpif.state.ukeys.get(ufid), this.switches.values());
  }

  listTunnels(): string {
    return this.tunnels.list();
  }

  memory(): Record<string, number> {
    let [ports, rules] = [0, 0];
    for (const s of this.switches.values()) {
      ports += s.ports.size;
      rules += s.tables.size;
    }
    return { handlers: 1, revalidators: 1, 'udpif keys': this.udpif.state.ukeys.size, ports, rules };
  }

  showUpcall(): string {
    return formatUpcalls(this.udpif.state);
  }

  async close(deleteDatapath: boolean): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.tellSettled();
    for (const s of this.switches.values()) s.close();
    this.cancelTick();
    this.cancelSettle();
    this.cancelSettleMax();
    this.stopPolling();
    this.strays.close();
    try {
      await this.udpif.stop();
      if (deleteDatapath) await this.dpif.destroy();
    } catch (e) {
      // A datapath that is gone needs neither.
      log.warn(() => `${dpifFullName(this.dpif)}: ${String(e)}`);
    } finally {
      this.dpif.close();
    }
  }
}

/** Opens datapath `name`, which is made if there is none, and starts handling its upcalls. */
export const openBacker: OpenBacker = async (provider, name, options) =>
  openBackerWith(provider, name, options, systemScheduler);

/** The same with a scheduler of the caller's. */
export async function openBackerWith(
  provider: DpifProvider,
  name: string,
  options: BackerOptions,
  scheduler: Scheduler,
): Promise<DpifBacker> {
  let isFresh = false;
  let dpif: Dpif;
  try {
    dpif = await provider.open(name, false);
  } catch (e) {
    if (errnoOf(e) !== ERRNO.ENODEV) throw e;
    dpif = await provider.open(name, true);
    isFresh = true;
  }
  const backer = new DpifBacker(dpif, options, scheduler);
  await backer.start(isFresh);
  return backer;
}
