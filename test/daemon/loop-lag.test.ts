import { afterEach, beforeEach, expect, test } from 'vitest';
import { LoopLag, stallTexts, type Usage } from '../../src/daemon/loop-lag.ts';
import { readCoverage } from '../../src/util/coverage.ts';
import { stopwatchesOf } from '../../src/util/stopwatch.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { waitFor } from '../support/wait-for.ts';

const NONE: Usage = {
  userCPUTime: 0,
  systemCPUTime: 0,
  minorPageFault: 0,
  majorPageFault: 0,
  fsRead: 0,
  fsWrite: 0,
  voluntaryContextSwitches: 0,
  involuntaryContextSwitches: 0,
};

test('a stall is told with what it cost, as far as it cost anything', () => {
  expect(stallTexts(1234.4, NONE, { ...NONE, userCPUTime: 1_000_400, systemCPUTime: 2600 })).toEqual([
    'Unreasonably long 1234ms poll interval (1000ms user, 3ms system)',
  ]);
  const after = { ...NONE, minorPageFault: 5, fsWrite: 7, voluntaryContextSwitches: 1, involuntaryContextSwitches: 2 };
  expect(stallTexts(2000, NONE, after).slice(1)).toEqual([
    'faults: 5 minor, 0 major',
    'disk: 0 reads, 7 writes',
    'context switches: 1 voluntary, 2 involuntary',
  ]);
});

let lines: string[] = [];
beforeEach(() => {
  lines = [];
  setConsole((line) => lines.push(line));
});
afterEach(() => setConsole(undefined));

test('who blocks the loop for more than a second is told so', async () => {
  const lag = new LoopLag();
  const before = readCoverage('long_poll_interval') ?? 0;
  const end = performance.now() + 1400;
  while (performance.now() < end);
  await waitFor(() => expect(lines).not.toEqual([]));
  lag.stop();
  expect(lines[0]).toMatch(/\|timeval\|WARN\|Unreasonably long \d+ms poll interval \(\d+ms user, \d+ms system\)/);
  expect(readCoverage('long_poll_interval')).toBeGreaterThan(before);
  expect(stopwatchesOf('event_loop_lag')[0]?.show()).toMatch(/Maximum: \d{4,} msec/);
});
