/**
 * The tunnel metadata of a flow key and its nest, OVS_KEY_ATTR_TUNNEL, in both directions.  match.ts and key-put.ts call
 * it for the rest of a key see there.
 *
 * Options of three kinds exclude each other.  All are kept as they come, as bytes in tunOpts, whose size counts in a match:
 * Geneve's TLVs, for VXLAN the group policy (a u32 in host order), for ERSPAN a struct erspan_metadata.  TUN_F tells which.
 * Source: net/openvswitch/flow_netlink.c (ip_tun_from_nlattr, __ip_tun_to_nlattr), include/net/erspan.h.
 */
import { FIELD, type Field, TUN_F } from '../../flow/fields.ts';
import {
  type FlowKey,
  type FlowMask,
  getField,
  getFieldBytes,
  isFieldSet,
  setField,
  setFieldBytes,
  setFieldOnes,
} from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { OVS_KEY_ATTR, OVS_VXLAN_EXT, OVS_TUNNEL_KEY_ATTR as T } from '../../odp/key/key-table.ts';
import { invalid } from './key-attrs.ts';

/** Values of tunPresent. */
const [IPV4, IPV6] = [4, 6] as const;
/** sizeof(struct vxlan_metadata), (struct erspan_metadata). */
const [VXLAN_SIZE, ERSPAN_SIZE] = [4, 12] as const;
/** Most bytes of Geneve options. */
const MAX_OPTS_SIZE = 255;

/** Payload sizes by number; -1 is any. */
// biome-ignore format: table
const SIZES: readonly number[] = [
  8, /* ID */ 4, 4, /* IPV4_SRC, IPV4_DST */ 1, 1, /* TOS, TTL */ 0, 0, 0, /* DONT_FRAGMENT, CSUM, OAM */
  -1, /* GENEVE_OPTS */ 2, 2, /* TP_SRC, TP_DST */ -1, /* VXLAN_OPTS */ 16, 16, /* IPV6_SRC, IPV6_DST */
  0, /* PAD */ -1, /* ERSPAN_OPTS */ 0, /* IPV4_INFO_BRIDGE */
];

const bytesOf = (dv: DataView) => new Uint8Array(dv.buffer, dv.byteOffset, dv.byteLength);

/** What a nest was found to have. */
interface Seen {
  ipv4: boolean;
  ipv6: boolean;
  ttl: boolean;
  isBridgeMode: boolean;
  /** TUN_F bits. */
  flags: number;
  /** The kind of options, if any. */
  options: number;
}

/**
 * Reads the nest `[at, at + size)` into the tunnel fields of `out`: a key, or a mask whose key, already read, is `key`.
 * Throws NetlinkError EINVAL.
 */
export function loadTunnel(dv: DataView, at: number, size: number, key: FlowKey, out: FlowKey, isMask: boolean): void {
  const seen: Seen = { ipv4: false, ipv6: false, ttl: false, isBridgeMode: false, flags: 0, options: 0 };
  const end = at + size;
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) break;
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    const want = SIZES[type];
    if (want === undefined) throw invalid(`tunnel attribute ${type} is out of range`);
    const payload = len - NLA_HDRLEN;
    if (want !== -1 && payload !== want) throw invalid(`tunnel attribute ${type} has ${payload} bytes, want ${want}`);
    loadOne(type, dv, at + NLA_HDRLEN, payload, key, out, isMask, seen);
    at += nlaAlign(len);
  }
  if (at < end) throw invalid(`tunnel nest has ${end - at} bytes that are no attribute`);
  setField(out, FIELD.tunFlags, seen.flags);
  setField(out, FIELD.tunPresent, isMask ? 0xff : seen.ipv6 ? IPV6 : IPV4);
  if (seen.ipv4 && seen.ipv6) throw invalid('tunnel has IPv4 and IPv6 attributes');
  if (!isMask) validate(out, seen);
}

function loadOne(
  type: number,
  dv: DataView,
  at: number,
  size: number,
  key: FlowKey,
  out: FlowKey,
  isMask: boolean,
  seen: Seen,
): void {
  switch (type) {
    case T.ID:
      setFieldBytes(out, FIELD.tunId, bytesOf(dv), at);
      seen.flags |= TUN_F.KEY;
      break;
    case T.IPV4_SRC:
    case T.IPV4_DST:
      setField(out, type === T.IPV4_SRC ? FIELD.tunSrc : FIELD.tunDst, dv.getUint32(at));
      seen.ipv4 = true;
      break;
    case T.IPV6_SRC:
    case T.IPV6_DST:
      setFieldBytes(out, type === T.IPV6_SRC ? FIELD.tunIpv6Src : FIELD.tunIpv6Dst, bytesOf(dv), at);
      seen.ipv6 = true;
      break;
    case T.TOS:
      setField(out, FIELD.tunTos, dv.getUint8(at));
      break;
    case T.TTL:
      setField(out, FIELD.tunTtl, dv.getUint8(at));
      seen.ttl = true;
      break;
    case T.DONT_FRAGMENT:
      seen.flags |= TUN_F.DF;
      break;
    case T.CSUM:
      seen.flags |= TUN_F.CSUM;
      break;
    case T.OAM:
      seen.flags |= TUN_F.OAM;
      break;
    case T.TP_SRC:
    case T.TP_DST:
      setField(out, type === T.TP_SRC ? FIELD.tunTpSrc : FIELD.tunTpDst, dv.getUint16(at));
      break;
    case T.GENEVE_OPTS:
    case T.VXLAN_OPTS:
    case T.ERSPAN_OPTS:
      if (seen.options !== 0) throw invalid('tunnel has options of two kinds');
      seen.options = type;
      seen.flags |= loadOptions(type, dv, at, size, key, out, isMask);
      break;
    case T.IPV4_INFO_BRIDGE:
      seen.isBridgeMode = true;
      seen.ipv4 = true;
      break;
    default: // PAD
  }
}

/** Stores options, and in a key how many bytes of them there are: a packet that has more besides must not match. */
function storeOptions(dv: DataView, at: number, size: number, out: FlowKey, isMask: boolean): void {
  setField(out, FIELD.tunOptsSize, isMask ? 0xff : size);
  for (let i = 0; i < size; i += 4) out[FIELD.tunOpts.word + (i >>> 2)] = dv.getInt32(at + i);
}

function loadOptions(
  type: number,
  dv: DataView,
  at: number,
  size: number,
  key: FlowKey,
  out: FlowKey,
  isMask: boolean,
) {
  switch (type) {
    case T.GENEVE_OPTS:
      if (size > MAX_OPTS_SIZE || size % 4 !== 0) throw invalid(`${size} bytes of Geneve options`);
      if (isMask && getField(key, FIELD.tunOptsSize) !== size) {
        throw invalid('Geneve options and their mask differ in size');
      }
      storeOptions(dv, at, size, out, isMask);
      return TUN_F.GENEVE_OPTS;
    case T.VXLAN_OPTS:
      loadVxlan(dv, at, size, out, isMask);
      return TUN_F.VXLAN_OPTS;
    default:
      if (size !== ERSPAN_SIZE) throw invalid(`${size} bytes of ERSPAN options, want ${ERSPAN_SIZE}`);
      storeOptions(dv, at, size, out, isMask);
      return TUN_F.ERSPAN_OPTS;
  }
}

function loadVxlan(dv: DataView, at: number, size: number, out: FlowKey, isMask: boolean): void {
  const end = at + size;
  setField(out, FIELD.tunOptsSize, isMask ? 0xff : VXLAN_SIZE);
  out[FIELD.tunOpts.word] = 0;
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) break;
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    if (type !== OVS_VXLAN_EXT.GBP || len !== NLA_HDRLEN + VXLAN_SIZE) throw invalid(`VXLAN extension ${type}`);
    storeOptions(dv, at + NLA_HDRLEN, VXLAN_SIZE, out, isMask);
    at += nlaAlign(len);
  }
  if (at !== end) throw invalid(`VXLAN extensions have ${end - at} bytes that are no attribute`);
}

function validate(key: FlowKey, seen: Seen): void {
  if (!seen.ipv4 && !seen.ipv6) throw invalid('tunnel has no destination');
  if (seen.isBridgeMode) {
    const fields: Field[] = [FIELD.tunSrc, FIELD.tunDst, FIELD.tunTpSrc, FIELD.tunTpDst, FIELD.tunTtl, FIELD.tunTos];
    if (fields.some((f) => isFieldSet(key, f)) || (seen.flags & ~TUN_F.KEY) !== 0) {
      throw invalid('tunnel in bridge mode has more than an id');
    }
    return;
  }
  if (!isFieldSet(key, seen.ipv4 ? FIELD.tunDst : FIELD.tunIpv6Dst)) throw invalid('tunnel destination is zero');
  if (!seen.ttl) throw invalid('tunnel has no TTL');
}

/** Sets the mask of everything but options: what a flow without mask demands of a tunnel. */
export function setTunnelOnes(mask: FlowMask): void {
  for (const name of ['tunId', 'tunSrc', 'tunDst', 'tunIpv6Src', 'tunIpv6Dst', 'tunTos', 'tunTtl'] as const) {
    setFieldOnes(mask, FIELD[name]);
  }
  for (const name of ['tunFlags', 'tunTpSrc', 'tunTpDst'] as const) setFieldOnes(mask, FIELD[name]);
}

/** Appends the nest for `out`, the key itself or its mask.  `key` decides about address family and options' size. */
export function putTunnel(w: MessageWriter, key: FlowKey, out: FlowKey): void {
  const nest = w.nest(OVS_KEY_ATTR.TUNNEL);
  putTunnelAttrs(w, key, out);
  w.endNest(nest);
}

/** The attributes in that nest, by themselves. */
export function putTunnelAttrs(w: MessageWriter, key: FlowKey, out: FlowKey): void {
  const flags = getField(out, FIELD.tunFlags);
  if ((flags & TUN_F.KEY) !== 0) putField(w, T.ID, out, FIELD.tunId);
  const family = getField(key, FIELD.tunPresent);
  if (family === IPV4) {
    putIfSet(w, T.IPV4_SRC, out, FIELD.tunSrc);
    putIfSet(w, T.IPV4_DST, out, FIELD.tunDst);
  } else if (family === IPV6) {
    putIfSet(w, T.IPV6_SRC, out, FIELD.tunIpv6Src);
    putIfSet(w, T.IPV6_DST, out, FIELD.tunIpv6Dst);
  }
  putIfSet(w, T.TOS, out, FIELD.tunTos);
  putField(w, T.TTL, out, FIELD.tunTtl);
  if ((flags & TUN_F.DF) !== 0) w.attrFlag(T.DONT_FRAGMENT);
  if ((flags & TUN_F.CSUM) !== 0) w.attrFlag(T.CSUM);
  putIfSet(w, T.TP_SRC, out, FIELD.tunTpSrc);
  putIfSet(w, T.TP_DST, out, FIELD.tunTpDst);
  if ((flags & TUN_F.OAM) !== 0) w.attrFlag(T.OAM);
  putOptions(w, key, out, flags);
}

function putOptions(w: MessageWriter, key: FlowKey, out: FlowKey, flags: number): void {
  const size = getField(key, FIELD.tunOptsSize);
  if (size === 0) return;
  if ((flags & TUN_F.GENEVE_OPTS) !== 0) {
    putBytes(w, T.GENEVE_OPTS, out, size);
  } else if ((flags & TUN_F.VXLAN_OPTS) !== 0) {
    const nest = w.nest(T.VXLAN_OPTS);
    putBytes(w, OVS_VXLAN_EXT.GBP, out, VXLAN_SIZE);
    w.endNest(nest);
  } else if ((flags & TUN_F.ERSPAN_OPTS) !== 0) {
    putBytes(w, T.ERSPAN_OPTS, out, size);
  }
}

function putBytes(w: MessageWriter, type: number, out: FlowKey, size: number): void {
  const at = w.attrHeader(type, size);
  for (let i = 0; i < size; i += 4) w.dv.setInt32(at + i, out[FIELD.tunOpts.word + (i >>> 2)]!);
}

function putField(w: MessageWriter, type: number, out: FlowKey, f: Field): void {
  const at = w.attrHeader(type, f.bits >>> 3);
  getFieldBytes(out, f, w.bytes, at);
}
function putIfSet(w: MessageWriter, type: number, out: FlowKey, f: Field): void {
  if (isFieldSet(out, f)) putField(w, type, out, f);
}
