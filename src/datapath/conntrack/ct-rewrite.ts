/**
 * Writes an action list as the kernel keeps it: CT actions are stored as their meaning, and so shown in one order, with a
 * zone always, whatever was sent.  Lists inside actions are gone through too.
 * Source: net/openvswitch/conntrack.c (ovs_ct_action_to_attr).
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { MessageWriter } from '../../netlink/message.ts';
import {
  OVS_ACTION_ATTR as A,
  OVS_CHECK_PKT_LEN_ATTR,
  OVS_DEC_TTL_ATTR,
  OVS_SAMPLE_ATTR,
} from '../../odp/action-attrs.ts';
import { type CtArgs, writeCt } from './ct-args.ts';

/** In actions that hold lists: which of their attributes do.  Those of CLONE are the list itself. */
const LISTS: Readonly<Record<number, readonly number[]>> = {
  [A.SAMPLE]: [OVS_SAMPLE_ATTR.ACTIONS],
  [A.CHECK_PKT_LEN]: [OVS_CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER, OVS_CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL],
  [A.DEC_TTL]: [OVS_DEC_TTL_ATTR.ACTION],
};

/** The list `[at, at + size)`, which was compiled; `cts` are its CT actions. */
export function rewriteCt(dv: DataView, at: number, size: number, cts: readonly CtArgs[]): Uint8Array<ArrayBuffer> {
  const w = new MessageWriter(size + 64 * cts.length);
  // check_pkt_len's lists are compiled in an order of their own, so actions are matched by where they are.
  const order = new Map(cts.map((ct) => [ct.at, ct]));
  copyList(w, dv, at, at + size, order);
  return w.bytes.slice(0, w.size) as Uint8Array<ArrayBuffer>;
}

function copyList(w: MessageWriter, dv: DataView, at: number, end: number, cts: ReadonlyMap<number, CtArgs>): void {
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN);
    const kind = type & NLA_TYPE_MASK;
    const payload = at + NLA_HDRLEN;
    const ct = kind === A.CT ? cts.get(payload) : undefined;
    if (ct !== undefined) {
      const nest = w.nest(type);
      writeCt(w, ct);
      w.endNest(nest);
    } else if (kind === A.CLONE) {
      const nest = w.nest(type);
      copyList(w, dv, payload, at + len, cts);
      w.endNest(nest);
    } else if (LISTS[kind] !== undefined) {
      const nest = w.nest(type);
      copyLists(w, dv, payload, at + len, LISTS[kind], cts);
      w.endNest(nest);
    } else {
      copy(w, dv, at, len);
    }
    at += nlaAlign(len);
  }
}

function copyLists(
  w: MessageWriter,
  dv: DataView,
  at: number,
  end: number,
  lists: readonly number[],
  cts: ReadonlyMap<number, CtArgs>,
): void {
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN);
    if (lists.includes(type & NLA_TYPE_MASK)) {
      const nest = w.nest(type);
      copyList(w, dv, at + NLA_HDRLEN, at + len, cts);
      w.endNest(nest);
    } else {
      copy(w, dv, at, len);
    }
    at += nlaAlign(len);
  }
}

function copy(w: MessageWriter, dv: DataView, at: number, len: number): void {
  const bytes = new Uint8Array(dv.buffer, dv.byteOffset + at, len);
  w.attrBytes(dv.getUint16(at + 2, LITTLE_ENDIAN), bytes, NLA_HDRLEN, len - NLA_HDRLEN);
}
