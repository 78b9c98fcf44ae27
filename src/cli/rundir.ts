/**
 * Where a switch keeps its files, and who runs there: the directories of the environment, the lock that makes `up` the
 * only one in its rundir, and the record of its processes that lets the next `up` or `down` clean up after a crash.
 *
 * Files of ours in the rundir: `tapswitch.pid`, locked by `up` as long as it lives, and `tapswitch.json`, the record.
 * The lock file is never opened by Node: closing any descriptor of it would give up the lock.
 *
 * Used by up.ts and down.ts.  Source of the directories: lib/dirs.c.in, utilities/ovs-ctl.in.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { native } from '../native/index.ts';
import { removeDeadSockets, VSWITCHD_SOCKETS } from '../util/unix-sockets.ts';
import { type ProcessId, stopProcess } from './processes.ts';

/** The directories that Open vSwitch's programs use, with the same variables and defaults as Debian's. */
export interface Dirs {
  readonly run: string;
  readonly log: string;
  readonly database: string;
  readonly schema: string;
}

export function dirsOf(env: NodeJS.ProcessEnv): Dirs {
  const dir = (name: string, otherwise: string) => resolve(env[name] || otherwise);
  const etc = dir('OVS_SYSCONFDIR', '/etc');
  return {
    run: dir('OVS_RUNDIR', '/var/run/openvswitch'),
    log: dir('OVS_LOGDIR', '/var/log/openvswitch'),
    database: join(dir('OVS_DBDIR', join(etc, 'openvswitch')), 'conf.db'),
    schema: join(dir('OVS_PKGDATADIR', '/usr/share/openvswitch'), 'vswitch.ovsschema'),
  };
}

/** A process that `up` started. */
export interface Member extends ProcessId {
  readonly role: 'datapath' | 'ovsdb-server' | 'vswitchd';
}

/** Clients before servers. */
export const STOP_ORDER: readonly Member['role'][] = ['vswitchd', 'ovsdb-server', 'datapath'];

export const lockPath = (rundir: string): string => join(rundir, 'tapswitch.pid');
/** The datapath process says here that it is ready. */
export const READY_FILE = 'tapswitch-datapath.ready';
const recordPath = (rundir: string): string => join(rundir, 'tapswitch.json');

/** Pid of the process that has the pidfile `path` locked; 0 if there is none, or no such file. */
export function holderOf(path: string): number {
  try {
    return native().pidfileHolder(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

/**
 * Makes this process the one `up` of `rundir`, until it exits.  Throws an Error that says what to do if there is
 * another, or if stock daemons run there.
 */
export function takeRundir(rundir: string, startsDatabase: boolean): void {
  mkdirSync(rundir, { recursive: true });
  const other = holderOf(lockPath(rundir));
  if (other !== 0) {
    throw new Error(`a switch already runs in ${rundir} (process ${other}); stop it with: tapswitch down`);
  }
  for (const daemon of startsDatabase ? ['ovs-vswitchd', 'ovsdb-server'] : ['ovs-vswitchd']) {
    const pid = holderOf(join(rundir, `${daemon}.pid`));
    if (pid !== 0 && !readRecord(rundir).some((member) => member.pid === pid))
      throw new Error(occupied(rundir, daemon, pid));
  }
  try {
    native().lockPidfile(lockPath(rundir), `${process.pid}\n`);
  } catch (cause) {
    throw new Error(`${lockPath(rundir)}: ${(cause as Error).message}`, { cause });
  }
}

const occupied = (rundir: string, daemon: string, pid: number): string =>
  `${daemon} already runs in ${rundir} (process ${pid}), and two would fight over its sockets and ports.
  To replace it:          systemctl stop openvswitch-switch   (or: /usr/share/openvswitch/scripts/ovs-ctl stop)
  To run beside it:       OVS_RUNDIR=/run/tapswitch OVS_DBDIR=/var/lib/tapswitch tapswitch up
  To use its database:    it cannot be shared while its ovs-vswitchd runs`;

/** Writes down the processes that belong to the switch.  Atomic: a reader sees the old record or the new one, also if it throws. */
export function writeRecord(rundir: string, members: readonly Member[]): void {
  const path = recordPath(rundir);
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify({ members })}\n`);
    renameSync(`${path}.new`, path);
  } catch (error) {
    rmSync(`${path}.new`, { force: true });
    throw error;
  }
}

/** The processes of the last `up`; none if there is no record, or it is not one. */
export function readRecord(rundir: string): Member[] {
  let text: string;
  try {
    text = readFileSync(recordPath(rundir), 'utf8');
  } catch {
    return [];
  }
  try {
    const { members } = JSON.parse(text) as { members: Member[] };
    return members.filter(
      (m) => STOP_ORDER.includes(m.role) && Number.isInteger(m.pid) && m.pid > 1 && typeof m.startTime === 'string',
    );
  } catch {
    return [];
  }
}

export const removeRecord = (rundir: string): void => rmSync(recordPath(rundir), { force: true });

/** Control sockets of ovsdb-server, which has one more each time that it was killed. */
export const OVSDB_SERVER_SOCKETS: RegExp = /^ovsdb-server\.\d+\.ctl$/;
/** Sockets of what `up` starts. */
const SOCKETS = [VSWITCHD_SOCKETS, OVSDB_SERVER_SOCKETS, /^tapswitch-datapath\.ctl$|^db\.sock$/];
const PIDFILES = ['ovs-vswitchd.pid', 'ovsdb-server.pid'];

/** Removes the sockets and pidfiles of processes that were killed. */
async function removeDeadFiles(rundir: string): Promise<void> {
  for (const names of SOCKETS) await removeDeadSockets(rundir, names);
  for (const path of PIDFILES.map((name) => join(rundir, name)))
    if (holderOf(path) === 0) rmSync(path, { force: true });
}

/**
 * Ends what an `up` that was killed left behind, and forgets it.  Returns what was still running.  Call it only while
 * nobody holds the lock, or when it is one's own.
 */
export async function cleanLeftovers(rundir: string): Promise<Member[]> {
  const members = readRecord(rundir).sort((a, b) => STOP_ORDER.indexOf(a.role) - STOP_ORDER.indexOf(b.role));
  const ended: Member[] = [];
  for (const member of members) {
    if (await stopProcess(member)) ended.push(member);
  }
  removeRecord(rundir);
  rmSync(join(rundir, READY_FILE), { force: true });
  await removeDeadFiles(rundir);
  return ended;
}
