/**
 * Numbers of the action attributes and of what is nested in them: the vocabulary that datapath/actions/compile-actions.ts
 * validates, odp-actions.ts builds and text/odp-format-actions.ts prints.  Numbers and payload sizes only; names are the kernel's.
 *
 * An action list is a run of netlink attributes whose types are OVS_ACTION_ATTR:
 *
 *     [OUTPUT u32] [SET [one OVS_KEY_ATTR]] [SAMPLE [PROBABILITY u32] [ACTIONS [action list]]] ...
 *
 * Source: include/uapi/linux/openvswitch.h (6.1, and 6.11 for DROP and PSAMPLE).
 */

/** enum ovs_action_attr. */
// biome-ignore format: table
export const OVS_ACTION_ATTR = {
  UNSPEC: 0,
  OUTPUT: 1, //        u32 port number
  USERSPACE: 2, //     nest of OVS_USERSPACE_ATTR
  SET: 3, //           one OVS_KEY_ATTR
  PUSH_VLAN: 4, //     be16 TPID, be16 TCI
  POP_VLAN: 5, //      nothing
  SAMPLE: 6, //        nest of OVS_SAMPLE_ATTR
  RECIRC: 7, //        u32 recirculation id
  HASH: 8, //          u32 algorithm, u32 basis
  PUSH_MPLS: 9, //     be32 label stack entry, be16 ethertype (struct of 8 bytes)
  POP_MPLS: 10, //     be16 ethertype
  SET_MASKED: 11, //   one OVS_KEY_ATTR: its value, then its mask
  CT: 12, //           nest of OVS_CT_ATTR
  TRUNC: 13, //        u32 bytes kept
  PUSH_ETH: 14, //     source MAC, destination MAC
  POP_ETH: 15, //      nothing
  CT_CLEAR: 16, //     nothing
  PUSH_NSH: 17, //     one OVS_KEY_ATTR.NSH nest
  POP_NSH: 18, //      nothing
  METER: 19, //        u32 meter id
  CLONE: 20, //        action list
  CHECK_PKT_LEN: 21, // nest of OVS_CHECK_PKT_LEN_ATTR
  ADD_MPLS: 22, //     be32 label stack entry, be16 ethertype, u16 flags
  DEC_TTL: 23, //      nest of OVS_DEC_TTL_ATTR
  DROP: 24, //         u32 reason; Linux 6.7
  PSAMPLE: 25, //      nest of OVS_PSAMPLE_ATTR; Linux 6.11
} as const;
/**
 * The same numbers as Open vSwitch 3.1 uses them in userspace: its datapath-independent code, which the stock tools print
 * and parse with, has actions of its own from 23 on, where kernels have DEC_TTL, DROP and PSAMPLE.
 */
// biome-ignore format: table
export const OVS_USERSPACE_ACTION_ATTR = {
  TUNNEL_PUSH: 23, // struct ovs_action_push_tnl
  TUNNEL_POP: 24, //  u32 port number
  DROP: 25, //        u32 reason (enum xlate_error)
  LB_OUTPUT: 26, //   u32 bond id
} as const;
export type OvsActionAttr = (typeof OVS_ACTION_ATTR)[keyof typeof OVS_ACTION_ATTR];

/** enum ovs_userspace_attr. */
export const OVS_USERSPACE_ATTR = { PID: 1, USERDATA: 2, EGRESS_TUN_PORT: 3, ACTIONS: 4 } as const;

/** enum ovs_sample_attr.  PROBABILITY: 0 never, UINT32_MAX always. */
export const OVS_SAMPLE_ATTR = { PROBABILITY: 1, ACTIONS: 2 } as const;

/** enum ovs_check_pkt_len_attr.  PKT_LEN is a u16; the other two are action lists. */
export const OVS_CHECK_PKT_LEN_ATTR = { PKT_LEN: 1, ACTIONS_IF_GREATER: 2, ACTIONS_IF_LESS_EQUAL: 3 } as const;

/** enum ovs_dec_ttl_attr: what to do with a packet whose TTL has run out. */
export const OVS_DEC_TTL_ATTR = { ACTION: 1 } as const;

/** enum ovs_ct_attr. */
// biome-ignore format: table
export const OVS_CT_ATTR = {
  COMMIT: 1, ZONE: 2, MARK: 3, LABELS: 4, HELPER: 5, NAT: 6, FORCE_COMMIT: 7, EVENTMASK: 8, TIMEOUT: 9,
} as const;

/** enum ovs_nat_attr. */
// biome-ignore format: table
export const OVS_NAT_ATTR = {
  SRC: 1, DST: 2, IP_MIN: 3, IP_MAX: 4, PROTO_MIN: 5, PROTO_MAX: 6, PERSISTENT: 7, PROTO_HASH: 8, PROTO_RANDOM: 9,
} as const;

/** enum ovs_psample_attr. */
export const OVS_PSAMPLE_ATTR = { GROUP: 1, COOKIE: 2 } as const;

/** enum ovs_hash_alg.  SYM_L4 is known to newer kernels and to userspace datapaths only. */
export const OVS_HASH_ALG = { L4: 0, SYM_L4: 1 } as const;

/** Flag of ADD_MPLS: the label goes between the Ethernet header and the rest, else before the Ethernet header. */
export const OVS_MPLS_L3_TUNNEL_FLAG_MASK = 1;

/** Largest depth of nested action lists that is accepted at installation (OVS_COPY_ACTIONS_MAX_DEPTH). */
export const MAX_ACTION_DEPTH = 16;
