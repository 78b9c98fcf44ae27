/**
 * Counters of a network device, as both halves keep and read them.
 * Source: include/uapi/linux/if_link.h (struct rtnl_link_stats64), of which these are a part.
 */

/** 64-bit counters from the device's own point of view, as `ip -s link` counts: rx is what the host's stack got. */
export interface DeviceStats {
  rxPackets: bigint;
  txPackets: bigint;
  rxBytes: bigint;
  txBytes: bigint;
  rxErrors: bigint;
  txErrors: bigint;
  rxDropped: bigint;
  txDropped: bigint;
}

export const newDeviceStats = (): DeviceStats => ({
  rxPackets: 0n,
  txPackets: 0n,
  rxBytes: 0n,
  txBytes: 0n,
  rxErrors: 0n,
  txErrors: 0n,
  rxDropped: 0n,
  txDropped: 0n,
});

/** Counts a frame of `size` bytes that came in. */
export function countRx(stats: DeviceStats, size: number): void {
  stats.rxPackets++;
  stats.rxBytes += BigInt(size);
}

/** Counts a frame of `size` bytes that went out. */
export function countTx(stats: DeviceStats, size: number): void {
  stats.txPackets++;
  stats.txBytes += BigInt(size);
}
