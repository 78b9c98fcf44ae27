/**
 * Whether the checksums of a frame are right, worked out the slow and obvious way.  Nothing that turns one packet into another
 * may make a right one wrong.
 * Sources: RFC 1071, RFC 768, RFC 8200 8.1, RFC 9260 appendix A.
 */
import { sum16 } from '../../support/frames.ts';

/** CRC-32C, bit by bit. */
export function crc32c(bytes: readonly number[]): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

export interface Checksums {
  /** Of the IPv4 header; undefined if there is none. */
  readonly ip: boolean | undefined;
  /** Of the transport; undefined if there is none, or UDP goes without. */
  readonly l4: boolean | undefined;
  readonly proto: number;
  /** It is a fragment, whose transport checksum cannot be worked out. */
  readonly isFragment: boolean;
  /** There are bytes behind the end of the IP packet. */
  readonly isPadded: boolean;
  /** Bytes from the IP header on. */
  readonly size: number;
  /** Behind MPLS labels. */
  readonly isLabelled: boolean;
}

const NOTHING: Checksums = {
  ip: undefined,
  l4: undefined,
  proto: -1,
  isFragment: false,
  isPadded: false,
  size: 0,
  isLabelled: false,
};
const be16 = (b: readonly number[], at: number): number => (b[at]! << 8) | b[at + 1]!;

/** Of an Ethernet frame, behind any VLAN tags and MPLS labels. */
export function checksumsOf(frame: readonly number[]): Checksums {
  let at = 12;
  for (; at + 2 <= frame.length; at += 4) {
    const type = be16(frame, at);
    if (type !== 0x8100 && type !== 0x88a8) break;
  }
  if (at + 2 > frame.length) return NOTHING;
  return packetChecksums(be16(frame, at), frame.slice(at + 2));
}

/** Of what follows ethertype `type`. */
export function packetChecksums(type: number, packet: readonly number[]): Checksums {
  if (type === 0x0800) return ipv4(packet);
  if (type === 0x86dd) return ipv6(packet);
  if (type !== 0x8847 && type !== 0x8848) return NOTHING;
  let at = 0;
  while (at + 4 <= packet.length && (packet[at + 2]! & 1) === 0) at += 4;
  const inner = packet.slice(at + 4);
  const version = (inner[0] ?? 0) >> 4;
  return { ...(version === 4 ? ipv4(inner) : version === 6 ? ipv6(inner) : NOTHING), isLabelled: true };
}

function ipv4(p: readonly number[]): Checksums {
  if (p.length < 20 || p[0]! >> 4 !== 4) return NOTHING;
  const hlen = (p[0]! & 15) * 4;
  const total = be16(p, 2);
  if (hlen < 20 || hlen > p.length) return NOTHING;
  const ip = sum16(p.slice(0, hlen)) === 0xffff;
  const isFragment = (be16(p, 6) & 0x3fff) !== 0;
  const [proto, isPadded] = [p[9]!, total < p.length];
  if (total < hlen || total > p.length || isFragment)
    return { ip, l4: undefined, proto, isFragment, isPadded, size: p.length, isLabelled: false };
  return {
    ip,
    l4: transport(proto, p.slice(hlen, total), p.slice(12, 20), 4),
    proto,
    isFragment,
    isPadded,
    size: p.length,
    isLabelled: false,
  };
}

function ipv6(p: readonly number[]): Checksums {
  if (p.length < 40 || p[0]! >> 4 !== 6) return NOTHING;
  const end = 40 + be16(p, 4);
  if (end > p.length) return NOTHING;
  let proto = p[6]!;
  let at = 40;
  let isFragment = false;
  while (proto === 0 || proto === 43 || proto === 44 || proto === 51 || proto === 60) {
    if (at + 8 > end) return NOTHING;
    if (proto === 44 && be16(p, at + 2) !== 0) isFragment = true;
    const size = proto === 44 ? 8 : proto === 51 ? (p[at + 1]! + 2) * 4 : (p[at + 1]! + 1) * 8;
    // Where there are segments left to visit, the pseudo header has another destination.
    if (proto === 43 && p[at + 3]! !== 0) return { ...NOTHING, isFragment };
    proto = p[at]!;
    at += size;
  }
  const isPadded = end < p.length;
  if (at > end || isFragment)
    return { ip: undefined, l4: undefined, proto, isFragment, isPadded, size: p.length, isLabelled: false };
  return {
    ip: undefined,
    l4: transport(proto, p.slice(at, end), p.slice(8, 40), 6),
    proto,
    isFragment,
    isPadded,
    size: p.length,
    isLabelled: false,
  };
}

function transport(
  proto: number,
  segment: readonly number[],
  addresses: readonly number[],
  version: 4 | 6,
): boolean | undefined {
  const pseudo = sum16([...addresses, 0, proto, segment.length >> 8, segment.length & 0xff]);
  switch (proto) {
    case 6:
      return segment.length < 20 ? undefined : sum16(segment, pseudo) === 0xffff;
    case 17:
      if (segment.length < 8 || be16(segment, 6) === 0 || be16(segment, 4) !== segment.length) return undefined;
      return sum16(segment, pseudo) === 0xffff;
    case 1:
      return version === 4 && segment.length >= 8 ? sum16(segment) === 0xffff : undefined;
    case 58:
      return version === 6 && segment.length >= 8 ? sum16(segment, pseudo) === 0xffff : undefined;
    case 132: {
      if (segment.length < 12) return undefined;
      const crc = crc32c([...segment.slice(0, 8), 0, 0, 0, 0, ...segment.slice(12)]);
      return crc === (segment[8]! | (segment[9]! << 8) | (segment[10]! << 16) | (segment[11]! << 24)) >>> 0;
    }
    default:
      return undefined;
  }
}

/** In words, which checksum of `after` is wrong that was right in `before`; undefined if none is. */
export function spoiled(before: Checksums, after: Checksums): string | undefined {
  // Behind labels that do not say truly which is the last anything may look like an IP header.
  if ((before.isLabelled || after.isLabelled) && after.size !== before.size) return undefined;
  if (before.ip === true && after.ip === false) return 'IPv4 header checksum';
  if (before.l4 === true && after.l4 === false && before.proto === after.proto) {
    return `transport checksum (protocol ${after.proto})`;
  }
  return undefined;
}
