/**
 * From fields of tun_metadata as messages and texts have them to those of a switch's TLV table, and back.
 *
 * Codecs know no switch.  A match that comes in has its tun_metadata beside the flow, and actions have fields of the greatest length; a switch
 * binds both to its table, which gives them their places in a flow.
 *
 * What flows have is bound to fields of their own length, that of the option: `bindMatch`, `bindActions`.  Of a longer value the first bytes count.
 * Texts, packets of controllers and groups name fields of the greatest length, whatever the table: `bindWideMatch`, `bindWideActions`.  The last
 * bytes of such a field are the option's, the others are 0 and stay so.
 * Source: lib/tun-metadata.c, lib/meta-flow.c (mf_vl_mff_mf_from_mff), lib/nx-match.c.
 */

import { areBitsZero, setBits } from '../../flow/bits.ts';
import { FIELD } from '../../flow/fields.ts';
import { type Match, newMatch, type TunMetadata } from '../match/match.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import type { LearnSpec, Ofpact, OfpactSetField } from '../ofpact.ts';
import type { MfField, MfValue, Subfield } from './mf-field.ts';
import { mfGet, mfGetMask, mfHasTunMetadata, mfSet } from './mf-value.ts';
import type { TlvTable } from './tlv-table.ts';

function fieldOf(table: TlvTable, index: number): MfField {
  const field = table.fieldOf(index);
  if (field === undefined) {
    throw new OfpError(OFPERR.NXFMFC_INVALID_TLV_FIELD, `tun_metadata${index} is not in the TLV table`);
  }
  return field;
}

/** The last `size` bytes, after bytes `fill` if there are fewer. */
function resize(bytes: MfValue, size: number, fill: number): MfValue {
  const out = new Uint8Array(size).fill(fill);
  const part = bytes.subarray(Math.max(0, bytes.length - size));
  out.set(part, size - part.length);
  return out;
}

/** As many bytes as a field has of a value that came in `wireSize` bytes, whose last ones `bytes` are: the first of more, behind `fill` if fewer. */
const cut = (bytes: MfValue, wireSize: number, { bytes: size }: MfField, fill: number): MfValue =>
  resize(bytes, Math.max(wireSize, size), fill).subarray(0, size);

/** A match with its tun_metadata in the flow.  Throws OfpError (NXFMFC_INVALID_TLV_FIELD) for one that the table has not. */
export function bindMatch(match: Match, table: TlvTable): Match {
  if (match.tunMetadata === undefined) return match;
  const bound = { flow: match.flow.slice(), mask: match.mask.slice() };
  for (const { index, value, mask, isMasked, wireSize = value.length } of match.tunMetadata) {
    const field = fieldOf(table, index);
    mfSet(field, cut(value, wireSize, field, 0), bound.flow);
    mfSet(field, cut(mask, wireSize, field, isMasked ? 0 : 0xff), bound.mask);
  }
  return bound;
}

/** The same with fields of the greatest length; what the table has not is left out. */
export function bindWideMatch(match: Match, table: TlvTable): Match {
  if (match.tunMetadata === undefined) return match;
  const bound = { flow: match.flow.slice(), mask: match.mask.slice() };
  for (const { index, value, mask, isMasked } of match.tunMetadata) {
    const field = table.wideFieldOf(index);
    mfSet(field, resize(value, field.bytes, 0), bound.flow);
    mfSet(field, resize(mask, field.bytes, isMasked ? 0 : 0xff), bound.mask);
  }
  return bound;
}

/** A match as messages and texts have it. */
export function unbindMatch(match: Match, table: TlvTable): Match {
  const { at, bits } = FIELD.tunMetaPresent;
  if (areBitsZero(match.mask, at, bits)) return match;
  const told = table.fields.flatMap((field): TunMetadata[] => {
    if (!mfHasTunMetadata(field, match.mask)) return [];
    const mask = mfGetMask(field, match.mask);
    // An option without a value can only be there, or not.
    const isMasked = mask.length === 0 || mask.some((b) => b !== 0xff);
    return [
      {
        index: field.index,
        isPresent: mfHasTunMetadata(field, match.flow),
        value: mfGet(field, match.flow),
        mask,
        isMasked,
      },
    ];
  });
  const plain = { ...newMatch(), flow: match.flow.slice(), mask: match.mask.slice() };
  for (const words of [plain.flow, plain.mask])
    words.fill(0, FIELD.tunMetaPresent.word, FIELD.tunMeta.word + FIELD.tunMeta.bits / 32);
  return told.length === 0 ? plain : { ...plain, tunMetadata: told };
}

/** How many bytes of a value and its mask say something. */
function significant({ value, mask }: OfpactSetField): number {
  const isExact = mask.every((b) => b === 0xff);
  const first = value.findIndex((b, i) => b !== 0 || (!isExact && mask[i] !== 0));
  return first < 0 ? 0 : value.length - first;
}

/** Binds what names fields in actions. */
class ActionBinder {
  private readonly table: TlvTable;
  private readonly isWide: boolean;

  constructor(table: TlvTable, isWide: boolean) {
    this.table = table;
    this.isWide = isWide;
  }

  private field(f: MfField): MfField {
    if (f.special !== 'tun-metadata') return f;
    return this.isWide ? this.table.wideFieldOf(f.index) : fieldOf(this.table, f.index);
  }

  private sub(s: Subfield): Subfield {
    if (s.field.special !== 'tun-metadata') return s;
    const field = this.field(s.field);
    if (s.ofs + s.bits > field.bits) {
      throw new OfpError(
        OFPERR.OFPBAC_BAD_SET_LEN,
        `${field.name}[${s.ofs}..${s.ofs + s.bits - 1}] of ${field.bits} bits`,
      );
    }
    return { ...s, field };
  }

  private setField(a: OfpactSetField): OfpactSetField {
    const field = this.field(a.field);
    if (this.isWide) return { ...a, field };
    if (a.isLoad) {
      if (a.mask.subarray(0, -field.bytes || a.mask.length).some((b) => b !== 0)) {
        throw new OfpError(OFPERR.OFPBAC_BAD_SET_LEN, `${field.name} has ${field.bits} bits`);
      }
      return { ...a, field, value: resize(a.value, field.bytes, 0), mask: resize(a.mask, field.bytes, 0) };
    }
    const { wireSize = significant(a), ...rest } = a;
    return { ...rest, field, value: cut(a.value, wireSize, field, 0), mask: cut(a.mask, wireSize, field, 0) };
  }

  private spec(s: LearnSpec): LearnSpec {
    const src = s.src.kind === 'field' ? { ...s.src, subfield: this.sub(s.src.subfield) } : s.src;
    const dst = s.dst.kind === 'output' ? s.dst : { ...s.dst, subfield: this.sub(s.dst.subfield) };
    return { ...s, src, dst };
  }

  action(a: Ofpact): Ofpact {
    switch (a.kind) {
      case 'set_field':
        return a.field.special === 'tun-metadata' ? this.setField(a) : a;
      case 'delete_field':
        return { ...a, field: this.field(a.field) };
      case 'move':
        return { ...a, src: this.sub(a.src), dst: this.sub(a.dst) };
      case 'push':
      case 'pop':
        return { ...a, subfield: this.sub(a.subfield) };
      case 'output_reg':
        return { ...a, src: this.sub(a.src) };
      case 'multipath':
      case 'check_pkt_larger':
        return { ...a, dst: this.sub(a.dst) };
      case 'bundle':
        return a.dst === undefined ? a : { ...a, dst: this.sub(a.dst) };
      case 'learn': {
        const resultDst = a.resultDst === undefined ? undefined : this.sub(a.resultDst);
        return { ...a, resultDst, specs: a.specs.map((s) => this.spec(s)) };
      }
      case 'ct': {
        const zoneSrc = a.zoneSrc === undefined ? undefined : this.sub(a.zoneSrc);
        return { ...a, zoneSrc, actions: this.list(a.actions) };
      }
      case 'clone':
      case 'write_actions':
        return { ...a, actions: this.list(a.actions) };
      default:
        return a;
    }
  }

  list(actions: readonly Ofpact[]): readonly Ofpact[] {
    const bound = actions.map((a) => this.action(a));
    return bound.every((a, i) => a === actions[i]) ? actions : bound;
  }
}

/** Actions that name no field: most of most flows. */
const NAMELESS: ReadonlySet<Ofpact['kind']> = new Set(['output', 'group', 'goto_table', 'resubmit', 'controller']);

/** Actions whose fields of tun_metadata are those of the table.  Throws OfpError as `bindMatch`, and OFPBAC_BAD_SET_LEN. */
export const bindActions = (actions: readonly Ofpact[], table: TlvTable): readonly Ofpact[] =>
  actions.every((a) => NAMELESS.has(a.kind)) ? actions : new ActionBinder(table, false).list(actions);

/** The same with fields of the greatest length, which the table need not have. */
export const bindWideActions = (actions: readonly Ofpact[], table: TlvTable): readonly Ofpact[] =>
  actions.every((a) => NAMELESS.has(a.kind)) ? actions : new ActionBinder(table, true).list(actions);

/** Whether the table has every field of tun_metadata that a bound match and actions name. */
export function isMappedBy(match: Match, actions: readonly Ofpact[], table: TlvTable): boolean {
  const { at, bits } = FIELD.tunMetaPresent;
  const rest = match.mask.slice(at / 32, (at + bits) / 32);
  for (const { index } of table.fields) setBits(rest, bits - 1 - index, 1, 0);
  if (!areBitsZero(rest, 0, bits)) return false;
  try {
    bindActions(actions, table);
    return true;
  } catch (error) {
    if (error instanceof OfpError) return false;
    throw error;
  }
}
