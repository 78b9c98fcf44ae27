/**
 * The preload library (native/preload*.c) with clients that know nothing of it: a Python program with plain sockets, and
 * stock ovs-dpctl.  They talk to fake-datapath.ts in a network namespace of their own, so this needs root; without, or
 * without the build, it skips and says so.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../support/wait-for.ts';

const NETNS = `ts-native-preload-${process.pid}`;
const file = (name: string) => new URL(name, import.meta.url).pathname;
const LIBRARY = file('../../build/Release/libtapswitch-preload.so');

function missing(): string | undefined {
  if (!existsSync(LIBRARY)) return 'the library is not built (npm run build:native)';
  if (process.getuid?.() !== 0) return 'not root';
  const netns = spawnSync('ip', ['netns', 'add', NETNS]);
  if (netns.status !== 0) return `no network namespace: ${netns.error?.message ?? netns.stderr.toString().trim()}`;
  for (const tool of ['ovs-dpctl', 'python3']) {
    if (spawnSync(tool, ['--version']).status !== 0) return `${tool} is not installed`;
  }
  return undefined;
}
const why = missing();
if (why !== undefined) console.log(`skipped: ${why}`);

afterAll(() => {
  if (why === undefined || !why.startsWith('no')) spawnSync('ip', ['netns', 'del', NETNS]);
});

/** Lines that a fake datapath printed. */
interface Fake {
  process: ChildProcess;
  lines: string[];
}

async function startFake(): Promise<Fake> {
  const args = ['netns', 'exec', NETNS, process.execPath, '--import', 'tsx', file('fake-datapath.ts')];
  const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'ready') resolve();
      else lines.push(line);
    });
    child.on('exit', (code) => reject(new Error(`fake datapath: exit ${code}`)));
  });
  return { process: child, lines };
}

const preloaded = (env: Record<string, string> = {}) => ({ ...process.env, LD_PRELOAD: LIBRARY, ...env });

/** Runs a command in the namespace under the library. */
function run(command: string[], env: Record<string, string> = {}) {
  const result = spawnSync('ip', ['netns', 'exec', NETNS, ...command], { env: preloaded(env), encoding: 'utf8' });
  return { stdout: result.stdout, stderr: result.stderr, status: result.status };
}

describe.skipIf(why !== undefined)('without a datapath', () => {
  it('the kernel answers as ever', () => {
    const { status, stderr } = run(['ovs-dpctl', 'dump-dps']);
    expect(stderr).toContain('No such file or directory');
    expect(status).toBe(1);
  });

  it('a client that must use one is refused', () => {
    const { status, stderr } = run(['ovs-dpctl', 'show'], { TAPSWITCH_DATAPATH: 'emulated' });
    expect(stderr).toContain('Connection refused');
    expect(status).toBe(1);
  });

  it('programs that use no netlink run as ever', () => {
    expect(execFileSync('echo', ['hello'], { env: preloaded(), encoding: 'utf8' })).toBe('hello\n');
  });
});

describe.skipIf(why !== undefined)('stock ovs-dpctl', () => {
  let fake: Fake;
  beforeAll(async () => {
    fake = await startFake();
  });
  afterAll(() => {
    fake.process.kill();
  });

  it('lists what the datapath has', async () => {
    const { stdout, stderr, status } = run(['ovs-dpctl', 'dump-dps']);
    expect({ stdout, stderr, status }).toEqual({ stdout: 'system@fake0\nsystem@fake1\n', stderr: '', status: 0 });
    // An acknowledgement was asked for where there was none; a dump has its own end.
    await waitFor(() => {
      expect(fake.lines).toContain('nlctrl 3 0x5');
      expect(fake.lines).toContain('ovs_datapath 3 0x30d');
    });
  });

  it('is left with the kernel if told so', () => {
    const { stderr } = run(['ovs-dpctl', 'dump-dps'], { TAPSWITCH_DATAPATH: 'kernel' });
    expect(stderr).toContain('No such file or directory');
  });
});

describe.skipIf(why !== undefined)('a client with plain sockets', () => {
  const FAMILY = 900;
  const NEVER = 'EAGAIN';
  let got: Record<string, unknown>;
  let lines: string[];
  beforeAll(async () => {
    const fake = await startFake();
    const { stdout, stderr } = run(['python3', file('preload-client.py')]);
    lines = fake.lines;
    fake.process.kill();
    if (stdout === '') throw new Error(stderr);
    got = JSON.parse(stdout) as Record<string, unknown>;
  });

  // [type, seq, errno, sender] of what it received.
  // biome-ignore format: table
  it.each<[string, unknown]>([
    ['connected',        [16, 1, null, 0]],
    ['peer',             0],
    ['own',              true],
    ['unconnected',      [16, 2, null, 0]],
    ['kernel',           [16, 3, null, 0]],
    ['kernel refuses',   [2, 4, 2, 0]],
    ['datapath refuses', [2, 5, 2, 0]],
    ['silent success',   NEVER],
    ['refused',          [2, 7, 95, 0]],
    ['reply',            [FAMILY, 8, null, 0]],
    ['nothing left',     true],
    ['asked for ack',    [2, 9, 0, 0]],
    ['idle',             NEVER],
    ['batch',            [[2, 21, 95, 0], NEVER]],
    ['dump',             [[FAMILY, 30, null, 0], [FAMILY, 30, null, 0], [3, 30, null, 0], NEVER]],
    ['peek',             [[FAMILY, 31, null, 0], [FAMILY, 31, null, 0]]],
    ['listener',         NEVER],
    ['after listener',   [FAMILY, 32, null, 0]],
    ['same fd',          true],
    ['reused',           NEVER],
    ['unix',             'x'],
    ['conntrack dump',   [[257, 70, null, 0], [3, 70, null, 0], NEVER]],
    ['conntrack delete', [[2, 71, 0, 0], NEVER]],
    ['timeout policy',   [2, 72, 0, 0]],
    ['expectation',      [2, 73, 0, 0]],
    ['no conntrack',     [2, 74, 22, 0]],
    ['thread failures',  []],
    ['child',            0],
    ['died',             'ECONNREFUSED'],
    ['gone',             'ECONNREFUSED'],
  ])('%s', (question, answer) => {
    expect(got[question]).toEqual(answer);
  });

  it('asks the datapath about conntrack only', async () => {
    const asked = ['nfnetlink 0x101 0x301', 'nfnetlink 0x102 0x5', 'nfnetlink 0x801 0x5', 'nfnetlink 0x201 0x5'];
    await waitFor(() => expect(lines.filter((line) => line.startsWith('nfnetlink'))).toEqual(asked));
  });

  // Who waits although nothing comes gets ETIMEDOUT in the end, not EAGAIN.
  it('waits when something is outstanding', () => {
    expect(got['silent ms']).toBeGreaterThan(14);
  });
});
