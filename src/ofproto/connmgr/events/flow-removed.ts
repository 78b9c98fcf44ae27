/**
 * What is told of a flow that is gone.
 * Source: ofproto/ofproto.c (ofproto_rule_send_removed).
 */
import { newFlow } from '../../../flow/flow-key.ts';
import { expandTo } from '../../../flow/minimatch.ts';
import { unbindMatch } from '../../../openflow/fields/tlv-bind.ts';
import type { TlvTable } from '../../../openflow/fields/tlv-table.ts';
import type { FlowRemoved } from '../../../openflow/messages/flow/flow-types.ts';
import type { Rule } from '../../tables/rule.ts';

/** `reason` is one of OFPRR. */
export function flowRemovedOf(rule: Rule, reason: number, nowMs: number, tlvTable: TlvTable): FlowRemoved {
  const match = { flow: newFlow(), mask: newFlow() };
  expandTo(rule.match, match.flow, match.mask);
  const ageMs = Math.max(0, nowMs - rule.createdMs);
  return {
    match: unbindMatch(match, tlvTable),
    cookie: rule.cookie,
    priority: rule.priority,
    reason,
    tableId: rule.table,
    durationSec: Math.floor(ageMs / 1000),
    durationNsec: Math.floor((ageMs % 1000) * 1e6),
    idleTimeout: rule.idleTimeout,
    hardTimeout: rule.hardTimeout,
    packetCount: rule.nPackets,
    byteCount: rule.nBytes,
  };
}
