/**
 * Text of addresses and flags under a mask: `10.0.0.0/8`, `fe80::/64`, `01:00:00:00:00:00/01:00:00:00:00:00`, `+trk-new`, `syn|ack`.
 * Source: lib/packets.c (ip_format_masked and its like), lib/flow.c (format_flags_masked, parse_flags).
 */
import { formatIpv4, formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac } from '../../util/inet.ts';
import { formatHex, OfpTextError, scanNumber } from '../ofp-text.ts';

export interface MaskedBytes {
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
}

const isAllOnes = (mask: Uint8Array): boolean => mask.every((b) => b === 0xff);

/** The number of ones that a mask begins with, if zeros alone follow; else undefined. */
export function prefixOf(mask: Uint8Array): number | undefined {
  let n = 0;
  while (n < 8 * mask.length && (((mask[n >>> 3] as number) >>> (7 - (n & 7))) & 1) !== 0) n++;
  for (let i = n; i < 8 * mask.length; i++) {
    if ((((mask[i >>> 3] as number) >>> (7 - (i & 7))) & 1) !== 0) return undefined;
  }
  return n;
}

const prefixMask = (prefix: number, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => 0xff00 >>> Math.min(8, Math.max(0, prefix - 8 * i)));

/** An address of 4 or 16 bytes, with `/prefix` or `/mask` unless all of it counts. */
export function formatMaskedIp(ip: Uint8Array, mask: Uint8Array): string {
  const format = ip.length === 4 ? formatIpv4 : formatIpv6;
  if (isAllOnes(mask)) return format(ip);
  const prefix = prefixOf(mask);
  return `${format(ip)}/${prefix === undefined ? format(mask) : prefix}`;
}

/** Reads what `formatMaskedIp` writes.  Throws OfpTextError. */
export function parseMaskedIp(text: string, size: 4 | 16): MaskedBytes {
  const name = size === 4 ? 'IP' : 'IPv6';
  const parse = size === 4 ? parseIpv4 : parseIpv6;
  const slash = text.indexOf('/');
  const value = parse(slash < 0 ? text : text.slice(0, slash));
  if (value === undefined) throw new OfpTextError(`${text}: invalid ${name} address`);
  if (slash < 0) return { value, mask: new Uint8Array(size).fill(0xff) };
  const rest = text.slice(slash + 1);
  if (/^[+-]?\d+$/.test(rest)) {
    const prefix = Number(rest);
    if (prefix < 0 || prefix > 8 * size) {
      const network =
        size === 4 ? 'IPv4 network prefix bits not between 0 and 32' : 'IPv6 network prefix bits not between 0 and 128';
      throw new OfpTextError(`${text}: ${network}, inclusive`);
    }
    return { value, mask: prefixMask(prefix, size) };
  }
  const mask = parse(rest);
  if (mask === undefined) throw new OfpTextError(`${text}: ${size === 4 ? 'invalid IP address' : 'Invalid IPv6 mask'}`);
  return { value, mask };
}

export function formatMaskedMac(mac: Uint8Array, mask: Uint8Array): string {
  return isAllOnes(mask) ? formatMac(mac) : `${formatMac(mac)}/${formatMac(mask)}`;
}

/** Reads what `formatMaskedMac` writes.  Throws OfpTextError. */
export function parseMaskedMac(text: string): MaskedBytes {
  const slash = text.indexOf('/');
  const value = parseMac(slash < 0 ? text : text.slice(0, slash));
  const mask = slash < 0 ? new Uint8Array(6).fill(0xff) : parseMac(text.slice(slash + 1));
  if (value === undefined || mask === undefined) throw new OfpTextError(`${text}: invalid Ethernet address`);
  return { value, mask };
}

/** Flags of a field: names by bit, lowest first. */
export interface FlagNames {
  /** As errors call the field. */
  readonly what: string;
  readonly names: readonly string[];
}

// biome-ignore format: table
export const FLAGS = {
  ctState:  { what: 'ct_state', names: ['new', 'est', 'rel', 'rpl', 'inv', 'trk', 'snat', 'dnat'] },
  tcpFlags: { what: 'TCP',      names: ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'ns', '[200]', '[400]', '[800]'] },
  tunFlags: { what: 'tunnel',   names: ['oam'] },
} as const;

/** `+a-b` for flags of which some are masked, `a|c` if `mask` is `maxMask`, `0` for none of them. */
export function formatMaskedFlags({ names }: FlagNames, flags: number, mask: number, maxMask: number): string {
  if (mask === maxMask) {
    if (flags === 0) return '0';
    const known = names.filter((_, i) => (flags >>> i) & 1);
    const bad = flags & ~((1 << names.length) - 1);
    return [...known, ...(bad === 0 ? [] : [`0x${bad.toString(16)}`])].join('|');
  }
  if (mask === 0) return '0/0';
  let text = '';
  for (let i = 0; i < 32; i++) {
    if ((mask >>> i) & 1) text += `${(flags >>> i) & 1 ? '+' : '-'}${names[i] ?? '[Unknown]'}`;
  }
  return text;
}

/** Reads flags: `1/3`, `+a-b`, `a|b`, `a|0x8`; without a mask all 32 bits count.  Throws OfpTextError. */
export function parseFlags(
  { what, names }: FlagNames,
  text: string,
): { readonly flags: number; readonly mask: number } {
  const allowed = (1 << names.length) - 1;
  const unknown = (rest: string) => new OfpTextError(`${rest}: unknown ${what} flag(s)`);
  const value = scanNumber(text, 0);
  if (value?.rest.startsWith('/')) {
    const mask = scanNumber(value.rest.slice(1), 0);
    if (mask !== undefined && mask.rest === '') {
      const [f, m] = [Number(BigInt.asIntN(32, value.value)), Number(BigInt.asIntN(32, mask.value))];
      if (((f | m) & ~allowed) !== 0) throw unknown(text);
      return { flags: f, mask: m };
    }
  }
  let flags = 0;
  if (/^[+-]/.test(text)) {
    let mask = 0;
    for (let rest = text; rest !== ''; ) {
      const sign = rest[0];
      if (sign !== '+' && sign !== '-') {
        throw new OfpTextError(`${rest}: ${what} must be preceded by '+' (for SET) or '-' (NOT SET)`);
      }
      rest = rest.slice(1);
      const name = /^[^+-]*/.exec(rest)?.[0] ?? '';
      const i = names.indexOf(name);
      if (i < 0) throw unknown(rest);
      if ((mask >>> i) & 1) throw new OfpTextError(`${rest}: Each ${what} flag can be specified only once`);
      mask |= 1 << i;
      if (sign === '+') flags |= 1 << i;
      rest = rest.slice(name.length);
    }
    return { flags, mask };
  }
  for (const part of text.replace(/\|$/, '').split('|')) {
    const n = scanNumber(part, 0);
    const i = names.indexOf(part);
    if (n !== undefined && n.rest === '' && (n.value & ~BigInt(allowed)) === 0n) flags |= Number(n.value);
    else if (i >= 0) flags |= 1 << i;
    else if (text !== '') throw unknown(text);
  }
  return { flags, mask: 0xffffffff };
}

/** "0x10/0xf0", "16" in decimal if all of the `bits` bits count. */
export const formatMaskedDecimal = (value: number, mask: number, ones: number): string =>
  mask === ones ? String(value) : `0x${value.toString(16)}/0x${mask.toString(16)}`;

/** "0x10/0xf0", "0x10" if all bits count, "0" for 0. */
export const formatMaskedHex = (value: number | bigint, mask: number | bigint, ones: number | bigint): string =>
  mask === ones ? formatHex(value) : `${formatHex(value)}/${formatHex(mask)}`;
