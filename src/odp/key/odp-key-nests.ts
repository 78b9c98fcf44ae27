/**
 * The two nests inside a flow key, TUNNEL and NSH, to and from the fields of a FlowKey.  `odp-key.ts` and
 * `odp-key-build.ts` treat everything else.
 *
 * Hot path where a packet came out of a tunnel; nothing is allocated except for an error's text.
 * Source: lib/odp-util.c (odp_tun_key_from_attr__, tun_key_to_attr, odp_nsh_key_from_attr__).
 */
import { FIELD, type Field, TUN_F } from '../../flow/fields.ts';
import { type FlowKey, getField, getFieldBytes, setField, setFieldBytes } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { OVS_NSH_KEY_ATTR as N, OVS_KEY_ATTR, OVS_VXLAN_EXT, OVS_TUNNEL_KEY_ATTR as T } from './key-table.ts';

// Fields by themselves: FIELD has so many that reading one from it is a hash look-up; this saves a third of the time here.
// biome-ignore format: table
const {
  nshC1: NSH_C1, nshC2: NSH_C2, nshC3: NSH_C3, nshC4: NSH_C4, nshFlags: NSH_FLAGS, nshMdtype: NSH_MDTYPE,
  nshNp: NSH_NP, nshPathHdr: NSH_PATH_HDR, nshTtl: NSH_TTL, tunDst: TUN_DST, tunErspanDir: TUN_ERSPAN_DIR,
  tunErspanHwid: TUN_ERSPAN_HWID, tunErspanIndex: TUN_ERSPAN_INDEX, tunErspanVer: TUN_ERSPAN_VER,
  tunFlags: TUN_FLAGS, tunGbpFlags: TUN_GBP_FLAGS, tunGbpId: TUN_GBP_ID, tunId: TUN_ID, tunIpv6Dst: TUN_IPV6_DST,
  tunIpv6Src: TUN_IPV6_SRC, tunOpts: TUN_OPTS, tunOptsSize: TUN_OPTS_SIZE, tunPresent: TUN_PRESENT, tunSrc: TUN_SRC,
  tunTos: TUN_TOS, tunTpDst: TUN_TP_DST, tunTpSrc: TUN_TP_SRC, tunTtl: TUN_TTL,
} = FIELD;

const be16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!;
const be32 = (b: Uint8Array, at: number): number => (be16(b, at) << 16) | be16(b, at + 2);
const host16 = (b: Uint8Array, at: number): number => (LITTLE_ENDIAN ? b[at]! | (b[at + 1]! << 8) : be16(b, at));
const host32 = (b: Uint8Array, at: number): number =>
  LITTLE_ENDIAN ? host16(b, at) | (host16(b, at + 2) << 16) : be32(b, at);

/** struct erspan_metadata. */
const ERSPAN_SIZE = 12;
/** Payload sizes by OVS_TUNNEL_KEY_ATTR; -1 where any will do. */
// biome-ignore format: table
const TUNNEL_SIZES: readonly number[] = [8, 4, 4, 1, 1, 0, 0, 0, -1, 2, 2, -1, 16, 16, 0, -1];
const MAX_GENEVE = 255;

/**
 * Reads a TUNNEL nest into the tun* fields of `out`.  Returns undefined; "unknown" if there are attributes that mean
 * nothing here; or what is wrong.
 */
export function loadTunnel(out: FlowKey, b: Uint8Array, at: number, size: number, isMask: boolean): string | undefined {
  const end = at + size;
  let flags = 0;
  let hasTtl = false;
  let isUnknown = false;
  let present = 4;
  while (end - at >= NLA_HDRLEN) {
    const length = host16(b, at);
    if (length < NLA_HDRLEN || length > end - at) break;
    const type = host16(b, at + 2) & NLA_TYPE_MASK;
    const p = at + NLA_HDRLEN;
    const n = length - NLA_HDRLEN;
    const want = type < TUNNEL_SIZES.length ? TUNNEL_SIZES[type]! : -1;
    if (want >= 0 && n !== want) return `tunnel key attribute ${type} should have length ${want} but actually has ${n}`;
    switch (type) {
      case T.ID:
        setFieldBytes(out, TUN_ID, b, p);
        flags |= TUN_F.KEY;
        break;
      case T.IPV4_SRC:
        setField(out, TUN_SRC, be32(b, p));
        break;
      case T.IPV4_DST:
        setField(out, TUN_DST, be32(b, p));
        break;
      case T.IPV6_SRC:
        setFieldBytes(out, TUN_IPV6_SRC, b, p);
        present = 6;
        break;
      case T.IPV6_DST:
        setFieldBytes(out, TUN_IPV6_DST, b, p);
        present = 6;
        break;
      case T.TOS:
        setField(out, TUN_TOS, b[p]!);
        break;
      case T.TTL:
        setField(out, TUN_TTL, b[p]!);
        hasTtl = true;
        break;
      case T.DONT_FRAGMENT:
        flags |= TUN_F.DF;
        break;
      case T.CSUM:
        flags |= TUN_F.CSUM;
        break;
      case T.OAM:
        flags |= TUN_F.OAM;
        break;
      case T.TP_SRC:
        setField(out, TUN_TP_SRC, be16(b, p));
        break;
      case T.TP_DST:
        setField(out, TUN_TP_DST, be16(b, p));
        break;
      case T.GENEVE_OPTS:
        if (n > MAX_GENEVE) return `Geneve options of ${n} bytes`;
        for (let i = 0; i < n; i++) {
          const bit = TUN_OPTS.at + 8 * i;
          out[bit >>> 5]! |= b[p + i]! << (24 - (bit & 31));
        }
        setField(out, TUN_OPTS_SIZE, isMask ? 0xff : n);
        break;
      case T.VXLAN_OPTS:
        if (!loadGbp(out, b, p, n)) return 'error parsing VXLAN options';
        break;
      case T.ERSPAN_OPTS:
        if (n !== ERSPAN_SIZE) return `ERSPAN options of ${n} bytes`;
        loadErspan(out, b, p, isMask);
        break;
      case T.PAD:
        break;
      default:
        isUnknown = true;
    }
    at += nlaAlign(length);
  }
  if (!hasTtl) return 'tunnel options missing TTL';
  setField(out, TUN_FLAGS, flags);
  if (!isMask) setField(out, TUN_PRESENT, present);
  else if (isAnyTunnelBit(out)) setField(out, TUN_PRESENT, 0xff);
  return isUnknown ? 'unknown' : undefined;
}

/** Whether a mask matches anything of a tunnel. */
function isAnyTunnelBit(mask: FlowKey): boolean {
  for (let w = TUN_ID.word; w < mask.length; w++) if (mask[w] !== 0) return true;
  return false;
}

function loadGbp(out: FlowKey, b: Uint8Array, at: number, size: number): boolean {
  const end = at + size;
  while (end - at >= NLA_HDRLEN) {
    const length = host16(b, at);
    if (length < NLA_HDRLEN || length > end - at) return false;
    if ((host16(b, at + 2) & NLA_TYPE_MASK) === OVS_VXLAN_EXT.GBP) {
      if (length !== NLA_HDRLEN + 4) return false;
      const gbp = host32(b, at + NLA_HDRLEN);
      setField(out, TUN_GBP_ID, gbp & 0xffff);
      setField(out, TUN_GBP_FLAGS, (gbp >>> 16) & 0xff);
      return true;
    }
    at += nlaAlign(length);
  }
  return false;
}

function loadErspan(out: FlowKey, b: Uint8Array, at: number, isMask: boolean): void {
  const version = host32(b, at);
  setField(out, TUN_ERSPAN_VER, version);
  // A mask's version is a mask: its index and its hardware id are both taken.
  if (version === 1 || isMask) setField(out, TUN_ERSPAN_INDEX, be32(b, at + 4));
  if (version === 2 || isMask) {
    setField(out, TUN_ERSPAN_DIR, (b[at + 11]! >>> 3) & 1);
    setField(out, TUN_ERSPAN_HWID, ((b[at + 10]! & 3) << 4) | (b[at + 11]! >>> 4));
  }
}

/** Whether bytes of the field are not all zero. */
function isSet128(key: FlowKey, word: number): boolean {
  return (key[word]! | key[word + 1]! | key[word + 2]! | key[word + 3]!) !== 0;
}

/**
 * Appends the TUNNEL attribute that says the tun* fields of `data`: what is zero is left out, except the TTL.  `flow` is the
 * key where `data` is a mask, and `data` itself for a key.
 */
export function putTunnel(w: MessageWriter, data: FlowKey, flow: FlowKey): void {
  const nest = w.nest(OVS_KEY_ATTR.TUNNEL);
  const flags = getField(data, TUN_FLAGS);
  const idWord = TUN_ID.word;
  if (flags & TUN_F.KEY || data[idWord] || data[idWord + 1]) putField(w, T.ID, data, TUN_ID, 8);
  if (getField(data, TUN_SRC)) putField(w, T.IPV4_SRC, data, TUN_SRC, 4);
  if (getField(data, TUN_DST)) putField(w, T.IPV4_DST, data, TUN_DST, 4);
  if (isSet128(data, TUN_IPV6_SRC.word)) putField(w, T.IPV6_SRC, data, TUN_IPV6_SRC, 16);
  if (isSet128(data, TUN_IPV6_DST.word)) putField(w, T.IPV6_DST, data, TUN_IPV6_DST, 16);
  if (getField(data, TUN_TOS)) w.attrU8(T.TOS, getField(data, TUN_TOS));
  w.attrU8(T.TTL, getField(data, TUN_TTL));
  if (flags & TUN_F.DF) w.attrFlag(T.DONT_FRAGMENT);
  if (flags & TUN_F.CSUM) w.attrFlag(T.CSUM);
  if (getField(data, TUN_TP_SRC)) putField(w, T.TP_SRC, data, TUN_TP_SRC, 2);
  if (getField(data, TUN_TP_DST)) putField(w, T.TP_DST, data, TUN_TP_DST, 2);
  if (flags & TUN_F.OAM) w.attrFlag(T.OAM);
  const gbp = (getField(data, TUN_GBP_FLAGS) << 16) | getField(data, TUN_GBP_ID);
  if (gbp) {
    const vxlan = w.nest(T.VXLAN_OPTS);
    w.attrU32(OVS_VXLAN_EXT.GBP, gbp);
    w.endNest(vxlan);
  }
  const optsSize = getField(flow, TUN_OPTS_SIZE);
  if (optsSize > 0 && getField(data, TUN_OPTS_SIZE) !== 0) putField(w, T.GENEVE_OPTS, data, TUN_OPTS, optsSize);
  if (getField(data, TUN_ERSPAN_VER)) putErspan(w, data, getField(flow, TUN_ERSPAN_VER));
  w.endNest(nest);
}

/** A field's first `size` bytes, in network order. */
function putField(w: MessageWriter, type: number, data: FlowKey, f: Field, size: number): void {
  const at = w.attrHeader(type, size);
  if (size * 8 === f.bits) {
    getFieldBytes(data, f, w.bytes, at);
    return;
  }
  for (let i = 0; i < size; i++) {
    const bit = f.at + 8 * i;
    w.bytes[at + i] = data[bit >>> 5]! >>> (24 - (bit & 31));
  }
}

function putErspan(w: MessageWriter, data: FlowKey, version: number): void {
  const at = w.attrHeader(T.ERSPAN_OPTS, ERSPAN_SIZE);
  w.bytes.fill(0, at, at + ERSPAN_SIZE);
  w.dv.setUint32(at, getField(data, TUN_ERSPAN_VER), LITTLE_ENDIAN);
  if (version === 1) {
    w.dv.setUint32(at + 4, getField(data, TUN_ERSPAN_INDEX));
    return;
  }
  const hwid = getField(data, TUN_ERSPAN_HWID);
  w.dv.setUint8(at + 10, hwid >>> 4);
  w.dv.setUint8(at + 11, ((hwid & 0xf) << 4) | (getField(data, TUN_ERSPAN_DIR) << 3));
}

const CONTEXTS = [NSH_C1, NSH_C2, NSH_C3, NSH_C4] as const;
const MDTYPE_1 = 1;

/** Reads an NSH nest into the nsh* fields of `out`.  Returns undefined or what is wrong. */
export function loadNsh(out: FlowKey, b: Uint8Array, at: number, size: number, isMask: boolean): string | undefined {
  const end = at + size;
  let hasMd1 = false;
  while (end - at >= NLA_HDRLEN) {
    const length = host16(b, at);
    if (length < NLA_HDRLEN || length > end - at) break;
    const type = host16(b, at + 2) & NLA_TYPE_MASK;
    const p = at + NLA_HDRLEN;
    const n = length - NLA_HDRLEN;
    const want = type === N.BASE ? 8 : type === N.MD1 ? 16 : n;
    if (n !== want) return `NSH key attribute ${type} should have length ${want} but actually has ${n}`;
    if (type === N.BASE) {
      setField(out, NSH_FLAGS, b[p]!);
      setField(out, NSH_TTL, b[p + 1]!);
      setField(out, NSH_MDTYPE, b[p + 2]!);
      setField(out, NSH_NP, b[p + 3]!);
      setField(out, NSH_PATH_HDR, be32(b, p + 4));
    } else if (type === N.MD1) {
      hasMd1 = true;
      for (let i = 0; i < 4; i++) setField(out, CONTEXTS[i]!, be32(b, p + 4 * i));
    }
    at += nlaAlign(length);
  }
  const mdtype = getField(out, NSH_MDTYPE);
  if (!isMask && hasMd1 && mdtype !== MDTYPE_1) {
    return `OVS_NSH_KEY_ATTR_MD1 present but declared mdtype ${mdtype} is not 1 (NSH_M_TYPE1)`;
  }
  return undefined;
}

/**
 * Appends the NSH attribute of the nsh* fields of `data`; a mask always has the contexts.  `md2`: the context headers of metadata
 * type 2, which a flow does not have.
 */
export function putNsh(w: MessageWriter, data: FlowKey, isMask: boolean, md2?: Uint8Array): void {
  const nest = w.nest(OVS_KEY_ATTR.NSH);
  const base = w.attrHeader(N.BASE, 8);
  w.dv.setUint8(base, getField(data, NSH_FLAGS));
  w.dv.setUint8(base + 1, getField(data, NSH_TTL));
  w.dv.setUint8(base + 2, getField(data, NSH_MDTYPE));
  w.dv.setUint8(base + 3, getField(data, NSH_NP));
  w.dv.setUint32(base + 4, getField(data, NSH_PATH_HDR));
  if (isMask || getField(data, NSH_MDTYPE) === MDTYPE_1) {
    const md1 = w.attrHeader(N.MD1, 16);
    for (let i = 0; i < 4; i++) w.dv.setUint32(md1 + 4 * i, getField(data, CONTEXTS[i]!));
  } else if (md2 !== undefined && md2.length > 0) w.attrBytes(N.MD2, md2);
  w.endNest(nest);
}
