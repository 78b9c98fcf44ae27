/** Sockets that a killed switch leaves in its rundir. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { accepts, removeDeadSockets, VSWITCHD_SOCKETS } from '../../src/util/unix-sockets.ts';

/** Binds a socket and dies, as a switch that is killed does. */
const LEAVE_BEHIND = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;

test('sockets of a vswitchd that nobody listens at are removed, and nothing else', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sockets-'));
  const server = createServer();
  try {
    for (const name of ['br0.mgmt', 'br0.snoop', 'ovs-vswitchd.12.ctl', 'other.12.ctl', 'db.sock']) {
      expect(() =>
        execFileSync(process.execPath, ['-e', LEAVE_BEHIND, join(dir, name)], { stdio: 'ignore' }),
      ).toThrow();
    }
    writeFileSync(join(dir, 'file.mgmt'), '');
    await new Promise<void>((done) => void server.listen(join(dir, 'br1.mgmt'), done));
    expect(await accepts(join(dir, 'br0.mgmt'))).toBe(false);
    await removeDeadSockets(dir, VSWITCHD_SOCKETS);
    expect(readdirSync(dir).sort()).toEqual(['br1.mgmt', 'db.sock', 'file.mgmt', 'other.12.ctl']);
    expect(await accepts(join(dir, 'br1.mgmt'))).toBe(true);
    await removeDeadSockets(join(dir, 'none'), VSWITCHD_SOCKETS);
  } finally {
    server.close();
    rmSync(dir, { recursive: true });
  }
});
