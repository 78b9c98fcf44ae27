/**
 * What is set of multicast snooping: the interface between `vswitchd/config/mcast-config.ts` and `mcast-snooping.ts`.
 * Source: ofproto/ofproto.h (struct ofproto_mcast_snooping_settings), ovs-vswitchd.conf.db(5) Bridge, Port.
 */

export const MCAST_DEFAULT_MAX = 2048;
export const MCAST_DEFAULT_AGING_SEC = 300;

export interface McastLimits {
  /** 15 to 3600 s, and 10 to 1,000,000 groups; values outside are brought inside. */
  readonly agingSec: number;
  readonly maxEntries: number;
  /** Packets of groups that nobody is known to be in go everywhere; else to routers and flood ports only. */
  readonly floodsUnregistered: boolean;
}

/** Bridge.mcast_snooping_enable and what belongs to it; ports are names of bundles. */
export interface McastSettings extends McastLimits {
  readonly floodPorts: readonly string[];
  readonly reportPorts: readonly string[];
}
