/**
 * The laboratory of the tests that need root: network namespaces, veth pairs, daemons and commands inside them, and a
 * clean-up that leaves nothing.
 *
 * Nothing here enters a namespace itself: commands do, as child processes under nsenter (a Node process has many threads, and
 * `ip netns exec` hides /sys/fs/bpf).  Names are `ts-PID-NAME`, with the pid of the test process, so that runs at the same time
 * do not meet, and what a killed run left can be told from what is in use: the next run removes it.
 *
 * Neighbours: switch.ts (a switch in a namespace), *.test.ts.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, onTestFailed } from 'vitest';
import { isRunning, type ProcessId, startTimeOf, stopProcess } from '../../src/cli/processes.ts';

export const ROOT = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');
export const TAPSWITCH = join(ROOT, 'bin/tapswitch');

const PREFIX = `ts-${process.pid}-`;
const NETNS_DIR = '/run/netns';

export interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly input?: string;
  /** Ends the command with SIGKILL after this time; its status is then 137. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
}

/** Runs a command; a status other than 0 is a result, not an error. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Result> {
  const [program = '', ...args] = command;
  return new Promise((done, fail) => {
    const child = execFile(
      program,
      args,
      {
        env: { ...process.env, ...options.env },
        timeout: options.timeoutMs ?? 90_000,
        killSignal: 'SIGKILL',
        maxBuffer: 64 << 20,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code === 'string') fail(new Error(`${program}: ${error?.message}`));
        else done({ status: code ?? 137, stdout, stderr });
      },
    );
    // A command that does not read its input closes it, which is its right.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** Runs a command that must succeed; gives its standard output. */
export async function ok(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await run(command, options);
  if (status !== 0) throw new Error(`${command.join(' ')}: exit status ${status}\n${stderr}${stdout}`);
  return stdout;
}

/** Looks every 20 ms whether `check` gives something other than undefined or false; throws after `ms`. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  ms = 60_000,
): Promise<T> {
  for (const end = Date.now() + ms; ; ) {
    const got = await check();
    if (got !== undefined && got !== false) return got;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain for: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

let probed: string | undefined | null = null;

/** Why network namespaces cannot be made here; undefined if they can.  Throws if REQUIRE_NETNS=1 and they cannot. */
export function requireNetns(): string | undefined {
  if (probed === null) {
    const probe = spawnSyncQuietly(['unshare', '--net', 'true']);
    probed = probe === '' ? undefined : `network namespaces cannot be made here: ${probe}`;
    if (probed === undefined && !existsSync(join(ROOT, 'dist/bundle/main.cjs')))
      probed = 'not built; run scripts/setup';
    if (probed === undefined) removeDeadRuns();
  }
  const { REQUIRE_NETNS } = process.env;
  if (probed !== undefined && REQUIRE_NETNS === '1') throw new Error(`REQUIRE_NETNS=1, but ${probed}`);
  return probed;
}

/** Runs a command; '' if it succeeded, else what it said. */
function spawnSyncQuietly(command: string[]): string {
  try {
    execFileSync(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
    return '';
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr ?? error).trim() || String(error);
  }
}

/** Removes the namespaces of test processes that are gone, with whatever still runs in them. */
function removeDeadRuns(): void {
  if (!existsSync(NETNS_DIR)) return;
  for (const name of readdirSync(NETNS_DIR)) {
    const pid = /^ts-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && startTimeOf(Number(pid)) === undefined) removeNamespace(name);
  }
}

/** Kills what runs in namespace `name`, and deletes it. */
function removeNamespace(name: string): void {
  const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).split('\n').map(Number);
  for (const pid of pids) {
    try {
      if (pid > 1) process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile, which is as good.
    }
  }
  spawnSyncQuietly(['ip', 'netns', 'del', name]);
}

/** A process that runs until it is stopped; it gets SIGKILL when the test process ends. */
export class Daemon implements ProcessId {
  readonly name: string;
  readonly pid: number;
  readonly startTime: string;
  readonly logFile: string;
  /** Resolves when all of its threads have ended, and with them its sockets and devices. */
  private readonly ended: Promise<void>;

  constructor(name: string, command: readonly string[], logFile: string, env: Record<string, string>) {
    const log = openSync(logFile, 'a');
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log],
    });
    this.ended = new Promise((done) => {
      child.on('error', () => done());
      child.on('exit', () => done());
    });
    this.name = name;
    this.pid = child.pid ?? 0;
    this.startTime = startTimeOf(this.pid) ?? '';
    this.logFile = logFile;
  }

  get running(): boolean {
    return isRunning(this);
  }

  /** What it has printed so far. */
  output(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  async stop(): Promise<void> {
    await stopProcess(this);
    await this.ended;
  }

  /** Kills it the hard way, and waits until it is gone. */
  async kill(): Promise<void> {
    process.kill(this.pid, 'SIGKILL');
    await this.ended;
  }

  /** Waits for `check`, and fails at once if the daemon ends before. */
  async until(what: string, check: () => Promise<boolean> | boolean): Promise<void> {
    await eventually(`${this.name}: ${what}`, async () => {
      if (await check()) return true;
      if (!this.running) throw new Error(`${this.name} ended:\n${this.output()}`);
      return false;
    });
  }
}

/** A network namespace. */
export class Namespace {
  readonly name: string;
  readonly lab: Lab;

  constructor(lab: Lab, name: string) {
    this.lab = lab;
    this.name = name;
  }

  private enter(command: readonly string[]): string[] {
    return ['nsenter', `--net=${NETNS_DIR}/${this.name}`, '--', ...command];
  }
  /** Runs a command in here. */
  run(command: readonly string[], options: RunOptions = {}): Promise<Result> {
    return run(this.enter(command), { ...options, env: { ...this.lab.env, ...options.env } });
  }
  /** Runs a command in here that must succeed; gives its standard output. */
  ok(command: readonly string[], options: RunOptions = {}): Promise<string> {
    return ok(this.enter(command), { ...options, env: { ...this.lab.env, ...options.env } });
  }
  daemon(name: string, command: readonly string[], env: Record<string, string> = {}): Daemon {
    return this.lab.own(
      new Daemon(name, this.enter(command), join(this.lab.dir, `${this.name}-${name}.log`), {
        ...this.lab.env,
        ...env,
      }),
    );
  }
  /** `ip ARGS...` in here, words separated by spaces. */
  ip(args: string): Promise<string> {
    return ok(['ip', '-n', this.name, ...args.split(' ')]);
  }
  /** Gives device `device` its addresses (with prefix length), and sets it up. */
  async address(device: string, ...addresses: string[]): Promise<void> {
    for (const address of addresses) {
      await this.ip(`addr add ${address} dev ${device}${address.includes(':') ? ' nodad' : ''}`);
    }
    await this.ip(`link set ${device} up`);
  }
  /** Pings; gives how many were sent and came back. */
  async ping(to: string, count = 5): Promise<{ sent: number; received: number; text: string }> {
    const { stdout, stderr } = await this.run(['ping', '-n', '-c', `${count}`, '-i', '0.1', '-W', '2', to]);
    const [, sent = '0', received = '0'] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
    return { sent: Number(sent), received: Number(received), text: stdout + stderr };
  }
}

/** What one test file makes: namespaces and daemons, and a folder that is rundir, log and database directory. */
export class Lab {
  readonly dir: string;
  readonly env: Record<string, string>;
  private readonly namespaces: Namespace[] = [];
  private readonly daemons: Daemon[] = [];

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), PREFIX));
    this.env = { OVS_RUNDIR: this.dir, OVS_LOGDIR: this.dir, OVS_DBDIR: this.dir };
  }

  async namespace(name: string): Promise<Namespace> {
    const ns = new Namespace(this, PREFIX + name);
    await ok(['ip', 'netns', 'add', ns.name]);
    this.namespaces.push(ns);
    // A host that is left alone must be silent, so that the counts of a test are its own.
    await ns.ok([
      'sysctl',
      '-qw',
      'net.ipv6.conf.default.router_solicitations=0',
      'net.ipv6.conf.default.accept_dad=0',
    ]);
    await ns.ip('link set lo up');
    return ns;
  }

  /** A veth pair between two namespaces, both ends up. */
  async veth(a: Namespace, deviceA: string, b: Namespace, deviceB: string): Promise<void> {
    await a.ip(`link add ${deviceA} type veth peer name ${deviceB} netns ${b.name}`);
    await a.ip(`link set ${deviceA} up`);
    await b.ip(`link set ${deviceB} up`);
  }

  /** A host: a namespace whose eth0 is a veth to device `port` in `sw`. */
  async host(sw: Namespace, name: string, port: string, ...addresses: string[]): Promise<Namespace> {
    const host = await this.namespace(name);
    await this.veth(sw, port, host, 'eth0');
    await host.address('eth0', ...addresses);
    return host;
  }

  own(daemon: Daemon): Daemon {
    this.daemons.push(daemon);
    return daemon;
  }

  /** What the daemons printed last, for a test that failed. */
  logs(): string {
    return readdirSync(this.dir)
      .filter((name) => name.endsWith('.log') || name.endsWith('.out'))
      .map((name) => `--- ${name}\n${readFileSync(join(this.dir, name), 'utf8').slice(-4000)}`)
      .join('\n');
  }

  /** Ends and removes everything. */
  async close(): Promise<void> {
    for (const daemon of this.daemons.reverse()) await daemon.stop();
    this.remove();
  }

  /** The part of `close` that can be done while the process exits. */
  remove(): void {
    for (const ns of this.namespaces.splice(0)) removeNamespace(ns.name);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/**
 * Makes a lab before the tests of the file (or describe block) that calls this, and removes it after them.  Where
 * namespaces cannot be made the tests are skipped, with the reason.
 */
export function useLab(build: (lab: Lab) => Promise<void>): void {
  let lab: Lab | undefined;
  const atExit = () => lab?.remove();
  beforeAll(async () => {
    if (requireNetns() !== undefined) return;
    process.once('exit', atExit);
    lab = new Lab();
    try {
      await build(lab);
    } catch (error) {
      console.log(lab.logs());
      throw error;
    }
  });
  beforeEach((context) => {
    const reason = requireNetns();
    if (reason !== undefined) context.skip(reason);
    onTestFailed(() => console.log(lab?.logs()));
  });
  afterAll(async () => {
    await lab?.close();
    lab = undefined;
    process.off('exit', atExit);
  });
}
