/**
 * Unix sockets in a folder: whether somebody listens at one, and the removal of those where nobody does any more, because their process was
 * killed.  Used by the command line's `up`, `down`, and by vswitchd at its start.
 */
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

/** Whether somebody takes connections at `path`. */
export function accepts(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    const answer = (yes: boolean) => {
      socket.destroy();
      done(yes);
    };
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });
}

/** Sockets of a vswitchd: its control socket, and those of its bridges. */
export const VSWITCHD_SOCKETS: RegExp = /^ovs-vswitchd\.\d+\.ctl$|\.(mgmt|snoop)$/;

/** Removes the sockets in `dir` that have such a name and at which nobody listens. */
export async function removeDeadSockets(dir: string, names: RegExp): Promise<void> {
  for (const name of namesIn(dir).filter((n) => names.test(n))) {
    const path = join(dir, name);
    const isSocket = lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
    if (isSocket && !(await accepts(path))) rmSync(path, { force: true });
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    // No folder, no leftovers; and one that this user may not look into has none of its.
    if (['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
