import type { FlowKey } from '../flow/flow-key.ts';
import type { Flow, FlowSpec } from './flow.ts';
/** Signatures; see the commits that follow for the bodies. */
export declare class FlowTable {
  readonly count: number;
  readonly nMasks: number;
  /** Masks tried, and look-ups that the mask cache decided, since the start. */
  nMaskHit: number;
  nCacheHit: number;
  /** Setting it: a power of 2 up to 4096, or 0; throws RangeError else. */
  maskCacheSize: number;
  constructor(random?: () => number);
  /** Adds a flow.  The caller has looked for duplicates. */
  insert(spec: FlowSpec): Flow;
  /** Takes it out.  The Flow object keeps its key, mask and statistics. */
  remove(flow: Flow): void;
  /** Hot: the flow for a packet, by mask cache (`hash` not 0). */
  lookupPacket(key: FlowKey, hash: number): Flow | undefined;
  /** ovs_flow_tbl_lookup(): some flow that `key` matches; cold, counts nothing. */
  lookup(key: FlowKey): Flow | undefined;
  /** ovs_flow_tbl_lookup_exact(): the flow without UFID that was installed with this unmasked key. */
  lookupExact(unmaskedKey: FlowKey): Flow | undefined;
  lookupUfid(ufid: Uint8Array): Flow | undefined;
  /** ovs_flow_cmp(): with UFID, its masked key equals `key`; without, its unmasked key does. */
  isSame(flow: Flow, key: FlowKey): boolean;
  /** Removes all; returns how many. */
  flush(): number;
  /**
   * Resumable walk: the first flow at or after `cursor` (start with 0); go on with `flow.index + 1`.  A flow that is in
   * the table all the while is met exactly once, whatever else comes and goes.
   */
  next(cursor: number): Flow | undefined;
  /** Puts masks in order of use; the datapath calls it every 4000 ms. */
  rebalanceMasks(): void;
  readKey(flow: Flow, out: FlowKey): FlowKey;
  readUnmaskedKey(flow: Flow, out: FlowKey): FlowKey;
}
