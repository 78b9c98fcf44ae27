import { describe, expect, it } from 'vitest';
import { FIELD, type FieldName } from '../../../src/flow/fields.ts';
import { newFlow, setField } from '../../../src/flow/flow-key.ts';
import { matchesFlow, miniFromFlow } from '../../../src/flow/minimatch.ts';
import { Classifier } from '../../../src/ofproto/classifier/classifier.ts';
import { type ClassifierRule, FOREVER } from '../../../src/ofproto/classifier/classifier-rule.ts';
import { fc } from '../../support/property.ts';

/** Few fields of every segment, few values of few bits, so that rules meet. */
const FIELDS = ['inPort', 'reg3', 'ethDst', 'ethType', 'nwSrc', 'nwDst', 'tpSrc', 'tpDst', 'tcpFlags'] as const;
type Values = Partial<Record<(typeof FIELDS)[number], readonly [number, number]>>;

const wordOf = (name: FieldName) => FIELD[name].word;
function put(words: Int32Array, name: (typeof FIELDS)[number], value: number): void {
  if (name === 'ethDst') words[wordOf('ethDst')] = value;
  else setField(words, FIELD[name], value);
}

const part = fc.constantFrom(0, 0x80000001, 0xc0a80101, 0xc0a80202, 0x0a000001, 0xffff);
const prefix = fc.constantFrom(0, 0xff000000, 0xffff0000, 0xffffffff, 0xf0f00000, 0xfff0, 0xffff);
const values = fc.record(
  Object.fromEntries(FIELDS.map((f) => [f, fc.tuple(part, prefix)])) as Record<
    (typeof FIELDS)[number],
    fc.Arbitrary<[number, number]>
  >,
  { requiredKeys: [] },
) as fc.Arbitrary<Values>;

interface TestRule extends ClassifierRule {
  readonly n: number;
}
const clause = fc.record({ id: fc.integer({ min: 1, max: 2 }), clause: fc.nat(1), nClauses: fc.constant(2) });
const spec = fc.record({
  values,
  priority: fc.nat(6),
  conjunctions: fc.option(fc.array(clause, { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 4 }),
  conjId: fc.option(fc.integer({ min: 1, max: 2 }), { nil: undefined, freq: 6 }),
  addedIn: fc.nat(3),
  life: fc.constantFrom(1, 2, FOREVER),
});
type Spec = typeof spec extends fc.Arbitrary<infer T> ? T : never;

function ruleOf(s: Spec, n: number): TestRule {
  const key = newFlow();
  const mask = newFlow();
  for (const name of FIELDS) {
    const v = s.values[name];
    if (v === undefined) continue;
    put(key, name, v[0]);
    put(mask, name, v[1]);
  }
  if (s.conjId !== undefined && s.conjunctions === undefined) {
    setField(key, FIELD.conjId, s.conjId);
    setField(mask, FIELD.conjId, 0xffffffff);
  }
  const { priority, conjunctions, addedIn } = s;
  return { n, match: miniFromFlow(key, mask), priority, conjunctions, addedIn, removedIn: addedIn + s.life };
}

/** Rules of which no two have match and priority and are seen in one version. */
function distinct(specs: readonly Spec[]): TestRule[] {
  const rules: TestRule[] = [];
  specs.forEach((s, i) => {
    const rule = ruleOf(s, i);
    const isTwin = rules.some(
      (r) =>
        r.priority === rule.priority &&
        r.match.mask === rule.match.mask &&
        String(r.match.values) === String(rule.match.values),
    );
    if (!isTwin) rules.push(rule);
  });
  return rules;
}

/** What a look-up means, rule by rule. */
function reference(rules: readonly TestRule[], flow: Int32Array, version: number, soft = true): TestRule | undefined {
  const seen = rules.filter((r) => r.addedIn <= version && version < r.removedIn && matchesFlow(r.match, flow));
  for (let priority = 6; priority >= 0; priority--) {
    const here = seen.filter((r) => r.priority === priority);
    const hard = here.filter((r) => r.conjunctions === undefined);
    const ids = [1, 2].filter((id) =>
      [0, 1].every((c) => here.some((r) => r.conjunctions?.some((j) => j.id === id && j.clause === c))),
    );
    if (hard.length > 0) return hard[0];
    if (!soft) continue;
    for (const id of ids) {
      const again = flow.slice();
      setField(again, FIELD.conjId, id);
      const found = reference(rules, again, version, false);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

const packet = fc.record(
  Object.fromEntries(FIELDS.map((f) => [f, part])) as Record<(typeof FIELDS)[number], fc.Arbitrary<number>>,
);
function flowOf(p: Partial<Record<(typeof FIELDS)[number], number>>): Int32Array {
  const flow = newFlow();
  for (const name of FIELDS) put(flow, name, p[name] ?? 0);
  return flow;
}

const TRIES = [
  { at: FIELD.nwDst.at, bits: 32 },
  { at: FIELD.nwSrc.at, bits: 32 },
];

describe('classifier', () => {
  it('finds the rule that a search of all rules does, and wildcards that are never too wide', () => {
    fc.assert(
      fc.property(
        fc.array(spec, { maxLength: 25 }),
        fc.array(packet, { minLength: 2, maxLength: 12 }),
        fc.nat(3),
        fc.boolean(),
        (specs, packets, version, withTries) => {
          const rules = distinct(specs);
          const c = new Classifier<TestRule>();
          if (withTries) c.setPrefixFields(TRIES);
          for (const r of rules) c.insert(r);
          const flows = packets.map(flowOf);
          const results = flows.map((flow) => {
            const wc = newFlow();
            const before = flow.slice();
            const found = c.lookup(flow, version, wc);
            expect(flow).toEqual(before);
            expect(c.lookup(flow, version, undefined)?.n).toBe(found?.n);
            return { flow, wc, found };
          });
          for (const { flow, wc, found } of results) {
            const want = reference(rules, flow, version);
            expect(found?.priority).toBe(want?.priority);
            if (want !== undefined && rules.every((r) => r.conjunctions === undefined)) {
              expect(matchesFlow((found as TestRule).match, flow)).toBe(true);
            }
            // Every packet that is the same on what was looked at has the same rule.
            for (const other of results) {
              const mixed = flow.map(
                (w, i) => (w & (wc[i] as number)) | ((other.flow[i] as number) & ~(wc[i] as number)),
              );
              expect(c.lookup(mixed, version, undefined)?.n).toBe(found?.n);
            }
          }
        },
      ),
      { numRuns: 120 },
    );
  });

  it('finds by removal what it found before, and is empty at last', () => {
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 40 }), packet, fc.boolean(), (specs, p, withTries) => {
        const rules = distinct(specs.map((s) => ({ ...s, conjunctions: undefined, addedIn: 0, life: FOREVER })));
        const c = new Classifier<TestRule>();
        if (withTries) c.setPrefixFields(TRIES);
        for (const r of rules) c.insert(r);
        const flow = flowOf(p);
        const left = [...rules];
        while (left.length > 0) {
          expect(c.size).toBe(left.length);
          expect([...c].length).toBe(left.length);
          const wc = newFlow();
          expect(c.lookup(flow, 1, wc)?.priority).toBe(reference(left, flow, 1)?.priority);
          const [gone] = left.splice(left.length >> 1, 1) as [TestRule];
          expect(c.findExactly(gone.match, gone.priority, 1)?.n).toBe(gone.n);
          expect(c.remove(gone)).toBe(true);
          expect(c.remove(gone)).toBe(false);
        }
        expect(c.nSubtables).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it('has no rules after it was cleared, and takes those that come', () => {
    const none = { conjunctions: undefined, conjId: undefined, addedIn: 0, life: FOREVER };
    const c = new Classifier<TestRule>();
    c.setPrefixFields(TRIES);
    const rules = [1, 2, 3].map((n) => ruleOf({ values: { nwDst: [n, 0xffffffff] }, priority: n, ...none }, n));
    for (const r of rules) c.insert(r);
    const ip = { ethType: 0x0800, nwDst: 2 };
    expect(c.lookup(flowOf(ip), 1, undefined)?.n).toBe(2);
    c.clear();
    const wc = newFlow();
    expect([c.size, c.nSubtables, c.lookup(flowOf(ip), 1, wc)]).toEqual([0, 0, undefined]);
    expect(wc).toEqual(newFlow());
    expect(c.remove(rules[1] as TestRule)).toBe(false);
    c.insert(rules[1] as TestRule);
    expect(c.lookup(flowOf(ip), 1, wc)?.n).toBe(2);
    // The tries are in use again.
    expect(c.lookup(flowOf({ ...ip, nwDst: 0x80000000 }), 1, wc.fill(0))).toBeUndefined();
    expect(wc[wordOf('nwDst')]).toBe(0x80000000 | 0);
  });

  it('selects for a loose change the rules that are within a match', () => {
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 25 }), spec, (specs, which) => {
        const rules = distinct(specs);
        const c = new Classifier<TestRule>();
        for (const r of rules) c.insert(r);
        const w = ruleOf(which, 0).match;
        const flow = newFlow();
        const mask = newFlow();
        w.mask.words.forEach((word, i) => {
          flow[word] = w.values[i] as number;
          mask[word] = w.mask.bits[i] as number;
        });
        const want = rules.filter((r) => {
          if (!(r.addedIn <= 1 && 1 < r.removedIn)) return false;
          // Within: on every bit of the match the rule has the same, and looks at it.
          return w.mask.words.every((word, i) => {
            const at = r.match.mask.words.indexOf(word);
            const bits = w.mask.bits[i] as number;
            if (at < 0 || (bits & ~(r.match.mask.bits[at] as number)) !== 0) return false;
            return (((r.match.values[at] as number) ^ (w.values[i] as number)) & bits) === 0;
          });
        });
        expect([...c.within(flow, mask, 1)].map((r) => r.n).sort()).toEqual(want.map((r) => r.n).sort());
      }),
    );
  });

  it('leaves out of the wildcards what an early segment, a trie or half a port made needless', () => {
    const c = new Classifier<TestRule>();
    c.setPrefixFields(TRIES);
    const none = { conjunctions: undefined, conjId: undefined, addedIn: 0, life: FOREVER };
    c.insert(ruleOf({ values: { inPort: [5, 0xffffffff], tpDst: [80, 0xffff] }, priority: 3, ...none }, 0));
    c.insert(ruleOf({ values: { nwDst: [0xc0a80101, 0xffffffff] }, priority: 2, ...none }, 1));
    c.insert(ruleOf({ values: { reg3: [0, 0xffffffff], tpSrc: [0x8000, 0xffff] }, priority: 1, ...none }, 2));
    const wc = newFlow();
    const ip = { inPort: 1, ethType: 0x0800, nwDst: 0x0a000001, tpSrc: 0x1000 };
    expect(c.lookup(flowOf(ip), 1, wc)).toBeUndefined();
    expect(wc[wordOf('inPort')]).toBe(-1);
    expect(wc[wordOf('nwDst')]).toBe(0x80000000 | 0);
    expect(wc[wordOf('tpSrc')]).toBe(0x80000000 | 0);
    // ARP has its addresses in the same place, but the trie is of IP prefixes.
    const arp = newFlow();
    expect(c.lookup(flowOf({ ...ip, ethType: 0x0806 }), 1, arp)).toBeUndefined();
    expect(arp[wordOf('nwDst')]).toBe(-1);
  });

  it('looks at all of a stage with ports, but of the ports at no more than it takes', () => {
    const c = new Classifier<TestRule>();
    const none = { conjunctions: undefined, conjId: undefined, addedIn: 0, life: FOREVER };
    c.insert(ruleOf({ values: { tpDst: [80, 0xffff], tcpFlags: [2, 0xfff] }, priority: 1, ...none }, 0));
    const flags = 0xfff << FIELD.tcpFlags.shift;
    const [other, same] = [newFlow(), newFlow()];
    expect(c.lookup(flowOf({ tpDst: 0x8050 }), 1, other)).toBeUndefined();
    expect((other[wordOf('tcpFlags')] as number) & flags).toBe(flags);
    expect(other[wordOf('tpDst')]).toBe(0x8000);
    expect(c.lookup(flowOf({ tpDst: 80 }), 1, same)).toBeUndefined();
    expect((same[wordOf('tcpFlags')] as number) & flags).toBe(flags);
    expect(same[wordOf('tpDst')]).toBe(0xffff);
  });

  it('tries masks of one highest priority in the order in which they got it', () => {
    const none = { conjunctions: undefined, conjId: undefined, addedIn: 0, life: FOREVER };
    const c = new Classifier<TestRule>();
    const rules = [
      { values: { reg3: [1, 0xffffffff] as const }, priority: 1 },
      { values: { tpSrc: [1, 0xffff] as const }, priority: 5 },
      { values: { reg3: [2, 0xffffffff] as const }, priority: 5 },
      { values: {}, priority: 5 },
      { values: { inPort: [1, 0xffffffff] as const }, priority: 5 },
    ].map((r, n) => ruleOf({ ...r, ...none }, n));
    for (const r of rules) c.insert(r);
    const seen = (): string[] => {
      const wc = newFlow();
      c.lookup(flowOf({}), 1, wc);
      return (['reg3', 'tpSrc', 'inPort'] as const).filter((name) => wc[wordOf(name)] !== 0);
    };
    // That of reg3 is lower at first, but then it is only as high as the other, which stays before it.
    expect(seen()).toEqual(['reg3', 'tpSrc']);
    // The last takes the place of what goes.
    c.remove(rules[1] as TestRule);
    expect(seen()).toEqual(['reg3', 'inPort']);
  });

  it('tries masks of one highest priority in the order in which they came, where they are put in order after several insertions', () => {
    const none = { conjunctions: undefined, conjId: undefined, addedIn: 0, life: FOREVER };
    const rules = [
      { values: {}, priority: 1 },
      { values: { tpSrc: [1, 0xffff] as const }, priority: 5 },
      { values: {}, priority: 5 },
    ].map((r, n) => ruleOf({ ...r, ...none }, n));
    const looksAtPort = (isDeferred: boolean): boolean => {
      const c = new Classifier<TestRule>();
      for (const r of rules) c.insert(r, isDeferred);
      const wc = newFlow();
      c.lookup(flowOf({}), 1, wc);
      return wc[wordOf('tpSrc')] !== 0;
    };
    expect([looksAtPort(false), looksAtPort(true)]).toEqual([true, false]);
  });
});
