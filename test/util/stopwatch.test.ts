import { afterEach, expect, test } from 'vitest';
import { FakeClock, setClock } from '../../src/util/clock.ts';
import { stopwatch, stopwatchesOf } from '../../src/util/stopwatch.ts';

afterEach(() => setClock(undefined));

test('samples give extremes, a percentile and two averages', () => {
  const clock = new FakeClock();
  setClock(clock);
  const watch = stopwatch('unit_watch');
  expect(stopwatch('unit_watch')).toBe(watch);
  for (const ms of [10, 20, 30]) {
    const stop = watch.start();
    clock.advance(ms);
    stop();
  }
  expect(watch.show()).toBe(`Statistics for 'unit_watch'
  Total samples: 3
  Maximum: 30 msec
  Minimum: 10 msec
  95th percentile: 30.000000 msec
  Short term average: 22.500000 msec
  Long term average: 10.299000 msec
`);
  for (let i = 0; i < 2000; i++) watch.add(i < 1900 ? 1 : 100);
  expect(watch.show()).toContain('95th percentile: 100.000000 msec');
  watch.reset();
  expect(watch.show()).toContain('Total samples: 0\n  Maximum: 0 msec');
  expect(stopwatchesOf('unit_watch')).toEqual([watch]);
  expect(stopwatchesOf('no_such')).toEqual([]);
});
