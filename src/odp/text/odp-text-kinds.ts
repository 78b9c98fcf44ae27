/**
 * How one value inside a flow key is written and read: `10.0.0.1/255.0.0.0`, `0x10`, `first`.
 *
 * A value is a bigint of the member's width, whatever it is (an address too), so that keys, masks, printing and scanning
 * have one shape.  Hexadecimal is that of C's `%#x`: zero is `0`, not `0x0`.
 * Source: lib/odp-util.c (format_* and scan_* functions).
 */
import { OVS_FRAG_TYPE } from '../../flow/fields.ts';
import { formatIpv4, formatIpv6, formatMac } from '../../util/inet.ts';
import { uintToBytes } from './odp-attr-list.ts';
import type { Scanner } from './odp-text-scan.ts';

export interface TextKind {
  /** Bytes in the payload. */
  readonly size: number;
  /** The mask that needs no mention: what a value without `/mask` gets. */
  readonly ones: bigint;
  /** Bits of a mask that count for whether it is that one; unset: all. */
  readonly significant?: bigint;
  print(value: bigint): string;
  printMask(mask: bigint): string;
  scan(s: Scanner): bigint | undefined;
  /** False if text has no masks for it. */
  readonly isMaskable: boolean;
}

export const onesOf = (size: number): bigint => (1n << BigInt(8 * size)) - 1n;

/** `%#x`. */
export const hex = (value: bigint | number): string => (Number(value) === 0 ? '0' : `0x${value.toString(16)}`);

const decimal = (value: bigint): string => value.toString();

const integer = (size: number, print: (v: bigint) => string): TextKind => ({
  size,
  ones: onesOf(size),
  print,
  printMask: hex,
  scan: (s) => s.int(8 * size),
  isMaskable: true,
});

const address = (
  size: number,
  format: (b: Uint8Array) => string,
  scan: (s: Scanner) => bigint | undefined,
): TextKind => {
  const print = (value: bigint) => {
    const bytes = new Uint8Array(size);
    uintToBytes(value, bytes, 0, size);
    return format(bytes);
  };
  return { size, ones: onesOf(size), print, printMask: print, scan, isMaskable: true };
};

export const U8 = integer(1, decimal);
export const U8X = integer(1, hex);
export const U16 = integer(2, decimal);
export const U16X = integer(2, hex);
export const U32 = integer(4, decimal);
export const U32X = integer(4, hex);
/** Tunnel ids: `0x0`, not `0`. */
export const U64X: TextKind = { ...integer(8, (v) => `0x${v.toString(16)}`) };
export const MAC = address(6, formatMac, (s) => s.mac());
export const IPV4 = address(4, formatIpv4, (s) => s.ipv4());
export const IPV6 = address(16, formatIpv6, (s) => s.ipv6());

const LABEL_ONES = 0xfffffn;
/** 20 bits in a 32-bit member. */
export const IPV6_LABEL: TextKind = {
  ...integer(4, hex),
  ones: LABEL_ONES,
  significant: LABEL_ONES,
  scan: (s) => {
    const start = s.at;
    const value = s.int(32);
    if (value === undefined || value <= LABEL_ONES) return value;
    s.at = start;
    return undefined;
  },
};

const FRAG_NAMES: readonly string[] = ['no', 'first', 'later'];
export const FRAG: TextKind = {
  ...integer(1, (v) => FRAG_NAMES[Number(v)] ?? '<error>'),
  isMaskable: false,
  scan: (s) => {
    const word = /^[a-z]{1,7}/.exec(s.rest)?.[0] ?? '';
    const value = FRAG_NAMES.indexOf(word);
    if (value < OVS_FRAG_TYPE.NONE) return undefined;
    s.at += word.length;
    return BigInt(value);
  },
};

/** True if a printed value needs no `/mask` after it. */
export function isExactMask(kind: TextKind, mask: bigint): boolean {
  const bits = kind.significant ?? kind.ones;
  return (mask & bits) === bits;
}

/**
 * `name=value` or `name=value/mask`; undefined where a member that is wholly wildcarded is left out (not `verbose`).
 * `mask` undefined means an exact match.
 */
export function formatMember(
  kind: TextKind,
  name: string,
  value: bigint,
  mask: bigint | undefined,
  verbose: boolean,
): string | undefined {
  if (kind === FRAG) {
    // An enumeration: without its mask it is left out even from verbose output, and part of it means nothing.
    if (mask === 0n) return undefined;
    if (mask !== undefined && mask !== FRAG.ones) {
      return `error: partial mask not supported for frag (${hex(mask)})`;
    }
  }
  if (mask === 0n && !verbose) return undefined;
  const text = `${name}=${kind.print(value)}`;
  return mask === undefined || isExactMask(kind, mask) ? text : `${text}/${kind.printMask(mask)}`;
}

/** Reads `value` or, if `withMask`, `value/mask`.  Undefined if there is no value; a `/` without a mask is left unread. */
export function scanValue(kind: TextKind, s: Scanner, withMask: boolean): { value: bigint; mask: bigint } | undefined {
  const value = kind.scan(s);
  if (value === undefined) return undefined;
  if (withMask && kind.isMaskable) {
    const start = s.at;
    const mask = s.lit('/') ? kind.scan(s) : undefined;
    if (mask !== undefined) return { value, mask };
    s.at = start;
  }
  return { value, mask: kind.ones };
}

/** A set of named bits. */
export type BitNames = readonly (readonly [bit: number, name: string])[];

const bitsOf = (word: number): number[] =>
  Array.from({ length: 32 }, (_, i) => (1 << i) >>> 0).filter((bit) => (word & bit) !== 0);
const nameOf = (names: BitNames, bit: number): string | undefined => names.find(([b]) => b === bit)?.[1];

/** `a|b|0x30`, from the lowest bit up; bits without a name together at the end; `0` for none. */
export function formatFlags(names: BitNames, flags: number, separator: string): string {
  const bits = bitsOf(flags);
  if (bits.length === 0) return '0';
  const known = bits.map((bit) => nameOf(names, bit)).filter((name) => name !== undefined);
  const rest = bits.filter((bit) => nameOf(names, bit) === undefined).reduce((all, bit) => all + bit, 0);
  return [...known, ...(rest ? [`0x${rest.toString(16)}`] : [])].join(separator);
}

/** `+a-b`: the bits of `mask`, set or not; as {@link formatFlags} if `mask` is `full`, `0/0` if it is none. */
export function formatMaskedFlags(names: BitNames, flags: number, mask: number, full: number): string {
  if (mask >>> 0 === full >>> 0) return formatFlags(names, flags, '|');
  if (mask === 0) return '0/0';
  return bitsOf(mask)
    .map((bit) => `${flags & bit ? '+' : '-'}${nameOf(names, bit) ?? '[Unknown]'}`)
    .join('');
}

/**
 * Reads flags up to a `)`, which stays: `3/7`, `+a-b`, `a|b|0x10`.  The first two need `withMask`.  Undefined for names or
 * bits outside `allowed`.
 */
export function scanFlags(
  names: BitNames,
  s: Scanner,
  allowed: number,
  withMask: boolean,
): { flags: number; mask: number } | undefined {
  const fits = (word: bigint) => (word & ~BigInt(allowed >>> 0)) === 0n;
  const numeric = withMask ? s.match('{i32}/{i32}') : undefined;
  if (numeric) {
    const [flags = 0n, mask = 0n] = numeric;
    return fits(flags) && fits(mask) ? { flags: Number(flags), mask: Number(mask) } : undefined;
  }
  if (withMask && (s.peek === '+' || s.peek === '-')) return scanSignedFlags(names, s, allowed);

  let flags = 0;
  while (s.peek !== ')') {
    const number = s.int(64);
    if (number !== undefined) {
      if (!fits(number)) return undefined;
      flags |= Number(number);
      s.lit('|');
      continue;
    }
    const found = names.find(([, name]) => s.startsWith(`${name}|`) || s.startsWith(`${name})`));
    if (!found || !fits(BigInt(found[0]))) return undefined;
    flags |= found[0];
    s.at += found[1].length;
    s.lit('|');
  }
  return { flags: flags >>> 0, mask: 0xffffffff };
}

function scanSignedFlags(names: BitNames, s: Scanner, allowed: number): { flags: number; mask: number } | undefined {
  let flags = 0;
  let mask = 0;
  while (s.peek !== ')') {
    const isSet = s.peek === '+';
    if (!isSet && s.peek !== '-') return undefined;
    s.at++;
    const found = names.find(([, name]) => ['+', '-', ')'].some((end) => s.startsWith(name + end)));
    if (!found || (mask & found[0]) !== 0 || (found[0] & ~allowed) !== 0) return undefined;
    mask |= found[0];
    if (isSet) flags |= found[0];
    s.at += found[1].length;
  }
  return { flags: flags >>> 0, mask: mask >>> 0 };
}

// biome-ignore format: table
export const TCP_FLAG_NAMES: BitNames = [
  [0x001, 'fin'], [0x002, 'syn'], [0x004, 'rst'], [0x008, 'psh'], [0x010, 'ack'], [0x020, 'urg'], [0x040, 'ece'],
  [0x080, 'cwr'], [0x100, 'ns'], [0x200, '[200]'], [0x400, '[400]'], [0x800, '[800]'],
];

/** OVS_CS_F_*. */
// biome-ignore format: table
export const CT_STATE_NAMES: BitNames = [
  [0x01, 'new'], [0x02, 'est'], [0x04, 'rel'], [0x08, 'rpl'], [0x10, 'inv'], [0x20, 'trk'], [0x40, 'snat'], [0x80, 'dnat'],
];
