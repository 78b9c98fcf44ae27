/**
 * The pidfile, with the lock by which `ovs-appctl` and other daemons know that its process lives.  Source: lib/daemon-unix.c.
 */
import { mkdirSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { native } from '../native/index.ts';
import { unlinkAtExit } from '../util/exit-files.ts';
import { vlog } from '../util/vlog.ts';

const log = vlog('daemon_unix');

/** The pidfile names another process, which is alive. */
export class AlreadyRunning extends Error {
  override readonly name = 'AlreadyRunning';
}

/**
 * Makes the pidfile, and locks it until this process ends.  Throws AlreadyRunning if another process has it locked, unless
 * `overwrite`; an Error of a system call otherwise.
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
