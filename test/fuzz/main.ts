/**
 * `scripts/fuzz`: runs fuzzing sessions one after the other, each in a thread that this one watches.  See docs/fuzzing.md.
 * Ends with 1 if anything went wrong: the case is printed, and appended to the corpus as a regression with --keep.
 */
import { Worker } from 'node:worker_threads';
import { parseCase } from './case.ts';
import { appendRegression } from './corpus.ts';
import { MAX_CASE_MS, type Report, type SessionOptions, targetOf } from './session.ts';
import { currentCase, SHARED } from './session-worker.ts';
import { TARGETS } from './targets/index.ts';

const USAGE = `usage: scripts/fuzz [INPUT...] [--seconds N] [--seed S] [--keep] [--no-coverage]
       scripts/fuzz INPUT --case "HEX HEX ..."
inputs: ${TARGETS.map((t) => t.name).join(', ')} (default: all)`;
const WATCH_MS = 200;

interface Arguments {
  inputs: string[];
  seconds: number;
  seed: number;
  keeps: boolean;
  coverage: boolean;
  one: string | undefined;
}

function parse(argv: readonly string[]): Arguments {
  const args: Arguments = {
    inputs: [],
    seconds: 10,
    seed: Date.now() % 1_000_000,
    keeps: false,
    coverage: true,
    one: undefined,
  };
  const number = (text: string | undefined): number => {
    const value = Number(text);
    if (text === undefined || !Number.isFinite(value) || value < 0) throw new RangeError(`"${text}" is no number`);
    return value;
  };
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i]!;
    if (arg === '--seconds') args.seconds = number(argv[++i]);
    else if (arg === '--seed') args.seed = number(argv[++i]);
    else if (arg === '--keep') args.keeps = true;
    else if (arg === '--no-coverage') args.coverage = false;
    else if (arg === '--case') args.one = argv[++i] ?? '';
    else if (arg.startsWith('-')) throw new RangeError(`unknown option ${arg}`);
    else args.inputs.push(targetOf(arg).name);
  }
  return args;
}

/** CPU time of this process, all threads, in ms: a busy machine makes nothing look slow. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Runs a session in a thread.  One that hangs in a case is ended. */
function session(options: SessionOptions): Promise<Report> {
  const shared = new SharedArrayBuffer(4 * SHARED.WORDS + SHARED.BYTES);
  const words = new Int32Array(shared, 0, SHARED.WORDS);
  // A thread does not inherit what makes Node read TypeScript.
  const url = new URL('./session-worker.ts', import.meta.url).href;
  const start = `import('tsx/esm/api').then((tsx) => { tsx.register(); return import(${JSON.stringify(url)}); });`;
  const worker = new Worker(start, { eval: true, workerData: { shared, options } });
  return new Promise((resolve, reject) => {
    let last: Report | undefined;
    let number = 0;
    let since = cpuMs();
    const timer = setInterval(() => {
      const now = Atomics.load(words, SHARED.NUMBER);
      if (now !== number || now === 0) {
        number = now;
        since = cpuMs();
      } else if (!isDone && cpuMs() - since > 10 * MAX_CASE_MS) {
        finish();
        const culprit = currentCase(shared);
        resolve({
          ...(last ?? emptyReport(options.input)),
          problem: `a case takes more than ${10 * MAX_CASE_MS} ms`,
          culprit,
        });
      }
    }, WATCH_MS);
    let isDone = false;
    const finish = (): void => {
      isDone = true;
      clearInterval(timer);
      void worker.terminate();
    };
    worker.on('message', (message: { report?: Report; progress?: Report }) => {
      if (message.progress !== undefined) {
        last = message.progress;
        if (options.seconds >= 60) console.log(`... ${line(last)}`);
      }
      if (message.report === undefined) return;
      finish();
      resolve(message.report);
    });
    worker.on('error', (error) => {
      finish();
      reject(error);
    });
  });
}

const emptyReport = (input: string): Report => ({
  ...{ input, cases: 0, news: 0, corpus: 0, features: 0, blocks: 0 },
  ...{ heapBefore: 0, heapAfter: 0, slowestMs: 0, slowest: '-' },
});

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
const line = (r: Report): string =>
  `${r.input}: ${r.cases} cases, ${r.news} new, corpus ${r.corpus}, ${r.features} features, ${r.blocks} characters run, ` +
  `heap ${mib(r.heapBefore)} -> ${mib(r.heapAfter)} MiB, slowest ${r.slowestMs.toFixed(1)} ms`;

async function main(): Promise<number> {
  let args: Arguments;
  try {
    args = parse(process.argv.slice(2));
  } catch (error) {
    console.error(`fuzz: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  const { seconds, seed, keeps, coverage, one } = args;
  if (one !== undefined) {
    const [input] = args.inputs;
    if (input === undefined) throw new RangeError('--case needs an input');
    console.log([...(await targetOf(input).run(parseCase(one)))].join('\n'));
    return 0;
  }
  let status = 0;
  for (const input of args.inputs.length > 0 ? args.inputs : TARGETS.map((t) => t.name)) {
    const report = await session({ input, seconds, seed, keeps, coverage });
    console.log(`${line(report)} (seed ${seed})`);
    const { problem, culprit } = report;
    if (problem === undefined && report.slowestMs <= MAX_CASE_MS) continue;
    status = 1;
    const what = problem ?? `a case took ${report.slowestMs.toFixed(0)} ms`;
    const records = culprit ?? report.slowest;
    console.log(`FAILED ${input}: ${what}\ncase: ${records}`);
    if (keeps && culprit !== undefined) appendRegression(input, what.split('\n')[0] ?? '', parseCase(culprit));
  }
  return status;
}

process.exitCode = await main();
