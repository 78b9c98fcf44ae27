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

/** One attribute of a nest; both are views. */
export interface NestAttr {
  readonly type: number;
  readonly payload: Uint8Array;
  /** With its header and padding. */
  readonly whole: Uint8Array;
}

/** The attributes of `nest` in order. */
export function* attrsOf(nest: Uint8Array): Generator<NestAttr> {
  for (let at = 0; at + HEADER_SIZE <= nest.length; ) {
    const size = u16(nest, at);
    if (size < HEADER_SIZE || at + size > nest.length) return;
    yield {
      type: u16(nest, at + 2) & TYPE_MASK,
      payload: nest.subarray(at + HEADER_SIZE, at + size),
      whole: nest.subarray(at, at + align(size)),
    };
    at += align(size);
  }
}

/** Whether `nest` has an attribute of `type`. */
export function hasAttr(nest: Uint8Array, type: number): boolean {
  for (const a of attrsOf(nest)) if (a.type === type) return true;
  return false;
}

/** A copy with the attributes whose types are in `types`, in their order. */
export function filterAttrs(nest: Uint8Array, types: ReadonlySet<number>): Uint8Array {
  return Buffer.concat([...attrsOf(nest)].filter((a) => types.has(a.type)).map((a) => a.whole));
}

/** The attribute of `type` that holds `parts` one after the other. */
export function nestAttr(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.length, HEADER_SIZE);
  const out = new Uint8Array(align(size));
  const dv = new DataView(out.buffer);
  dv.setUint16(0, size, LITTLE_ENDIAN);
  dv.setUint16(2, type, LITTLE_ENDIAN);
  let at = HEADER_SIZE;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A payload of 32 bits in host order. */
export const u32Of = (payload: Uint8Array): number =>
  new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(0, LITTLE_ENDIAN);

/** The type of the attribute `whole`. */
export const typeOf = (whole: Uint8Array): number => u16(whole, 2) & TYPE_MASK;
