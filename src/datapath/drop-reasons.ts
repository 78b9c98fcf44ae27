/**
 * Why a packet, or one copy of it, went no further: one counter each, in `Datapath.drops`.
 * Where the kernel has the reason too (include/net/dropreason.h, net/openvswitch/drop.h), the name is like its.
 */

// biome-ignore format: table
export const DROP = {
  BAD_PACKET: 0, //         no whole Ethernet header, or a bad NSH
  UPCALL: 1, //             a miss that nobody could be told of
  NO_PORT: 2, //            output to a port that is not there
  L2_TYPE: 3, //            no Ethernet header on a port that needs one
  OVER_MTU: 4,
  FRAGMENT: 5, //           would have to be fragmented again, and cannot be
  OFFLOAD: 6, //            a super-packet or a partial checksum that makes no sense
  NO_MEMORY: 7, //          no slot left in the arena
  RECURSION: 8, //          more than 5 levels of execution
  DEFERRED: 9, //           more than 9 deferred actions
  ACTION_ERROR: 10, //      the packet has not the header that an action wants
  EXPLICIT: 11, //          a drop action without reason
  EXPLICIT_ERROR: 12, //    a drop action with one
  TTL: 13,
  METER: 14,
  CONNTRACK: 15, //         conntrack refused it: a limit, a clash, a bad fragment
  LAST_ACTION: 16, //       the end of the actions, or none: what openvswitch calls a drop
} as const;
export type DropReason = (typeof DROP)[keyof typeof DROP];
export const N_DROP_REASONS = Object.keys(DROP).length;

/** "NO_PORT" for 2. */
export const dropName = (reason: DropReason): string =>
  Object.entries(DROP).find(([, n]) => n === reason)?.[0] ?? `${reason}`;
