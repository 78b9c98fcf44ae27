/** A real ovsdb-server on a temporary directory, for tests. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const VSWITCH_SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

/** Why the real server cannot be had, or undefined if it can. */
export const noOvsdbServer: string | undefined =
  spawnSync('ovsdb-server', ['--version']).status !== 0
    ? 'ovsdb-server is not installed (Debian package openvswitch-switch)'
    : existsSync(VSWITCH_SCHEMA)
      ? undefined
      : `${VSWITCH_SCHEMA} is not there (Debian package openvswitch-common)`;

/** Skips with the reason, so that a run says what it left out. */
export function skipReason(): boolean {
  if (noOvsdbServer !== undefined) console.warn(`skipped: ${noOvsdbServer}`);
  return noOvsdbServer !== undefined;
}

export interface OvsdbServer {
  readonly dir: string;
  readonly remote: string;
  /** Runs ovs-vsctl on this database without waiting for a vswitchd. */
  vsctl(...args: string[]): string;
  stop(): Promise<void>;
  /** Ends the server process and starts another on the same database. */
  restart(): Promise<void>;
}

export async function startOvsdbServer(): Promise<OvsdbServer> {
  const dir = mkdtempSync(join(tmpdir(), 'tapswitch-ovsdb-'));
  const db = join(dir, 'conf.db');
  const socket = join(dir, 'db.sock');
  const env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir };
  execFileSync('ovsdb-tool', ['create', db, VSWITCH_SCHEMA]);
  let child = start();
  await waitForSocket();
  const server: OvsdbServer = {
    dir,
    remote: `unix:${socket}`,
    vsctl: (...args) =>
      execFileSync('ovs-vsctl', [`--db=unix:${socket}`, '--timeout=60', '--no-wait', ...args], {
        env,
        encoding: 'utf8',
      }),
    async stop() {
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
    async restart() {
      await kill();
      rmSync(socket, { force: true });
      child = start();
      await waitForSocket();
    },
  };
  server.vsctl('init');
  return server;

  function start() {
    const args = [`--remote=punix:${socket}`, `--unixctl=${join(dir, 'ovsdb.ctl')}`, '-vconsole:off', db];
    return spawn('ovsdb-server', args, { env, stdio: 'inherit' });
  }
  async function waitForSocket(): Promise<void> {
    await until(() => existsSync(socket), 'ovsdb-server to listen');
  }
  function kill(): Promise<void> {
    return new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve();
      child.once('exit', () => resolve());
      child.kill('SIGKILL');
    });
  }
}

/** Resolves when `condition` holds; rejects if that takes longer than a minute, which it takes on no machine. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 60_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
