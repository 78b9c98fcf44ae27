/**
 * One datapath: its ports, its flow table, and the way of a packet through them.
 *
 *     PortBackend.receive -> receive() -> process(): flow key, look-up -> ActionExecutor.execute() -> output() -> port
 *                                              \-> miss: sendUpcall()            \-> userspace(): sendUpcall()
 *
 * Packets come in batches; what is sent is queued on the ports, and flushed at the end of the batch, until when the bytes
 * must stay as they are (slot-pool.ts).  Not re-entrant: a backend must not deliver a frame while it is sent one.
 * Source: net/openvswitch/datapath.c, vport.c.
 */
import { FIELD } from '../flow/fields.ts';
import { extractHeaders, extractMetadata } from '../flow/flow-extract.ts';
import { hashFlow } from '../flow/flow-hash.ts';
import { type FlowKey, newFlowKey } from '../flow/flow-key.ts';
import { OVS_DP_F } from '../netlink/families/ovs-datapath.ts';
import { DP_MAX_PORTS, OVSP_LOCAL } from '../netlink/families/ovs-vport.ts';
import { sizeWithoutVlan } from '../packet/ethernet.ts';
import { type Arena, HEADROOM, type Packet, SLOT_SIZE } from '../packet/packet.ts';
import { ERRNO } from '../util/errno.ts';
import type { ActionProgram } from './actions/action-program.ts';
import { ActionExecutor, type ActionHost } from './actions/actions.ts';
import { Conntrack } from './conntrack/conntrack.ts';
import type { CtArgs } from './conntrack/ct-args.ts';
import { CtExecutor } from './conntrack/ct-execute.ts';
import { HostStack, isForHost } from './conntrack/ct-host-stack.ts';
import { DROP, DROP_COVERAGE, type DropReason, N_DROP_REASONS } from './drop-reasons.ts';
import { FlowTable } from './flow-table/flow-table.ts';
import { MeterTable } from './meter.ts';
import { PortSender } from './ports/port-sender.ts';
import type { PsampleWriter } from './psample.ts';
import { SlotPool } from './slot-pool.ts';
import { tunnelAttrs } from './tunnel/set-tunnel.ts';
import { copyTunnel, newTunnelInfo } from './tunnel/tunnel-info.ts';
import { Upcaller, type UpcallSink } from './upcall.ts';
import { Vport, type VportSpec } from './vport.ts';

const W_IN_PORT = FIELD.inPort.word;
const W_PRIORITY = FIELD.skbPriority.word;
const W_MARK = FIELD.skbMark.word;
const W_RECIRC = FIELD.recircId.word;
const W_FLAGS = FIELD.tcpFlags.word;
/** DP_MASKS_REBALANCE_INTERVAL. */
const REBALANCE_MS = 4000;

export interface DatapathOptions {
  readonly name: string;
  readonly arena: Arena;
  /** Monotonic time in ms. */
  readonly clock: () => number;
  readonly upcallSink: UpcallSink;
  /** Connections of the network namespace; its own if left out. */
  readonly conntrack?: Conntrack;
  /** Where samples go; nowhere if left out. */
  readonly psample?: PsampleWriter;
  /** Numbers in [0, 1), for SAMPLE and hash seeds. */
  readonly random?: () => number;
  /** Whether it behaves as the datapath in userspace, where that differs from the kernel's. */
  readonly isUserspace?: boolean;
}

export interface ExecuteOptions {
  /** OVS_PACKET_ATTR_MRU, HASH (low 32 bits) and UPCALL_PID; 0: none. */
  readonly mru?: number;
  readonly hash?: number;
  readonly upcallPid?: number;
  /** Leave the ports unflushed: the caller calls flush() after a batch of executions. */
  readonly isBatched?: boolean;
}

export class Datapath implements ActionHost {
  readonly name: string;
  /** dp_ifindex: that of the local port's device; the netlink side sets it. */
  ifindex = 0;
  readonly arena: Arena;
  readonly clock: () => number;
  readonly random: () => number;
  readonly table: FlowTable;
  readonly meters = new MeterTable();
  /** OVS_DP_STATS; nMaskHit and nCacheHit are in `table`. */
  nHit = 0;
  nMissed = 0;
  nLost = 0;
  /** Packets dropped, by DROP. */
  readonly drops = new Float64Array(N_DROP_REASONS);
  /** OVS_DP_F bits. */
  userFeatures = 0;
  /** OVS_DP_ATTR_PER_CPU_PIDS; empty if not set. */
  perCpuPids = new Uint32Array(0);

  private readonly ports: (Vport | undefined)[] = [];
  private portCount = 0;
  private readonly slots: SlotPool;
  private readonly sender: PortSender;
  private readonly executor: ActionExecutor;
  private readonly tracking: CtExecutor;
  private readonly hostStack: HostStack;
  private readonly upcaller: Upcaller;
  private readonly samples: PsampleWriter | undefined;
  readonly isUserspace: boolean;
  private readonly rx: Packet;
  private readonly rxKey = newFlowKey();
  /** Of extractForExecute(), until execute(). */
  private readonly pending: Packet;
  private readonly pendingKey = newFlowKey();
  private readonly egressTun = newTunnelInfo();
  /** Time of the batch, -1 before its first packet. */
  private now = -1;
  private lastRebalance: number;

  constructor(options: DatapathOptions) {
    this.name = options.name;
    this.arena = options.arena;
    this.clock = options.clock;
    this.random = options.random ?? Math.random;
    this.table = new FlowTable(this.random);
    this.lastRebalance = this.clock();
    this.slots = new SlotPool(this.arena, () => this.sender.flush());
    this.sender = new PortSender(this.slots);
    this.executor = new ActionExecutor(this, this.slots);
    const conntrack = options.conntrack ?? new Conntrack();
    this.tracking = new CtExecutor(conntrack, {
      makeWritable: (pkt) => !pkt.isShared || this.slots.moveToOwnSlot(pkt),
      now: () => this.now,
    });
    this.hostStack = new HostStack(conntrack, () => this.now);
    this.upcaller = new Upcaller(this, this.slots, options.upcallSink);
    this.samples = options.psample;
    this.isUserspace = options.isUserspace ?? false;
    this.rx = this.slots.newPacket();
    this.pending = this.slots.newPacket();
  }

  get nPorts(): number {
    return this.portCount;
  }

  /** Makes a vport and starts receiving on it.  Throws RangeError for a number that is taken or too large. */
  addVport(spec: VportSpec): Vport {
    const { portNo } = spec;
    if (portNo < 0 || portNo >= DP_MAX_PORTS || this.ports[portNo] !== undefined) {
      throw new RangeError(`${this.name}: port number ${portNo} is taken or too large`);
    }
    const vport = new Vport(spec);
    // Holes are filled, so that the array stays one with fast elements.
    while (this.ports.length <= portNo) this.ports.push(undefined);
    this.ports[portNo] = vport;
    this.portCount++;
    vport.backend.start({
      receive: (pkt) => this.receive(vport, pkt),
      batchEnd: () => this.flush(),
    });
    return vport;
  }

  /** Stops it and closes its backend. */
  removeVport(vport: Vport): void {
    if (this.ports[vport.portNo] !== vport) throw new RangeError(`${this.name}: no port ${vport.portNo}`);
    this.flush();
    this.ports[vport.portNo] = undefined;
    this.portCount--;
    vport.backend.close();
  }

  vport(portNo: number): Vport | undefined {
    return this.ports[portNo];
  }

  /** In order of their numbers. */
  vports(): Vport[] {
    return this.ports.filter((p) => p !== undefined);
  }

  /** Removes all vports and flows. */
  close(): void {
    for (const vport of this.vports()) this.removeVport(vport);
    this.table.flush();
  }

  /** One frame from a port.  Hot path. */
  private receive(vport: Vport, from: Packet): void {
    if (this.ports[vport.portNo] !== vport) return;
    const { rx, rxKey } = this;
    rx.receiveFrom(from);
    rx.inPort = vport.portNo;
    if (this.now < 0) {
      this.now = this.clock();
      this.upcaller.beginBatch();
    }
    extractMetadata(rx, rxKey);
    if (vport.rxTunnel !== undefined) copyTunnel(vport.rxTunnel, rxKey);
    if (extractHeaders(rx, rxKey)) {
      if (vport.backend.hostAddress?.() !== undefined) this.hostStack.fromHost(rx, rxKey);
      this.process(rx, rxKey);
    } else {
      this.drop(DROP.BAD_PACKET);
    }
    rx.slot = -1;
  }

  /** Looks up the flow of a packet and runs its actions; an upcall if there is none.  Returns 0 or -errno.  Hot path. */
  process(pkt: Packet, key: FlowKey): number {
    if (pkt.hash === 0) pkt.hash = hashFlow(key);
    const flow = this.table.lookupPacket(key, pkt.hash);
    if (flow === undefined) {
      this.nMissed++;
      const vport = this.ports[pkt.inPort];
      const err = this.upcaller.miss(pkt, key, vport);
      if (err !== 0) this.drop(DROP.UPCALL);
      return 0;
    }
    this.nHit++;
    flow.count(pkt.end - pkt.start, key[W_FLAGS]! >>> 16, this.now);
    this.executor.execute(pkt, key, flow.program);
    return 0;
  }

  output(pkt: Packet, portNo: number): void {
    const vport = this.ports[portNo];
    if (vport === undefined) {
      this.drop(DROP.NO_PORT);
      return;
    }
    if (pkt.packetType !== 0) {
      this.drop(DROP.L2_TYPE);
      return;
    }
    let reason: number;
    if (pkt.cutLen !== 0 && pkt.cutLen < sizeWithoutVlan(pkt)) {
      const cut = this.slots.pushPacket();
      cut.cloneFrom(pkt);
      reason = this.sender.cut(cut) ? this.sender.send(cut, vport) : DROP.NO_MEMORY;
      this.slots.popPacket();
    } else {
      const address = vport.backend.hostAddress?.();
      if (address !== undefined && isForHost(pkt, address)) this.hostStack.toHost(pkt);
      reason = this.sender.send(pkt, vport);
    }
    pkt.isShared = true;
    if (reason >= 0) this.drop(reason as DropReason);
  }

  userspace(pkt: Packet, key: FlowKey, program: ActionProgram, arg: number): void {
    const egress = program.code[arg + 3]!;
    const egressTunKey = egress === -1 ? undefined : this.egressTunKey(pkt, key, egress);
    // Kernels send the key up as it was before the headers were pushed or popped.
    if (this.isUserspace && pkt.isKeyStale) extractHeaders(pkt, key);
    this.upcaller.action(pkt, key, this.ports[pkt.inPort], program, arg, egressTunKey);
  }

  /** OVS_PACKET_ATTR_EGRESS_TUN_KEY: how the packet would leave through tunnel port `portNo`. */
  private egressTunKey(pkt: Packet, key: FlowKey, portNo: number): Uint8Array | undefined {
    if (pkt.hash === 0) pkt.hash = hashFlow(key);
    const { egressTun } = this;
    return this.ports[portNo]?.backend.egressTunnel?.(pkt, egressTun) === true ? tunnelAttrs(egressTun) : undefined;
  }

  psample(pkt: Packet, { code, bytes }: ActionProgram, arg: number, probability: number): void {
    const ifindex = this.ports[pkt.inPort]?.backend.ifindex ?? 0;
    this.samples?.sample(pkt, ifindex, probability, code[arg]! >>> 0, bytes, code[arg + 1]!, code[arg + 2]!);
  }

  meter(pkt: Packet, id: number): boolean {
    const meter = this.meters.find(id);
    return meter?.mustDrop(sizeWithoutVlan(pkt), this.now) === true;
  }

  track(pkt: Packet, key: FlowKey, args: CtArgs): number {
    return this.tracking.execute(pkt, key, args);
  }
  untrack(pkt: Packet, key: FlowKey): void {
    this.tracking.clear(pkt, key);
  }

  /** See UpcallOrigin. */
  upcallLost(vport: Vport | undefined): void {
    this.nLost++;
    this.drop(DROP.UPCALL);
    if (vport === undefined) return;
    vport.upcallSuccess--;
    vport.upcallFail++;
  }

  drop(reason: DropReason): void {
    this.drops[reason]!++;
    const counter = DROP_COVERAGE[reason];
    if (counter !== undefined) counter.n++;
  }

  /**
   * First half of OVS_PACKET_CMD_EXECUTE: takes in `packet`.  `key` has the metadata of the
   * request's key (in_port, priority, mark, recirculation id, hash, conntrack, tunnel; packetType for a packet without
   * Ethernet header) and is completed from the packet, for compileActions().  Returns 0 or -errno.
   */
  extractForExecute(packet: Uint8Array, key: FlowKey): number {
    const { pending } = this;
    const size = packet.length;
    if (size > SLOT_SIZE - HEADROOM) return -ERRNO.EINVAL;
    const slot = this.slots.take();
    if (slot < 0) return -ERRNO.ENOMEM;
    pending.reset(slot);
    pending.packetType = key[FIELD.packetType.word]! & 0xffff;
    this.arena.bytes.set(packet, pending.start);
    pending.end = pending.start + size;
    if (extractHeaders(pending, key)) return 0;
    pending.slot = -1;
    return -ERRNO.EINVAL;
  }

  /** Second half: runs `program` on the packet of extractForExecute() with its key.  Returns 0 or -errno. */
  execute(key: FlowKey, program: ActionProgram, options: ExecuteOptions = {}): number {
    const { pending, pendingKey } = this;
    if (pending.slot < 0) return -ERRNO.EINVAL;
    const inPort = key[W_IN_PORT]! & 0xffff;
    pending.inPort = this.ports[inPort] !== undefined ? inPort : OVSP_LOCAL;
    if (this.ports[pending.inPort] === undefined) {
      pending.slot = -1;
      return -ERRNO.ENODEV;
    }
    pending.skbPriority = key[W_PRIORITY]!;
    pending.skbMark = key[W_MARK]!;
    pending.recircId = key[W_RECIRC]!;
    pending.mru = options.mru ?? 0;
    pending.hash = (options.hash ?? 0) | 0;
    pending.upcallPid = options.upcallPid ?? 0;
    pendingKey.set(key);
    if (this.now < 0) this.now = this.clock();
    const err = this.executor.execute(pending, pendingKey, program);
    pending.slot = -1;
    if (options.isBatched !== true) this.flush();
    return err;
  }

  /** Sends what is queued on all ports; the end of a batch. */
  flush(): void {
    this.upcaller.flush();
    this.sender.flush();
    this.slots.giveBack();
    if (this.now - this.lastRebalance >= REBALANCE_MS) {
      this.lastRebalance = this.now;
      this.table.rebalanceMasks();
    }
    this.now = -1;
  }

  /** Whether upcalls go by CPU (OVS_DP_F_DISPATCH_UPCALL_PER_CPU). */
  get isPerCpu(): boolean {
    return (this.userFeatures & OVS_DP_F.bit.dispatchUpcallPerCpu) !== 0;
  }
}
