/**
 * Links of rtnetlink (NETLINK_ROUTE): the network devices of the host.  Only what a switch needs of them.
 *
 * A message is a nlmsghdr, a struct ifinfomsg and attributes.
 * Source: include/uapi/linux/rtnetlink.h, if_link.h, if.h, if_arp.h.
 */
import { bytes, s32, string, struct, u8, u16, u32, u64 } from '../kinds.ts';
import { type AttrsOf, nla, policy } from '../policy.ts';

/** nlmsg_type. */
export const RTM_LINK = { NEWLINK: 16, DELLINK: 17, GETLINK: 18, SETLINK: 19 } as const;
/** Multicast group of link notifications. */
export const RTNLGRP_LINK = 1;

/** struct ifinfomsg, 16 bytes. */
export const IFINFOMSG = struct({ family: u8, pad: u8, type: u16, index: s32, flags: u32, change: u32 });
export const IFINFOMSG_SIZE = 16;

/** Bits of `flags`. */
export const IFF = { UP: 0x1, LOOPBACK: 0x8, RUNNING: 0x40, LOWER_UP: 0x10000 } as const;
/** Values of `type`. */
export const ARPHRD = { ETHER: 1, LOOPBACK: 772, NONE: 0xfffe } as const;

/** The leading members of struct rtnl_link_stats64; newer kernels append to it. */
// biome-ignore format: table
const RTNL_LINK_STATS64 = struct({
  rxPackets: u64, txPackets: u64, rxBytes: u64, txBytes: u64,
  rxErrors: u64, txErrors: u64, rxDropped: u64, txDropped: u64,
});

const IFLA_INFO = policy('IFLA_INFO', { kind: nla(1, string(63)) });

/** Attributes of a link. */
// biome-ignore format: table
export const IFLA = policy('IFLA', {
  address:       nla(1, bytes()),
  ifname:        nla(3, string(15)),
  mtu:           nla(4, u32),
  master:        nla(10, u32),
  linkinfo:      nla(18, IFLA_INFO),
  stats64:       nla(23, { ...RTNL_LINK_STATS64, max: 0xffff }),
  extMask:       nla(29, u32),
  newNetnsid:    nla(45, s32), // in DELLINK: it went to this namespace
  targetNetnsid: nla(46, s32), // in GETLINK: of this namespace
  newIfindex:    nla(49, s32), // in DELLINK: its ifindex there
});
export type LinkAttrs = AttrsOf<typeof IFLA>;
