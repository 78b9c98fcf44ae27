/**
 * Numbers that the files of conntrack/ share.  Names are the kernel's.
 * Sources: include/uapi/linux/netfilter/nf_conntrack_common.h, include/uapi/linux/openvswitch.h.
 */

/** enum ip_conntrack_status: bits of a connection's status, as ctnetlink shows them. */
// biome-ignore format: table
export const IPS = {
  EXPECTED: 1, SEEN_REPLY: 2, ASSURED: 4, CONFIRMED: 8, SRC_NAT: 0x10, DST_NAT: 0x20, NAT_MASK: 0x30,
  SEQ_ADJUST: 0x40, SRC_NAT_DONE: 0x80, DST_NAT_DONE: 0x100, NAT_DONE_MASK: 0x180, DYING: 0x200, FIXED_TIMEOUT: 0x400,
  HELPER: 0x2000,
} as const;

/** enum ip_conntrack_events, as bits: what listeners are told of a connection. */
// biome-ignore format: table
export const IPCT = {
  NEW: 0x01, RELATED: 0x02, DESTROY: 0x04, REPLY: 0x08, ASSURED: 0x10, PROTOINFO: 0x20, HELPER: 0x40, MARK: 0x80,
  SEQADJ: 0x100, LABEL: 0x400, SYNPROXY: 0x800,
} as const;

/** enum ip_conntrack_info: what one packet is to its connection.  UNTRACKED has no connection. */
// biome-ignore format: table
export const CTINFO = {
  ESTABLISHED: 0, RELATED: 1, NEW: 2, ESTABLISHED_REPLY: 3, RELATED_REPLY: 4, UNTRACKED: 7,
} as const;

/** enum ip_conntrack_dir. */
export const DIR = { ORIGINAL: 0, REPLY: 1 } as const;
export const directionOf = (ctinfo: number): number => (ctinfo >= CTINFO.ESTABLISHED_REPLY ? DIR.REPLY : DIR.ORIGINAL);

/** OVS_CS_F_*: bits of ct_state in a flow key. */
// biome-ignore format: table
export const CS_F = {
  NEW: 0x01, ESTABLISHED: 0x02, RELATED: 0x04, REPLY_DIR: 0x08, INVALID: 0x10, TRACKED: 0x20,
  SRC_NAT: 0x40, DST_NAT: 0x80, NAT_MASK: 0xc0,
} as const;

/** What became of a packet in a step of tracking. */
// biome-ignore format: table
export const VERDICT = {
  ACCEPT: 1,
  DROP: 0,
  INVALID: -1, // goes on, as one that belongs to no connection
  REPEAT: -4, //  its connection was removed to make room for a new one: look up again
} as const;

/** Address families as netfilter numbers them (NFPROTO_*). */
export const NFPROTO = { IPV4: 2, IPV6: 10 } as const;

/** Protocols with a tracker of their own. */
export const PROTO = { ICMP: 1, TCP: 6, UDP: 17, GRE: 47, ICMPV6: 58, SCTP: 132, UDPLITE: 136 } as const;
