/**
 * Flow keys and masks: reading and writing their fields, comparing and hashing under a mask.
 * `fields.ts` has the layout.
 */
import { FIELD, type Field, FLOW_WORDS, OF_FLOW_WORDS } from './fields.ts';

/** Int32Array of FLOW_WORDS words, or of OF_FLOW_WORDS in an OpenFlow switch, laid out by `fields.ts`. */
export type FlowKey = Int32Array;
/** The same shape; a 1-bit must match. */
export type FlowMask = Int32Array;

export const newFlowKey = (): FlowKey => new Int32Array(FLOW_WORDS);
/** A key, or mask, with room for what OpenFlow adds. */
export const newFlow = (): FlowKey => new Int32Array(OF_FLOW_WORDS);

/** Value of a field of at most 32 bits, as an unsigned number. */
export function getField(key: FlowKey, f: Field): number {
  const word = key[f.word]!;
  return f.bits === 32 ? word >>> 0 : (word >>> f.shift) & ((1 << f.bits) - 1);
}

/** Label stack entries that `key` has: 0 to 3. */
export function mplsLabels(key: FlowKey): number {
  const bits = getField(key, FIELD.mplsLabels);
  return (bits & 1) + ((bits >>> 1) & 1) + ((bits >>> 2) & 1);
}

/** Sets a field of at most 32 bits; higher bits of `value` are cut off. */
export function setField(key: FlowKey, f: Field, value: number): void {
  if (f.bits === 32) {
    key[f.word] = value;
    return;
  }
  const ones = (1 << f.bits) - 1;
  key[f.word] = (key[f.word]! & ~(ones << f.shift)) | ((value & ones) << f.shift);
}

/** Copies a field of any width (whole bytes) to `out` as big-endian bytes.  Cold path. */
export function getFieldBytes(key: FlowKey, f: Field, out: Uint8Array, offset: number): void {
  for (let i = 0; i < f.bits >>> 3; i++) {
    const bit = f.at + 8 * i;
    out[offset + i] = key[bit >>> 5]! >>> (24 - (bit & 31));
  }
}

/** Sets a field of any width (whole bytes) from big-endian bytes.  Cold path. */
export function setFieldBytes(key: FlowKey, f: Field, from: Uint8Array, offset: number): void {
  for (let i = 0; i < f.bits >>> 3; i++) {
    const bit = f.at + 8 * i;
    const shift = 24 - (bit & 31);
    key[bit >>> 5] = (key[bit >>> 5]! & ~(0xff << shift)) | (from[offset + i]! << shift);
  }
}

/** Sets every bit of a field of a mask.  Cold path. */
export function setFieldOnes(mask: FlowMask, f: Field): void {
  for (let bit = f.at; bit < f.at + f.bits; bit++) mask[bit >>> 5]! |= 1 << (31 - (bit & 31));
}

/** True if any bit of the field is set.  Cold path. */
export function isFieldSet(key: FlowKey, f: Field): boolean {
  for (let bit = f.at; bit < f.at + f.bits; bit++) if ((key[bit >>> 5]! >>> (31 - (bit & 31))) & 1) return true;
  return false;
}
