/**
 * IPv4 and IPv6 addresses as one kind of number, 128 bits wide: an IPv4 address stands as the IPv6 address that maps it
 * (::ffff:a.b.c.d), so that tables hold both.  Text of prefixes is read as loosely as the stock switch reads it, which scans numbers:
 * each number of an IPv4 address keeps its low 8 bits.
 * Source: RFC 4291 2.5.5.2, lib/packets.c (ip_parse_cidr, ipv6_parse_cidr), lib/packets.h (in6_addr_set_mapped_ipv4).
 */
import { scanNumber } from '../../openflow/ofp-text.ts';
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../util/inet.ts';

const MAPPED = 0xffffn << 32n;
const V4_ONES = 0xffffffffn;
const ALL = (1n << 128n) - 1n;

/** The bits before an IPv4 address. */
export const V4_BITS = 96;
export const ANY_V4 = MAPPED;
export const ANY_V6 = 0n;

/** Prefix length 0..128; that of an IPv4 prefix counts the 96 bits before it. */
export interface IpPrefix {
  readonly address: bigint;
  readonly length: number;
}

const toNumber = (bytes: Uint8Array): bigint => bytes.reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);

export const isV4 = (address: bigint): boolean => address >> 32n === 0xffffn;
export const maskOf = (length: number): bigint => (ALL << BigInt(128 - length)) & ALL;
export const contains = ({ address, length }: IpPrefix, other: bigint): boolean =>
  (address & maskOf(length)) === (other & maskOf(length));

/** Of 4 or 16 bytes in network order; undefined for other sizes. */
export function ipOfBytes(bytes: Uint8Array): bigint | undefined {
  if (bytes.length === 4) return MAPPED | toNumber(bytes);
  return bytes.length === 16 ? toNumber(bytes) : undefined;
}

export function parseIp(text: string): bigint | undefined {
  const bytes = parseIpv4(text) ?? parseIpv6(text);
  return bytes === undefined ? undefined : ipOfBytes(bytes);
}

/** The IPv4 address that `text` begins with, and what is left of it. */
export function scanIpv4(text: string): { readonly address: bigint; readonly rest: string } | undefined {
  let address = 0n;
  let rest = text;
  for (let i = 0; i < 4; i++) {
    const dot = i === 0 ? '' : '.';
    const number = rest.startsWith(dot) ? scanNumber(rest.slice(dot.length), 10) : undefined;
    if (number === undefined) return undefined;
    address = (address << 8n) | BigInt.asUintN(8, number.value);
    rest = number.rest;
  }
  return { address: MAPPED | address, rest };
}

/** The IPv6 address that `text` begins with, and what is left of it. */
export function scanIpv6(text: string): { readonly address: bigint; readonly rest: string } | undefined {
  const [all = '', address = ''] = /^\s*([0-9a-fA-F:.]{1,46})/.exec(text) ?? [];
  const bytes = parseIpv6(address);
  return bytes && { address: toNumber(bytes), rest: text.slice(all.length) };
}

/** How many ones `mask` begins with; undefined if others follow behind a zero. */
function onesOf(mask: bigint): number | undefined {
  const zeros = mask ^ ALL;
  if ((zeros & (zeros + 1n)) !== 0n) return undefined;
  return 128 - (zeros === 0n ? 0 : zeros.toString(2).length);
}

/** What stands behind an address: nothing, "/LENGTH" or "/MASK".  The length of the prefix, without `before` bits. */
function lengthOf(rest: string, bits: number, mask: bigint | undefined): number | undefined {
  if (rest === '') return bits;
  if (mask !== undefined) return onesOf(mask);
  const number = rest.startsWith('/') ? scanNumber(rest.slice(1), 10) : undefined;
  if (number === undefined || number.rest !== '') return undefined;
  return number.value >= 0n && number.value <= BigInt(bits) ? Number(number.value) : undefined;
}

function parsePrefixV4(text: string): IpPrefix | undefined {
  const scanned = scanIpv4(text);
  if (scanned === undefined) return undefined;
  const { address, rest } = scanned;
  const mask = rest.startsWith('/') ? scanIpv4(rest.slice(1)) : undefined;
  const ones = mask?.rest === '' ? maskOf(V4_BITS) | (mask.address & V4_ONES) : undefined;
  const length = lengthOf(rest, 32, ones);
  if (length === undefined) return undefined;
  return { address, length: ones === undefined ? length + V4_BITS : length };
}

function parsePrefixV6(text: string): IpPrefix | undefined {
  const scanned = scanIpv6(text);
  if (scanned === undefined) return undefined;
  const { address, rest } = scanned;
  // A number is a length, even where it could be a mask.
  const mask =
    rest.startsWith('/') && scanNumber(rest.slice(1), 10) === undefined ? scanIpv6(rest.slice(1)) : undefined;
  const length = lengthOf(rest, 128, mask?.rest === '' ? mask.address : undefined);
  return length === undefined ? undefined : { address, length };
}

/** "10.0.0.0/8", "10.0.0.0/255.0.0.0", "10.0.0.1", "fc00::/7"; undefined if it is none.  Bits behind the prefix stay. */
export const parsePrefix = (text: string): IpPrefix | undefined => parsePrefixV4(text) ?? parsePrefixV6(text);

export function formatIp(address: bigint): string {
  const bytes = Buffer.from(address.toString(16).padStart(32, '0'), 'hex');
  return isV4(address) ? formatIpv4(bytes, 12) : formatIpv6(bytes);
}

/** The length as it is written: of an IPv4 prefix 0..32. */
export const shownLength = ({ address, length }: IpPrefix): number => (isV4(address) ? length - V4_BITS : length);

export const formatPrefix = (prefix: IpPrefix): string => `${formatIp(prefix.address)}/${shownLength(prefix)}`;
