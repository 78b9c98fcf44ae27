/**
 * All dummy devices of this process: the table that bridges look into (NetdevTable) in place of the kernel's, and where the
 * datapath in this process opens its ports.
 *
 * A device is made when an interface of a dummy type is configured, and for an internal port; it goes when its interface
 * does.  Source: lib/netdev-dummy.c (netdev_dummy_register).
 */
import { NetlinkError } from '../../netlink/errors.ts';
import type { DeviceCounters } from '../../ofproto/connmgr/device-control.ts';
import { ERRNO } from '../../util/errno.ts';
import { formatMac } from '../../util/inet.ts';
import type { Netdev, NetdevStats, NetdevTable } from '../devices/netdev.ts';
import type { DeviceAddress } from '../router/system-routes.ts';
import { DUMMY_TYPES, DummyNetdev } from './dummy-netdev.ts';
import { DummyTunnel } from './dummy-tunnel.ts';
import { WireNames } from './wire-names.ts';

/** What --enable-dummy replaces: nothing, devices of type "system", or of every type. */
export type DummyLevel = 'none' | 'system' | 'override';

export class DummyNetdevs implements NetdevTable {
  readonly types: readonly string[];
  readonly names = new WireNames();
  private readonly devices = new Map<string, DummyNetdev>();
  private readonly tunnels = new Map<string, DummyTunnel>();
  private readonly watchers = new Set<(name: string) => void>();
  private nMade = 0;

  constructor(level: DummyLevel) {
    const replaced = level === 'none' ? [] : level === 'system' ? ['system'] : ['system', 'tap'];
    this.types = [...DUMMY_TYPES, 'internal', ...replaced].sort();
  }

  /** Devices, the oldest first. */
  all(): IterableIterator<DummyNetdev> {
    return this.devices.values();
  }
  find(name: string): DummyNetdev | undefined {
    return this.devices.get(name);
  }

  /** The addresses that devices were given. */
  addresses(): DeviceAddress[] {
    return Array.from(this.devices.values()).flatMap(({ name, network4, network6 }) =>
      [network4, network6].flatMap((prefix) => (prefix === undefined ? [] : [{ device: name, prefix }])),
    );
  }

  openType(type: string): string {
    return type === 'internal' ? 'dummy-internal' : type;
  }

  configure(name: string, type: string, options: ReadonlyMap<string, string>): void {
    if (!this.types.includes(type)) return;
    this.ensure(name, this.openType(type)).configure(options);
  }

  release(name: string): void {
    const device = this.devices.get(name);
    if (device === undefined) return;
    this.devices.delete(name);
    device.close();
    this.tell(name);
  }

  /** For the datapath: the device of an internal port. */
  openInternal(name: string): DummyNetdev {
    return this.ensure(name, 'dummy-internal');
  }
  /** For the datapath: a device that was configured. */
  open(name: string): DummyNetdev | DummyTunnel | undefined {
    return this.devices.get(this.names.fromWire(name)) ?? this.tunnels.get(name);
  }

  /** Makes the device for all tunnels of a type, which is to be a port of a datapath. */
  addTunnel(name: string, type: string): void {
    this.tunnels.set(name, new DummyTunnel(name, type));
  }
  /** The type of device `name`, if there is one. */
  typeOf(name: string): string | undefined {
    return this.open(name)?.type;
  }

  private ensure(name: string, type: string): DummyNetdev {
    const old = this.devices.get(name);
    if (old?.type === type) return old;
    old?.close();
    const n = this.nMade++;
    const mac = formatMac(Uint8Array.of(0xaa, 0x55, 0xaa, 0x55 + (n >> 16), n >> 8, n));
    const device = new DummyNetdev(name, type, mac, (changed) => this.tell(changed));
    this.devices.set(name, device);
    return device;
  }

  get(name: string): Netdev | undefined {
    return this.devices.get(name)?.netdev;
  }
  async refresh(name: string): Promise<Netdev | undefined> {
    return this.get(name);
  }
  async setMac(name: string, mac: string): Promise<void> {
    this.must(name).setMac(mac);
  }
  async setMtu(name: string, mtu: number): Promise<void> {
    this.must(name).setMtu(mtu);
  }
  async setUp(name: string, isUp: boolean): Promise<void> {
    this.must(name).setAdminState(isUp);
  }
  counters(name: string): DeviceCounters | undefined {
    return this.devices.get(name)?.ownCounters();
  }
  settings(name: string): ReadonlyMap<string, string> {
    return this.devices.get(name)?.settings() ?? new Map();
  }
  queues(name: string): readonly number[] {
    return this.devices.has(name) ? [0] : [];
  }
  async stats(name: string): Promise<NetdevStats> {
    const none = { multicast: 0n, collisions: 0n, rxOverErrors: 0n, rxCrcErrors: 0n, rxFrameErrors: 0n };
    return { ...this.must(name).stats(), ...none, rxMissedErrors: 0n };
  }
  watch(onChange: (name: string) => void): () => void {
    this.watchers.add(onChange);
    return () => this.watchers.delete(onChange);
  }
  close(): void {
    this.watchers.clear();
    for (const device of this.devices.values()) device.close();
    this.devices.clear();
  }

  private must(name: string): DummyNetdev {
    const device = this.devices.get(name);
    if (device === undefined) throw new NetlinkError(ERRNO.ENODEV, name);
    return device;
  }

  private tell(name: string): void {
    for (const watcher of this.watchers) watcher(name);
  }
}
