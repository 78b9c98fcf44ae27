/**
 * Malformed messages over a real socket: an errno for each, and the datapath is as it was.  The bulk of the fuzzing is done in
 * memory by the unit tests; here the sockets take part.  FUZZ_COUNT and FUZZ_SEED choose another run.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Daemon, type Namespace, ROOT, useLab } from '../support/harness.ts';
import type { Counts } from '../support/netlink-fuzz-client.ts';
import { normalise, ourDpctl, startDatapath, stockDpctl } from '../support/switch.ts';

const { FUZZ_COUNT = '100000', FUZZ_SEED = '20240601' } = process.env;
const FLOW = 'in_port(1),eth(),eth_type(0x0800),ipv4(dst=10.0.0.9)';
let ns: Namespace;
let datapath: Daemon;

useLab(async (lab) => {
  ns = await lab.namespace('switch');
  await ns.ip('link add v1 type veth peer name w1');
  datapath = await startDatapath(ns);
  await ourDpctl(ns, ['add-dp', 'dp0', 'v1']);
  await ourDpctl(ns, ['add-flow', 'dp0', FLOW, '0']);
});

const state = async () =>
  normalise(
    (await stockDpctl(ns, ['show', 'dp0'])).stdout + (await stockDpctl(ns, ['dump-flows', '-m', 'dp0'])).stdout,
  );

async function client(...args: string[]): Promise<Counts> {
  const index = /^(\d+):/.exec(await ns.ip('-o link show dp0'))?.[1] ?? '';
  const command = [
    join(ROOT, 'node_modules/.bin/tsx'),
    join(ROOT, 'test-netns/support/netlink-fuzz-client.ts'),
    ...args,
  ];
  return JSON.parse(await ns.ok(command, { env: { DP_IFINDEX: index }, timeoutMs: 590_000 }));
}

test('every kind of malformed message gets an errno and changes nothing', async () => {
  const before = await state();
  const counts = await client('broken');
  expect(Object.keys(counts).filter((key) => key.startsWith('accepted'))).toEqual([]);
  expect(counts.EINVAL ?? 0).toBeGreaterThan(50);
  expect(counts.EOPNOTSUPP ?? 0).toBeGreaterThan(10);
  expect(await state()).toBe(before);
});

test(`${FUZZ_COUNT} random mutations of valid messages: the datapath goes on answering`, {
  timeout: 600_000,
}, async () => {
  const counts = await client('mutate', FUZZ_COUNT, FUZZ_SEED);
  console.log('answers:', JSON.stringify(counts));
  expect(counts.EINVAL ?? 0).toBeGreaterThan(Number(FUZZ_COUNT) / 10);
  expect(Object.keys(counts).filter((key) => key.startsWith('send'))).toEqual([]);
  expect(datapath.running).toBe(true);
  expect(datapath.output()).not.toMatch(/TypeError|RangeError|at .*\.(ts|js):\d+/);
  // It still does its work: a new datapath, a port, a flow.
  for (const args of [
    ['add-dp', 'dp9'],
    ['add-if', 'dp9', 't9,type=internal'],
    ['add-flow', 'dp9', FLOW, '1'],
    ['del-dp', 'dp9'],
  ]) {
    const { status, stderr } = await ourDpctl(ns, args);
    expect(status, stderr).toBe(0);
  }
});
