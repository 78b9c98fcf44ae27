/** The program itself, as a process: command line, background, pidfile, control socket, signals, exit. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unixctlRequest } from '../../src/unixctl/unixctl-client.ts';
import { OVS_VERSION, TAPSWITCH_VERSION } from '../../src/vswitchd/version.ts';
import { noOvsdbServer, type OvsdbServer, startOvsdbServer, until } from '../ovsdb/ovsdb-server.ts';

const NOT_BUILT = existsSync('build/Release/tapswitch.node') ? undefined : 'the native addon is not built';
const SKIP = noOvsdbServer ?? NOT_BUILT;
if (SKIP !== undefined) console.warn(`skipped: ${SKIP}`);

interface Ended {
  readonly status: number | string | null;
  readonly out: string;
  readonly err: string;
}

describe.skipIf(SKIP !== undefined)('tapswitch vswitchd', () => {
  let server: OvsdbServer;
  let env: NodeJS.ProcessEnv;
  const pids: number[] = [];

  beforeEach(async () => {
    server = await startOvsdbServer();
    env = { ...process.env, OVS_RUNDIR: server.dir, OVS_LOGDIR: server.dir };
    const main = resolve('src/vswitchd/main.ts');
    const code = `import { main } from ${JSON.stringify(main)};\nprocess.exit(await main(process.argv.slice(2)));\n`;
    writeFileSync(join(server.dir, 'run.mjs'), code);
  });
  afterEach(async () => {
    for (const pid of pids.splice(0)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended, as it should.
      }
    }
    await server.stop();
  });

  /** Runs vswitchd; the promise resolves when the process that was started ends. */
  function start(...args: string[]): { pid: number; ended: Promise<Ended> } {
    const loader = resolve('node_modules/tsx/dist/loader.mjs');
    // Its working directory is where relative names would go if they were not resolved.
    const child = spawn(process.execPath, ['--import', loader, 'run.mjs', ...args], { env, cwd: server.dir });
    const pid = child.pid ?? 0;
    pids.push(pid);
    let [out, err] = ['', ''];
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (err += d));
    return {
      pid,
      ended: new Promise((done) => child.once('close', (code, signal) => done({ status: code ?? signal, out, err }))),
    };
  }
  const pidfile = () => join(server.dir, 'ovs-vswitchd.pid');
  const controlOf = (pid: number) => join(server.dir, `ovs-vswitchd.${pid}.ctl`);
  /** A socket is there a moment before somebody listens on it. */
  const answers = (control: string): Promise<boolean> =>
    unixctlRequest(control, 'version', []).then(
      () => true,
      () => false,
    );
  const isAlive = (pid: number) =>
    existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

  test('in the background: the parent waits until it is ready, ovs-appctl finds it, exit ends it', async () => {
    const { status, err } = await start('--detach', '--pidfile', '--log-file', '--datapath=emulated').ended;
    expect(status, err).toBe(0);
    const pid = Number(readFileSync(pidfile(), 'utf8'));
    pids.push(pid);
    expect(isAlive(pid)).toBe(true);
    // "exit" of the parent means that the database has been configured.
    expect(server.vsctl('get', 'open', '.', 'iface_types')).toMatch(/internal,.* patch,.* system/);
    const appctl = (...args: string[]) => execFileSync('ovs-appctl', args, { env, encoding: 'utf8' });
    expect(appctl('-t', 'ovs-vswitchd', 'version')).toBe(
      `ovs-vswitchd (Open vSwitch) ${OVS_VERSION}\ntapswitch ${TAPSWITCH_VERSION}\n`,
    );
    expect(appctl('list-commands')).toContain('  exit                    [--cleanup]\n');

    const second = await start('--pidfile', '--datapath=emulated').ended;
    expect(second.status).toBe(1);
    expect(second.err).toBe(`ovs-vswitchd: ${pidfile()}: already running as pid ${pid}, aborting\n`);
    expect(readFileSync(pidfile(), 'utf8')).toBe(`${pid}\n`);

    expect(appctl('exit')).toBe('');
    await until(() => !isAlive(pid), 'the process to end');
    expect(existsSync(pidfile())).toBe(false);
    expect(existsSync(join(server.dir, `ovs-vswitchd.${pid}.ctl`))).toBe(false);
    expect(readFileSync(join(server.dir, 'ovs-vswitchd.log'), 'utf8')).toContain(
      '|bridge|INFO|ovs-vswitchd (Open vSwitch)',
    );
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends it, and takes its files along', async (signal) => {
    // A pidfile that a dead process left is no obstacle.
    writeFileSync(pidfile(), '1\n');
    const { pid, ended } = start('--pidfile', '--unixctl=a.ctl', '-vconsole:warn', '--datapath=emulated');
    await until(() => answers(join(server.dir, 'a.ctl')), 'the control socket');
    expect(readFileSync(pidfile(), 'utf8')).toBe(`${pid}\n`);
    process.kill(pid, signal);
    const { status, err } = await ended;
    expect(status).toBe(signal);
    expect(err).toMatch(/\|fatal_signal\|WARN\|terminating with signal \d+ \((Terminated|Interrupt)\)\n/);
    expect([existsSync(pidfile()), existsSync(join(server.dir, 'a.ctl'))]).toEqual([false, false]);
  });

  test('--monitor starts again what crashed, and ends with what was told to', async () => {
    const log = join(server.dir, 'ovs-vswitchd.log');
    const { status, err } = await start('--detach', '--monitor', '--pidfile', '--log-file', '--datapath=emulated')
      .ended;
    expect(status, err).toBe(0);
    const pid = Number(readFileSync(pidfile(), 'utf8'));
    const parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    pids.push(pid, parent);
    expect(readFileSync(`/proc/${parent}/cmdline`, 'utf8')).toContain(`ovs-vswitchd: monitoring pid ${pid} (healthy)`);
    expect(readFileSync(`/proc/${pid}/comm`, 'utf8')).toBe('ovs-vswitchd\n');

    process.kill(pid, 'SIGSEGV');
    const next = () => (existsSync(pidfile()) ? Number(readFileSync(pidfile(), 'utf8')) : pid);
    await until(async () => next() !== pid && (await answers(controlOf(next()))), 'a new one');
    const second = next();
    pids.push(second);
    expect(readFileSync(log, 'utf8')).toContain(
      `|daemon_unix(monitor)|ERR|1 crashes: pid ${pid} died, killed (Segmentation fault), restarting\n`,
    );
    expect(await unixctlRequest(controlOf(second), 'exit', [])).toBe('');
    await until(() => !isAlive(second) && !isAlive(parent), 'both to end');
    expect(readFileSync(log, 'utf8')).toContain(
      `|daemon_unix(monitor)|INFO|pid ${second} died, exit status 0, exiting\n`,
    );
    expect(existsSync(pidfile())).toBe(false);
  });

  test('in the foreground: --overwrite-pidfile, and exit --cleanup', async () => {
    const first = start('--pidfile', '-vconsole:off', '--datapath=emulated');
    await until(() => answers(controlOf(first.pid)), 'the first');
    const second = start('--pidfile', '--overwrite-pidfile', '-vconsole:off', '--datapath=emulated');
    const control = controlOf(second.pid);
    await until(() => answers(control), 'the second');
    expect(readFileSync(pidfile(), 'utf8')).toBe(`${second.pid}\n`);
    // The first one leaves alone what is not its own any more.
    process.kill(first.pid, 'SIGTERM');
    expect((await first.ended).status).toBe('SIGTERM');
    expect(readFileSync(pidfile(), 'utf8')).toBe(`${second.pid}\n`);
    expect(await unixctlRequest(control, 'exit', ['--cleanup'])).toBe('');
    expect(await second.ended).toEqual({ status: 0, out: '', err: '' });
    expect(existsSync(pidfile())).toBe(false);
  });

  test('what cannot be is said, and the exit status is 1', async () => {
    const bad = await start('--nonsense').ended;
    expect(bad).toEqual({ status: 1, out: '', err: "ovs-vswitchd: unrecognized option '--nonsense'\n" });
    const level = await start('-vnonesuch').ended;
    expect(level.err).toBe('ovs-vswitchd: processing "nonesuch": no destination, level, or module "nonesuch"\n');
    const remote = await start('--detach', 'db.sock').ended;
    expect([remote.status, remote.err]).toEqual([1, expect.stringMatching(/^ovs-vswitchd: database "db.sock": want /)]);
    const help = await start('--help').ended;
    expect([help.status, help.err]).toEqual([0, '']);
    expect(help.out).toContain('--overwrite-pidfile');
  });
});
