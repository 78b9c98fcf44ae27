/**
 * The backer: the one datapath ("ovs-system") that all bridges share, and the switches on it.  It opens the datapath or makes it, and
 * runs the upcall handler and the revalidator.  `backer-ports.ts` knows which port of it is which switch's.
 *
 * After a restart the datapath goes on with the flows that it has.  They are left alone until the bridges are configured
 * (`settling.ts`), and then revalidated like our own.
 * Source: ofproto/ofproto-dpif.c (struct dpif_backer, open_dpif_backer, type_run).
 */
import { DPIF_PER_CPU_PID, type Dpif, type DpifProvider } from '../../dpif/dpif.ts';
import { errnoOf } from '../../dpif/dpif-error.ts';
import { dpifFullName } from '../../dpif/dpif-name.ts';
import type { DpifOp, DpifPortStats } from '../../dpif/dpif-types.ts';
import type { Ufid } from '../../odp/odp-ufid.ts';
import { monotonicMs } from '../../util/clock.ts';
import { ERRNO } from '../../util/errno.ts';
import { vlog } from '../../util/vlog.ts';
import { MeterIds } from '../meters/meter-ids.ts';
import { OfprotoSwitch } from '../ofproto.ts';
import type {
  BackerOptions,
  FlowControl,
  OfprotoBacker,
  OpenBacker,
  PortVanishedHandler,
} from '../ofproto-provider.ts';
import type { SwitchPort } from '../ports/switch-port.ts';
import { formatDetrace } from '../show/detrace.ts';
import { formatDpif, formatUpcalls } from '../show/show.ts';
import { Tunnels } from '../tunnel/tunnels.ts';
import { type Scheduler, systemScheduler } from '../udpif/scheduler.ts';
import { Udpif } from '../udpif/udpif.ts';
import { equalBytes } from '../udpif/ukey.ts';
import { trace, tracePacketOut } from '../xlate/trace/trace.ts';
import { BackerPorts } from './backer-ports.ts';
import { CtZoneLimits, type ZoneLimits } from './ct-zone-limits.ts';
import { CtZones, type ZoneTimeouts } from './ct-zones.ts';
import { probeDpSupport } from './dp-probe.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from './dp-support.ts';
import { Settling } from './settling.ts';
import type { SwitchBacker } from './switch-backer.ts';

const log = vlog('ofproto_dpif');

/** How often MAC tables age. */
const TICK_MS = 1000;
export class DpifBacker implements OfprotoBacker, SwitchBacker {
  readonly dpif: Dpif;
  readonly meterIds: MeterIds;
  readonly tunnels: Tunnels;
  /** What the datapath can do, whatever is made use of. */
  probedSupport: DpSupport = KERNEL_DP_SUPPORT;
  private readonly switches = new Map<string, OfprotoSwitch>();
  private readonly ports: BackerPorts;
  private readonly udpif: Udpif;
  private readonly scheduler: Scheduler;
  private readonly vanishedHandlers = new Set<PortVanishedHandler>();
  private cancelTick: () => void = () => {};
  private stopPolling: () => void = () => {};
  private readonly ctZones: CtZones;
  private readonly ctLimits: CtZoneLimits;
  private readonly settling: Settling;
  private isRunScheduled = false;
  private isClosed = false;
  onStrayPorts: (() => void) | undefined;
  onPortGone: ((name: string) => void) | undefined;

  constructor(dpif: Dpif, options: BackerOptions, scheduler: Scheduler) {
    this.dpif = dpif;
    this.meterIds = new MeterIds(dpif);
    this.ctZones = new CtZones(dpif);
    this.ctLimits = new CtZoneLimits(dpif);
    this.settling = new Settling(scheduler, options.flowRestoreWait === true, () => this.settle());
    this.tunnels = new Tunnels(dpif);
    this.scheduler = scheduler;
    this.ports = new BackerPorts(dpif, this.tunnels, this.switches, scheduler, {
      vanished: (bridge, port) => {
        for (const handler of this.vanishedHandlers) handler(bridge, port);
      },
      strays: () => this.onStrayPorts?.(),
    });
    this.udpif = new Udpif(
      dpif,
      {
        byOdpPort: (odpPort) => this.ports.ownerOf(odpPort),
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
    if (!this.settling.isWaiting) await this.udpif.start();
    this.stopPolling = this.dpif.portPoll((event) => this.ports.event(event));
    this.tick();
    if (isFresh) this.configured();
    else this.settling.begin();
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
    this.settling.isWaiting = false;
    try {
      await this.udpif.start();
      this.configured();
    } catch (e) {
      log.err(`${dpifFullName(this.dpif)}: cannot take packets: ${String(e)}`);
    }
  }

  configured(): void {
    this.settling.end();
  }

  private settle(): void {
    log.info(`${dpifFullName(this.dpif)}: flows are being checked from now on`);
    this.udpif.settle();
    this.udpif.revalidate();
  }

  setOptions(options: Partial<BackerOptions>): void {
    const { state } = this.udpif;
    if (this.settling.isWaiting && options.flowRestoreWait !== true) void this.endWait();
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
    if (gone) this.switches.delete(ofproto.name);
    this.ports.changed(ofproto, gone);
    this.revalidate();
    this.settling.touch();
  }

  attach(name: string, type: string): Promise<number> {
    return this.ports.attach(name, type);
  }

  detach(odpPort: number): Promise<void> {
    return this.ports.detach(odpPort);
  }

  strayPorts(): Promise<{ name: string; portNo: number }[]> {
    return this.ports.strays();
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

  async revalidated(): Promise<void> {
    // Flows of before are not checked against bridges whose ports are yet to come.
    if (!this.settling.isWaiting) await this.settling.whenOver;
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
    this.settling.close();
    for (const s of this.switches.values()) s.close();
    this.cancelTick();
    this.stopPolling();
    this.ports.close();
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
