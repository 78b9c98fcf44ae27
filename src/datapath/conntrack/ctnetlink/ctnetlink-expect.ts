/**
 * Expectations over ctnetlink: listed, found, ended, and told of to listeners, as `conntrack -L expect`, `-D expect`, `-F expect` and
 * `-E expect` have it.  Nobody makes one but a helper.
 * Source: net/netfilter/nf_conntrack_netlink.c (ctnetlink_exp_dump_expect, ctnetlink_get_expect, ctnetlink_del_expect,
 * ctnetlink_expect_event).
 */
import { NLA_F_NESTED, NLM_F } from '../../../netlink/constants.ts';
import { NetlinkError } from '../../../netlink/errors.ts';
import {
  CTA_EXPECT,
  CTA_EXPECT_NAT,
  IPCTNL_MSG_EXP,
  NFNL_SUBSYS,
  nfnlType,
} from '../../../netlink/families/ctnetlink.ts';
import type { AttrCursor, MessageWriter } from '../../../netlink/message.ts';
import { ERRNO } from '../../../util/errno.ts';
import { DUMP_STEP, type DumpSource, type DumpStep } from '../../commands/genl-family.ts';
import type { Expectation } from '../helpers/expect.ts';
import { helperName } from '../helpers/helper-names.ts';
import type { Tracker } from '../tracker.ts';
import { isV6Of, metaOf, protoOf, T, TUPLE_WORDS } from '../tuple.ts';
import { CtAttrs } from './ctnetlink-attrs.ts';
import { beginMessage, familyOf, putBe32 } from './ctnetlink-messages.ts';
import { putTuple } from './ctnetlink-tuple.ts';

/** Room that one takes at most. */
const MAX_MESSAGE = 512;
/** Whose NAT it follows. */
const FOLLOWS_MASTER = 'nat-follow-master';
const NEW = nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.NEW);
const DELETE = nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.DELETE);

/** Appends an expectation, an answer to message `seq` of port id `to`. */
export function putExpectation(w: MessageWriter, tracker: Tracker, exp: Expectation, seq: number, to: number): void {
  putMessage(w, tracker, exp, NEW, NLM_F.MULTI, seq, to);
}

/** Appends what listeners are told when one begins or, `isEnd`, is over: given up, or fulfilled. */
export function putExpectationEvent(w: MessageWriter, tracker: Tracker, exp: Expectation, isEnd: boolean): void {
  putMessage(w, tracker, exp, isEnd ? DELETE : NEW, isEnd ? 0 : NLM_F.CREATE | NLM_F.EXCL, 0, 0);
}

function putMessage(
  w: MessageWriter,
  tracker: Tracker,
  exp: Expectation,
  type: number,
  flags: number,
  seq: number,
  to: number,
): void {
  const { table } = tracker;
  const meta = exp.tuple[T.META]!;
  const at = beginMessage(w, type, flags, seq, to, familyOf(meta));
  putTuple(w, CTA_EXPECT.TUPLE, exp.tuple, 0);
  // Its source port may be any.
  const mask = new Int32Array(TUPLE_WORDS).fill(-1);
  if (exp.anySource) mask.fill(0, T.SRC, T.SRC + 4);
  mask[T.PORTS] = 0xffff;
  mask[T.META] = meta;
  putTuple(w, CTA_EXPECT.MASK, mask, 0);
  putTuple(w, CTA_EXPECT.MASTER, table.tuples, table.tupleAt(2 * exp.master));
  if (exp.isTranslated) putNat(w, exp);
  putBe32(w, CTA_EXPECT.TIMEOUT, Math.max(0, Math.floor((exp.expires - tracker.now) / 1000)));
  putBe32(w, CTA_EXPECT.ID, idOf(tracker, exp));
  putBe32(w, CTA_EXPECT.FLAGS, 0);
  putBe32(w, CTA_EXPECT.CLASS, 0);
  w.attrString(CTA_EXPECT.HELP_NAME, helperName(table.helper[exp.master]!));
  if (exp.isTranslated) w.attrString(CTA_EXPECT.FN, FOLLOWS_MASTER);
  w.end(at);
}

/** The port as it was announced; the direction of the connection that is expected. */
function putNat(w: MessageWriter, exp: Expectation): void {
  const meta = exp.tuple[T.META]!;
  const saved = new Int32Array(TUPLE_WORDS);
  saved[T.PORTS] = exp.savedPort << 16;
  saved[T.META] = metaOf(0, protoOf(meta), isV6Of(meta));
  const nest = w.nest(CTA_EXPECT.NAT | NLA_F_NESTED);
  putBe32(w, CTA_EXPECT_NAT.DIR, 1 - exp.dir);
  putTuple(w, CTA_EXPECT_NAT.TUPLE, saved, 0);
  w.endNest(nest);
}

const idOf = (tracker: Tracker, exp: Expectation): number => tracker.idOf(exp.master) ^ exp.tuple[T.PORTS]!;

/** `family`: 0 is all. */
export function expectationDump(tracker: Tracker, family: number, seq: number, to: number): DumpSource {
  const list = tracker.expectations.all().filter((e) => family === 0 || family === familyOf(e.tuple[T.META]!));
  return {
    next(w, room): DumpStep {
      const exp = list[0];
      if (exp === undefined) return DUMP_STEP.END;
      if (room < MAX_MESSAGE) return DUMP_STEP.FULL;
      list.shift();
      putExpectation(w, tracker, exp, seq, to);
      return DUMP_STEP.MORE;
    },
  };
}

/** The expectation whose tuple, or whose master's, a request names.  Throws NetlinkError: EINVAL if it names none, ENOENT if there is none. */
export function findExpectation(tracker: Tracker, it: AttrCursor, family: number): Expectation {
  const attrs = new CtAttrs(it, 'CTA_EXPECT');
  return find(tracker, attrs, attrs.has(CTA_EXPECT.TUPLE) ? CTA_EXPECT.TUPLE : CTA_EXPECT.MASTER, family);
}

function find(tracker: Tracker, attrs: CtAttrs, type: number, family: number): Expectation {
  const tuple = attrs.tuple(type, family, attrs.be16(CTA_EXPECT.ZONE) ?? 0);
  if (tuple === undefined) throw new NetlinkError(ERRNO.EINVAL, 'expectation without tuple');
  const exp = tracker.expectations.find(tuple, tracker.now);
  const id = attrs.be32(CTA_EXPECT.ID);
  if (exp === undefined || (id !== undefined && id !== (idOf(tracker, exp) | 0))) {
    throw new NetlinkError(ERRNO.ENOENT, 'expectation');
  }
  return exp;
}

/** Ends the expectation that a request names by its tuple, those of the helper that it names, or all.  Throws as findExpectation(). */
export function deleteExpectations(tracker: Tracker, it: AttrCursor, family: number): void {
  const attrs = new CtAttrs(it, 'CTA_EXPECT');
  const { expectations, table } = tracker;
  if (attrs.has(CTA_EXPECT.TUPLE)) {
    expectations.remove(find(tracker, attrs, CTA_EXPECT.TUPLE, family));
    return;
  }
  const name = attrs.text(CTA_EXPECT.HELP_NAME);
  for (const exp of expectations.all()) {
    if (name === undefined || name === helperName(table.helper[exp.master]!)) expectations.remove(exp);
  }
}
