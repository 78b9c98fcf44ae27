/** `tapswitch up` and `down`: one service that starts, mends itself, ends, and leaves nothing, however it ends. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Daemon, eventually, type Lab, type Namespace, ok, TAPSWITCH, useLab } from '../support/harness.ts';
import { vsctl } from '../support/switch.ts';

let lab: Lab;
let sw: Namespace;

useLab(async (made) => {
  lab = made;
  sw = await lab.namespace('switch');
});

interface Member {
  readonly role: string;
  readonly pid: number;
}
const record = () => join(lab.dir, 'tapswitch.json');
const members = (): Member[] => (existsSync(record()) ? JSON.parse(readFileSync(record(), 'utf8')).members : []);
const pidOf = (role: string): number => members().find((member) => member.role === role)?.pid ?? 0;

/** Pids of everything that runs in the namespace. */
async function running(): Promise<number[]> {
  return (await ok(['ip', 'netns', 'pids', sw.name])).split('\n').filter(Boolean).map(Number);
}
const nothingRuns = () => eventually('nothing runs any more', async () => (await running()).length === 0);

async function up(): Promise<Daemon> {
  const daemon = sw.daemon('up', [TAPSWITCH, 'up']);
  const before = daemon.output().length;
  await daemon.until('is ready', () => daemon.output().slice(before).includes('the switch is ready'));
  return daemon;
}

test('in the background: up, ovs-vsctl, down', async () => {
  expect(await sw.ok([TAPSWITCH, 'up', '--detach'])).toMatch(/the switch is ready/);
  expect(
    members()
      .map((member) => member.role)
      .sort(),
  ).toEqual(['datapath', 'ovsdb-server', 'vswitchd']);
  await vsctl(sw, 'add-br br0');
  expect(await sw.ip('link show br0')).toMatch(/br0/);
  expect(await sw.ok(['ovs-appctl', 'version'])).not.toBe('');

  const second = await sw.run([TAPSWITCH, 'up']);
  expect(second.status).toBe(1);
  expect(second.stderr).toMatch(/a switch already runs in .* \(process \d+\); stop it with: tapswitch down/);

  expect((await sw.run([TAPSWITCH, 'down'])).status).toBe(0);
  expect(await running()).toEqual([]);
  expect(await sw.ip('-o link')).not.toMatch(/br0/);
  expect(await sw.ok([TAPSWITCH, 'down'])).toMatch(/no switch runs in/);
});

test('a bridge in the database is back after the next up; Ctrl-C ends everything', async () => {
  const daemon = await up();
  await eventually('br0 is back', async () => (await sw.run(['ip', 'link', 'show', 'br0'])).status === 0);
  process.kill(daemon.pid, 'SIGINT');
  await eventually('up ends', () => !daemon.running);
  await nothingRuns();
});

test('vswitchd and the datapath are started again when they die', async () => {
  const daemon = await up();
  for (const role of ['vswitchd', 'datapath', 'ovsdb-server']) {
    const before = pidOf(role);
    process.kill(before, 'SIGKILL');
    await eventually(
      `${role} is back`,
      () => ![0, before].includes(pidOf(role)) && daemon.output().includes(`${role} runs again`),
    );
    // A change that vswitchd has to make real shows that all parts work together again.
    await eventually(
      'a command works',
      async () => (await sw.run(['ovs-vsctl', '--timeout=3', '--may-exist', 'add-br', `b-${role}`])).status === 0,
      20_000,
    );
    // Without a datapath for a moment the command is carried out later: vswitchd looks for it every second.
    const device = () => sw.run(['ip', 'link', 'show', `b-${role}`]);
    await eventually('the bridge is there', async () => (await device()).status === 0);
  }
  await sw.ok([TAPSWITCH, 'down']);
  await nothingRuns();
});

test('kill -9 of up: its processes end with it, and the next up works', async () => {
  const daemon = await up();
  expect((await running()).length).toBe(4);
  await daemon.kill();
  await nothingRuns();
  const next = await up();
  await sw.ok([TAPSWITCH, 'down']);
  await eventually('up has ended', () => !next.running);
  await nothingRuns();
});

test('kill -9 of all of them at once: no socket and no pidfile is left by the next up, nor by down', async () => {
  await up();
  const files = () => readdirSync(lab.dir).filter((name) => /\.(ctl|sock|mgmt|snoop|pid|ready)$/.test(name));
  const killAll = async () => {
    // None may see another's death: `up` tidies up behind the others, and they end in order without it.
    const dead = [...(await running())];
    for (const pid of dead) process.kill(pid, 'SIGSTOP');
    for (const pid of dead) process.kill(pid, 'SIGKILL');
    await nothingRuns();
    return new RegExp(`\\.(${dead.join('|')})\\.ctl$`);
  };
  await eventually('both have their sockets', () => files().filter((name) => /\.\d+\.ctl$/.test(name)).length === 2);
  const dead = await killAll();
  expect(files().filter((name) => dead.test(name))).toHaveLength(2);
  await up();
  expect(files().filter((name) => dead.test(name))).toEqual([]);
  await killAll();
  await sw.ok([TAPSWITCH, 'down']);
  expect(files().filter((name) => name !== 'tapswitch.pid')).toEqual([]);
});

test('what was killed leaves no socket to those after it', async () => {
  await up();
  for (const role of ['vswitchd', 'ovsdb-server']) {
    const before = pidOf(role);
    process.kill(before, 'SIGKILL');
    await eventually(`${role} is back`, () => ![0, before].includes(pidOf(role)), 20_000);
    const left = () => readdirSync(lab.dir).filter((name) => name.includes(`.${before}.`));
    await eventually('the socket is gone', () => left().length === 0);
  }
  await sw.ok([TAPSWITCH, 'down']);
  await nothingRuns();
});

test('a log disk that is full ends nothing', async () => {
  const script =
    'mkdir full; mount -t tmpfs -o size=16k,nr_inodes=100 tmpfs full; cat /dev/zero >full/fill; exec "$@" --log-dir full';
  const full = ['unshare', '-m', 'sh', '-c', `cd ${lab.dir}; ${script}`, 'sh'];
  const daemon = sw.daemon('up', [...full, TAPSWITCH, 'up']);
  const answers = async () => (await sw.run(['ovs-appctl', 'version'])).status === 0;
  await eventually('vswitchd runs', async () => pidOf('vswitchd') !== 0 && (await answers()), 20_000);
  const before = pidOf('vswitchd');
  process.kill(before, 'SIGKILL');
  await eventually('vswitchd is back', () => ![0, before].includes(pidOf('vswitchd')), 20_000);
  await sw.ok(['ovs-vsctl', '--timeout=20', '--may-exist', 'add-br', 'b-full']);
  expect(daemon.running).toBe(true);
  await sw.ok([TAPSWITCH, 'down']);
  await nothingRuns();
});

test('without /dev/net/tun it says so at once', async () => {
  const { status, stderr } = await sw.run([
    ...['unshare', '-m', 'sh', '-c', 'mount -t tmpfs tmpfs /dev/net; exec "$@"', 'sh', TAPSWITCH, 'up'],
  ]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/the datapath needs \/dev\/net\/tun: ENOENT.*load the module tun/);
  await nothingRuns();
});

test('a stock daemon in the rundir is not fought', async () => {
  const socket = join(lab.dir, 'other.sock');
  const stock = sw.daemon('stock', [
    'ovsdb-server',
    join(lab.dir, 'conf.db'),
    `--remote=punix:${socket}`,
    `--pidfile=${lab.dir}/ovsdb-server.pid`,
  ]);
  await stock.until('is ready', () => existsSync(socket));
  const { status, stderr } = await sw.run([TAPSWITCH, 'up']);
  expect(status).toBe(1);
  expect(stderr).toMatch(/ovsdb-server already runs in .* \(process \d+\)/);
  expect(stderr).toMatch(/systemctl stop openvswitch-switch/);
  await stock.stop();
});

test('what cannot start says why, and leaves nothing', async () => {
  const taken = sw.daemon('other-datapath', [TAPSWITCH, 'datapath', '--ready-file', join(lab.dir, 'taken')]);
  await taken.until('is ready', () => existsSync(join(lab.dir, 'taken')));
  for (const how of [['up'], ['up', '--detach']]) {
    const { status, stderr } = await sw.run([TAPSWITCH, ...how]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/datapath ended with exit status 1/);
    expect(stderr).toMatch(/already/);
    expect(await running()).toEqual([taken.pid]);
  }
  await taken.stop();
  const kernel = await sw.run([TAPSWITCH, 'up', '--datapath', 'bogus']);
  expect(kernel.status).toBe(1);
  expect(kernel.stderr).toMatch(/bogus/);
  writeFileSync(join(lab.dir, 'tapswitch.json'), 'not json');
  expect(await sw.ok([TAPSWITCH, 'down'])).toMatch(/no switch runs in/);
});
