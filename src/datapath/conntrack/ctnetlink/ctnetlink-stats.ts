/**
 * Counters of the connection tracker over ctnetlink, as `conntrack -C` and `conntrack -S` ask for them.  All connections are of one
 * thread, so there is one CPU.
 * Source: net/netfilter/nf_conntrack_netlink.c (ctnetlink_stat_ct_fill_info, ctnetlink_ct_stat_cpu_fill_info,
 * ctnetlink_exp_stat_fill_info).
 */
import { NLM_F } from '../../../netlink/constants.ts';
import {
  CTA_STATS,
  CTA_STATS_EXP,
  CTA_STATS_GLOBAL,
  IPCTNL_MSG_CT,
  IPCTNL_MSG_EXP,
  NFNL_SUBSYS,
  nfnlType,
} from '../../../netlink/families/ctnetlink.ts';
import type { MessageWriter } from '../../../netlink/message.ts';
import { DUMP_STEP, type DumpSource } from '../../commands/genl-family.ts';
import type { Tracker } from '../tracker.ts';
import { beginMessage, putBe32 } from './ctnetlink-messages.ts';

/** Room that one message takes at most. */
const MAX_MESSAGE = 128;

/** Appends how many connections there are and may be, an answer to message `seq` of port id `to`. */
export function putGlobalStats(w: MessageWriter, tracker: Tracker, seq: number, to: number): void {
  const at = beginMessage(w, nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.GET_STATS), NLM_F.MULTI, seq, to, 0);
  putBe32(w, CTA_STATS_GLOBAL.ENTRIES, tracker.count);
  putBe32(w, CTA_STATS_GLOBAL.MAX_ENTRIES, tracker.max);
  w.end(at);
}

export function cpuStatsDump(tracker: Tracker, seq: number, to: number): DumpSource {
  return once(nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.GET_STATS_CPU), seq, to, (w) => {
    const { stats } = tracker;
    putBe32(w, CTA_STATS.FOUND, stats.found);
    putBe32(w, CTA_STATS.INVALID, stats.invalid);
    putBe32(w, CTA_STATS.INSERT, stats.insert);
    putBe32(w, CTA_STATS.INSERT_FAILED, stats.insertFailed);
    putBe32(w, CTA_STATS.DROP, stats.drop);
    putBe32(w, CTA_STATS.EARLY_DROP, stats.earlyDrop);
    // Of ICMP errors that could not be judged; the search of a table that changes meanwhile; chains too long to search.
    putBe32(w, CTA_STATS.ERROR, 0);
    putBe32(w, CTA_STATS.SEARCH_RESTART, 0);
    putBe32(w, CTA_STATS.CLASH_RESOLVE, stats.clashResolved);
    putBe32(w, CTA_STATS.CHAIN_TOOLONG, 0);
  });
}

export function expectationStatsDump(tracker: Tracker, seq: number, to: number): DumpSource {
  return once(nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.GET_STATS_CPU), seq, to, (w) => {
    const { stats } = tracker.expectations;
    putBe32(w, CTA_STATS_EXP.NEW, stats.fulfilled);
    putBe32(w, CTA_STATS_EXP.CREATE, stats.created);
    putBe32(w, CTA_STATS_EXP.DELETE, stats.deleted);
  });
}

/** A dump of one message, that of CPU 0. */
function once(type: number, seq: number, to: number, put: (w: MessageWriter) => void): DumpSource {
  let isDone = false;
  return {
    next(w, room) {
      if (isDone) return DUMP_STEP.END;
      if (room < MAX_MESSAGE) return DUMP_STEP.FULL;
      isDone = true;
      const at = beginMessage(w, type, NLM_F.MULTI, seq, to, 0);
      put(w);
      w.end(at);
      return DUMP_STEP.MORE;
    },
  };
}
