/**
 * Attribute lists as printing needs them: whatever the bytes are, they have a text.
 *
 * The policies of `netlink/` throw at a bad length; a dump must show what is there, so that the walk here stops at the
 * first header that does not fit and hands back what is left over.  Reads beyond a payload's end give zeros.  Cold path: dumps
 * and the command line.
 * Source: lib/netlink.h (NL_ATTR_FOR_EACH), lib/netlink.c (nl_policy_parse).
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';

/** One attribute: its number, and a view of its payload. */
export interface RawAttr {
  readonly type: number;
  readonly data: Uint8Array;
}

export interface AttrList {
  readonly attrs: readonly RawAttr[];
  /** Bytes after the last attribute that fits; empty in a sound list. */
  readonly leftover: Uint8Array;
}

/** Splits a nest into its attributes. */
export function readAttrs(nest: Uint8Array): AttrList {
  const attrs: RawAttr[] = [];
  let at = 0;
  while (nest.length - at >= NLA_HDRLEN) {
    const size = hostUint(nest, at, 2);
    if (size < NLA_HDRLEN || size > nest.length - at) break;
    attrs.push({ type: hostUint(nest, at + 2, 2) & NLA_TYPE_MASK, data: nest.subarray(at + NLA_HDRLEN, at + size) });
    // The last attribute may lack its padding; if only part of that is there, it is left over.
    at += nlaAlign(size) <= nest.length - at ? nlaAlign(size) : size;
  }
  return { attrs, leftover: nest.subarray(at) };
}

/** The first attribute of that number. */
export const findAttr = (list: readonly RawAttr[], type: number): RawAttr | undefined =>
  list.find((a) => a.type === type);

/** What a set may hold: per number, the least and the greatest payload size, and whether it must be there. */
export type SetRules = Readonly<Record<number, { min: number; max: number; required?: true; isText?: true }>>;

/** Payload size of exactly `size` bytes. */
export const exactly = (size: number) => ({ min: size, max: size });
export const ANY_SIZE = { min: 0, max: 0xffff };

/**
 * The payloads of a set by number (the last, where one is repeated), or undefined if the set breaks `rules` or has bytes
 * left over.  Numbers without a rule are ignored.
 */
export function readSet(nest: Uint8Array, rules: SetRules): Map<number, Uint8Array> | undefined {
  const { attrs, leftover } = readAttrs(nest);
  const out = new Map<number, Uint8Array>();
  for (const { type, data } of attrs) {
    const rule = rules[type];
    if (rule === undefined) continue;
    if (data.length < rule.min || data.length > rule.max) return undefined;
    if (rule.isText && data.indexOf(0) !== data.length - 1) return undefined;
    out.set(type, data);
  }
  if (leftover.length > 0) return undefined;
  for (const [type, rule] of Object.entries(rules)) if (rule.required && !out.has(Number(type))) return undefined;
  return out;
}

/** Unsigned integer of `size` bytes, at most 4, in network order. */
export function beUint(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}

/** The same in host order. */
export function hostUint(bytes: Uint8Array, at: number, size: number): number {
  if (!LITTLE_ENDIAN) return beUint(bytes, at, size);
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}

/** Integer of any width in network order. */
export function bytesToUint(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
}

/** Writes the low `size` bytes of `value` at `at`, in network order. */
export function uintToBytes(value: bigint, bytes: Uint8Array, at: number, size: number): void {
  for (let i = size - 1; i >= 0; i--) {
    bytes[at + i] = Number(value & 0xffn);
    value >>= 8n;
  }
}

/** Writes an integer in host order. */
export function hostUintToBytes(value: bigint, bytes: Uint8Array, at: number, size: number): void {
  uintToBytes(value, bytes, at, size);
  if (LITTLE_ENDIAN) bytes.subarray(at, at + size).reverse();
}

/** True if the `size` bytes at `at` all are `byte`; of none, true. */
export function isAllByte(bytes: Uint8Array, at: number, size: number, byte: number): boolean {
  for (let i = at; i < at + size; i++) if ((bytes[i] ?? 0) !== byte) return false;
  return true;
}

/** `0x` and the bytes without leading zeros; `0` if there is none but zeros. */
export function hexNumber(bytes: Uint8Array): string {
  const first = bytes.findIndex((b) => b !== 0);
  if (first < 0) return '0';
  const [lead = 0, ...rest] = bytes.subarray(first);
  return `0x${lead.toString(16)}${rest.map((b) => b.toString(16).padStart(2, '0')).join('')}`;
}

/** Two digits a byte, joined by `separator`. */
export const hexBytes = (bytes: Uint8Array, separator = ''): string =>
  Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(separator);
