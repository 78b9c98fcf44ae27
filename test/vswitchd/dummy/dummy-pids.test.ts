import { expect, test } from 'vitest';
import { OdpActionsBuilder } from '../../../src/odp/odp-actions.ts';
import { formatOdpActions } from '../../../src/odp/text/odp-format-actions.ts';
import { withoutPids, withPids } from '../../../src/vswitchd/dummy/dummy-pids.ts';

const list = (pid: number): Uint8Array => {
  const out = new OdpActionsBuilder().output(1);
  out.userspace(pid);
  out.clone((inner) => void inner.userspace(pid));
  return out.finish();
};

test.each([
  ['bytes', (b: Uint8Array) => b],
  ['a Buffer among others', (b: Uint8Array) => Buffer.concat([b])],
])('port ids of %s are replaced in a copy', (_name, as) => {
  const inside = as(list(0));
  const outside = withPids(inside);
  expect(formatOdpActions(outside)).toBe(formatOdpActions(list(0xffffffff)));
  expect(formatOdpActions(inside)).toBe(formatOdpActions(list(0)));
  expect(formatOdpActions(withoutPids(as(outside)))).toBe(formatOdpActions(list(0)));
});
