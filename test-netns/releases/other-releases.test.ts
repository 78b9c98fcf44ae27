/**
 * `scripts/other-releases` on the release that is installed: what a client of before there were features leaves of a datapath, one vswitchd after
 * the other on it, and the tools.  The script does all of it on every release that was built for it.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ROOT, requireNetns, run } from '../support/harness.ts';

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  vswitchd: ['ovs-vswitchd'],
  ovsdb: ['ovsdb-server', 'ovsdb-tool'],
  utilities: ['ovs-vsctl', 'ovs-ofctl', 'ovs-appctl', 'ovs-dpctl'],
};
const dir = mkdtempSync(join(tmpdir(), 'releases-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Lays the installed programs out as in a tree where they were built; undefined if one is missing. */
function installedTree(): string | undefined {
  const tree = mkdtempSync(join(dir, 'tree-'));
  for (const [folder, programs] of Object.entries(PROGRAMS)) {
    mkdirSync(join(tree, folder), { recursive: true });
    for (const program of programs) {
      const { status, stdout } = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' });
      if (status !== 0) return undefined;
      symlinkSync(stdout.trim(), join(tree, folder, program));
    }
  }
  symlinkSync(SCHEMA, join(tree, 'vswitchd/vswitch.ovsschema'));
  return tree;
}

test('features, one vswitchd after another, the tools', { timeout: 300_000 }, async (context) => {
  const reason = requireNetns();
  if (reason !== undefined) context.skip(reason);
  const tree = installedTree();
  if (tree === undefined) return context.skip('there is no Open vSwitch (Debian package openvswitch-switch)');
  const { stdout, status } = await run([join(ROOT, 'scripts/other-releases'), tree], {
    env: { STEPS: 'ping4,tools,appctl,restored,old_client', SLOW: '8' },
    timeoutMs: 290_000,
  });
  expect(stdout).not.toMatch(/FAILED/);
  expect(stdout.match(/^\S+ (ours|theirs): 6 steps, 0 failed$/gm), stdout).toHaveLength(2);
  expect(status).toBe(0);
});
