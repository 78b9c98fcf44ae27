/**
 * Times a loop: `npx tsx bench/NAME.bench.ts`.  Prints the best of several rounds, in ns an iteration, and how much the
 * heap grew, in bytes an iteration; --expose-gc makes the second figure exact.
 */
const ROUNDS = 7;

/** `body` runs its loop `n` times. */
export function measure(name: string, n: number, body: (n: number) => void): void {
  body(n);
  let best = Number.POSITIVE_INFINITY;
  let grown = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    const start = process.hrtime.bigint();
    body(n);
    const ns = Number(process.hrtime.bigint() - start);
    grown = Math.min(grown, (process.memoryUsage().heapUsed - before) / n);
    best = Math.min(best, ns / n);
  }
  console.log(`${name.padEnd(52)} ${best.toFixed(1).padStart(9)} ns ${grown.toFixed(2).padStart(8)} bytes`);
}
