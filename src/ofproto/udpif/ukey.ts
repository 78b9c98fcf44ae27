/**
 * A ukey: what userspace knows of one datapath flow that it is responsible for, and how far the flow's life has come.
 *
 *     CREATED > VISIBLE > OPERATIONAL > INCONSISTENT > EVICTING > EVICTED > DELETED
 *
 * `upcall.ts` makes them, `revalidator.ts` keeps them true and ends them; `ukey-map.ts` has all of a datapath.  All waits (for the datapath's answers) happen
 * between two states, so that whoever meets a ukey can tell from its state what is under way.
 * Source: ofproto/ofproto-dpif-upcall.c (struct udpif_key, enum ukey_state).
 */
import type { DpifFlowDel, DpifFlowPut, DpifFlowStats, Nest, Ufid } from '../../dpif/dpif-types.ts';
import { recircIds } from '../xlate/recirc.ts';
import type { XlateCache } from '../xlate/xlate-cache.ts';

/** States, in the order in which they are passed. */
// biome-ignore format: table
export const UKEY = {
  CREATED: 0,      // known to its maker only
  VISIBLE: 1,      // in the map; the flow is on its way to the datapath
  OPERATIONAL: 2,  // in the map, and in the datapath
  INCONSISTENT: 3, // in the datapath, but with other actions than meant: a change failed
  EVICTING: 4,     // its deletion is on the way to the datapath
  EVICTED: 5,      // no longer in the datapath
  DELETED: 6,      // no longer in the map
} as const;
export type UkeyState = (typeof UKEY)[keyof typeof UKEY];
const STATE_NAMES = Object.keys(UKEY);

/** To which states each state may go. */
const ALLOWED: Readonly<Record<UkeyState, readonly UkeyState[]>> = {
  [UKEY.CREATED]: [UKEY.VISIBLE],
  // The datapath refused the flow (EVICTED), or the flow went before its installation was confirmed (EVICTING).
  [UKEY.VISIBLE]: [UKEY.OPERATIONAL, UKEY.INCONSISTENT, UKEY.EVICTING, UKEY.EVICTED],
  [UKEY.OPERATIONAL]: [UKEY.INCONSISTENT, UKEY.EVICTING],
  [UKEY.INCONSISTENT]: [UKEY.EVICTING],
  [UKEY.EVICTING]: [UKEY.EVICTED],
  [UKEY.EVICTED]: [UKEY.DELETED],
  [UKEY.DELETED]: [],
};

/** Why a flow is deleted from the datapath. */
// biome-ignore format: table
export const FLOW_DEL_REASON = {
  NONE: 'none',                       AVOID_CACHING: 'avoid_caching',     BAD_ODP_FIT: 'bad_odp_fit',
  FLOW_IDLE: 'flow_idle',             FLOW_LIMIT: 'flow_limit',           FLOW_WILDCARDED: 'flow_wildcarded',
  NO_OFPROTO: 'no_ofproto',           PURGE: 'purge',                     TOO_EXPENSIVE: 'too_expensive',
  UPDATE_FAIL: 'update_fail',         XLATION_ERROR: 'xlation_error',     FLOW_MISSING_DP: 'flow_missing_dp',
} as const;
export type FlowDelReason = (typeof FLOW_DEL_REASON)[keyof typeof FLOW_DEL_REASON];

const NO_RECIRCS: readonly number[] = [];
const NO_STATS: DpifFlowStats = { nPackets: 0, nBytes: 0, used: 0, tcpFlags: 0 };

/**
 * Keys of some forty ukeys that are made one after the other share a piece of memory: one of its own for each would cost more than what is
 * in it, for the collector above all.  A ukey that lives on keeps that of its neighbours, 8 KB at most.
 */
const CHUNK_SIZE = 8 << 10;
let chunk = new Uint8Array(CHUNK_SIZE);
let chunkUsed = 0;

export class Ukey {
  readonly ufid: Ufid;
  /** Whether the datapath knows the flow by its UFID; else by its key. */
  readonly hasUfid: boolean;
  /** The key is a part of it: a view of its own would take more memory than it does. */
  private readonly chunk: Uint8Array;
  private readonly keyAt: number;
  private readonly keyEnd: number;
  /** Most ukeys share it with others. */
  readonly mask: Nest | undefined;
  actions: Nest;
  readonly createdMs: number;
  /** As of the last dump; what came before has been credited. */
  stats: DpifFlowStats;
  /** The dump that saw it last, and the state of the configuration that it was last checked against. */
  dumpSeq = 0;
  revalSeq: number;
  /** Dumps in a row that did not see it. */
  missedDumps = 0;
  cache: XlateCache | undefined;
  /** Recirculation ids that its actions have: held until it is DELETED. */
  private recircs: readonly number[];
  /** That of its key, held as long; 0 if none is. */
  private readonly keyRecirc: number;
  private current: UkeyState = UKEY.CREATED;

  /** Copies the key, and takes over the rest. */
  constructor(init: {
    ufid: Ufid;
    hasUfid: boolean;
    key: Nest;
    mask: Nest | undefined;
    actions: Nest;
    revalSeq: number;
    /** The time now. */
    createdMs: number;
    usedMs?: number;
    cache?: XlateCache | undefined;
    recircs?: readonly number[];
    keyRecirc?: number;
  }) {
    this.ufid = init.ufid;
    this.hasUfid = init.hasUfid;
    const { key } = init;
    if (chunkUsed + key.length > chunk.length) {
      chunk = new Uint8Array(Math.max(CHUNK_SIZE, key.length));
      chunkUsed = 0;
    }
    this.chunk = chunk;
    this.keyAt = chunkUsed;
    this.keyEnd = chunkUsed += key.length;
    chunk.set(key, this.keyAt);
    this.mask = init.mask;
    this.actions = init.actions;
    this.createdMs = init.createdMs;
    this.revalSeq = init.revalSeq;
    this.stats = init.usedMs === undefined ? NO_STATS : { ...NO_STATS, used: init.usedMs };
    this.cache = init.cache;
    this.recircs = init.recircs ?? NO_RECIRCS;
    this.keyRecirc = init.keyRecirc ?? 0;
  }

  get key(): Nest {
    return this.chunk.subarray(this.keyAt, this.keyEnd);
  }

  get state(): UkeyState {
    return this.current;
  }
  get stateName(): string {
    return STATE_NAMES[this.current] ?? '?';
  }

  /** Goes to `next`.  Staying is allowed in OPERATIONAL; a step that is not in the table is a bug and throws. */
  transition(next: UkeyState): void {
    if (next === this.current && next === UKEY.OPERATIONAL) return;
    if (!ALLOWED[this.current].includes(next)) {
      throw new Error(`ukey ${this.ufid}: invalid transition ${this.stateName} -> ${STATE_NAMES[next]}`);
    }
    this.current = next;
    if (next !== UKEY.DELETED) return;
    this.holdRecircs(NO_RECIRCS);
    if (this.keyRecirc !== 0) recircIds.release([this.keyRecirc]);
  }

  /** Takes over `ids`, which are held, in place of those that it had. */
  holdRecircs(ids: readonly number[]): void {
    recircIds.release(this.recircs);
    this.recircs = ids;
    // One whose place another has taken has no actions any more.
    if (this.current !== UKEY.DELETED) return;
    recircIds.release(ids);
    this.recircs = NO_RECIRCS;
  }

  /** The operation that puts the flow into the datapath as it stands here; `flags`: DPIF_FP_*; `key`: its key, for who has it at hand. */
  putOp(flags: number, key = this.key): DpifFlowPut {
    return {
      type: 'put',
      flags,
      key,
      mask: this.mask,
      ufid: this.hasUfid ? this.ufid : undefined,
      actions: this.actions,
    };
  }

  /** The operation that deletes it and brings its last statistics. */
  delOp(): DpifFlowDel {
    return { type: 'del', key: this.key, ufid: this.hasUfid ? this.ufid : undefined, wantStats: true };
  }
}

/** True if both are the same bytes. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
