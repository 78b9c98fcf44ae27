/** A replica of servers that are more than one, relay another's database, or speak TLS: real ovsdb-servers. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Idl, type IdlOptions } from '../../src/ovsdb/idl.ts';
import { Bridge, DATABASE, Open_vSwitch } from '../../src/ovsdb/vswitch-schema.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { skipReason, until, VSWITCH_SCHEMA } from './ovsdb-server.ts';

/** For elections, which take their time where the machine has none. */
const LONG_MS = 60_000;

describe.skipIf(skipReason())('database servers', () => {
  let dir: string;
  let lines: string[];
  const children = new Map<string, ChildProcess>();
  const open: Idl[] = [];

  beforeEach(() => {
    lines = [];
    setConsole((line) => lines.push(line));
    dir = mkdtempSync(join(tmpdir(), 'tapswitch-servers-'));
  });
  afterEach(async () => {
    for (const idl of open.splice(0)) idl.close();
    for (const name of [...children.keys()]) await kill(name);
    rmSync(dir, { recursive: true, force: true });
    setConsole(undefined);
  });

  const path = (name: string) => join(dir, name);
  const remote = (name: string) => `unix:${path(`${name}.sock`)}`;
  const tool = (...args: string[]) => execFileSync('ovsdb-tool', args, { stdio: 'ignore' });
  const appctl = (name: string, ...args: string[]) =>
    execFileSync('ovs-appctl', ['-t', path(`${name}.ctl`), ...args], { encoding: 'utf8', stdio: 'pipe' });

  async function serve(name: string, ...args: string[]): Promise<void> {
    const sockets = [`--remote=p${remote(name)}`, `--unixctl=${path(`${name}.ctl`)}`];
    const env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir };
    children.set(name, spawn('ovsdb-server', [...sockets, '-vconsole:off', ...args], { env, stdio: 'ignore' }));
    const isUp = () => {
      try {
        return appctl(name, 'version') !== '';
      } catch {
        return false;
      }
    };
    await until(isUp, `server ${name}`);
  }
  async function kill(name: string): Promise<void> {
    const child = children.get(name);
    children.delete(name);
    if (child === undefined || child.exitCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGKILL');
    });
  }
  function replica(options: Partial<IdlOptions> & { remote: string }): Idl {
    const idl = new Idl({
      database: DATABASE,
      tables: [{ table: Open_vSwitch }, { table: Bridge }],
      changed: () => undefined,
      ...options,
      session: { minBackoffMs: 20, maxBackoffMs: 100, ...options.session },
    });
    open.push(idl);
    return idl;
  }

  test(
    'a cluster: the leader is found, and the next one when it is killed',
    async () => {
      const names = ['a', 'b', 'c'];
      const raft = (name: string) => `unix:${path(`${name}.raft`)}`;
      tool('create-cluster', path('a.db'), VSWITCH_SCHEMA, raft('a'));
      tool('join-cluster', path('b.db'), DATABASE, raft('b'), raft('a'));
      tool('join-cluster', path('c.db'), DATABASE, raft('c'), raft('a'));
      for (const name of names) await serve(name, path(`${name}.db`));
      const status = (name: string) => (children.has(name) ? appctl(name, 'cluster/status', DATABASE) : '');
      const leader = () => names.find((name) => /^Role: leader$/m.test(status(name)));
      // One that is still joining says that it is a follower, too; without it two members would be left, and then one, which is no majority.
      const isMember = (name: string) => /^Status: cluster member$/m.test(status(name));
      await until(() => leader() !== undefined && names.every(isMember), 'members', LONG_MS);
      const idl = replica({ remote: names.map(remote).join(','), lock: 'l' });
      await until(() => idl.hasLock && idl.isConnected, 'the replica', LONG_MS);
      const root = () => [...idl.rows(Open_vSwitch)][0];
      // Where a machine stands still for a moment the leader may change at any time, and what is under way then has to be tried again.
      const commit = (next_cfg: number) =>
        until(
          async () => {
            await idl.transact((txn) => {
              const row = root();
              if (row === undefined) txn.insert(Open_vSwitch, { next_cfg });
              else txn.update(Open_vSwitch, row._uuid, { next_cfg });
            });
            return root()?.next_cfg === next_cfg;
          },
          `next_cfg=${next_cfg}`,
          LONG_MS,
        );
      await commit(1);

      let first: string | undefined;
      await until(
        () => {
          first = leader();
          return first !== undefined;
        },
        'a leader',
        LONG_MS,
      );
      await kill(first ?? '');
      await until(() => leader() !== undefined, 'another leader', LONG_MS);
      await until(() => idl.hasLock && idl.isConnected, 'the replica again', LONG_MS);
      expect(root()?.next_cfg).toBe(1);
      await commit(2);
    },
    5 * LONG_MS,
  );

  test('a relay is no leader, but will do where none is asked for', async () => {
    tool('create', path('a.db'), VSWITCH_SCHEMA);
    await serve('a', path('a.db'));
    await serve('relay', `relay:${DATABASE}:${remote('a')}`);
    const strict = replica({ remote: remote('relay') });
    await until(() => lines.join('').includes('relay database server cannot be a leader'), 'a refusal');
    expect(strict.hasData).toBe(false);
    const idl = replica({ remote: remote('relay'), leaderOnly: false });
    await until(() => idl.isConnected, 'the replica');
    expect(await idl.transact((txn) => txn.insert(Open_vSwitch, { next_cfg: 7 }))).toBe('success');
    await until(() => [...idl.rows(Open_vSwitch)][0]?.next_cfg === 7, 'the row through the relay');
  });

  test('a database that is added later is found', async () => {
    await serve('a', '--no-dbs');
    const idl = replica({ remote: remote('a') });
    await until(() => lines.join('').includes('server does not have Open_vSwitch database'), 'a word about it');
    tool('create', path('a.db'), VSWITCH_SCHEMA);
    appctl('a', 'ovsdb-server/add-db', path('a.db'));
    await until(() => idl.isConnected, 'the replica');
  });

  test('ssl: both sides show certificates, and the CA certificate may come from the server', async () => {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca');
    for (const who of ['server', 'client']) {
      openssl(
        'req',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        `${who}.key`,
        '-out',
        `${who}.csr`,
        '-subj',
        `/CN=${who}`,
      );
      openssl(
        'x509',
        '-req',
        '-in',
        `${who}.csr`,
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-out',
        `${who}.pem`,
      );
    }
    tool('create', path('a.db'), VSWITCH_SCHEMA);
    // With --peer-ca-cert the server sends the CA certificate along.
    const keys = ['-p', path('server.key'), '-c', path('server.pem'), '-C', path('ca.pem')];
    await serve(
      'a',
      '--remote=pssl:0:127.0.0.1',
      ...keys,
      `--peer-ca-cert=${path('ca.pem')}`,
      '--log-file',
      path('a.db'),
    );
    const port = /listening on port (\d+)/.exec(readFileSync(path('ovsdb-server.log'), 'utf8'))?.[1];
    const files = { privateKey: path('client.key'), certificate: path('client.pem') };
    const named = `ssl:127.0.0.1:${port}`;
    const idl = replica({ remote: named, session: { tls: () => ({ ...files, caCert: path('ca.pem') }) } });
    await until(() => idl.isConnected, 'the replica');

    const learnt = path('learnt.pem');
    const trusting = replica({
      remote: named,
      session: { tls: () => ({ ...files, caCert: learnt, bootstrapCaCert: true }) },
    });
    await until(() => trusting.isConnected, 'the replica of one that learns');
    expect(lines.join('')).toContain(`successfully bootstrapped CA cert to ${learnt}`);
    expect(readFileSync(learnt, 'utf8').trim()).toBe(readFileSync(path('ca.pem'), 'utf8').trim());

    const bare = replica({ remote: named });
    await until(() => lines.join('').includes('SSL is not configured'), 'a word about missing files');
    expect(bare.isConnected).toBe(false);
  });
});
