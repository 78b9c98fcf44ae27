/** Nothing stays behind: not after a datapath that was killed, not after a demo that was killed, not after the harness. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, type Namespace, ROOT, run, useLab } from './harness.ts';
import { ourDpctl, startDatapath } from './switch.ts';

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

test('a demo that is killed is cleaned up by the next one or by --stop', async () => {
  const name = `ts-${process.pid}-demo`;
  const env = { TAPSWITCH_DEMO: name };
  const demo = ns.daemon('demo', [join(ROOT, 'scripts/demo')], env);
  await demo.until('has started its switch', () => demo.output().includes('the switch runs'));
  await demo.kill();
  const { status, stdout } = await run([join(ROOT, 'scripts/demo'), '--stop'], { env });
  expect(status).toBe(0);
  expect(stdout).toMatch(/nothing of the demo is left/);
  const left = () => readdirSync('/run/netns').filter((entry) => entry.startsWith(name));
  await eventually('no namespace is left', () => left().length === 0);
  expect(existsSync(`/run/${name}`)).toBe(false);
});
