/**
 * What OpenFlow asks of a port's device, and tells it: `PortDevice` carries one, which vswitchd makes of its table of devices.
 */
import type { DpifPortStats } from '../../dpif/dpif-types.ts';
import type { PortStats } from '../../openflow/messages/switch/switch-types.ts';

/** A counter that is missing is not known. */
export type DeviceCounters = Pick<PortStats, 'counters' | 'custom'>;

/** What a queue has sent. */
export interface QueueStatistics {
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  /** Of the monotonic clock; undefined: not known. */
  readonly createdMs: number | undefined;
}

export interface DeviceControl {
  /** Numbers of its queues. */
  readonly queues: readonly number[];
  /** How it is set up, for `dpif/show`; in no way worth a word if left out. */
  readonly settings?: ReadonlyMap<string, string>;
  /** Whether queues can be set up on it; false if left out: it has those that it has. */
  readonly hasQos?: boolean;
  /** What its queues, or the one of number `only`, have sent; those that are missing are not known. */
  queueStatistics?(only?: number): ReadonlyMap<number, QueueStatistics>;
  /** What the device has counted; `datapath` is what the datapath has on its port, undefined if that is not known.  May reject. */
  counters(datapath: DpifPortStats | undefined): Promise<DeviceCounters>;
  /** Sets the device up or down; resolves to whether its link is up then.  Rejects with a NetlinkError. */
  setUp(isUp: boolean): Promise<boolean>;
}
