import { expect, test } from 'vitest';
import { Ufid } from '../../src/odp/odp-ufid.ts';
import { UfidMap } from '../../src/odp/ufid-map.ts';
import { fc } from '../support/property.ts';

/** Few words, so that UFIDs share some, and return. */
const ufid = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -2, max: 40 }))
  .map(([a, b]) => new Ufid(a, b, 7, -1));
const step = fc.record({ isDelete: fc.boolean(), ufid, value: fc.nat() });

test('does what a Map with text keys does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const [map, want] = [new UfidMap<number>(), new Map<string, number>()];
      for (const s of steps) {
        const text = s.ufid.toString();
        if (s.isDelete) expect(map.delete(s.ufid)).toBe(want.delete(text));
        else {
          map.set(s.ufid, s.value);
          want.set(text, s.value);
        }
        expect(map.get(s.ufid)).toBe(want.get(text));
        expect(map.size).toBe(want.size);
      }
      expect([...map].sort()).toEqual([...want.values()].sort());
      map.clear();
      expect([map.size, [...map]]).toEqual([0, []]);
    }),
    { numRuns: 50 },
  );
});

test('finds all of many, and a walk meets what is there all the while once, whatever comes and goes', () => {
  const map = new UfidMap<number>();
  const of = (i: number) => new Ufid(i, i >>> 8, 0, 0);
  for (let i = 0; i < 5000; i++) map.set(of(i), i);
  const met: number[] = [];
  for (let e = map.next(0), n = 0; e >= 0; e = map.next(e + 1), n++) {
    met.push(map.at(e));
    if (n % 2 === 0) map.delete(of(2 * n));
    if (n < 3000) map.set(of(10_000 + n), -1);
  }
  const stayed = met.filter((v) => v >= 0);
  expect(new Set(stayed).size).toBe(stayed.length);
  for (let i = 1; i < 5000; i += 2) expect(map.get(of(i))).toBe(i);
  expect(stayed.filter((v) => v % 2 === 1)).toHaveLength(2500);
});
