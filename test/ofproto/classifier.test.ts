import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FIELD, FLOW_WORDS } from '../../src/flow/fields.ts';
import { newFlowKey, setField } from '../../src/flow/flow-key.ts';
import { type ClassifierRule, makeMatch, TupleSpace } from '../../src/ofproto/classifier.ts';

const FIELDS = [FIELD.inPort, FIELD.nwSrc, FIELD.tpDst] as const;
const values = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3));
const keyOf = (v: readonly number[]) => {
  const key = newFlowKey();
  for (const [i, f] of FIELDS.entries()) setField(key, f, v[i] ?? 0);
  return key;
};
const rules = fc
  .record({ v: values, m: values, priority: fc.nat(6) })
  .map(({ v, m, priority }): ClassifierRule => ({ match: makeMatch(keyOf(v), keyOf(m)), priority }));

const matches = (r: ClassifierRule, key: Int32Array) =>
  key.every((w, i) => (w & (r.match.mask[i] ?? 0)) === r.match.key[i]);

describe('TupleSpace', () => {
  it('finds what a search through all rules finds, after any insertions and removals', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(rules, fc.boolean())), fc.array(values), (steps, packets) => {
        const classifier = new TupleSpace<ClassifierRule>();
        let all: ClassifierRule[] = [];
        for (const [rule, removeOne] of steps) {
          const same = all.find(
            (r) =>
              r.priority === rule.priority && matches(r, rule.match.key) && `${r.match.mask}` === `${rule.match.mask}`,
          );
          expect(classifier.findExactly(rule.match, rule.priority)).toBe(same);
          expect(classifier.insert(rule)).toBe(same);
          all = [...all.filter((r) => r !== same), rule];
          const victim = removeOne ? all[0] : undefined;
          if (victim !== undefined) {
            expect(classifier.remove(victim)).toBe(true);
            expect(classifier.remove(victim)).toBe(false);
            all = all.filter((r) => r !== victim);
          }
        }
        expect(classifier.size).toBe(all.length);
        expect(new Set(classifier)).toEqual(new Set(all));
        for (const p of packets) {
          const key = keyOf(p);
          const best = Math.max(-1, ...all.filter((r) => matches(r, key)).map((r) => r.priority));
          const wc = newFlowKey();
          expect(classifier.lookup(key, wc)?.priority ?? -1).toBe(best);
          // Whatever looks alike on the consulted bits gets the same answer.
          for (const q of packets) {
            const other = keyOf(q).map((w, i) => (w & ~(wc[i] ?? 0)) | ((key[i] ?? 0) & (wc[i] ?? 0)));
            expect(classifier.lookup(other, undefined)).toBe(classifier.lookup(key, undefined));
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('does not look at masks of lower priority than what it found', () => {
    const classifier = new TupleSpace<ClassifierRule>();
    const mask = (word: number) => {
      const m = newFlowKey();
      m[word] = -1;
      return m;
    };
    classifier.insert({ match: makeMatch(newFlowKey(), mask(FIELD.inPort.word)), priority: 5 });
    classifier.insert({ match: makeMatch(newFlowKey(), mask(FIELD.nwSrc.word)), priority: 4 });
    const wc = newFlowKey();
    expect(classifier.lookup(newFlowKey(), wc)?.priority).toBe(5);
    expect([...wc.keys()].filter((i) => wc[i] !== 0)).toEqual([FIELD.inPort.word]);
    expect(wc.length).toBe(FLOW_WORDS);
  });
});
