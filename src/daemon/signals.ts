/**
 * Signals: what they are called, and that they leave no files behind (util/exit-files.ts).
 * Source: lib/fatal-signal.c, sigdescr_np(3).
 */
import { constants } from 'node:os';
import { unlinkAll } from '../util/exit-files.ts';
import { vlog } from '../util/vlog.ts';

const log = vlog('fatal_signal');

// biome-ignore format: table
const DESCRIPTIONS: Partial<Record<NodeJS.Signals, string>> = {
  SIGHUP: 'Hangup', SIGINT: 'Interrupt', SIGQUIT: 'Quit', SIGILL: 'Illegal instruction', SIGTRAP: 'Trace/breakpoint trap',
  SIGABRT: 'Aborted', SIGBUS: 'Bus error', SIGFPE: 'Floating point exception', SIGKILL: 'Killed',
  SIGUSR1: 'User defined signal 1', SIGSEGV: 'Segmentation fault', SIGUSR2: 'User defined signal 2',
  SIGPIPE: 'Broken pipe', SIGALRM: 'Alarm clock', SIGTERM: 'Terminated', SIGXCPU: 'CPU time limit exceeded',
  SIGXFSZ: 'File size limit exceeded', SIGSYS: 'Bad system call',
};

export const describeSignal = (name: NodeJS.Signals): string => DESCRIPTIONS[name] ?? name;

/** How a process ended, as waitpid(2) tells. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** "exit status 1", "killed (Segmentation fault)". */
export const describeExit = ({ code, signal }: ExitStatus): string =>
  signal === null ? `exit status ${code}` : `killed (${describeSignal(signal)})`;

/**
 * Sees to it that files go away at exit and, with `atSignals`, at signals, which end the process as they would have anyway.  Node ignores
 * SIGPIPE.
 */
export function handleExit(atSignals: boolean): void {
  process.on('exit', unlinkAll);
  if (!atSignals) return;
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGALRM'] as const) {
    process.once(name, () => {
      log.warn(`terminating with signal ${constants.signals[name]} (${describeSignal(name)})`);
      unlinkAll();
      // With our handler gone the signal ends the process, and whoever waits for it sees which one did.
      process.kill(process.pid, name);
    });
  }
}
