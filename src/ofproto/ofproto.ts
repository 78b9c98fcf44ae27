/**
 * A bridge's switch: its ports and their OpenFlow numbers, its bundles, its MAC table and its flow table.
 * `backer.ts` owns it, and the datapath that it shares with the other bridges; translation sees it as an XBridge.
 * Source: ofproto/ofproto.c, ofproto/ofproto-dpif.c (bundle_set, port_construct, port_destruct).
 */
import { randomBytes } from 'node:crypto';
import type { Dpif } from '../dpif/dpif.ts';
import type { DpifOp, DpifPortPolicing, DpifPortStats } from '../dpif/dpif-types.ts';
import type { TunnelSettings } from '../dpif/tunnel-settings.ts';
import type { FlowKey, FlowMask } from '../flow/flow-key.ts';
import type { FlowMod, Resume } from '../openflow/messages/flow-types.ts';
import { OFPERR, OfpError } from '../openflow/ofp-errors.ts';
import { OFPP } from '../openflow/ofp-port.ts';
import type { TlvTable } from '../openflow/tlv-table.ts';
import { monotonicMs } from '../util/clock.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { Bundle, ODPP_NONE, type XPort } from './bundle.ts';
import { Control } from './connmgr/control.ts';
import type { ControllerStatus, OpenflowSettings, PortDevice } from './connmgr/openflow-settings.ts';
import { checkDpActions, checkDpMask } from './dp-check.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from './dp-support.ts';
import type { Group } from './groups/group.ts';
import { GroupTable } from './groups/group-table.ts';
import { LearnedCookies } from './learned-cookies.ts';
import { formatMac, MAC_DEFAULT_AGING_SEC, MAC_DEFAULT_MAX, type MacStats, MacTable } from './mac-learning.ts';
import type { MeterIds } from './meters/meter-ids.ts';
import { MeterTable } from './meters/meter-table.ts';
import type { MirrorSettings, MirrorStats } from './mirror/mirror-settings.ts';
import { MirrorTable } from './mirror/mirror-table.ts';
import type { BundleConfig, DevicePlace, FdbEntry, Ofport, OfportRequest, Ofproto } from './ofproto-provider.ts';
import { type PacketToSend, type PreparedPacket, preparePacket, prepareResumption } from './packet-execute.ts';
import { PortNumbers } from './port-numbers.ts';
import { formatAllFlows } from './show-flows.ts';
import { PATCH, SwitchPort } from './switch-port.ts';
import { FlowTables } from './tables/flow-tables.ts';
import type { Rule } from './tables/rule.ts';
import type { Tunnels } from './tunnel/tunnels.ts';
import { TableLearnedFlow } from './xlate/learn.ts';
import { plainLookup, TableLookup } from './xlate/table-lookup.ts';
import type { LearnedFlow, LookupHow, PacketInEvent, XBridge } from './xlate/xbridge.ts';
import { queueDscps } from './xlate/xlate-dscp.ts';
import { queuePriority } from './xlate/xlate-send.ts';

const log = vlog('ofproto_dpif');
const limit = new RateLimit(60, 5);

/** What a switch needs of the datapath that it shares. */
export interface SwitchBacker {
  readonly dpif?: Dpif;
  /** What translation may make use of; what openvswitch.ko can, if undefined. */
  readonly support?: DpSupport;
  /** The datapath's meters. */
  readonly meterIds: MeterIds;
  readonly tunnels: Tunnels;
  /** Has all flows checked again. */
  revalidate(): void;
  /** Puts device `name` into the datapath, or finds it there; resolves to its number. */
  attach(name: string, type: string): Promise<number>;
  detach(odpPort: number): Promise<void>;
  portStats(odpPort: number): Promise<DpifPortStats>;
  /** The switch of that id. */
  byUuid(uuid: Uint8Array): XBridge | undefined;
  /** The patch port `name` of any switch whose peer is `peer`. */
  patchPort(name: string, peer: string): { readonly bridge: XBridge; readonly port: XPort } | undefined;
  /** Has the datapath carry out operations, as Dpif.operate. */
  operate(ops: DpifOp[]): Promise<void>;
  upcallPid(odpPort: number | undefined): number;
  /** The timeout policy of a zone of the connection tracker. */
  ctPolicyName?(zone: number, isIpv4: boolean, proto: number): string | undefined;
  /** The switch's ports or bundles changed; `gone` if the switch itself did. */
  changed(ofproto: OfprotoSwitch, gone: boolean): void;
  /** Has all switches forget where `mac` is in `vlan`. */
  forgetMac?(mac: number, vlan: number): void;
  /** Soon after this the MAC table's changes have flows revalidated. */
  macsChanged(): void;
}

const TYPES: ReadonlySet<string> = new Set([
  'system',
  'internal',
  'tap',
  '',
  'dummy',
  'dummy-internal',
  'dummy-pmd',
  'patch',
]);

export class OfprotoSwitch implements Ofproto, XBridge {
  readonly name: string;
  readonly uuid: Uint8Array = randomBytes(16);
  readonly tables: FlowTables;
  readonly groups: GroupTable;
  readonly meters: MeterTable;
  /** OpenFlow's side. */
  readonly control = new Control(this);
  private readonly learned = new LearnedCookies();
  /** How packets find rules; also what fragments and misses meet. */
  readonly lookups: TableLookup;
  /** Takes packets for controllers. */
  onPacketIn: ((event: PacketInEvent) => void) | undefined;
  readonly macs = new MacTable<Bundle>();
  readonly mirrors = new MirrorTable();
  private readonly backer: SwitchBacker;
  private readonly byName = new Map<string, SwitchPort>();
  private byNumber = new Map<number, SwitchPort>();
  private readonly byBundle = new Map<string, Bundle>();
  private readonly numbers = new PortNumbers();
  private hwaddr = '';

  constructor(name: string, backer: SwitchBacker) {
    this.name = name;
    this.backer = backer;
    this.tables = new FlowTables((changes) => {
      backer.revalidate();
      this.learned.update(this.tables, changes);
      this.control.conns.flowsChanged(changes);
    });
    this.groups = new GroupTable(this.tables, { onChange: () => backer.revalidate() });
    this.meters = new MeterTable(this.tables, backer.meterIds, () => backer.revalidate());
    this.tables.checkActions = (actions) => {
      this.groups.checkActions(actions);
      this.meters.checkActions(actions);
    };
    this.tables.checkRule = (mask, actions) => {
      if (mask !== undefined) checkDpMask(mask, this.support);
      checkDpActions(actions, this.support);
    };
    this.lookups = new TableLookup(this.tables, (ofport) => this.byNumber.get(ofport)?.config);
    this.lookups.wantsMisses = () => this.control.conns.wantsMisses;
    this.control.conns.start();
  }

  get support(): DpSupport {
    return this.backer.support ?? KERNEL_DP_SUPPORT;
  }
  get ports(): ReadonlyMap<string, Ofport> {
    return this.byName;
  }
  get bundles(): Iterable<Bundle> {
    return this.byBundle.values();
  }
  get xports(): Iterable<XPort> {
    return this.byNumber.values();
  }
  xport(ofport: number): XPort | undefined {
    return this.byNumber.get(ofport);
  }
  lookupRule(table: number, flow: FlowKey, wc: FlowMask, how: LookupHow = plainLookup(table)): Rule {
    return this.lookups.find(flow, wc, how);
  }
  learnFlow(flowMod: FlowMod, limit: number): LearnedFlow {
    return new TableLearnedFlow(this.tables, flowMod, limit);
  }
  lowerTimeouts(rule: Rule, idle: number, hard: number): void {
    this.tables.lowerTimeouts(rule, idle, hard);
  }
  ctPolicyName(zone: number, isIpv4: boolean, proto: number): string | undefined {
    return this.backer.ctPolicyName?.(zone, isIpv4, proto);
  }
  group(id: number): Group | undefined {
    return this.groups.find(id);
  }
  meter(id: number): number | undefined {
    return this.meters.datapathId(id);
  }
  isInBand(): boolean {
    return this.control.conns.isInBand;
  }
  isControlled(): boolean {
    return this.control.conns.isControlled;
  }
  get tlvTable(): TlvTable {
    return this.control.tlvTable;
  }
  packetIn(event: PacketInEvent): void {
    this.onPacketIn?.(event);
    this.control.conns.packetIn(event);
  }
  /** Sets what look-ups do with fragments: FRAG.* of `table-lookup.ts`. */
  setFrag(frag: number): void {
    if (this.lookups.frag === frag) return;
    this.lookups.frag = frag;
    this.backer.revalidate();
  }
  peerOf(port: XPort): { readonly bridge: XBridge; readonly port: XPort } | undefined {
    const { peer } = port as SwitchPort;
    return peer === undefined ? undefined : this.backer.patchPort(peer, port.name);
  }
  /** The patch port `name`, if its peer is `peer`. */
  patchPort(name: string, peer: string): SwitchPort | undefined {
    const port = this.byName.get(name);
    return port?.peer === peer ? port : undefined;
  }
  get queuePriority(): ((queue: number) => number | undefined) | undefined {
    return this.backer.dpif?.queuePriority;
  }
  upcallPid(ofport: number): number {
    const port = this.byNumber.get(ofport);
    return this.backer.upcallPid(port?.type === PATCH ? undefined : port?.odpPort);
  }
  /** The MAC address of the LOCAL port, as set. */
  get localAddress(): string {
    return this.hwaddr;
  }

  learn(mac: number, vlan: number, bundle: Bundle, isGarp: boolean): void {
    if (this.macs.update(mac, vlan, bundle, { isGratuitousArp: isGarp, isBond: bundle.members.length > 1 })) {
      log.dbg(
        () => `bridge ${this.name}: learned that ${formatMac(mac)} is on port ${bundle.name} in VLAN ${vlan}`,
        limit,
      );
    }
    if (this.macs.needRevalidate) this.backer.macsChanged();
  }

  async portAdd(request: OfportRequest): Promise<Ofport> {
    const { name } = request;
    if (!TYPES.has(request.type) && request.tunnel === undefined) {
      throw new RangeError(`${name}: interface type "${request.type}" is not supported, want system, internal or tap`);
    }
    const type = request.type === '' ? 'system' : request.type;
    const old = this.byName.get(name);
    if (old !== undefined) {
      const isSameNumber = request.isLocal || request.ofport === undefined || request.ofport === old.ofport;
      if (isSameNumber && old.type === type) return old;
      await this.portDel(name);
    }
    const odpPort = type === PATCH ? ODPP_NONE : await this.attach(request, type);
    const ofport = request.isLocal ? OFPP.LOCAL : this.numbers.take(name, request.ofport, request.before);
    if (ofport === undefined) {
      if (type !== PATCH) await this.backer.detach(odpPort);
      throw new RangeError(`${name}: bridge ${this.name} has no free OpenFlow port number`);
    }
    const port = new SwitchPort(name, type, ofport, odpPort, request.tunnel);
    try {
      if (request.tunnel !== undefined) this.backer.tunnels.put(this, port, request.tunnel);
    } catch (error) {
      this.numbers.release(ofport);
      await this.backer.detach(odpPort);
      throw error;
    }
    this.byName.set(name, port);
    this.byNumber.set(ofport, port);
    this.byNumber = new Map([...this.byNumber].sort(([a], [b]) => a - b));
    for (const bundle of this.byBundle.values()) if (bundle.memberNames.includes(name)) this.join(bundle, port);
    this.changed();
    return port;
  }

  private attach({ name, tunnel }: OfportRequest, type: string): Promise<number> {
    return tunnel === undefined ? this.backer.attach(name, type) : this.backer.tunnels.devices.attach(tunnel);
  }

  async setTunnel(name: string, settings: TunnelSettings): Promise<void> {
    const port = this.byName.get(name);
    if (port?.tunnel === undefined) throw new RangeError(`${name}: bridge ${this.name} has no such tunnel`);
    const { tunnels } = this.backer;
    tunnels.remove(port);
    try {
      if (!tunnels.devices.fits(port.odpPort, settings)) {
        await this.backer.detach(port.odpPort);
        port.odpPort = ODPP_NONE;
        port.odpPort = await tunnels.devices.attach(settings);
      }
      if (this.byName.get(name) !== port) throw new Error(`${name} is gone`);
      tunnels.put(this, port, settings);
    } catch (error) {
      if (this.byName.get(name) === port) this.forget(name);
      if (port.odpPort !== ODPP_NONE) await this.backer.detach(port.odpPort);
      throw error;
    }
    port.tunnel = settings;
    this.changed();
  }

  async portDel(name: string): Promise<void> {
    const port = this.forget(name);
    this.numbers.forget(name);
    if (port !== undefined && port.type !== PATCH) await this.backer.detach(port.odpPort);
  }

  /** The port's device is gone from the datapath, whoever removed it: its number and place stay remembered. */
  portVanished(name: string): void {
    this.forget(name);
  }

  private forget(name: string): SwitchPort | undefined {
    const port = this.byName.get(name);
    if (port === undefined) return undefined;
    this.byName.delete(name);
    this.byNumber.delete(port.ofport);
    if (port.tunnel !== undefined) this.backer.tunnels.remove(port);
    if (port.ofport !== OFPP.LOCAL) this.numbers.release(port.ofport);
    this.leave(port);
    log.dbg(`bridge ${this.name}: deleted interface ${name} on port ${port.ofport}`);
    this.changed();
    return port;
  }

  preparePacket(packet: PacketToSend): PreparedPacket {
    return preparePacket(this, packet, (ops) => this.backer.operate(ops));
  }
  prepareResumption(resume: Resume): PreparedPacket {
    const bridge = this.backer.byUuid(resume.private.bridge);
    if (bridge === undefined) throw new OfpError(OFPERR.NXR_STALE, 'the bridge of the continuation is gone');
    return prepareResumption(bridge, resume, (ops) => this.backer.operate(ops));
  }

  get onControllerStatus(): (() => void) | undefined {
    return this.control.conns.onStatus;
  }
  set onControllerStatus(handler: (() => void) | undefined) {
    this.control.conns.onStatus = handler;
  }

  setOpenflow(settings: OpenflowSettings): void {
    this.control.configure(settings);
  }

  controllerStatus(): ReadonlyMap<string, ControllerStatus> {
    return this.control.conns.status();
  }

  async devicePlace(name: string): Promise<DevicePlace | undefined> {
    const { ifindex, netnsid } = (await this.backer.dpif?.portQuery(name)) ?? {};
    return ifindex === undefined || netnsid === undefined ? undefined : { ifindex, netnsid };
  }

  setPortDevice(name: string, device: PortDevice): void {
    this.control.setPortDevice(name, device);
    this.setPortLive(name, device.isUp && device.hasCarrier);
  }

  /** Says whether a port's device is up, and its link. */
  setPortLive(name: string, isLive: boolean): void {
    const port = this.byName.get(name);
    if (port === undefined || port.isUp === isLive) return;
    port.isUp = isLive;
    this.backer.revalidate();
  }

  setPortQueues(name: string, dscps: ReadonlyMap<number, number>): void {
    const port = this.byName.get(name);
    if (port === undefined) return;
    const before = port.queueDscps ?? new Map<number, number>();
    const now = queueDscps(dscps, this.queuePriority ?? queuePriority);
    if (now.size === before.size && [...now].every(([key, value]) => before.get(key) === value)) return;
    port.queueDscps = now;
    this.backer.revalidate();
  }

  reconnect(): void {
    this.control.conns.reconnect();
  }

  get dpif(): Dpif | undefined {
    return this.backer.dpif;
  }

  /** OFPPC_* bits of a port; a RangeError if there is none of that name. */
  setPortConfig(name: string, config: number): void {
    const port = this.byName.get(name);
    if (port === undefined) throw new RangeError(`${name}: bridge ${this.name} has no such port`);
    if (port.config === config) return;
    port.config = config;
    this.control.portsChanged();
    this.backer.revalidate();
  }

  setPatchPeer(name: string, peer: string | undefined): void {
    const port = this.byName.get(name);
    if (port?.type !== PATCH) throw new RangeError(`${name}: bridge ${this.name} has no such patch port`);
    if (port.peer === peer) return;
    port.peer = peer;
    this.backer.revalidate();
  }

  async portStats(name: string): Promise<DpifPortStats> {
    const port = this.byName.get(name);
    if (port === undefined) throw new RangeError(`${name}: bridge ${this.name} has no such port`);
    return port.ownStats ?? this.backer.portStats(port.odpPort);
  }

  async portPolice(name: string, policing: DpifPortPolicing): Promise<boolean> {
    const port = this.byName.get(name);
    if (port === undefined || port.counts !== undefined) return false;
    return (await this.backer.dpif?.portPolice?.(port.odpPort, policing)) ?? false;
  }

  bundleSet(config: BundleConfig): void {
    let bundle = this.byBundle.get(config.name);
    const isNew = bundle === undefined;
    bundle ??= new Bundle(config.name);
    this.byBundle.set(config.name, bundle);
    const members = config.members.flatMap((m) => this.byName.get(m) ?? []);
    const sameMembers = members.length === bundle.members.length && members.every((m, i) => m === bundle.members[i]);
    bundle.memberNames = [...config.members];
    if (!sameMembers) {
      for (const m of bundle.members) m.bundle = undefined;
      bundle.members = [];
      for (const m of members) this.join(bundle, m);
    }
    const isChanged = bundle.configure(config);
    // What was learned on it may be wrong in its new VLANs.
    if (isChanged && !isNew) this.macs.flushPort(bundle);
    if (isNew || isChanged || !sameMembers) this.changed();
  }

  bundleRemove(name: string): void {
    const bundle = this.byBundle.get(name);
    if (bundle === undefined) return;
    this.byBundle.delete(name);
    for (const m of bundle.members) m.bundle = undefined;
    bundle.members = [];
    this.flushEverywhere(bundle);
    this.changed();
  }

  /**
   * Forgets what was learned on `bundle`, which goes, here and on all bridges: who was behind it may be behind another bridge's port now, and
   * patch ports may have told of it.
   */
  private flushEverywhere(bundle: Bundle): void {
    for (const { mac, vlan } of this.macs.flushPort(bundle)) this.backer.forgetMac?.(mac, vlan);
  }

  private join(bundle: Bundle, port: SwitchPort): void {
    this.leave(port);
    port.bundle = bundle;
    bundle.members.push(port);
  }

  private leave(port: SwitchPort): void {
    const { bundle } = port;
    if (bundle === undefined) return;
    port.bundle = undefined;
    bundle.members = bundle.members.filter((m) => m !== port);
    // With other members left, the addresses are still there.
    if (bundle.members.length === 0) this.flushEverywhere(bundle);
  }

  setMacTable(agingSec: number, maxEntries: number): void {
    this.macs.configure(agingSec || MAC_DEFAULT_AGING_SEC, maxEntries || MAC_DEFAULT_MAX);
    this.run();
  }

  setFloodVlans(vlans: readonly number[]): void {
    if (this.macs.setFloodVlans(vlans)) this.backer.revalidate();
  }

  setMirrors(mirrors: readonly MirrorSettings[]): void {
    this.mirrors.configure(mirrors, this.byBundle);
    this.backer.revalidate();
  }

  mirrorStats(id: string): MirrorStats | undefined {
    return this.mirrors.stats(id);
  }

  setHwaddr(mac: string): void {
    this.hwaddr = mac;
  }

  dumpFlows(hasOffloads: boolean): string {
    return formatAllFlows(this.tables, hasOffloads, this.tlvTable);
  }

  fdb(): FdbEntry[] {
    this.macs.run();
    return [...this.macs.entries()].flatMap((e) => {
      const port = e.port.members[0];
      if (port === undefined) return [];
      return [{ ofport: port.ofport, vlan: e.vlan, mac: formatMac(e.mac), ageSec: this.macs.age(e) }];
    });
  }

  fdbStats(): MacStats {
    return this.macs.stats;
  }

  fdbClearStats(): void {
    this.macs.clearStats();
  }

  fdbFlush(): void {
    this.macs.flush();
    this.run();
  }

  fdbAdd(name: string, vlan: number, mac: number): boolean {
    const bundle = this.byName.get(name)?.bundle;
    if (bundle === undefined) return false;
    this.macs.addStatic(mac, vlan, bundle);
    this.run();
    return true;
  }

  fdbDelete(vlan: number, mac: number): boolean {
    const isThere = this.macs.delStatic(mac, vlan);
    this.run();
    return isThere;
  }

  /** Removes rules whose time is up. */
  expireRules(): void {
    this.tables.expire(monotonicMs());
  }

  /** Ages the MAC table, and has flows revalidated if that, or what was learned lately, may change any. */
  run(): void {
    this.control.conns.run(monotonicMs());
    this.macs.run();
    if (!this.macs.needRevalidate) return;
    this.macs.needRevalidate = false;
    this.backer.revalidate();
  }

  private changed(): void {
    this.mirrors.bundlesChanged(this.byBundle);
    this.backer.changed(this, false);
    this.control.portsChanged();
  }

  /** Ends its OpenFlow connections; it goes on forwarding. */
  close(): void {
    this.control.conns.close();
  }

  async destroy(): Promise<void> {
    this.close();
    const names = [...this.byName.keys()];
    for (const name of [...this.byBundle.keys()]) this.bundleRemove(name);
    for (const name of names) await this.portDel(name);
    await this.meters.deleteAll();
    this.backer.changed(this, true);
  }
}
