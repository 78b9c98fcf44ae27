/**
 * Netlink messages: the headers, a writer, and a walk over the messages of a datagram.
 *
 *      0               1               2               3
 *     +---------------------------------------------------------------+
 *     |                          nlmsg_len                            |   struct nlmsghdr
 *     |          nlmsg_type           |          nlmsg_flags          |
 *     |                          nlmsg_seq                            |
 *     |                          nlmsg_pid                            |
 *     +---------------+---------------+-------------------------------+
 *     |      cmd      |    version    |           reserved            |   struct genlmsghdr
 *     +---------------+---------------+-------------------------------+
 *     |                          dp_ifindex                           |   struct ovs_header, ovs families only
 *     +---------------------------------------------------------------+
 *     |                     attributes (policy.ts)                    |
 *
 * All in host byte order.  Source: include/uapi/linux/netlink.h, genetlink.h, openvswitch.h.
 */
import {
  GENL_HDRLEN,
  LITTLE_ENDIAN,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
  NLMSG_HDRLEN,
  nlaAlign,
  OVS_HDRLEN,
} from './constants.ts';
import { NetlinkFormatError } from './errors.ts';
import type { Kind } from './kinds.ts';

/** What a view is of before it is set: a DataView of its own would take longer to make than the message to read. */
const NOTHING = new DataView(new ArrayBuffer(0));

/**
 * One message inside a receive buffer.  The object is reused by whoever walks a datagram: valid for the duration of
 * the callback that got it.  Offsets are into `dv`.
 */
export class MessageView {
  dv: DataView = NOTHING;
  /** Offset of the nlmsghdr, and one past the message's last byte. */
  start = 0;
  end = 0;
  type = 0;
  flags = 0;
  seq = 0;
  /** nlmsg_pid as written in the message; the true sender is what the socket says. */
  pid = 0;

  /** Reads the nlmsghdr at `at` of a datagram that ends at `end`.  False if no whole message is there. */
  set(dv: DataView, at: number, end: number): boolean {
    if (end - at < NLMSG_HDRLEN) return false;
    const size = dv.getUint32(at, LITTLE_ENDIAN);
    if (size < NLMSG_HDRLEN || size > end - at) return false;
    this.dv = dv;
    this.start = at;
    this.end = at + size;
    this.type = dv.getUint16(at + 4, LITTLE_ENDIAN);
    this.flags = dv.getUint16(at + 6, LITTLE_ENDIAN);
    this.seq = dv.getUint32(at + 8, LITTLE_ENDIAN);
    this.pid = dv.getUint32(at + 12, LITTLE_ENDIAN);
    return true;
  }

  get payload(): number {
    return this.start + NLMSG_HDRLEN;
  }
  /** Whether the message is long enough for its genlmsghdr; and for its ovs_header too. */
  get hasGenlHeader(): boolean {
    return this.end - this.start >= NLMSG_HDRLEN + GENL_HDRLEN;
  }
  get hasOvsHeader(): boolean {
    return this.end - this.start >= NLMSG_HDRLEN + GENL_HDRLEN + OVS_HDRLEN;
  }
  get cmd(): number {
    return this.dv.getUint8(this.payload);
  }
  get version(): number {
    return this.dv.getUint8(this.payload + 1);
  }
  get dpIfindex(): number {
    return this.dv.getInt32(this.payload + GENL_HDRLEN, LITTLE_ENDIAN);
  }
  /** Offset of the first attribute of an nlctrl message, and of an ovs_* message. */
  get genlAttrs(): number {
    return this.payload + GENL_HDRLEN;
  }
  get ovsAttrs(): number {
    return this.payload + GENL_HDRLEN + OVS_HDRLEN;
  }

  /** Reads the attributes after the ovs_header. */
  readOvs<T>(policy: Kind<T>): T {
    return policy.read(this.dv, this.ovsAttrs, this.end - this.ovsAttrs);
  }
  readGenl<T>(policy: Kind<T>): T {
    return policy.read(this.dv, this.genlAttrs, this.end - this.genlAttrs);
  }
}

/**
 * Calls `visit` for each message of the datagram `[at, end)` of `dv`.  What follows the last whole message is
 * ignored, as the kernel does (netlink_rcv_skb()).
 */
export function forEachMessage(dv: DataView, at: number, end: number, visit: (msg: MessageView) => void): void {
  // One view a walk, not one a module: a visitor may itself walk another datagram.
  const msg = new MessageView();
  while (msg.set(dv, at, end)) {
    at = msg.start + nlaAlign(msg.end - msg.start);
    visit(msg);
  }
}

/** Writes messages one after another into one buffer, which grows. */
export class MessageWriter {
  bytes: Uint8Array;
  dv: DataView;
  /** Bytes written. */
  size = 0;

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(new ArrayBuffer(capacity));
    this.dv = new DataView(this.bytes.buffer);
  }

  reset(): void {
    this.size = 0;
  }

  /** Makes room for `n` more bytes. */
  reserve(n: number): void {
    const need = this.size + n;
    if (need <= this.bytes.length) return;
    const grown = new Uint8Array(new ArrayBuffer(Math.max(need, 2 * this.bytes.length)));
    grown.set(this.bytes.subarray(0, this.size));
    this.bytes = grown;
    this.dv = new DataView(grown.buffer);
  }

  /** Begins a message; returns its offset for {@link end}. */
  begin(type: number, flags: number, seq: number, portId: number): number {
    this.reserve(NLMSG_HDRLEN + 3);
    while (this.size & 3) this.bytes[this.size++] = 0;
    const at = this.size;
    this.dv.setUint16(at + 4, type, LITTLE_ENDIAN);
    this.dv.setUint16(at + 6, flags, LITTLE_ENDIAN);
    this.dv.setUint32(at + 8, seq, LITTLE_ENDIAN);
    this.dv.setUint32(at + 12, portId, LITTLE_ENDIAN);
    this.size = at + NLMSG_HDRLEN;
    return at;
  }

  /** Begins a message of an ovs_* family: nlmsghdr, genlmsghdr, ovs_header. */
  beginOvs(
    type: number,
    flags: number,
    seq: number,
    portId: number,
    cmd: number,
    version: number,
    dpIfindex: number,
  ): number {
    const at = this.begin(type, flags, seq, portId);
    this.genl(cmd, version);
    this.reserve(OVS_HDRLEN);
    this.dv.setInt32(this.size, dpIfindex, LITTLE_ENDIAN);
    this.size += OVS_HDRLEN;
    return at;
  }

  genl(cmd: number, version: number): void {
    this.reserve(GENL_HDRLEN);
    this.dv.setUint32(this.size, 0);
    this.dv.setUint8(this.size, cmd);
    this.dv.setUint8(this.size + 1, version);
    this.size += GENL_HDRLEN;
  }

  /** Ends the message that began at `at`: writes its length. */
  end(at: number): void {
    this.dv.setUint32(at, this.size - at, LITTLE_ENDIAN);
  }

  /** Appends the attributes of `value` in the order of the policy's table.  `room` is a bound on their size. */
  attrs<T>(policy: Kind<T>, value: T, room = 4096): void {
    this.reserve(room);
    this.size = policy.write(this.dv, this.size, value);
  }

  attrU32(type: number, value: number): void {
    const at = this.attrHeader(type, 4);
    this.dv.setUint32(at, value, LITTLE_ENDIAN);
  }
  attrU16(type: number, value: number): void {
    const at = this.attrHeader(type, 2);
    this.dv.setUint16(at, value, LITTLE_ENDIAN);
  }
  attrU8(type: number, value: number): void {
    const at = this.attrHeader(type, 1);
    this.dv.setUint8(at, value);
  }
  attrU64(type: number, value: bigint): void {
    const at = this.attrHeader(type, 8);
    this.dv.setBigUint64(at, value, LITTLE_ENDIAN);
  }
  attrFlag(type: number): void {
    this.attrHeader(type, 0);
  }
  attrBytes(type: number, from: Uint8Array, offset = 0, size = from.length): void {
    const at = this.attrHeader(type, size);
    // Up to some length a loop costs less than a view.
    if (size <= 64) for (let i = 0; i < size; i++) this.bytes[at + i] = from[offset + i] as number;
    else this.bytes.set(size === from.length ? from : from.subarray(offset, offset + size), at);
  }
  /** A NUL-terminated string.  'latin1' is for one that was read so, to keep its bytes. */
  attrString(type: number, value: string, encoding: 'utf8' | 'latin1' = 'utf8'): void {
    this.attrBytes(type, Buffer.from(`${value}\0`, encoding));
  }

  /** Begins a nested attribute; returns its offset for {@link endNest}. */
  nest(type: number): number {
    this.reserve(NLA_HDRLEN);
    this.dv.setUint16(this.size + 2, type, LITTLE_ENDIAN);
    this.size += NLA_HDRLEN;
    return this.size - NLA_HDRLEN;
  }
  endNest(at: number): void {
    this.dv.setUint16(at, this.size - at, LITTLE_ENDIAN);
  }

  /** Writes an attribute's header, zeroes its padding, and returns the offset of its `size` bytes of payload. */
  attrHeader(type: number, size: number): number {
    const padded = nlaAlign(size);
    this.reserve(NLA_HDRLEN + padded);
    const at = this.size;
    this.dv.setUint16(at, NLA_HDRLEN + size, LITTLE_ENDIAN);
    this.dv.setUint16(at + 2, type, LITTLE_ENDIAN);
    for (let i = at + NLA_HDRLEN + size; i < at + NLA_HDRLEN + padded; i++) this.bytes[i] = 0;
    this.size = at + NLA_HDRLEN + padded;
    return at + NLA_HDRLEN;
  }
}

/**
 * Walks attributes without a policy: for keys, actions and other nests whose order matters.
 *
 *     const it = new AttrCursor(dv, at, end);
 *     while (it.next()) switch (it.type) { case OVS_ACTION_ATTR.OUTPUT: ... it.u32() ... }
 *
 * `path` names the set in errors.  Throws NetlinkFormatError for a length that does not fit.
 */
export class AttrCursor {
  dv: DataView;
  type = 0;
  /** Offset and size of the payload. */
  at = 0;
  size = 0;
  private following: number;
  private readonly limit: number;
  private readonly path: string;

  constructor(dv: DataView, at: number, end: number, path: string) {
    this.dv = dv;
    this.following = at;
    this.limit = end;
    this.path = path;
  }

  next(): boolean {
    const header = this.following;
    const room = this.limit - header;
    if (room <= 0) return false;
    const len = room < NLA_HDRLEN ? 0 : this.dv.getUint16(header, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > room) {
      throw new NetlinkFormatError(`nla_len ${len} with ${room} bytes left`, this.path, header);
    }
    this.type = this.dv.getUint16(header + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    this.at = header + NLA_HDRLEN;
    this.size = len - NLA_HDRLEN;
    this.following = header + nlaAlign(len);
    return true;
  }

  /** Throws unless the payload has exactly `size` bytes. */
  want(size: number): void {
    if (this.size !== size) {
      const reason = `payload is ${this.size} bytes, want ${size}`;
      throw new NetlinkFormatError(reason, `${this.path}(${this.type})`, this.at - NLA_HDRLEN);
    }
  }

  u32(): number {
    this.want(4);
    return this.dv.getUint32(this.at, LITTLE_ENDIAN);
  }
}
