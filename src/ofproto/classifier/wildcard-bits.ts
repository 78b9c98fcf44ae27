/** Leading bits of a field in the wildcards of a look-up: what a prefix trie looked at. */
import type { FlowMask } from '../../flow/flow-key.ts';

/** A word whose first `n` bits are set; all for more than 32. */
export const prefixMask = (n: number): number => (n >= 32 ? -1 : n <= 0 ? 0 : -1 << (32 - n));

/** Sets `n` bits of a flow mask from bit `at` on, which begins a word. */
export function setPrefix(wc: FlowMask, at: number, n: number): void {
  for (let w = at >>> 5, left = n; left > 0; w++, left -= 32) wc[w] = (wc[w] as number) | prefixMask(left);
}

/** Whether these bits are set. */
export function hasPrefix(wc: FlowMask, at: number, n: number): boolean {
  for (let w = at >>> 5, left = n; left > 0; w++, left -= 32) {
    const bits = prefixMask(left);
    if (((wc[w] as number) & bits) !== bits) return false;
  }
  return true;
}
