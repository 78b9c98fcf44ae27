/**
 * What compile-actions.ts knows of each action besides what it does: the size of its payload, whether it keeps the flow
 * key, whether it uses the packet up.
 * Source: net/openvswitch/flow_netlink.c (action_lens, actions_may_change_flow), actions.c.
 */
import { OVS_ACTION_ATTR as A } from '../../odp/action-attrs.ts';

/** Payload sizes; -1 is checked by the action itself.  What is missing is refused. */
export const ACTION_SIZES: readonly (number | undefined)[] = Object.assign([], {
  [A.OUTPUT]: 4,
  [A.USERSPACE]: -1,
  [A.SET]: -1,
  [A.PUSH_VLAN]: 4,
  [A.POP_VLAN]: 0,
  [A.SAMPLE]: -1,
  [A.RECIRC]: 4,
  [A.HASH]: 8,
  [A.PUSH_MPLS]: 8,
  [A.POP_MPLS]: 2,
  [A.SET_MASKED]: -1,
  [A.TRUNC]: 4,
  [A.CT]: -1,
  [A.CT_CLEAR]: 0,
  [A.PUSH_ETH]: 12,
  [A.POP_ETH]: 0,
  [A.PUSH_NSH]: -1,
  [A.POP_NSH]: 0,
  [A.METER]: 4,
  [A.CLONE]: -1,
  [A.CHECK_PKT_LEN]: -1,
  [A.ADD_MPLS]: 8,
  [A.DEC_TTL]: -1,
  [A.DROP]: 4,
  [A.PSAMPLE]: -1,
});
/** Actions that leave the flow key as it is for those that come after them. */
export const KEEPS_KEY = new Set<number>([A.OUTPUT, A.RECIRC, A.TRUNC, A.USERSPACE, A.DROP, A.PSAMPLE]);
/** Actions after which nothing is left of a packet, if they come last. */
export const USES_UP = new Set<number>([
  ...[A.OUTPUT, A.RECIRC, A.USERSPACE, A.SAMPLE, A.CLONE, A.CHECK_PKT_LEN, A.DROP, A.PSAMPLE],
]);
