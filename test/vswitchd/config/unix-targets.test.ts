/** Which Unix sockets a controller's row may name. */
import { afterEach, expect, test } from 'vitest';
import { isTargetPermitted, setSelfConfinement } from '../../../src/vswitchd/config/unix-targets.ts';

afterEach(() => setSelfConfinement(true));

test.each([
  ['tcp:127.0.0.1', true],
  ['pssl:', true],
  ['unix:x.sock', true],
  ['unix:/run/o/x', true],
  ['unix:/run//o///x', true],
  ['unix:/run/other', false],
  ['unix:./x', false],
  ['punix:/run/o/br0.controller', true],
  ['punix:/run/o/br0.a/../../etc', false],
  ['punix:/run/o/br1.controller', false],
  ['punix:x', false],
])('%s: %s', (target, isPermitted) => {
  expect(isTargetPermitted(target, 'br0', '/run/o')).toBe(isPermitted);
  setSelfConfinement(false);
  expect(isTargetPermitted(target, 'br0', '/run/o')).toBe(true);
});
