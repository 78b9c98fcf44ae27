/**
 * Reads `tunnel(tun_id=1,dst=1.2.3.4,...,geneve({class=0x1,type=2,len=4,0xff}),flags(df|key))`.
 * The way back from `odp-format-tunnel.ts`, with the C tools' rules for what a missing member matches.
 * Source: lib/odp-util.c (scan_geneve, scan_erspan_metadata, scan_vxlan_gbp, scan_gtpu_metadata).
 */
import { OVS_KEY_ATTR, OVS_VXLAN_EXT, OVS_TUNNEL_KEY_ATTR as T } from '../key/key-table.ts';
import { hostUintToBytes, uintToBytes } from './odp-attr-list.ts';
import { TUNNEL_FLAG, TUNNEL_FLAG_NAMES, TUNNEL_FLAGS_ALL, TUNNEL_MEMBERS } from './odp-format-tunnel.ts';
import { type KeySink, parseMembers } from './odp-key-sink.ts';
import { scanFlags, scanValue, type TextKind, U8, U16, U16X, U32X } from './odp-text-kinds.ts';
import { E2BIG, EINVAL, NLA_MAX_PAYLOAD, type Scanner } from './odp-text-scan.ts';

/** struct erspan_metadata, and the room for Geneve options (TLV_TOT_OPT_SIZE). */
const ERSPAN_SIZE = 12;
const GENEVE_MAX = 252;

/** Reads up to and with the closing bracket; returns 0 or an errno. */
export function parseTunnel(s: Scanner, sink: KeySink): number {
  const keyNest = sink.key.nest(OVS_KEY_ATTR.TUNNEL);
  const maskNest = sink.mask?.nest(OVS_KEY_ATTR.TUNNEL) ?? 0;
  if (!parseMembers(s, () => parseTunnelMember(s, sink))) return EINVAL;
  if (sink.key.size - keyNest - 4 > NLA_MAX_PAYLOAD) return E2BIG;
  sink.key.endNest(keyNest);
  sink.mask?.endNest(maskNest);
  return 0;
}

const readers: readonly (readonly [opening: string, read: (s: Scanner, sink: KeySink) => boolean])[] = [
  ['erspan(', parseErspan],
  ['vxlan(gbp(', parseVxlanGbp],
  ['geneve(', parseGeneve],
  ['gtpu(', parseGtpu],
  ['flags(', parseFlags],
];

function parseTunnelMember(s: Scanner, sink: KeySink): boolean | 'bad' {
  const member = TUNNEL_MEMBERS.find((m) => s.lit(`${m.name}=`));
  if (member) {
    const found = scanValue(member.kind, s, true);
    if (!found) return 'bad';
    const bytes = new Uint8Array(member.kind.size);
    uintToBytes(found.value, bytes, 0, bytes.length);
    sink.key.attrBytes(member.type, bytes);
    uintToBytes(found.mask, bytes, 0, bytes.length);
    sink.mask?.attrBytes(member.type, bytes);
    return true;
  }
  const reader = readers.find(([opening]) => s.lit(opening));
  if (!reader) return false;
  return reader[1](s, sink) || 'bad';
}

interface Pair {
  value: bigint;
  mask: bigint;
}
const NOTHING: Pair = { value: 0n, mask: 0n };

/** `name=value[/mask]` if it is there, which sets value and mask; else nothing of it is matched.  "bad": a name only. */
function optional(s: Scanner, name: string, kind: TextKind): Pair | 'bad' {
  return s.lit(`${name}=`) ? (scanValue(kind, s, true) ?? 'bad') : NOTHING;
}

/** Two members with a comma between them, either of which may be missing. */
function optionalPair(s: Scanner, a: string, b: string, aKind: TextKind, bKind: TextKind): [Pair, Pair] | undefined {
  const first = optional(s, a, aKind);
  if (first === 'bad') return undefined;
  s.lit(',');
  const second = optional(s, b, bKind);
  return second === 'bad' ? undefined : [first, second];
}

function parseVxlanGbp(s: Scanner, sink: KeySink): boolean {
  const found = optionalPair(s, 'id', 'flags', U16, U8);
  if (!found || !s.lit('))')) return false;
  const [id, flags] = found;
  const putGbp = (w: KeySink['key'], gbp: bigint) => {
    if (gbp === 0n) return;
    const nest = w.nest(T.VXLAN_OPTS);
    w.attrU32(OVS_VXLAN_EXT.GBP, Number(gbp));
    w.endNest(nest);
  };
  putGbp(sink.key, (flags.value << 16n) | id.value);
  if (sink.mask) putGbp(sink.mask, (flags.mask << 16n) | id.mask);
  return true;
}

function parseGtpu(s: Scanner, sink: KeySink): boolean {
  const found = optionalPair(s, 'flags', 'msgtype', U8, U8);
  if (!found || !s.lit(')')) return false;
  const [flags, type] = found;
  sink.key.attrBytes(T.GTPU_OPTS, Uint8Array.of(Number(flags.value), Number(type.value)));
  sink.mask?.attrBytes(T.GTPU_OPTS, Uint8Array.of(Number(flags.mask), Number(type.mask)));
  return true;
}

function parseErspan(s: Scanner, sink: KeySink): boolean {
  const version = optional(s, 'ver', U8);
  if (version === 'bad') return false;
  s.lit(',');
  const key = new Uint8Array(ERSPAN_SIZE);
  // The version and what the text cannot say are matched.
  const mask = new Uint8Array(ERSPAN_SIZE).fill(0xff);
  hostUintToBytes(version.value, key, 0, 4);
  if (version.value === 1n) {
    const index = optional(s, 'idx', U32X);
    if (index === 'bad') return false;
    uintToBytes(index.value, key, 4, 4);
    uintToBytes(index.mask, mask, 4, 4);
  } else if (version.value === 2n) {
    const found = optionalPair(s, 'dir', 'hwid', U8, U8);
    if (!found) return false;
    const [dir, hwid] = found;
    const pack = (d: bigint, h: bigint) => (Number(h & 0xfn) << 4) | (Number(d & 1n) << 3);
    key[11] = pack(dir.value, hwid.value);
    mask[11] = 0x07 | pack(dir.mask, hwid.mask);
  } else return false;
  if (!s.lit(')')) return false;
  sink.key.attrBytes(T.ERSPAN_OPTS, key);
  sink.mask?.attrBytes(T.ERSPAN_OPTS, mask);
  return true;
}

function parseFlags(s: Scanner, sink: KeySink): boolean {
  const found = scanFlags(TUNNEL_FLAG_NAMES, s, TUNNEL_FLAGS_ALL, true);
  if (!found || !s.lit(')')) return false;
  const putFlags = (w: KeySink['key'], flags: number) => {
    if (flags & TUNNEL_FLAG.DF) w.attrFlag(T.DONT_FRAGMENT);
    if (flags & TUNNEL_FLAG.CSUM) w.attrFlag(T.CSUM);
    if (flags & TUNNEL_FLAG.OAM) w.attrFlag(T.OAM);
  };
  putFlags(sink.key, found.flags);
  if (sink.mask) putFlags(sink.mask, found.mask);
  return true;
}

function parseGeneve(s: Scanner, sink: KeySink): boolean {
  const found = scanGeneveOptions(s, true);
  if (!found) return false;
  sink.key.attrBytes(T.GENEVE_OPTS, found.key);
  sink.mask?.attrBytes(T.GENEVE_OPTS, found.mask);
  return true;
}

/** Reads `{class=..,type=..,len=..,0x../0x..}...` and the closing bracket. */
export function scanGeneveOptions(s: Scanner, withMask: boolean): { key: Uint8Array; mask: Uint8Array } | undefined {
  const key = new Uint8Array(GENEVE_MAX);
  const mask = new Uint8Array(GENEVE_MAX).fill(0xff);
  let at = 0;
  while (GENEVE_MAX - at >= 4 && s.lit('{')) {
    const room = GENEVE_MAX - at - 4;
    const member = (name: string, kind: TextKind): Pair | undefined => {
      if (!s.lit(`${name}=`)) return NOTHING;
      return scanValue(kind, s, withMask);
    };
    const optClass = member('class', U16X);
    s.lit(',');
    const type = optClass && member('type', U8);
    s.lit(',');
    const hasLength = s.startsWith('len=');
    const length = type && member('len', U8);
    if (!optClass || !type || !length) return undefined;
    const size = Number(length.value);
    if (size > 124 || size % 4 !== 0 || size > room) return undefined;
    uintToBytes(optClass.value, key, at, 2);
    uintToBytes(optClass.mask, mask, at, 2);
    key[at + 2] = Number(type.value);
    // An option without a length does not have its type matched.
    mask[at + 2] = hasLength ? Number(type.mask) : 0;
    key[at + 3] = size / 4;
    mask[at + 3] = hasLength ? Number(length.mask) & 0x1f : 0x1f;
    if (s.lit(',')) {
      const data = s.wideInt(size);
      if (data === undefined) return undefined;
      uintToBytes(data, key, at + 4, size);
    }
    if (withMask && s.lit('/')) {
      const data = s.wideInt(size);
      if (data === undefined) return undefined;
      uintToBytes(data, mask, at + 4, size);
    }
    if (!s.lit('}')) return undefined;
    at += 4 + size;
  }
  return s.lit(')') ? { key: key.subarray(0, at), mask: mask.subarray(0, at) } : undefined;
}
