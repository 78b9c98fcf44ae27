/**
 * Labels of connections: one number of 128 bits, with the highest bits first in flows and in OpenFlow, and in host order on netlink.
 * Source: lib/odp-util.c (ct_label is an ovs_u128), include/uapi/linux/openvswitch.h (struct ovs_key_ct_labels).
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getFieldBytes, setFieldBytes } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN } from '../../netlink/constants.ts';

/** Bytes. */
export const LABELS_SIZE = 16;

const scratch = new Uint8Array(LABELS_SIZE);

/** Writes 16 bytes of `labels` from `from` on, the highest bits first, to the wire. */
export function putLabels(to: Uint8Array, at: number, labels: Uint8Array, from = 0): void {
  for (let i = 0; i < LABELS_SIZE; i++) to[at + i] = labels[from + (LITTLE_ENDIAN ? LABELS_SIZE - 1 - i : i)]!;
}

/** Writes the labels of a flow, or of a mask, to the wire. */
export function putFlowLabels(to: Uint8Array, at: number, flow: FlowKey): void {
  getFieldBytes(flow, FIELD.ctLabels, scratch, 0);
  putLabels(to, at, scratch);
}

/** Reads them from the wire. */
export function loadFlowLabels(flow: FlowKey, from: Uint8Array, at: number): void {
  putLabels(scratch, 0, from, at);
  setFieldBytes(flow, FIELD.ctLabels, scratch, 0);
}
