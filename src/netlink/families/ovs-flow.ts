/**
 * The "ovs_flow" family.  KEY, MASK and ACTIONS are nests whose inside `odp/` knows; here they are bytes.
 * Source: include/uapi/linux/openvswitch.h.
 */
import { bytes, flag, struct, u8, u32, u64 } from '../kinds.ts';
import { type AttrsOf, nla, policy } from '../policy.ts';

export const OVS_FLOW_FAMILY = 'ovs_flow';
export const OVS_FLOW_VERSION = 1;

/** enum ovs_flow_cmd. */
export const OVS_FLOW_CMD = { NEW: 1, DEL: 2, GET: 3, SET: 4 } as const;

/** OVS_UFID_F_*: what a reply to a request that names a UFID leaves out. */
export const OVS_UFID_F = { OMIT_KEY: 1, OMIT_MASK: 2, OMIT_ACTIONS: 4 } as const;

const OVS_FLOW_STATS = struct({ nPackets: u64, nBytes: u64 });

/** enum ovs_flow_attr, in the order of the kernel's replies. */
// biome-ignore format: table
export const OVS_FLOW_ATTR = policy('OVS_FLOW_ATTR', {
  ufid:      nla(9, bytes(1, 16)),
  key:       nla(1, bytes()), //     OVS_KEY_ATTR_* nest
  mask:      nla(7, bytes()), //     OVS_KEY_ATTR_* nest
  used:      nla(5, u64), //         ms, monotonic clock
  stats:     nla(3, OVS_FLOW_STATS),
  tcpFlags:  nla(4, u8),
  actions:   nla(2, bytes()), //     OVS_ACTION_ATTR_* nest
  clear:     nla(6, flag),
  probe:     nla(8, flag),
  ufidFlags: nla(10, u32), //        OVS_UFID_F
});
export type FlowAttrs = AttrsOf<typeof OVS_FLOW_ATTR>;
