/**
 * What the switch needs of network devices: a table of them, the few settings that a bridge makes, and what they tell.  The kernel's
 * is rtnetlink-table.ts; dummy/ has another, and tests a third.  bridge-*.ts and iface-status.ts read it.
 * Source: lib/netdev-provider.h.
 */
import type { DeviceDriver } from '../../native/index.ts';
import type { DeviceCounters } from '../../ofproto/connmgr/device-control.ts';
import type { LinkFeatures } from '../../ofproto/connmgr/openflow-settings.ts';
import type { DevicePlace } from '../../ofproto/ofproto-provider.ts';
import type { DeviceQos } from '../qos/device-qos.ts';

/** A network device, as it was when the kernel last spoke of it. */
export interface Netdev {
  readonly name: string;
  readonly ifindex: number;
  /** "00:11:22:aa:bb:cc"; undefined for devices without a 6-byte address. */
  readonly mac: string | undefined;
  readonly mtu: number;
  /** IFF_UP: an administrator set it up. */
  readonly isUp: boolean;
  /** IFF_RUNNING: it is up, and so is its link. */
  readonly hasCarrier: boolean;
  /** How often `hasCarrier` has changed while we looked. */
  readonly linkResets: number;
  /** IFLA_INFO_KIND: "veth", "tun" ...; undefined for hardware. */
  readonly kind: string | undefined;
}

/** struct rtnl_link_stats64, the part that Interface.statistics shows. */
export type NetdevStats = Readonly<Record<(typeof NETDEV_STATS)[number], bigint>>;
export const NETDEV_STATS = [
  ...(['rxPackets', 'txPackets', 'rxBytes', 'txBytes', 'rxErrors', 'txErrors', 'rxDropped', 'txDropped'] as const),
  ...(['multicast', 'collisions', 'rxOverErrors', 'rxCrcErrors', 'rxFrameErrors', 'rxMissedErrors'] as const),
] as const;

export interface NetdevTable {
  get(name: string): Netdev | undefined;
  /** Asks the kernel again, and updates the table; undefined if there is no such device. */
  refresh(name: string): Promise<Netdev | undefined>;
  /** A device in another network namespace; undefined if there is none.  A table may know of one namespace only. */
  inNamespace?(place: DevicePlace): Promise<Netdev | undefined>;
  /** Rejects with a NetlinkError. */
  setMac(name: string, mac: string): Promise<void>;
  setMtu(name: string, mtu: number): Promise<void>;
  setUp(name: string, isUp: boolean): Promise<void>;
  stats(name: string): Promise<NetdevStats>;
  /** Those of all devices, by name: cheaper than asking for each of many.  A table may lack it. */
  statsDump?(): Promise<ReadonlyMap<string, NetdevStats>>;
  /** Interface types that can be ports; those of the kernel's devices if left out. */
  readonly types?: readonly string[];
  /** The type that the port of an interface of `type` has; the same if left out. */
  openType?(type: string): string;
  /** Makes the device of an interface, of a table that makes its devices, and applies Interface.options.  Throws a NetlinkError if it cannot. */
  configure?(name: string, type: string, options: ReadonlyMap<string, string>): void;
  /** All that OpenFlow is told of a device's counters, where that is not what the datapath and `stats` have. */
  counters?(name: string): DeviceCounters | undefined;
  /** What the link of a device can do and does; undefined: not known, or not yet. */
  features?(name: string): LinkFeatures | undefined;
  /** Resolves when `features` knows a device, so that no change follows what it gives.  A table may have nothing to wait for. */
  learnFeatures?(name: string): Promise<void>;
  /** What a device's driver calls itself; undefined: it does not say. */
  driver?(name: string): DeviceDriver | undefined;
  /** How a device is set up, for `dpif/show`.  A table may have nothing to say. */
  settings?(name: string): ReadonlyMap<string, string>;
  /** Numbers of a device's queues; those of `qos` if left out. */
  queues?(name: string): readonly number[];
  /** Traffic control of devices; undefined: there is none. */
  readonly qos?: DeviceQos;
  /** The interface is gone: so is a device that `configure` made. */
  release?(name: string): void;
  /** The Ethernet address of the next hop on the way to an IPv4 address; an Error if there is no way.  A table may have no routes. */
  findNextHop?(ip: Uint8Array): Promise<Uint8Array | undefined>;
  /** The device that packets to an IPv4 or IPv6 address leave by; undefined if there is no way.  A table may have no routes. */
  findEgress?(address: Uint8Array): Promise<Netdev | undefined>;
  /** Calls `onChange` for each device that comes, goes or changes, until the returned function is called. */
  watch(onChange: (name: string) => void): () => void;
  close(): void;
}
