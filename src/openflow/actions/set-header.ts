/**
 * What the actions that change one header field share: set_field or reg_load in their place, where a version has no action of its own; the
 * ranges of their arguments.
 * Source: lib/ofp-actions.c, OpenFlow 1.2 A.2.5, include/openflow/nicira-ext.h.
 */
import type { MfField } from '../fields/mf-field.ts';
import { mfByName } from '../fields/mf-fields.ts';
import { OFPERR, OfpError, type OfVersion } from '../ofp-errors.ts';
import { OfpTextError } from '../ofp-text.ts';
import { nxmHeaderOf, putFieldEntry } from './field-wire.ts';
import { type ActionWriter, actionForm } from './wire.ts';

const SET_FIELD = actionForm('OFPAT_SET_FIELD', 'OF1.2+(25)', 8);
const REG_LOAD = actionForm('NXAST_REG_LOAD', 'NX1.0-1.4(7)', 24);

/** Big-endian bytes of a number. */
export const bigEndian = (value: number | bigint, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * (size - 1 - i))) & 0xffn));

function fieldOf(name: string): MfField {
  const field = mfByName(name);
  if (field === undefined) throw new Error(`no field ${name}`);
  return field;
}

/** Appends a set_field of all of the field `name`, in OpenFlow 1.2 and later. */
export function putSetField(
  out: ActionWriter,
  version: OfVersion,
  name: string,
  value: number | bigint | Uint8Array,
): void {
  const field = fieldOf(name);
  const at = out.action(SET_FIELD, version);
  // The entry follows the action's header at once.
  out.truncate(at + 4);
  putFieldEntry(out, field, version, typeof value === 'object' ? value : bigEndian(value, field.bytes));
  out.finish(at);
}

/** Appends a reg_load into all of the field `name`. */
export function putRegLoad(out: ActionWriter, version: OfVersion, name: string, value: number): void {
  const field = fieldOf(name);
  const at = out.action(REG_LOAD, version);
  out.setU16(at + 10, field.bits - 1);
  out.setU32(at + 12, nxmHeaderOf(field));
  out.setU64(at + 16, BigInt(value));
}

/** An argument from the wire.  Throws OfpError if it has other bits than `mask`. */
export function within(value: number, mask: number): number {
  if ((value & ~mask) !== 0) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT, `${value}`);
  return value;
}

/** An argument from a text.  Throws OfpTextError if it has other bits than `mask`. */
export function textWithin(value: number, mask: number, arg: string, what: string): number {
  if ((value & ~mask) !== 0) throw new OfpTextError(`${arg}: not a valid ${what}`);
  return value;
}
