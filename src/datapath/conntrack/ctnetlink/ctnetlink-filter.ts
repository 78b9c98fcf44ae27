/**
 * Which connections a list or a deletion over ctnetlink means: those of a family, with a mark, in a zone.
 * Source: net/netfilter/nf_conntrack_netlink.c (ctnetlink_alloc_filter, ctnetlink_filter_match).
 */
import { NLM_F } from '../../../netlink/constants.ts';
import { CTA } from '../../../netlink/families/ctnetlink.ts';
import type { AttrCursor, MessageWriter } from '../../../netlink/message.ts';
import { DUMP_STEP, type DumpSource, type DumpStep } from '../../commands/genl-family.ts';
import type { Tracker } from '../tracker.ts';
import { T, TUPLE_WORDS, zoneOf } from '../tuple.ts';
import { CtAttrs } from './ctnetlink-attrs.ts';
import { familyOf, putConnection } from './ctnetlink-messages.ts';

/** Room that one takes at most. */
const MAX_MESSAGE = 1024;

export interface Filter {
  /** nfgen_family; 0 is all. */
  readonly family: number;
  readonly mark: number;
  readonly markMask: number;
  readonly zone: number | undefined;
}

/** The filter of a request's attributes and nfgen_family.  Throws NetlinkError EINVAL for short ones. */
export function readFilter(it: AttrCursor, family: number): Filter {
  const attrs = new CtAttrs(it);
  const mark = attrs.be32(CTA.MARK);
  const mask = attrs.be32(CTA.MARK_MASK) ?? -1;
  return { family, mark: mark ?? 0, markMask: mark === undefined ? 0 : mask, zone: attrs.be16(CTA.ZONE) };
}

export function fits(tracker: Tracker, conn: number, filter: Filter): boolean {
  const { tuples, mark } = tracker.table;
  const meta = tuples[2 * conn * TUPLE_WORDS + T.META]!;
  if (filter.family !== 0 && filter.family !== familyOf(meta)) return false;
  if (filter.zone !== undefined && filter.zone !== zoneOf(meta)) return false;
  return ((mark[conn]! ^ filter.mark) & filter.markMask) === 0;
}

/** All that fit, in answer to message `seq` of port id `to`. */
export function connectionDump(tracker: Tracker, seq: number, to: number, filter: Filter): DumpSource {
  let conn = 0;
  return {
    next(w: MessageWriter, room: number): DumpStep {
      while (conn < tracker.table.capacity && !(tracker.isShown(conn) && fits(tracker, conn, filter))) conn++;
      if (conn >= tracker.table.capacity) return DUMP_STEP.END;
      if (room < MAX_MESSAGE) return DUMP_STEP.FULL;
      putConnection(w, tracker, conn++, seq, to, NLM_F.MULTI);
      return DUMP_STEP.MORE;
    },
  };
}
