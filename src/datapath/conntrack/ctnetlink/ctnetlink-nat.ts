/**
 * The translation that a tool gives a connection which it makes: CTA_NAT_SRC and CTA_NAT_DST.
 *
 *     [V4_MINIP be32] [V4_MAXIP be32] [V6_MINIP 16 bytes] [V6_MAXIP 16 bytes] [PROTO [PORT_MIN be16] [PORT_MAX be16]]
 *
 * Source: net/netfilter/nf_nat_core.c (nfnetlink_parse_nat_setup and what it calls).
 */

import { NetlinkError } from '../../../netlink/errors.ts';
import { CTA, CTA_NAT, CTA_PROTONAT } from '../../../netlink/families/ctnetlink.ts';
import { ERRNO } from '../../../util/errno.ts';
import { MANIP, type NatChooser, type NatRange } from '../nat/nat.ts';
import type { CtAttrs } from './ctnetlink-attrs.ts';

/**
 * What sets up the translation of a connection that is not confirmed yet; undefined if the message asks for none.  Where only one of the two
 * directions is given, the other stays as it is, unless a port must change.  Throws NetlinkError EINVAL for a short attribute.
 */
export function natOf(attrs: CtAttrs, nat: NatChooser, isV6: boolean): ((conn: number) => void) | undefined {
  if (!attrs.has(CTA.NAT_SRC) && !attrs.has(CTA.NAT_DST)) return undefined;
  const ranges = [
    { manip: MANIP.DST, range: rangeOf(attrs.nested(CTA.NAT_DST), isV6) },
    { manip: MANIP.SRC, range: rangeOf(attrs.nested(CTA.NAT_SRC), isV6) },
  ];
  return (conn) => {
    for (const { manip, range } of ranges) {
      if (range === undefined) nat.setUpNull(conn, manip);
      else nat.setUp(conn, range, manip);
    }
  };
}

function rangeOf(attrs: CtAttrs | undefined, isV6: boolean): NatRange | undefined {
  if (attrs === undefined) return undefined;
  const [min, max] = isV6 ? [CTA_NAT.V6_MINIP, CTA_NAT.V6_MAXIP] : [CTA_NAT.V4_MINIP, CTA_NAT.V4_MAXIP];
  const minAddr = address(attrs, min, isV6);
  const ports = attrs.nested(CTA_NAT.PROTO);
  const minPort = ports?.be16(CTA_PROTONAT.PORT_MIN);
  const maxPort = ports?.be16(CTA_PROTONAT.PORT_MAX) ?? minPort;
  const noAddr = new Int32Array(4);
  return {
    hasAddrs: minAddr !== undefined,
    minAddr: minAddr ?? noAddr,
    maxAddr: address(attrs, max, isV6) ?? minAddr ?? noAddr,
    hasPorts: maxPort !== undefined,
    minPort: minPort ?? 0,
    maxPort: maxPort ?? 0,
    isPersistent: false,
    isRandom: false,
    isHash: false,
  };
}

/** Four words, of an IPv4 address the first. */
function address(attrs: CtAttrs, type: number, isV6: boolean): Int32Array | undefined {
  const bytes = attrs.bytes(type);
  if (bytes === undefined) return undefined;
  const n = isV6 ? 4 : 1;
  if (bytes.byteLength < 4 * n) throw new NetlinkError(ERRNO.EINVAL, `CTA_NAT(${type}) is short`);
  const words = new Int32Array(4);
  for (let i = 0; i < n; i++) words[i] = bytes.getInt32(4 * i);
  return words;
}
