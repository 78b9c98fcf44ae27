/**
 * Ports on real devices: AF_PACKET on veths and TAPs, and how their packets are kept from the host.  Everything happens in
 * network namespaces of its own (port-child.ts), so it needs root and the built addon; without, it skips and says so.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../support/wait-for.ts';

const NETNS = `ts-native-port-${process.pid}`;
const FAR = `${NETNS}-far`;
const CHILD = new URL('port-child.ts', import.meta.url).pathname;
const NODE = [process.execPath, '--import', 'tsx', CHILD];

const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });
const inside = (netns: string, command: string, ...args: string[]) =>
  spawnSync('ip', ['netns', 'exec', netns, command, ...args], { encoding: 'utf8' });

function missing(): string | undefined {
  if (!existsSync(new URL('../../build/Release/tapswitch.node', import.meta.url))) return 'the addon is not built';
  if (process.getuid?.() !== 0) return 'not root';
  const netns = spawnSync('ip', ['netns', 'add', NETNS], { encoding: 'utf8' });
  if (netns.status !== 0) return `no network namespace: ${netns.error?.message ?? netns.stderr.trim()}`;
  ip('netns', 'add', FAR);
  return existsSync('/dev/net/tun') ? undefined : 'no /dev/net/tun';
}
const why = missing();
if (why !== undefined) console.log(`skipped: ${why}`);
afterAll(() => {
  for (const netns of [NETNS, FAR]) spawnSync('ip', ['netns', 'del', netns]);
});

describe.skipIf(why !== undefined)('frames through ports', () => {
  let got: Record<string, unknown>;
  beforeAll(() => {
    const { stdout, stderr } = inside(NETNS, NODE[0] ?? '', ...NODE.slice(1), 'frames');
    if (!stdout.startsWith('{')) throw new Error(stderr);
    got = JSON.parse(stdout) as Record<string, unknown>;
  });

  const names = [
    'smallest',
    'odd size',
    'largest',
    'vlan',
    'largest vlan',
    'partial checksum',
    'vlan, partial checksum',
    'super-packet',
    'vlan, super-packet',
  ];
  const paths = ['veth to veth', 'veth to tap', 'tap to veth'];
  it.each(paths.flatMap((path) => names.map((name) => `${path}: ${name}`)))('%s', (name) => {
    expect(got[name]).toEqual({ error: 0, received: 'ok', sent: 'ok' });
  });

  it('takes bursts that are larger than any queue, in their order', () => {
    expect(got['big bursts']).toEqual([true, true]);
    expect(got['its stats']).toEqual({ drops: 0, sentAtLeast1000: true });
  });

  it('goes on after its device was down', () => {
    expect(got['down and up']).toBe(true);
  });

  it('stops when its device is deleted', () => {
    expect(got['deleted, busy']).toBe(false);
  });
});

describe.skipIf(why !== undefined)('packets are kept from the host', () => {
  let child: ChildProcess | undefined;

  let hasMatchall = false;

  beforeAll(() => {
    ip('-n', NETNS, 'link', 'add', 'here', 'type', 'veth', 'peer', 'name', 'there', 'netns', FAR);
    ip('-n', NETNS, 'addr', 'add', '10.9.0.1/24', 'dev', 'here');
    ip('-n', FAR, 'addr', 'add', '10.9.0.2/24', 'dev', 'there');
    ip('-n', NETNS, 'link', 'set', 'here', 'up');
    ip('-n', FAR, 'link', 'set', 'there', 'up');
    inside(NETNS, 'tc', 'qdisc', 'add', 'dev', 'here', 'clsact');
    hasMatchall =
      inside(NETNS, 'tc', 'filter', 'add', 'dev', 'here', 'ingress', 'matchall', 'action', 'drop').status === 0;
    inside(NETNS, 'tc', 'qdisc', 'del', 'dev', 'here', 'clsact');
  });
  afterEach(async () => {
    await stop('SIGKILL');
  });

  /** Starts dropping; resolves with what the child says. */
  async function hold(method: string): Promise<string> {
    child = spawn('ip', ['netns', 'exec', NETNS, ...NODE, 'drop', method, 'here'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (child.stdout === null) throw new Error('no stdout');
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    return String(line);
  }
  async function stop(signal?: NodeJS.Signals): Promise<void> {
    const ended = child;
    child = undefined;
    if (ended === undefined) return;
    const exited = once(ended, 'exit');
    if (signal !== undefined) ended.kill(signal);
    else ended.stdin?.end();
    await exited;
  }

  /** Whether the host answers a ping, and before it the ARP request. */
  const answers = () => {
    ip('-n', FAR, 'neigh', 'flush', 'all');
    return inside(FAR, 'ping', '-c1', '-W1', '10.9.0.1').status === 0;
  };
  const filters = () => inside(NETNS, 'tc', 'filter', 'show', 'dev', 'here', 'ingress').stdout;
  const qdiscs = () => inside(NETNS, 'tc', 'qdisc', 'show', 'dev', 'here').stdout;
  const tcxLinks = () => {
    const [major = 0, minor = 0] = (execFileSync('uname', ['-r'], { encoding: 'utf8' }).match(/\d+/g) ?? []).map(
      Number,
    );
    return major > 6 || (major === 6 && minor >= 6);
  };

  it('the host answers when nothing is dropped', async () => {
    await waitFor(() => expect(answers()).toBe(true));
  });

  it.skipIf(!tcxLinks())('tcx: gone with the process', async () => {
    expect(await hold('tcx')).toBe('ready tcx');
    expect(answers()).toBe(false);
    expect(qdiscs()).not.toContain('clsact');
    await stop('SIGKILL');
    await waitFor(() => expect(answers()).toBe(true));
  });

  it.for(['bpf', 'matchall'])('%s: removed at the end', async (method, { skip }) => {
    if (method === 'matchall' && !hasMatchall) skip('the kernel has no cls_matchall');
    expect(await hold(method)).toBe(`ready ${method}`);
    expect(answers()).toBe(false);
    await stop();
    await waitFor(() => expect(answers()).toBe(true));
    expect(qdiscs()).not.toContain('clsact');
  });

  it('what a killed process left is removed by the next one', async () => {
    expect(await hold('bpf')).toBe('ready bpf');
    await stop('SIGKILL');
    expect(answers()).toBe(false);
    const left = filters();
    expect(left).toContain('tapswitch_drop');
    expect(await hold('bpf')).toBe('ready bpf');
    expect(filters()).toContain('tapswitch_drop');
    expect(filters()).not.toBe(left);
    await stop();
    expect(filters()).toBe('');
    expect(qdiscs()).not.toContain('clsact');
  });

  it('says so where nothing of the kind is allowed, and goes on', (context) => {
    // In a user namespace bpf(2) is refused; tc is not, so it depends on what the kernel has.
    const probe = spawnSync('unshare', ['-rn', 'true'], { encoding: 'utf8' });
    if (probe.status !== 0) context.skip(`user namespaces cannot be made here: ${probe.stderr.trim()}`);
    const script = 'ip link add dev here type veth peer name there; exec "$@"';
    const args = ['-rn', 'sh', '-c', script, 'sh', ...NODE, 'drop', 'any', 'here'];
    const { stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8', input: '' });
    expect(['ready none\n', 'ready matchall\n']).toContain(stdout);
    if (stdout === 'ready none\n')
      expect(stderr).toMatch(/^tcx: bpf .*Operation not permitted; bpf: .*; matchall: .*\n$/);
  });

  it("somebody else's filters and qdisc stay", async () => {
    const tc = (...args: string[]) => expect(inside(NETNS, 'tc', ...args).stderr).toBe('');
    tc('qdisc', 'add', 'dev', 'here', 'clsact');
    tc('filter', 'add', 'dev', 'here', 'ingress', 'pref', '7', 'protocol', '0x88b5', 'u32', 'match', 'u32', '0', '0');
    expect(await hold('bpf')).toBe('ready bpf');
    expect(answers()).toBe(false);
    await stop();
    await waitFor(() => expect(answers()).toBe(true));
    expect(filters()).toContain('pref 7 u32');
    expect(filters()).not.toContain('65535');
    tc('qdisc', 'del', 'dev', 'here', 'clsact');
  });
});
