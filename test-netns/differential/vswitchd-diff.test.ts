/**
 * Stock ovs-vswitchd and ours set up alike, with the same frames: `scripts/vswitchd-diff` finds no difference in what ovs-ofctl says, what
 * comes out of the ports and to controllers, counters, flows of the datapath and traces.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, requireNetns, run } from '../support/harness.ts';

const SCRIPT = join(ROOT, 'scripts/vswitchd-diff');
/** First seed and number of scenarios. */
const RUNS = [['1', '3']] as const;

test.for(RUNS)('from seed %s, %s scenarios', { timeout: 240_000 }, async ([seed, count], context) => {
  const reason = requireNetns();
  if (reason !== undefined) context.skip(reason);
  if (spawnSync('ovs-vswitchd', ['--version']).status !== 0) {
    context.skip('there is no ovs-vswitchd (Debian package openvswitch-switch)');
  }
  const { stdout, stderr } = await run([SCRIPT, seed, count], { timeoutMs: 230_000 });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^\d+ scenarios, \d+ of them the same, 0 differences\n$/);
});
