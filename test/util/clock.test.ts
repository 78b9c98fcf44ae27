import { afterEach, expect, test } from 'vitest';
import { FakeClock, monotonicMs, setClock, wallMs } from '../../src/util/clock.ts';

afterEach(() => setClock(undefined));

test('the monotonic clock is the one of the kernel: it agrees with process.hrtime', () => {
  const before = Number(process.hrtime.bigint() / 1_000_000n);
  const now = monotonicMs();
  const after = Number(process.hrtime.bigint() / 1_000_000n);
  expect(now).toBeGreaterThanOrEqual(before - 1);
  expect(now).toBeLessThanOrEqual(after + 1);
  expect(Number.isInteger(now)).toBe(true);
});

test('a fake clock stands still until told to move', () => {
  const clock = new FakeClock(5000, 1_000_000);
  setClock(clock);
  expect([monotonicMs(), wallMs()]).toEqual([5000, 1_000_000]);
  clock.advance(250);
  expect([monotonicMs(), wallMs()]).toEqual([5250, 1_000_250]);
  setClock(undefined);
  expect(wallMs()).toBeGreaterThan(1_700_000_000_000);
});
