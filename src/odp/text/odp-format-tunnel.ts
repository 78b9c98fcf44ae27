/**
 * Prints the inside of OVS_KEY_ATTR_TUNNEL: `tun_id=0x1,src=1.1.1.1,...,geneve({class=0x1,...}),flags(df|key)`.
 * Source: lib/odp-util.c (format_odp_tun_attr and below), lib/packets.h (erspan), include/openvswitch/geneve.h.
 */
import { OVS_VXLAN_EXT, OVS_TUNNEL_KEY_ATTR as T } from '../key/key-table.ts';
import {
  beUint,
  bytesToUint,
  findAttr,
  hexNumber,
  hostUint,
  isAllByte,
  type RawAttr,
  readAttrs,
} from './odp-attr-list.ts';
import { badLength, formatUnknown } from './odp-bad-length.ts';
import {
  type BitNames,
  formatFlags,
  formatMaskedFlags,
  formatMember,
  hex,
  IPV4,
  IPV6,
  type TextKind,
  U8,
  U8X,
  U16,
  U16X,
  U64X,
} from './odp-text-kinds.ts';

/** FLOW_TNL_F_*: the tunnel's flag attributes as userspace numbers them. */
export const TUNNEL_FLAG = { OAM: 1, DF: 2, CSUM: 4, KEY: 8 } as const;
export const TUNNEL_FLAGS_ALL = 15;
export const TUNNEL_FLAG_NAMES: BitNames = [
  [TUNNEL_FLAG.OAM, 'oam'],
  [TUNNEL_FLAG.DF, 'df'],
  [TUNNEL_FLAG.CSUM, 'csum'],
  [TUNNEL_FLAG.KEY, 'key'],
];

/** Members that are one value each: name and kind by attribute number. */
// biome-ignore format: table
export const TUNNEL_MEMBERS: readonly { readonly type: number; readonly name: string; readonly kind: TextKind }[] = [
  { type: T.ID,       name: 'tun_id',   kind: U64X },
  { type: T.IPV4_SRC, name: 'src',      kind: IPV4 },
  { type: T.IPV4_DST, name: 'dst',      kind: IPV4 },
  { type: T.IPV6_SRC, name: 'ipv6_src', kind: IPV6 },
  { type: T.IPV6_DST, name: 'ipv6_dst', kind: IPV6 },
  { type: T.TOS,      name: 'tos',      kind: U8X },
  { type: T.TTL,      name: 'ttl',      kind: U8 },
  { type: T.TP_SRC,   name: 'tp_src',   kind: U16 },
  { type: T.TP_DST,   name: 'tp_dst',   kind: U16 },
];

const FLAG_OF: Readonly<Record<number, number>> = {
  [T.DONT_FRAGMENT]: TUNNEL_FLAG.DF,
  [T.CSUM]: TUNNEL_FLAG.CSUM,
  [T.OAM]: TUNNEL_FLAG.OAM,
};

/** Payload size by attribute number; undefined where any will do. */
function sizeOf(type: number): number | undefined {
  const member = TUNNEL_MEMBERS.find((m) => m.type === type);
  if (member) return member.kind.size;
  return type in FLAG_OF || type === T.PAD ? 0 : undefined;
}
const TUNNEL_ATTR_MAX = T.GTPU_OPTS;

/** The mask of an attribute that the mask nest lacks: nothing of it is matched. */
const wildcardMask = (type: number, data: Uint8Array): RawAttr => ({
  type,
  data: type === T.VXLAN_OPTS ? new Uint8Array(0) : new Uint8Array(data.length),
});

/** `mask` undefined: all of it is matched. */
export function formatTunnel(nest: Uint8Array, mask: Uint8Array | undefined, verbose: boolean): string {
  const maskAttrs = mask && readAttrs(mask).attrs;
  let text = '';
  let flags = 0;
  let maskFlags = 0;

  for (const a of readAttrs(nest).attrs) {
    const ma = maskAttrs && (findAttr(maskAttrs, a.type) ?? wildcardMask(a.type, a.data));
    const bad = a.type > TUNNEL_ATTR_MAX ? undefined : badLength(a, ma, sizeOf(a.type), `key${a.type}`);
    if (bad !== undefined) {
      text += bad; // No comma follows such a report.
      continue;
    }
    if (a.type === T.ID) {
      flags |= TUNNEL_FLAG.KEY;
      if (ma) maskFlags |= TUNNEL_FLAG.KEY;
    }
    const flag = FLAG_OF[a.type];
    if (flag !== undefined) flags |= flag;
    else if (a.type !== T.PAD) {
      const part = formatTunnelAttr(a, ma?.data, verbose);
      if (part !== undefined) text += `${part},`;
    }
  }

  // A flag can be matched although it is not set, so that its mask stands alone.
  for (const ma of maskAttrs ?? []) maskFlags |= FLAG_OF[ma.type] ?? 0;
  if (maskAttrs === undefined) text += `flags(${formatFlags(TUNNEL_FLAG_NAMES, flags, '|')})`;
  else if (verbose || maskFlags !== 0) {
    text += `flags(${formatMaskedFlags(TUNNEL_FLAG_NAMES, flags, maskFlags, TUNNEL_FLAGS_ALL)})`;
  }
  return text.replace(/,$/, '');
}

function formatTunnelAttr(a: RawAttr, mask: Uint8Array | undefined, verbose: boolean): string | undefined {
  const member = TUNNEL_MEMBERS.find((m) => m.type === a.type);
  if (member) {
    const { kind, name } = member;
    // Without a mask, the id is printed in verbose output only.
    if (a.type === T.ID && !mask && !verbose) return undefined;
    const value = bytesToUint(a.data, 0, kind.size);
    return formatMember(kind, name, value, mask && bytesToUint(mask, 0, kind.size), verbose);
  }
  switch (a.type) {
    case T.VXLAN_OPTS:
      return `vxlan(${formatVxlan(a.data, mask, verbose)})`;
    case T.GENEVE_OPTS:
      return `geneve(${formatGeneve(a.data, mask, verbose)})`;
    case T.ERSPAN_OPTS:
      return `erspan(${formatErspan(a.data, mask, verbose)})`;
    case T.GTPU_OPTS:
      return `gtpu(${joinMembers([
        formatMember(U8X, 'flags', BigInt(a.data[0] ?? 0), byteMask(mask, 0), verbose),
        formatMember(U8, 'msgtype', BigInt(a.data[1] ?? 0), byteMask(mask, 1), verbose),
      ])})`;
    default:
      return formatUnknown(a, mask);
  }
}

const byteMask = (mask: Uint8Array | undefined, at: number) => mask && BigInt(mask[at] ?? 0);
const joinMembers = (parts: readonly (string | undefined)[]) => parts.filter((p) => p !== undefined).join(',');

function formatVxlan(nest: Uint8Array, mask: Uint8Array | undefined, verbose: boolean): string {
  const maskAttrs = mask && readAttrs(mask).attrs;
  let text = '';
  for (const a of readAttrs(nest).attrs) {
    const ma = maskAttrs && (findAttr(maskAttrs, a.type) ?? { type: a.type, data: new Uint8Array(a.data.length) });
    const size = a.type === OVS_VXLAN_EXT.GBP ? 4 : 0;
    const bad = a.type > OVS_VXLAN_EXT.GBP ? undefined : badLength(a, ma, size, `key${a.type}`);
    if (bad !== undefined) text += bad;
    else if (a.type !== OVS_VXLAN_EXT.GBP) text += `${formatUnknown(a, ma?.data)},`;
    else {
      const gbp = hostUint(a.data, 0, 4);
      const gbpMask = ma && hostUint(ma.data, 0, 4);
      const half = (word: number | undefined) => (word === undefined ? undefined : BigInt(word & 0xffff));
      const high = (word: number | undefined) => (word === undefined ? undefined : BigInt((word >>> 16) & 0xff));
      const id = formatMember(U16, 'id', half(gbp) ?? 0n, half(gbpMask), verbose);
      const flags = formatMember(U8X, 'flags', high(gbp) ?? 0n, high(gbpMask), verbose);
      text += `gbp(${joinMembers([id, flags])}),`;
    }
  }
  return text.replace(/,$/, '');
}

/**
 * struct erspan_metadata, 12 bytes: host-order version, then for version 1 a be32 index, for version 2
 *
 *      0               1               2               3
 *     |                           timestamp                           |
 *     |              sgt              |p|   ft    | hwH |hwid |d|gra|o|
 */
function formatErspan(data: Uint8Array, mask: Uint8Array | undefined, verbose: boolean): string {
  const version = hostUint(data, 0, 4);
  const low8 = (b: Uint8Array) => BigInt(hostUint(b, 0, 4) & 0xff);
  const parts = [formatMember(U8, 'ver', low8(data), mask && low8(mask), verbose)];
  if (version === 1) {
    const index = hex(beUint(data, 4, 4));
    parts.push(mask ? `idx=${index}/${hex(beUint(mask, 4, 4))}` : `idx=${index}`);
  } else if (version === 2) {
    const dir = (b: Uint8Array) => BigInt(((b[11] ?? 0) >>> 3) & 1);
    const hwid = (b: Uint8Array) => BigInt((b[11] ?? 0) >>> 4);
    parts.push(formatMember(U8, 'dir', dir(data), mask && dir(mask), verbose));
    parts.push(formatMember(U8X, 'hwid', hwid(data), mask && hwid(mask), verbose));
  }
  return joinMembers(parts);
}

function formatGeneve(data: Uint8Array, mask: Uint8Array | undefined, verbose: boolean): string {
  if (mask && mask.length !== data.length) {
    return `value len ${data.length} different from mask len ${mask.length}`;
  }
  return formatGeneveOptions(data, mask, verbose);
}

/**
 * Geneve options, each `{class=..,type=..,len=..,0x..}`:
 *
 *     |            class              |      type     |R|R|R| length  |   length in 4-byte words
 *     |                      length * 4 bytes of data                 |
 */
export function formatGeneveOptions(data: Uint8Array, mask: Uint8Array | undefined, verbose: boolean): string {
  let text = '';
  for (let at = 0; at < data.length; ) {
    const left = data.length - at;
    if (left < 4) return `${text}opt len ${left} less than minimum 4`;
    const size = ((data[at + 3] ?? 0) & 0x1f) * 4;
    if (4 + size > left) return `${text}opt len ${4 + size} greater than remaining ${left}`;
    const maskWords = mask && (mask[at + 3] ?? 0) & 0x1f;
    const sizeMask = maskWords === undefined ? undefined : BigInt(maskWords === 0x1f ? 0xff : maskWords);

    const members = joinMembers([
      formatMember(U16X, 'class', BigInt(beUint(data, at, 2)), mask && BigInt(beUint(mask, at, 2)), verbose),
      formatMember(U8X, 'type', BigInt(data[at + 2] ?? 0), byteMask(mask, at + 2), verbose),
      formatMember(U8, 'len', BigInt(size), sizeMask, verbose),
    ]);
    text += `{${members}`;
    const isWildcard = mask !== undefined && isAllByte(mask, at + 4, size, 0);
    if (size > 0 && (verbose || !isWildcard)) {
      text += `${members === '' ? '' : ','}${hexNumber(data.subarray(at + 4, at + 4 + size))}`;
      if (mask && !isAllByte(mask, at + 4, size, 0xff)) text += `/${hexNumber(mask.subarray(at + 4, at + 4 + size))}`;
    }
    text += '}';
    at += 4 + size;
  }
  return text;
}
