/**
 * push and pop: fields kept on a stack of whole bytes; delete_field: options of a tunnel that go.
 * Source: lib/nx-match.c (nxm_execute_stack_push, nxm_execute_stack_pop), lib/tun-metadata.c (tun_metadata_delete).
 */
import { maskSubfield, readSubfieldBytes, writeSubfieldBytes } from '../../../openflow/fields/mf-subfield.ts';
import { mfClearTunMetadata } from '../../../openflow/fields/mf-value.ts';
import type { OfpactDeleteField, OfpactStack } from '../../../openflow/ofpact.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { reportError } from '../xlate-report.ts';

export function xlateStack(ctx: XlateCtx, { kind, subfield }: OfpactStack): void {
  if (kind === 'push') {
    maskSubfield(subfield, ctx.wc);
    ctx.stack.push(readSubfieldBytes(subfield, ctx.flow));
    return;
  }
  const value = ctx.stack.pop();
  if (value === undefined) {
    reportError(ctx, 'stack underflow');
    return;
  }
  maskSubfield(subfield, ctx.wc);
  writeSubfieldBytes(subfield, value, ctx.flow);
  ctx.trace?.subfield(subfield, ctx.flow);
}

/** Only options can be deleted. */
export function xlateDeleteField(ctx: XlateCtx, { field }: OfpactDeleteField): void {
  mfClearTunMetadata(field, ctx.flow);
  ctx.trace?.detail(`delete ${field.name}`);
}
