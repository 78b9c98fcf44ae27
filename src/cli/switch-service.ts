/**
 * The switch as one service: a datapath process where the kernel has none; beside it an ovsdb-server of its own unless
 * another database is named, and, when that is ready, vswitchd, which waits for the datapath by itself.  Starts them, keeps
 * them running, and ends them, vswitchd first.
 *
 * What dies is started again, alone: a new vswitchd finds the datapath and its flows as they were; a datapath takes its
 * ports and flows with it, and vswitchd, which looks for it every second, makes them anew; clients of an ovsdb-server
 * reconnect.  What dies again and again is given ever more time (up to 10 s).
 *
 * Used by up.ts.  Neighbours: processes.ts (a child), rundir.ts (the record of them).
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { accepts, removeDeadSockets } from '../util/unix-sockets.ts';
import { type Child, fileIsThere, spawnChild, stopProcess, waitUntil } from './processes.ts';
import {
  type Dirs,
  holderOf,
  type Member,
  OVSDB_SERVER_SOCKETS,
  READY_FILE,
  removeRecord,
  STOP_ORDER,
  writeRecord,
} from './rundir.ts';

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
  private readonly readySince = new Map<Child, number>();
  private readonly delays = new Map<Role, number>();
  private stopping = false;
  /** Restarts happen one after the other. */
  private work: Promise<void> = Promise.resolve();

  constructor(options: ServiceOptions) {
    this.options = options;
  }

  /** Starts everything; resolves when vswitchd takes commands.  On failure what was started is ended again. */
  async start(): Promise<void> {
    mkdirSync(this.options.dirs.run, { recursive: true });
    mkdirSync(this.options.dirs.log, { recursive: true });
    accessSync(this.options.dirs.log, constants.W_OK);
    try {
      const { emulated } = this.options;
      const begun = await Promise.allSettled([emulated && this.begin('datapath'), this.beginUserspace()]);
      // Only now: what had not begun yet when another failed could not have been stopped.
      for (const one of begun) if (one.status === 'rejected') throw one.reason;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends everything, clients before servers. */
  async stop(): Promise<void> {
    this.stopping = true;
    for (const role of STOP_ORDER) await this.endChild(role);
    await this.work;
    for (const role of STOP_ORDER) await this.endChild(role); // What a restart was just about to bring back.
    removeRecord(this.options.dirs.run);
  }

  private async beginUserspace(): Promise<void> {
    if (this.options.database === undefined) await this.begin('ovsdb-server');
    await this.begin('vswitchd');
  }

  private begin(role: Role): Promise<void> {
    if (role === 'datapath') return this.startDatapath();
    return role === 'vswitchd' ? this.startVswitchd() : this.startDatabase();
  }

  private async startDatapath(): Promise<void> {
    const { dirs, launcher, verbose } = this.options;
    const ready = join(dirs.run, READY_FILE);
    rmSync(ready, { force: true });
    const child = await this.spawn('datapath', 'tapswitch-datapath', [
      launcher,
      'datapath',
      '--ready-file',
      ready,
      '--unixctl',
      join(dirs.run, 'tapswitch-datapath.ctl'),
      ...verbose.map((spec) => `-v${spec}`),
    ]);
    await this.supervise(child, ready, fileIsThere(ready));
  }

  private async startDatabase(): Promise<void> {
    const { dirs } = this.options;
    const socket = join(dirs.run, 'db.sock');
    // vswitchd removes its own.
    await removeDeadSockets(dirs.run, OVSDB_SERVER_SOCKETS);
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
    await this.supervise(child, socket, () => accepts(socket));
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
    await this.supervise(child, control, async () => holderOf(pidfile) === child.pid && (await accepts(control)));
  }

  private async spawn(role: Role, name: string, command: string[]): Promise<Child> {
    const { dirs, echo } = this.options;
    if (this.stopping) throw new Error('the switch is being ended');
    const env = { ...process.env, OVS_RUNDIR: dirs.run, OVS_LOGDIR: dirs.log };
    const child = await spawnChild(name, command, { env, logFile: join(dirs.log, `${name}.out`), echo });
    this.children.set(role, child);
    this.record();
    void child.ended.then((how) => {
      if (this.children.get(role) !== child) return;
      this.children.delete(role);
      this.record();
      // One that never was ready is the business of whoever waits for that.
      const readySince = this.readySince.get(child);
      if (this.stopping || readySince === undefined) return;
      if (Date.now() - readySince > STEADY_MS) this.delays.delete(role);
      this.options.say(`${name} (process ${child.pid}) ended with ${how}; starting it again`);
      this.work = this.work.then(() => this.restart(role));
    });
    return child;
  }

  /** Waits until `child` is ready; from then on it is started again when it ends. */
  private async supervise(child: Child, path: string, ready: () => boolean | Promise<boolean>): Promise<void> {
    await waitUntil(child, path, ready, READY_MS);
    this.readySince.set(child, Date.now());
  }

  /** Starts `role` again, as often as it takes. */
  private async restart(role: Role): Promise<void> {
    while (!this.stopping && !this.children.has(role)) {
      const wait = this.delays.get(role) ?? FIRST_RESTART_MS;
      this.delays.set(role, Math.min(wait * 2, LAST_RESTART_MS));
      await new Promise((done) => setTimeout(done, wait));
      if (this.stopping) return;
      try {
        await this.begin(role);
        this.options.say(`${role} runs again (process ${this.children.get(role)?.pid})`);
      } catch (error) {
        this.options.say((error as Error).message);
        await this.endChild(role);
      }
    }
  }

  private async endChild(role: Role): Promise<void> {
    const child = this.children.get(role);
    this.children.delete(role);
    if (child !== undefined) await stopProcess(child);
  }

  private record(): void {
    const members = [...this.children].map(([role, { pid, startTime }]) => ({ role, pid, startTime }));
    try {
      writeRecord(this.options.dirs.run, members);
    } catch (error) {
      // A disk that is full must not end a switch.  The children end with this process by themselves; the record is for those that do not.
      this.options.say(`the record of these processes is not up to date: ${(error as Error).message}`);
    }
  }

  /** What runs, for a person: "datapath 12, ovsdb-server 13, vswitchd 14". */
  toString(): string {
    return [...this.children].map(([role, { pid }]) => `${role} ${pid}`).join(', ');
  }
}
