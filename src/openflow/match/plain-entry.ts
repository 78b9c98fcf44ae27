/**
 * Entries of NXM and OXM whose fields stand in a flow as they are written, read fast: most entries of most matches.  Whatever is particular about
 * an entry, and whatever is wrong with it, is left to `nx-match.ts`.
 *
 * Hot path of flow_mods: nothing is allocated.
 */
import { setBits } from '../../flow/bits.ts';
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import type { MfField } from '../fields/mf-field.ts';
import { mfPrereqsOk } from '../fields/mf-prereqs.ts';
import { mfHasOwnValues } from '../fields/mf-value.ts';
import type { Match } from './match.ts';
import { readOxmHeader } from './oxm-entry.ts';

interface PlainEntry {
  readonly field: MfField;
  readonly hasMask: boolean;
  /** Of eth_type: smaller numbers mean something else. */
  readonly least: number;
}

/** By the 32 bits of their headers; undefined: the header is another one's. */
const entries = new Map<number, PlainEntry | undefined>();
const MAX_ENTRIES = 1024;
/** Ethernet types begin here. */
const ETH_TYPE_MIN = 0x600;

function plainEntry(bytes: Uint8Array, at: number): PlainEntry | undefined {
  const { field, isBadLength, hasMask, size, end } = readOxmHeader(bytes, at);
  if (field === undefined || isBadLength || end - at !== 4 || size !== field.bytes * (hasMask ? 2 : 1))
    return undefined;
  const isType = field.special === 'dl-type';
  if (hasMask && (isType || !field.isMaskable)) return undefined;
  if (field.isVariable || field.at % 8 !== 0 || field.bits !== 8 * field.bytes) return undefined;
  if ((field.special !== undefined && !isType) || mfHasOwnValues(field)) return undefined;
  return { field, hasMask, least: isType ? ETH_TYPE_MIN : 0 };
}

function entryAt(bytes: Uint8Array, at: number): PlainEntry | undefined {
  const header =
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number);
  const known = entries.get(header);
  if (known !== undefined || entries.has(header)) return known;
  const made = plainEntry(bytes, at);
  if (entries.size < MAX_ENTRIES) entries.set(header, made);
  return made;
}

function orByte(words: FlowKey, bit: number, byte: number): void {
  words[bit >>> 5] = (words[bit >>> 5] as number) | (byte << (24 - (bit & 31)));
}

/**
 * Reads the entry at `at` into `match`, and returns where the next one begins; 0: it is not plain, or wrong, and the match is as it was.
 * `isLoose`: prerequisites do not count.
 */
export function readPlainEntry(bytes: Uint8Array, at: number, match: Match, isLoose: boolean): number {
  if (bytes.length - at < 4) return 0;
  const entry = entryAt(bytes, at);
  if (entry === undefined) return 0;
  const { field, hasMask, least } = entry;
  const n = field.bytes;
  const valueAt = at + 4;
  const end = valueAt + (hasMask ? 2 * n : n);
  if (end > bytes.length) return 0;
  const { flow, mask } = match;
  if (!isLoose && !mfPrereqsOk(field, flow, mask)) return 0;
  if (least !== 0 && ((bytes[valueAt] as number) << 8) + (bytes[valueAt + 1] as number) < least) return 0;
  for (let i = 0; i < n; i++) {
    const bit = field.at + 8 * i;
    // It is there already, or its value is beyond its mask.
    if ((((mask[bit >>> 5] as number) >>> (24 - (bit & 31))) & 0xff) !== 0) return 0;
    if (hasMask && ((bytes[valueAt + i] as number) & ~(bytes[valueAt + n + i] as number)) !== 0) return 0;
  }
  for (let i = 0; i < n; i++) {
    const bit = field.at + 8 * i;
    orByte(flow, bit, bytes[valueAt + i] as number);
    orByte(mask, bit, hasMask ? (bytes[valueAt + n + i] as number) : 0xff);
  }
  if (field.prereq !== 'none') setBits(mask, FIELD.packetType.at, 16, 0xffff);
  return end;
}
