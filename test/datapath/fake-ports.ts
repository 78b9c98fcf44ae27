/**
 * Devices that exist only as table entries, for tests of the netlink face: they carry no packets of their own accord, but
 * keep what is sent to them.  What a shell does with `ip link` is done here by methods.
 */

import type { DeviceStats, PortBackend, PortEvents } from '../../src/datapath/ports/port-backend.ts';
import { isDeviceName, type PortFactory } from '../../src/datapath/ports/port-factory.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import type { Packet } from '../../src/packet/packet.ts';
import { newDeviceStats } from '../../src/util/device-stats.ts';
import { ERRNO } from '../../src/util/errno.ts';

export interface FakeDevice {
  name: string;
  readonly ifindex: number;
  master: number;
  readonly isLoopback: boolean;
}

const MAX_SENT = 64;

export class FakePort implements PortBackend {
  readonly device: FakeDevice;
  readonly mtu = 1500;
  readonly takesOffloads = true;
  readonly sent: Uint8Array[] = [];
  events: PortEvents | undefined;
  isOpen = true;
  private readonly onClose: () => void;

  constructor(device: FakeDevice, onClose: () => void = () => {}) {
    this.device = device;
    this.onClose = onClose;
  }
  get name(): string {
    return this.device.name;
  }
  get ifindex(): number {
    return this.device.ifindex;
  }
  start(events: PortEvents): void {
    this.events = events;
  }
  /** Keeps the last few frames only. */
  send(pkt: Packet): void {
    if (this.sent.length >= MAX_SENT) this.sent.shift();
    this.sent.push(pkt.arena.bytes.slice(pkt.start, pkt.end));
  }
  flush(): void {}
  stats(): DeviceStats {
    return newDeviceStats();
  }
  close(): void {
    if (this.isOpen) this.onClose();
    this.isOpen = false;
    this.events = undefined;
  }
}

export class FakePorts implements PortFactory {
  readonly devices = new Map<string, FakeDevice>();
  readonly open = new Set<FakePort>();
  private readonly ifindexOf: (name: string) => number;

  /** `ifindexOf` numbers a device that is made. */
  constructor(ifindexOf?: (name: string) => number) {
    let next = 2;
    this.ifindexOf = ifindexOf ?? (() => next++);
    this.devices.set('lo', { name: 'lo', ifindex: 1, master: 0, isLoopback: true });
  }

  add(name: string): FakeDevice {
    const device: FakeDevice = { name, ifindex: this.ifindexOf(name), master: 0, isLoopback: false };
    this.devices.set(name, device);
    return device;
  }
  rename(from: string, to: string): void {
    const device = this.devices.get(from);
    if (device === undefined) throw new Error(`no device ${from}`);
    this.devices.delete(from);
    device.name = to;
    this.devices.set(to, device);
  }
  /** Deletes a device; returns its ifindex. */
  remove(name: string): number {
    const device = this.devices.get(name);
    if (device === undefined) throw new Error(`no device ${name}`);
    this.devices.delete(name);
    return device.ifindex;
  }
  port(name: string): FakePort | undefined {
    for (const port of this.open) if (port.name === name) return port;
    return undefined;
  }

  createInternal(name: string): PortBackend {
    if (!isDeviceName(name)) throw new NetlinkError(ERRNO.EINVAL, name);
    if (this.devices.has(name)) throw new NetlinkError(ERRNO.EEXIST, name);
    const device = this.add(name);
    const port = new FakePort(device, () => {
      this.devices.delete(device.name);
      this.open.delete(port);
    });
    this.open.add(port);
    return port;
  }
  openNetdev(name: string, check: (ifindex: number) => void): PortBackend {
    const device = this.devices.get(name);
    if (device === undefined) throw new NetlinkError(ERRNO.ENODEV, name);
    if (device.isLoopback) throw new NetlinkError(ERRNO.EINVAL, name);
    check(device.ifindex);
    if (device.master !== 0) throw new NetlinkError(ERRNO.EBUSY, name);
    const port = new FakePort(device, () => this.open.delete(port));
    this.open.add(port);
    return port;
  }
}
