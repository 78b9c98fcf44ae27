/** The "ovs_vport" family.  Source: include/uapi/linux/openvswitch.h. */
import { array, bytes, s32, string, struct, u32, u64 } from '../kinds.ts';
import { type AttrsOf, nla, policy, required } from '../policy.ts';

export const OVS_VPORT_FAMILY = 'ovs_vport';
export const OVS_VPORT_VERSION = 1;

/** enum ovs_vport_cmd. */
export const OVS_VPORT_CMD = { NEW: 1, DEL: 2, GET: 3, SET: 4 } as const;

/** enum ovs_vport_type; those from LISP on only Open Vswitch's own copy of the header has. */
export const OVS_VPORT_TYPE = {
  ...{ UNSPEC: 0, NETDEV: 1, INTERNAL: 2, GRE: 3, VXLAN: 4, GENEVE: 5 },
  ...{ LISP: 105, STT: 106, ERSPAN: 107, IP6ERSPAN: 108, IP6GRE: 109, GTPU: 110, BAREUDP: 111 },
} as const;

/** The port number of a datapath's own (local) port; the number of ports is bounded by OVSP_MAX. */
export const OVSP_LOCAL = 0;
export const DP_MAX_PORTS = 65535;

/** enum ovs_tunnel_attr: the nest of OVS_VPORT_ATTR_OPTIONS.  EXTENSION holds flags, OVS_VXLAN_EXT_* or those of other types. */
export const OVS_TUNNEL_ATTR = { DST_PORT: 1, EXTENSION: 2 } as const;

/**
 * Of our own datapath, in the nest of OVS_VPORT_ATTR_OPTIONS with which a port on an existing device is SET: how much it may receive, in
 * kbit and 1000 packets per second, and at once.  Rates of 0 do not limit.  openvswitch.ko says EOPNOTSUPP, as to all options of such ports.
 */
// biome-ignore format: table
export const VPORT_POLICING = policy('TAPSWITCH_VPORT_POLICING', {
  kbitsRate:  required(nla(0x101, u32)),
  kbitsBurst: required(nla(0x102, u32)),
  kpktsRate:  required(nla(0x103, u32)),
  kpktsBurst: required(nla(0x104, u32)),
});
export type VportPolicing = AttrsOf<typeof VPORT_POLICING>;

/** struct ovs_vport_stats. */
// biome-ignore format: table
const OVS_VPORT_STATS = struct({
  rxPackets: u64, txPackets: u64, rxBytes: u64, txBytes: u64,
  rxErrors: u64, txErrors: u64, rxDropped: u64, txDropped: u64,
});

/** enum ovs_vport_upcall_attr. */
const OVS_VPORT_UPCALL_ATTR = policy('OVS_VPORT_UPCALL_ATTR', { success: nla(0, u64), fail: nla(1, u64) });

/** enum ovs_vport_attr, in the order of the kernel's replies. */
// biome-ignore format: table
export const OVS_VPORT_ATTR = policy('OVS_VPORT_ATTR', {
  portNo:      nla(1, u32),
  type:        nla(2, u32), //            OVS_VPORT_TYPE
  name:        nla(3, string(15)), //     IFNAMSIZ - 1
  ifindex:     nla(8, u32),
  netnsid:     nla(9, s32),
  stats:       nla(6, OVS_VPORT_STATS),
  upcallPid:   nla(5, array(u32)), //     one, or one a handler with OVS_DP_F_VPORT_PIDS
  upcallStats: nla(10, OVS_VPORT_UPCALL_ATTR),
  options:     nla(4, bytes()), //        OVS_TUNNEL_ATTR_* nest
});
export type VportAttrs = AttrsOf<typeof OVS_VPORT_ATTR>;
