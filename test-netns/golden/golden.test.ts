/**
 * The text that the real openvswitch.ko gives, on the emulated datapath: runs the recorded cases, each in a network namespace
 * with a datapath process of its own, once through stock ovs-dpctl and once through ours.
 *
 * The recordings and the program that runs them are not part of this repository: they are looked for beside it, in
 * ../shared/golden (its README says how they were made), and without them the tests are skipped.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ROOT, requireNetns, run, TAPSWITCH } from '../support/harness.ts';
import { DEVICE_TEXT, EXPECTED, OWN_TEXT, STAND_INS } from './cases.ts';

const GOLDEN = join(ROOT, '../shared/golden');
const there = existsSync(join(GOLDEN, 'run'));
/** Our own cases; those that scripts/kmod-golden has recorded are run. */
const OWN = join(ROOT, 'test-netns/golden');

interface Case {
  readonly file: string;
  readonly name: string;
  /** What the module gives. */
  readonly recording: string;
}
const casesOf = (folder: string, recordings: string, isExpected: (number: string) => boolean): Case[] =>
  readdirSync(join(folder, 'cases'))
    .filter((file) => isExpected(file.slice(0, 3)))
    .map((file) => {
      const name = file.replace(/\.cmds$/, '');
      return { file: join(folder, 'cases', file), name, recording: join(folder, recordings, `${name}.out`) };
    })
    .filter(({ recording }) => existsSync(recording));
const cases = there
  ? [...casesOf(GOLDEN, 'out', (number) => EXPECTED.includes(number)), ...casesOf(OWN, 'recorded', () => true)]
  : [{ file: '', name: '(none)', recording: '' }];

let work = '';

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'tapswitch-golden-'));
  if (requireNetns() === undefined) writeFileSync(join(work, 'lib.sh'), await library());
});
beforeEach((context) => {
  if (!there) context.skip('the recordings of the real module are not beside this checkout (../shared/golden)');
  const reason = requireNetns();
  if (reason !== undefined) context.skip(reason);
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** Sourced by the runner in the case's namespace: starts the datapath there, and ends it with the case. */
async function library(): Promise<string> {
  const standIns: string[] = [];
  for (const [type, definition] of Object.entries(STAND_INS)) {
    const probe = await run(['unshare', '-n', 'ip', 'link', 'add', 'probe0', 'type', type]);
    if (probe.status !== 0) standIns.push(definition);
  }
  return `
${TAPSWITCH} datapath --ready-file "$work/ready" >"$work/datapath.log" 2>&1 & datapath=$!
trap 'kill $datapath; wait $datapath' EXIT
for ((i = 0; i < 500; i++)); do
    if [ -e "$work/ready" ]; then break; fi
    kill -0 $datapath || { cat "$work/datapath.log"; exit 1; }
    sleep 0.02
done
${standIns.join('\n')}
`;
}

/** A recording without what DEVICE_TEXT leaves out. */
function comparable(path: string): string {
  let text = readFileSync(path, 'utf8');
  for (const { pattern, replacement } of DEVICE_TEXT) text = text.replace(pattern, replacement);
  return text;
}

describe.each([
  ['stock ovs-dpctl', `${TAPSWITCH} exec -- ovs-dpctl`],
  ['our dpctl', `${TAPSWITCH} dpctl`],
])('%s', (tool, dpctl) => {
  const isOurs = tool === 'our dpctl';
  const chosen = cases.filter(({ name }) => !isOurs || !OWN_TEXT.includes(name.slice(0, 3)));
  test.each(chosen)('$name', async ({ file, name, recording }) => {
    const out = join(work, tool.replace(/ /g, '-'));
    const env = { DPCTL: dpctl, TAPSWITCH_DPCTL_NAME: 'ovs-dpctl', GOLDEN_LIB: join(work, 'lib.sh') };
    const { stderr } = await run([join(GOLDEN, 'run'), out, file], { env, timeoutMs: 110_000 });
    expect(comparable(join(out, `${name}.out`)), stderr).toBe(comparable(recording));
  });
});
