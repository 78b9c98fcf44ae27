import { describe, expect, it } from 'vitest';
import {
  doOverlap,
  equalMatches,
  expandTo,
  internMask,
  isSubset,
  matchesFlow,
  miniFromFlow,
} from '../../src/flow/minimatch.ts';
import { fc } from '../support/property.ts';

const WORDS = 5;
const few = fc.constantFrom(0, 1, 2, 3, -1, 0x80000000 | 0);
const words = fc.array(few, { minLength: WORDS, maxLength: WORDS }).map((a) => Int32Array.from(a));
const both = fc.tuple(words, words);

const isOf = (flow: Int32Array, key: Int32Array, mask: Int32Array): boolean =>
  flow.every((w, i) => ((w ^ (key[i] ?? 0)) & (mask[i] ?? 0)) === 0);

describe('minimatch', () => {
  it('matches what the whole match does, and expands to it', () => {
    fc.assert(
      fc.property(both, words, ([key, mask], flow) => {
        const mini = miniFromFlow(key, mask);
        expect(matchesFlow(mini, flow)).toBe(isOf(flow, key, mask));
        const k = words0();
        const m = words0();
        expandTo(mini, k, m);
        expect(m).toEqual(mask);
        expect(k).toEqual(key.map((w, i) => w & (mask[i] ?? 0)));
        expect(equalMatches(mini, miniFromFlow(k, m))).toBe(true);
      }),
    );
  });

  it('interns masks', () => {
    expect(internMask(Int32Array.of(0, 5, 0, 7))).toBe(internMask(Int32Array.of(0, 5, 0, 7, 0, 0)));
    expect(internMask(Int32Array.of(0, 5))).not.toBe(internMask(Int32Array.of(5, 0)));
  });

  it('knows subsets and overlaps by the packets that match', () => {
    fc.assert(
      fc.property(both, both, words, ([ka, ma], [kb, mb], flow) => {
        const a = miniFromFlow(ka, ma);
        const b = miniFromFlow(kb, mb);
        if (isSubset(a, kb, mb) && matchesFlow(a, flow)) expect(matchesFlow(b, flow)).toBe(true);
        if (matchesFlow(a, flow) && matchesFlow(b, flow)) expect(doOverlap(a, b)).toBe(true);
        // A packet of both, made from the two, exists exactly if they overlap.
        const mixed = ka.map((w, i) => (w & (ma[i] ?? 0)) | ((kb[i] ?? 0) & (mb[i] ?? 0) & ~(ma[i] ?? 0)));
        expect(matchesFlow(a, mixed) && matchesFlow(b, mixed)).toBe(doOverlap(a, b));
        expect(isSubset(a, ka, ma)).toBe(true);
      }),
    );
  });
});

function words0(): Int32Array {
  return new Int32Array(WORDS);
}
