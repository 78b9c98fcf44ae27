/**
 * The little that userspace forwarding wants to know of nests without decoding them: is an attribute there, and a copy with
 * some attributes only.  Nests that come from a datapath are sound; reading stops at the first that is not.
 * Source: include/uapi/linux/netlink.h (struct nlattr).
 */
import { endianness } from 'node:os';

const LITTLE_ENDIAN = endianness() === 'LE';
const HEADER_SIZE = 4;
const TYPE_MASK = 0x3fff;

const u16 = (b: Uint8Array, at: number): number => {
  const [first, second] = [b[at] as number, b[at + 1] as number];
  return LITTLE_ENDIAN ? first | (second << 8) : (first << 8) | second;
};
const align = (n: number): number => (n + 3) & ~3;

/** The payload of the first attribute of `type`: a view. */
export function attrPayload(nest: Uint8Array, type: number): Uint8Array | undefined {
  for (let at = 0; at + HEADER_SIZE <= nest.length; ) {
    const size = u16(nest, at);
    if (size < HEADER_SIZE || at + size > nest.length) return undefined;
    if ((u16(nest, at + 2) & TYPE_MASK) === type) return nest.subarray(at + HEADER_SIZE, at + size);
    at += align(size);
  }
  return undefined;
}

/** A copy with the attributes whose types are in `types`, in their order. */
export function filterAttrs(nest: Uint8Array, types: ReadonlySet<number>): Uint8Array {
  const out = new Uint8Array(align(nest.length));
  let end = 0;
  for (let at = 0; at + HEADER_SIZE <= nest.length; ) {
    const size = u16(nest, at);
    if (size < HEADER_SIZE || at + size > nest.length) break;
    if (types.has(u16(nest, at + 2) & TYPE_MASK)) {
      out.set(nest.subarray(at, at + size), end);
      end += align(size);
    }
    at += align(size);
  }
  return out.subarray(0, end);
}
