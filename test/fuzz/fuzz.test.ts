/** Every input of the fuzzer: all kept cases again, then a moment of fuzzing.  `scripts/fuzz` goes on for longer. */
import { describe, expect, test } from 'vitest';
import { type Case, type FuzzTarget, formatCase, parseCase } from './case.ts';
import { readCorpus, readRegressions } from './corpus.ts';
import { Random } from './random.ts';
import { runSession } from './session.ts';
import { TARGETS } from './targets/index.ts';

const { TAPSWITCH_FUZZ_CASES, TAPSWITCH_FUZZ_SEED } = process.env;
const CASES = Number(TAPSWITCH_FUZZ_CASES ?? 500);
/** Where even that takes long. */
const SECONDS = Math.max(8, CASES / 60);
const SEED = Number(TAPSWITCH_FUZZ_SEED ?? 1);

/** Why a case fails; undefined: it does not. */
async function failureOf(target: FuzzTarget, records: Case): Promise<unknown> {
  try {
    await target.run(records);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe.each(TARGETS.map((target) => ({ name: target.name, target })))('$name', ({ name, target }) => {
  test('kept cases', { timeout: 120_000 }, async () => {
    const kept = readCorpus(name);
    expect(kept.length).toBeGreaterThan(0);
    for (const records of kept) {
      const problem = await failureOf(target, records);
      expect(problem, formatCase(records)).toBeUndefined();
    }
  });

  test(`${CASES} new cases, seed ${SEED}`, { timeout: 60_000 + 2000 * SECONDS }, async () => {
    const report = await runSession({ input: name, seconds: SECONDS, cases: CASES, seed: SEED });
    expect(report.problem, report.culprit).toBeUndefined();
    expect(report.cases).toBeGreaterThan(readCorpus(name).length);
    expect(report.features).toBeGreaterThan(50);
  });

  test('any case at all is taken, and its text stands for it', { timeout: 120_000 }, async () => {
    const random = new Random(SEED);
    for (let i = 0; i < 200; i++) {
      const records = random.list(4, () => Uint8Array.from(random.bytes(1 + random.below(60))));
      const again = parseCase(formatCase(records));
      expect(again).toEqual(records);
      expect([...(await target.run(again))]).toEqual([...(await target.run(records))]);
    }
    expect(readRegressions(name)).toBeDefined();
  });
});
