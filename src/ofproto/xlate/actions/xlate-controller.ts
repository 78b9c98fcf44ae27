/**
 * Actions that send the packet up to controllers: the action controller, an output to OFPP_CONTROLLER, and TTLs that have run out.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_controller_action, compose_dec_ttl).
 */
import { FIELD } from '../../../flow/fields.ts';
import { getField, setField, setFieldOnes } from '../../../flow/flow-key.ts';
import { isIp } from '../packet-fields.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { sendToController } from '../xlate-freeze.ts';
import type { TtlResult } from './xlate-header.ts';

/** OFPR_*: why a packet goes to a controller. */
const OFPR = { ACTION: 1, INVALID_TTL: 2, ACTION_SET: 3, GROUP: 4, PACKET_OUT: 5, EXPLICIT_MISS: 6 } as const;
const NO_USERDATA = new Uint8Array(0);
const ALL_BYTES = 0xffff;

/** Sends the packet up; the flow stays in the datapath. */
export function xlateController(
  ctx: XlateCtx,
  maxLen: number,
  reason: number,
  controllerId: number,
  userdata: Uint8Array,
  meterId = 0,
): void {
  // What the rule does that takes what no other takes is a miss that someone has made explicit.
  const isMiss =
    reason === OFPR.ACTION && ctx.rule !== undefined && ctx.rule.priority === 0 && ctx.rule.match.values.length === 0;
  sendToController(ctx, { reason: isMiss ? OFPR.EXPLICIT_MISS : reason, controllerId, maxLen, userdata, meterId });
}

/** Carries out an output to OFPP_CONTROLLER, of at most `maxLen` bytes. */
export function outputToController(ctx: XlateCtx, maxLen: number): void {
  xlateController(ctx, maxLen, reasonToSend(ctx), 0, NO_USERDATA);
}

/** Why an output sends the packet up. */
function reasonToSend(ctx: XlateCtx): number {
  if (ctx.isPacketOut) return OFPR.PACKET_OUT;
  if (ctx.inBucket) return OFPR.GROUP;
  return ctx.inActionSet ? OFPR.ACTION_SET : OFPR.ACTION;
}

/** Carries out dec_ttl.  True if the TTL has run out: the list of actions ends there. */
export function decTtl(ctx: XlateCtx, controllerIds: readonly number[]): boolean {
  const { flow, wc } = ctx;
  if (!isIp(getField(flow, FIELD.ethType))) return false;
  setFieldOnes(wc, FIELD.nwTtl);
  const ttl = getField(flow, FIELD.nwTtl);
  if (ttl > 1) {
    setField(flow, FIELD.nwTtl, ttl - 1);
    return false;
  }
  for (const id of controllerIds) xlateController(ctx, ALL_BYTES, OFPR.INVALID_TTL, id, NO_USERDATA);
  ctx.trace?.warn(`IPv${getField(flow, FIELD.ethType) === 0x0800 ? 4 : 6} decrement TTL exception`);
  return true;
}

/** The same for headers whose actions name no controllers. */
export function ttlExpired(ctx: XlateCtx, result: TtlResult, header: string): boolean {
  if (result === 'ok') return false;
  if (result === 'expired') xlateController(ctx, ALL_BYTES, OFPR.INVALID_TTL, 0, NO_USERDATA);
  ctx.trace?.warn(`${header} decrement TTL exception`);
  return true;
}
