/**
 * A machine in memory: devices, a datapath that serves them over MemoryNetlink, and the devices as dpctl sees them.  The
 * whole of it is real but for the devices and the wire.
 */

import type { DeviceStats, PortBackend, PortEvents } from '../../src/datapath/ports/port-backend.ts';
import type { PortFactory } from '../../src/datapath/ports/port-factory.ts';
import { DatapathServer } from '../../src/datapath/server.ts';
import type { NetdevCounters, Netdevs } from '../../src/dpctl/netdevs.ts';
import { DATAPATH_PORT_ID } from '../../src/netlink/constants.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import type { GenlEndpoint } from '../../src/netlink/genl.ts';
import { MemoryNetlink, type NetlinkTransport } from '../../src/netlink/transport.ts';
import { Packet, VNET_HDR_SIZE } from '../../src/packet/packet.ts';
import { countRx, countTx, newDeviceStats } from '../../src/util/device-stats.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { vlog } from '../../src/util/vlog.ts';
import { newArena } from './packets.ts';

/** A device: what is put into `receive` is what came in, `sent` is what went out. */
export class MemoryDevice implements PortBackend {
  name: string;
  readonly ifindex: number;
  readonly isInternal: boolean;
  readonly mtu = 1500;
  readonly takesOffloads = true;
  readonly sent: Uint8Array[] = [];
  isUp = false;
  master = 0;
  private readonly host: MemoryHost;
  private events: PortEvents | undefined;
  private readonly counts: DeviceStats = newDeviceStats();

  constructor(host: MemoryHost, name: string, ifindex: number, isInternal: boolean) {
    this.host = host;
    this.name = name;
    this.ifindex = ifindex;
    this.isInternal = isInternal;
  }

  start(events: PortEvents): void {
    this.events = events;
  }
  /** One frame arrives from outside. */
  receive(frame: Uint8Array): void {
    const pkt = new Packet(this.host.arena);
    pkt.reset(this.host.arena.take());
    this.host.arena.bytes.fill(0, pkt.start - VNET_HDR_SIZE, pkt.start);
    this.host.arena.bytes.set(frame, pkt.start);
    pkt.end = pkt.start + frame.length;
    countRx(this.counts, frame.length);
    this.events?.receive(pkt);
    this.events?.batchEnd();
    this.host.arena.give(pkt.slot);
  }
  send(pkt: Packet): void {
    this.sent.push(this.host.arena.bytes.slice(pkt.start, pkt.end));
    countTx(this.counts, pkt.end - pkt.start);
  }
  flush(): void {}
  stats(): DeviceStats {
    return { ...this.counts };
  }
  close(): void {
    this.events = undefined;
    if (this.isInternal) this.host.devices.delete(this.name);
    else this.master = 0;
  }
}

export class MemoryHost implements PortFactory, Netdevs {
  readonly net = new MemoryNetlink();
  /** Where conntrack answers. */
  readonly netfilter = new MemoryNetlink();
  readonly arena = newArena(64);
  readonly devices = new Map<string, MemoryDevice>();
  readonly server: DatapathServer;
  private readonly transport: NetlinkTransport;
  private nextIfindex = 10;

  constructor() {
    this.transport = this.net.open(DATAPATH_PORT_ID);
    const log = vlog('memory_host');
    this.server = new DatapathServer({
      transport: this.transport,
      netfilter: this.netfilter.open(DATAPATH_PORT_ID),
      portFactory: this,
      arena: this.arena,
      log,
      nCpus: 2,
    });
    this.server.start();
  }

  get endpoint(): GenlEndpoint {
    return { open: () => this.net.open(), peer: DATAPATH_PORT_ID };
  }

  /** Makes a device, as `ip link add` does. */
  addDevice(name: string): MemoryDevice {
    const device = new MemoryDevice(this, name, this.nextIfindex++, false);
    this.devices.set(name, device);
    return device;
  }
  removeDevice(name: string): void {
    const device = this.devices.get(name);
    if (device === undefined) return;
    this.devices.delete(name);
    this.server.deviceGone(device.ifindex);
  }
  renameDevice(from: string, to: string): void {
    const device = this.device(from);
    this.devices.delete(from);
    this.devices.set(to, device);
    device.name = to;
  }
  device(name: string): MemoryDevice {
    const device = this.devices.get(name);
    if (device === undefined) throw new Error(`no device ${name}`);
    return device;
  }
  close(): void {
    this.server.close();
    this.transport.close();
  }

  createInternal(name: string): PortBackend {
    if (this.devices.has(name)) throw new NetlinkError(ERRNO.EEXIST, name);
    const device = new MemoryDevice(this, name, this.nextIfindex++, true);
    this.devices.set(name, device);
    return device;
  }
  openNetdev(name: string, check: (ifindex: number) => void): PortBackend {
    const device = this.devices.get(name);
    if (device === undefined) throw new NetlinkError(ERRNO.ENODEV, name);
    if (name === 'lo' || device.isInternal) throw new NetlinkError(ERRNO.EINVAL, name);
    check(device.ifindex);
    if (device.master !== 0) throw new NetlinkError(ERRNO.EBUSY, name);
    device.master = -1;
    return device;
  }

  async exists(name: string): Promise<boolean> {
    return this.devices.has(name);
  }
  async turnUp(name: string): Promise<void> {
    this.device(name).isUp = true;
  }
  async remove(name: string): Promise<void> {
    this.removeDevice(name);
  }
  async counters(name: string): Promise<NetdevCounters | undefined> {
    if (!this.devices.has(name)) return undefined;
    return { rxOverErrors: 0n, rxFrameErrors: 0n, txAbortedErrors: 0n, txCarrierErrors: 0n, collisions: 0n };
  }
}
