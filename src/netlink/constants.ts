/**
 * Numbers of the netlink wire format.  Source: include/uapi/linux/netlink.h and genetlink.h; the names are theirs.
 */

export const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

/** sizeof(struct nlmsghdr), (struct genlmsghdr), (struct ovs_header), (struct nlattr). */
export const NLMSG_HDRLEN = 16;
export const GENL_HDRLEN = 4;
export const OVS_HDRLEN = 4;
export const NLA_HDRLEN = 4;

export const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;

/** #define NLMSG_ALIGN(len), #define NLA_ALIGN(len): both to 4 bytes. */
export const nlaAlign = (n: number): number => (n + 3) & ~3;

/** nlmsg_flags. */
// biome-ignore format: table
export const NLM_F = {
  REQUEST: 0x1, MULTI: 0x2, ACK: 0x4, ECHO: 0x8, DUMP_INTR: 0x10,
  ROOT: 0x100, MATCH: 0x200, ATOMIC: 0x400, DUMP: 0x300,
  REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400, APPEND: 0x800,
  /** Of an NLMSG_ERROR: the request was cut short; it has extended ack TLVs. */
  CAPPED: 0x100, ACK_TLVS: 0x200,
} as const;

/** nlmsg_type below NLMSG_MIN_TYPE. */
// biome-ignore format: table
export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4, MIN_TYPE: 16 } as const;

/** enum nlmsgerr_attrs. */
export const NLMSGERR_ATTR = { MSG: 1, OFFS: 2, COOKIE: 3, POLICY: 4 } as const;

/**
 * The port id at which an emulated datapath answers in its network namespace ("TAPS").  Above the largest process id
 * (2^22), so no socket gets it by chance of being named for its process, and positive, so none by the kernel's own
 * choice, which is negative.
 */
export const DATAPATH_PORT_ID = 0x54415053;
