/**
 * Why a packet, or one copy of it, went no further: one counter each, in `Datapath.drops`.
 * Where the kernel has the reason too (include/net/dropreason.h, net/openvswitch/drop.h), the name is like its.
 */
import { type Coverage, coverage } from '../util/coverage.ts';

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

/**
 * Counters of the process, by DROP: those of which Open vSwitch's datapath in userspace has one, too, under its names.
 * Source: lib/dpif-netdev.c.
 */
export const DROP_COVERAGE: readonly (Coverage | undefined)[] = Object.assign(Array(N_DROP_REASONS).fill(undefined), {
  [DROP.BAD_PACKET]: coverage('datapath_drop_rx_invalid_packet'),
  [DROP.UPCALL]: coverage('datapath_drop_upcall_error'),
  [DROP.NO_PORT]: coverage('datapath_drop_invalid_port'),
  [DROP.RECURSION]: coverage('datapath_drop_recirc_error'),
  [DROP.METER]: coverage('datapath_drop_meter'),
});

/** "NO_PORT" for 2. */
export const dropName = (reason: DropReason): string =>
  Object.entries(DROP).find(([, n]) => n === reason)?.[0] ?? `${reason}`;
