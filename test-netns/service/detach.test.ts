/**
 * A daemon in the background that the shell waits for (bin/tapswitch), not Node.  Neighbour: daemon.test.ts.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, type Lab, type Namespace, TAPSWITCH, useLab } from '../support/harness.ts';
import { startDatabase } from '../support/switch.ts';

let sw: Namespace;
let lab: Lab;

useLab(async (made) => {
  lab = made;
  sw = await lab.namespace('switch');
  await startDatabase(sw);
  await sw.ok(['ovs-vsctl', '--no-wait', 'init']);
});

const pidOf = (name: string): number => Number(readFileSync(join(lab.dir, name), 'utf8'));
const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}/status`) && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
/** Where file descriptors 0 to 2 lead. */
const standardFds = (pid: number): string[] =>
  [0, 1, 2].map((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').match(/mnt_id:\s+\d+/)?.[0] ?? '');

test('it ends when the daemons are ready, which live on without terminal and environment of ours', async () => {
  for (const words of [
    ['datapath', '--pidfile=datapath.pid'],
    ['vswitchd', '--datapath=emulated', '--pidfile=vswitchd.pid'],
  ]) {
    const { status, stdout, stderr } = await sw.run([TAPSWITCH, ...words, '--detach', '-vconsole:off']);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  }
  // It has been configured, not only begun.
  expect(await sw.ok(['ovs-vsctl', 'get', 'Open_vSwitch', '.', 'iface_types'])).toContain('internal');
  for (const name of ['datapath.pid', 'vswitchd.pid']) {
    const pid = pidOf(name);
    expect(new Set(standardFds(pid)).size).toBe(1);
    // Field 6 of /proc/PID/stat is the session.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    expect(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]).toBe(String(pid));
    process.kill(pid, 'SIGTERM');
    await eventually(`${name} ends`, () => !isAlive(pid));
  }
});

test('it passes on why a daemon does not start, and how it ended', async () => {
  const { status, stderr } = await sw.run([TAPSWITCH, 'vswitchd', '--detach', 'one', 'two']);
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: 'ovs-vswitchd: at most one non-option argument accepted; use --help for usage\n',
  });
});

test('it says so if a daemon is killed before it is ready', async () => {
  const waiting = sw.run([TAPSWITCH, 'vswitchd', '--detach', '--pidfile=killed.pid', 'unix:nobody.sock']);
  await eventually('it runs', () => readdirSync(lab.dir).includes('killed.pid') && pidOf('killed.pid') > 0);
  process.kill(pidOf('killed.pid'), 'SIGKILL');
  const { status, stderr } = await waiting;
  expect(status).toBe(1);
  expect(stderr).toContain(
    'tapswitch: vswitchd: could not detach from foreground session: the daemon died before it was ready\n',
  );
});

test('what is to be printed is printed', async () => {
  expect(await sw.ok([TAPSWITCH, 'vswitchd', '--detach', '--version'])).toMatch(/^ovs-vswitchd \(Open vSwitch\) /);
});
