/**
 * Values of properties beyond the numbers that `properties.ts` reads and writes: bytes, flags, 64 bits, properties in properties.
 *
 * ```
 * | type 16 | length 16 | bytes |
 * | type 16 | length 16 | zeros 32 | u64, nested properties or actions |
 * ```
 * Source: lib/ofp-prop.c.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import { beginProperty, endProperty, type Property } from './properties.ts';

const badLength = (p: Property): OfpError =>
  new OfpError(OFPERR.OFPBPC_BAD_LEN, `property at byte ${p.at}: ${p.size} bytes`);

/** What has to be aligned begins after the header, padded. */
const alignedAt = (p: Property): number => p.at + Math.ceil((p.dataAt - p.at) / 8) * 8;

/** A number of 8 bits; what follows it does not matter.  Throws OfpError. */
export function propertyU8(dv: DataView, p: Property): number {
  if (p.at + p.size < p.dataAt + 1) throw badLength(p);
  return dv.getUint8(p.dataAt);
}

/** A number of 64 bits, aligned.  Throws OfpError. */
export function propertyU64(dv: DataView, p: Property): bigint {
  const at = alignedAt(p);
  if (p.at + p.size !== at + 8) throw badLength(p);
  return dv.getBigUint64(at);
}

/** The payload: a view of the message. */
export const propertyBytes = (bytes: Uint8Array, p: Property): Uint8Array => bytes.subarray(p.dataAt, p.at + p.size);

/** Where the properties or actions inside of it begin; they end at `p.at + p.size`.  Throws OfpError. */
export function nestedAt(p: Property): number {
  const at = alignedAt(p);
  if (at > p.at + p.size) throw badLength(p);
  return at;
}

/** Begins a property that others, or actions, stand in; `endProperty` ends it. */
export function beginNested(out: OfpWriter, type: number): number {
  const at = beginProperty(out, type);
  out.room(4);
  return at;
}

export function putPropertyBytes(out: OfpWriter, type: number, payload: Uint8Array): void {
  const at = beginProperty(out, type);
  out.put(payload);
  endProperty(out, at);
}

export function putPropertyU8(out: OfpWriter, type: number, value: number): void {
  const at = beginProperty(out, type);
  out.u8(value);
  endProperty(out, at);
}

export function putPropertyU64(out: OfpWriter, type: number, value: bigint): void {
  const at = beginNested(out, type);
  out.u64(value);
  endProperty(out, at);
}

/** A property whose presence says all. */
export const putFlag = (out: OfpWriter, type: number): void => endProperty(out, beginProperty(out, type));
