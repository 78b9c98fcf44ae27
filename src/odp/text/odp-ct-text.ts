/**
 * Text of the conntrack action: `ct(commit,zone=5,mark=0x1/0xff,nat(src=10.0.0.1-10.0.0.9:1000-2000,random))`.
 * Source: lib/odp-util.c (format_odp_conntrack_action, format_odp_ct_nat, parse_conntrack_action, scan_ct_nat).
 */
import { LITTLE_ENDIAN } from '../../netlink/constants.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { formatIpv4, formatIpv6, IPV4_SIZE, IPV6_SIZE } from '../../util/inet.ts';
import { OVS_CT_ATTR as C, OVS_NAT_ATTR as N, OVS_ACTION_ATTR } from '../action-attrs.ts';
import { ANY_SIZE, exactly, hostUint, hostUintToBytes, isAllByte, readSet, uintToBytes } from './odp-attr-list.ts';
import { formatLabels } from './odp-format-key.ts';
import { hex } from './odp-text-kinds.ts';
import type { Scanner } from './odp-text-scan.ts';

const atLeast = (size: number) => ({ min: size, max: 0xffff });
const CT_RULES = {
  [C.COMMIT]: ANY_SIZE,
  [C.FORCE_COMMIT]: ANY_SIZE,
  [C.ZONE]: exactly(2),
  [C.MARK]: atLeast(8),
  [C.LABELS]: atLeast(32),
  [C.HELPER]: { min: 1, max: 16, isText: true },
  [C.NAT]: ANY_SIZE,
  [C.TIMEOUT]: { min: 1, max: 32, isText: true },
} as const;
const ADDRESS = { min: IPV4_SIZE, max: IPV6_SIZE };
const NAT_RULES = {
  [N.SRC]: ANY_SIZE,
  [N.DST]: ANY_SIZE,
  [N.IP_MIN]: ADDRESS,
  [N.IP_MAX]: ADDRESS,
  [N.PROTO_MIN]: exactly(2),
  [N.PROTO_MAX]: exactly(2),
  [N.PERSISTENT]: ANY_SIZE,
  [N.PROTO_HASH]: ANY_SIZE,
  [N.PROTO_RANDOM]: ANY_SIZE,
} as const;

const text = (payload: Uint8Array) => Buffer.from(payload.subarray(0, -1)).toString();

export function formatCt(nest: Uint8Array): string {
  const set = readSet(nest, CT_RULES);
  if (!set) return 'ct(error)';
  const parts: string[] = [];
  if (set.has(C.COMMIT)) parts.push('commit');
  if (set.has(C.FORCE_COMMIT)) parts.push('force_commit');
  const zone = set.get(C.ZONE);
  if (zone && hostUint(zone, 0, 2) !== 0) parts.push(`zone=${hostUint(zone, 0, 2)}`);
  const mark = set.get(C.MARK);
  if (mark) parts.push(`mark=${hex(hostUint(mark, 0, 4))}/${hex(hostUint(mark, 4, 4))}`);
  const label = set.get(C.LABELS);
  if (label) parts.push(`label=${formatLabels(label.subarray(0, 16), label.subarray(16, 32), true)}`);
  const helper = set.get(C.HELPER);
  if (helper) parts.push(`helper=${text(helper)}`);
  const timeout = set.get(C.TIMEOUT);
  if (timeout) parts.push(`timeout=${text(timeout)}`);
  const nat = set.get(C.NAT);
  if (nat) parts.push(formatNat(nat));
  return parts.length > 0 ? `ct(${parts.join(',')})` : 'ct';
}

const compare = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);

function formatNat(nest: Uint8Array): string {
  const set = readSet(nest, NAT_RULES);
  if (!set) return 'nat(error: nl_parse_nested() failed.)';
  const [isSrc, isDst] = [set.has(N.SRC), set.has(N.DST)];
  if (!isSrc && !isDst) return set.size > 0 ? 'nat(error: options allowed only with "src" or "dst")' : 'nat';
  if (isSrc && isDst) return 'nat(error: Only one of "src" or "dst" may be present.)';
  const [ipMin, ipMax] = [set.get(N.IP_MIN), set.get(N.IP_MAX)];
  const [protoMin, protoMax] = [set.get(N.PROTO_MIN), set.get(N.PROTO_MAX)];
  if (!ipMin && protoMin) return 'nat(error: proto but no IP.)';
  if ((!ipMin && ipMax) || (!protoMin && protoMax)) return 'nat(error: range max without min.)';
  const isAddress = (b: Uint8Array) => b.length === IPV4_SIZE || b.length === IPV6_SIZE;
  if (ipMin && (!isAddress(ipMin) || (ipMax && ipMax.length !== ipMin.length))) {
    return 'nat(error: IP address sizes do not match)';
  }
  const low = protoMin ? hostUint(protoMin, 0, 2) : 0;
  const high = protoMax ? hostUint(protoMax, 0, 2) : 0;
  const hasMax = ipMin && ipMax && !isAllByte(ipMax, 0, ipMax.length, 0);
  if ((hasMax && compare(ipMin, ipMax) > 0) || (high && low > high)) return 'nat(range error)';

  let first = isSrc ? 'src' : 'dst';
  if (ipMin) {
    const address = (b: Uint8Array) =>
      b.length === IPV4_SIZE ? formatIpv4(b) : low ? `[${formatIpv6(b)}]` : formatIpv6(b);
    first += `=${address(ipMin)}`;
    if (hasMax && compare(ipMin, ipMax) !== 0) first += `-${address(ipMax)}`;
    if (low) first += `:${low}${high && high !== low ? `-${high}` : ''}`;
  }
  const parts = [first];
  if (set.has(N.PERSISTENT)) parts.push('persistent');
  if (set.has(N.PROTO_HASH)) parts.push('hash');
  if (set.has(N.PROTO_RANDOM)) parts.push('random');
  return `nat(${parts.join(',')})`;
}

interface Nat {
  direction: 'none' | 'src' | 'dst';
  ipMin: Uint8Array;
  ipMax: Uint8Array;
  protoMin: number;
  protoMax: number;
  isPersistent: boolean;
  isHash: boolean;
  isRandom: boolean;
}

interface Ct {
  commit: boolean;
  forceCommit: boolean;
  zone: bigint;
  mark: bigint;
  markMask: bigint;
  label: bigint;
  labelMask: bigint;
  helper: string;
  timeout: string;
  nat: Nat | undefined;
}

const ONES_128 = (1n << 128n) - 1n;
const ONES_32 = 0xffffffffn;

/** Reads `ct` or `ct(...)` and appends the action to `out`.  False if the text is not well-formed. */
export function parseCt(s: Scanner, out: MessageWriter): boolean {
  if (!s.lit('ct')) return false;
  const ct: Ct = {
    commit: false,
    forceCommit: false,
    zone: 0n,
    mark: 0n,
    markMask: 0n,
    label: 0n,
    labelMask: 0n,
    helper: '',
    timeout: '',
    nat: undefined,
  };
  if (s.lit('(')) {
    while (!s.lit(')')) {
      // A delimiter must be followed by a member: `ct(commit,)` is an error.
      s.skipDelimiters();
      if (!parseCtMember(s, ct)) return false;
    }
  }
  if (ct.commit && ct.forceCommit) return false;
  putCt(ct, out);
  return true;
}

function parseCtMember(s: Scanner, ct: Ct): boolean {
  if (s.lit('commit')) ct.commit = true;
  else if (s.lit('force_commit')) ct.forceCommit = true;
  else if (s.startsWith('zone=')) {
    const zone = s.match('zone={u16}')?.[0];
    if (zone === undefined) return false;
    ct.zone = zone;
  } else if (s.startsWith('mark=')) {
    const mark = s.match('mark={x32}')?.[0];
    if (mark === undefined) return false;
    ct.mark = mark;
    ct.markMask = s.match('/{x32}')?.[0] ?? ONES_32;
  } else if (s.lit('label=')) {
    const label = s.wideInt(16);
    if (label === undefined) return false;
    ct.label = label;
    ct.labelMask = ONES_128;
    if (s.lit('/')) {
      const mask = s.wideInt(16);
      if (mask === undefined) return false;
      ct.labelMask = mask;
    }
  } else if (s.lit('helper=')) {
    ct.helper = s.word(true);
    if (ct.helper.length < 1 || ct.helper.length > 15) return false;
  } else if (s.lit('timeout=')) {
    ct.timeout = s.word(true);
    if (ct.timeout.length < 1 || ct.timeout.length > 31) return false;
  } else {
    ct.nat = parseNat(s);
    return ct.nat !== undefined;
  }
  return true;
}

function parseNat(s: Scanner): Nat | undefined {
  if (!s.lit('nat')) return undefined;
  const none = new Uint8Array(0);
  const nat: Nat = {
    direction: 'none',
    ipMin: none,
    ipMax: none,
    protoMin: 0,
    protoMax: 0,
    isPersistent: false,
    isHash: false,
    isRandom: false,
  };
  if (!s.lit('(')) return nat;
  const seen = new Set<string>();
  while (!s.lit(')')) {
    s.skipDelimiters();
    if (s.lit('src') || s.lit('dst')) {
      nat.direction = s.text.startsWith('src', s.at - 3) ? 'src' : 'dst';
      seen.add(nat.direction);
      if (!parseNatRange(s, nat)) return undefined;
    } else if (s.lit('persistent')) nat.isPersistent = true;
    else if (s.lit('hash')) nat.isHash = true;
    else if (s.lit('random')) nat.isRandom = true;
    else return undefined;
  }
  const isBackwards =
    (!isAllByte(nat.ipMax, 0, nat.ipMax.length, 0) && compare(nat.ipMax, nat.ipMin) < 0) ||
    (nat.protoMax !== 0 && nat.protoMax < nat.protoMin);
  return seen.size > 1 || isBackwards || (nat.isHash && nat.isRandom) ? undefined : nat;
}

/** `=10.0.0.1-10.0.0.9:1-2`, `=[fe80::1]-[fe80::9]:1`, or nothing. */
function parseNatRange(s: Scanner, nat: Nat): boolean {
  if (!s.lit('=')) return true;
  const min = parseNatAddress(s, 0);
  if (!min) return false;
  nat.ipMin = min;
  nat.ipMax = new Uint8Array(min.length);
  if (s.lit('-')) {
    const max = parseNatAddress(s, min.length);
    if (!max) return false;
    nat.ipMax = max;
  }
  const protoMin = s.match(':{u16}')?.[0];
  if (protoMin !== undefined) {
    nat.protoMin = Number(protoMin);
    if (s.lit('-')) {
      const protoMax = s.int(16, 10);
      if (protoMax === undefined) return false;
      nat.protoMax = Number(protoMax);
    }
  }
  return true;
}

/** An address of `size` bytes, or of either size if that is 0. */
function parseNatAddress(s: Scanner, size: number): Uint8Array | undefined {
  const isV4Wanted = size !== IPV6_SIZE;
  const v4 = isV4Wanted ? s.ipv4() : undefined;
  if (v4 !== undefined) return toBytes(v4, IPV4_SIZE);
  if (size === IPV4_SIZE) return undefined;
  const v6 = s.match('{ip6}') ?? s.match('[{ip6}]');
  return v6 ? toBytes(v6[0] ?? 0n, IPV6_SIZE) : undefined;
}

function toBytes(value: bigint, size: number): Uint8Array {
  const out = new Uint8Array(size);
  uintToBytes(value, out, 0, size);
  return out;
}

function putCt(ct: Ct, out: MessageWriter): void {
  const nest = out.nest(OVS_ACTION_ATTR.CT);
  if (ct.commit) out.attrFlag(C.COMMIT);
  else if (ct.forceCommit) out.attrFlag(C.FORCE_COMMIT);
  if (ct.zone !== 0n) out.attrU16(C.ZONE, Number(ct.zone));
  if (ct.markMask !== 0n) {
    const mark = new Uint8Array(8);
    hostUintToBytes(ct.mark, mark, 0, 4);
    hostUintToBytes(ct.markMask, mark, 4, 4);
    out.attrBytes(C.MARK, mark);
  }
  if (ct.labelMask !== 0n) {
    const labels = new Uint8Array(32);
    labels.set(labelBytes(ct.label), 0);
    labels.set(labelBytes(ct.labelMask), 16);
    out.attrBytes(C.LABELS, labels);
  }
  if (ct.helper) out.attrString(C.HELPER, ct.helper);
  if (ct.timeout) out.attrString(C.TIMEOUT, ct.timeout);
  if (ct.nat) putNat(ct.nat, out);
  out.endNest(nest);
}

/** A connection label as the kernel's 16 bytes. */
export function labelBytes(value: bigint): Uint8Array {
  const out = toBytes(value, 16);
  return LITTLE_ENDIAN ? out.reverse() : out;
}

function putNat(nat: Nat, out: MessageWriter): void {
  const nest = out.nest(C.NAT);
  if (nat.direction !== 'none') out.attrFlag(nat.direction === 'src' ? N.SRC : N.DST);
  if (nat.direction !== 'none' && nat.ipMin.length > 0) {
    out.attrBytes(N.IP_MIN, nat.ipMin);
    if (compare(nat.ipMax, nat.ipMin) > 0) out.attrBytes(N.IP_MAX, nat.ipMax);
    if (nat.protoMin) {
      out.attrU16(N.PROTO_MIN, nat.protoMin);
      if (nat.protoMax > nat.protoMin) out.attrU16(N.PROTO_MAX, nat.protoMax);
    }
    // These only mean something for a range, and are dropped without one.
    if (nat.isPersistent) out.attrFlag(N.PERSISTENT);
    if (nat.isHash) out.attrFlag(N.PROTO_HASH);
    if (nat.isRandom) out.attrFlag(N.PROTO_RANDOM);
  }
  out.endNest(nest);
}
