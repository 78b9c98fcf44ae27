/**
 * How many VLAN tags of a packet are fields of its flow, in this process: other_config:vlan-limit.  Tags behind them are payload, and the first
 * of those is what the flow has for an Ethernet type.
 * Source: lib/flow.c (flow_limit_vlans), ovs-vswitchd.conf.db(5).
 */

/** What a flow can hold. */
export const MAX_VLAN_TAGS = 2;
/** Unless the database says more, for controllers that know of no second tag. */
export const DEFAULT_VLAN_LIMIT = 1;

let limit: number = DEFAULT_VLAN_LIMIT;

/** 1 or 2. */
export const vlanLimit = (): number => limit;

/** Sets the limit; a number below 1 stands for as many as a flow can hold.  Returns whether it is another than before. */
export function setVlanLimit(wanted: number): boolean {
  const before = limit;
  limit = wanted < 1 ? MAX_VLAN_TAGS : Math.min(wanted, MAX_VLAN_TAGS);
  return limit !== before;
}
