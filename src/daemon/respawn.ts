/**
 * Running this program again as another process.  Node cannot fork: where Open vSwitch forks, the same command line is run once more, with a
 * word in the environment about what that process is to be, and a channel on which it says that it is ready.
 * Source: lib/daemon-unix.c (fork_and_wait_for_startup).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, writeSync } from 'node:fs';
import type { ExitStatus } from './signals.ts';

/** "launcher": the process that the user started; "monitor" and "daemon" are run by it, or by each other. */
export type Role = 'launcher' | 'monitor' | 'daemon';

const ROLE = 'TAPSWITCH_DAEMON_ROLE';
const READY = 'ready';
/** Of a daemon that the shell started (bin/tapswitch): the file descriptor at which it waits for "ready", or for "exit STATUS". */
const SHELL_FD = 'TAPSWITCH_READY_FD';
let shellFd: number | undefined;

/** What this process is to be.  Takes the words out of `env`, so that they do not reach programs that this one runs. */
export function takeRole(env: NodeJS.ProcessEnv): Role {
  const { [ROLE]: role, [SHELL_FD]: fd } = env;
  delete env[ROLE];
  delete env[SHELL_FD];
  if (fd !== undefined) {
    shellFd = Number(fd);
    process.once('exit', (status) => tellShell(`exit ${status}`));
  }
  return role === 'monitor' || role === 'daemon' ? role : 'launcher';
}

/** A process of this program, as its parent sees it. */
export interface Respawned {
  readonly pid: number;
  /** Resolves when it says that it is ready; `undefined` then, or how it ended before. */
  readonly startup: Promise<ExitStatus | undefined>;
  readonly ended: Promise<ExitStatus>;
}

/**
 * Runs this program as a `role`.  With `inBackground` it gets a session of its own; what it says on standard error until it is ready appears on
 * ours.  Throws an Error for the user if this process, which may have become another user (--user), cannot read the program.
 */
export function respawn(role: Role, inBackground: boolean): Respawned {
  requireReadable(process.argv[1] ?? '');
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: inBackground,
    env: { ...process.env, [ROLE]: role },
    stdio: inBackground ? ['ignore', 'ignore', 'pipe', 'ipc'] : ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  child.stderr?.pipe(process.stderr);
  const ended = new Promise<ExitStatus>((resolve) => {
    child.once('error', (error) => {
      process.stderr.write(`${error.message}\n`);
      resolve({ code: 1, signal: null });
    });
    child.once('exit', (code, signal) => {
      const { stderr } = child;
      // What it said last is to be passed on before.
      if (stderr === null || stderr.destroyed) resolve({ code, signal });
      else stderr.once('close', () => resolve({ code, signal }));
    });
  });
  return { pid: child.pid ?? 0, ended, startup: startupOf(child, ended) };
}

function requireReadable(program: string): void {
  try {
    accessSync(program, constants.R_OK);
  } catch (cause) {
    throw new Error(`cannot run again as this user: ${(cause as Error).message}`, { cause });
  }
}

function startupOf(child: ChildProcess, ended: Promise<ExitStatus>): Promise<ExitStatus | undefined> {
  const ready = new Promise<undefined>((resolve) => {
    child.once('message', () => {
      child.stderr?.unpipe();
      child.stderr?.destroy();
      if (child.connected) child.disconnect();
      resolve(undefined);
    });
  });
  return Promise.race([ready, ended]);
}

/** Tells the shell that waits, once. */
function tellShell(what: string): void {
  if (shellFd === undefined) return;
  const fd = shellFd;
  shellFd = undefined;
  try {
    writeSync(fd, what);
    closeSync(fd);
  } catch {
    // It did not wait until now, as when somebody pressed Ctrl-C.
  }
}

/** Says to who runs us that we are ready; nothing if nobody waits. */
export function notifyReady(): void {
  tellShell(READY);
  process.send?.(READY, undefined, undefined, () => process.disconnect?.());
}
