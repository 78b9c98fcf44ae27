/**
 * One entry of NXM or OXM: a header, a value, and a mask if the header says so.  Matches are lists of them, some actions have one.
 *
 * ```
 * | class 16 | field 7 | hasMask 1 | length 8 | (experimenter 32, if the class is 0xffff) | value | (mask) |
 * ```
 * `length` counts what follows it, the experimenter too.
 * Source: lib/nx-match.c (nx_pull_entry, nx_pull_header), OpenFlow 1.3.5 7.2.3.2.
 */
import type { MfField, MfValue } from '../fields/mf-field.ts';
import { type MfLookup, mfByHeader } from '../fields/mf-fields.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';

export interface OxmHeader {
  /** In the form of `MfHeader.header`, with its mask bit and length. */
  readonly header: bigint;
  /** undefined: no field that is known. */
  readonly field: MfField | undefined;
  /** There is such a field, but of another length. */
  readonly isBadLength: boolean;
  readonly hasMask: boolean;
  /** Bytes of value and mask. */
  readonly size: number;
  /** Where the header ends. */
  readonly end: number;
}

export interface OxmEntry extends OxmHeader {
  readonly value: MfValue;
  readonly mask: MfValue | undefined;
}

const fail = (name: keyof typeof OFPERR, why: string): never => {
  throw new OfpError(OFPERR[name], why);
};

/** Reads the header at `at`; what it counts may be beyond the end of `bytes`.  Throws OfpError. */
export function readOxmHeader(bytes: Uint8Array, at: number): OxmHeader {
  const isExperimenter = bytes[at] === 0xff && bytes[at + 1] === 0xff;
  const end = at + (isExperimenter ? 8 : 4);
  if (end > bytes.length) fail('OFPBMC_BAD_LEN', `partial field header at byte ${at}`);
  const size = (bytes[at + 3] as number) - (isExperimenter ? 4 : 0);
  if (size < 0) fail('OFPBMC_BAD_LEN', `field header at byte ${at}: length ${size + 4}, want at least 4`);
  const hasMask = ((bytes[at + 2] as number) & 1) !== 0;
  const { header, field, isBadLength } = lookUp(word(bytes, at), isExperimenter ? word(bytes, at + 4) : 0);
  return { field, isBadLength, header, hasMask, size, end };
}

const word = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) << 24) |
  ((bytes[at + 1] as number) << 16) |
  ((bytes[at + 2] as number) << 8) |
  (bytes[at + 3] as number);

interface KnownHeader extends MfLookup {
  readonly header: bigint;
}

/** Headers without experimenter that name a field, by their 32 bits: their number is that of the table's. */
const known = new Map<number, KnownHeader>();

function lookUp(low: number, experimenter: number): KnownHeader {
  const found = experimenter === 0 ? known.get(low) : undefined;
  if (found !== undefined) return found;
  const header = (BigInt(experimenter >>> 0) << 32n) | BigInt(low >>> 0);
  const { field, isBadLength } = mfByHeader(header);
  const made = { header, field, isBadLength };
  if (field !== undefined && !field.isVariable && experimenter === 0) known.set(low, made);
  return made;
}

/** Reads the entry at `at`: `end` is then where the whole entry ends.  Throws OfpError. */
export function readOxmEntry(bytes: Uint8Array, at: number): OxmEntry {
  const header = readOxmHeader(bytes, at);
  const end = header.end + header.size;
  if (end > bytes.length) fail('OFPBMC_BAD_LEN', `entry at byte ${at}: ${header.size} bytes of payload`);
  const width = header.hasMask ? header.size >> 1 : header.size;
  const value = bytes.slice(header.end, header.end + width);
  const mask = header.hasMask ? bytes.slice(header.end + width, header.end + 2 * width) : undefined;
  const { header: code, field, isBadLength, hasMask, size } = header;
  return { header: code, field, isBadLength, hasMask, size, value, mask, end };
}

/** Where an entry stands, for messages. */
export const describeEntry = (at: number, { header }: OxmHeader): string =>
  `entry at byte ${at} (header 0x${header.toString(16)})`;

/** Throws OfpError (OFPBMC_BAD_WILDCARDS) if the value has bits that its mask has not. */
export function checkOxmMask(at: number, entry: OxmEntry): void {
  const { mask, value } = entry;
  if (mask === undefined) return;
  for (let i = 0; i < mask.length; i++) {
    if (((value[i] as number) & ~(mask[i] as number)) !== 0) {
      fail('OFPBMC_BAD_WILDCARDS', `${describeEntry(at, entry)}: value beyond mask`);
    }
  }
}

/** Appends a header: of `length` bytes of value, with a mask as long or without. */
export function putOxmHeader(out: number[], header: bigint, length: number, hasMask: boolean): void {
  const isExperimenter = ((header >> 16n) & 0xffffn) === 0xffffn;
  const size = length * (hasMask ? 2 : 1) + (isExperimenter ? 4 : 0);
  const low = Number(header & 0xffffffffn);
  out.push(low >>> 24, (low >>> 16) & 0xff, ((low >>> 8) & 0xfe) | (hasMask ? 1 : 0), size);
  if (isExperimenter) for (let shift = 56n; shift >= 32n; shift -= 8n) out.push(Number((header >> shift) & 0xffn));
}

/** Appends an entry. */
export function putOxmEntry(out: number[], header: bigint, value: Uint8Array, mask?: Uint8Array): void {
  putOxmHeader(out, header, value.length, mask !== undefined);
  out.push(...value, ...(mask ?? []));
}
