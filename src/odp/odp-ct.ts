/**
 * The CT action of a datapath, written: what translation asks of the connection tracker.  Part of odp-actions.ts.
 * Source: include/uapi/linux/openvswitch.h (enum ovs_ct_attr), lib/odp-util.c.
 */
import { LITTLE_ENDIAN } from '../netlink/constants.ts';
import type { MessageWriter } from '../netlink/message.ts';
import { OVS_ACTION_ATTR as A, OVS_CT_ATTR as C } from './action-attrs.ts';
import { LABELS_SIZE, putLabels } from './key/odp-labels.ts';

export interface CtOptions {
  readonly commit?: boolean;
  /** Instead of `commit`: also where a connection of the other direction is in the way. */
  readonly force?: boolean;
  readonly zone?: number;
  readonly mark?: { readonly value: number; readonly mask: number };
  /** 16 bytes each, the highest bits first. */
  readonly labels?: { readonly value: Uint8Array; readonly mask: Uint8Array };
  readonly helper?: string;
  readonly timeout?: string;
  /** Events (IPCT_* bits) that listeners are told of. */
  readonly eventMask?: number;
  /** OVS_NAT_ATTR_* nest; empty: translate as the connection was. */
  readonly nat?: Uint8Array;
}

/** Writes a whole OVS_ACTION_ATTR_CT. */
export function putCt(w: MessageWriter, options: CtOptions): void {
  const nest = w.nest(A.CT);
  if (options.commit) w.attrFlag(options.force ? C.FORCE_COMMIT : C.COMMIT);
  if (options.eventMask !== undefined) w.attrU32(C.EVENTMASK, options.eventMask);
  if (options.zone !== undefined) w.attrU16(C.ZONE, options.zone);
  if (options.mark) {
    const at = w.attrHeader(C.MARK, 8);
    w.dv.setUint32(at, options.mark.value, LITTLE_ENDIAN);
    w.dv.setUint32(at + 4, options.mark.mask, LITTLE_ENDIAN);
  }
  if (options.labels) {
    const at = w.attrHeader(C.LABELS, 32);
    putLabels(w.bytes, at, options.labels.value);
    putLabels(w.bytes, at + LABELS_SIZE, options.labels.mask);
  }
  if (options.helper !== undefined) w.attrString(C.HELPER, options.helper);
  if (options.timeout !== undefined) w.attrString(C.TIMEOUT, options.timeout);
  if (options.nat) w.attrBytes(C.NAT, options.nat);
  w.endNest(nest);
}
