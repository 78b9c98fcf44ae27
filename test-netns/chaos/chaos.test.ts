/**
 * vswitchd is killed at random moments, while its configuration changes and traffic flows: no packet of established flows is lost for
 * long, and in the end there is what the database has.  `scripts/chaos` does this for longer, and churn without deaths.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, requireNetns, run } from '../support/harness.ts';

test('five sudden deaths', { timeout: 240_000 }, async (context) => {
  const reason = requireNetns();
  if (reason !== undefined) context.skip(reason);
  const { stdout, stderr, status } = await run([join(ROOT, 'scripts/chaos'), 'kill', '5'], { timeoutMs: 230_000 });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^kill: 0 problems$/m);
  expect(status).toBe(0);
});
