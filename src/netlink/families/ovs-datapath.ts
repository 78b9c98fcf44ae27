/** The "ovs_datapath" family.  Source: include/uapi/linux/openvswitch.h. */
import { array, flags, string, struct, u32, u64 } from '../kinds.ts';
import { type AttrsOf, nla, policy } from '../policy.ts';

export const OVS_DATAPATH_FAMILY = 'ovs_datapath';
export const OVS_DATAPATH_VERSION = 2;

/** enum ovs_datapath_cmd. */
export const OVS_DP_CMD = { NEW: 1, DEL: 2, GET: 3, SET: 4 } as const;

/** OVS_DP_F_*: features that userspace asks of a datapath. */
// biome-ignore format: table
export const OVS_DP_F = flags({
  unaligned: 1 << 0, //            The packet attribute may be unaligned.
  vportPids: 1 << 1, //            Several upcall port ids a vport.
  tcRecircSharing: 1 << 2, //      tc offload may share recirculation ids.
  dispatchUpcallPerCpu: 1 << 3, // Upcalls go to the port ids of OVS_DP_ATTR_PER_CPU_PIDS.
});

/** struct ovs_dp_stats: packets since the datapath was made. */
const OVS_DP_STATS = struct({ nHit: u64, nMissed: u64, nLost: u64, nFlows: u64 });

/** struct ovs_dp_megaflow_stats. */
const OVS_DP_MEGAFLOW_STATS = struct({ nMaskHit: u64, nMasks: u32, pad0: u32, nCacheHit: u64, pad1: u64 });

/** enum ovs_datapath_attr, in the order of the kernel's replies. */
// biome-ignore format: table
export const OVS_DP_ATTR = policy('OVS_DP_ATTR', {
  name:           nla(1, string(15)), //     IFNAMSIZ - 1
  upcallPid:      nla(2, u32), //            0 to disable upcalls
  stats:          nla(3, OVS_DP_STATS),
  megaflowStats:  nla(4, OVS_DP_MEGAFLOW_STATS),
  userFeatures:   nla(5, OVS_DP_F),
  masksCacheSize: nla(7, u32), //            entries, a power of 2
  perCpuPids:     nla(8, array(u32)), //     indexed by CPU id
  ifindex:        nla(9, u32),
});
export type DatapathAttrs = AttrsOf<typeof OVS_DP_ATTR>;
