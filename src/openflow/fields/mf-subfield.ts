/**
 * Subfields: some bits of a match field, as text ("NXM_NX_REG0[4..11]", "reg0[]") and in a flow.
 * Source: lib/nx-match.c (mf_parse_subfield, mf_format_subfield), lib/meta-flow.c (mf_read_subfield).
 */
import { copyBits, fillBits, getBits, setBits } from '../../flow/bits.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { OfpTextError } from '../ofp-text.ts';
import type { MfField, MfValue, Subfield } from './mf-field.ts';
import { mfByHeaderName, mfByName, mfHeader } from './mf-fields.ts';
import { mfGet, mfMaskBits, mfSetMasked } from './mf-value.ts';

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

/** Words of the longest value, that of a tun_metadata. */
const VALUE_WORDS = 31;

/** First bit of a subfield in a flow, if its field is simply a run of bits there; else -1. */
const runOf = ({ field, ofs, bits }: Subfield): number =>
  field.special === undefined ? field.at + field.bits - ofs - bits : -1;

/** Puts big-endian bytes into words, right-aligned. */
function toWords(bytes: Uint8Array): Int32Array {
  const words = new Int32Array(VALUE_WORDS);
  const at = 32 * VALUE_WORDS - 8 * bytes.length;
  bytes.forEach((byte, i) => {
    setBits(words, at + 8 * i, 8, byte);
  });
  return words;
}

/** The last `size` bytes of words. */
function toBytes(words: Int32Array, size: number): MfValue {
  const at = 32 * VALUE_WORDS - 8 * size;
  return Uint8Array.from({ length: size }, (_, i) => getBits(words, at + 8 * i, 8));
}

/** First bit of a subfield in the words of its field's value. */
const inWords = ({ ofs, bits }: Subfield): number => 32 * VALUE_WORDS - ofs - bits;

function onesOf(s: Subfield): MfValue {
  const words = new Int32Array(VALUE_WORDS);
  fillBits(words, inWords(s), s.bits, true);
  return toBytes(words, s.field.bytes);
}

/** The value of a subfield in a flow; of more than 53 bits, about. */
export function getSubfield(s: Subfield, flow: FlowKey): number {
  const run = runOf(s);
  const words = run < 0 ? toWords(mfGet(s.field, flow)) : flow;
  const at = run < 0 ? inWords(s) : run;
  let value = 0;
  for (let done = 0; done < s.bits; ) {
    const n = Math.min(32, s.bits - done);
    value = value * 2 ** n + getBits(words, at + done, n);
    done += n;
  }
  return value;
}

/** Writes those bits of `words` from bit `from` on that are `s` into a flow. */
function writeSubfield(s: Subfield, words: Int32Array, from: number, flow: FlowKey): void {
  const run = runOf(s);
  if (run >= 0) {
    copyBits(flow, run, words, from, s.bits);
    return;
  }
  const value = new Int32Array(VALUE_WORDS);
  copyBits(value, inWords(s), words, from, s.bits);
  mfSetMasked(s.field, toBytes(value, s.field.bytes), onesOf(s), flow);
}

/** Writes a number of up to 32 bits to a subfield of a flow; bits beyond its width are cut off. */
export function setSubfield(s: Subfield, value: number, flow: FlowKey): void {
  const words = new Int32Array(VALUE_WORDS);
  words[VALUE_WORDS - 1] = value;
  writeSubfield(s, words, 32 * VALUE_WORDS - s.bits, flow);
}

/** Copies a subfield of a flow to another of as many bits. */
export function moveSubfield(dst: Subfield, src: Subfield, flow: FlowKey): void {
  const run = runOf(src);
  if (run >= 0) writeSubfield(dst, flow, run, flow);
  else writeSubfield(dst, toWords(mfGet(src.field, flow)), inWords(src), flow);
}

/** The bits of a subfield, right-aligned in as few big-endian bytes as have room for them. */
export function readSubfieldBytes(s: Subfield, flow: FlowKey): Uint8Array {
  const run = runOf(s);
  const from = run < 0 ? toWords(mfGet(s.field, flow)) : flow;
  const words = new Int32Array(VALUE_WORDS);
  copyBits(words, 32 * VALUE_WORDS - s.bits, from, run < 0 ? inWords(s) : run, s.bits);
  return toBytes(words, Math.ceil(s.bits / 8));
}

/** Writes the low bits of big-endian bytes, more or fewer than the subfield has, to it. */
export function writeSubfieldBytes(s: Subfield, value: Uint8Array, flow: FlowKey): void {
  writeSubfield(s, toWords(value), 32 * VALUE_WORDS - s.bits, flow);
}

/** Adds a subfield to a mask. */
export function maskSubfield(s: Subfield, mask: FlowMask): void {
  const run = runOf(s);
  if (run >= 0) fillBits(mask, run, s.bits, true);
  else mfMaskBits(s.field, onesOf(s), mask);
}
