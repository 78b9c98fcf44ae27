/** The clock of time/stop and time/warp. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/util/clock.ts';
import { WarpClock } from '../../src/util/warp-clock.ts';

test('a stopped clock moves only when warped, and calls what is due in order', async () => {
  const clock = new WarpClock();
  const before = systemClock.monotonicMs();
  const now = clock.monotonicMs();
  expect([before <= now, now <= systemClock.monotonicMs()]).toEqual([true, true]);
  clock.stop();
  const start = clock.monotonicMs();
  const called: string[] = [];
  clock.after(20, () => called.push('20'));
  clock.after(5, () => called.push('5'));
  const cancel = clock.after(6, () => called.push('6'));
  cancel();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect([clock.monotonicMs(), called]).toEqual([start, []]);
  clock.warp(19);
  expect(called).toEqual(['5']);
  clock.warp(1);
  expect([clock.monotonicMs(), called]).toEqual([start + 20, ['5', '20']]);
});

test('a clock that runs calls by itself, and a warp brings it forward', async () => {
  const clock = new WarpClock();
  await new Promise<void>((resolve) => void clock.after(1, resolve));
  let isCalled = false;
  clock.after(3_600_000, () => {
    isCalled = true;
  });
  clock.warp(3_600_001);
  expect(isCalled).toBe(true);
});
