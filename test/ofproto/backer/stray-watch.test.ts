import { expect, test } from 'vitest';
import { StrayWatch } from '../../../src/ofproto/backer/stray-watch.ts';

/** A scheduler whose time passes with `pass`. */
function fakeScheduler() {
  let pending: (() => void)[] = [];
  const after = (_ms: number, run: () => void) => {
    pending.push(run);
    return () => {
      pending = pending.filter((p) => p !== run);
    };
  };
  const pass = () => {
    for (const run of pending.splice(0)) run();
  };
  return { after, pass };
}

test('a port that is still nobody’s after a while is looked at, one of ours is not', () => {
  const scheduler = fakeScheduler();
  const ports = new Set<string>();
  let looks = 0;
  const watch = new StrayWatch(
    scheduler as never,
    (name) => ports.has(name),
    () => looks++,
  );
  watch.added('p1');
  ports.add('p1');
  scheduler.pass();
  expect(looks).toBe(0);
  watch.added('p1');
  watch.added('stray');
  watch.added('other');
  scheduler.pass();
  expect(looks).toBe(1);
  // Notifications were lost.
  watch.added(undefined);
  scheduler.pass();
  expect(looks).toBe(2);
  watch.added('stray');
  watch.close();
  scheduler.pass();
  expect(looks).toBe(2);
});
