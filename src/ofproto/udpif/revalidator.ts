/**
 * The revalidator: goes through all flows of the datapath again and again, credits their packets to the rules behind
 * them, ends those that are idle, too many or no longer right, and changes those whose actions changed.
 *
 * A round is a dump and a sweep.  The dump sees what the datapath has: flows that nobody here knows (an earlier run's, say) are
 * adopted and then treated like the others.  The sweep sees what the dump did not: ukeys whose flow is gone.  Work is cut
 * into batches of 50 flows, with a turn of the event loop for others in between.  A flow is only ever changed or deleted
 * here, never installed: what is stale cannot come back.
 * Source: ofproto/ofproto-dpif-upcall.c (udpif_revalidator, revalidate, revalidator_sweep).
 */
import { DPIF_FP, type DpifFlow, type DpifFlowDel, type DpifFlowGet, type DpifFlowPut } from '../../dpif/dpif-types.ts';
import { FIELD } from '../../flow/fields.ts';
import { getField, newFlowKey } from '../../flow/flow-key.ts';
import { OVS_ACTION_ATTR } from '../../odp/action-attrs.ts';
import { ODP_FIT, odpKeyToFlow } from '../../odp/odp-key.ts';
import { monotonicMs } from '../../util/clock.ts';
import { coverage } from '../../util/coverage.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { del, FlowChecker, KEEP, type Seen, type Verdict } from './flow-check.ts';
import { flowUfid } from './flow-ufid.ts';
import { hasAttr } from './nest.ts';
import { MIN_FLOW_LIMIT, type UdpifState } from './udpif-state.ts';
import { FLOW_DEL_REASON, type FlowDelReason, UKEY, Ukey } from './ukey.ts';

const log = vlog('ofproto_dpif_upcall');
const dumpLimit = new RateLimit(60, 5);
const emergencyLimit = new RateLimit(1, 1);
const unexpectedLimit = new RateLimit(10, 60);
const limitHitCount = coverage('upcall_flow_limit_hit');
const limitKillCount = coverage('upcall_flow_limit_kill');
const missedCount = coverage('revalidate_missed_dp_flow');
const duplicateCount = coverage('dumped_duplicate_flow');
const delCounts = Object.fromEntries(
  Object.values(FLOW_DEL_REASON).map((r) => [r, coverage(`flow_del_${r}`)]),
) as Record<FlowDelReason, ReturnType<typeof coverage>>;

/** Flows that are treated without giving others a turn. */
const BATCH = 50;
/** Idle time of flows while there are too many. */
const CROWDED_IDLE_MS = 100;
/** While rounds are paused, it is seen to it that they still are. */
const MAX_PAUSE_MS = 1000;
/** Rounds do not begin closer together than this. */
const MIN_ROUND_MS = 5;
/** A flow that so many dumps in a row have not seen is gone. */
const MAX_MISSED_DUMPS = 4;
/** A dump that takes longer is worth a line of log, and many fewer flows. */
const SLOW_DUMP_MS = 2000;

interface PendingOp {
  readonly op: DpifFlowPut | DpifFlowDel;
  /** Undefined: a flow that could not be adopted. */
  readonly ukey: Ukey | undefined;
}

export class Revalidator {
  private readonly state: UdpifState;
  private readonly checker: FlowChecker;
  private readonly flow = newFlowKey();
  private running: Promise<void> | undefined;
  private isStopping = false;
  private wakeUp: (() => void) | undefined;
  /** Rounds begun, and who waits for one to end that began after they asked. */
  private rounds = 0;
  /** Is called after each round: what flows have counted is credited. */
  onDumped: (() => void) | undefined;
  private isPaused = false;
  /** What is done with the flows is done one after the other: rounds, and purges. */
  private turn: Promise<void> = Promise.resolve();
  private waiters: { readonly after: number; readonly resolve: () => void }[] = [];

  constructor(state: UdpifState) {
    this.state = state;
    this.checker = new FlowChecker(state);
  }

  /** Starts the rounds. */
  start(): void {
    if (this.running !== undefined) return;
    this.isStopping = false;
    this.running = this.run();
  }

  /** Ends the rounds; resolves when the one under way is over. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.wakeUp?.();
    await this.running;
    this.running = undefined;
    for (const w of this.waiters.splice(0)) w.resolve();
  }

  /** Has the next round begin now: something changed. */
  wake(): void {
    this.wakeUp?.();
  }

  /** Resolves when a round that began after this call is done. */
  wholeRound(): Promise<void> {
    if (this.running === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiters.push({ after: this.rounds, resolve });
      this.wake();
    });
  }

  /** Has no round begin before `resume`; resolves when the one under way is over. */
  async pause(): Promise<void> {
    this.isPaused = true;
    await this.inTurn(async () => {});
  }

  /** Lets the rounds go on. */
  resume(): void {
    this.isPaused = false;
    this.wake();
  }

  /** Deletes all flows that are known here, and credits their packets. */
  purge(): Promise<void> {
    return this.inTurn(async () => {
      let ops: PendingOp[] = [];
      for (const ukey of [...this.state.ukeys]) {
        if (ukey.state === UKEY.EVICTED) this.state.ukeys.delete(ukey);
        if (ukey.state >= UKEY.EVICTING) continue;
        this.enact(del(FLOW_DEL_REASON.PURGE), ukey, ops);
        if (ops.length < BATCH) continue;
        await this.finishSwept(ops);
        ops = [];
      }
      await this.finishSwept(ops);
    });
  }

  private inTurn(what: () => Promise<void>): Promise<void> {
    const done = this.turn.then(what);
    this.turn = done.catch(() => {});
    return done;
  }

  private async run(): Promise<void> {
    while (!this.isStopping) {
      if (this.isPaused) {
        await this.sleep(MAX_PAUSE_MS);
        continue;
      }
      const startMs = monotonicMs();
      const seq = this.state.revalSeq;
      const nth = ++this.rounds;
      try {
        await this.inTurn(() => this.round(startMs));
      } catch (e) {
        log.warn(() => `revalidation failed: ${String(e)}`, dumpLimit);
      }
      for (const w of this.waiters.filter((x) => x.after < nth)) w.resolve();
      this.waiters = this.waiters.filter((x) => x.after >= nth);
      await this.untilDue(startMs, seq);
    }
  }

  /** Waits for the next round: until the time is up, or something changed, but not less than a moment. */
  private async untilDue(startMs: number, seq: number): Promise<void> {
    const { options } = this.state;
    const isDue = () => this.isStopping || this.isPaused || this.state.revalSeq !== seq || this.waiters.length > 0;
    const until = startMs + Math.min(options.maxIdleMs, options.maxRevalidatorMs);
    if (!isDue() && monotonicMs() < until) await this.sleep(until - monotonicMs());
    const least = startMs + MIN_ROUND_MS;
    if (!this.isStopping && monotonicMs() < least) await this.sleep(least - monotonicMs());
    await this.state.scheduler.yield();
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.wakeUp = undefined;
        cancel();
        cancelReal?.();
        resolve();
      };
      const { scheduler } = this.state;
      const cancel = scheduler.after(ms, wake);
      // Rounds go on while a clock stands still.
      const cancelReal = scheduler.afterReal?.(ms, wake);
      this.wakeUp = wake;
    });
  }

  /** One dump and one sweep. */
  private async round(startMs: number): Promise<void> {
    const { state } = this;
    const dumpSeq = ++state.dumpSeq;
    const revalSeq = state.revalSeq;
    await state.countFlows();
    const nFlows = state.nFlows;
    state.maxFlows = Math.max(state.maxFlows, nFlows);
    state.avgFlows = Math.floor((state.avgFlows + nFlows) / 2);
    let isFirstBatch = true;
    await state.dpif.flowDump(state.usesUfid, async (flows) => {
      for (let i = 0; i < flows.length; i += BATCH) {
        if (this.isStopping) return;
        if (!isFirstBatch) await state.scheduler.yield();
        isFirstBatch = false;
        await this.dumped(flows.slice(i, i + BATCH), dumpSeq, revalSeq);
      }
    });
    if (this.isStopping) return;
    await this.sweep(dumpSeq, revalSeq);
    this.onDumped?.();
    this.adaptLimit(Math.max(1, monotonicMs() - startMs), nFlows);
  }

  /** Lets the flow limit follow what the datapath can be asked for in reasonable time. */
  private adaptLimit(durationMs: number, nFlows: number): void {
    const { state } = this;
    state.dumpDurationMs = durationMs;
    let limit = state.flowLimit;
    if (durationMs > SLOW_DUMP_MS) limit = Math.floor(limit / Math.floor(durationMs / 1000));
    else if (durationMs > 1300) limit = Math.floor((limit * 3) / 4);
    else if (durationMs < 1000 && limit < Math.floor((nFlows * 1000) / durationMs)) limit += 1000;
    state.flowLimit = Math.min(state.options.flowLimit, Math.max(limit, MIN_FLOW_LIMIT));
    if (durationMs > SLOW_DUMP_MS) log.info(`Spent an unreasonably long ${durationMs}ms dumping flows`);
  }

  /** Treats flows that the datapath has. */
  private async dumped(flows: readonly DpifFlow[], dumpSeq: number, revalSeq: number): Promise<void> {
    const { state } = this;
    const ops: PendingOp[] = [];
    await this.adoptUnknown(flows, ops);
    await state.countFlows();
    const now = monotonicMs();
    const isCrowded = state.nFlows > state.flowLimit;
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
    const maxIdleMs = isCrowded ? CROWDED_IDLE_MS : state.options.maxIdleMs;
    for (const f of flows) {
      const ukey = state.ukeys.get(ufidOfFlow(f));
      if (ukey === undefined) continue;
      if (ukey.dumpSeq === dumpSeq) {
        duplicateCount.n++;
        continue;
      }
      // Being deleted, or deleted since the datapath was asked: none of a dump's business.
      if (ukey.state > UKEY.INCONSISTENT) continue;
      if (ukey.state === UKEY.VISIBLE) ukey.transition(UKEY.OPERATIONAL);
      const seen = this.seenOf(f, ukey, now);
      let verdict: Verdict;
      if (killAll) verdict = del(FLOW_DEL_REASON.FLOW_LIMIT);
      else if (seen.usedMs < now - maxIdleMs) verdict = del(FLOW_DEL_REASON.FLOW_IDLE);
      else if (ukey.state === UKEY.INCONSISTENT) verdict = del(FLOW_DEL_REASON.UPDATE_FAIL);
      else verdict = this.checker.check(ukey, seen, revalSeq);
      ukey.dumpSeq = dumpSeq;
      ukey.missedDumps = 0;
      this.enact(verdict, ukey, ops);
    }
    await this.perform(ops);
  }

  /** Statistics of a dumped flow, with a time of last use even if the datapath knows none. */
  private seenOf(f: DpifFlow, ukey: Ukey, now: number): Seen {
    const { nPackets, nBytes, used, tcpFlags } = f.stats;
    let usedMs = Number(used);
    if (usedMs === 0) {
      if (nPackets > ukey.stats.nPackets) usedMs = now;
      else usedMs = ukey.stats.used === 0n ? ukey.createdMs : Number(ukey.stats.used);
    }
    return { nPackets, nBytes, usedMs, tcpFlags };
  }

  /** Makes ukeys for flows that have none; those that cannot be ours are to be deleted. */
  private async adoptUnknown(flows: readonly DpifFlow[], ops: PendingOp[]): Promise<void> {
    const { state } = this;
    const unknown = flows.filter((f) => state.ukeys.get(ufidOfFlow(f)) === undefined);
    if (unknown.length === 0) return;
    const gets = unknown
      .filter((f) => f.key === undefined || f.actions === undefined)
      .map((f): DpifFlowGet => ({ type: 'get', key: f.key, ufid: f.ufid }));
    if (gets.length > 0) await state.dpif.operate(gets);
    const full = [
      ...unknown.filter((f) => f.key !== undefined && f.actions !== undefined),
      ...gets.flatMap((g) => (g.result === 0 && g.flow !== undefined ? [g.flow] : [])),
    ];
    for (const f of full) {
      const why = this.adopt(f);
      if (why === undefined) continue;
      log.warn(
        `Failed to acquire udpif_key corresponding to unexpected flow (Invalid argument): ufid:${ufidOfFlow(f)}`,
        unexpectedLimit,
      );
      delCounts[why].n++;
      ops.push({ op: { type: 'del', key: f.key?.slice(), ufid: f.ufid, wantStats: true }, ukey: undefined });
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
      key: key.slice(),
      mask: f.mask?.slice(),
      actions: actions.slice(),
      revalSeq: this.state.revalSeq - 1, // Never checked.
      usedMs: f.stats.used,
    });
    if (this.state.ukeys.install(ukey)) ukey.transition(UKEY.OPERATIONAL);
    return undefined;
  }

  /** Adds to `ops` what `verdict` asks for. */
  private enact(verdict: Verdict, ukey: Ukey, ops: PendingOp[]): void {
    if (verdict.kind === 'keep') return;
    if (verdict.kind === 'modify') {
      ukey.actions = verdict.actions;
      ops.push({ op: ukey.putOp(DPIF_FP.MODIFY), ukey });
      return;
    }
    delCounts[verdict.reason].n++;
    log.dbg(() => `delete ufid:${ukey.ufid} (${verdict.reason})`);
    ukey.transition(UKEY.EVICTING);
    ops.push({ op: ukey.delOp(), ukey });
  }

  /** Has the datapath do `ops`, and credits the last packets of the flows that are gone. */
  private async perform(ops: readonly PendingOp[]): Promise<void> {
    if (ops.length === 0) return;
    try {
      await this.state.dpif.operate(ops.map((p) => p.op));
    } finally {
      for (const { op, ukey } of ops) {
        if (op.type === 'put') {
          // Whether the change was made is not known: the next round deletes the flow.
          if (op.result !== 0 && ukey?.state === UKEY.OPERATIONAL) ukey.transition(UKEY.INCONSISTENT);
          continue;
        }
        ukey?.transition(UKEY.EVICTED);
        if (op.result === 0) {
          this.state.adjustCount(-1);
          if (ukey !== undefined && op.stats !== undefined) this.checker.creditLast(op.stats, ukey);
        }
      }
    }
  }

  /** Treats what the dump did not see, and forgets flows that are gone. */
  private async sweep(dumpSeq: number, revalSeq: number): Promise<void> {
    let ops: PendingOp[] = [];
    let n = 0;
    for (const ukey of [...this.state.ukeys]) {
      if (++n % BATCH === 0) await this.state.scheduler.yield();
      this.sweepOne(ukey, dumpSeq, revalSeq, ops);
      if (ops.length >= BATCH) {
        await this.finishSwept(ops);
        ops = [];
      }
    }
    await this.finishSwept(ops);
  }

  private sweepOne(ukey: Ukey, dumpSeq: number, revalSeq: number, ops: PendingOp[]): void {
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
    else if (ukey.revalSeq !== revalSeq) {
      const { nPackets, nBytes, used, tcpFlags } = ukey.stats;
      verdict = this.checker.check(ukey, { nPackets, nBytes, usedMs: Number(used), tcpFlags }, revalSeq);
    }
    this.enact(verdict, ukey, ops);
  }

  private async finishSwept(ops: readonly PendingOp[]): Promise<void> {
    await this.perform(ops);
    for (const { ukey } of ops) if (ukey?.state === UKEY.EVICTED) this.state.ukeys.delete(ukey);
  }
}

/** A flow without UFID is known here by the hash of its key, as it would be had we installed it. */
const ufidOfFlow = (f: DpifFlow): string => f.ufid ?? flowUfid(f.key ?? new Uint8Array(0));
