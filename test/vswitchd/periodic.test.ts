import { expect, test } from 'vitest';
import { Periodic } from '../../src/vswitchd/periodic.ts';

/** Timers that the test fires. */
function rig() {
  const pending: { ms: number; fn: () => void }[] = [];
  const after = (ms: number, fn: () => void) => {
    const timer = { ms, fn };
    pending.push(timer);
    return () => void pending.splice(pending.indexOf(timer), 1);
  };
  let n = 0;
  let release: () => void = () => undefined;
  const what = () =>
    new Promise<void>((resolve) => {
      n++;
      release = resolve;
    });
  const finish = async () => {
    release();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const periodic = new Periodic(what, after);
  return { periodic, pending, finish, calls: () => n, due: () => pending.map((t) => t.ms) };
}

test('the next time is a period after the end of the last', async () => {
  const { periodic, pending, finish, calls, due } = rig();
  expect(periodic.isStarted).toBe(false);
  periodic.every(5000);
  periodic.every(5000);
  expect([periodic.isStarted, calls(), due()]).toEqual([true, 0, [5000]]);
  pending.pop()?.fn();
  expect([calls(), due()]).toEqual([1, []]);
  await finish();
  expect(due()).toEqual([5000]);
  periodic.stop();
  expect(due()).toEqual([]);
});

test('another period counts at once', async () => {
  const { periodic, finish, calls, due } = rig();
  periodic.every(100_000);
  periodic.every(5000);
  expect([calls(), due()]).toEqual([1, []]);
  periodic.every(6000);
  expect(calls()).toBe(1);
  await finish();
  expect([calls(), due()]).toEqual([1, [6000]]);
});

test('what is under way when it is stopped is the last', async () => {
  const { periodic, pending, finish, due } = rig();
  periodic.every(5000);
  pending.pop()?.fn();
  periodic.stop();
  await finish();
  expect(due()).toEqual([]);
});

test('what was stopped does not begin again', () => {
  const { periodic, calls, due } = rig();
  periodic.every(5000);
  periodic.stop();
  periodic.every(6000);
  expect([calls(), due()]).toEqual([0, []]);
});
