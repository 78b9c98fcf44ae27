/**
 * Connections over nfnetlink (NETLINK_NETFILTER): the messages with which tools list and end tracked connections, and with
 * which they define timeout policies.
 *
 * A message is a nlmsghdr, whose type is a subsystem and a command, a struct nfgenmsg, and attributes.  Integers in
 * attributes are in network order.
 *
 *      0               1               2               3
 *     +---------------+---------------+-------------------------------+
 *     | family        | version 0     | resource id (be16)            |   struct nfgenmsg
 *     +---------------+---------------+-------------------------------+
 *
 * Source: include/uapi/linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h, nfnetlink_cttimeout.h.
 */

export const NFGENMSG_SIZE = 4;

/** NFNL_SUBSYS_*. */
export const NFNL_SUBSYS = { CTNETLINK: 1, CTNETLINK_EXP: 2, CTNETLINK_TIMEOUT: 8 } as const;
export const nfnlType = (subsystem: number, command: number): number => (subsystem << 8) | command;

/** enum nfnetlink_groups: multicast groups of NETLINK_NETFILTER. */
export const NFNLGRP = { CT_NEW: 1, CT_UPDATE: 2, CT_DESTROY: 3, EXP_NEW: 4, EXP_UPDATE: 5, EXP_DESTROY: 6 } as const;

/** enum cntl_msg_types, ctnl_exp_msg_types, ctnl_timeout_msg_types. */
export const IPCTNL_MSG_CT = { NEW: 0, GET: 1, DELETE: 2, GET_CTRZERO: 3, GET_STATS_CPU: 4, GET_STATS: 5 } as const;
export const IPCTNL_MSG_EXP = { NEW: 0, GET: 1, DELETE: 2, GET_STATS_CPU: 3 } as const;
export const IPCTNL_MSG_TIMEOUT = { NEW: 0, GET: 1, DELETE: 2, DEFAULT_SET: 3, DEFAULT_GET: 4 } as const;

/** enum ctattr_type. */
// biome-ignore format: table
export const CTA = {
  TUPLE_ORIG: 1, TUPLE_REPLY: 2, STATUS: 3, PROTOINFO: 4, HELP: 5, NAT_SRC: 6, TIMEOUT: 7, MARK: 8, COUNTERS_ORIG: 9,
  COUNTERS_REPLY: 10, USE: 11, ID: 12, NAT_DST: 13, TUPLE_MASTER: 14, SEQ_ADJ_ORIG: 15, SEQ_ADJ_REPLY: 16, ZONE: 18, TIMESTAMP: 20,
  MARK_MASK: 21, LABELS: 22, LABELS_MASK: 23, FILTER: 25, STATUS_MASK: 26,
} as const;
/** enum ctattr_tuple. */
export const CTA_TUPLE = { IP: 1, PROTO: 2, ZONE: 3 } as const;
/** enum ctattr_ip. */
export const CTA_IP = { V4_SRC: 1, V4_DST: 2, V6_SRC: 3, V6_DST: 4 } as const;
/** enum ctattr_l4proto. */
// biome-ignore format: table
export const CTA_PROTO = {
  NUM: 1, SRC_PORT: 2, DST_PORT: 3, ICMP_ID: 4, ICMP_TYPE: 5, ICMP_CODE: 6, ICMPV6_ID: 7, ICMPV6_TYPE: 8, ICMPV6_CODE: 9,
} as const;
/** enum ctattr_protoinfo and what is nested in it. */
export const CTA_PROTOINFO = { TCP: 1, SCTP: 3 } as const;
// biome-ignore format: table
export const CTA_PROTOINFO_TCP = {
  STATE: 1, WSCALE_ORIGINAL: 2, WSCALE_REPLY: 3, FLAGS_ORIGINAL: 4, FLAGS_REPLY: 5,
} as const;
export const CTA_PROTOINFO_SCTP = { STATE: 1, VTAG_ORIGINAL: 2, VTAG_REPLY: 3 } as const;
/** enum ctattr_nat, ctattr_protonat. */
export const CTA_NAT = { V4_MINIP: 1, V4_MAXIP: 2, PROTO: 3, V6_MINIP: 4, V6_MAXIP: 5 } as const;
export const CTA_PROTONAT = { PORT_MIN: 1, PORT_MAX: 2 } as const;
/** enum ctattr_help. */
export const CTA_HELP = { NAME: 1 } as const;

/** enum ctattr_expect. */
// biome-ignore format: table
export const CTA_EXPECT = {
  MASTER: 1, TUPLE: 2, MASK: 3, TIMEOUT: 4, ID: 5, HELP_NAME: 6, ZONE: 7, FLAGS: 8, CLASS: 9, NAT: 10, FN: 11,
} as const;
/** enum ctattr_expect_nat. */
export const CTA_EXPECT_NAT = { DIR: 1, TUPLE: 2 } as const;

/** enum ctattr_stats_cpu, ctattr_stats_global, ctattr_expect_stats. */
// biome-ignore format: table
export const CTA_STATS = {
  FOUND: 2, INVALID: 4, INSERT: 8, INSERT_FAILED: 9, DROP: 10, EARLY_DROP: 11, ERROR: 12, SEARCH_RESTART: 13,
  CLASH_RESOLVE: 14, CHAIN_TOOLONG: 15,
} as const;
export const CTA_STATS_GLOBAL = { ENTRIES: 1, MAX_ENTRIES: 2 } as const;
export const CTA_STATS_EXP = { NEW: 1, CREATE: 2, DELETE: 3 } as const;

/** enum ctattr_timeout; DATA nests be32 seconds by protocol, numbered from 1 in the order of the protocol's states. */
export const CTA_TIMEOUT = { NAME: 1, L3PROTO: 2, L4PROTO: 3, DATA: 4, USE: 5 } as const;
