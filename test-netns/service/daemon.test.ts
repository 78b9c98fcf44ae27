/**
 * vswitchd as a daemon that stays: another user with few capabilities, and a crash under a monitor.  Neighbour: appctl.test.ts.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { type Daemon, eventually, type Lab, type Namespace, TAPSWITCH, useLab } from '../support/harness.ts';
import { startDatabase, startDatapath, vsctl } from '../support/switch.ts';

let sw: Namespace;
let h1: Namespace;
let monitor: Daemon;
let pidfile = '';
/** CAP_NET_BIND_SERVICE, NET_BROADCAST, NET_ADMIN, NET_RAW, IPC_LOCK. */
const CAPABILITIES = '0000000000007c00';

const pid = (): number | undefined => (existsSync(pidfile) ? Number(readFileSync(pidfile, 'utf8')) : undefined);
const answers = async () => (await sw.run(['ovs-appctl', 'version'])).status === 0;

/** Why another user cannot run the program; undefined if one can. */
const unreadable = ((): string | undefined => {
  const probe = ['--reuid=65534', '--regid=65534', '--clear-groups', 'test', '-r', TAPSWITCH];
  return spawnSync('setpriv', probe).status === 0 ? undefined : 'the checkout is in a folder that only root may read';
})();

if (unreadable === undefined) useLab(makeLab);
beforeEach((context) => {
  if (unreadable !== undefined) context.skip(unreadable);
});

async function makeLab(lab: Lab): Promise<void> {
  sw = await lab.namespace('switch');
  h1 = await lab.host(sw, 'h1', 'p1', '10.9.0.1/24');
  await lab.host(sw, 'h2', 'p2', '10.9.0.2/24');
  await startDatapath(sw);
  await startDatabase(sw);
  chmodSync(lab.dir, 0o777);
  chmodSync(join(lab.dir, 'db.sock'), 0o666);
  pidfile = join(lab.dir, 'ovs-vswitchd.pid');
  monitor = sw.daemon('vswitchd', [
    ...[TAPSWITCH, 'vswitchd', `unix:${lab.dir}/db.sock`, '--user=nobody', '--monitor', '--pidfile', '-vconsole:info'],
  ]);
  await monitor.until('takes commands', answers);
  await vsctl(sw, 'add-br br0 -- add-port br0 p1 -- add-port br0 p2');
}

test('as another user it has the capabilities of a switch, and no others, and forwards', async () => {
  const status = readFileSync(`/proc/${pid()}/status`, 'utf8');
  expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
  expect(status).toMatch(/^Groups:\t *$/m);
  for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(status).toContain(`${set}:\t${CAPABILITIES}\n`);
  const { received, text } = await h1.ping('10.9.0.2', 3);
  expect(received, text).toBe(3);
});

test('after a crash the monitor starts it again, and it forwards what is new', async () => {
  const first = pid() ?? 0;
  process.kill(first, 'SIGSEGV');
  await eventually('a new process', async () => pid() !== first && pid() !== undefined && (await answers()));
  const text = `1 crashes: pid ${first} died, killed (Segmentation fault)`;
  expect(monitor.output()).toContain(`|daemon_unix(monitor)|ERR|${text}, restarting\n`);
  const title = () => readFileSync(`/proc/${monitor.pid}/cmdline`, 'utf8');
  await eventually('the title says so', () => title().includes(`monitoring pid ${pid()} (${text})`));
  expect(readFileSync(`/proc/${pid()}/status`, 'utf8')).toContain(`CapEff:\t${CAPABILITIES}\n`);
  // Another destination than before: a flow that is not there yet.
  await sw.address('br0', '10.9.0.3/24');
  await eventually('pings to the bridge', async () => (await h1.ping('10.9.0.3', 1)).received === 1);
  expect((await sw.run(['ovs-appctl', 'exit'])).status).toBe(0);
  await eventually('the monitor ends with it', () => !monitor.running);
  expect(monitor.output()).toMatch(/\|daemon_unix\(monitor\)\|INFO\|pid \d+ died, exit status 0, exiting\n/);
  expect(existsSync(pidfile)).toBe(false);
});
