/** "nlctrl", the family that tells of families.  Source: include/uapi/linux/genetlink.h, net/netlink/genetlink.c. */
import { type Kind, string, u16, u32 } from '../kinds.ts';
import { type AttrsOf, arrayNest, nla, policy } from '../policy.ts';

/** nlctrl's own nlmsg_type and version. */
export const GENL_ID_CTRL = 16;
export const NLCTRL_VERSION = 2;

export const CTRL_CMD = { NEWFAMILY: 1, DELFAMILY: 2, GETFAMILY: 3, NEWMCAST_GRP: 7, GETPOLICY: 10 } as const;

/** Operation flags in CTRL_ATTR_OP. */
export const GENL = {
  ADMIN_PERM: 0x1,
  CMD_CAP_DO: 0x2,
  CMD_CAP_DUMP: 0x4,
  CMD_CAP_HASPOL: 0x8,
  UNS_ADMIN_PERM: 0x10,
} as const;

const OP = policy('CTRL_ATTR_OP', { id: nla(1, u32), flags: nla(2, u32) });
const MCAST_GRP = policy('CTRL_ATTR_MCAST_GRP', { id: nla(2, u32), name: nla(1, string(15)) });

// The order is the kernel's: the writer keeps it.
// biome-ignore format: table
export const CTRL_ATTR = policy('CTRL_ATTR', {
  familyName:  nla(2, string(15)), //  GENL_NAMSIZ - 1
  familyId:    nla(1, u16),
  version:     nla(3, u32),
  hdrsize:     nla(4, u32),
  maxattr:     nla(5, u32),
  ops:         nla(6, arrayNest(OP) as Kind<AttrsOf<typeof OP>[]>),
  mcastGroups: nla(7, arrayNest(MCAST_GRP) as Kind<AttrsOf<typeof MCAST_GRP>[]>),
});
export type FamilyAttrs = AttrsOf<typeof CTRL_ATTR>;
