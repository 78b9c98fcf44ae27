/**
 * --user: a daemon that root started goes on as somebody else, with no more than the few capabilities that a switch needs.
 * Source: lib/daemon-unix.c (daemon_set_new_user, daemon_become_new_user), capabilities(7).
 */
import { execFileSync } from 'node:child_process';
import { closeSync, fchownSync, openSync } from 'node:fs';
import { native } from '../native/index.ts';

const CAP = { NET_BIND_SERVICE: 10, NET_BROADCAST: 11, NET_ADMIN: 12, NET_RAW: 13, IPC_LOCK: 14 } as const;

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** A row of a database of the C library, by key; undefined if there is none.  (Node cannot ask for it.) */
export type Lookup = (database: 'passwd' | 'group', key: string) => readonly string[] | undefined;

const getent: Lookup = (database, key) => {
  try {
    return execFileSync('getent', [database, key], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .trim()
      .split(':');
  } catch {
    return undefined;
  }
};

/** Reads "USER[:GROUP]"; an empty USER is root.  Throws an Error that says who is not known, or not in the group. */
export function findUser(spec: string, lookup: Lookup = getent): UserIds {
  const [user = '', group = ''] = spec.trim().split(/:(.*)/s);
  const passwd = lookup('passwd', user === '' ? '0' : user);
  if (passwd === undefined) throw new Error(`user ${user} not found, aborting.`);
  const [name = '', , uid, ownGid] = passwd;
  const gid = Number(ownGid);
  if (group.trim() === '') return { uid: Number(uid), gid };
  const row = lookup('group', group.trim());
  if (row === undefined) throw new Error(`group ${group.trim()} not found, aborting.`);
  const members = row[3]?.split(',') ?? [];
  if (Number(row[2]) !== gid && !members.includes(name)) {
    throw new Error(`Invalid --user option ${spec} (user ${name} is not in group ${group.trim()}), aborting.`);
  }
  return { uid: Number(uid), gid: Number(row[2]) };
}

/**
 * Makes this process one of `spec`; `extra` capabilities are kept besides the usual ones.  `logFile`, if any, is given to that user.  Throws an
 * Error for the person who started it.
 */
export function becomeUser(spec: string, logFile: string | undefined, extra: readonly number[] = []): void {
  if (process.getuid?.() !== 0 || process.geteuid?.() !== 0) throw new Error('only root can use --user option');
  const { uid, gid } = findUser(spec);
  if (logFile !== undefined) {
    const fd = openSync(logFile, 'a', 0o660);
    fchownSync(fd, uid, gid);
    closeSync(fd);
  }
  native().becomeUser(uid, gid, [...Object.values(CAP), ...extra]);
}
