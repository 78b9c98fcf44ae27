/** The "psample" family: samples of packets, for whoever listens.  Source: include/uapi/linux/psample.h (6.11). */

export const PSAMPLE_FAMILY = 'psample';
export const PSAMPLE_VERSION = 1;
/** Its multicast groups: changes of groups of samples, and samples. */
export const PSAMPLE_GROUP = { CONFIG: 'config', PACKETS: 'packets' } as const;

/** enum psample_command. */
export const PSAMPLE_CMD = { SAMPLE: 0, GET_GROUP: 1, NEW_GROUP: 2, DEL_GROUP: 3 } as const;

/** What a sample has; the kernel's numbers begin at 0. */
// biome-ignore format: table
export const PSAMPLE_ATTR = {
  IIFINDEX: 0, //            u16
  OIFINDEX: 1, //            u16
  ORIGSIZE: 2, //            u32 bytes
  SAMPLE_GROUP: 3, //        u32
  GROUP_SEQ: 4, //           u32
  SAMPLE_RATE: 5, //         u32: one in so many, or a probability (SAMPLE_PROBABILITY)
  DATA: 6,
  GROUP_REFCOUNT: 7, //      u32
  TUNNEL: 8,
  PAD: 9,
  OUT_TC: 10, //             u16
  OUT_TC_OCC: 11, //         u64 bytes
  LATENCY: 12, //            u64 ns
  TIMESTAMP: 13, //          u64 ns since 1970
  PROTO: 14, //              u16 ethertype, host order
  USER_COOKIE: 15,
  SAMPLE_PROBABILITY: 16, // flag: the rate is a fraction of 2^32 - 1
} as const;
export const PSAMPLE_MAXATTR = PSAMPLE_ATTR.SAMPLE_PROBABILITY;
