/**
 * Traffic control of rtnetlink (NETLINK_ROUTE): queueing disciplines, their classes, and filters.  Only the kinds that a switch sets up.
 *
 * A message is a nlmsghdr, a struct tcmsg and attributes; what TCA_OPTIONS holds depends on the kind:
 *
 *      0               1               2               3
 *     +---------------+-----------------------------------------------+
 *     |    family     |                     0                         |   struct tcmsg
 *     |                           ifindex                             |
 *     |         handle: major (16 bits), minor (16 bits)              |
 *     |         parent: the same, or one of TC_H                      |
 *     |         info: of filters, preference and protocol             |
 *     +---------------------------------------------------------------+
 *
 * Source: include/uapi/linux/rtnetlink.h, pkt_sched.h, pkt_cls.h, gen_stats.h, tc_act/tc_police (in pkt_cls.h).
 */
import { LITTLE_ENDIAN } from '../constants.ts';
import { bytes, type Kind, s32, string, struct, u8, u16, u32, u64 } from '../kinds.ts';
import { arrayNest, nla, policy, required } from '../policy.ts';

/** nlmsg_type. */
// biome-ignore format: table
export const RTM_TC = {
  NEWQDISC: 36, DELQDISC: 37, GETQDISC: 38, NEWTCLASS: 40, DELTCLASS: 41, GETTCLASS: 42,
  NEWTFILTER: 44, DELTFILTER: 45, GETTFILTER: 46,
} as const;
/** Multicast group of all of these. */
export const RTNLGRP_TC = 4;

/** struct tcmsg, 20 bytes. */
export const TCMSG = struct({ family: u8, pad1: u8, pad2: u16, ifindex: s32, handle: u32, parent: u32, info: u32 });
export const TCMSG_SIZE = 20;

/** Parents that are no handles. */
export const TC_H = { ROOT: 0xffffffff, INGRESS: 0xfffffff1, CLSACT_INGRESS: 0xfffffff2 } as const;
/** `major`:`minor`. */
export const tcHandle = (major: number, minor: number): number => ((major << 16) | minor) >>> 0;
/** tcm_info of a filter: its preference, and that it is for packets of all protocols (ETH_P_ALL). */
export const filterInfo = (preference: number): number =>
  ((preference << 16) | (LITTLE_ENDIAN ? 0x0300 : 0x0003)) >>> 0;

/** A struct that other versions of the kernel make longer. */
const growing = <T>(kind: Kind<T>): Kind<T> => ({ ...kind, max: 0xffff });

/** struct gnet_stats_basic and gnet_stats_queue, the leading members. */
const BASIC = growing(struct({ bytes: u64, packets: u32 }));
const QUEUE = growing(struct({ qlen: u32, backlog: u32, drops: u32 }));
const TCA_STATS = policy('TCA_STATS', { basic: nla(1, BASIC), queue: nla(3, QUEUE) });

export const TCA = policy('TCA', {
  kind: nla(1, string(15)),
  options: nla(2, bytes()),
  stats2: nla(7, TCA_STATS),
});

/** struct tc_ratespec: bytes per second, and how packets of a size are found in a table of 256 sizes. */
// biome-ignore format: table
const RATESPEC = struct({ cellLog: u8, linklayer: u8, overhead: u16, cellAlign: u16, mpu: u16, rate: u32 });
export const NO_RATE = { cellLog: 0, linklayer: 0, overhead: 0, cellAlign: 0, mpu: 0, rate: 0 };
/** Entries of such a table, of 32 bits each. */
export const RTAB_LENGTH = 256;

/** struct tc_htb_glob, tc_htb_opt. */
// biome-ignore format: table
const HTB_GLOB = struct({ version: u32, rate2quantum: u32, defcls: u32, debug: u32, directPkts: u32 });
// biome-ignore format: table
const HTB_OPT = struct({ rate: RATESPEC, ceil: RATESPEC, buffer: u32, cbuffer: u32, quantum: u32, level: u32, prio: u32 });
/** In the order in which they are written. */
export const TCA_HTB = policy('TCA_HTB', {
  init: nla(2, growing(HTB_GLOB)),
  parms: nla(1, growing(HTB_OPT)),
  rate64: nla(6, u64),
  ceil64: nla(7, u64),
  rtab: nla(4, bytes()),
  ctab: nla(3, bytes()),
});

/** struct tc_hfsc_qopt: all of the qdisc's options. */
export const HFSC_QOPT = struct({ defcls: u16 });
/** struct tc_service_curve: slopes in bytes per second, `d` in us. */
const SERVICE_CURVE = struct({ m1: u32, d: u32, m2: u32 });
export const TCA_HFSC = policy('TCA_HFSC', {
  rsc: nla(1, SERVICE_CURVE),
  fsc: nla(2, SERVICE_CURVE),
  usc: nla(3, SERVICE_CURVE),
});

/** Times in us. */
export const TCA_CODEL = policy('TCA_CODEL', { target: nla(1, u32), limit: nla(2, u32), interval: nla(3, u32) });
export const TCA_FQ_CODEL = policy('TCA_FQ_CODEL', {
  target: nla(1, u32),
  limit: nla(2, u32),
  interval: nla(3, u32),
  flows: nla(5, u32),
  quantum: nla(6, u32),
});
/** struct tc_sfq_qopt: all of the options; `perturbPeriod` in s. */
// biome-ignore format: table
export const SFQ_QOPT = growing(struct({ quantum: u32, perturbPeriod: s32, limit: u32, divisor: u32, flows: u32 }));
/** struct tc_netem_qopt, with which the options begin: `latency` in ticks, `loss` as a part of 2^32 - 1. */
// biome-ignore format: table
export const NETEM_QOPT = growing(struct({ latency: u32, limit: u32, loss: u32, gap: u32, duplicate: u32, jitter: u32 }));

/** What an action says of a packet, and what a policer does with those that are too many. */
export const TC_ACT = { UNSPEC: 0xffffffff, SHOT: 2 } as const;
/** struct tc_police. */
// biome-ignore format: table
const TC_POLICE = struct({
  index: u32, action: u32, limit: u32, burst: u32, mtu: u32, rate: RATESPEC, peakrate: RATESPEC, refcnt: s32, bindcnt: s32, capab: u32,
});
/** In the order in which they are written. */
export const TCA_POLICE = policy('TCA_POLICE', {
  rate: nla(2, bytes()),
  rate64: nla(8, u64),
  pktrate64: nla(10, u64),
  pktburst64: nla(11, u64),
  tbf: nla(1, growing(TC_POLICE)),
  result: nla(5, u32),
});
const TCA_ACT = policy('TCA_ACT', { kind: required(nla(1, string(15))), options: nla(2, TCA_POLICE) });
/** Options of the classifiers that take all packets, with actions: numbered from 1. */
export const TCA_MATCHALL = policy('TCA_MATCHALL', { act: nla(2, arrayNest(TCA_ACT)) });
export const TCA_BASIC = policy('TCA_BASIC', { act: nla(3, arrayNest(TCA_ACT)) });
