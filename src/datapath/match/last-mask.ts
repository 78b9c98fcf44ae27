/**
 * The mask that was read last, in case the next flow has the same: vswitchd installs flows by the thousand that differ in their keys alone.
 * Reading a mask takes as long as reading a key.
 *
 * What a mask means depends on its key's VLAN tags and tunnel: the masks of such keys are not kept.
 */
import { FIELD, VLAN_CFI } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, newFlowKey } from '../../flow/flow-key.ts';

/** Larger masks are read each time. */
const MAX_SIZE = 1024;

export class LastMask {
  private readonly nest = new DataView(new ArrayBuffer(MAX_SIZE));
  /** 0: none is kept. */
  private size = 0;
  private readonly words = newFlowKey();
  /** The attributes that it has. */
  present = 0;

  /** Whether the masks of packets like `key` mean the same whatever else the key says. */
  static suits(key: FlowKey): boolean {
    return (getField(key, FIELD.vlanTci) & VLAN_CFI) === 0 && getField(key, FIELD.tunPresent) === 0;
  }

  /** Writes the mask of the nest at `at` to `mask` if it is the one that was kept; else returns false. */
  find(dv: DataView, at: number, size: number, mask: FlowMask): boolean {
    if (size === 0 || size !== this.size) return false;
    for (let i = 0; i < size; i += 4) if (dv.getInt32(at + i) !== this.nest.getInt32(i)) return false;
    mask.set(this.words);
    return true;
  }

  /** Keeps the mask that was read from the nest at `at`, whose attributes are `present`. */
  keep(dv: DataView, at: number, size: number, mask: FlowMask, present: number): void {
    this.size = 0;
    if (size > MAX_SIZE || size % 4 !== 0) return;
    for (let i = 0; i < size; i += 4) this.nest.setInt32(i, dv.getInt32(at + i));
    this.size = size;
    this.words.set(mask);
    this.present = present;
  }
}
