/**
 * What the log says of a packet whose translation went too deep or took too many steps: all of it, as `ofproto/trace` shows it, since the
 * last step alone tells nothing of how it came about.  Source: ofproto/ofproto-dpif-upcall.c (upcall_xlate).
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, newFlow, setField } from '../../flow/flow-key.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { traceFlow } from '../xlate/trace/trace.ts';
import type { XBridge } from '../xlate/xbridge.ts';
import { XLATE_ERROR, type XlateError } from '../xlate/xlate-error.ts';
import type { BridgeLookup } from './udpif-state.ts';

const log = vlog('ofproto_dpif_upcall');
/** A trace is long, and longer if each recirculation goes as deep. */
const limit = new RateLimit(1, 1);
const MAX_RECIRCS = 3;

/** Logs a trace of `flow`, a packet's that came in by OpenFlow port `ofport` of `bridge`, if `error` is such a one; soon, and not now. */
export function logRunaway(
  error: XlateError,
  bridges: BridgeLookup,
  bridge: XBridge,
  flow: FlowKey,
  ofport: number,
): void {
  if (error !== XLATE_ERROR.RECURSION_TOO_DEEP && error !== XLATE_ERROR.TOO_MANY_RESUBMITS) return;
  if (!log.isEnabled('warn') || !limit.take()) return;
  const traced = newFlow();
  traced.set(flow);
  setField(traced, FIELD.inPort, ofport);
  // The translation that failed has not been used up yet, and another one overwrites it.
  queueMicrotask(() => void traceFlow(bridges, bridge, traced, MAX_RECIRCS).then((text) => log.warn(text)));
}
