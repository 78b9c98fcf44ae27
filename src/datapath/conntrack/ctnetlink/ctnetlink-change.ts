/**
 * Connections that a tool makes, and what it may change of one: IPCTNL_MSG_CT_NEW, as `conntrack -I` and `conntrack -U` send it.
 *
 * NAT is taken for a new connection only, as in the kernel; masters and sequence number adjustments are not: EOPNOTSUPP.
 * Source: net/netfilter/nf_conntrack_netlink.c (ctnetlink_new_conntrack and what it calls), nf_conntrack_core.c
 * (nf_ct_change_status_common), nf_conntrack_proto_tcp.c, nf_conntrack_proto_sctp.c (from_nlattr).
 */
import { NLM_F } from '../../../netlink/constants.ts';
import { NetlinkError } from '../../../netlink/errors.ts';
import {
  CTA,
  CTA_HELP,
  CTA_PROTOINFO,
  CTA_PROTOINFO_SCTP,
  CTA_PROTOINFO_TCP,
} from '../../../netlink/families/ctnetlink.ts';
import type { AttrCursor } from '../../../netlink/message.ts';
import { ERRNO } from '../../../util/errno.ts';
import { NONE } from '../conn-table.ts';
import { IPS, PROTO } from '../ct-constants.ts';
import { HELPER, helperNumber } from '../helpers/helper-names.ts';
import { NatChooser } from '../nat/nat.ts';
import { setSctpState } from '../protocols/sctp.ts';
import { setTcpState } from '../protocols/tcp-conn.ts';
import type { Tracker } from '../tracker.ts';
import { isV6Of, protoOf, T, TUPLE_WORDS } from '../tuple.ts';
import { CtAttrs } from './ctnetlink-attrs.ts';
import { natOf } from './ctnetlink-nat.ts';

function refuse(errno: number, what: string): never {
  throw new NetlinkError(errno, what);
}

/** A connection that is new or was changed. */
export interface ChangedConnection {
  readonly conn: number;
  readonly isNew: boolean;
  /** Whether the message had labels. */
  readonly hasLabels: boolean;
}

/**
 * Makes the connection or changes it, by `flags` (CREATE, EXCL).  Throws NetlinkError: ENOENT if there is none and none is to be
 * made, EEXIST if there is one, EINVAL, EBUSY, EOPNOTSUPP for what cannot be changed.
 */
export function newConnection(tracker: Tracker, it: AttrCursor, family: number, flags: number): ChangedConnection {
  const attrs = new CtAttrs(it);
  for (const type of [CTA.STATUS, CTA.TIMEOUT, CTA.MARK, CTA.MARK_MASK]) attrs.be32(type);
  const zone = attrs.be16(CTA.ZONE) ?? 0;
  const original = attrs.tuple(CTA.TUPLE_ORIG, family, zone);
  const reply = attrs.tuple(CTA.TUPLE_REPLY, family, zone);
  const known = original ?? reply;
  const hasLabels = attrs.has(CTA.LABELS);
  const entry = known === undefined ? NONE : tracker.find(known);
  if (entry !== NONE) {
    if ((flags & NLM_F.EXCL) !== 0) refuse(ERRNO.EEXIST, 'connection');
    change(tracker, entry >> 1, attrs);
    return { conn: entry >> 1, isNew: false, hasLabels };
  }
  if ((flags & NLM_F.CREATE) === 0) refuse(ERRNO.ENOENT, 'connection');
  if (original === undefined || reply === undefined) refuse(ERRNO.EINVAL, 'connection without both tuples');
  if (protoOf(original[T.META]!) !== protoOf(reply[T.META]!)) refuse(ERRNO.EINVAL, 'tuples of two protocols');
  return { conn: create(tracker, original, reply, attrs), isNew: true, hasLabels };
}

/** Attributes that would need more than is here. */
const UNSUPPORTED = [CTA.TUPLE_MASTER, CTA.SEQ_ADJ_ORIG, CTA.SEQ_ADJ_REPLY] as const;
function refuseUnsupported(attrs: CtAttrs): void {
  if (UNSUPPORTED.some((type) => attrs.has(type))) refuse(ERRNO.EOPNOTSUPP, 'master or sequence numbers');
}

function create(tracker: Tracker, original: Int32Array, reply: Int32Array, attrs: CtAttrs): number {
  const seconds = attrs.be32(CTA.TIMEOUT);
  if (seconds === undefined) refuse(ERRNO.EINVAL, 'connection without timeout');
  refuseUnsupported(attrs);
  const help = attrs.nested(CTA.HELP)?.text(CTA_HELP.NAME);
  const helper = help === undefined ? HELPER.NONE : helperNumber(help, protoOf(original[T.META]!));
  if (help !== undefined && helper === HELPER.NONE) refuse(ERRNO.EOPNOTSUPP, `helper ${help}`);
  checkStatus(IPS.CONFIRMED, attrs);
  const translate = natOf(attrs, new NatChooser(tracker), isV6Of(original[T.META]!));
  const conn = tracker.insert(original, reply, 1000 * (seconds >>> 0), translate);
  if (conn < 0) refuse(-conn, 'connection');
  const { table } = tracker;
  if (help !== undefined) {
    table.helper[conn] = helper;
    table.status[conn]! |= IPS.HELPER;
  }
  try {
    changeState(tracker, conn, attrs);
  } catch (error) {
    tracker.delete(conn);
    throw error;
  }
  changeStatus(tracker, conn, attrs);
  changeMark(tracker, conn, attrs);
  // Labels that are none are no error here.
  setLabels(tracker, conn, attrs);
  return conn;
}

function change(tracker: Tracker, conn: number, attrs: CtAttrs): void {
  const { table } = tracker;
  refuseUnsupported(attrs);
  if (attrs.has(CTA.NAT_SRC) || attrs.has(CTA.NAT_DST)) refuse(ERRNO.EOPNOTSUPP, 'NAT of a connection that is there');
  if (attrs.has(CTA.HELP)) changeHelper(tracker, conn, attrs);
  const seconds = attrs.be32(CTA.TIMEOUT);
  if (seconds !== undefined) {
    if ((table.status[conn]! & IPS.FIXED_TIMEOUT) !== 0) refuse(ERRNO.EPERM, 'fixed timeout');
    tracker.refresh(conn, 1000 * (seconds >>> 0));
  }
  checkStatus(table.status[conn]!, attrs);
  changeStatus(tracker, conn, attrs);
  changeState(tracker, conn, attrs);
  changeMark(tracker, conn, attrs);
  if (!setLabels(tracker, conn, attrs)) refuse(ERRNO.EINVAL, 'labels');
}

function changeHelper(tracker: Tracker, conn: number, attrs: CtAttrs): void {
  const { table } = tracker;
  const name = attrs.nested(CTA.HELP)?.text(CTA_HELP.NAME);
  if (name === undefined) refuse(ERRNO.EINVAL, 'helper without name');
  const helper = helperNumber(name, protoOf(table.tuples[2 * conn * TUPLE_WORDS + T.META]!));
  const old = table.helper[conn]!;
  if (table.master[conn] !== NONE) {
    if (helper === HELPER.NONE || helper !== old) refuse(ERRNO.EBUSY, 'helper of an expected connection');
  } else if (name === '') {
    tracker.expectations.removeOf(conn);
    table.helper[conn] = HELPER.NONE;
  } else if (helper === HELPER.NONE || old === HELPER.NONE) {
    refuse(ERRNO.EOPNOTSUPP, `helper ${name}`);
  } else if (helper !== old) {
    refuse(ERRNO.EBUSY, 'another helper');
  }
}

/** Bits that a tool may set; it can clear none. */
const CHANGEABLE = IPS.SEEN_REPLY | IPS.ASSURED | IPS.FIXED_TIMEOUT | IPS.HELPER;

function checkStatus(old: number, attrs: CtAttrs): void {
  const status = attrs.be32(CTA.STATUS);
  if (status === undefined) return;
  const isFixed = ((old ^ status) & (IPS.EXPECTED | IPS.CONFIRMED | IPS.DYING)) === 0;
  const isKept = (old & ~status & (IPS.SEEN_REPLY | IPS.ASSURED)) === 0;
  if (!isFixed || !isKept) refuse(ERRNO.EBUSY, 'status');
}
function changeStatus(tracker: Tracker, conn: number, attrs: CtAttrs): void {
  tracker.table.status[conn]! |= (attrs.be32(CTA.STATUS) ?? 0) & CHANGEABLE;
}

function changeMark(tracker: Tracker, conn: number, attrs: CtAttrs): void {
  const mark = attrs.be32(CTA.MARK);
  if (mark === undefined) return;
  // Without a mask, all of the old one goes.
  const mask = attrs.be32(CTA.MARK_MASK) ?? -1;
  tracker.table.mark[conn] = (tracker.table.mark[conn]! & ~mask) ^ mark;
}

/** Labels are a multiple of 4 bytes; those behind them become 0.  False if they or their mask are not. */
function setLabels(tracker: Tracker, conn: number, attrs: CtAttrs): boolean {
  const labels = attrs.bytes(CTA.LABELS);
  const mask = attrs.bytes(CTA.LABELS_MASK);
  if (labels === undefined) return true;
  const size = labels.byteLength;
  if (size % 4 !== 0 || size > 16 || (mask !== undefined && mask.byteLength !== size)) return false;
  const words = tracker.table.labels;
  for (let i = 0; i < 4; i++) {
    const bits = 4 * i < size ? labels.getInt32(4 * i) : 0;
    const without = 4 * i < size ? (mask?.getInt32(4 * i) ?? -1) : -1;
    words[4 * conn + i] = (words[4 * conn + i]! & ~without) ^ bits;
  }
  return true;
}

function changeState(tracker: Tracker, conn: number, attrs: CtAttrs): void {
  const info = attrs.nested(CTA.PROTOINFO);
  const { state, tuples } = tracker.table;
  const proto = protoOf(tuples[2 * conn * TUPLE_WORDS + T.META]!);
  const tcp = proto === PROTO.TCP ? info?.nested(CTA_PROTOINFO.TCP) : undefined;
  if (tcp !== undefined) {
    const flags = [CTA_PROTOINFO_TCP.FLAGS_ORIGINAL, CTA_PROTOINFO_TCP.FLAGS_REPLY].map((t) => tcp.be16(t) ?? 0);
    const scales = [CTA_PROTOINFO_TCP.WSCALE_ORIGINAL, CTA_PROTOINFO_TCP.WSCALE_REPLY].map((t) => tcp.u8(t));
    if (!setTcpState(state, conn, tcp.u8(CTA_PROTOINFO_TCP.STATE), flags, scales)) refuse(ERRNO.EINVAL, 'TCP state');
  }
  const sctp = proto === PROTO.SCTP ? info?.nested(CTA_PROTOINFO.SCTP) : undefined;
  if (sctp === undefined) return;
  const next = sctp.u8(CTA_PROTOINFO_SCTP.STATE);
  const tags = [CTA_PROTOINFO_SCTP.VTAG_ORIGINAL, CTA_PROTOINFO_SCTP.VTAG_REPLY].map((t) => sctp.be32(t));
  const [original, reply] = tags;
  if (next === undefined || original === undefined || reply === undefined) refuse(ERRNO.EINVAL, 'SCTP state');
  if (!setSctpState(state, conn, next, original, reply)) refuse(ERRNO.EINVAL, 'SCTP state');
}
