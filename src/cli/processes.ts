/**
 * Child processes as `up` needs them: they end with their parent however that ends, they are known by process id and
 * start time (an id alone may have passed on to a stranger), and one can wait for what they do without polling them.
 *
 * Used by up.ts, down.ts and rundir.ts.  Source: proc(5), prctl(2) PR_SET_PDEATHSIG, setpriv(1).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** A process, for as long as it lives. */
export interface ProcessId {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

/** How long a process may take to end after SIGTERM, before SIGKILL. */
const STOP_GRACE_MS = 5_000;

/** Start time of `pid`; undefined if it does not run (a zombie does not). */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name, field 2, may hold spaces and parentheses: count from behind its last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export const isRunning = (id: ProcessId): boolean => startTimeOf(id.pid) === id.startTime;

const delay = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Waits until `id` has ended, `ms` at most; tells whether it has.  It need not be a child, so this has to look. */
export async function waitForEnd(id: ProcessId, ms: number): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; await delay(20)) {
    if (!isRunning(id)) return true;
  }
  return !isRunning(id);
}

/** Ends `id` with SIGTERM, or with SIGKILL if it does not listen.  False if it did not run any more. */
export async function stopProcess(id: ProcessId, graceMs = STOP_GRACE_MS): Promise<boolean> {
  if (!isRunning(id)) return false;
  for (const [signal, ms] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', 1_000],
  ] as const) {
    try {
      process.kill(id.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    if (await waitForEnd(id, ms)) break;
  }
  return true;
}

/** A running child and what became of it. */
export interface Child extends ProcessId {
  readonly name: string;
  /** Resolves when it has ended, to what to tell a person: "exit status 1", "signal SIGKILL". */
  readonly ended: Promise<string>;
  /** The last lines of its standard error. */
  errors(): string;
}

export interface SpawnOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Its standard output and error are added to this file. */
  readonly logFile?: string;
  /** Whether they go to ours, too. */
  readonly echo?: boolean;
}

/**
 * Starts a program that gets SIGTERM when this process ends, by whatever cause: the kernel sees to that
 * (PR_SET_PDEATHSIG, which setpriv sets and exec keeps).  It has a session of its own, so that Ctrl-C in our terminal
 * comes to us alone and the children can be ended in order.
 */
export async function spawnChild(name: string, command: readonly string[], options: SpawnOptions = {}): Promise<Child> {
  const child: ChildProcess = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...command], {
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let tail = '';
  const take = (chunk: Buffer, isError: boolean) => {
    if (options.logFile !== undefined) appendToLog(options.logFile, chunk);
    if (isError) {
      tail = (tail + chunk.toString()).slice(-4096);
      if (options.echo === true) process.stderr.write(chunk);
    }
  };
  child.stdout?.on('data', (chunk: Buffer) => take(chunk, false));
  child.stderr?.on('data', (chunk: Buffer) => take(chunk, true));
  const ended = new Promise<string>((done) => {
    child.on('error', (error) => done(error.message));
    child.on('close', (status, signal) => done(signal === null ? `exit status ${status}` : `signal ${signal}`));
  });
  if (child.pid === undefined) throw new Error(`${name}: cannot start ${command[0]}: ${await ended}`);
  return { name, pid: child.pid, startTime: startTimeOf(child.pid) ?? '', ended, errors: () => tail.trimEnd() };
}

function appendToLog(path: string, chunk: Buffer): void {
  try {
    appendFileSync(path, chunk);
  } catch {
    // A full disk must not end a switch, and there is nowhere left to say so.
  }
}

/**
 * Waits until `ready` says so, and looks again whenever something changes in the folder of `path`.  Throws if `child`
 * ends before, or after `ms`.
 */
export async function waitUntil(
  child: Child,
  path: string,
  ready: () => boolean | Promise<boolean>,
  ms: number,
): Promise<void> {
  const abort = new AbortController();
  try {
    const result = await Promise.race([
      watchUntil(path, ready, abort.signal),
      child.ended,
      new Promise<number>((done) => {
        setTimeout(done, ms, ms).unref();
      }),
    ]);
    if (result === true) return;
    const why = typeof result === 'string' ? `ended with ${result}` : `was not ready after ${ms / 1000} s`;
    const errors = child.errors();
    throw new Error(`${child.name} ${why}${errors === '' ? '' : `:\n${errors}`}`);
  } finally {
    abort.abort();
  }
}

function watchUntil(path: string, ready: () => boolean | Promise<boolean>, signal: AbortSignal): Promise<true> {
  return new Promise((done, fail) => {
    const look = async () => {
      if (!signal.aborted && (await ready())) done(true);
    };
    watch(dirname(path), { signal }, () => void look().catch(fail)).on('error', fail);
    look().catch(fail);
  });
}

/** Whether `path` is there. */
export const fileIsThere = (path: string) => (): boolean => existsSync(path);
