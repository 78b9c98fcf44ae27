/**
 * PSAMPLE: copies of packets for whoever listens to the "psample" family, which in the kernel is a module of its own and
 * here is served beside the others.  For clients of a datapath that answers as Linux 6.11 or later.
 *
 *     [IIFINDEX] SAMPLE_RATE ORIGSIZE SAMPLE_GROUP GROUP_SEQ TIMESTAMP PROTO DATA [USER_COOKIE] SAMPLE_PROBABILITY
 *
 * Sources: net/psample/psample.c, net/openvswitch/actions.c (execute_psample), flow_netlink.c (validate_psample).
 */
import { LITTLE_ENDIAN, NLA_F_NESTED, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../netlink/constants.ts';
import {
  PSAMPLE_ATTR as ATTR,
  PSAMPLE_CMD,
  PSAMPLE_FAMILY,
  PSAMPLE_GROUP,
  PSAMPLE_MAXATTR,
  PSAMPLE_VERSION,
} from '../netlink/families/psample.ts';
import { MessageWriter } from '../netlink/message.ts';
import type { NetlinkTransport } from '../netlink/transport.ts';
import { OVS_PSAMPLE_ATTR } from '../odp/action-attrs.ts';
import { ETH_ADDRS, hasVlan, sizeWithoutVlan, VLAN_HLEN } from '../packet/ethernet.ts';
import { type Arena, type Packet, SLOT_SIZE } from '../packet/packet.ts';
import { wallMs } from '../util/clock.ts';
import { ERRNO } from '../util/errno.ts';
import { protocolOf } from './actions/push-pop.ts';
import { DUMP_STEP, type GenlFamily } from './commands/genl-family.ts';
import type { GroupListeners } from './commands/genl-server.ts';

const MAX_COOKIE = 16;
/** Slots for one message: up to 64 KB of a packet, and the rest. */
const MESSAGE_SLOTS = 2;
/** So that all of a message fits into 64 KB (PSAMPLE_MAX_PACKET_SIZE). */
const MAX_DATA = 0xffff - 256;

/** What a PSAMPLE action says; the cookie is `cookieSize` bytes at `cookieAt` of the action list, -1 of them for none. */
export interface PsampleAction {
  readonly group: number;
  readonly cookieAt: number;
  readonly cookieSize: number;
}

/**
 * Reads the attribute at `at`, header included.  Returns what it says, or the errno: EINVAL for one that is not marked as
 * nested if it `mustBeMarked`, for what is unknown, missing or of a wrong size; ERANGE for a cookie of more than 16 bytes.
 */
export function readPsample(dv: DataView, at: number, mustBeMarked: boolean): PsampleAction | number {
  if (mustBeMarked && (dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_F_NESTED) === 0) return ERRNO.EINVAL;
  const end = at + dv.getUint16(at, LITTLE_ENDIAN);
  let group: number | undefined;
  let cookieAt = 0;
  let cookieSize = -1;
  let next = at + NLA_HDRLEN;
  while (end - next >= NLA_HDRLEN) {
    const len = dv.getUint16(next, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - next) break;
    const type = dv.getUint16(next + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    const size = len - NLA_HDRLEN;
    if (type === OVS_PSAMPLE_ATTR.GROUP) {
      if (size !== 4) return ERRNO.EINVAL;
      group = dv.getUint32(next + NLA_HDRLEN, LITTLE_ENDIAN);
    } else if (type === OVS_PSAMPLE_ATTR.COOKIE) {
      if (size > MAX_COOKIE) return ERRNO.ERANGE;
      cookieAt = next + NLA_HDRLEN;
      cookieSize = size;
    } else {
      return ERRNO.EINVAL;
    }
    next += nlaAlign(len);
  }
  return next < end || group === undefined ? ERRNO.EINVAL : { group, cookieAt, cookieSize };
}

export interface PsampleFamilyOptions {
  readonly id: number;
  /** Numbers of the multicast groups. */
  readonly configGroup: number;
  readonly packetsGroup: number;
}

/** Makes the family.  Groups of samples are not kept, so a dump of them is empty, as it is for OVS's in the kernel. */
export function psampleFamily({ id, configGroup, packetsGroup }: PsampleFamilyOptions): GenlFamily {
  return {
    id,
    name: PSAMPLE_FAMILY,
    version: PSAMPLE_VERSION,
    hdrsize: 0,
    maxattr: PSAMPLE_MAXATTR,
    rules: [],
    ops: [{ cmd: PSAMPLE_CMD.GET_GROUP, needsAdmin: false, dumpit: () => ({ next: () => DUMP_STEP.END }) }],
    group: 0,
    namedGroups: [
      { id: configGroup, name: PSAMPLE_GROUP.CONFIG },
      { id: packetsGroup, name: PSAMPLE_GROUP.PACKETS },
    ],
  };
}

export interface PsampleWriterOptions {
  readonly transport: NetlinkTransport;
  readonly familyId: number;
  readonly packetsGroup: number;
  readonly arena: Arena;
  /** Everybody listens if this is left out. */
  readonly listeners?: GroupListeners;
}

/** Sends samples.  Hot path where packets are sampled: nothing is allocated. */
export class PsampleWriter {
  private readonly options: PsampleWriterOptions;
  private readonly writer = new MessageWriter(0);
  private readonly base: number;

  /** Takes MESSAGE_SLOTS adjacent slots of the arena for good, so it must come before anything gives slots back. */
  constructor(options: PsampleWriterOptions) {
    this.options = options;
    const { arena } = options;
    this.base = arena.takeRun(MESSAGE_SLOTS) * SLOT_SIZE;
    this.writer.bytes = arena.bytes;
    this.writer.dv = arena.view;
  }

  /**
   * Sends one sample: the packet without its outermost VLAN tag, which the kernel keeps beside it, cut as it says.
   * `ifindex`: the device that it came from.  `probability`: a fraction of 2^32.  The cookie is a range of `bytes`.
   */
  sample(
    pkt: Packet,
    ifindex: number,
    probability: number,
    group: number,
    bytes: Uint8Array,
    cookieAt: number,
    cookieSize: number,
  ): void {
    const { transport, familyId, packetsGroup, listeners } = this.options;
    if (listeners !== undefined && !listeners.has(packetsGroup)) return;
    const w = this.writer;
    w.size = this.base;
    const at = w.begin(familyId, 0, 0, 0);
    w.genl(PSAMPLE_CMD.SAMPLE, PSAMPLE_VERSION);
    const size = sizeWithoutVlan(pkt);
    if (ifindex !== 0) w.attrU16(ATTR.IIFINDEX, ifindex & 0xffff);
    w.attrU32(ATTR.SAMPLE_RATE, probability);
    w.attrU32(ATTR.ORIGSIZE, size);
    w.attrU32(ATTR.SAMPLE_GROUP, group);
    w.attrU32(ATTR.GROUP_SEQ, 0);
    putNow(w);
    w.attrU16(ATTR.PROTO, protocolOf(pkt));
    putData(w, pkt, Math.min(pkt.cutLen === 0 ? size : pkt.cutLen, size, MAX_DATA));
    if (cookieSize > 0) {
      const cookie = w.attrHeader(ATTR.USER_COOKIE, cookieSize);
      for (let i = 0; i < cookieSize; i++) w.bytes[cookie + i] = bytes[cookieAt + i]!;
    }
    w.attrFlag(ATTR.SAMPLE_PROBABILITY);
    w.end(at);
    transport.multicast(w.bytes, at, w.size - at, packetsGroup);
  }
}

/** Nanoseconds since 1970, without a BigInt. */
function putNow(w: MessageWriter): void {
  const ns = wallMs() * 1e6;
  const at = w.attrHeader(ATTR.TIMESTAMP, 8);
  const high = Math.floor(ns / 2 ** 32);
  w.dv.setUint32(LITTLE_ENDIAN ? at : at + 4, ns - high * 2 ** 32, LITTLE_ENDIAN);
  w.dv.setUint32(LITTLE_ENDIAN ? at + 4 : at, high, LITTLE_ENDIAN);
}

function putData(w: MessageWriter, pkt: Packet, size: number): void {
  const at = w.attrHeader(ATTR.DATA, size);
  const head = hasVlan(pkt) ? Math.min(size, ETH_ADDRS) : 0;
  const tag = head === 0 ? 0 : VLAN_HLEN;
  w.bytes.copyWithin(at, pkt.start, pkt.start + head);
  w.bytes.copyWithin(at + head, pkt.start + head + tag, pkt.start + size + tag);
}
