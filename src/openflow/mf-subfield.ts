/**
 * Subfields: some bits of a match field, as text ("NXM_NX_REG0[4..11]", "reg0[]") and in a flow.
 * Source: lib/nx-match.c (mf_parse_subfield, mf_format_subfield), lib/meta-flow.c (mf_read_subfield).
 */
import type { FlowKey } from '../flow/flow-key.ts';
import type { MfField, MfValue, Subfield } from './mf-field.ts';
import { mfByHeaderName, mfByName, mfHeader } from './mf-fields.ts';
import { mfGet, mfSetMasked } from './mf-value.ts';
import { OfpTextError } from './ofp-text.ts';

/** Reads the name of a field, its own or that of a code point.  Throws OfpTextError. */
export function parseField(text: string): MfField {
  const field = mfByHeaderName(text) ?? mfByName(text);
  if (field === undefined) throw new OfpTextError(`unknown field \`${text}'`);
  return field;
}

/** Reads a subfield at the beginning of `text`, and says what follows it.  Throws OfpTextError. */
export function scanSubfield(text: string): { readonly subfield: Subfield; readonly rest: string } {
  const name = /^[^[-]*/.exec(text)?.[0] ?? '';
  const plain = name.length > 2 && name.endsWith('_W') ? name.slice(0, -2) : name;
  const field = mfByHeaderName(plain) ?? mfByName(name);
  if (field === undefined) throw new OfpTextError(`${text}: unknown field \`${name}'`);

  let rest = text.slice(name.length);
  let start = 0;
  let end = field.bits - 1;
  if (rest.startsWith('[')) {
    const found = /^\[(?:\s*(\d+)(?:\.\.\s*(\d+))?)?\]/.exec(rest);
    if (found === null) throw new OfpTextError(`${text}: syntax error expecting [] or [<bit>] or [<start>..<end>]`);
    if (found[1] !== undefined) {
      start = Number(found[1]);
      end = Number(found[2] ?? found[1]);
    }
    rest = rest.slice(found[0].length);
  }

  const wide = `is not valid because field is only ${field.bits} bits wide`;
  if (start > end) throw new OfpTextError(`${text}: starting bit ${start} is after ending bit ${end}`);
  if (start >= field.bits) throw new OfpTextError(`${text}: starting bit ${start} ${wide}`);
  if (end >= field.bits) throw new OfpTextError(`${text}: ending bit ${end} ${wide}`);
  return { subfield: { field, ofs: start, bits: end - start + 1 }, rest };
}

/** Reads a subfield that is all of `text`.  Throws OfpTextError. */
export function parseSubfield(text: string): Subfield {
  const { subfield, rest } = scanSubfield(text);
  if (rest !== '') throw new OfpTextError('unexpected input following field syntax');
  return subfield;
}

/** "NXM_NX_REG0[4..11]"; fields without a code point by their own name. */
export function formatSubfield({ field, ofs, bits }: Subfield): string {
  const name = mfHeader(field, 0)?.name ?? field.name;
  if (ofs === 0 && bits === field.bits) return `${name}[]`;
  return bits === 1 ? `${name}[${ofs}]` : `${name}[${ofs}..${ofs + bits - 1}]`;
}

const toBigint = (bytes: Uint8Array): bigint => bytes.reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);

function toBytes(value: bigint, size: number): MfValue {
  const out = new Uint8Array(size);
  for (let i = size - 1, rest = value; i >= 0 && rest !== 0n; i--, rest >>= 8n) out[i] = Number(rest & 0xffn);
  return out;
}

/** The value of a subfield in a flow. */
export function getSubfield({ field, ofs, bits }: Subfield, flow: FlowKey): bigint {
  return BigInt.asUintN(bits, toBigint(mfGet(field, flow)) >> BigInt(ofs));
}

/** Writes a subfield of a flow; bits of `value` beyond its width are cut off. */
export function setSubfield({ field, ofs, bits }: Subfield, value: bigint, flow: FlowKey): void {
  const shift = BigInt(ofs);
  const shifted = toBytes(BigInt.asUintN(bits, value) << shift, field.bytes);
  mfSetMasked(field, shifted, toBytes(((1n << BigInt(bits)) - 1n) << shift, field.bytes), flow);
}
