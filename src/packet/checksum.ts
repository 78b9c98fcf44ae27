/**
 * Internet checksums, whole and incremental, and CRC-32C for SCTP.  Sums are one's complement sums of big-endian 16-bit
 * words, folded or not; a checksum is the inverse of one.  Hot path.
 * Sources: RFC 1071, RFC 1624, RFC 9260 appendix A.
 */

/** Adds bytes `[at, at + size)` to `sum`; not folded.  At most 65,600 bytes a call. */
export function sumBytes(view: DataView, at: number, size: number, sum: number): number {
  // Two accumulators of 16-bit halves stay below 2^31.
  let high = 0;
  let low = 0;
  const words = at + (size & ~3);
  for (; at < words; at += 4) {
    const word = view.getInt32(at);
    high += word >>> 16;
    low += word & 0xffff;
  }
  if ((size & 2) !== 0) {
    high += view.getUint16(at);
    at += 2;
  }
  if ((size & 1) !== 0) low += view.getUint8(at) << 8;
  return foldSum(high) + foldSum(low) + sum;
}

/** A sum below 2^32 as 16 bits. */
export function foldSum(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** The sum of a pseudo header's length and protocol with `addrs` bytes of addresses at `at`. */
export const pseudoSum = (view: DataView, at: number, addrs: number, proto: number, size: number): number =>
  sumBytes(view, at, addrs, proto + size);

/** The checksum at `at` after 16 bits that it covers changed from `from` to `to`. */
export function replace16(view: DataView, at: number, from: number, to: number): void {
  const sum = foldSum((~view.getUint16(at) & 0xffff) + (~from & 0xffff) + to);
  view.setUint16(at, ~sum);
}

/** The same for 32 bits. */
export function replace32(view: DataView, at: number, from: number, to: number): void {
  const sum = (~view.getUint16(at) & 0xffff) + (~from >>> 16) + (~from & 0xffff) + (to >>> 16) + (to & 0xffff);
  view.setUint16(at, ~foldSum(sum));
}

/** A partial checksum, that is a plain sum, at `at`, after 32 bits of the pseudo header changed. */
export function replacePartial32(view: DataView, at: number, from: number, to: number): void {
  const sum = view.getUint16(at) + (~from >>> 16) + (~from & 0xffff) + (to >>> 16) + (to & 0xffff);
  view.setUint16(at, foldSum(sum));
}

/** Writes the header checksum of the IPv4 header at `at`. */
export function setIpv4Checksum(view: DataView, at: number): void {
  view.setUint16(at + 10, 0);
  view.setUint16(at + 10, ~foldSum(sumBytes(view, at, (view.getUint8(at) & 15) << 2, 0)));
}

const CRC32C = Int32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let i = 0; i < 8; i++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

/** CRC-32C of the SCTP packet in `[at, at + size)` as if its checksum (bytes 8 to 11) were 0; little-endian on the wire. */
export function sctpChecksum(view: DataView, at: number, size: number): number {
  let crc = -1;
  for (let i = 0; i < size; i++) {
    const byte = i >= 8 && i < 12 ? 0 : view.getUint8(at + i);
    crc = CRC32C[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  }
  return ~crc;
}
