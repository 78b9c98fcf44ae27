/**
 * The process that watches a daemon and starts it again when it crashes, at once the first time, and not more often than every ten seconds.  It
 * ends with a daemon that ended of its own accord.
 * Source: lib/daemon-unix.c (monitor_daemon, should_restart), lib/daemon.man.
 */
import { logIdentity } from '../util/log-pattern.ts';
import { closeLogFile, openLogFile, vlog } from '../util/vlog.ts';
import type { Respawned } from './respawn.ts';
import { describeExit, type ExitStatus } from './signals.ts';

const log = vlog('daemon_unix');

/** Signals by which a program that is wrong dies; others are sent by somebody who wants it to end. */
const CRASHES: ReadonlySet<NodeJS.Signals> = new Set([
  ...(['SIGABRT', 'SIGALRM', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGPIPE', 'SIGSEGV', 'SIGXCPU', 'SIGXFSZ'] as const),
]);
const MIN_RESTART_MS = 10_000;

/** What the monitor does to the world. */
export interface MonitorHost {
  readonly program: string;
  /** Undefined: none. */
  readonly logFile: string | undefined;
  run(): Respawned;
  /** Called once, when the daemon is ready for the first time. */
  started(): void;
  setTitle(title: string): void;
  now(): number;
  sleep(ms: number): Promise<void>;
}

const isCrash = ({ signal }: ExitStatus): boolean => signal !== null && CRASHES.has(signal);

/** Resolves to the exit status for the monitor itself. */
export async function monitorDaemon(host: MonitorHost): Promise<number> {
  logIdentity.subprogram = 'monitor';
  let child = host.run();
  const before = await child.startup;
  if (before !== undefined) {
    // It has said why on standard error.
    if (before.signal === null && before.code !== 0) return before.code ?? 1;
    log.err(`fork child died before signaling startup (${describeExit(before)})`);
    process.stderr.write(`${host.program}: could not initiate process monitoring\n`);
    return 1;
  }
  host.started();
  let status = 'healthy';
  let lastRestart = Number.NEGATIVE_INFINITY;
  for (let crashes = 1; ; crashes++) {
    host.setTitle(`${host.program}: monitoring pid ${child.pid} (${status})`);
    const end = await child.ended;
    // Not open in between, so that a log that was rotated does not stay in use.
    if (host.logFile !== undefined) openLogFile(host.logFile);
    if (!isCrash(end)) {
      log.info(`pid ${child.pid} died, ${describeExit(end)}, exiting`);
      return 0;
    }
    status = `${crashes} crashes: pid ${child.pid} died, ${describeExit(end)}`;
    const wait = lastRestart + MIN_RESTART_MS - host.now();
    if (wait > 0) {
      log.warn(`${status}, waiting until 10 seconds since last restart`);
      await host.sleep(wait);
    }
    lastRestart = host.now();
    log.err(`${status}, restarting`);
    child = host.run();
    const failed = await child.startup;
    if (failed !== undefined && failed.signal === null && failed.code !== 0) return failed.code ?? 1;
    if (failed !== undefined) log.err(`fork child died before signaling startup (${describeExit(failed)})`);
    closeLogFile();
  }
}
