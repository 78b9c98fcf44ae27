/**
 * Properties: the TLVs that end many messages of OpenFlow 1.3 and later.
 *
 * ```
 * | type 16 | length 16, without padding | ... |                                    the standard's
 * | 0xffff  | length 16                  | experimenter 32 | type 32 | ... |        an experimenter's
 * ```
 * Source: OpenFlow 1.5.1 7.2.1.2, lib/ofp-prop.c.
 */
import { OFPERR, OfpError } from '../ofp-errors.ts';

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
