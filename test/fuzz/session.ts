/**
 * One run of one input, for as long as is asked: replay of what is kept, then fuzzing.  session-worker.ts runs it in a thread
 * beside one that watches (main.ts); the unit tests run it themselves.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BlockCoverage } from './block-coverage.ts';
import { type Case, type FuzzTarget, formatCase } from './case.ts';
import { readCorpus, writeFound } from './corpus.ts';
import { Fuzzer, minimise, shrink } from './fuzzer.ts';
import { Random } from './random.ts';
import { TARGETS } from './targets/index.ts';

export interface SessionOptions {
  readonly input: string;
  readonly seconds: number;
  /** No more new cases than this, so that what is run does not depend on how fast the machine is. */
  readonly cases?: number;
  readonly seed: number;
  /** Also keep cases that run new blocks of the sources. */
  readonly coverage?: boolean;
  /** Write what was found to the corpus. */
  readonly keeps?: boolean;
  /** Told of each case before it is run, and now and then of how it goes. */
  readonly begins?: (records: Case) => void;
  readonly progress?: (report: Report) => void;
}

export interface Report {
  readonly input: string;
  readonly cases: number;
  /** Cases that joined the corpus, and what the corpus tells. */
  readonly news: number;
  readonly corpus: number;
  readonly features: number;
  /** Characters of sources that ran; 0 if that was not measured. */
  readonly blocks: number;
  /** Bytes of heap in use after warming up, and now. */
  readonly heapBefore: number;
  readonly heapAfter: number;
  readonly slowestMs: number;
  readonly slowest: string;
  /** What went wrong, and the case, made as small as it can be. */
  readonly problem?: string;
  readonly culprit?: string;
}

/** A case that takes longer is a problem.  ms */
export const MAX_CASE_MS = 1000;
/** What a run may leave on the heap besides what was kept: noise of the compiler and its code.  Bytes. */
const MAX_GROWTH = 24 << 20;
/** Sessions shorter than this say nothing of growth: what happens to be allocated at either moment is more.  s */
const MIN_GROWTH_SECONDS = 10;
const SETTLED_CASES = 500;
const PROGRESS_MS = 10_000;

export const targetOf = (input: string): FuzzTarget => {
  const target = TARGETS.find((t) => t.name === input);
  if (target === undefined) throw new RangeError(`no input "${input}": ${TARGETS.map((t) => t.name).join(', ')}`);
  return target;
};

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapInUse(): number {
  collect();
  // The memory of array buffers is given back in the background; the next collection waits for that.
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Runs the kept cases, and then new ones until the time is over or something goes wrong. */
export async function runSession(options: SessionOptions): Promise<Report> {
  const target = targetOf(options.input);
  const coverage = options.coverage ? new BlockCoverage() : undefined;
  let current: Case = [];
  const fuzzer = new Fuzzer(target, new Random(options.seed), coverage, {
    begins: (records) => {
      current = records;
      options.begins?.(records);
    },
  });
  let heapBefore = 0;
  let problem: string | undefined;
  const report = (heapAfter: number): Report => ({
    input: options.input,
    cases: fuzzer.nCases,
    news: fuzzer.nNew,
    corpus: fuzzer.corpus.length,
    features: fuzzer.features.size,
    blocks: coverage?.size ?? 0,
    heapBefore,
    heapAfter,
    slowestMs: fuzzer.slowest.ms,
    slowest: formatCase(fuzzer.slowest.records),
  });

  try {
    await fuzzer.replay(readCorpus(options.input));
    const start = performance.now();
    const end = start + 1000 * options.seconds;
    const settledCases = fuzzer.nCases + SETTLED_CASES;
    const lastCase = fuzzer.nCases + (options.cases ?? Number.POSITIVE_INFINITY);
    // The compiler's own memory, and tables that grow, have settled after a tenth of the time, but not before some work was done.
    let settled = start + 100 * options.seconds;
    let nextReport = start + PROGRESS_MS;
    for (let now = performance.now(); now < end && fuzzer.nCases < lastCase; now = performance.now()) {
      await fuzzer.step();
      if (now >= settled && fuzzer.nCases >= settledCases) {
        heapBefore = heapInUse();
        settled = Number.POSITIVE_INFINITY;
      }
      if (now >= nextReport) {
        options.progress?.(report(0));
        nextReport = now + PROGRESS_MS;
      }
    }
  } catch (error) {
    problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const culprit = problem === undefined ? undefined : formatCase(await shrinkCulprit(target, current, problem));
  coverage?.close();
  const heapAfter = heapInUse();
  const isLong = options.seconds >= MIN_GROWTH_SECONDS;
  if (problem === undefined && isLong && heapBefore !== 0 && heapAfter - heapBefore > MAX_GROWTH) {
    problem = `the heap grew by ${((heapAfter - heapBefore) / 2 ** 20).toFixed(1)} MiB`;
  }
  if (options.keeps && problem === undefined && fuzzer.nNew > 0) {
    // The one who watches is to see that it goes on.
    const run = (records: Case) => {
      options.begins?.(records);
      return target.run(records);
    };
    writeFound(options.input, await minimise({ ...target, run }, fuzzer.corpus, performance.now() + 60_000));
  }
  return { ...report(heapAfter), ...(problem !== undefined && { problem }), ...(culprit !== undefined && { culprit }) };
}

/** Makes a case smaller that fails in the same way: with the same first line. */
async function shrinkCulprit(target: FuzzTarget, records: Case, problem: string): Promise<Case> {
  const kindOf = (text: string): string => text.split('\n')[0]!.replace(/[0-9a-f]{2,}|\d+/g, '#');
  return shrink(records, performance.now() + 20_000, async (smaller) => {
    try {
      await target.run(smaller);
      return false;
    } catch (error) {
      return error instanceof Error && kindOf(error.stack ?? error.message) === kindOf(problem);
    }
  });
}
