import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Timers } from '../../src/vswitchd/timers.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('what was asked for is done once, unless it is cancelled', () => {
  const timers = new Timers();
  const done: string[] = [];
  const later = (what: string, ms: number) => timers.after(what, ms, () => done.push(what));
  later('a', 10);
  later('a', 20);
  later('b', 10);
  timers.cancel('b');
  timers.cancel('c');
  vi.advanceTimersByTime(30);
  expect(done).toEqual(['a']);
  later('b', 10);
  later('c', 50);
  vi.advanceTimersByTime(10);
  timers.stop();
  vi.advanceTimersByTime(50);
  expect(done).toEqual(['a', 'b']);
});
