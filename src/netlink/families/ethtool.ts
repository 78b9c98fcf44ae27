/** The "ethtool" family of Linux 5.6 and later, the part about links.  Source: include/uapi/linux/ethtool_netlink.h, ethtool.h. */
import { bytes, flag, string, u8, u32 } from '../kinds.ts';
import { type AttrsOf, nla, policy } from '../policy.ts';

export const ETHTOOL_FAMILY = 'ethtool';
export const ETHTOOL_VERSION = 1;
export const ETHTOOL_MSG = { LINKINFO_GET: 2, LINKMODES_GET: 4 } as const;
/** Sets of bits are told as bytes, not bit by bit. */
export const ETHTOOL_FLAG_COMPACT_BITSETS = 1;

export const ETHTOOL_A_HEADER = policy('ETHTOOL_A_HEADER', {
  devIndex: nla(1, u32),
  devName: nla(2, string(15)),
  flags: nla(3, u32),
});
/** Bit n is bit n % 32 of the 32-bit word n / 32, in the host's byte order. */
const BITSET = policy('ETHTOOL_A_BITSET', {
  nomask: nla(1, flag),
  size: nla(2, u32),
  value: nla(4, bytes()),
  mask: nla(5, bytes()),
});
export const ETHTOOL_A_LINKINFO = policy('ETHTOOL_A_LINKINFO', {
  header: nla(1, ETHTOOL_A_HEADER),
  port: nla(2, u8), // PORT_*
});
// biome-ignore format: table
export const ETHTOOL_A_LINKMODES = policy('ETHTOOL_A_LINKMODES', {
  header:  nla(1, ETHTOOL_A_HEADER),
  autoneg: nla(2, u8),
  ours:    nla(3, BITSET), // value: advertised, mask: supported
  peer:    nla(4, BITSET),
  speed:   nla(5, u32), //    Mb/s; 0xffffffff: unknown
  duplex:  nla(6, u8), //     1: full
});
export type LinkModesAttrs = AttrsOf<typeof ETHTOOL_A_LINKMODES>;
