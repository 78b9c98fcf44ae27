/**
 * Upcalls: handing a packet to userspace.  Here is decided who gets it (or that nobody does), and the packet is made
 * what userspace expects: whole headers, one segment, a finished checksum.  An UpcallSink makes the netlink message.
 * Source: net/openvswitch/datapath.c (ovs_dp_upcall and what it calls).
 */
import { FIELD, OVS_FRAG_TYPE } from '../flow/fields.ts';
import { type FlowKey, newFlowKey, setField } from '../flow/flow-key.ts';
import { OVS_PACKET_CMD } from '../netlink/families/ovs-packet.ts';
import { type Packet, VNET_GSO } from '../packet/packet.ts';
import { ERRNO } from '../util/errno.ts';
import type { ActionProgram } from './actions/action-program.ts';
import { completeChecksum, hasOffloads, Segmenter } from './ports/segment.ts';
import type { SlotPool } from './slot-pool.ts';
import type { Vport } from './vport.ts';

/** What a sink may know of the datapath that an upcall comes from: class Datapath. */
export interface UpcallOrigin {
  readonly name: string;
  /** dp_ifindex. */
  readonly ifindex: number;
  /** OVS_DP_F bits. */
  readonly userFeatures: number;
  /** An upcall for a packet of `vport` was queued, and then could not be sent. */
  upcallLost(vport: Vport | undefined): void;
}

/** What comes with a packet.  One object, reused: copy what must outlive the call. */
export class UpcallInfo {
  /** OVS_PACKET_CMD.MISS or ACTION. */
  cmd = 0;
  /** Netlink port id of the receiver, never 0 when the sink sees it. */
  portId = 0;
  /** The port that the packet came in by. */
  vport: Vport | undefined;
  /** Bytes of the packet to send, from its start; `pkt.size` may be more (then OVS_PACKET_ATTR_LEN tells it). */
  size = 0;
  /** OVS_PACKET_ATTR_MRU, 0 if none. */
  mru = 0;
  /** OVS_PACKET_ATTR_HASH: 32 bits, unsigned, and whether ports went into it (OVS_PACKET_HASH_L4_BIT). */
  hash = 0;
  isHashL4 = false;
  /** Userdata and actions are ranges of `bytes`; a size of -1 means none. */
  bytes: Uint8Array = new Uint8Array(0);
  userdataAt = 0;
  userdataSize = -1;
  actionsAt = 0;
  actionsSize = -1;
  /** OVS_PACKET_ATTR_EGRESS_TUN_KEY: the nest's payload. */
  egressTunKey: Uint8Array | undefined;
}

/** Implemented by the netlink side: builds and sends the message.  Hot path. */
export interface UpcallSink {
  /** Sends one, behind those that are queued.  Returns 0 or -errno.  `key`, `pkt` and `info` are borrowed for the call. */
  upcall(dp: UpcallOrigin, key: FlowKey, pkt: Packet, info: UpcallInfo): number;
  /** As `upcall`, but it may be sent by a later `flush`: what is lost then, `dp` is told. */
  queue(dp: UpcallOrigin, key: FlowKey, pkt: Packet, info: UpcallInfo): number;
  flush(): void;
}

/** What the class below needs of the datapath. */
interface UpcallHost extends UpcallOrigin {
  nLost: number;
  readonly perCpuPids: Uint32Array;
  readonly isPerCpu: boolean;
}

const NO_BYTES = new Uint8Array(0);
/** Payload of the largest attribute. */
const MAX_PACKET = 0xffff - 4;
const W_TP = FIELD.tpSrc.word;

/** Sends the upcalls of one datapath. */
export class Upcaller {
  private readonly host: UpcallHost;
  private readonly slots: SlotPool;
  private readonly sink: UpcallSink;
  private readonly info = new UpcallInfo();
  private readonly copy: Packet;
  private readonly segmenter = new Segmenter();
  private readonly laterKey = newFlowKey();
  /** While packets of a batch are handled their upcalls are sent together, at its end. */
  private isBatch = false;

  constructor(host: UpcallHost, slots: SlotPool, sink: UpcallSink) {
    this.host = host;
    this.slots = slots;
    this.sink = sink;
    this.copy = slots.newPacket();
  }

  /** Packets of a batch come now, up to the next `flush`.  Hot path. */
  beginBatch(): void {
    this.isBatch = true;
  }

  /** Sends what is queued.  Hot path. */
  flush(): void {
    if (!this.isBatch) return;
    this.isBatch = false;
    this.sink.flush();
  }

  /** No flow: to whom the port's upcalls go.  Returns 0 or -errno. */
  miss(pkt: Packet, key: FlowKey, vport: Vport | undefined): number {
    const { info } = this;
    info.cmd = OVS_PACKET_CMD.MISS;
    info.bytes = NO_BYTES;
    info.egressTunKey = undefined;
    info.userdataSize = info.actionsSize = -1;
    info.portId = this.choosePortId(pkt, vport === undefined ? 0 : choose(vport.upcallPids, pkt.hash));
    return this.send(pkt, key, vport, 0);
  }

  /** A USERSPACE action, whose arguments are at `arg` of the program: to whom it says, cut as the packet says. */
  action(
    pkt: Packet,
    key: FlowKey,
    vport: Vport | undefined,
    program: ActionProgram,
    arg: number,
    egressTunKey?: Uint8Array,
  ): number {
    const { info } = this;
    info.egressTunKey = egressTunKey;
    const { code } = program;
    info.cmd = OVS_PACKET_CMD.ACTION;
    info.bytes = program.bytes;
    info.userdataAt = code[arg + 1]!;
    info.userdataSize = code[arg + 2]!;
    info.actionsAt = code[arg + 4]!;
    info.actionsSize = code[arg + 5]!;
    info.portId = this.choosePortId(pkt, code[arg]! >>> 0);
    return this.send(pkt, key, vport, pkt.cutLen);
  }

  /** The execution's port id goes before the CPU's, that before `own`.  CPUs are chosen by hash: a flow stays in order. */
  private choosePortId(pkt: Packet, own: number): number {
    if (pkt.upcallPid !== 0) return pkt.upcallPid;
    if (!this.host.isPerCpu) return own;
    return this.host.perCpuPids.length === 0 ? 0 : choose(this.host.perCpuPids, pkt.hash);
  }

  /** `cutLen`: bytes to send, 0 for all. */
  private send(pkt: Packet, key: FlowKey, vport: Vport | undefined, cutLen: number): number {
    const { info } = this;
    info.vport = vport;
    info.mru = pkt.mru;
    info.hash = pkt.hash >>> 0;
    info.isHashL4 = key[W_TP] !== 0;
    let err: number;
    if (info.portId === 0) err = -ERRNO.ENOTCONN;
    else if (pkt.gsoType !== 0) err = this.sendSegments(pkt, key, cutLen);
    else if (hasOffloads(pkt)) err = this.sendCompleted(pkt, key, cutLen);
    else err = this.sendOne(pkt, key, cutLen);

    if (err !== 0) this.host.nLost++;
    if (vport !== undefined) {
      if (err === 0) vport.upcallSuccess++;
      else vport.upcallFail++;
    }
    return err;
  }

  private sendOne(pkt: Packet, key: FlowKey, cutLen: number, isSegment = false): number {
    const size = pkt.end - pkt.start;
    this.info.size = cutLen !== 0 && cutLen < size ? cutLen : size;
    if (this.info.size > MAX_PACKET) return -ERRNO.EFBIG;
    // Segments are no more sent once one of them is lost.
    if (this.isBatch && !isSegment) return this.sink.queue(this.host, key, pkt, this.info);
    return this.sink.upcall(this.host, key, pkt, this.info);
  }

  private sendCompleted(pkt: Packet, key: FlowKey, cutLen: number): number {
    const { copy } = this;
    copy.cloneFrom(pkt);
    let err = -ERRNO.ENOMEM;
    if (this.slots.moveToOwnSlot(copy)) {
      err = completeChecksum(copy) ? this.sendOne(copy, key, cutLen) : -ERRNO.EINVAL;
    }
    copy.slot = -1;
    return err;
  }

  /** One message a segment, until one fails. */
  private sendSegments(pkt: Packet, key: FlowKey, cutLen: number): number {
    const { copy, segmenter } = this;
    const n = segmenter.begin(pkt);
    if (n < 0) return -ERRNO.EINVAL;
    const slot = this.slots.take();
    if (slot < 0) return -ERRNO.ENOMEM;
    let err = 0;
    for (let i = 0; i < n && err === 0; i++) {
      copy.reset(slot);
      segmenter.write(i, copy);
      if (i === 1 && pkt.gsoType === VNET_GSO.UDP) {
        // The key is that of the first fragment.
        this.laterKey.set(key);
        setField(this.laterKey, FIELD.nwFrag, OVS_FRAG_TYPE.LATER);
        key = this.laterKey;
      }
      err = this.sendOne(copy, key, cutLen, true);
    }
    copy.slot = -1;
    return err;
  }
}

/** The same one for the same hash. */
const choose = (portIds: Uint32Array, hash: number): number =>
  portIds.length === 1 ? portIds[0]! : portIds[(hash >>> 0) % portIds.length]!;
