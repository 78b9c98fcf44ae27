/**
 * A switch in a namespace of the lab, its processes started one by one so that a test can end each by itself.  (`tapswitch
 * up`, which starts them all, is tested in up.test.ts.)  Neighbours: harness.ts.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, type Namespace, ok, type Result, TAPSWITCH } from './harness.ts';

/** Starts a datapath process in `ns`; resolves when it serves. */
export async function startDatapath(ns: Namespace, args: readonly string[] = []): Promise<Daemon> {
  const ready = join(ns.lab.dir, `${ns.name}.ready`);
  rmSync(ready, { force: true });
  const daemon = ns.daemon('datapath', [TAPSWITCH, 'datapath', '--ready-file', ready, ...args]);
  await daemon.until('is ready', () => existsSync(ready));
  return daemon;
}

/** Starts an ovsdb-server with a new database, on the lab's rundir. */
export async function startDatabase(ns: Namespace): Promise<Daemon> {
  const { dir } = ns.lab;
  const file = join(dir, 'conf.db');
  if (!existsSync(file)) await ok(['ovsdb-tool', 'create', file, '/usr/share/openvswitch/vswitch.ovsschema']);
  const socket = join(dir, 'db.sock');
  const daemon = ns.daemon('ovsdb-server', [
    'ovsdb-server',
    file,
    `--remote=punix:${socket}`,
    `--pidfile=${dir}/ovsdb-server.pid`,
    '-vsyslog:off',
  ]);
  await daemon.until(
    'is ready',
    async () => (await ns.run(['ovsdb-client', 'list-dbs', `unix:${socket}`])).status === 0,
  );
  return daemon;
}

/** Whose vswitchd: the stock one runs on our datapath under the preload library. */
export type VswitchdKind = 'ours' | 'stock';

const PROGRAMS: Readonly<Record<VswitchdKind, readonly string[]>> = {
  ours: [TAPSWITCH, 'vswitchd'],
  stock: [TAPSWITCH, 'exec', '--', 'ovs-vswitchd'],
};

/** Starts vswitchd; resolves when it takes commands. */
export async function startVswitchd(ns: Namespace, kind: VswitchdKind = 'ours'): Promise<Daemon> {
  const { dir } = ns.lab;
  const pidfile = join(dir, 'ovs-vswitchd.pid');
  const daemon = ns.daemon('vswitchd', [
    ...PROGRAMS[kind],
    `unix:${dir}/db.sock`,
    `--pidfile=${pidfile}`,
    '-vconsole:info',
    ...(kind === 'stock' ? ['-vsyslog:off'] : []),
  ]);
  const answers = async () => {
    if (!existsSync(pidfile) || Number(readFileSync(pidfile, 'utf8')) !== daemon.pid) return false;
    return (await ns.run(['ovs-appctl', 'version'])).status === 0;
  };
  await daemon.until('takes commands', answers);
  return daemon;
}

export interface Switch {
  readonly ns: Namespace;
  readonly datapath: Daemon;
  readonly database: Daemon;
  vswitchd: Daemon;
}

export async function startSwitch(ns: Namespace): Promise<Switch> {
  const datapath = await startDatapath(ns);
  const database = await startDatabase(ns);
  return { ns, datapath, database, vswitchd: await startVswitchd(ns) };
}

/** `ovs-vsctl ARGS...`, which must succeed within ten seconds; words separated by spaces. */
export const vsctl = (ns: Namespace, args: string): Promise<string> =>
  ns.ok(['ovs-vsctl', '--timeout=60', ...args.split(' ')]);

/** Stock ovs-dpctl on the datapath process. */
export const stockDpctl = (ns: Namespace, args: readonly string[], input?: string): Promise<Result> =>
  ns.run([TAPSWITCH, 'exec', '--', 'ovs-dpctl', ...args], input === undefined ? {} : { input });

/** Our dpctl, which begins its messages as the stock one does if it is told to. */
export const ourDpctl = (ns: Namespace, args: readonly string[], input?: string): Promise<Result> =>
  ns.run([TAPSWITCH, 'dpctl', ...args], {
    env: { TAPSWITCH_DPCTL_NAME: 'ovs-dpctl' },
    ...(input === undefined ? {} : { input }),
  });

/** Dump lines without what differs from moment to moment, in a fixed order. */
export function normalise(text: string): string {
  return text
    .replace(/used:[0-9.]+m?s/g, 'used:TIME')
    .replace(/^\d{4}-\d\d-\d\dT[0-9:.]+Z\|/gm, 'TIME|')
    .split('\n')
    .sort()
    .join('\n');
}
