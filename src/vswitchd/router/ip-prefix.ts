/**
 * IPv4 and IPv6 addresses as one kind of number, 128 bits wide: an IPv4 address stands as the IPv6 address that maps it
 * (::ffff:a.b.c.d), so that tables hold both.  Source: RFC 4291 2.5.5.2, lib/packets.h (in6_addr_set_mapped_ipv4).
 */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../util/inet.ts';

const MAPPED = 0xffffn << 32n;
const V4_BITS = 96;
const ALL = (1n << 128n) - 1n;

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

/** "10.0.0.0/8", "10.0.0.1", "fc00::/7"; undefined if it is none.  Bits behind the prefix stay. */
export function parsePrefix(text: string): IpPrefix | undefined {
  const [, host = '', length] = /^([^/]+)(?:\/([0-9]{1,3}))?$/.exec(text) ?? [];
  const address = parseIp(host);
  if (address === undefined) return undefined;
  const before = isV4(address) && !host.includes(':') ? V4_BITS : 0;
  const bits = before + (length === undefined ? 128 - before : Number(length));
  return bits <= 128 ? { address, length: bits } : undefined;
}

export function formatIp(address: bigint): string {
  const bytes = Buffer.from(address.toString(16).padStart(32, '0'), 'hex');
  return isV4(address) ? formatIpv4(bytes, 12) : formatIpv6(bytes);
}

export function formatPrefix({ address, length }: IpPrefix): string {
  return `${formatIp(address)}/${isV4(address) ? length - V4_BITS : length}`;
}
