/**
 * Matches of one mask, written fast: where their entries are alike, only the values differ.  `nx-match.ts` writes the first of them; it is the
 * template for those that follow, into which their values are put.
 *
 * Hot path of dumps: flows by the thousand have few masks, and there are a hundred fields to look for in each.
 */
import { FIELD, OF_FLOW_WORDS, VLAN_CFI } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import type { MfField } from '../fields/mf-field.ts';
import { mfGet } from '../fields/mf-value.ts';
import type { OfpWriter } from '../ofp-writer.ts';
import type { Match } from './match.ts';
import { encodeNxMatch } from './nx-match.ts';
import { readOxmHeader } from './oxm-entry.ts';

/** What decides which entries a match has, beside its mask: all that prerequisites look at, but for ND. */
const DECISIVE = new Int32Array(OF_FLOW_WORDS);
const decide = ({ at, bits }: { readonly at: number; readonly bits: number }, ones = 2 ** bits - 1): void => {
  DECISIVE[at >>> 5] = (DECISIVE[at >>> 5] as number) | (ones << (32 - (at & 31) - bits));
};
for (const name of ['packetType', 'ethType', 'nwProto', 'nwFrag', 'ctState', 'ctNwProto'] as const) decide(FIELD[name]);
decide(FIELD.vlanTci, VLAN_CFI);
/** Fields of ND need an ICMPv6 type and code, which stand where ports do. */
const ND = ['ndTarget', 'arpSha', 'arpTha', 'ndReserved', 'ndOptionsType'] as const;
const PORTS = FIELD.tpSrc.word;

function decisiveBits(mask: FlowMask): Int32Array {
  const bits = DECISIVE.slice();
  const isNd = ND.some((name) => mask[FIELD[name].word] !== 0);
  if (isNd) bits[PORTS] = -1;
  return bits;
}

interface SlowValue {
  readonly field: MfField;
  readonly offset: number;
  readonly value: Uint8Array;
}

class MatchTemplate {
  private readonly version: number;
  private readonly mask: FlowMask;
  /** Words of which some bits are decisive, those bits, and what they are here. */
  private readonly decisive: { readonly word: number; readonly bits: number; readonly value: number }[] = [];
  private readonly bytes: Uint8Array;
  /** For each byte of a value its place in the entries, and in a flow: the bit where it begins. */
  private readonly offsets: number[] = [];
  private readonly places: number[] = [];
  /** Values that are not in a flow as they are written. */
  private readonly slow: SlowValue[] = [];

  constructor({ flow, mask }: Match, version: number, bytes: Uint8Array) {
    this.version = version;
    this.mask = mask.slice();
    this.bytes = bytes;
    decisiveBits(mask).forEach((bits, word) => {
      if (bits !== 0) this.decisive.push({ word, bits, value: (flow[word] as number) & bits });
    });
    for (let at = 0; at < bytes.length; ) {
      const { field, end, size } = readOxmHeader(bytes, at);
      if (field === undefined) throw new Error(`match: an entry at byte ${at} that was written has no field`);
      this.addValue(field, end);
      at = end + size;
    }
  }

  private addValue(field: MfField, offset: number): void {
    if (field.special !== undefined || field.at % 8 !== 0 || field.bits !== 8 * field.bytes) {
      this.slow.push({ field, offset, value: new Uint8Array(field.bytes) });
      return;
    }
    for (let i = 0; i < field.bytes; i++) {
      this.offsets.push(offset + i);
      this.places.push(field.at + 8 * i);
    }
  }

  isFor({ flow, mask }: Match, version: number): boolean {
    const { decisive, mask: own } = this;
    if (version !== this.version || mask.length !== own.length) return false;
    for (let i = 0; i < own.length; i++) if (own[i] !== mask[i]) return false;
    for (let i = 0; i < decisive.length; i++) {
      const { word, bits, value } = decisive[i] as MatchTemplate['decisive'][number];
      if (((flow[word] as number) & bits) !== value) return false;
    }
    return true;
  }

  /** Appends the entries of a match that this is for; returns their size. */
  put(out: OfpWriter, flow: FlowKey): number {
    const { bytes, offsets, places, slow } = this;
    const at = out.size;
    out.put(bytes);
    const to = out.bytes;
    for (let i = 0; i < offsets.length; i++) {
      const place = places[i] as number;
      to[at + (offsets[i] as number)] = (flow[place >>> 5] as number) >>> (24 - (place & 31));
    }
    for (let i = 0; i < slow.length; i++) {
      const { field, offset, value } = slow[i] as SlowValue;
      to.set(mfGet(field, flow, value), at + offset);
    }
    return bytes.length;
  }
}

/** Templates by a hash of version and mask, and the one that was used last. */
const templates: (MatchTemplate | undefined)[] = new Array(256).fill(undefined);
let latest: MatchTemplate | undefined;

function templateOf(match: Match, version: number): MatchTemplate {
  let h = version;
  for (let i = 0; i < match.mask.length; i++) h = (Math.imul(h, 31) + (match.mask[i] as number)) | 0;
  const slot = (h ^ (h >>> 8) ^ (h >>> 16) ^ (h >>> 24)) & 0xff;
  const known = templates[slot];
  if (known?.isFor(match, version)) return known;
  const made = new MatchTemplate(match, version, encodeNxMatch(match, version));
  templates[slot] = made;
  return made;
}

/** Appends the entries of a match, as `encodeNxMatch` writes them; returns their size. */
export function putNxMatch(out: OfpWriter, match: Match, version: number): number {
  if (match.tunMetadata !== undefined) {
    const bytes = encodeNxMatch(match, version);
    out.put(bytes);
    return bytes.length;
  }
  if (latest === undefined || !latest.isFor(match, version)) latest = templateOf(match, version);
  return latest.put(out, match.flow);
}
