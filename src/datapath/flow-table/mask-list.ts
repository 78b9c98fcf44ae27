/**
 * The masks of a flow-table.ts that have flows, in the order in which packets try them.
 * Source: net/openvswitch/flow_table.c (struct mask_array, tbl_mask_array_reset_counters, ovs_flow_masks_rebalance).
 */
import { hashAdd, hashFinish } from '../../flow/flow-hash.ts';
import type { FlowMask } from '../../flow/flow-key.ts';
import { Mask } from './flow.ts';

export class MaskList {
  /** Hot path: look-ups walk it.  Changed only here. */
  list: Mask[] = [];
  private readonly seed: number;
  private nMade = 0;
  /** The mask of the last flow. */
  private last: Mask | undefined;

  /** `seed`: of the masks' hashes. */
  constructor(seed: number) {
    this.seed = seed;
  }

  /** The mask with these bits, with one flow more. */
  use(bits: FlowMask): Mask {
    // Flows that come one after the other have the same mask mostly.
    const { last } = this;
    if (last !== undefined && last.refCount > 0 && last.equals(bits)) {
      last.refCount++;
      return last;
    }
    const hash = hashMask(bits);
    let mask = this.list.find((m) => m.hash === hash && m.equals(bits));
    if (mask === undefined) {
      mask = new Mask(bits, hash, hashFinish(hashAdd(this.seed, this.nMade++)));
      // Counts begin anew, so that the new mask has a fair chance.
      for (const m of this.list) m.usage = 0;
      this.list.push(mask);
    }
    mask.refCount++;
    this.last = mask;
    return mask;
  }

  /** The mask has one flow less; with its last flow it goes. */
  release(mask: Mask): void {
    if (--mask.refCount > 0) return;
    // The last mask takes the place of the one that goes; no order is lost that rebalancing does not restore.
    const last = this.list.pop()!;
    if (last !== mask) this.list[this.list.indexOf(mask)] = last;
  }

  /** Puts them in order of their use since the last time. */
  rebalance(): void {
    this.list.sort((a, b) => b.usage - a.usage);
    for (const mask of this.list) mask.usage = 0;
  }

  clear(): void {
    this.list = [];
    this.last = undefined;
  }
}

function hashMask(bits: FlowMask): number {
  let h = 0;
  for (let i = 0; i < bits.length; i++) if (bits[i] !== 0) h = hashAdd(hashAdd(h, i), bits[i]!);
  return h;
}
