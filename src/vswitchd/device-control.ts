/**
 * What OpenFlow can ask and tell of a port's device, through the table of devices.
 * Neighbours: netdev.ts; iface-status.ts, which tells the database the same counters.
 * Source: lib/netdev.h (netdev_get_stats, netdev_turn_flags_on).
 */
import type { DpifPortStats } from '../dpif/dpif-types.ts';
import type { DeviceControl, DeviceCounters } from '../ofproto/connmgr/device-control.ts';
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
    return this.netdevs.queues?.(this.name) ?? [];
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
