/**
 * Values of match fields as text: what stands after `=` in a match, before `->` in set_field.
 * Source: lib/meta-flow.c (mf_parse, mf_format), ovs-fields(7).
 */

import { formatPort, type NameMap, parsePort, portFromOfp11, portToOfp11 } from '../ofp-names.ts';
import { formatHexNumber, OfpTextError, scanIntString, scanNumber } from '../ofp-text.ts';
import {
  FLAGS,
  formatMaskedFlags,
  formatMaskedIp,
  formatMaskedMac,
  type MaskedBytes,
  parseFlags,
  parseMaskedIp,
  parseMaskedMac,
} from './masked-text.ts';
import type { MfField, MfFormat, MfValue } from './mf-field.ts';
import { mfIsMaskOk } from './mf-value.ts';

const bytesOf = (n: number, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => n / 2 ** (8 * (size - 1 - i)));
const numberOf = (bytes: Uint8Array): number => bytes.reduce((n, b) => n * 256 + b, 0);
const ones = (size: number): Uint8Array => new Uint8Array(size).fill(0xff);

/** Names of fragments by value and mask. */
const FRAGS = [
  ['no', 3, 0],
  ['first', 3, 1],
  ['later', 3, 3],
  ['no', 1, 0],
  ['yes', 1, 1],
  ['not_later', 2, 0],
  ['later', 2, 2],
] as const;

const FLAGS_OF: Partial<Record<MfFormat, (typeof FLAGS)[keyof typeof FLAGS]>> = {
  'ct-state': FLAGS.ctState,
  'tcp-flags': FLAGS.tcpFlags,
  'tnl-flags': FLAGS.tunFlags,
};

function parseInteger(field: MfField, text: string): MaskedBytes {
  const scan = (part: string, out: Uint8Array, what: string): string => {
    const rest = scanIntString(part, out);
    if (rest !== undefined) return rest;
    const isNumber = /^0x/i.test(part) || scanNumber(part, 0) !== undefined;
    throw new OfpTextError(
      isNumber
        ? `${part}: ${what} too large for ${field.bytes}-byte field ${field.name}`
        : `${text}: bad syntax for ${field.name} ${what}`,
    );
  };
  const value = new Uint8Array(field.bytes);
  const mask = ones(field.bytes);
  const rest = scan(text, value, 'value');
  if (rest === '') return { value, mask };
  if (!rest.startsWith('/')) throw new OfpTextError(`${text}: bad syntax for ${field.name} value`);
  if (scan(rest.slice(1), mask, 'mask') !== '') throw new OfpTextError(`${text}: bad syntax for ${field.name} mask`);
  return { value, mask };
}

function parsePacketType(text: string): MaskedBytes {
  const fail = (at: string, why: string) => new OfpTextError(`${at}: bad syntax for packet type ${why}`);
  if (!text.startsWith('(')) throw fail(text, "missing '('");
  const value = new Uint8Array(4);
  const ns = text.slice(1);
  const afterNs = scanIntString(ns, value.subarray(0, 2));
  if (afterNs === undefined) throw fail(ns, 'ns');
  if (!afterNs.startsWith(',')) throw fail(ns, "missing ','");
  const type = afterNs.slice(1);
  const afterType = scanIntString(type, value.subarray(2));
  if (afterType === undefined) throw fail(type, 'ns_type');
  if (!afterType.startsWith(')')) throw fail(type, "missing ')'");
  return { value, mask: ones(4) };
}

function parseByFormat(field: MfField, text: string, ports: NameMap | undefined): MaskedBytes {
  switch (field.format) {
    case 'decimal':
    case 'hexadecimal':
      return parseInteger(field, text);
    case 'ethernet':
      return parseMaskedMac(text);
    case 'ipv4':
      return parseMaskedIp(text, 4);
    case 'ipv6':
      return parseMaskedIp(text, 16);
    case 'ofp-port': {
      const port = parsePort(text, ports);
      if (port === undefined) throw new OfpTextError(`${text}: invalid or unknown port for ${field.name}`);
      return { value: bytesOf(port, 2), mask: ones(2) };
    }
    case 'ofp-port-oxm': {
      const port = parsePort(text, ports);
      if (port === undefined) throw new OfpTextError(`${text}: port value out of range for ${field.name}`);
      return { value: bytesOf(portToOfp11(port), 4), mask: ones(4) };
    }
    case 'frag': {
      const frag = FRAGS.find(([name]) => name === text.toLowerCase());
      if (frag === undefined) {
        const types = 'valid types are "no", "yes", "first", "later", "not_later"';
        throw new OfpTextError(`${text}: unknown fragment type (${types}`);
      }
      // The upper bits make a mask of all that there is one of all ones.
      return { value: Uint8Array.of(frag[2]), mask: Uint8Array.of(frag[1] | 0xfc) };
    }
    case 'packet-type':
      return parsePacketType(text);
    case 'ct-state':
    case 'tcp-flags':
    case 'tnl-flags': {
      const { flags, mask } = parseFlags(FLAGS_OF[field.format] as (typeof FLAGS)['ctState'], text);
      return { value: bytesOf(flags, field.bytes), mask: bytesOf(mask % 2 ** (8 * field.bytes), field.bytes) };
    }
  }
}

/** Reads a value, and the mask that may follow it; `*`: any value.  Throws OfpTextError. */
export function parseMf(field: MfField, text: string, ports?: NameMap): MaskedBytes {
  if (text === '*') return { value: new Uint8Array(field.bytes), mask: new Uint8Array(field.bytes) };
  const found = parseByFormat(field, text, ports);
  if (!mfIsMaskOk(field, found.mask)) throw new OfpTextError(`${text}: invalid mask for field ${field.name}`);
  return found;
}

/** Reads a value without a mask.  Throws OfpTextError. */
export function parseMfValue(field: MfField, text: string, ports?: NameMap): MfValue {
  const { value, mask } = parseMf(field, text, ports);
  if (mask.some((b) => b !== 0xff)) throw new OfpTextError(`${text}: wildcards not allowed here`);
  return value;
}

/** `eth` or `packet_type=(1,0x800)`. */
export function formatPacketType(value: Uint8Array, mask: Uint8Array): string {
  if (value.every((b) => b === 0) && mask.every((b) => b === 0xff)) return 'eth';
  const half = (at: number): string => {
    const [v, m] = [numberOf(value.subarray(at, at + 2)), numberOf(mask.subarray(at, at + 2))];
    if (m === 0) return '*';
    const text = v > 9 ? `0x${v.toString(16)}` : String(v);
    return m === 0xffff ? text : `${text}/0x${m.toString(16)}`;
  };
  return `packet_type=(${half(0)},${half(2)})`;
}

/** A value, with its mask if it has one that is not all ones; `ANY` if the mask is all zeros. */
export function formatMf(field: MfField, value: MfValue, mask?: MfValue, ports?: NameMap): string {
  if (mask?.every((b) => b === 0)) return 'ANY';
  const bits = mask ?? ones(field.bytes);
  const isExact = bits.every((b) => b === 0xff);
  switch (field.format) {
    case 'ethernet':
      return formatMaskedMac(value, bits);
    case 'ipv4':
    case 'ipv6':
      return formatMaskedIp(value, bits);
    case 'ofp-port-oxm':
      if (isExact) return formatPort(portFromOfp11(numberOf(value)), ports);
      break;
    case 'ofp-port':
      if (isExact) return formatPort(numberOf(value), ports);
      break;
    case 'frag': {
      const m = numberOf(bits) & 3;
      return FRAGS.find(([, fm, fv]) => fm === m && fv === (numberOf(value) & m))?.[0] ?? '<error>';
    }
    case 'packet-type':
      return formatPacketType(value, bits);
    case 'tcp-flags':
      return formatMaskedFlags(FLAGS.tcpFlags, numberOf(value), numberOf(bits) & 0xfff, 0xfff);
    case 'tnl-flags':
      return formatMaskedFlags(FLAGS.tunFlags, numberOf(value), numberOf(bits) & 1, 1);
    case 'ct-state':
      return formatMaskedFlags(FLAGS.ctState, numberOf(value), numberOf(bits), 0xffff);
    default:
  }
  const text = field.format === 'hexadecimal' ? formatHexNumber(value) : String(numberOf(value));
  return isExact ? text : `${text}/${formatHexNumber(bits)}`;
}
