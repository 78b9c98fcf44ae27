/**
 * What translation does with match fields: it writes them only where the packet has them, and notes in the wildcards what decided, and
 * what it wrote.
 * Source: lib/nx-match.c (nxm_execute_reg_move, nxm_reg_load), ofproto/ofproto-dpif-xlate.c (OFPACT_SET_FIELD).
 */
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import type { MfField, MfValue, Subfield } from '../../openflow/fields/mf-field.ts';
import { mfPrereqsOk } from '../../openflow/fields/mf-prereqs.ts';
import { maskSubfield, moveSubfield, setSubfield } from '../../openflow/fields/mf-subfield.ts';
import { mfMaskBits, mfSetMasked } from '../../openflow/fields/mf-value.ts';

const hasField = (flow: FlowKey, field: MfField, wc: FlowMask): boolean => mfPrereqsOk(field, flow, undefined, wc);

/** Writes the bits of `mask`; false if the packet has not got the field. */
export function xlateSetField(flow: FlowKey, wc: FlowMask, field: MfField, value: MfValue, mask: MfValue): boolean {
  if (!hasField(flow, field, wc)) return false;
  mfMaskBits(field, mask, wc);
  mfSetMasked(field, value, mask, flow);
  return true;
}

/** Writes a number of up to 32 bits. */
export function xlateLoad(flow: FlowKey, wc: FlowMask, dst: Subfield, value: number): void {
  if (!hasField(flow, dst.field, wc)) return;
  maskSubfield(dst, wc);
  setSubfield(dst, value, flow);
}

/** Copies some bits of a field to another. */
export function xlateMove(flow: FlowKey, wc: FlowMask, dst: Subfield, src: Subfield): void {
  if (!hasField(flow, dst.field, wc) || !hasField(flow, src.field, wc)) return;
  maskSubfield(src, wc);
  maskSubfield(dst, wc);
  moveSubfield(dst, src, flow);
}
