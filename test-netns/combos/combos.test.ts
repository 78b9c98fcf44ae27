/**
 * Stock ovs-vswitchd and ours, step by step, on our datapath: each step works, and what the tools show after it is the same.
 * `scripts/combos` does this on the kernel module, too.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, requireNetns, run } from '../support/harness.ts';

test('the same steps, and the same to see', { timeout: 300_000 }, async (context) => {
  const reason = requireNetns();
  if (reason !== undefined) context.skip(reason);
  if (spawnSync('ovs-vswitchd', ['--version']).status !== 0) {
    context.skip('there is no ovs-vswitchd (Debian package openvswitch-switch)');
  }
  const { stdout, stderr, status } = await run([join(ROOT, 'scripts/combos'), '--process'], { timeoutMs: 290_000 });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^2 combinations, \d+ steps, \d+ texts compared: 0 failures, 0 differences$/m);
  expect(status).toBe(0);
});
