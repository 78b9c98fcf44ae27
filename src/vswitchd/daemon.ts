/**
 * What makes a process a daemon: going to the background, the locked pidfile, and an end that leaves no files (util/exit-files.ts).
 *
 * Node cannot fork.  With --detach the process that the user started runs itself again as a session of its own, passes on
 * what that says on standard error until it is ready, and exits 0 then; if the other one dies before, it exits 1.
 * Source: lib/daemon-unix.c, lib/fatal-signal.c, ovs-vswitchd(8).
 */
import { spawn } from 'node:child_process';
import { mkdirSync, unlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { native } from '../native/index.ts';
import { unlinkAll, unlinkAtExit } from '../util/exit-files.ts';
import { setConsole, vlog } from '../util/vlog.ts';

const log = vlog('daemon_unix');
const signalLog = vlog('fatal_signal');

/** Set in the environment of the process in the background; its value means nothing. */
const DETACHED = 'TAPSWITCH_DETACHED';

/** Whether this process is the one in the background. */
export const isDetached = (): boolean => process.env[DETACHED] !== undefined && process.send !== undefined;

/** Runs this program again in the background.  Resolves to an exit status when it is ready or has failed. */
export function detach(): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    env: { ...process.env, [DETACHED]: '1' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  child.stderr?.pipe(process.stderr);
  return new Promise((resolve) => {
    child.once('message', () => {
      child.stderr?.unpipe();
      child.stderr?.destroy();
      child.disconnect();
      child.unref();
      resolve(0);
    });
    child.once('error', (error) => {
      process.stderr.write(`could not start in the background: ${error.message}\n`);
      resolve(1);
    });
    // After standard error has been passed on.
    child.once('close', () => resolve(1));
  });
}

/** In the background: lets the one who waits go, and leaves the terminal and, unless `stayInDir`, the directory. */
export function daemonizeComplete(stayInDir: boolean): void {
  if (!isDetached()) return;
  setConsole(() => undefined);
  process.stderr.on('error', () => undefined);
  if (!stayInDir) process.chdir('/');
  process.send?.('ready', undefined, undefined, () => process.disconnect?.());
}

/** Sees to it that files go away at exit and at signals, which end the process as they would have anyway. */
export function handleExit(): void {
  process.on('exit', unlinkAll);
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGALRM'] as const) {
    process.once(name, () => {
      signalLog.warn(`terminating with signal ${constants.signals[name]} (${name})`);
      unlinkAll();
      // With our handler gone the signal ends the process, and whoever waits for it sees which one did.
      process.kill(process.pid, name);
    });
  }
}

/** The pidfile names another process, which is alive. */
export class AlreadyRunning extends Error {
  override readonly name = 'AlreadyRunning';
}

/**
 * Makes the pidfile, with the lock by which `ovs-appctl` and other daemons know that its process lives.  Throws
 * AlreadyRunning if another process has it locked, unless `overwrite`; an Error of a system call otherwise.
 */
export function makePidfile(path: string, overwrite: boolean): void {
  mkdirSync(dirname(path), { recursive: true });
  const holder = pidfileHolder(path);
  if (holder !== 0) {
    if (!overwrite) throw new AlreadyRunning(`${path}: already running as pid ${holder}, aborting`);
    log.warn(`${path}: replacing the pidfile of running process ${holder}`);
    // The other process keeps its lock on a file that has no name any more.
    unlinkSync(path);
  }
  native().lockPidfile(path, `${process.pid}\n`);
  unlinkAtExit(path);
}

function pidfileHolder(path: string): number {
  try {
    return native().pidfileHolder(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}
