/**
 * Flows on the wire, as a client writes and reads them.
 *
 * Replies are read by hand rather than by OVS_FLOW_ATTR's parser: a revalidator dumps 100,000 of them, again and again.
 * Source: lib/dpif-netlink.c (dpif_netlink_flow_to_ofpbuf(), dpif_netlink_flow_from_ofpbuf()).
 */
import type { DpifFlow, DpifFlowStats, Nest, Ufid } from '../dpif/dpif-types.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../netlink/constants.ts';
import { NetlinkFormatError } from '../netlink/errors.ts';
import { OVS_FLOW_ATTR, OVS_UFID_F } from '../netlink/families/ovs-flow.ts';
import type { MessageView, MessageWriter } from '../netlink/message.ts';
import { OVS_KEY_ATTR } from '../odp/key/key-table.ts';
import { putUfid, readUfid, UFID_SIZE } from '../odp/odp-ufid.ts';

const A = OVS_FLOW_ATTR.type;

/** What a request says of a flow. */
export interface FlowRequest {
  readonly ufid: Ufid | undefined;
  /** Leaves key, mask and actions out of the answer, and of the request if it has a UFID. */
  readonly terse?: boolean;
  readonly key?: Nest | undefined;
  readonly mask?: Nest | undefined;
  readonly actions?: Nest | undefined;
}

/** Appends the attributes of a request. */
export function writeFlow(w: MessageWriter, f: FlowRequest): void {
  if (f.ufid !== undefined) {
    const at = w.attrHeader(A.ufid, UFID_SIZE);
    putUfid(f.ufid, w.dv, at);
  }
  if (f.terse) w.attrU32(A.ufidFlags, OVS_UFID_F.OMIT_KEY | OVS_UFID_F.OMIT_MASK | OVS_UFID_F.OMIT_ACTIONS);
  if (!f.terse || f.ufid === undefined) {
    if (f.key !== undefined && f.key.length > 0) writeKey(w, A.key, f.key);
    if (f.mask !== undefined && f.mask.length > 0) writeKey(w, A.mask, f.mask);
    if (f.actions !== undefined) w.attrBytes(A.actions, f.actions);
  }
}

/** The u16 of host order at `at`. */
function host16(bytes: Uint8Array, at: number): number {
  const [b0, b1] = [bytes[at] as number, bytes[at + 1] as number];
  return LITTLE_ENDIAN ? b0 | (b1 << 8) : b1 | (b0 << 8);
}

/** The nest of a mask that has no packet type, as it was found out last.  Nobody changes a mask's nest. */
let plainNest: Nest | undefined;

/**
 * Writes a key or a mask.  Userspace tells bare L3 packets by OVS_KEY_ATTR_PACKET_TYPE, which datapaths do not know: they
 * take a key without Ethernet addresses for one, and the packet type's ethertype from OVS_KEY_ATTR_ETHERTYPE.
 */
function writeKey(w: MessageWriter, type: number, nest: Nest): void {
  // Flows that are installed one after the other mostly share the nest of their mask.
  if (nest === plainNest) {
    w.attrBytes(type, nest);
    return;
  }
  let packetType = -1;
  let ethertype = -1;
  let hasEthernet = false;
  // Bytes rather than a DataView, which would be made for each key and mask.
  for (let at = 0, size = 0; nest.length - at >= NLA_HDRLEN; at += nlaAlign(size)) {
    size = host16(nest, at);
    if (size < NLA_HDRLEN) break;
    const t = host16(nest, at + 2) & NLA_TYPE_MASK;
    if (t === OVS_KEY_ATTR.PACKET_TYPE && size === NLA_HDRLEN + 4) packetType = at;
    else if (t === OVS_KEY_ATTR.ETHERTYPE && size === NLA_HDRLEN + 2) ethertype = at;
    else if (t === OVS_KEY_ATTR.ETHERNET) hasEthernet = true;
  }
  if (packetType < 0) {
    if (type === A.mask) plainNest = nest;
    w.attrBytes(type, nest);
    return;
  }
  const without = new Uint8Array(nest.length - 8);
  without.set(nest.subarray(0, packetType));
  without.set(nest.subarray(packetType + 8), packetType);
  const at = w.nest(type);
  w.reserve(without.length);
  w.bytes.set(without, w.size);
  const start = w.size;
  w.size += without.length;
  if (!hasEthernet) {
    const value = ((nest[packetType + NLA_HDRLEN + 2] as number) << 8) | (nest[packetType + NLA_HDRLEN + 3] as number);
    if (ethertype >= 0) {
      w.dv.setUint16(start + ethertype - (ethertype > packetType ? 8 : 0) + NLA_HDRLEN, value);
    } else {
      w.dv.setUint16(w.attrHeader(OVS_KEY_ATTR.ETHERTYPE, 2), value);
    }
  }
  w.endNest(at);
}

/**
 * Reads a flow.  The nests are views of one copy of the message, so they outlive it; of a terse flow nothing is copied.  Throws
 * NetlinkFormatError for attributes that do not fit.
 */
export function decodeFlow(msg: MessageView): DpifFlow {
  const { dv, ovsAttrs: start, end: size } = msg;
  let ufid: Ufid | undefined;
  // No closure makes it: that would be an object for each flow of each dump.
  let copy: Uint8Array | undefined;
  let key: Nest | undefined;
  let mask: Nest | undefined;
  let actions: Nest | undefined;
  let nPackets = 0;
  let nBytes = 0;
  let used = 0;
  let tcpFlags = 0;
  for (let at = start; at < size; ) {
    const room = size - at;
    const length = room < NLA_HDRLEN ? 0 : dv.getUint16(at, LITTLE_ENDIAN);
    if (length < NLA_HDRLEN || length > room) {
      throw new NetlinkFormatError(`nla_len ${length} with ${room} bytes left`, OVS_FLOW_ATTR.prefix, at - start);
    }
    const data = at + NLA_HDRLEN;
    const end = at + length;
    switch (dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK) {
      case A.ufid:
        if (length === NLA_HDRLEN + UFID_SIZE) ufid = readUfid(dv, data);
        break;
      case A.key:
        copy ??= attrsOf(msg);
        key = copy.subarray(data - start, end - start);
        break;
      case A.mask:
        copy ??= attrsOf(msg);
        mask = copy.subarray(data - start, end - start);
        break;
      case A.actions:
        copy ??= attrsOf(msg);
        actions = copy.subarray(data - start, end - start);
        break;
      case A.stats:
        want(length, 16, 'OVS_FLOW_ATTR_STATS', at - start);
        nPackets = getU64(dv, data);
        nBytes = getU64(dv, data + 8);
        break;
      case A.used:
        want(length, 8, 'OVS_FLOW_ATTR_USED', at - start);
        used = getU64(dv, data);
        break;
      case A.tcpFlags:
        want(length, 1, 'OVS_FLOW_ATTR_TCP_FLAGS', at - start);
        tcpFlags = dv.getUint8(data);
        break;
    }
    at += nlaAlign(length);
  }
  const stats: DpifFlowStats = { nPackets, nBytes, used, tcpFlags };
  return { ufid, key, mask, actions, stats };
}

/** A copy of the attributes. */
const attrsOf = ({ dv, ovsAttrs, end }: MessageView): Uint8Array =>
  new Uint8Array(dv.buffer, dv.byteOffset + ovsAttrs, end - ovsAttrs).slice();

/** A u64, exact to 2^53. */
const getU64 = (dv: DataView, at: number): number =>
  dv.getUint32(LITTLE_ENDIAN ? at : at + 4, LITTLE_ENDIAN) +
  dv.getUint32(LITTLE_ENDIAN ? at + 4 : at, LITTLE_ENDIAN) * 0x100000000;

function want(length: number, size: number, path: string, at: number): void {
  if (length !== NLA_HDRLEN + size) {
    throw new NetlinkFormatError(`payload is ${length - NLA_HDRLEN} bytes, want ${size}`, path, at);
  }
}
