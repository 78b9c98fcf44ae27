/**
 * What is done with the flows of a datapath in one round of the revalidator: a dump and a sweep.
 *
 * The dump sees what the datapath has: flows that nobody here knows (an earlier run's, say) are adopted and then treated like the others.
 * The sweep sees what the dump did not: ukeys whose flow is gone.  Work is cut into batches of 50 flows; every few milliseconds others have
 * a turn of the event loop.
 * Source: ofproto/ofproto-dpif-upcall.c (revalidate, revalidator_sweep, ukey_acquire).
 */
import type { DpifFlow, DpifFlowGet, DpifFlowStats } from '../../dpif/dpif-types.ts';
import { FIELD } from '../../flow/fields.ts';
import { getField, newFlowKey } from '../../flow/flow-key.ts';
import { OVS_ACTION_ATTR } from '../../odp/action-attrs.ts';
import { ODP_FIT } from '../../odp/key/fitness.ts';
import { odpKeyToFlow } from '../../odp/key/odp-key.ts';
import type { Ufid } from '../../odp/odp-ufid.ts';
import { monotonicMs, workMs } from '../../util/clock.ts';
import { coverage } from '../../util/coverage.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { BATCH, FlowChanges } from './flow-changes.ts';
import { del, FlowChecker, KEEP, type Verdict } from './flow-check.ts';
import { flowUfid } from './flow-ufid.ts';
import { hasAttr } from './nest.ts';
import type { UdpifState } from './udpif-state.ts';
import { FLOW_DEL_REASON, type FlowDelReason, UKEY, Ukey } from './ukey.ts';

const log = vlog('ofproto_dpif_upcall');
const emergencyLimit = new RateLimit(1, 1);
const unexpectedLimit = new RateLimit(10, 60);
const limitHitCount = coverage('upcall_flow_limit_hit');
const limitKillCount = coverage('upcall_flow_limit_kill');
const missedCount = coverage('revalidate_missed_dp_flow');
const duplicateCount = coverage('dumped_duplicate_flow');

/** Idle time of flows while there are too many. */
const CROWDED_IDLE_MS = 100;
/** Ukeys that the sweep looks at without looking at the time. */
const SWEEP_BATCH = 500;
/** Time after which others have a turn, also where the clock that flows go by stands still. */
const TURN_MS = 2;
/** A flow that so many dumps in a row have not seen is gone. */
const MAX_MISSED_DUMPS = 4;

/** How the flows of a batch are treated. */
interface Strictness {
  readonly now: number;
  readonly maxIdleMs: number;
  readonly killAll: boolean;
}

export class FlowRound {
  private readonly state: UdpifState;
  private readonly checker: FlowChecker;
  private readonly flow = newFlowKey();
  private readonly isStopping: () => boolean;
  private turnBegan = 0;

  /** `isStopping`: ends a round early. */
  constructor(state: UdpifState, isStopping: () => boolean) {
    this.state = state;
    this.checker = new FlowChecker(state);
    this.isStopping = isStopping;
  }

  /** One dump and one sweep. */
  async run(): Promise<void> {
    const { state } = this;
    const dumpSeq = ++state.dumpSeq;
    const { revalSeq } = state;
    await state.dpif.flowDump(state.usesUfid, async (flows) => {
      this.turnBegan = workMs();
      for (let i = 0; i < flows.length; i += BATCH) {
        if (this.isStopping()) return;
        await this.giveTurn();
        await this.dumped(flows.slice(i, i + BATCH), dumpSeq, revalSeq);
      }
    });
    if (!this.isStopping()) await this.sweep(dumpSeq, revalSeq);
  }

  /** Lets others have a turn if this one has lasted long enough. */
  private async giveTurn(): Promise<void> {
    if (workMs() - this.turnBegan < TURN_MS) return;
    await this.state.scheduler.yield();
    this.turnBegan = workMs();
  }

  /** Deletes all flows that are known here, and credits their packets. */
  async purge(): Promise<void> {
    const { ukeys } = this.state;
    const changes = new FlowChanges(this.state, this.checker);
    for (let i = ukeys.next(0); i >= 0; i = ukeys.next(i + 1)) {
      const ukey = ukeys.at(i);
      if (ukey.state === UKEY.EVICTED) ukeys.delete(ukey);
      if (ukey.state >= UKEY.EVICTING) continue;
      changes.enact(del(FLOW_DEL_REASON.PURGE), ukey);
      if (changes.isFull) await changes.finish();
    }
    await changes.finish();
  }

  /** Treats flows that the datapath has. */
  private async dumped(flows: readonly DpifFlow[], dumpSeq: number, revalSeq: number): Promise<void> {
    const { state } = this;
    const changes = new FlowChanges(state, this.checker);
    await state.countFlows();
    const how = this.strictness();
    const unknown: DpifFlow[] = [];
    for (const f of flows) {
      const ukey = state.ukeys.get(ufidOfFlow(f));
      if (ukey === undefined) unknown.push(f);
      else this.dumpedOne(ukey, f.stats, how, dumpSeq, revalSeq, changes);
    }
    if (unknown.length > 0) {
      await this.adoptUnknown(unknown, changes);
      for (const f of unknown) {
        const ukey = state.ukeys.get(ufidOfFlow(f));
        if (ukey !== undefined) this.dumpedOne(ukey, f.stats, how, dumpSeq, revalSeq, changes);
      }
    }
    await changes.perform();
  }

  private dumpedOne(
    ukey: Ukey,
    stats: DpifFlowStats,
    how: Strictness,
    dumpSeq: number,
    revalSeq: number,
    changes: FlowChanges,
  ): void {
    if (ukey.dumpSeq === dumpSeq) {
      duplicateCount.n++;
      return;
    }
    // Being deleted, or deleted since the datapath was asked: none of a dump's business.
    if (ukey.state > UKEY.INCONSISTENT) return;
    if (ukey.state === UKEY.VISIBLE) ukey.transition(UKEY.OPERATIONAL);
    const verdict = this.judge(ukey, seenOf(stats, ukey, how.now), how, revalSeq);
    ukey.dumpSeq = dumpSeq;
    ukey.missedDumps = 0;
    changes.enact(verdict, ukey);
  }

  private judge(ukey: Ukey, seen: DpifFlowStats, how: Strictness, revalSeq: number): Verdict {
    if (how.killAll) return del(FLOW_DEL_REASON.FLOW_LIMIT);
    if (seen.used < how.now - how.maxIdleMs) return del(FLOW_DEL_REASON.FLOW_IDLE);
    if (ukey.state === UKEY.INCONSISTENT) return del(FLOW_DEL_REASON.UPDATE_FAIL);
    return this.checker.check(ukey, seen, revalSeq);
  }

  /** The more flows there are, the sooner they go. */
  private strictness(): Strictness {
    const { state } = this;
    if (state.nFlows >= state.flowLimit) limitHitCount.n++;
    const killAll = state.nFlows > 2 * state.flowLimit;
    if (killAll) {
      limitKillCount.n++;
      log.warn(
        `Number of datapath flows (${state.nFlows}) twice as high as current dynamic flow limit (${state.flowLimit * 2}).  ` +
          'Starting to delete flows unconditionally as an emergency measure.',
        emergencyLimit,
      );
    }
    const maxIdleMs = state.nFlows > state.flowLimit ? CROWDED_IDLE_MS : state.options.maxIdleMs;
    return { now: monotonicMs(), maxIdleMs, killAll };
  }

  /** Makes ukeys for flows that have none; those that cannot be ours are to be deleted. */
  private async adoptUnknown(unknown: readonly DpifFlow[], changes: FlowChanges): Promise<void> {
    const gets = unknown
      .filter((f) => f.key === undefined || f.actions === undefined)
      .map((f): DpifFlowGet => ({ type: 'get', key: f.key, ufid: f.ufid }));
    if (gets.length > 0) await this.state.dpif.operate(gets);
    const full = [
      ...unknown.filter((f) => f.key !== undefined && f.actions !== undefined),
      ...gets.flatMap((g) => (g.result === 0 && g.flow !== undefined ? [g.flow] : [])),
    ];
    for (const f of full) {
      const why = this.adopt(f);
      if (why === undefined) continue;
      log.warn(
        `Failed to acquire udpif_key corresponding to unexpected flow (Invalid argument): ${ufidOfFlow(f)}`,
        unexpectedLimit,
      );
      changes.deleteUnknown(f, why);
    }
  }

  /** Makes a ukey of a flow; else says why it has to go. */
  private adopt(f: DpifFlow): FlowDelReason | undefined {
    const { key, actions } = f;
    if (key === undefined || actions === undefined) return undefined;
    if (odpKeyToFlow(key, this.flow) === ODP_FIT.ERROR) return FLOW_DEL_REASON.BAD_ODP_FIT;
    // Recirculation ids mean something to the process that gave them out, which is gone.
    if (getField(this.flow, FIELD.recircId) !== 0 || hasAttr(actions, OVS_ACTION_ATTR.RECIRC)) {
      return FLOW_DEL_REASON.NO_OFPROTO;
    }
    const ukey = new Ukey({
      ufid: ufidOfFlow(f),
      hasUfid: f.ufid !== undefined,
      key,
      mask: f.mask?.slice(),
      actions: actions.slice(),
      revalSeq: this.state.revalSeq - 1, // Never checked.
      createdMs: monotonicMs(),
      usedMs: f.stats.used,
    });
    if (this.state.ukeys.install(ukey)) ukey.transition(UKEY.OPERATIONAL);
    return undefined;
  }

  /** Treats what the dump did not see, and forgets flows that are gone. */
  private async sweep(dumpSeq: number, revalSeq: number): Promise<void> {
    const { ukeys } = this.state;
    const changes = new FlowChanges(this.state, this.checker);
    let n = 0;
    for (let i = ukeys.next(0); i >= 0; i = ukeys.next(i + 1)) {
      if (++n % SWEEP_BATCH === 0) await this.giveTurn();
      this.sweepOne(ukeys.at(i), dumpSeq, revalSeq, changes);
      if (changes.isFull) await changes.finish();
    }
    await changes.finish();
  }

  private sweepOne(ukey: Ukey, dumpSeq: number, revalSeq: number, changes: FlowChanges): void {
    if (ukey.state === UKEY.EVICTED) {
      this.state.ukeys.delete(ukey);
      return;
    }
    const isInPlace = ukey.state === UKEY.OPERATIONAL || ukey.state === UKEY.INCONSISTENT;
    if (!isInPlace || ukey.dumpSeq === dumpSeq) return;
    missedCount.n++;
    let verdict: Verdict = KEEP;
    // A flow that was installed during the dump may not have been seen by it.
    if (++ukey.missedDumps >= MAX_MISSED_DUMPS) verdict = del(FLOW_DEL_REASON.FLOW_MISSING_DP);
    else if (ukey.state === UKEY.INCONSISTENT) verdict = del(FLOW_DEL_REASON.UPDATE_FAIL);
    else if (ukey.revalSeq !== revalSeq) verdict = this.checker.check(ukey, ukey.stats, revalSeq);
    changes.enact(verdict, ukey);
  }
}

/**
 * Statistics of a dumped flow, with a time of last use even if the datapath knows none.  Those that are known already if nothing has changed:
 * a new object for each flow of each dump would live until the next, which is expensive.
 */
function seenOf(stats: DpifFlowStats, ukey: Ukey, now: number): DpifFlowStats {
  const { nPackets, nBytes, tcpFlags } = stats;
  const old = ukey.stats;
  let { used } = stats;
  if (used === 0) used = nPackets > old.nPackets ? now : old.used === 0 ? ukey.createdMs : old.used;
  const isOld = old.nPackets === nPackets && old.nBytes === nBytes && old.tcpFlags === tcpFlags && old.used === used;
  return isOld ? old : { nPackets, nBytes, used, tcpFlags };
}

/** A flow without UFID is known here by the hash of its key, as it would be had we installed it. */
const ufidOfFlow = (f: DpifFlow): Ufid => f.ufid ?? flowUfid(f.key ?? new Uint8Array(0));
