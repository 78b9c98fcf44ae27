/**
 * Unix sockets in a rundir: whether somebody listens at one, and the removal of those where nobody does any more.
 * Used by switch-service.ts and rundir.ts.
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

/** What a bridge's OpenFlow sockets are called. */
const OF_BRIDGE = /\.(mgmt|snoop)$/;

/** Removes the sockets of bridges whose switch was killed, and is not there to remove them. */
export async function removeDeadSockets(rundir: string): Promise<void> {
  for (const name of namesIn(rundir).filter((n) => OF_BRIDGE.test(n))) {
    const path = join(rundir, name);
    const isSocket = lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
    if (isSocket && !(await accepts(path))) rmSync(path, { force: true });
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
