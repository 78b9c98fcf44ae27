/**
 * How a program becomes a daemon: the process that the user started becomes another user, if told to, and runs the program again in the
 * background, or watches it; the daemon itself takes the pidfile, and when it is ready leaves the terminal.
 *
 *     launcher --detach--> monitor (with --monitor) --> daemon
 *
 * Without --detach the launcher is the monitor, and without both it is the daemon.  Where it has only to wait, bin/tapswitch is the launcher.
 * Source: lib/daemon-unix.c (daemonize_start, daemonize_complete).
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { native } from '../native/index.ts';
import { logIdentity } from '../util/log-pattern.ts';
import { openLogFile, setConsole, setLevels, setSyslog, setSyslogTarget, vlog } from '../util/vlog.ts';
import { setLevelsFromString } from '../util/vlog-settings.ts';
import { UsageError } from './command-line.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { monitorDaemon } from './monitor.ts';
import { makePidfile } from './pidfile.ts';
import { notifyReady, type Role, respawn } from './respawn.ts';
import { describeExit, handleExit } from './signals.ts';
import { syslogSink, syslogTarget } from './syslog.ts';
import { becomeUser } from './user.ts';

const log = vlog('daemon_unix');

export interface Program {
  readonly name: string;
  /** CAP_* numbers that it needs besides those of every daemon, with --user. */
  readonly capabilities?: readonly number[];
  /** Whether the program itself sees to it that signals end it. */
  readonly handlesSignals?: boolean;
}

/** Applies what the options say about the log, but for the file.  Throws a UsageError. */
export function setUpLog(program: string, options: DaemonOptions): void {
  logIdentity.program = program;
  for (const spec of options.verbose) {
    const problem = setLevelsFromString(spec);
    if (problem !== undefined) throw new UsageError(`processing "${spec}": ${problem}`);
  }
  setSyslog(syslogSink(options.syslogMethod ?? (process.env['OVS_SYSLOG_METHOD'] || 'libc')));
  if (options.syslogTarget !== undefined) setSyslogTarget(syslogTarget(options.syslogTarget));
}

/**
 * Does what this process, which has this role (takeRole() in respawn.ts), has to do before the program itself.  Resolves to undefined if it is to be the daemon; to an exit status when its part
 * is done: as the launcher when the daemon is ready, as the monitor when the daemon has ended.  Rejects with an Error for the user.
 */
export async function daemonizeStart(
  program: Program,
  options: DaemonOptions,
  role: Role,
): Promise<number | undefined> {
  const { logFile } = options;
  if (logFile !== undefined) mkdirSync(dirname(logFile), { recursive: true });
  if (role === 'launcher' && options.user !== undefined) becomeUser(options.user, logFile, program.capabilities);
  if (role === 'launcher' && options.detach) return launch(program, options.monitor ? 'monitor' : 'daemon');
  if (role !== 'daemon' && options.monitor) return watch(program, options);
  handleExit(program.handlesSignals !== true);
  if (logFile !== undefined) openLogFile(logFile);
  if (options.lockMemory) lockMemory();
  if (options.pidfile !== undefined) makePidfile(options.pidfile, options.overwritePidfile);
  return undefined;
}

async function launch(program: Program, role: 'monitor' | 'daemon'): Promise<number> {
  const before = await respawn(role, true).startup;
  if (before === undefined) return 0;
  if (before.signal === null && before.code !== 0) return before.code ?? 1;
  const why = `fork child died before signaling startup (${describeExit(before)})`;
  process.stderr.write(`${program.name}: could not detach from foreground session: ${why}\n`);
  return 1;
}

function watch(program: Program, { detach, logFile }: DaemonOptions): Promise<number> {
  let isStarted = false;
  handleExit(true);
  return monitorDaemon({
    program: program.name,
    logFile,
    // What a daemon in the background says later has no terminal to go to.
    run: () => respawn('daemon', detach && !isStarted),
    started: () => {
      isStarted = true;
      notifyReady();
      if (detach) leaveTerminal();
    },
    setTitle: (title) => {
      process.title = title;
    },
    now: () => performance.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
}

function lockMemory(): void {
  try {
    native().lockMemory();
  } catch (error) {
    log.err(`mlockall failed: ${(error as Error).message}`);
  }
}

function leaveTerminal(): void {
  // Nobody would read it, and making the lines costs time.
  setLevels(undefined, 'console', 'off');
  setConsole(() => undefined);
  native().closeStandardFds();
}

/** The daemon is ready: lets the one who waits go and, with --detach, leaves the terminal and, unless told otherwise, the directory. */
export function daemonizeComplete({ detach, stayInDir }: DaemonOptions): void {
  notifyReady();
  if (!detach) return;
  if (!stayInDir) process.chdir('/');
  leaveTerminal();
}
