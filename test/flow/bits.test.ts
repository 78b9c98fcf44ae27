import { describe, expect, it } from 'vitest';
import { areBitsZero, copyBits, fillBits, getBits, setBits } from '../../src/flow/bits.ts';
import { fc } from '../support/property.ts';

const WORDS = 6;
const TOTAL = WORDS * 32;

/** The same as text of 0s and 1s, which is easy to cut. */
const textOf = (w: Int32Array): string => [...w].map((x) => (x >>> 0).toString(2).padStart(32, '0')).join('');
const words = fc.array(fc.integer(), { minLength: WORDS, maxLength: WORDS }).map((a) => Int32Array.from(a));
const range = (max: number) =>
  fc.tuple(fc.nat(TOTAL - 1), fc.integer({ min: 1, max })).map(([at, n]) => [at, Math.min(n, TOTAL - at)] as const);

describe('bit strings', () => {
  it('are read and written as text would be', () => {
    fc.assert(
      fc.property(words, range(32), fc.integer(), (w, [at, n], value) => {
        const text = textOf(w);
        expect(getBits(w, at, n)).toBe(Number.parseInt(text.slice(at, at + n), 2));
        setBits(w, at, n, value);
        const bits = (value >>> 0)
          .toString(2)
          .padStart(32, '0')
          .slice(32 - n);
        expect(textOf(w)).toBe(text.slice(0, at) + bits + text.slice(at + n));
      }),
    );
  });

  it('are copied, also onto themselves', () => {
    fc.assert(
      fc.property(words, words, range(TOTAL), fc.nat(), fc.boolean(), (a, b, [at, n], seed, isSame) => {
        const src = isSame ? a : b;
        const from = textOf(src);
        const to = textOf(a);
        const srcAt = seed % (TOTAL - n + 1);
        copyBits(a, at, src, srcAt, n);
        expect(textOf(a)).toBe(to.slice(0, at) + from.slice(srcAt, srcAt + n) + to.slice(at + n));
      }),
    );
  });

  it('are filled and tested', () => {
    fc.assert(
      fc.property(words, range(TOTAL), fc.boolean(), (w, [at, n], isOne) => {
        const text = textOf(w);
        expect(areBitsZero(w, at, n)).toBe(!text.slice(at, at + n).includes('1'));
        fillBits(w, at, n, isOne);
        expect(textOf(w)).toBe(text.slice(0, at) + (isOne ? '1' : '0').repeat(n) + text.slice(at + n));
      }),
    );
  });
});
