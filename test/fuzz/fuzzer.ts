/**
 * The loop: a case is made by the grammar or by changing one of the corpus, it is run, and it joins the corpus if it did
 * something new: a word that the target had not told before, or, where block coverage is measured, a block of the sources.
 */
import type { BlockCoverage } from './block-coverage.ts';
import { type Case, caseSize, type FuzzTarget } from './case.ts';
import { mutate } from './mutate.ts';
import type { Random } from './random.ts';

/** Largest case that is kept.  Bytes. */
const MAX_KEPT = 2500;
/** Cases between two looks at block coverage. */
const COVERAGE_BATCH = 256;
/** What targets tell may have no end, as messages quote texts: what is told after so much is no news, and nothing to keep. */
const MAX_FEATURES = 100_000;

export interface FuzzerHooks {
  /** Before a case is run. */
  begins?(records: Case): void;
}

export class Fuzzer {
  readonly corpus: Case[] = [];
  readonly features = new Set<string>();
  nCases = 0;
  nNew = 0;
  slowest: { ms: number; records: Case } = { ms: 0, records: [] };
  private readonly target: FuzzTarget;
  private readonly random: Random;
  private readonly coverage: BlockCoverage | undefined;
  private readonly hooks: FuzzerHooks;
  private batch: Case[] = [];

  constructor(target: FuzzTarget, random: Random, coverage?: BlockCoverage, hooks: FuzzerHooks = {}) {
    this.target = target;
    this.random = random;
    this.coverage = coverage;
    this.hooks = hooks;
  }

  /** Runs kept cases; those that add nothing to the ones before them are left out of the corpus. */
  async replay(cases: readonly Case[]): Promise<void> {
    this.coverage?.take();
    for (const records of cases) {
      const isNew = await this.runOne(records);
      const hasBlocks = this.coverage?.take() ?? false;
      if (isNew || hasBlocks) this.corpus.push(records);
    }
  }

  /** Makes one case and runs it. */
  async step(): Promise<void> {
    const { random, corpus, target } = this;
    const isFresh = corpus.length === 0 || random.oneIn(4);
    const one = isFresh ? target.generate(random) : random.pick(corpus);
    const records = isFresh && random.oneIn(2) ? one : mutate(one, this.other(), target, random);
    if (await this.runOne(records)) this.keep(records);
    else if (this.coverage !== undefined) this.batch.push(records);
    if (this.batch.length >= COVERAGE_BATCH) await this.lookAtCoverage();
  }

  private other(): Case {
    const { random, corpus, target } = this;
    return corpus.length === 0 || random.oneIn(8) ? target.generate(random) : random.pick(corpus);
  }

  /** Which of the last cases, if any, ran what was never run before? */
  private async lookAtCoverage(): Promise<void> {
    const { batch, coverage } = this;
    this.batch = [];
    if (coverage === undefined || !coverage.hasNews()) return;
    for (const records of batch) {
      await this.runOne(records);
      if (coverage.take()) this.keep(records);
    }
    // What runs only after other cases (a cache, a first call) is noted, though no case can be blamed for it.
    coverage.settle();
  }

  /** Runs a case; true if it told something new. */
  private async runOne(records: Case): Promise<boolean> {
    this.hooks.begins?.(records);
    const start = performance.now();
    const cpuBefore = process.cpuUsage();
    let isNew = false;
    for (const feature of await this.target.run(records)) {
      if (this.features.has(feature) || this.features.size >= MAX_FEATURES) continue;
      this.features.add(feature);
      isNew = true;
    }
    const wall = performance.now() - start;
    const { user, system } = process.cpuUsage(cpuBefore);
    // Waiting for a busy machine is not the case's fault.
    const ms = Math.min(wall, (user + system) / 1000);
    if (ms > this.slowest.ms) this.slowest = { ms, records };
    this.nCases++;
    return isNew;
  }

  private keep(records: Case): void {
    if (caseSize(records) > MAX_KEPT) return;
    this.corpus.push(records);
    this.nNew++;
  }
}

/**
 * The smallest set of `cases` found greedily that tells all that they tell, each made smaller as long as it does.
 * `mustTell`: also of block coverage, or undefined.
 */
export async function minimise(target: FuzzTarget, cases: readonly Case[], deadline: number): Promise<Case[]> {
  const told: { records: Case; features: Set<string> }[] = [];
  for (const records of cases) told.push({ records, features: new Set(await target.run(records)) });
  told.sort((a, b) => caseSize(a.records) - caseSize(b.records));
  const seen = new Set<string>();
  const kept: Case[] = [];
  for (const { records, features } of told) {
    const fresh = [...features].filter((f) => !seen.has(f));
    if (fresh.length === 0) continue;
    const small = await shrink(records, deadline, async (smaller) => {
      const now = new Set(await target.run(smaller));
      return fresh.every((f) => now.has(f));
    });
    for (const f of await target.run(small)) seen.add(f);
    kept.push(small);
  }
  return kept;
}

/** Leaves out of a case what `isGood` does not need: records, then bytes from their ends. */
export async function shrink(
  records: Case,
  deadline: number,
  isGood: (records: Case) => Promise<boolean>,
): Promise<Case> {
  let best = records;
  const attempt = async (candidate: Case): Promise<boolean> => {
    if (performance.now() > deadline || !(await isGood(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let n = best.length >> 1; n >= 1; n >>= 1) {
    for (let i = 0; i + n <= best.length; ) if (!(await attempt(best.filter((_, k) => k < i || k >= i + n)))) i += n;
  }
  for (let i = 0; i < best.length; i++) {
    for (let n = best[i]!.length >> 1; n >= 1; n >>= 1) {
      while (
        best[i]!.length > n + 1 &&
        (await attempt(best.map((r, k) => (k === i ? r.slice(0, r.length - n) : r))))
      ) {}
    }
  }
  return best;
}
