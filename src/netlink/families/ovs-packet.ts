/** The "ovs_packet" family: upcalls, and execution on demand.  Source: include/uapi/linux/openvswitch.h. */
import { bytes, flag, u16, u32, u64 } from '../kinds.ts';
import { type AttrsOf, nla, policy } from '../policy.ts';

export const OVS_PACKET_FAMILY = 'ovs_packet';
export const OVS_PACKET_VERSION = 1;

/** enum ovs_packet_cmd. */
export const OVS_PACKET_CMD = { MISS: 1, ACTION: 2, EXECUTE: 3 } as const;

/** Bits of OVS_PACKET_ATTR_HASH above the 32 of the hash itself. */
export const OVS_PACKET_HASH_SW_BIT = 1n << 32n;
export const OVS_PACKET_HASH_L4_BIT = 1n << 33n;

/** enum ovs_packet_attr.  The packet itself comes last in an upcall, and unpadded. */
// biome-ignore format: table
export const OVS_PACKET_ATTR = policy('OVS_PACKET_ATTR', {
  key:          nla(2, bytes()), //     OVS_KEY_ATTR_* nest
  userdata:     nla(4, bytes()),
  egressTunKey: nla(5, bytes()),
  actions:      nla(3, bytes()), //     OVS_ACTION_ATTR_* nest
  probe:        nla(8, flag),
  mru:          nla(9, u16), //         largest fragment received
  len:          nla(10, u32), //        size before truncation
  hash:         nla(11, u64),
  upcallPid:    nla(12, u32),
  packet:       nla(1, bytes()),
});
export type PacketAttrs = AttrsOf<typeof OVS_PACKET_ATTR>;
