/**
 * What is in the actions that have attributes of their own, read and checked as the kernel does: for compile-actions.ts, which compiles the
 * lists among them.  What is wrong throws a NetlinkError.
 * Source: net/openvswitch/flow_netlink.c (validate_and_copy_sample, validate_and_copy_check_pkt_len, validate_and_copy_dec_ttl, validate_userspace).
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { AttrCursor } from '../../netlink/message.ts';
import { OVS_CHECK_PKT_LEN_ATTR, OVS_DEC_TTL_ATTR, OVS_SAMPLE_ATTR } from '../../odp/action-attrs.ts';
import { ERRNO } from '../../util/errno.ts';
import { KEEPS_KEY } from './action-rules.ts';

/** A piece of the message: the payload of an attribute, or a list of actions. */
export interface Range {
  readonly at: number;
  readonly size: number;
}

export const refuse = (what: string, errno: number = ERRNO.EINVAL): never => {
  throw new NetlinkError(errno, `actions: ${what}`);
};

/** The parts of a SAMPLE.  `probability`: of 2^32, as an int32. */
export function readSample(dv: DataView, { at, size }: Range): { probability: number; list: Range } {
  const seen = new AttrCursor(dv, at, at + size, 'OVS_SAMPLE_ATTR');
  const attrs: Range[] = [];
  while (seen.next()) {
    const isKnown = seen.type === OVS_SAMPLE_ATTR.PROBABILITY || seen.type === OVS_SAMPLE_ATTR.ACTIONS;
    if (!isKnown || attrs[seen.type] !== undefined) refuse(`sample attribute ${seen.type}`);
    attrs[seen.type] = { at: seen.at, size: seen.size };
  }
  const probability = attrs[OVS_SAMPLE_ATTR.PROBABILITY];
  if (probability?.size !== 4) return refuse('sample without probability');
  const list = checkedList(attrs[OVS_SAMPLE_ATTR.ACTIONS]);
  return { probability: dv.getInt32(probability.at, LITTLE_ENDIAN), list };
}

/** The parts of a CHECK_PKT_LEN: the length, and the lists for packets that are no longer and for others. */
export function readCheckPktLen(dv: DataView, { at, size }: Range): { bytes: number; less: Range; greater: Range } {
  const C = OVS_CHECK_PKT_LEN_ATTR;
  const seen = new AttrCursor(dv, at, at + size, 'OVS_CHECK_PKT_LEN_ATTR');
  const attrs: Range[] = [];
  while (seen.next()) {
    if (seen.type > C.ACTIONS_IF_LESS_EQUAL) refuse(`check_pkt_len attribute ${seen.type}`);
    if (seen.type === C.PKT_LEN && seen.size < 2) refuse('check_pkt_len length too short', ERRNO.ERANGE);
    if (seen.type > C.PKT_LEN && seen.size > 0 && seen.size < NLA_HDRLEN) refuse('check_pkt_len list', ERRNO.ERANGE);
    attrs[seen.type] = { at: seen.at, size: seen.size };
  }
  const length = attrs[C.PKT_LEN];
  const bytes = length === undefined ? 0 : dv.getUint16(length.at, LITTLE_ENDIAN);
  if (bytes === 0) refuse('check_pkt_len without length');
  const less = checkedList(attrs[C.ACTIONS_IF_LESS_EQUAL]);
  const greater = checkedList(attrs[C.ACTIONS_IF_GREATER]);
  return { bytes, less, greater };
}

/** The list in a DEC_TTL; unknown attributes are ignored, a second list is refused. */
export function readDecTtl(dv: DataView, { at, size }: Range): Range {
  const seen = new AttrCursor(dv, at, at + size, 'OVS_DEC_TTL_ATTR');
  let list: Range | undefined;
  while (seen.next()) {
    if (seen.type > OVS_DEC_TTL_ATTR.ACTION) continue;
    if (seen.type !== OVS_DEC_TTL_ATTR.ACTION || list !== undefined) refuse(`dec_ttl attribute ${seen.type}`);
    list = { at: seen.at, size: seen.size };
  }
  return checkedList(list);
}

function checkedList(list: Range | undefined): Range {
  if (list === undefined || (list.size > 0 && list.size < NLA_HDRLEN)) return refuse('list of actions missing');
  return list;
}

/** Whether no action of a list changes the flow key. */
export function keepsKey(dv: DataView, { at, size }: Range): boolean {
  const it = new AttrCursor(dv, at, at + size, 'OVS_ACTION_ATTR');
  while (it.next()) if (!KEEPS_KEY.has(it.type)) return false;
  return true;
}

/** Attributes up to `max` by number, the last of each; the others, and what is left at the end, are ignored. */
export function lastOfEach(dv: DataView, list: Range, max: number): Range[] {
  const attrs: Range[] = [];
  const end = list.at + list.size;
  for (let at = list.at; end - at >= NLA_HDRLEN; ) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) break;
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    if (type <= max) attrs[type] = { at: at + NLA_HDRLEN, size: len - NLA_HDRLEN };
    at += nlaAlign(len);
  }
  return attrs;
}
