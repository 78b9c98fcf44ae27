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

/** `data` is a nest whose meaning depends on the kind. */
const IFLA_INFO = policy('IFLA_INFO', { kind: nla(1, string(63)), data: nla(2, bytes()) });

/**
 * IFLA_*_COLLECT_METADATA, by kind: the device is a tunnel without a remote end of its own, which takes where a packet is to
 * go from metadata beside it.  A flag, or a byte that is not 0.
 */
// biome-ignore format: table
const COLLECT_METADATA: Readonly<Record<string, number>> = {
  vxlan: 25, geneve: 6, gre: 18, gretap: 18, erspan: 18, ip6gre: 18, ip6gretap: 18, ip6erspan: 18,
  ipip: 19, ip6tnl: 19, sit: 19,
};

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

/** Whether a device's tunnel end is told to it packet by packet.  A bareudp device knows no other way. */
export function collectsMetadata(info: LinkAttrs['linkinfo']): boolean {
  if (info?.kind === 'bareudp') return true;
  const type = COLLECT_METADATA[info?.kind ?? ''];
  if (type === undefined || info?.data === undefined) return false;
  const { data } = info;
  const { collect } = policy('IFLA_INFO_DATA', { collect: nla(type, bytes()) }).read(
    new DataView(data.buffer, data.byteOffset, data.length),
    0,
    data.length,
  );
  return collect !== undefined && (collect.length === 0 || collect[0] !== 0);
}
