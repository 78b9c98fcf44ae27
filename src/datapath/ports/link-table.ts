/**
 * The network devices of the host, as a table that can be asked at any time without waiting: names, MTUs, masters,
 * counters.  Ports get what they report from here (DeviceInfo of port-io.ts), port-factory.ts finds devices by name, and
 * a device that goes away is told to whoever asked for it.
 *
 * rtnetlink answers inside send(), so a request is two system calls and no waiting.  Notifications come to a second
 * socket, which is read by the event loop, and by `sync` before anything that must be up to date.
 *
 * A TAP that is moved to another network namespace stays a port: its file descriptor works from anywhere.  The kernel
 * tells where it went, and is asked about it there.  Of a second move it tells only those who are there: then the
 * descriptor alone says whether the TAP still exists, and its counters cannot be read until it comes back.
 * Source: Documentation/networking/operstates.rst, rtnetlink(7), net/core/rtnetlink.c.
 */
import { readFileSync } from 'node:fs';
import type { NativeNetlinkSocket } from '../../native/index.ts';
import { LITTLE_ENDIAN, NLM_F, NLMSG } from '../../netlink/constants.ts';
import {
  collectsMetadata,
  IFF,
  IFINFOMSG,
  IFINFOMSG_SIZE,
  IFLA,
  type LinkAttrs,
  RTM_LINK,
  RTNLGRP_LINK,
} from '../../netlink/families/rt-link.ts';
import { forEachMessage, type MessageView, MessageWriter } from '../../netlink/message.ts';
import { type DeviceStats, newDeviceStats } from '../../util/device-stats.ts';
import { ERRNO } from '../../util/errno.ts';
import type { DevicePlace } from './port-backend.ts';
import type { DeviceInfo } from './port-io.ts';

/** One device.  `index` is its number where it is now, in namespace `nsid` (-1: ours, UNKNOWN_NSID: one we cannot name). */
export interface Link {
  index: number;
  nsid: number;
  name: string;
  mtu: number;
  /** IFF bits, ARPHRD number. */
  flags: number;
  type: number;
  /** Kind of a virtual device ("veth", "tun", "bridge"); '' of a real one. */
  kind: string;
  /** A tunnel that is told its remote end with each packet, as the kernel's own switch does it. */
  collectsMetadata: boolean;
  /** ifindex of the device that this one is enslaved to, or 0. */
  master: number;
  /** Link-layer address, 6 bytes for Ethernet. */
  address: Uint8Array;
}

/** No namespace has this number. */
const UNKNOWN_NSID = -2;

export interface LinkEvents {
  /** The device with this ifindex does not exist any more. */
  gone?(ifindex: number): void;
  /** Whether the TAP of this descriptor still exists.  From /proc/self/fdinfo if left out. */
  isTapOpen?(fd: number): boolean;
}

/** Room for a datagram of notifications, or a page of a dump.  Bytes. */
const DATAGRAM = 64 << 10;
/** Datagrams read at once. */
const BATCH = 8;
/** RTEXT_FILTER_SKIP_STATS: a dump of links without their counters. */
const SKIP_STATS = 1 << 3;

export class LinkTable implements DeviceInfo {
  private readonly requests: NativeNetlinkSocket;
  private readonly notices: NativeNetlinkSocket;
  private readonly buffer = new Uint8Array(new ArrayBuffer(BATCH * DATAGRAM));
  private readonly info = new Int32Array(2 * BATCH);
  private readonly writer = new MessageWriter();
  private seq = 0;
  /** By the ifindex that a device had when it was first seen. */
  private readonly links = new Map<number, Link>();
  private readonly events: LinkEvents;
  /** Descriptors of our TAPs, by the same numbers as `links`. */
  private readonly taps = new Map<number, number>();

  /** `open` opens a NETLINK_ROUTE socket; called twice.  Throws what it throws, and an Error if the dump fails. */
  constructor(open: () => NativeNetlinkSocket, events: LinkEvents = {}) {
    this.events = events;
    this.requests = open();
    this.notices = open();
    this.notices.joinGroup(RTNLGRP_LINK);
    this.notices.setRef(false);
    this.notices.poll(() => this.sync());
    this.loadAll();
  }

  close(): void {
    this.requests.close();
    this.notices.close();
  }

  /** Takes in what has happened so far. */
  sync(): void {
    for (;;) {
      const n = this.notices.receive(this.buffer, DATAGRAM, BATCH, this.info);
      if (n === -ERRNO.ENOBUFS) {
        // Notifications were lost: start afresh, and find out what is gone.
        this.loadAll();
      } else if (n <= 0) {
        return;
      } else {
        // Copies: an event's receiver may ask for something, which uses the buffer.
        const datagrams = Array.from({ length: n }, (_, i) => this.datagram(i).slice());
        for (const bytes of datagrams) this.walk(bytes, (msg) => this.notice(msg));
      }
    }
  }

  /** All devices of our namespace, with the number under which they are asked about. */
  *all(): IterableIterator<readonly [number, Link]> {
    for (const entry of this.links) if (entry[1].nsid === -1) yield entry;
  }

  /** The device called `name` in our namespace, and its ifindex. */
  byName(name: string): readonly [number, Link] | undefined {
    for (const entry of this.all()) if (entry[1].name === name) return entry;
    return undefined;
  }
  byIndex(ifindex: number): Link | undefined {
    return this.links.get(ifindex);
  }

  name(ifindex: number): string {
    return this.links.get(ifindex)?.name ?? '';
  }
  mtu(ifindex: number): number {
    return this.links.get(ifindex)?.mtu ?? 0;
  }

  elsewhere(ifindex: number): DevicePlace | undefined {
    const link = this.links.get(ifindex);
    return link === undefined || link.nsid < 0 ? undefined : { ifindex: link.index, netnsid: link.nsid };
  }

  localAddress(ifindex: number): Uint8Array | undefined {
    const link = this.links.get(ifindex);
    return link?.nsid === -1 && (link.flags & IFF.UP) !== 0 ? link.address : undefined;
  }

  readStats(ifindex: number): DeviceStats {
    const stats = this.query(ifindex)?.stats64;
    return stats === undefined ? newDeviceStats() : { ...stats };
  }

  /**
   * Asks the kernel about one device now, and takes over what it says.  For devices that have just been made, and for
   * those in other namespaces, of which no notifications come.  False if it is gone.
   */
  refresh(ifindex: number): boolean {
    return this.query(ifindex) !== undefined;
  }

  /** `fd` is the descriptor of the TAP with this ifindex. */
  watchTap(ifindex: number, fd: number): void {
    this.taps.set(ifindex, fd);
  }

  private query(ifindex: number): LinkAttrs | undefined {
    const link = this.links.get(ifindex);
    const nsid = link?.nsid ?? -1;
    let found: LinkAttrs | undefined;
    const errno = this.request(
      0,
      link?.index ?? ifindex,
      (w) => {
        if (nsid !== -1) w.attrs(IFLA, { targetNetnsid: nsid });
      },
      (msg) => {
        found = this.store(msg, ifindex, nsid);
      },
    );
    const isGone = errno === ERRNO.ENODEV || (errno === ERRNO.EINVAL && nsid !== -1);
    // Later, because whoever asks may be in the middle of a message about that device.  Of one in our namespace the
    // notification tells whether it ended or moved to another namespace; it is there already, only not read yet.
    if (isGone && link !== undefined) queueMicrotask(() => (nsid === -1 ? this.sync() : this.lookAway(ifindex, link)));
    return errno === 0 ? found : undefined;
  }

  /** Reads the whole table; devices of ours that are not in it are gone. */
  private loadAll(): void {
    const seen = new Set<number>();
    const errno = this.request(
      NLM_F.DUMP,
      0,
      (w) => w.attrs(IFLA, { extMask: SKIP_STATS }),
      (msg) => {
        const { index } = IFINFOMSG.read(msg.dv, msg.payload, IFINFOMSG_SIZE);
        seen.add(this.keyOf(index));
        this.store(msg, this.keyOf(index), -1);
      },
    );
    if (errno !== 0) throw Object.assign(new Error('rtnetlink: cannot list the network devices'), { errno });
    for (const [ifindex, link] of [...this.links]) if (link.nsid === -1 && !seen.has(ifindex)) this.forget(ifindex);
  }

  /** A TAP is not where it was, in another namespace: it was moved on, or is gone. */
  private lookAway(ifindex: number, link: Link): void {
    const fd = this.taps.get(ifindex);
    const isOpen = this.events.isTapOpen ?? isTapOpen;
    if (fd !== undefined && isOpen(fd)) link.nsid = UNKNOWN_NSID;
    else this.forget(ifindex);
  }

  private forget(ifindex: number): void {
    this.taps.delete(ifindex);
    if (this.links.delete(ifindex)) this.events.gone?.(ifindex);
  }

  private notice(msg: MessageView): void {
    const { index } = IFINFOMSG.read(msg.dv, msg.payload, IFINFOMSG_SIZE);
    if (msg.type === RTM_LINK.NEWLINK) {
      this.store(msg, this.returned(msg, index) ?? this.keyOf(index), -1);
      return;
    }
    if (msg.type !== RTM_LINK.DELLINK) return;
    const { newNetnsid, newIfindex, linkinfo } = readAttrs(msg);
    const link = this.links.get(this.keyOf(index));
    // A bridge says DELLINK of a device that leaves it; that one names no kind.
    if (link === undefined || msg.dv.getUint8(msg.payload) !== 0) return;
    if (newNetnsid !== undefined && newNetnsid >= 0 && (linkinfo?.kind ?? link.kind) === 'tun') {
      link.nsid = newNetnsid;
      link.index = newIfindex ?? index;
      link.master = 0;
    } else {
      this.forget(this.keyOf(index));
    }
  }

  /** The number under which our device `index` is known: another one if it has been away and came back. */
  private keyOf(index: number): number {
    const link = this.links.get(index);
    if (link?.nsid === -1) return index;
    for (const [key, other] of this.links) if (other.nsid === -1 && other.index === index) return key;
    return index;
  }

  /** If `msg` is about a TAP that comes back from another namespace: the number under which it is known. */
  private returned(msg: MessageView, index: number): number | undefined {
    if (this.links.has(this.keyOf(index))) return undefined;
    const { address, linkinfo } = readAttrs(msg);
    if (linkinfo?.kind !== 'tun' || address === undefined) return undefined;
    for (const [key, link] of this.links)
      if (link.nsid !== -1 && Buffer.compare(link.address, address) === 0) return key;
    return undefined;
  }

  /** Takes over what a NEWLINK message says of the device that is known as `key`. */
  private store(msg: MessageView, key: number, nsid: number): LinkAttrs {
    const header = IFINFOMSG.read(msg.dv, msg.payload, IFINFOMSG_SIZE);
    const attrs = readAttrs(msg);
    // Port flags of a bridge (AF_BRIDGE) come as NEWLINK too, and say little of the device.
    if (header.family !== 0) return attrs;
    this.links.set(key, {
      index: header.index,
      nsid,
      name: attrs.ifname ?? '',
      mtu: attrs.mtu ?? 0,
      flags: header.flags,
      type: header.type,
      kind: attrs.linkinfo?.kind ?? '',
      collectsMetadata: collectsMetadata(attrs.linkinfo),
      master: attrs.master ?? 0,
      address: attrs.address ?? new Uint8Array(0),
    });
    return attrs;
  }

  /** Sends a GETLINK and reads the answer; `visit` gets each link.  Returns 0 or a positive errno. */
  private request(
    flags: number,
    ifindex: number,
    attrs: (w: MessageWriter) => void,
    visit: (msg: MessageView) => void,
  ): number {
    const w = this.writer;
    w.reset();
    const seq = ++this.seq;
    const at = w.begin(RTM_LINK.GETLINK, NLM_F.REQUEST | flags, seq, 0);
    w.reserve(IFINFOMSG_SIZE);
    w.size = IFINFOMSG.write(w.dv, w.size, { family: 0, pad: 0, type: 0, index: ifindex, flags: 0, change: 0 });
    attrs(w);
    w.end(at);
    const sent = this.requests.send(w.bytes, 0, w.size, 0, 0);
    if (sent < 0) return -sent;
    for (;;) {
      const n = this.requests.receive(this.buffer, DATAGRAM, 1, this.info);
      if (n < 0) return -n;
      let verdict: number | undefined;
      this.walk(this.datagram(0), (msg) => {
        if (msg.seq !== seq) return;
        if (msg.type === RTM_LINK.NEWLINK) visit(msg);
        if (msg.type === NLMSG.ERROR) verdict = -msg.dv.getInt32(msg.payload, LITTLE_ENDIAN);
        else if (msg.type === NLMSG.DONE || (flags & NLM_F.DUMP) === 0) verdict ??= 0;
      });
      if (verdict !== undefined) return verdict;
    }
  }

  private datagram(i: number): Uint8Array {
    return this.buffer.subarray(i * DATAGRAM, i * DATAGRAM + Math.min(this.info[2 * i]!, DATAGRAM));
  }
  private walk(bytes: Uint8Array, visit: (msg: MessageView) => void): void {
    forEachMessage(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, visit);
  }
}

/** The kernel names the device of a TAP's descriptor, wherever it is; a deleted one has no name. */
function isTapOpen(fd: number): boolean {
  try {
    return /^iff:\t./m.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
  } catch {
    return false;
  }
}

function readAttrs(msg: MessageView): LinkAttrs {
  const at = msg.payload + IFINFOMSG_SIZE;
  return IFLA.read(msg.dv, at, msg.end - at);
}
