/**
 * Queues whose packets have a DSCP field of their own: a port may say so of its queues, and each packet that leaves by it has the field
 * of the queue that its priority means.  Source: ofproto/ofproto-dpif-xlate.c (dscp_from_skb_priority), vswitchd/vswitch.xml (Queue).
 */
import { FIELD } from '../../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField, setFieldOnes } from '../../../flow/flow-key.ts';

const DSCP = 0xfc;

/** Bits of the TOS field by skb_priority. */
export type QueueDscps = ReadonlyMap<number, number>;

/** From the DSCP (0 to 63) by queue; queues without priority are left out. */
export function queueDscps(
  queues: ReadonlyMap<number, number>,
  priorityOf: (queue: number) => number | undefined,
): QueueDscps {
  const byPriority = new Map<number, number>();
  for (const [queue, dscp] of queues) {
    const priority = priorityOf(queue);
    if (priority !== undefined) byPriority.set(priority, (dscp << 2) & DSCP);
  }
  return byPriority;
}

/** Sets the field of a packet that is about to leave; returns what it was, to be put back.  Only of packets that have one. */
export function setQueueDscp(dscps: QueueDscps | undefined, flow: FlowKey, wc: FlowMask): number {
  const tos = getField(flow, FIELD.nwTos);
  if (dscps === undefined || dscps.size === 0) return tos;
  setFieldOnes(wc, FIELD.skbPriority);
  const dscp = dscps.get(getField(flow, FIELD.skbPriority) >>> 0);
  const ethType = getField(flow, FIELD.ethType);
  if (dscp === undefined || (ethType !== ETH_TYPE_IP && ethType !== ETH_TYPE_IPV6)) return tos;
  setField(wc, FIELD.nwTos, getField(wc, FIELD.nwTos) | DSCP);
  setField(flow, FIELD.nwTos, (tos & ~DSCP) | dscp);
  return tos;
}
const ETH_TYPE_IP = 0x0800;
const ETH_TYPE_IPV6 = 0x86dd;
