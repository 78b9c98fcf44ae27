/**
 * The network devices of this network namespace, as rtnetlink shows them: a table that follows the kernel's, and the few
 * settings that a bridge makes (MAC address, MTU).
 *
 * This is the cold path.  Requests go through the npm package `netlink`, which reports an errno only as text ("Request
 * rejected: ENODEV"); that is turned back into a number here.  Notifications come through a socket of our own: the package
 * aborts the process when the kernel drops notifications (ENOBUFS), which a few hundred new devices at once bring about.
 * Source: include/uapi/linux/rtnetlink.h, if_link.h; lib/netdev-linux.c.
 */
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DeviceDriver, native } from '../../native/index.ts';
import { NETLINK_ROUTE } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { forEachMessage } from '../../netlink/message.ts';
import { createRtNetlink, rt } from '../../netlink/rtnetlink-package.ts';
import { openSocketTransport } from '../../netlink/socket.ts';
import type { NetlinkTransport } from '../../netlink/transport.ts';
import type { LinkFeatures } from '../../ofproto/connmgr/openflow-settings.ts';
import type { DevicePlace } from '../../ofproto/ofproto-provider.ts';
import { ERRNO } from '../../util/errno.ts';
import { IPV4_SIZE, parseMac } from '../../util/inet.ts';
import { vlog } from '../../util/vlog.ts';
import { DeviceQos } from '../qos/device-qos.ts';
import { netdevOf, sameNetdev, statsOf } from './link-message.ts';
import { LinkModes } from './link-modes.ts';
import { dumpLinkStats } from './link-stats.ts';
import type { Netdev, NetdevStats, NetdevTable } from './netdev.ts';
import { findNextHop } from './next-hop.ts';
import { TapDevices } from './tap-devices.ts';

const log = vlog('netdev_linux');
const netdevLog = vlog('netdev');

const RTNLGRP_LINK = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const IFNAMSIZ = 16;
/** From a look at all devices that failed to the next. */
const RETRY_MS = 100;
const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;

/** What is asked of the kernel. */
export type LinkRequests = Pick<
  ReturnType<typeof createRtNetlink>,
  'getLink' | 'getLinks' | 'setLink' | 'getRoute' | 'socket'
>;

/** The kernel's table. */
export class RtnetlinkTable implements NetdevTable {
  readonly findNextHop = findNextHop;
  readonly qos = new DeviceQos();
  /** Interface.options of which the log has said that they mean nothing. */
  private readonly refusedOptions = new WeakSet<ReadonlyMap<string, string>>();
  private readonly taps = new TapDevices();
  private readonly requests: LinkRequests;
  /** For dumps alone: the package takes the answer to another request, amid the parts of a dump, for the end of that. */
  private readonly dumps: LinkRequests;
  private readonly notifications: NetlinkTransport;
  private readonly byIndex = new Map<number, Netdev>();
  private readonly byName = new Map<string, Netdev>();
  private readonly drivers = new Map<number, { readonly driver: DeviceDriver | undefined }>();
  private readonly watchers = new Set<(name: string) => void>();
  private readonly links = new LinkModes({ open: () => openSocketTransport(), peer: 0 }, (name) => this.tell(name));
  /** For each question under way: devices that notifications told of meanwhile. */
  private readonly asking = new Set<Set<number>>();
  private resyncing: Promise<void> | undefined;
  private closed = false;

  private constructor(notifications: NetlinkTransport, requests: LinkRequests, dumps: LinkRequests) {
    this.notifications = notifications;
    this.requests = requests;
    this.dumps = dumps;
    for (const { socket } of [requests, dumps]) socket.on('error', (error) => log.warn(`rtnetlink: ${error.message}`));
    notifications.setRef(false);
    notifications.receive({
      datagram: (bytes, dv, offset, size, from) => {
        // Only the kernel's word counts; any process may send here.
        if (from !== 0) return;
        forEachMessage(dv, offset, offset + size, (msg) =>
          this.notified(msg.type, Buffer.from(bytes.subarray(msg.payload, msg.end))),
        );
      },
      overflow: () => {
        log.info('rtnetlink notifications were lost; looking at all devices again');
        void this.lookAgain();
      },
    });
  }

  /** Reads the kernel's table, and follows it from then on.  `notifications` is an open NETLINK_ROUTE socket. */
  static async open(
    notifications: NetlinkTransport = openSocketTransport({ protocol: NETLINK_ROUTE }),
    requests: LinkRequests = createRtNetlink(),
    dumps: LinkRequests = createRtNetlink(),
  ): Promise<RtnetlinkTable> {
    const table = new RtnetlinkTable(notifications, requests, dumps);
    notifications.join(RTNLGRP_LINK);
    await table.resync();
    return table;
  }

  get(name: string): Netdev | undefined {
    return this.byName.get(name);
  }

  /** Makes the device of a "tap" interface, or takes over the one that is there; others are the host's business. */
  configure(name: string, type: string, options: ReadonlyMap<string, string>): void {
    if (type === 'tap') this.taps.make(name);
    if (options.size === 0 || this.refusedOptions.has(options)) return;
    this.refusedOptions.add(options);
    netdevLog.warn(`${name}: arguments provided to device that is not configurable`);
  }

  release(name: string): void {
    this.taps.remove(name);
  }

  features(name: string): LinkFeatures | undefined {
    const netdev = this.byName.get(name);
    return netdev === undefined || this.closed ? undefined : this.links.get(netdev);
  }

  async learnFeatures(name: string): Promise<void> {
    const netdev = this.byName.get(name);
    if (netdev !== undefined && !this.closed) await this.links.learn(netdev);
  }

  driver(name: string): DeviceDriver | undefined {
    const ifindex = this.byName.get(name)?.ifindex;
    if (ifindex === undefined) return undefined;
    // It is asked for once: a device does not change its driver.
    let known = this.drivers.get(ifindex);
    if (known === undefined) {
      known = { driver: askDriver(name) };
      this.drivers.set(ifindex, known);
    }
    return known.driver;
  }

  async refresh(name: string): Promise<Netdev | undefined> {
    if (Buffer.byteLength(name) >= IFNAMSIZ) return undefined;
    try {
      const { links, told } = await this.ask(() => this.requests.getLink({}, { ifname: name }));
      const index = links[0]?.data.index ?? 0;
      if (links[0] === undefined) return undefined;
      return told.has(index) ? this.byName.get(name) : this.put(links[0]);
    } catch (cause) {
      const error = toNetlinkError(cause, name);
      if (error.errno !== ERRNO.ENODEV) throw error;
      const old = this.byName.get(name);
      if (old !== undefined) this.remove(old.ifindex);
      return undefined;
    }
  }

  async inNamespace({ ifindex, netnsid }: DevicePlace): Promise<Netdev | undefined> {
    try {
      const [link] = await this.requests.getLink({ index: ifindex }, { targetNetnsid: netnsid });
      return link === undefined ? undefined : netdevOf(link);
    } catch (cause) {
      const error = toNetlinkError(cause, `device ${ifindex} of namespace ${netnsid}`);
      // No such device, or no such namespace.
      if (error.errno !== ERRNO.ENODEV && error.errno !== ERRNO.EINVAL) throw error;
      return undefined;
    }
  }

  async setMac(name: string, mac: string): Promise<void> {
    const bytes = parseMac(mac);
    if (bytes === undefined) throw new RangeError(`"${mac}" is not an Ethernet address`);
    await this.set(name, { address: Buffer.from(bytes) });
  }

  async setMtu(name: string, mtu: number): Promise<void> {
    await this.set(name, { mtu });
  }

  async setUp(name: string, isUp: boolean): Promise<void> {
    await this.set(name, {}, { flags: isUp ? { up: true } : {}, change: { up: true } });
  }

  async stats(name: string): Promise<NetdevStats> {
    try {
      const [link] = await this.requests.getLink({ index: this.indexOf(name) });
      return statsOf(link);
    } catch (cause) {
      throw toNetlinkError(cause, name);
    }
  }

  async statsDump(): Promise<ReadonlyMap<string, NetdevStats>> {
    const byIndex = await dumpLinkStats(openSocketTransport({ protocol: NETLINK_ROUTE }));
    const byName = new Map<string, NetdevStats>();
    for (const { ifindex, name } of this.byIndex.values()) {
      const stats = byIndex.get(ifindex);
      if (stats !== undefined) byName.set(name, stats);
    }
    return byName;
  }

  async findEgress(address: Uint8Array): Promise<Netdev | undefined> {
    const family = address.length === IPV4_SIZE ? AF_INET : AF_INET6;
    try {
      const to = { family, dstLen: 8 * address.length };
      const [route] = await this.requests.getRoute(to, { dst: Buffer.from(address) });
      return this.byIndex.get(route?.attrs.oif ?? 0);
    } catch (cause) {
      log.dbg(() => `no route to ${address.join('.')}: ${(cause as Error).message}`);
      return undefined;
    }
  }

  watch(onChange: (name: string) => void): () => void {
    this.watchers.add(onChange);
    return () => this.watchers.delete(onChange);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.watchers.clear();
    this.links.close();
    this.qos.close();
    this.taps.close();
    this.requests.socket.close();
    this.dumps.socket.close();
    this.notifications.close();
  }

  private indexOf(name: string): number {
    const index = this.byName.get(name)?.ifindex;
    if (index === undefined) throw new NetlinkError(ERRNO.ENODEV, name);
    return index;
  }

  private async set(
    name: string,
    attrs: { readonly address?: Buffer; readonly mtu?: number },
    data: Pick<rt.Link, 'flags' | 'change'> = {},
  ): Promise<void> {
    try {
      await this.requests.setLink({ index: this.indexOf(name), ...data }, attrs);
    } catch (cause) {
      throw toNetlinkError(cause, name);
    }
    await this.refresh(name);
  }

  private notified(type: number, data: Buffer): void {
    if (type !== RTM_NEWLINK && type !== RTM_DELLINK) return;
    try {
      const link = rt.parseMessage(type, data);
      // A bridge's ports are also told of with AF_BRIDGE, and their leaving it looks like a deletion.
      if (link.kind !== 'link' || (link.data.family ?? AF_UNSPEC) !== AF_UNSPEC) return;
      for (const told of this.asking) told.add(link.data.index ?? 0);
      if (type === RTM_NEWLINK) this.put(link);
      else this.remove(link.data.index ?? 0);
    } catch (error) {
      log.warn(`rtnetlink: ${(error as Error).message}`);
    }
  }

  /** Until it succeeds: what was lost is not told of again. */
  private async lookAgain(): Promise<void> {
    while (!this.closed) {
      try {
        return await this.resync();
      } catch (error) {
        log.warn(`rtnetlink: ${(error as Error).message}`);
        await sleep(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** One at a time; a call during another is served by one more after it. */
  private async resync(): Promise<void> {
    const before = this.resyncing;
    const run = (async () => {
      await before?.catch(() => undefined);
      if (this.closed) return;
      const { links, told } = await this.ask(() => this.dumps.getLinks());
      const seen = new Set(told);
      for (const link of links) {
        const index = link.data.index ?? 0;
        seen.add(index);
        if (!told.has(index)) this.put(link);
      }
      for (const index of [...this.byIndex.keys()]) if (!seen.has(index)) this.remove(index);
    })();
    this.resyncing = run;
    await run;
  }

  /** An answer comes through another socket than notifications do: of the devices in `told` it may be older than what was heard since. */
  private async ask(question: () => Promise<rt.LinkMessage[]>) {
    const told = new Set<number>();
    this.asking.add(told);
    try {
      return { links: await question(), told };
    } finally {
      this.asking.delete(told);
    }
  }

  private put(link: rt.LinkMessage): Netdev | undefined {
    const old = this.byIndex.get(link.data.index ?? 0);
    const netdev = netdevOf(link, old);
    if (netdev === undefined) return undefined;
    const { ifindex } = netdev;
    if (old !== undefined && sameNetdev(old, netdev)) return old;
    if (old !== undefined && old.name !== netdev.name) this.remove(ifindex);
    this.byIndex.set(ifindex, netdev);
    this.byName.set(netdev.name, netdev);
    this.tell(netdev.name);
    return netdev;
  }

  private remove(ifindex: number): void {
    const old = this.byIndex.get(ifindex);
    if (old === undefined) return;
    this.byIndex.delete(ifindex);
    this.drivers.delete(ifindex);
    // The name may belong to another device by now: a device is renamed, or made anew, before we hear of the deletion.
    if (this.byName.get(old.name) === old) {
      this.byName.delete(old.name);
      this.taps.forget(old.name);
      this.links.forget(old.name);
    }
    this.tell(old.name);
  }

  private tell(name: string): void {
    for (const watcher of this.watchers) watcher(name);
  }
}

function askDriver(name: string): DeviceDriver | undefined {
  try {
    return native().deviceDriver(name);
  } catch (error) {
    log.dbg(() => `${name}: driver is not known (${(error as Error).message})`);
    return undefined;
  }
}

/** The errno that the package put into its message's text. */
function toNetlinkError(cause: unknown, where: string): NetlinkError {
  if (cause instanceof NetlinkError) return cause;
  const name = /Request rejected: (E[A-Z0-9]+)/.exec((cause as Error).message)?.[1];
  const errno: number | undefined = (constants.errno as Record<string, number>)[name ?? ''];
  return Object.assign(new NetlinkError(errno ?? ERRNO.EIO, where), { cause });
}
