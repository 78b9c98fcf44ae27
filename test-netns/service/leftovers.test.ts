/** Nothing stays behind: not after a datapath that was killed, not after a demo that was killed, not after the harness. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, type Namespace, ROOT, run, useLab } from '../support/harness.ts';
import { ourDpctl, startDatapath } from '../support/switch.ts';

let ns: Namespace;

useLab(async (lab) => {
  ns = await lab.namespace('switch');
});

const deviceNames = async () => (await ns.ip('-o link')).match(/(?<=^\d+: )[^:@]+/gm) ?? [];

test('a datapath that is killed leaves no device, no filter, no socket; the next one starts at once', async () => {
  await ns.ip('link add v1 type veth peer name w1');
  const before = await deviceNames();
  for (let round = 0; round < 2; round++) {
    const datapath = await startDatapath(ns);
    for (const args of [
      ['add-dp', 'dp0'],
      ['add-if', 'dp0', 'v1', 't1,type=internal'],
    ]) {
      const { status, stderr } = await ourDpctl(ns, args);
      expect(status, stderr).toBe(0);
    }
    expect(await deviceNames()).toContain('t1');
    expect(await ns.ip('-d link show v1')).toMatch(/promiscuity 1 /);
    await datapath.kill();
    expect(await deviceNames()).toEqual(before);
    expect(await ns.ip('-d link show v1')).toMatch(/promiscuity 0 /);
    expect(await ns.ok(['tc', 'qdisc', 'show', 'dev', 'v1'])).not.toMatch(/clsact|ingress/);
    expect(await ns.ok(['ss', '-Hf', 'netlink'])).not.toMatch(/1413566547/);
  }
});

test('a datapath that is asked to end does so, and gives its devices back', async () => {
  const before = await deviceNames();
  const datapath = await startDatapath(ns);
  await ourDpctl(ns, ['add-dp', 'dp0', 'v1', 't1,type=internal']);
  await datapath.stop();
  expect(datapath.output()).not.toMatch(/at .*\.ts:\d+/);
  expect(await deviceNames()).toEqual(before);
});

/** Process ids of all that has `setting` in its environment. */
const processesWith = (setting: string): number[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(setting);
      } catch {
        // It has ended, or is somebody else's.
        return false;
      }
    })
    .map(Number);

test.each([
  ['alone, once its hosts are there', 'hosts', false],
  ['alone, once its switch runs', 'the switch runs', false],
  ['with all that it started', 'the switch runs', true],
])('a demo that is killed is cleaned up by --stop: %s', async (_, when, withAll) => {
  const name = `ts-${process.pid}-demo`;
  const env = { TAPSWITCH_DEMO: name };
  const demo = ns.daemon('demo', [join(ROOT, 'scripts/demo')], env);
  await demo.until(when, () => demo.output().includes(when));
  const started = processesWith(`TAPSWITCH_DEMO=${name}`).filter((pid) => pid !== demo.pid);
  for (const pid of withAll ? started : []) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ESRCH');
    }
  }
  await demo.kill();
  const { status, stdout } = await run([join(ROOT, 'scripts/demo'), '--stop'], { env });
  expect(status).toBe(0);
  expect(stdout).toMatch(/nothing of the demo is left/);
  const left = () => readdirSync('/run/netns').filter((entry) => entry.startsWith(name));
  await eventually('no namespace is left', () => left().length === 0);
  await eventually('no process is left', () => processesWith(`OVS_RUNDIR=/run/${name}`).length === 0);
  expect(readdirSync('/run').filter((entry) => entry.startsWith(name))).toEqual([]);
});
