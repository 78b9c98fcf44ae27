/**
 * Loaded into a switch that is measured (NODE_OPTIONS=--import=FILE): how long its event loop was blocked, and its heap.
 *
 * On SIGUSR2 a line goes to the file that LOOP_PROBE names: milliseconds of the longest blocking since the line before, bytes in use
 * on the heap after a collection (with --expose-gc) and outside of it.
 */
import { appendFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

// A timer each millisecond, rather than monitorEventLoopDelay(): that one does not see a first long block.
let longest = 0;
let last = performance.now();
const timer = setInterval(() => {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
}, 1);
timer.unref();

process.on('SIGUSR2', () => {
  const blocked = Math.max(longest, performance.now() - last);
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  appendFileSync(process.env.LOOP_PROBE, `${blocked.toFixed(0)} ${heapUsed} ${arrayBuffers}\n`);
  longest = 0;
  last = performance.now();
});
