/**
 * Judges one datapath flow: is what it does still what the tables say, and is it worth asking?  Credits its packets, too.
 * `flow-round.ts` brings the flows, `flow-changes.ts` carries out the verdicts.
 * Source: ofproto/ofproto-dpif-upcall.c (revalidate_ukey, should_revalidate).
 */
import type { DpifFlowStats } from '../../dpif/dpif-types.ts';
import { newFlowKey } from '../../flow/flow-key.ts';
import { ODP_FIT, type OdpFit } from '../../odp/key/fitness.ts';
import { odpKeyToFlow, odpMaskToFlow } from '../../odp/key/odp-key.ts';
import { SLOW_PATH } from '../../odp/slow-path.ts';
import { monotonicMs } from '../../util/clock.ts';
import { originOf, type PacketOrigin } from '../xlate/packet-origin.ts';
import { recircIds } from '../xlate/recirc.ts';
import { hasExtraBits } from '../xlate/wildcards.ts';
import type { PushStats } from '../xlate/xbridge.ts';
import { type XlateOut, xlateActions } from '../xlate/xlate.ts';
import { XlateCache } from '../xlate/xlate-cache.ts';
import { XLATE_ERROR } from '../xlate/xlate-ctx.ts';
import type { UdpifState } from './udpif-state.ts';
import { equalBytes, FLOW_DEL_REASON, type FlowDelReason, type Ukey } from './ukey.ts';

/** What to do with a flow. */
export type Verdict =
  | { readonly kind: 'keep' }
  | { readonly kind: 'modify'; readonly actions: Uint8Array }
  | { readonly kind: 'delete'; readonly reason: FlowDelReason };
/** The flow is right as it is. */
export const KEEP: Verdict = { kind: 'keep' };
/** The flow has to go. */
export const del = (reason: FlowDelReason): Verdict => ({ kind: 'delete', reason });

/** What became of a flow's key. */
interface Translated {
  readonly fit: OdpFit;
  readonly from: PacketOrigin;
  readonly xout: XlateOut;
}

/** Needs no more of a datapath's state than to translate; never waits. */
export class FlowChecker {
  private readonly state: UdpifState;
  private readonly flow = newFlowKey();
  private readonly mask = newFlowKey();

  constructor(state: UdpifState) {
    this.state = state;
  }

  /**
   * Decides on a flow, and credits its packets if it stays.  `seen`: its statistics, with a time of last use.  Once a flow of each dump, of
   * which most have not changed.
   */
  check(ukey: Ukey, seen: DpifFlowStats, revalSeq: number): Verdict {
    const { stats } = ukey;
    const nPackets = Math.max(0, seen.nPackets - stats.nPackets);
    let verdict: Verdict = KEEP;
    if (ukey.revalSeq !== revalSeq) {
      if (!this.isWorthChecking(nPackets, stats.used)) return del(FLOW_DEL_REASON.TOO_EXPENSIVE);
      verdict = this.retranslate(ukey);
    } else if (nPackets > 0 && ukey.cache === undefined) {
      const why = this.fillCache(ukey);
      if (why !== undefined) verdict = del(why);
    }
    // The packets of a flow that goes are credited when its last statistics are known.
    if (verdict.kind === 'delete') return verdict;
    if (nPackets > 0) ukey.cache?.push(pushOf(nPackets, Math.max(0, seen.nBytes - stats.nBytes), seen));
    ukey.stats = seen;
    ukey.revalSeq = revalSeq;
    return verdict;
  }

  /**
   * Whether a flow has enough packets to be worth a translation.  Where dumps are slow, a seldom used flow is cheaper to
   * delete and to install again.
   */
  private isWorthChecking(nPackets: number, usedMs: number): boolean {
    const { state } = this;
    if (usedMs === 0 || state.dumpDurationMs < state.options.maxRevalidatorMs / 2) return true;
    const sinceMs = Math.max(0, monotonicMs() - usedMs);
    return sinceMs / Math.max(nPackets, 1) < 1000 / Math.max(1, state.options.minRevalidatePps);
  }

  /** Translates a flow's key again, with a new cache; only says why if it cannot. */
  private translate(ukey: Ukey): Translated | FlowDelReason {
    const { state, flow } = this;
    ukey.cache = new XlateCache();
    const fit = odpKeyToFlow(ukey.key, flow);
    if (fit === ODP_FIT.ERROR) return FLOW_DEL_REASON.BAD_ODP_FIT;
    const from = originOf(state.bridges, flow);
    if (typeof from === 'string') return FLOW_DEL_REASON.NO_OFPROTO;
    const xout = xlateActions({
      bridge: from.bridge,
      flow,
      ofpInPort: from.ofport,
      frozen: from.frozen,
      hasSideEffects: false,
      stats: undefined,
      cache: ukey.cache,
    });
    return { fit, from, xout };
  }

  /** Finds out whom the packets of a flow are to be credited to, and no more; the answer is why that cannot be. */
  private fillCache(ukey: Ukey): FlowDelReason | undefined {
    const translated = this.translate(ukey);
    if (typeof translated === 'string') return translated;
    recircIds.release(translated.xout.recircs);
    return undefined;
  }

  /** Translates a flow's key again, and compares with what is installed. */
  private retranslate(ukey: Ukey): Verdict {
    const { state, flow } = this;
    const translated = this.translate(ukey);
    if (typeof translated === 'string') return del(translated);
    const { fit, from, xout } = translated;
    if (xout.error !== XLATE_ERROR.OK || xout.avoidCaching) {
      recircIds.release(xout.recircs);
      const isError = xout.error !== XLATE_ERROR.OK;
      return del(isError ? FLOW_DEL_REASON.XLATION_ERROR : FLOW_DEL_REASON.AVOID_CACHING);
    }
    const reason = xout.slow | (fit === ODP_FIT.TOO_LITTLE ? SLOW_PATH.MATCH : 0);
    const actions = reason === 0 ? xout.actions : state.slowPathActions(from.bridge, flow, from.ofport, reason);
    const { mask } = ukey;
    if (mask !== undefined && mask.length > 0) {
      if (odpMaskToFlow(mask, this.mask, flow) === ODP_FIT.ERROR) {
        recircIds.release(xout.recircs);
        return del(FLOW_DEL_REASON.BAD_ODP_FIT);
      }
      // Too wide: it matches packets for which these actions may be wrong.
      if (hasExtraBits(this.mask, xout.wc)) {
        recircIds.release(xout.recircs);
        return del(FLOW_DEL_REASON.FLOW_WILDCARDED);
      }
    }
    ukey.holdRecircs(xout.recircs);
    return equalBytes(actions, ukey.actions) ? KEEP : { kind: 'modify', actions };
  }

  /** Credits the packets of a flow that was deleted; `stats` are its last. */
  creditLast(stats: DpifFlowStats, ukey: Ukey): void {
    if (stats.nPackets <= ukey.stats.nPackets) return;
    if (ukey.cache === undefined) this.fillCache(ukey);
    const used = Math.max(stats.used, ukey.stats.used);
    const nBytes = Math.max(0, stats.nBytes - ukey.stats.nBytes);
    ukey.cache?.push(pushOf(stats.nPackets - ukey.stats.nPackets, nBytes, { ...stats, used }));
  }
}

/** What is to be credited for so many packets more. */
const pushOf = (nPackets: number, nBytes: number, { used, tcpFlags }: DpifFlowStats): PushStats => ({
  nPackets: BigInt(nPackets),
  nBytes: BigInt(nBytes),
  usedMs: used,
  tcpFlags,
});
