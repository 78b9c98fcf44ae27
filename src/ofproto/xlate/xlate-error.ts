/**
 * Why a translation dropped a packet: codes, their texts, and the counters of packets that were dropped for each.
 * Source: include/uapi/linux/openvswitch.h as Open vSwitch extends it (enum xlate_error), lib/odp-execute.c (drop_action_* counters).
 */
import { type Coverage, coverage } from '../../util/coverage.ts';

/** OK of a translation without actions: the tables say that the packet is dropped. */
// biome-ignore format: table
export const XLATE_ERROR = {
  OK: 0, BRIDGE_NOT_FOUND: 1, RECURSION_TOO_DEEP: 2, TOO_MANY_RESUBMITS: 3, STACK_TOO_DEEP: 4, NO_RECIRCULATION_CONTEXT: 5,
  RECIRCULATION_CONFLICT: 6, TOO_MANY_MPLS_LABELS: 7, INVALID_TUNNEL_METADATA: 8, UNSUPPORTED_PACKET_TYPE: 9,
  CONGESTION_DROP: 10, FORWARDING_DISABLED: 11,
  UNSUPPORTED_ACTION: 255, // of this translation, not of OpenFlow
} as const;
export type XlateError = (typeof XLATE_ERROR)[keyof typeof XLATE_ERROR];

// biome-ignore format: table
const ROWS: ReadonlyMap<XlateError, readonly [text: string, counter: string]> = new Map([
  [XLATE_ERROR.OK,                       ['OK', 'of_pipeline']],
  [XLATE_ERROR.BRIDGE_NOT_FOUND,         ['Bridge not found', 'bridge_not_found']],
  [XLATE_ERROR.RECURSION_TOO_DEEP,       ['Recursion too deep', 'recursion_too_deep']],
  [XLATE_ERROR.TOO_MANY_RESUBMITS,       ['Too many resubmits', 'too_many_resubmit']],
  [XLATE_ERROR.STACK_TOO_DEEP,           ['Stack too deep', 'stack_too_deep']],
  [XLATE_ERROR.NO_RECIRCULATION_CONTEXT, ['No recirculation context', 'no_recirculation_context']],
  [XLATE_ERROR.RECIRCULATION_CONFLICT,   ['Recirculation conflict', 'recirculation_conflict']],
  [XLATE_ERROR.TOO_MANY_MPLS_LABELS,     ['Too many MPLS labels', 'too_many_mpls_labels']],
  [XLATE_ERROR.INVALID_TUNNEL_METADATA,  ['Invalid tunnel metadata', 'invalid_tunnel_metadata']],
  [XLATE_ERROR.UNSUPPORTED_PACKET_TYPE,  ['Unsupported packet type', 'unsupported_packet_type']],
  [XLATE_ERROR.CONGESTION_DROP,          ['Congestion Drop', 'congestion']],
  [XLATE_ERROR.FORWARDING_DISABLED,      ['Forwarding is disabled', 'forwarding_disabled']],
]);

const counters = new Map<XlateError, Coverage>(
  [...ROWS].map(([error, [, counter]]) => [error, coverage(`drop_action_${counter}`)]),
);

/** Whether the packet is dropped because that is right, and nothing went wrong. */
export const isAsPlanned = (error: XlateError): boolean =>
  error === XLATE_ERROR.OK || error === XLATE_ERROR.CONGESTION_DROP || error === XLATE_ERROR.FORWARDING_DISABLED;

/** "Recursion too deep". */
export const xlateErrorText = (error: XlateError): string => ROWS.get(error)?.[0] ?? 'Unknown error';

/** Counts packets that a translation dropped. */
export function countDrop(error: XlateError, nPackets: bigint): void {
  const counter = counters.get(error);
  if (counter !== undefined) counter.n += Number(nPackets);
}
