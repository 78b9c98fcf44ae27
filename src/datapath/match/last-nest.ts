/**
 * A nest that was read last, in case the next is the same: vswitchd installs flows by the thousand that differ in their keys alone, and executes
 * packets by the thousand that came by one port.  Reading a nest takes several times as long as seeing that it need not be read.
 */
import { type FlowKey, newFlowKey } from '../../flow/flow-key.ts';

/** Larger nests are read each time. */
const MAX_SIZE = 1024;

export class LastNest {
  private readonly nest = new DataView(new ArrayBuffer(MAX_SIZE));
  /** 0: none is kept. */
  private size = 0;
  private readonly words = newFlowKey();
  /** The attributes that it has. */
  present = 0;

  /** Writes what the nest at `at` says to `out` if it is the one that was kept; else returns false. */
  find(dv: DataView, at: number, size: number, out: FlowKey): boolean {
    if (size === 0 || size !== this.size) return false;
    for (let i = 0; i < size; i += 4) if (dv.getInt32(at + i) !== this.nest.getInt32(i)) return false;
    out.set(this.words);
    return true;
  }

  /** Keeps what was read from the nest at `at`, whose attributes are `present`. */
  keep(dv: DataView, at: number, size: number, words: FlowKey, present: number): void {
    this.size = 0;
    if (size > MAX_SIZE || size % 4 !== 0) return;
    for (let i = 0; i < size; i += 4) this.nest.setInt32(i, dv.getInt32(at + i));
    this.size = size;
    this.words.set(words);
    this.present = present;
  }
}
