/**
 * A connection as a ctnetlink message, attributes in the kernel's order.
 * Source: net/netfilter/nf_conntrack_netlink.c (ctnetlink_fill_info, ctnetlink_conntrack_event).
 */
import { NLA_F_NESTED, NLM_F } from '../../../netlink/constants.ts';
import {
  CTA,
  CTA_HELP,
  CTA_PROTOINFO,
  CTA_PROTOINFO_SCTP,
  CTA_PROTOINFO_TCP,
  IPCTNL_MSG_CT,
  NFGENMSG_SIZE,
  NFNL_SUBSYS,
  nfnlType,
} from '../../../netlink/families/ctnetlink.ts';
import type { MessageWriter } from '../../../netlink/message.ts';
import { NONE } from '../conn-table.ts';
import { IPCT, NFPROTO, PROTO } from '../ct-constants.ts';
import { helperName } from '../helpers/helper-names.ts';
import { sctpStateOf, sctpTagOf } from '../protocols/sctp.ts';
import { tcpFlagsOf, tcpScaleOf, tcpStateOf } from '../protocols/tcp-conn.ts';
import type { Tracker } from '../tracker.ts';
import { isV6Of, protoOf, T, TUPLE_WORDS, zoneOf } from '../tuple.ts';
import { putTuple } from './ctnetlink-tuple.ts';

/** nfgen_family of a tuple whose word META is `meta`. */
export const familyOf = (meta: number): number => (isV6Of(meta) ? NFPROTO.IPV6 : NFPROTO.IPV4);
export const putBe32 = (w: MessageWriter, type: number, value: number): void => {
  w.dv.setInt32(w.attrHeader(type, 4), value);
};
const putBe16 = (w: MessageWriter, type: number, value: number): void => {
  w.dv.setUint16(w.attrHeader(type, 2), value);
};

/** Begins a message of nfnetlink. */
export function beginMessage(
  w: MessageWriter,
  type: number,
  flags: number,
  seq: number,
  portId: number,
  family: number,
): number {
  const at = w.begin(type, flags, seq, portId);
  w.reserve(NFGENMSG_SIZE);
  w.dv.setUint32(w.size, 0);
  w.dv.setUint8(w.size, family);
  w.size += NFGENMSG_SIZE;
  return at;
}

/** Appends connection `conn`, an answer to message `seq` of port id `to`. */
export function putConnection(
  w: MessageWriter,
  tracker: Tracker,
  conn: number,
  seq: number,
  to: number,
  flags: number,
): void {
  const { table } = tracker;
  const { tuples } = table;
  const meta = tuples[2 * conn * TUPLE_WORDS + T.META]!;
  const type = nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.NEW);
  const at = beginMessage(w, type, flags, seq, to, familyOf(meta));
  putTuple(w, CTA.TUPLE_ORIG, tuples, table.tupleAt(2 * conn));
  putTuple(w, CTA.TUPLE_REPLY, tuples, table.tupleAt(2 * conn + 1));
  if (zoneOf(meta) !== 0) putBe16(w, CTA.ZONE, zoneOf(meta));
  putBe32(w, CTA.STATUS, table.status[conn]!);
  putBe32(w, CTA.MARK, table.mark[conn]!);
  putBe32(w, CTA.ID, tracker.idOf(conn));
  putBe32(w, CTA.USE, 1);
  const master = table.master[conn]!;
  if (master !== NONE) putTuple(w, CTA.TUPLE_MASTER, tuples, table.tupleAt(2 * master));
  putBe32(w, CTA.TIMEOUT, Math.max(0, Math.floor((table.timeout[conn]! - tracker.now) / 1000)));
  putProtocol(w, tracker, conn, protoOf(meta));
  putHelper(w, table.helper[conn]!);
  putLabels(w, table.labels, conn);
  w.end(at);
}

/** Appends what listeners are told of a connection.  `events`: IPCT bits. */
export function putEvent(w: MessageWriter, tracker: Tracker, conn: number, events: number): void {
  const { table } = tracker;
  const { tuples } = table;
  const meta = tuples[2 * conn * TUPLE_WORDS + T.META]!;
  const isEnd = (events & IPCT.DESTROY) !== 0;
  const isNew = !isEnd && (events & (IPCT.NEW | IPCT.RELATED)) !== 0;
  const type = nfnlType(NFNL_SUBSYS.CTNETLINK, isEnd ? IPCTNL_MSG_CT.DELETE : IPCTNL_MSG_CT.NEW);
  const at = beginMessage(w, type, isNew ? NLM_F.CREATE | NLM_F.EXCL : 0, 0, 0, familyOf(meta));
  putTuple(w, CTA.TUPLE_ORIG, tuples, table.tupleAt(2 * conn));
  putTuple(w, CTA.TUPLE_REPLY, tuples, table.tupleAt(2 * conn + 1));
  if (zoneOf(meta) !== 0) putBe16(w, CTA.ZONE, zoneOf(meta));
  putBe32(w, CTA.ID, tracker.idOf(conn));
  putBe32(w, CTA.STATUS, table.status[conn]!);
  const seconds = Math.max(0, Math.floor((table.timeout[conn]! - tracker.now) / 1000));
  if (!isEnd || seconds !== 0) putBe32(w, CTA.TIMEOUT, seconds);
  if (isEnd || (events & IPCT.PROTOINFO) !== 0) putProtocol(w, tracker, conn, protoOf(meta), isEnd);
  if (!isEnd) {
    putHelper(w, table.helper[conn]!);
    if ((events & IPCT.LABEL) !== 0) putLabels(w, table.labels, conn);
    const master = table.master[conn]!;
    if ((events & IPCT.RELATED) !== 0 && master !== NONE) {
      putTuple(w, CTA.TUPLE_MASTER, tuples, table.tupleAt(2 * master));
    }
  }
  if (table.mark[conn] !== 0 || (events & IPCT.MARK) !== 0) putBe32(w, CTA.MARK, table.mark[conn]!);
  w.end(at);
}

function putHelper(w: MessageWriter, helper: number): void {
  if (helper === 0) return;
  const nest = w.nest(CTA.HELP | NLA_F_NESTED);
  w.attrString(CTA_HELP.NAME, helperName(helper));
  w.endNest(nest);
}

/** `isEnd`: of a connection that is over, TCP's and SCTP's state is all. */
function putProtocol(w: MessageWriter, tracker: Tracker, conn: number, proto: number, isEnd = false): void {
  const { state } = tracker.table;
  if (proto !== PROTO.TCP && proto !== PROTO.SCTP) return;
  const nest = w.nest(CTA.PROTOINFO | NLA_F_NESTED);
  if (proto === PROTO.TCP) {
    const tcp = w.nest(CTA_PROTOINFO.TCP | NLA_F_NESTED);
    w.attrU8(CTA_PROTOINFO_TCP.STATE, tcpStateOf(state, conn));
    if (isEnd) {
      w.endNest(tcp);
      w.endNest(nest);
      return;
    }
    w.attrU8(CTA_PROTOINFO_TCP.WSCALE_ORIGINAL, tcpScaleOf(state, conn, 0));
    w.attrU8(CTA_PROTOINFO_TCP.WSCALE_REPLY, tcpScaleOf(state, conn, 1));
    // struct nf_ct_tcp_flags: flags, then a mask that only matters in requests.
    w.dv.setUint16(w.attrHeader(CTA_PROTOINFO_TCP.FLAGS_ORIGINAL, 2), tcpFlagsOf(state, conn, 0) << 8);
    w.dv.setUint16(w.attrHeader(CTA_PROTOINFO_TCP.FLAGS_REPLY, 2), tcpFlagsOf(state, conn, 1) << 8);
    w.endNest(tcp);
  } else {
    const sctp = w.nest(CTA_PROTOINFO.SCTP | NLA_F_NESTED);
    w.attrU8(CTA_PROTOINFO_SCTP.STATE, sctpStateOf(state, conn));
    if (isEnd) {
      w.endNest(sctp);
      w.endNest(nest);
      return;
    }
    putBe32(w, CTA_PROTOINFO_SCTP.VTAG_ORIGINAL, sctpTagOf(state, conn, 0));
    putBe32(w, CTA_PROTOINFO_SCTP.VTAG_REPLY, sctpTagOf(state, conn, 1));
    w.endNest(sctp);
  }
  w.endNest(nest);
}

function putLabels(w: MessageWriter, labels: Int32Array, conn: number): void {
  let any = 0;
  for (let i = 0; i < 4; i++) any |= labels[4 * conn + i]!;
  if (any === 0) return;
  const at = w.attrHeader(CTA.LABELS, 16);
  for (let i = 0; i < 4; i++) w.dv.setInt32(at + 4 * i, labels[4 * conn + i]!);
}
