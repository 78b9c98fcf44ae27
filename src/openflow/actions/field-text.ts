/**
 * Values that actions write into fields, as text: fields that can be written are numbers, addresses, ports and the tunnel's flags.
 * Source: lib/meta-flow.c (mf_parse, mf_format), lib/packets.c (ip_parse_masked).
 */
import { formatIpv4, formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac } from '../../util/inet.ts';
import type { MfField, MfValue } from '../mf-field.ts';
import { mfIsMaskOk } from '../mf-value.ts';
import { formatPort, type OfpNames, parsePort, portFromOfp11, portToOfp11 } from '../ofp-names.ts';
import { formatHexNumber, OfpTextError, scanIntString, scanNumber } from '../ofp-text.ts';

export interface MaskedValue {
  readonly value: MfValue;
  readonly mask: MfValue;
}

const ones = (n: number): Uint8Array => new Uint8Array(n).fill(0xff);
const numberBytes = (n: number, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => Math.floor(n / 2 ** (8 * (size - 1 - i))) & 0xff);
const toNumber = (bytes: Uint8Array): bigint => bytes.reduce((n, b) => (n << 8n) | BigInt(b), 0n);

function parseNumber(field: MfField, text: string): MaskedValue {
  const bad = (what: string): never => {
    throw new OfpTextError(`${text}: bad syntax for ${field.name} ${what}`);
  };
  const value = new Uint8Array(field.bytes);
  const rest = scanIntString(text, value) ?? bad('value');
  if (rest === '') return { value, mask: ones(field.bytes) };
  if (!rest.startsWith('/')) bad('value');
  const mask = new Uint8Array(field.bytes);
  if (scanIntString(rest.slice(1), mask) !== '') bad('mask');
  return { value, mask };
}

/** An address, with a mask as another or as a number of bits if `bits` (of the address) is given. */
function parseAddress(
  text: string,
  parse: (t: string) => Uint8Array | undefined,
  what: string,
  bits?: number,
): MaskedValue {
  const slash = text.indexOf('/');
  const value = parse(slash < 0 ? text : text.slice(0, slash));
  if (value === undefined) throw new OfpTextError(`${text}: invalid ${what}`);
  if (slash < 0) return { value, mask: ones(value.length) };
  const maskText = text.slice(slash + 1);
  let mask = parse(maskText);
  if (mask === undefined && bits !== undefined && /^\d+$/.test(maskText)) {
    const prefix = Number(maskText);
    if (prefix > bits) throw new OfpTextError(`${text}: network prefix bits not between 0 and ${bits}`);
    mask = Uint8Array.from({ length: bits / 8 }, (_, i) => (0xff00 >> Math.max(0, Math.min(8, prefix - 8 * i))) & 0xff);
  }
  if (mask === undefined) throw new OfpTextError(`${text}: invalid ${what}`);
  return { value, mask };
}

const TUN_OAM = 1;

function parseTunFlags(text: string): MaskedValue {
  const n = scanNumber(text, 0);
  if (n !== undefined && n.rest === '' && !/^[+-]/.test(text)) {
    if (n.value > 0n && n.value !== BigInt(TUN_OAM)) throw new OfpTextError(`${text}: unknown tunnel flag(s)`);
    return { value: numberBytes(Number(n.value), 2), mask: ones(2) };
  }
  if (text === 'oam') return { value: numberBytes(TUN_OAM, 2), mask: ones(2) };
  if (text === '+oam') return { value: numberBytes(TUN_OAM, 2), mask: numberBytes(TUN_OAM, 2) };
  if (text === '-oam') return { value: numberBytes(0, 2), mask: numberBytes(TUN_OAM, 2) };
  throw new OfpTextError(`${text}: unknown tunnel flag(s)`);
}

function parseAny(field: MfField, text: string, names: OfpNames): MaskedValue {
  switch (field.format) {
    case 'ethernet':
      return parseAddress(text, parseMac, 'Ethernet address');
    case 'ipv4':
      return parseAddress(text, parseIpv4, 'IP address', 32);
    case 'ipv6':
      return parseAddress(text, parseIpv6, 'IPv6 address', 128);
    case 'ofp-port':
    case 'ofp-port-oxm': {
      const port = parsePort(text, names.ports);
      if (port === undefined) throw new OfpTextError(`${text}: invalid or unknown port for ${field.name}`);
      const number = field.format === 'ofp-port' ? port : portToOfp11(port);
      return { value: numberBytes(number, field.bytes), mask: ones(field.bytes) };
    }
    case 'tnl-flags':
      return parseTunFlags(text);
    default:
      return parseNumber(field, text);
  }
}

/** Reads a value, with a mask after "/" where the field has such, or "*".  Throws OfpTextError. */
export function parseFieldValue(field: MfField, text: string, names: OfpNames): MaskedValue {
  if (text === '*') return { value: new Uint8Array(field.bytes), mask: new Uint8Array(field.bytes) };
  const found = parseAny(field, text, names);
  if (!mfIsMaskOk(field, found.mask)) throw new OfpTextError(`${text}: invalid mask for field ${field.name}`);
  return found;
}

/** How many ones a mask begins with, if only zeros follow; else undefined. */
function prefixOf(mask: Uint8Array): number | undefined {
  const bits = Array.from(mask, (b) => b.toString(2).padStart(8, '0')).join('');
  const prefix = bits.indexOf('0');
  return bits.indexOf('1', prefix) < 0 ? prefix : undefined;
}

function formatAddress(value: Uint8Array, mask: Uint8Array | undefined, format: (b: Uint8Array) => string): string {
  return mask === undefined ? format(value) : `${format(value)}/${prefixOf(mask) ?? format(mask)}`;
}

/** As text; `mask` undefined: all of it. */
export function formatFieldValue(
  field: MfField,
  value: MfValue,
  anyMask: MfValue | undefined,
  names: OfpNames,
): string {
  if (anyMask?.every((b) => b === 0)) return 'ANY';
  const mask = anyMask?.every((b) => b === 0xff) ? undefined : anyMask;
  const suffix = mask === undefined ? '' : `/${formatHexNumber(mask)}`;
  switch (field.format) {
    case 'ethernet':
      return formatMac(value) + (mask === undefined ? '' : `/${formatMac(mask)}`);
    case 'ipv4':
      return formatAddress(value, mask, formatIpv4);
    case 'ipv6':
      return formatAddress(value, mask, formatIpv6);
    case 'ofp-port':
    case 'ofp-port-oxm': {
      const number = Number(toNumber(value));
      if (mask !== undefined) return number + suffix;
      return formatPort(field.format === 'ofp-port' ? number : portFromOfp11(number), names.ports);
    }
    case 'tnl-flags': {
      const isSet = toNumber(value) & BigInt(TUN_OAM);
      if (mask === undefined || (toNumber(mask) & BigInt(TUN_OAM)) !== 0n) return isSet ? 'oam' : '0';
      return '0/0';
    }
    case 'decimal':
      return BigInt.asIntN(64, toNumber(value)) + suffix;
    default:
      return formatHexNumber(value) + suffix;
  }
}
