/**
 * The "ovs_ct_limit" family: how many connections a conntrack zone may hold.
 * Source: include/uapi/linux/openvswitch.h.
 */
import { array, s32, struct, u32 } from '../kinds.ts';
import { type AttrsOf, nla, policy } from '../policy.ts';

export const OVS_CT_LIMIT_FAMILY = 'ovs_ct_limit';
export const OVS_CT_LIMIT_VERSION = 1;

/** enum ovs_ct_limit_cmd. */
export const OVS_CT_LIMIT_CMD = { SET: 1, DEL: 2, GET: 3 } as const;

/** struct ovs_zone_limit.  `zoneId` -1 is the default for all zones. */
const OVS_ZONE_LIMIT = struct({ zoneId: s32, limit: u32, count: u32 });

/** enum ovs_ct_limit_attr. */
export const OVS_CT_LIMIT_ATTR = policy('OVS_CT_LIMIT_ATTR', { zoneLimit: nla(1, array(OVS_ZONE_LIMIT)) });
export type CtLimitAttrs = AttrsOf<typeof OVS_CT_LIMIT_ATTR>;
