/**
 * One flow of the flow table, and the masks that flows share.  `flow-table.ts` makes both and owns their memory: a flow
 * is an index into the table's columns and store, so that 200,000 of them stay small and a look-up touches no object.
 *
 * Counters are plain numbers, exact to 2^53.
 * Source: net/openvswitch/flow.h, flow_table.h.
 */
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import type { Ufid } from '../../odp/odp-ufid.ts';
import type { ActionProgram } from '../actions/action-program.ts';

/** What a client calls a flow: 16 bytes, or, by a client of its own mind, fewer. */
export type FlowId = Ufid | Uint8Array;

/** What FlowTable.insert() needs.  Keys and masks are copied; the rest is kept. */
export interface FlowSpec {
  /** As sent: bits outside the mask count when flows without UFID are told apart. */
  readonly key: FlowKey;
  readonly mask: FlowMask;
  /** Without one, the unmasked key identifies the flow. */
  readonly ufid?: FlowId | undefined;
  readonly program: ActionProgram;
}

/** A mask, with the list of its words that are not zero: the only ones that a look-up reads. */
export class Mask {
  /** Pairs: number of a word, its bits. */
  readonly plan: Int32Array;
  /** Of its words, to find it by; for FlowTable only. */
  readonly hash: number;
  /** Start of every hash of a key under this mask; tells equal words under different masks apart. */
  readonly seed: number;
  /** Flows that have it. */
  refCount = 0;
  /** Look-ups that it decided, since masks were last put in order. */
  usage = 0;

  constructor(mask: FlowMask, hash: number, seed: number) {
    let n = 0;
    for (let i = 0; i < mask.length; i++) if (mask[i] !== 0) n++;
    this.plan = new Int32Array(2 * n);
    this.hash = hash;
    this.seed = seed;
    for (let i = 0, at = 0; i < mask.length; i++) {
      if (mask[i] === 0) continue;
      this.plan[at++] = i;
      this.plan[at++] = mask[i]!;
    }
  }

  equals(mask: FlowMask): boolean {
    let n = 0;
    for (let i = 0; i < mask.length; i++) if (mask[i] !== 0) n++;
    if (2 * n !== this.plan.length) return false;
    for (let i = 0; i < this.plan.length; i += 2) if (mask[this.plan[i]!] !== this.plan[i + 1]) return false;
    return true;
  }

  /** Writes the whole mask to `out`, FLOW_WORDS words. */
  expand(out: FlowMask): FlowMask {
    out.fill(0);
    for (let i = 0; i < this.plan.length; i += 2) out[this.plan[i]!] = this.plan[i + 1]!;
    return out;
  }
}

/** Where a flow's words are: the flow table. */
export interface KeySource {
  readKey(flow: Flow, out: FlowKey): FlowKey;
  readUnmaskedKey(flow: Flow, out: FlowKey): FlowKey;
}

export class Flow {
  private readonly table: KeySource;
  readonly mask: Mask;
  /** Its row in the table's columns; -1 once it was removed. */
  index: number;
  /** Once it was removed, what the table's store had of it; for FlowTable only. */
  kept: Int32Array | undefined;
  readonly ufid: FlowId | undefined;
  /** Replaced when the flow is modified. */
  program: ActionProgram;

  nPackets = 0;
  nBytes = 0;
  /** Monotonic ms of the last packet, 0 if there was none. */
  usedMs = 0;
  /** OR of the TCP flags of its packets, 12 bits. */
  tcpFlags = 0;

  /** For FlowTable only. */
  constructor(table: KeySource, mask: Mask, index: number, ufid: FlowId | undefined, program: ActionProgram) {
    this.table = table;
    this.mask = mask;
    this.index = index;
    this.ufid = ufid;
    this.program = program;
    this.kept = undefined;
  }

  /** Writes the masked key to `out`, FLOW_WORDS words. */
  readKey(out: FlowKey): FlowKey {
    return this.table.readKey(this, out);
  }
  /** Writes the key as it was sent to `out`; for a flow with UFID, which does not keep it, the masked key. */
  readUnmaskedKey(out: FlowKey): FlowKey {
    return this.table.readUnmaskedKey(this, out);
  }
  /** Writes its mask to `out`, FLOW_WORDS words. */
  readMask(out: FlowMask): FlowMask {
    return this.mask.expand(out);
  }
  /** The actions as they were sent. */
  get actions(): Uint8Array {
    return this.program.bytes;
  }

  /** Counts one packet of `size` bytes.  Hot path. */
  count(size: number, tcpFlags: number, nowMs: number): void {
    this.nPackets++;
    this.nBytes += size;
    this.tcpFlags |= tcpFlags;
    this.usedMs = nowMs;
  }
  clearStats(): void {
    this.nPackets = this.nBytes = this.usedMs = this.tcpFlags = 0;
  }
}
