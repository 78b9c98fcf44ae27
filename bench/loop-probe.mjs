/**
 * Loaded into a switch that is measured (NODE_OPTIONS=--import=FILE): how long its event loop was blocked, its heap, and where time goes.
 *
 * On SIGUSR2 a line goes to the file that LOOP_PROBE names: milliseconds of the longest blocking since the line before, bytes in use
 * on the heap (with LOOP_GC=1: after a collection) and outside of it, milliseconds of the main thread's CPU time in the turn that took the most:
 * on a machine with other work, blocking is waiting for a processor mostly.  With LOOP_PROFILE=DIR, what was done since the line before goes
 * to DIR/N.cpuprofile.
 */
import { appendFileSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// A timer each millisecond, rather than monitorEventLoopDelay(): that one does not see a first long block.
let longest = 0;
let last = performance.now();
const schedstat = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
const text = Buffer.alloc(64);
/** CPU time of the main thread, ms. */
const cpu = () => Number.parseInt(text.toString('latin1', 0, readSync(schedstat, text, 0, text.length, 0)), 10) / 1e6;
let longestCpu = 0;
let lastCpu = cpu();
const timer = setInterval(() => {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
  const nowCpu = cpu();
  longestCpu = Math.max(longestCpu, nowCpu - lastCpu);
  lastCpu = nowCpu;
}, 1);
timer.unref();

const { LOOP_PROBE, LOOP_PROFILE, LOOP_GC } = process.env;
/** Not --expose-gc from the start: with other flags V8 does not take what it remembers of the program (src/cli/code-cache.ts). */
function collect() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}
const session = new Session();
let n = 0;
if (LOOP_PROFILE) {
  mkdirSync(LOOP_PROFILE, { recursive: true });
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.start');
}

process.on('SIGUSR2', () => {
  const blocked = Math.max(longest, performance.now() - last);
  if (LOOP_PROFILE) {
    session.post('Profiler.stop', (_error, { profile }) => {
      writeFileSync(`${LOOP_PROFILE}/${n++}.cpuprofile`, JSON.stringify(profile));
    });
    session.post('Profiler.start');
  }
  if (LOOP_GC === '1') collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  appendFileSync(LOOP_PROBE, `${blocked.toFixed(0)} ${heapUsed} ${arrayBuffers} ${longestCpu.toFixed(0)}\n`);
  longest = longestCpu = 0;
  last = performance.now();
  lastCpu = cpu();
});
