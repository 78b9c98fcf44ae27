/**
 * Tuples as ctnetlink attributes, written and read.
 *
 *     [IP [V4_SRC] [V4_DST]] [PROTO [NUM] [SRC_PORT] [DST_PORT]]
 *
 * Source: net/netfilter/nf_conntrack_netlink.c (ctnetlink_dump_tuples, ctnetlink_parse_tuple).
 */
import { NLA_F_NESTED } from '../../../netlink/constants.ts';
import { NetlinkError } from '../../../netlink/errors.ts';
import { CTA_IP, CTA_PROTO, CTA_TUPLE } from '../../../netlink/families/ctnetlink.ts';
import { AttrCursor, type MessageWriter } from '../../../netlink/message.ts';
import { ERRNO } from '../../../util/errno.ts';
import { NFPROTO, PROTO } from '../ct-constants.ts';
import { isV6Of, metaOf, protoOf, T } from '../tuple.ts';

const hasPorts = (proto: number): boolean =>
  proto === PROTO.TCP || proto === PROTO.UDP || proto === PROTO.UDPLITE || proto === PROTO.SCTP || proto === PROTO.GRE;

/** Appends the tuple at `at` of `words` as attribute `type`. */
export function putTuple(w: MessageWriter, type: number, words: Int32Array, at: number): void {
  const meta = words[at + T.META]!;
  const ports = words[at + T.PORTS]!;
  const proto = protoOf(meta);
  const isV6 = isV6Of(meta);
  const nest = w.nest(type | NLA_F_NESTED);
  const ip = w.nest(CTA_TUPLE.IP | NLA_F_NESTED);
  putAddr(w, isV6 ? CTA_IP.V6_SRC : CTA_IP.V4_SRC, words, at + T.SRC, isV6 ? 4 : 1);
  putAddr(w, isV6 ? CTA_IP.V6_DST : CTA_IP.V4_DST, words, at + T.DST, isV6 ? 4 : 1);
  w.endNest(ip);
  const l4 = w.nest(CTA_TUPLE.PROTO | NLA_F_NESTED);
  w.attrU8(CTA_PROTO.NUM, proto);
  if (hasPorts(proto)) {
    w.dv.setUint16(w.attrHeader(CTA_PROTO.SRC_PORT, 2), ports >>> 16);
    w.dv.setUint16(w.attrHeader(CTA_PROTO.DST_PORT, 2), ports);
  } else if (proto === PROTO.ICMP || proto === PROTO.ICMPV6) {
    const first = proto === PROTO.ICMP ? CTA_PROTO.ICMP_ID : CTA_PROTO.ICMPV6_ID;
    w.dv.setUint16(w.attrHeader(first, 2), ports >>> 16);
    w.attrU8(first + 1, (ports >>> 8) & 0xff);
    w.attrU8(first + 2, ports & 0xff);
  }
  w.endNest(l4);
  w.endNest(nest);
}

function putAddr(w: MessageWriter, type: number, words: Int32Array, from: number, n: number): void {
  const at = w.attrHeader(type, 4 * n);
  for (let i = 0; i < n; i++) w.dv.setInt32(at + 4 * i, words[from + i]!);
}

/**
 * Reads the nest `[at, at + size)` of `dv`, a tuple of `family` in `zone`, to `out`.  Throws NetlinkError EINVAL if it is no
 * whole tuple, EOPNOTSUPP for another family.
 */
export function readTuple(dv: DataView, at: number, size: number, family: number, zone: number, out: Int32Array): void {
  if (family !== NFPROTO.IPV4 && family !== NFPROTO.IPV6) throw new NetlinkError(ERRNO.EOPNOTSUPP, 'tuple');
  const isV6 = family === NFPROTO.IPV6;
  out.fill(0);
  let seen = 0;
  const it = new AttrCursor(dv, at, at + size, 'CTA_TUPLE');
  while (it.next()) {
    if (it.type === CTA_TUPLE.IP) seen |= readAddrs(new AttrCursor(dv, it.at, it.at + it.size, 'CTA_IP'), isV6, out);
    else if (it.type === CTA_TUPLE.PROTO) {
      const proto = readProto(new AttrCursor(dv, it.at, it.at + it.size, 'CTA_PROTO'), out);
      out[T.META] = metaOf(zone, proto, isV6);
      seen |= 4;
    }
  }
  if (seen !== 7) throw new NetlinkError(ERRNO.EINVAL, 'tuple is not whole');
}

/** Returns 1 for a source, 2 for a destination, or both. */
function readAddrs(it: AttrCursor, isV6: boolean, out: Int32Array): number {
  let seen = 0;
  while (it.next()) {
    const isSource = it.type === (isV6 ? CTA_IP.V6_SRC : CTA_IP.V4_SRC);
    if (!isSource && it.type !== (isV6 ? CTA_IP.V6_DST : CTA_IP.V4_DST)) continue;
    it.want(isV6 ? 16 : 4);
    for (let i = 0; i < (isV6 ? 4 : 1); i++) out[(isSource ? T.SRC : T.DST) + i] = it.dv.getInt32(it.at + 4 * i);
    seen |= isSource ? 1 : 2;
  }
  return seen;
}

/** Writes the ports word; returns the protocol. */
function readProto(it: AttrCursor, out: Int32Array): number {
  let proto = -1;
  let [high, type, code, low] = [0, 0, 0, 0];
  while (it.next()) {
    switch (it.type) {
      case CTA_PROTO.NUM:
        it.want(1);
        proto = it.dv.getUint8(it.at);
        break;
      case CTA_PROTO.SRC_PORT:
      case CTA_PROTO.ICMP_ID:
      case CTA_PROTO.ICMPV6_ID:
        it.want(2);
        high = it.dv.getUint16(it.at);
        break;
      case CTA_PROTO.DST_PORT:
        it.want(2);
        low = it.dv.getUint16(it.at);
        break;
      case CTA_PROTO.ICMP_TYPE:
      case CTA_PROTO.ICMPV6_TYPE:
        it.want(1);
        type = it.dv.getUint8(it.at);
        break;
      case CTA_PROTO.ICMP_CODE:
      case CTA_PROTO.ICMPV6_CODE:
        it.want(1);
        code = it.dv.getUint8(it.at);
        break;
      default:
    }
  }
  if (proto < 0) throw new NetlinkError(ERRNO.EINVAL, 'tuple without protocol');
  out[T.PORTS] = (high << 16) | low | (type << 8) | code;
  return proto;
}
