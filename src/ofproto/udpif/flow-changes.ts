/**
 * Carries out what was decided about flows: the datapath is told in batches, and the last packets of flows that it deletes are credited.
 * A flow is only ever changed or deleted here, never installed: what is stale cannot come back.
 * Source: ofproto/ofproto-dpif-upcall.c (reval_op_init, push_dp_ops).
 */
import { DPIF_FP, type DpifFlow, type DpifFlowDel, type DpifFlowPut } from '../../dpif/dpif-types.ts';
import { coverage } from '../../util/coverage.ts';
import { vlog } from '../../util/vlog.ts';
import type { FlowChecker, Verdict } from './flow-check.ts';
import type { UdpifState } from './udpif-state.ts';
import { FLOW_DEL_REASON, type FlowDelReason, UKEY, type Ukey } from './ukey.ts';

const log = vlog('ofproto_dpif_upcall');
const delCounts = Object.fromEntries(
  Object.values(FLOW_DEL_REASON).map((r) => [r, coverage(`flow_del_${r}`)]),
) as Record<FlowDelReason, ReturnType<typeof coverage>>;

/** Flows that are treated without giving others a turn. */
export const BATCH = 50;

interface PendingOp {
  readonly op: DpifFlowPut | DpifFlowDel;
  /** Undefined: a flow that could not be adopted. */
  readonly ukey: Ukey | undefined;
}

/** The changes of one batch: begun, noted, and then performed. */
export class FlowChanges {
  private readonly state: UdpifState;
  private readonly checker: FlowChecker;
  private ops: PendingOp[] = [];

  constructor(state: UdpifState, checker: FlowChecker) {
    this.state = state;
    this.checker = checker;
  }

  /** Whether there are enough for a batch. */
  get isFull(): boolean {
    return this.ops.length >= BATCH;
  }

  /** Notes what `verdict` asks for. */
  enact(verdict: Verdict, ukey: Ukey): void {
    if (verdict.kind === 'keep') return;
    if (verdict.kind === 'modify') {
      ukey.actions = verdict.actions;
      this.ops.push({ op: ukey.putOp(DPIF_FP.MODIFY), ukey });
      return;
    }
    delCounts[verdict.reason].n++;
    log.dbg(() => `delete ${ukey.ufid} (${verdict.reason})`);
    ukey.transition(UKEY.EVICTING);
    this.ops.push({ op: ukey.delOp(), ukey });
  }

  /** Notes that a flow without ukey is to go. */
  deleteUnknown(f: DpifFlow, reason: FlowDelReason): void {
    delCounts[reason].n++;
    this.ops.push({ op: { type: 'del', key: f.key?.slice(), ufid: f.ufid, wantStats: true }, ukey: undefined });
  }

  /** Has the datapath do what was noted, and credits the last packets of the flows that are gone. */
  async perform(): Promise<readonly PendingOp[]> {
    const { ops } = this;
    if (ops.length === 0) return ops;
    this.ops = [];
    try {
      await this.state.dpif.operate(ops.map((p) => p.op));
    } finally {
      for (const p of ops) this.ended(p);
    }
    return ops;
  }

  /** As `perform`; ukeys of flows that are gone are forgotten. */
  async finish(): Promise<void> {
    for (const { ukey } of await this.perform()) if (ukey?.state === UKEY.EVICTED) this.state.ukeys.delete(ukey);
  }

  private ended({ op, ukey }: PendingOp): void {
    if (op.type === 'put') {
      // Whether the change was made is not known: the next round deletes the flow.
      if (op.result !== 0 && ukey?.state === UKEY.OPERATIONAL) ukey.transition(UKEY.INCONSISTENT);
      return;
    }
    ukey?.transition(UKEY.EVICTED);
    if (op.result !== 0) return;
    this.state.adjustCount(-1);
    if (ukey !== undefined && op.stats !== undefined) this.checker.creditLast(op.stats, ukey);
  }
}
