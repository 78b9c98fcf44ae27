/** Why flows go away, as text.  Source: lib/ofp-monitor.c (ofp_flow_removed_reason_to_string). */

const FLOW_REMOVED = ['idle', 'hard', 'delete', 'group_delete', 'meter_delete', 'eviction'] as const;

/** "idle" for OFPRR_IDLE_TIMEOUT; a number for one that has no name. */
export const formatFlowRemovedReason = (reason: number): string => FLOW_REMOVED[reason] ?? String(reason);
