/**
 * Fields and subfields in the bytes of actions: a header of 4 bytes (8 if an experimenter's), offsets and widths beside it.
 * Source: lib/nx-match.c (nx_pull_header, nx_put_entry), lib/meta-flow.c (mf_check_src, mf_check_dst), include/openflow/nicira-ext.h.
 */

import type { MfField, MfValue, Subfield } from '../fields/mf-field.ts';
import { mfByHeader, mfHeader } from '../fields/mf-fields.ts';
import { checkOxmMask, putOxmEntry, putOxmHeader, readOxmEntry, readOxmHeader } from '../match/oxm-entry.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import type { DecodeCtx } from './row.ts';
import type { ActionBytes, ActionWriter } from './wire.ts';

const fail = (name: keyof typeof OFPERR, why: string): never => {
  throw new OfpError(OFPERR[name], why);
};

function checkTlv(field: MfField, c: DecodeCtx): MfField {
  if (field.isVariable && c.isTlvMapped?.(field) === false) {
    fail('NXFMFC_INVALID_TLV_FIELD', `${field.name} is not in the TLV table`);
  }
  return field;
}

/**
 * Reads a header at `at` and says where it ends.  Throws OfpError: OFPBMC_BAD_LEN if it is cut off, OFPBMC_BAD_FIELD for no known field,
 * OFPBMC_BAD_MASK if it says that a mask follows.
 */
export function readField(b: ActionBytes, at: number, c: DecodeCtx): { readonly field: MfField; readonly end: number } {
  const { field, hasMask, end } = readOxmHeader(b.bytes(0, b.size), at);
  if (field === undefined) return fail('OFPBMC_BAD_FIELD', `no known field at byte ${at}`);
  checkTlv(field, c);
  if (hasMask) fail('OFPBMC_BAD_MASK', `mask of ${field.name}`);
  return { field, end };
}

/** The field of a header that has 4 bytes always.  Throws OfpError (OFPBAC_BAD_SET_TYPE). */
export function readNxmField(header: number, c: DecodeCtx): MfField {
  const { field } = mfByHeader(BigInt(header));
  return field === undefined
    ? fail('OFPBAC_BAD_SET_TYPE', `no known field 0x${header.toString(16)}`)
    : checkTlv(field, c);
}

export interface FieldEntry {
  readonly field: MfField;
  readonly value: MfValue;
  /** undefined: the header said that there is none. */
  readonly mask: MfValue | undefined;
  /** Bytes of the value on the wire. */
  readonly size: number;
  readonly end: number;
}

/** As long as the field, whose value may be shorter on the wire. */
function widen(field: MfField, bytes: Uint8Array): MfValue {
  if (bytes.length === field.bytes) return bytes;
  const out = new Uint8Array(field.bytes);
  const part = bytes.subarray(0, field.bytes);
  out.set(part, field.bytes - part.length);
  return out;
}

/** Reads a header with its value, and mask if it has one.  Throws OfpError. */
export function readFieldEntry(b: ActionBytes, at: number, c: DecodeCtx): FieldEntry {
  const bytes = b.bytes(0, b.size);
  const { field, isBadLength, header } = readOxmHeader(bytes, at);
  if (field === undefined) {
    const isOther = isBadLength && (header & 0xffn) !== 0n;
    return fail(isOther ? 'OFPBAC_BAD_SET_LEN' : 'OFPBAC_BAD_SET_TYPE', `field at byte ${at}`);
  }
  checkTlv(field, c);
  const entry = readOxmEntry(bytes, at);
  checkOxmMask(at, entry);
  return {
    field,
    value: widen(field, entry.value),
    mask: entry.mask === undefined ? undefined : widen(field, entry.mask),
    size: entry.value.length,
    end: entry.end,
  };
}

/** Throws OfpError unless only zeros follow. */
export function checkZeros(b: ActionBytes, from: number, err: keyof typeof OFPERR = 'NXBRC_MUST_BE_ZERO'): void {
  if (!b.isZero(from, b.size)) fail(err, `bytes from ${from} on are not 0`);
}

/** Throws OfpError (OFPBAC_BAD_SET_LEN) if there are no such bits in the field. */
export function checkSrc({ field, ofs, bits }: Subfield): void {
  if (bits === 0 || ofs + bits > field.bits) {
    fail('OFPBAC_BAD_SET_LEN', `${field.name}[${ofs}..${ofs + bits - 1}] of ${field.bits} bits`);
  }
}

/** As checkSrc; also OFPBAC_BAD_SET_ARGUMENT if actions must not write the field. */
export function checkDst(subfield: Subfield): void {
  checkSrc(subfield);
  if (!subfield.field.isWritable) fail('OFPBAC_BAD_SET_ARGUMENT', `${subfield.field.name} is read-only`);
}

/** Offset and width in one number of 16 bits. */
export const ofsBits = ({ ofs, bits }: Subfield): number => ((ofs << 6) | (bits - 1)) & 0xffff;
/** Reads it. */
export const toSubfield = (field: MfField, n: number): Subfield => ({ field, ofs: n >> 6, bits: (n & 0x3f) + 1 });

/** The header of 4 bytes, that of NXM if there is one; 0 if the field's header has 8. */
export function nxmHeaderOf(field: MfField): number {
  const header = mfHeader(field, 0)?.header ?? 0n;
  return ((header >> 16n) & 0xffffn) === 0xffffn ? 0 : Number(header);
}

/** A header; of a field that has none, zeros. */
export function fieldBytes(field: MfField, version: number): Uint8Array {
  const out: number[] = [];
  const header = mfHeader(field, version)?.header;
  putOxmHeader(out, header ?? 0n, header === undefined ? 0 : field.bytes, false);
  return Uint8Array.from(out);
}

/** Appends a header with its value, and mask unless all of it is ones.  Leading zeros of tun_metadata are left out. */
export function putFieldEntry(
  out: ActionWriter,
  field: MfField,
  version: number,
  value: MfValue,
  mask?: MfValue,
): void {
  const hasMask = mask?.some((b) => b !== 0xff) ?? false;
  let from = 0;
  if (field.isVariable) while (from < field.bytes && value[from] === 0 && (!hasMask || mask?.[from] === 0)) from++;
  const bytes: number[] = [];
  putOxmEntry(
    bytes,
    mfHeader(field, version)?.header ?? 0n,
    value.slice(from),
    hasMask ? mask?.slice(from) : undefined,
  );
  out.putBytes(Uint8Array.from(bytes));
}
