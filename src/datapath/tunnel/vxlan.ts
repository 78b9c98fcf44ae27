/**
 * The VXLAN header, and the group policy extension in it:
 *
 *      0                   1                   2                   3
 *     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-------------------------------+
 *     |G|R|R|R|I|R|R|R|R|D|R|R|A|R|R|R|        group policy id        |   G, D, A and the id: with the extension only
 *     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+---------------+---------------+
 *     |            network identifier                 |   reserved    |
 *     +-----------------------------------------------+---------------+
 *
 * Source: RFC 7348 5, draft-smith-vxlan-group-policy; include/net/vxlan.h.
 */
import { TUN_F } from '../../flow/fields.ts';
import { DECAP, hostWord, TUN, type TunnelInfo, tunFlags, tunOptsSize } from './tunnel-info.ts';

export const VXLAN_HLEN = 8;
const FLAG = { VNI: 0x08000000, GBP: 0x80000000 | 0, DONT_LEARN: 0x00400000, POLICY_APPLIED: 0x00080000 } as const;
const GBP_ID = 0xffff;
/** What a port with the extension takes for part of it, reserved bits too. */
const GBP_BITS = FLAG.GBP | 0xffffff;
/** As the metadata has them, beside the id. */
const GBP_FLAGS = FLAG.DONT_LEARN | FLAG.POLICY_APPLIED;

/**
 * Reads the header at `at`, of a payload that ends at `end`, into `tun`: id, flags, group policy if `hasGbp`.  Returns the
 * offset of the inner frame or a DECAP reason.  Hot path.
 */
export function decapVxlan(view: DataView, at: number, end: number, tun: TunnelInfo, hasGbp: boolean): number {
  if (end - at < VXLAN_HLEN) return DECAP.SHORT;
  let flags = view.getInt32(at);
  const vni = view.getInt32(at + 4);
  if ((flags & FLAG.VNI) === 0) return DECAP.BAD;
  tun[TUN.ID] = 0;
  tun[TUN.ID + 1] = vni >>> 8;
  tun[TUN.TOS] = tun[TUN.TOS]! | TUN_F.KEY;
  if (hasGbp) {
    if ((flags & FLAG.GBP) !== 0) {
      tun[TUN.OPTS_SIZE] = 4;
      tun[TUN.OPTS] = hostWord(flags & (GBP_FLAGS | GBP_ID));
      tun[TUN.TOS] = tun[TUN.TOS]! | TUN_F.VXLAN_OPTS;
    }
    flags &= ~GBP_BITS;
  }
  // What is reserved may mean anything, so nothing may be set.
  if ((flags & ~FLAG.VNI) !== 0 || (vni & 0xff) !== 0) return DECAP.BAD;
  return at + VXLAN_HLEN;
}

/** Writes the header at `at`; returns its size.  Hot path. */
export function encapVxlan(view: DataView, at: number, tun: TunnelInfo, hasGbp: boolean): number {
  let flags: number = FLAG.VNI;
  if (hasGbp && (tunFlags(tun) & TUN_F.VXLAN_OPTS) !== 0 && tunOptsSize(tun) >= 4) {
    const gbp = hostWord(tun[TUN.OPTS]!);
    if (gbp !== 0) flags |= FLAG.GBP | (gbp & (GBP_FLAGS | GBP_ID));
  }
  view.setInt32(at, flags);
  view.setInt32(at + 4, tun[TUN.ID + 1]! << 8);
  return VXLAN_HLEN;
}
