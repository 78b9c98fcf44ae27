/**
 * A bridge's switch: it puts together what a bridge has (ports, bundles, MAC table, flow tables, groups, meters, controllers) and tells one of
 * the other; what each does is in a file of its own.
 * `backer.ts` owns it, and the datapath that it shares with the other bridges; translation sees it as an XBridge.
 * Source: ofproto/ofproto.c, ofproto/ofproto-dpif.c (bundle_set, port_construct, port_destruct).
 */
import { randomBytes } from 'node:crypto';
import type { Dpif } from '../dpif/dpif.ts';
import type { DpifPortPolicing, DpifPortStats } from '../dpif/dpif-types.ts';
import type { TunnelSettings } from '../dpif/tunnel-settings.ts';
import type { FlowKey, FlowMask } from '../flow/flow-key.ts';
import type { TlvTable } from '../openflow/fields/tlv-table.ts';
import type { FlowMod, Resume } from '../openflow/messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../openflow/ofp-errors.ts';
import { monotonicMs } from '../util/clock.ts';
import { checkDpActions, checkDpMask } from './backer/dp-check.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from './backer/dp-support.ts';
import type { SwitchBacker } from './backer/switch-backer.ts';
import { Control } from './connmgr/control.ts';
import type { ControllerStatus, OpenflowSettings, PortDevice } from './connmgr/openflow-settings.ts';
import type { Group } from './groups/group.ts';
import { GroupTable } from './groups/group-table.ts';
import { LearnedCookies } from './learned-cookies.ts';
import { MacTable } from './mac-learning.ts';
import type { McastSettings } from './mcast/mcast-settings.ts';
import type { McastSnooping } from './mcast/mcast-snooping.ts';
import { SwitchMcast } from './mcast/switch-mcast.ts';
import { MeterTable } from './meters/meter-table.ts';
import type { MirrorSettings, MirrorStats } from './mirror/mirror-settings.ts';
import { MirrorTable } from './mirror/mirror-table.ts';
import type { BundleConfig, DevicePlace, Ofport, OfportRequest, Ofproto } from './ofproto-provider.ts';
import { type PacketToSend, type PreparedPacket, preparePacket, prepareResumption } from './packet-execute.ts';
import type { Bundle, XPort } from './ports/bundle.ts';
import { PATCH, type SwitchPort } from './ports/switch-port.ts';
import { SwitchPorts } from './ports/switch-ports.ts';
import { formatAllFlows } from './show/show-flows.ts';
import { SwitchFdb } from './switch-fdb.ts';
import { FlowTables } from './tables/flow-tables.ts';
import type { Rule } from './tables/rule.ts';
import { TableLearnedFlow } from './xlate/actions/learn.ts';
import { queuePriority } from './xlate/actions/xlate-send.ts';
import { queueDscps } from './xlate/forward/xlate-dscp.ts';
import { plainLookup, TableLookup } from './xlate/table-lookup.ts';
import type { LearnedFlow, LookupHow, PacketInEvent, XBridge } from './xlate/xbridge.ts';

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
  readonly fdb: SwitchFdb;
  readonly mirrors = new MirrorTable();
  forwardsBpdu = false;
  readonly mdb = new SwitchMcast(() => this.run());
  private readonly backer: SwitchBacker;
  private readonly portTable: SwitchPorts;
  private hwaddr = '';

  constructor(name: string, backer: SwitchBacker) {
    this.name = name;
    this.backer = backer;
    this.portTable = new SwitchPorts(this, backer);
    const { byName } = this.portTable;
    this.fdb = new SwitchFdb(
      name,
      this.macs,
      (port) => byName.get(port)?.bundle,
      () => this.run(),
    );
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
    this.lookups = new TableLookup(this.tables, (ofport) => this.portTable.byNumber.get(ofport)?.config);
    this.lookups.wantsMisses = () => this.control.conns.wantsMisses;
    this.control.conns.onMissesWanted = () => backer.revalidate();
    this.control.conns.start();
  }

  get support(): DpSupport {
    return this.backer.support ?? KERNEL_DP_SUPPORT;
  }
  get ports(): ReadonlyMap<string, Ofport> {
    return this.portTable.byName;
  }
  get bundles(): Iterable<Bundle> {
    return this.portTable.byBundle.values();
  }
  get xports(): Iterable<XPort> {
    return this.portTable.byNumber.values();
  }
  xport(ofport: number): XPort | undefined {
    return this.portTable.byNumber.get(ofport);
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
    const port = this.portTable.byName.get(name);
    return port?.peer === peer ? port : undefined;
  }
  get queuePriority(): ((queue: number) => number | undefined) | undefined {
    return this.backer.dpif?.queuePriority;
  }
  upcallPid(ofport: number): number {
    const port = this.portTable.byNumber.get(ofport);
    return this.backer.upcallPid(port?.type === PATCH ? undefined : port?.odpPort);
  }
  /** The MAC address of the LOCAL port, as set. */
  get localAddress(): string {
    return this.hwaddr;
  }

  learn(mac: number, vlan: number, bundle: Bundle, isGarp: boolean): void {
    this.fdb.learn(mac, vlan, bundle, isGarp);
    if (this.macs.needRevalidate) this.backer.macsChanged();
  }

  portAdd(request: OfportRequest): Promise<Ofport> {
    return this.portTable.add(request);
  }
  portDel(name: string): Promise<void> {
    return this.portTable.delete(name);
  }
  setTunnel(name: string, settings: TunnelSettings): Promise<void> {
    return this.portTable.setTunnel(name, settings);
  }
  bundleSet(config: BundleConfig): void {
    this.portTable.bundleSet(config);
  }
  bundleRemove(name: string): void {
    this.portTable.bundleRemove(name);
  }
  /** The port's device is gone from the datapath, whoever removed it: its place stays remembered. */
  portVanished(name: string): void {
    this.portTable.forget(name);
  }
  /** Somebody took the port out of the datapath and put it back, where it is `odpPort` now. */
  portRenumbered(name: string, odpPort: number): void {
    this.portTable.renumber(name, odpPort);
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

  deviceSettings(name: string): ReadonlyMap<string, string> {
    return this.control.deviceSettings(name);
  }

  setPortDevice(name: string, device: PortDevice): void {
    this.control.setPortDevice(name, device);
    this.setPortLive(name, device.isUp && device.hasCarrier);
  }

  /** Says whether a port's device is up, and its link. */
  setPortLive(name: string, isLive: boolean): void {
    if (this.portTable.setLive(name, isLive)) this.backer.revalidate();
  }

  setPortQueues(name: string, dscps: ReadonlyMap<number, number>): void {
    if (this.portTable.setQueues(name, queueDscps(dscps, this.queuePriority ?? queuePriority)))
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
    if (!this.portTable.setConfig(name, config)) return;
    this.control.portsChanged();
    this.backer.revalidate();
  }

  setPatchPeer(name: string, peer: string | undefined): void {
    if (this.portTable.setPatchPeer(name, peer)) this.backer.revalidate();
  }

  patchError(name: string): string | undefined {
    const port = this.portTable.byName.get(name);
    if (port?.peer === undefined || this.peerOf(port) !== undefined) return undefined;
    return `No usable peer '${port.peer}' exists in '${this.backer.dpif?.type}' datapath.`;
  }

  async portStats(name: string): Promise<DpifPortStats> {
    const port = this.portTable.named(name);
    return port.ownStats ?? this.backer.portStats(port.odpPort);
  }

  async portPolice(name: string, policing: DpifPortPolicing): Promise<boolean> {
    const port = this.portTable.byName.get(name);
    if (port === undefined || port.counts !== undefined) return false;
    return (await this.backer.dpif?.portPolice?.(port.odpPort, policing)) ?? false;
  }

  setForwardBpdu(isForwarded: boolean): void {
    if (this.forwardsBpdu === isForwarded) return;
    this.forwardsBpdu = isForwarded;
    this.backer.revalidate();
  }

  get mcast(): McastSnooping<Bundle> | undefined {
    return this.mdb.table;
  }

  mcastChanged(): void {
    this.backer.macsChanged();
  }

  setMcastSnooping(settings: McastSettings | undefined): void {
    if (this.mdb.configure(settings, this.portTable.byBundle)) this.backer.revalidate();
    this.run();
  }

  setMirrors(mirrors: readonly MirrorSettings[]): void {
    this.mirrors.configure(mirrors, this.portTable.byBundle);
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

  /** Removes rules whose time is up. */
  expireRules(): void {
    this.tables.expire(monotonicMs());
  }

  /** Ages the MAC table, and has flows revalidated if that, or what was learned lately, may change any. */
  run(): void {
    this.control.conns.run(monotonicMs());
    this.macs.run();
    const mcastChanged = this.mdb.run();
    if (!this.macs.needRevalidate && !mcastChanged) return;
    this.macs.needRevalidate = false;
    this.backer.revalidate();
  }

  portsChanged(): void {
    this.mirrors.bundlesChanged(this.portTable.byBundle);
    this.mdb.bundlesChanged(this.portTable.byBundle);
    this.backer.changed(this, false);
    this.control.portsChanged();
  }

  /** Ends its OpenFlow connections; it goes on forwarding. */
  close(): void {
    this.control.conns.close();
  }

  async destroy(): Promise<void> {
    this.close();
    // Packets come meanwhile, by patch ports too: as long as a port is there it is in its bundle.
    for (const name of [...this.portTable.byName.keys()]) await this.portDel(name);
    for (const name of [...this.portTable.byBundle.keys()]) this.bundleRemove(name);
    await this.meters.deleteAll();
    this.backer.changed(this, true);
  }
}
