/**
 * Stock ovs-vswitchd and ours side by side: each in a namespace with a datapath process of ours, a database and a rundir of its own, so that the same
 * steps can be taken on both and the outcomes compared.  Neighbours: harness.ts, switch.ts (one switch).
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, type Lab, type Namespace, TAPSWITCH } from './harness.ts';
import { startDatapath, type VswitchdKind } from './switch.ts';

export interface Side {
  readonly kind: VswitchdKind;
  readonly ns: Namespace;
  readonly rundir: string;
  /** Environment of programs that belong to this side. */
  readonly env: Record<string, string>;
  /** The control socket of its vswitchd. */
  readonly socket: string;
  /** The database's socket, as a remote. */
  readonly database: string;
  vswitchd: Daemon;
}

const PROGRAMS: Readonly<Record<VswitchdKind, readonly string[]>> = {
  ours: [TAPSWITCH, 'vswitchd'],
  stock: [TAPSWITCH, 'exec', '--', 'ovs-vswitchd'],
};

/** Starts (again) the vswitchd of a side; resolves when it takes commands. */
export async function startSideVswitchd(side: Omit<Side, 'vswitchd'>, args: readonly string[] = []): Promise<Daemon> {
  const { kind, ns, rundir, env, socket, database } = side;
  const common = [database, `--unixctl=${socket}`, `--log-file=${rundir}/x.log`, '-vsyslog:off'];
  const daemon = ns.daemon(`${kind}-vswitchd`, [...PROGRAMS[kind], ...common, ...args], env);
  await daemon.until('listens', () => existsSync(socket));
  return daemon;
}

/** A datapath, a database and a vswitchd in a new namespace, whose name is the kind's. */
export async function startSide(lab: Lab, kind: VswitchdKind): Promise<Side> {
  const ns = await lab.namespace(kind);
  await startDatapath(ns);
  const rundir = join(lab.dir, kind);
  mkdirSync(rundir);
  const env = { OVS_RUNDIR: rundir };
  const [file, socketFile] = [join(rundir, 'conf.db'), join(rundir, 'db.sock')];
  await ns.ok(['ovsdb-tool', 'create', file, '/usr/share/openvswitch/vswitch.ovsschema']);
  const remotes = [`--remote=punix:${socketFile}`, '--remote=db:Open_vSwitch,Open_vSwitch,manager_options'];
  const server = ns.daemon(`${kind}-db`, ['ovsdb-server', file, ...remotes, '--unixctl=none', '-vsyslog:off'], env);
  await server.until('listens', () => existsSync(socketFile));
  const side = { kind, ns, rundir, env, socket: join(rundir, 'a.ctl'), database: `unix:${socketFile}` };
  return { ...side, vswitchd: await startSideVswitchd(side) };
}

/** `ovs-vsctl ARGS...` of a side, words separated by spaces; it waits for the vswitchd, and must succeed. */
export const sideVsctl = ({ ns, env, database }: Side, args: string): Promise<string> =>
  ns.ok(['ovs-vsctl', '--timeout=60', `--db=${database}`, ...args.split(' ')], { env });
