/**
 * Properties: the TLVs that end many messages of OpenFlow 1.3 and later.
 *
 * ```
 * | type 16 | length 16, without padding | ... |                                    the standard's
 * | 0xffff  | length 16                  | experimenter 32 | type 32 | ... |        an experimenter's
 * ```
 * Source: OpenFlow 1.5.1 7.2.1.2, lib/ofp-prop.c.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import type { OfpWriter } from '../../ofp-writer.ts';

const EXPERIMENTER = 0xffff;

export interface Property {
  readonly type: number;
  /** 0: the standard's. */
  readonly vendor: number;
  /** Where its header begins; where its payload does; bytes of both. */
  readonly at: number;
  readonly dataAt: number;
  readonly size: number;
}

const badLength = (at: number, size: number): OfpError =>
  new OfpError(OFPERR.OFPBPC_BAD_LEN, `property at byte ${at}: ${size} bytes`);

/**
 * Calls `take` with each property from `at` to `end`, padded to `align` bytes.  Types of `minExperimenter` and above are experimenters'.
 * Throws OfpError.
 */
export function eachProperty(
  dv: DataView,
  at: number,
  end: number,
  take: (p: Property) => void,
  align = 8,
  minExperimenter = EXPERIMENTER,
): void {
  for (let next = at; next < end; ) {
    if (end - next < 4) throw badLength(next, end - next);
    const type = dv.getUint16(next);
    const size = dv.getUint16(next + 2);
    const padded = Math.ceil(size / align) * align;
    if (size < 4 || padded > end - next) throw badLength(next, size);
    if (type < minExperimenter) {
      take({ type, vendor: 0, at: next, dataAt: next + 4, size });
    } else {
      if (size < 12) throw badLength(next, size);
      const vendor = dv.getUint32(next + 4);
      // Nobody is experimenter 0: that would be the standard.
      if (vendor === 0) throw new OfpError(OFPERR.OFPBPC_BAD_EXPERIMENTER, `property at byte ${next}: no experimenter`);
      take({ type: dv.getUint32(next + 8), vendor, at: next, dataAt: next + 12, size });
    }
    next += padded;
  }
}

/** What to do of a property that is not known: nothing if the message is one that may have more than we know, else OfpError. */
export function unknownProperty(p: Property, isLoose: boolean): void {
  if (isLoose) return;
  const what = `property at byte ${p.at}: type ${p.type}`;
  if (p.vendor === 0) throw new OfpError(OFPERR.OFPBPC_BAD_TYPE, what);
  throw new OfpError(OFPERR.OFPBPC_BAD_EXP_TYPE, `${what} of experimenter 0x${p.vendor.toString(16)}`);
}

const payloadSize = (p: Property): number => p.at + p.size - p.dataAt;
const badPayload = (p: Property): OfpError => badLength(p.at, p.size);

/** A property that is a number of 16 bits; what follows it is padding.  Throws OfpError. */
export function propertyU16(dv: DataView, p: Property): number {
  if (payloadSize(p) < 2) throw badPayload(p);
  return dv.getUint16(p.dataAt);
}

/** A property that is a number of 32 bits, and nothing else.  Throws OfpError. */
export function propertyU32(dv: DataView, p: Property): number {
  if (payloadSize(p) !== 4) throw badPayload(p);
  return dv.getUint32(p.dataAt);
}

/** Appends the header of a property, an experimenter's if `vendor` is not 0; returns where it begins, for `endProperty`. */
export function beginProperty(out: OfpWriter, type: number, vendor = 0): number {
  const at = out.room(vendor === 0 ? 4 : 12);
  out.dv.setUint16(at, vendor === 0 ? type : EXPERIMENTER);
  if (vendor !== 0) {
    out.dv.setUint32(at + 4, vendor);
    out.dv.setUint32(at + 8, type);
  }
  return at;
}

/** Ends the property that began at `at`: its length, and zeros up to a multiple of 8 bytes. */
export function endProperty(out: OfpWriter, at: number): void {
  out.dv.setUint16(at + 2, out.size - at);
  out.pad(at, 8);
}

/** Appends a property that is a number of 16 bits: 8 bytes, all of which count. */
export function putPropertyU16(out: OfpWriter, type: number, value: number): void {
  const at = beginProperty(out, type);
  out.u16(value);
  out.u16(0);
  endProperty(out, at);
}

/** Appends a property that is a number of 32 bits. */
export function putPropertyU32(out: OfpWriter, type: number, value: number): void {
  const at = beginProperty(out, type);
  out.u32(value);
  endProperty(out, at);
}
