/**
 * What OpenFlow can ask and tell of a port's device, through the table of devices.
 * Neighbours: netdev.ts; iface-status.ts, which tells the database the same counters.
 * Source: lib/netdev.h (netdev_get_stats, netdev_turn_flags_on).
 */
import type { DpifPortStats } from '../../dpif/dpif-types.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import type { DeviceControl, DeviceCounters, QueueStatistics } from '../../ofproto/connmgr/device-control.ts';
import type { NetdevStats, NetdevTable } from './netdev.ts';

/** Counters that only the device has. */
// biome-ignore format: list
const OF_DEVICE = [
  'collisions', 'multicast', 'rxOverErrors', 'rxCrcErrors', 'rxFrameErrors', 'rxMissedErrors',
] as const satisfies readonly (keyof NetdevStats)[];

export class NetdevControl implements DeviceControl {
  private readonly netdevs: NetdevTable;
  private readonly name: string;

  constructor(netdevs: NetdevTable, name: string) {
    this.netdevs = netdevs;
    this.name = name;
  }

  get queues(): readonly number[] {
    const { netdevs, name } = this;
    const fixed = netdevs.queues?.(name);
    if (fixed !== undefined) return fixed;
    const queues = known(() => netdevs.qos?.show(name)?.queues);
    return queues === undefined ? [] : [...queues.keys()].sort((a, b) => a - b);
  }

  get settings(): ReadonlyMap<string, string> {
    return this.netdevs.settings?.(this.name) ?? new Map();
  }

  get hasQos(): boolean {
    return this.netdevs.qos !== undefined;
  }

  queueStatistics(only?: number): ReadonlyMap<number, QueueStatistics> {
    const { netdevs, name } = this;
    const counters = known(() => netdevs.qos?.counters(name, only)) ?? new Map<number, never>();
    const queues = known(() => netdevs.qos?.show(name)?.queues);
    const stats = new Map<number, QueueStatistics>();
    for (const [id, counted] of counters) stats.set(id, { ...counted, createdMs: queues?.get(id)?.createdMs });
    return stats;
  }

  async counters(datapath: DpifPortStats | undefined): Promise<DeviceCounters> {
    const own = this.netdevs.counters?.(this.name);
    if (own !== undefined) return own;
    const { upcallSuccess: _, upcallFail: __, ...counted } = datapath ?? {};
    if (this.netdevs.get(this.name) === undefined) return { counters: counted, custom: [] };
    const stats = await this.netdevs.stats(this.name);
    const ofDevice = Object.fromEntries(OF_DEVICE.map((key) => [key, stats[key]]));
    return { counters: { ...ofDevice, ...counted }, custom: [] };
  }

  async setUp(isUp: boolean): Promise<boolean> {
    await this.netdevs.setUp(this.name, isUp);
    const device = await this.netdevs.refresh(this.name);
    return device?.hasCarrier ?? false;
  }
}

/** What the kernel tells, or undefined if it does not: a device may be gone any time. */
function known<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return undefined;
  }
}
