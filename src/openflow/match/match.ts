/**
 * A match: a flow, and a mask of the bits of it that count.  Bits of the flow outside of the mask are 0.
 * Source: include/openvswitch/match.h, lib/meta-flow.c (mf_set).
 */
import { setBits } from '../../flow/bits.ts';
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, newFlow } from '../../flow/flow-key.ts';
import type { MfField, MfValue } from '../mf-field.ts';
import { mfCheckSpecial, mfMaskField, mfSet } from '../mf-value.ts';

export interface Match {
  readonly flow: FlowKey;
  readonly mask: FlowMask;
}

/** A match of every packet. */
export const newMatch = (): Match => ({ flow: newFlow(), mask: newFlow() });

/** Forgets what writing a tag made of its type: no match looks at it. */
function clearTpid(match: Match): void {
  setBits(match.flow, FIELD.vlanTpid.at, 16, 0);
  setBits(match.mask, FIELD.vlanTpid.at, 16, 0);
}

/**
 * Makes the match look at a field: `value` on the bits of `mask`, all bits if there is none.  The caller has checked value, mask and
 * prerequisites.  Throws OfpError or RangeError as `mfCheckSpecial` does.
 */
export function matchSetField(match: Match, field: MfField, value: MfValue, mask?: MfValue): void {
  if (mask === undefined || mask.every((b) => b === 0xff)) {
    mfCheckSpecial(field, value);
    mfSet(field, value, match.flow);
    mfMaskField(field, match.mask);
    // dl_vlan=0xffff is a packet without tag: all of the TCI is 0.
    if (field.special === 'dl-vlan' && value.every((b) => b === 0xff)) {
      setBits(match.mask, FIELD.vlanTci.at, 16, 0xffff);
    }
  } else if (mask.some((b) => b !== 0)) {
    mfSet(
      field,
      value.map((b, i) => b & (mask[i] as number)),
      match.flow,
    );
    mfSet(field, mask, match.mask);
  }
  clearTpid(match);
}
