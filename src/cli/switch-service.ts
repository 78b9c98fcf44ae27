/**
 * The switch as one service: a datapath process where the kernel has none, an ovsdb-server of its own unless another
 * database is named, and vswitchd.  Starts them in that order, keeps them running, and ends them in the reverse order.
 *
 * What a death means: vswitchd is started again, and finds the datapath and its flows as they were.  A datapath takes its
 * ports and flows with it, so vswitchd is started again after it, to make them anew.  An ovsdb-server is started again, and its
 * clients reconnect by themselves.  What dies again and again is given ever more time (up to 10 s).
 *
 * Used by up.ts.  Neighbours: processes.ts (a child), rundir.ts (the record of them).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { type Child, fileIsThere, spawnChild, stopProcess, waitUntil } from './processes.ts';
import { type Dirs, holderOf, type Member, removeRecord, writeRecord } from './rundir.ts';

export interface ServiceOptions {
  readonly dirs: Dirs;
  /** An OVSDB remote to use; undefined: an ovsdb-server of our own. */
  readonly database: string | undefined;
  /** Whether to run a datapath process. */
  readonly emulated: boolean;
  /** Log levels for vswitchd and the datapath, as after `-v`. */
  readonly verbose: readonly string[];
  /** Whether the daemons' warnings go to our standard error, too. */
  readonly echo: boolean;
  /** The launcher, bin/tapswitch. */
  readonly launcher: string;
  readonly say: (text: string) => void;
}

type Role = Member['role'];

const READY_MS = 30_000;
const FIRST_RESTART_MS = 100;
const LAST_RESTART_MS = 10_000;
/** A process that lived this long has shown that it can. */
const STEADY_MS = 10_000;

export class SwitchService {
  private readonly options: ServiceOptions;
  private readonly children = new Map<Role, Child>();
  private readonly delays = new Map<Role, number>();
  private stopping = false;
  /** Starting and restarting happen one after the other. */
  private work: Promise<void> = Promise.resolve();
  /** Rejects when the service cannot go on. */
  readonly failed: Promise<never>;
  private fail: (error: Error) => void = () => {};

  constructor(options: ServiceOptions) {
    this.options = options;
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => {});
  }

  /** Starts everything; resolves when vswitchd takes commands.  On failure what was started is ended again. */
  async start(): Promise<void> {
    mkdirSync(this.options.dirs.run, { recursive: true });
    mkdirSync(this.options.dirs.log, { recursive: true });
    try {
      if (this.options.emulated) await this.startDatapath();
      if (this.options.database === undefined) await this.startDatabase();
      await this.startVswitchd();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends everything, clients before servers. */
  async stop(): Promise<void> {
    this.stopping = true;
    for (const role of ['vswitchd', 'ovsdb-server', 'datapath'] as const) {
      const child = this.children.get(role);
      if (child === undefined) continue;
      await stopProcess(child);
      this.children.delete(role);
    }
    await this.work;
    removeRecord(this.options.dirs.run);
  }

  private async startDatapath(): Promise<void> {
    const { dirs, launcher, verbose } = this.options;
    const ready = join(dirs.run, 'tapswitch-datapath.ready');
    rmSync(ready, { force: true });
    const child = await this.spawn('datapath', 'tapswitch-datapath', [
      launcher,
      'datapath',
      '--ready-file',
      ready,
      ...verbose.map((spec) => `-v${spec}`),
    ]);
    await waitUntil(child, ready, fileIsThere(ready), READY_MS);
  }

  private async startDatabase(): Promise<void> {
    const { dirs } = this.options;
    const socket = join(dirs.run, 'db.sock');
    if (!existsSync(dirs.database)) {
      mkdirSync(dirname(dirs.database), { recursive: true });
      execFileSync('ovsdb-tool', ['create', dirs.database, dirs.schema], { stdio: ['ignore', 'ignore', 'pipe'] });
    }
    const child = await this.spawn('ovsdb-server', 'ovsdb-server', [
      'ovsdb-server',
      dirs.database,
      `--remote=punix:${socket}`,
      '--remote=db:Open_vSwitch,Open_vSwitch,manager_options',
      `--pidfile=${join(dirs.run, 'ovsdb-server.pid')}`,
      `--log-file=${join(dirs.log, 'ovsdb-server.log')}`,
      '-vsyslog:off',
      '-vconsole:warn',
    ]);
    // The pidfile is written before the database is served, and the socket of a server that was killed is still there.
    await waitUntil(child, socket, () => accepts(socket), READY_MS);
  }

  private async startVswitchd(): Promise<void> {
    const { dirs, launcher, verbose, database, emulated } = this.options;
    const pidfile = join(dirs.run, 'ovs-vswitchd.pid');
    const child = await this.spawn('vswitchd', 'vswitchd', [
      launcher,
      'vswitchd',
      database ?? `unix:${join(dirs.run, 'db.sock')}`,
      '--datapath',
      emulated ? 'emulated' : 'kernel',
      `--pidfile=${pidfile}`,
      `--log-file=${join(dirs.log, 'ovs-vswitchd.log')}`,
      '-vconsole:warn',
      ...verbose.map((spec) => `-v${spec}`),
    ]);
    const control = join(dirs.run, `ovs-vswitchd.${child.pid}.ctl`);
    await waitUntil(child, control, async () => holderOf(pidfile) === child.pid && (await accepts(control)), READY_MS);
  }

  private async spawn(role: Role, name: string, command: string[]): Promise<Child> {
    const { dirs, echo } = this.options;
    const env = { ...process.env, OVS_RUNDIR: dirs.run, OVS_LOGDIR: dirs.log };
    const child = await spawnChild(name, command, { env, logFile: join(dirs.log, `${name}.out`), echo });
    this.children.set(role, child);
    this.record();
    const started = Date.now();
    void child.ended.then((how) => {
      if (this.stopping || this.children.get(role) !== child) return;
      this.children.delete(role);
      this.record();
      if (Date.now() - started > STEADY_MS) this.delays.delete(role);
      this.options.say(`${name} (process ${child.pid}) ended with ${how}; starting it again`);
      this.work = this.work.then(() => this.restart(role)).catch((error: Error) => this.fail(error));
    });
    return child;
  }

  private async restart(role: Role): Promise<void> {
    const wait = this.delays.get(role) ?? FIRST_RESTART_MS;
    this.delays.set(role, Math.min(wait * 2, LAST_RESTART_MS));
    await new Promise((done) => setTimeout(done, wait));
    if (this.stopping || this.children.has(role)) return;
    if (role === 'datapath') {
      const vswitchd = this.children.get('vswitchd');
      this.children.delete('vswitchd');
      if (vswitchd !== undefined) await stopProcess(vswitchd);
      await this.startDatapath();
      await this.startVswitchd();
    } else if (role === 'ovsdb-server') {
      await this.startDatabase();
    } else {
      await this.startVswitchd();
    }
    if (!this.stopping) this.options.say(`${role} runs again (process ${this.children.get(role)?.pid})`);
  }

  private record(): void {
    const members = [...this.children].map(([role, { pid, startTime }]) => ({ role, pid, startTime }));
    writeRecord(this.options.dirs.run, members);
  }

  /** What runs, for a person: "datapath 12, ovsdb-server 13, vswitchd 14". */
  toString(): string {
    return [...this.children].map(([role, { pid }]) => `${role} ${pid}`).join(', ');
  }
}

/** Whether somebody listens on the Unix socket `path`. */
function accepts(path: string): Promise<boolean> {
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
