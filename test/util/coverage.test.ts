import { afterEach, expect, test } from 'vitest';
import { FakeClock, setClock } from '../../src/util/clock.ts';
import { coverage, coverageRun, readCoverage, showCoverage } from '../../src/util/coverage.ts';

afterEach(() => setClock(undefined));

test('counters show their rates and totals, and those never hit are only counted', () => {
  const clock = new FakeClock();
  setClock(clock);
  const put = coverage('test_flow_put');
  coverage('test_never');
  expect(coverage('test_flow_put')).toBe(put);
  coverageRun();
  put.n += 50;
  clock.advance(5000);
  coverageRun();
  expect(showCoverage()).toContain(
    'test_flow_put             10.0/sec     0.833/sec        0.0139/sec   total: 50\n1 events never hit\n',
  );
  expect(readCoverage('test_flow_put')).toBe(50);
  expect(readCoverage('test_never')).toBe(0);
  expect(readCoverage('no_such')).toBeUndefined();

  // After a minute without events the rates of the last minute are zero, the total stays.
  clock.advance(65_000);
  coverageRun();
  clock.advance(60_000);
  coverageRun();
  expect(showCoverage()).toMatch(/test_flow_put +0\.0\/sec +0\.000\/sec +0\.0139\/sec +total: 50\n/);
});
