/**
 * Upcalls on the wire: builds OVS_PACKET_CMD_MISS and ACTION messages and sends them, one datagram each, never waiting; those of
 * a batch of packets with one system call.  upcall.ts decides who gets one.
 *
 *     | nlmsghdr, genlmsghdr, ovs_header | KEY | [USERDATA] | [EGRESS_TUN_KEY] | [ACTIONS] | [MRU] | [LEN] | HASH | PACKET |
 *
 * The packet comes last and, for clients that asked for OVS_DP_F_UNALIGNED, without padding, so that nlmsg_len may be odd.
 *
 * Hot path: messages are built one after the other in slots of the arena, so that packets are copied within one buffer and nothing is
 * allocated.
 * Source: net/openvswitch/datapath.c (queue_userspace_packet).
 */
import { FIELD, OVS_FRAG_TYPE } from '../../flow/fields.ts';
import { type FlowKey, getField } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, nlaAlign } from '../../netlink/constants.ts';
import { OVS_DP_F } from '../../netlink/families/ovs-datapath.ts';
import { OVS_PACKET_ATTR, OVS_PACKET_VERSION } from '../../netlink/families/ovs-packet.ts';
import { MessageWriter } from '../../netlink/message.ts';
import type { NetlinkTransport } from '../../netlink/transport.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import { IPPROTO } from '../../packet/ip.ts';
import { type Arena, type Packet, SLOT_SIZE } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import { putKey } from '../match/key-put.ts';
import type { UpcallInfo, UpcallOrigin, UpcallSink } from '../upcall.ts';
import type { Vport } from '../vport.ts';
import { isFull, Overruns } from './overruns.ts';

const ATTR = OVS_PACKET_ATTR.type;
/** Slots for one message: packet, userdata, actions and egress tunnel key of up to 64 KB each, and the rest. */
export const UPCALL_SLOTS = 5;
/** Upcalls that are sent together. */
const MAX_QUEUED = 64;
/** Headers, key and the small attributes of a message. */
const FIXED_ROOM = 2048;
/** Upcalls for a full queue that are lost without an attempt, after one has shown that it is: a flood must not cost a system call a packet. */
const SKIPPED_WHEN_FULL = 32;
/** An attribute's length has 16 bits. */
const MAX_PAYLOAD = 0xffff - NLA_HDRLEN;
/** Upper words of OVS_PACKET_ATTR_HASH: made by software; from ports. */
const [HASH_SW, HASH_L4] = [1, 2] as const;

export class UpcallWriter implements UpcallSink {
  private readonly transport: NetlinkTransport;
  private readonly overruns: Overruns;
  private readonly familyId: number;
  private readonly writer = new MessageWriter(0);
  /** The messages' part of the arena. */
  private readonly base: number;
  private readonly end: number;
  /** What is queued: for `sendMany`, to whom it goes and where it comes from. */
  private readonly queued = new Int32Array(3 * MAX_QUEUED);
  private readonly portIds = new Uint32Array(MAX_QUEUED);
  private readonly origins: (UpcallOrigin | undefined)[] = new Array(MAX_QUEUED);
  private readonly vports: (Vport | undefined)[] = new Array(MAX_QUEUED);
  private nQueued = 0;
  /** The port id whose queue was full, what sending to it returned, and upcalls until it is tried again, in this turn of the event loop. */
  private fullPortId = 0; // As an int32: a number that outgrew it would have all code compiled again at the first full queue.
  private fullError = 0;
  private nSkips = 0;
  /** The client may have read meanwhile. */
  private readonly tryAgain = (): void => {
    this.nSkips = 0;
  };

  /** Takes UPCALL_SLOTS adjacent slots of `arena` for good, so it must come before anything gives slots back. */
  constructor(transport: NetlinkTransport, familyId: number, arena: Arena, overruns = new Overruns(transport)) {
    this.transport = transport;
    this.overruns = overruns;
    this.familyId = familyId;
    this.base = arena.takeRun(UPCALL_SLOTS) * SLOT_SIZE;
    this.end = this.base + UPCALL_SLOTS * SLOT_SIZE;
    this.writer.bytes = arena.bytes;
    this.writer.dv = arena.view;
    this.writer.size = this.base;
  }

  upcall(dp: UpcallOrigin, key: FlowKey, pkt: Packet, info: UpcallInfo): number {
    this.flush();
    return this.send(dp, key, pkt, info);
  }

  queue(dp: UpcallOrigin, key: FlowKey, pkt: Packet, info: UpcallInfo): number {
    // One by one, whether there is room again is known before the next is made.
    if ((info.portId | 0) === this.fullPortId) return this.send(dp, key, pkt, info);
    if (info.size > MAX_PAYLOAD) return -ERRNO.EFBIG;
    const w = this.writer;
    const most = FIXED_ROOM + info.size + info.userdataSize + info.actionsSize + (info.egressTunKey?.length ?? 0);
    if (this.nQueued === MAX_QUEUED || w.size + most > this.end) this.flush();
    const i = this.nQueued++;
    const at = this.build(dp, key, pkt, info);
    this.queued[3 * i] = at;
    this.queued[3 * i + 1] = w.size - at;
    this.queued[3 * i + 2] = this.portIds[i] = info.portId;
    this.origins[i] = dp;
    this.vports[i] = info.vport;
    w.size = nlaAlign(w.size);
    return 0;
  }

  flush(): void {
    const { nQueued, queued } = this;
    if (nQueued === 0) return;
    this.nQueued = 0;
    this.writer.size = this.base;
    if (this.transport.sendMany(this.writer.bytes, queued, nQueued) === nQueued) return;
    for (let i = 0; i < nQueued; i++) {
      const sent = queued[3 * i + 2]!;
      if (sent >= 0) continue;
      this.failed(sent, this.portIds[i]!);
      this.origins[i]!.upcallLost(this.vports[i]);
    }
  }

  /** Sends one, with nothing queued. */
  private send(dp: UpcallOrigin, key: FlowKey, pkt: Packet, info: UpcallInfo): number {
    if (info.size > MAX_PAYLOAD) return -ERRNO.EFBIG;
    if (this.nSkips > 0 && (info.portId | 0) === this.fullPortId) {
      this.nSkips--;
      return this.fullError;
    }
    const w = this.writer;
    const at = this.build(dp, key, pkt, info);
    const sent = this.transport.send(w.bytes, at, w.size - at, info.portId);
    w.size = this.base;
    if (sent < 0) {
      this.failed(sent, info.portId);
      return sent;
    }
    if ((info.portId | 0) === this.fullPortId) this.fullPortId = 0;
    return 0;
  }

  private failed(sent: number, portId: number): void {
    this.overruns.check(sent, portId);
    if (!isFull(sent)) return;
    this.fullPortId = portId | 0;
    this.fullError = sent;
    if (this.nSkips === 0) setImmediate(this.tryAgain);
    this.nSkips = SKIPPED_WHEN_FULL;
  }

  /** Appends the message; returns where it begins. */
  private build(dp: UpcallOrigin, key: FlowKey, pkt: Packet, info: UpcallInfo): number {
    const { size } = info;
    const w = this.writer;
    const at = w.beginOvs(this.familyId, 0, 0, 0, info.cmd, OVS_PACKET_VERSION, dp.ifindex);
    putKey(w, ATTR.key, key);
    if (info.userdataSize >= 0) putRange(w, ATTR.userdata, info.bytes, info.userdataAt, info.userdataSize);
    const tunKey = info.egressTunKey;
    if (tunKey !== undefined) putRange(w, ATTR.egressTunKey, tunKey, 0, tunKey.length);
    if (info.actionsSize > 0) putRange(w, ATTR.actions, info.bytes, info.actionsAt, info.actionsSize);
    if (info.mru !== 0) w.attrU16(ATTR.mru, info.mru);
    if (size < pkt.end - pkt.start) w.attrU32(ATTR.len, pkt.end - pkt.start);
    putHash(w, key, info.hash);
    putPacket(w, pkt.start, size);
    if ((dp.userFeatures & OVS_DP_F.bit.unaligned) === 0) pad(w);
    w.end(at);
    return at;
  }
}

function putRange(w: MessageWriter, type: number, from: Uint8Array, offset: number, size: number): void {
  const at = w.attrHeader(type, size);
  // A loop: userdata is 8 to 56 bytes, for which making a view to copy from would take longer.
  for (let i = 0; i < size; i++) w.bytes[at + i] = from[offset + i]!;
}

function putHash(w: MessageWriter, key: FlowKey, hash: number): void {
  const at = w.attrHeader(ATTR.hash, 8);
  const how = hash === 0 ? 0 : hasPorts(key) ? HASH_SW | HASH_L4 : HASH_SW;
  w.dv.setUint32(LITTLE_ENDIAN ? at : at + 4, hash, LITTLE_ENDIAN);
  w.dv.setUint32(LITTLE_ENDIAN ? at + 4 : at, how, LITTLE_ENDIAN);
}

/**
 * Whether the kernel's hash of such a packet comes from its ports or its flow label, not from addresses alone.  It looks
 * behind one VLAN tag, not two, and not into fragments.
 */
function hasPorts(key: FlowKey): boolean {
  if (getField(key, FIELD.cvlanTci) !== 0 || getField(key, FIELD.nwFrag) !== OVS_FRAG_TYPE.NONE) return false;
  const type = getField(key, FIELD.ethType);
  if (type === ETH_TYPE.IPV6 && getField(key, FIELD.ipv6Label) !== 0) return true;
  if (type !== ETH_TYPE.IP && type !== ETH_TYPE.IPV6) return false;
  const proto = getField(key, FIELD.nwProto);
  if (proto !== IPPROTO.TCP && proto !== IPPROTO.UDP && proto !== IPPROTO.SCTP) return false;
  return key[FIELD.tpSrc.word] !== 0;
}

/** Appends `size` bytes of the arena from `start` on, without padding. */
function putPacket(w: MessageWriter, start: number, size: number): void {
  const { dv } = w;
  dv.setUint16(w.size, NLA_HDRLEN + size, LITTLE_ENDIAN);
  dv.setUint16(w.size + 2, ATTR.packet, LITTLE_ENDIAN);
  w.bytes.copyWithin(w.size + NLA_HDRLEN, start, start + size);
  w.size += NLA_HDRLEN + size;
}

function pad(w: MessageWriter): void {
  const end = nlaAlign(w.size);
  while (w.size < end) w.bytes[w.size++] = 0;
}
