/**
 * The options that every daemon here has: how it becomes one, and how it logs.  Source: lib/daemon.man, lib/vlog.man, lib/unixctl.man.
 */
import { join, resolve } from 'node:path';
import type { OptionTable } from './command-line.ts';

export interface DaemonOptions {
  detach: boolean;
  /** Whether a process watches this one and starts it again after a crash. */
  monitor: boolean;
  /** Whether a detached process stays in the directory where it was started. */
  stayInDir: boolean;
  /** Undefined: none. */
  pidfile: string | undefined;
  overwritePidfile: boolean;
  /** "USER[:GROUP]" to become; undefined: stay who we are. */
  user: string | undefined;
  lockMemory: boolean;
  /** Undefined: none. */
  logFile: string | undefined;
  /** Specs of -v, in order. */
  verbose: string[];
  /** "libc", "null", "unix:FILE" or "udp:IP:PORT". */
  syslogMethod: string | undefined;
  /** "IP:PORT" that gets RFC 5424 over UDP besides. */
  syslogTarget: string | undefined;
  /** Control socket; undefined: the usual name, "none": none. */
  unixctl: string | undefined;
}

export const initialDaemonOptions = (): DaemonOptions => ({
  detach: false,
  monitor: false,
  stayInDir: false,
  pidfile: undefined,
  overwritePidfile: false,
  user: undefined,
  lockMemory: false,
  logFile: undefined,
  verbose: [],
  syslogMethod: undefined,
  syslogTarget: undefined,
  unixctl: undefined,
});

/** Where the files of daemons are. */
export interface Dirs {
  readonly run: string;
  readonly log: string;
}

export function dirsOf(env: NodeJS.ProcessEnv): Dirs {
  return {
    run: resolve(env['OVS_RUNDIR'] || '/var/run/openvswitch'),
    log: resolve(env['OVS_LOGDIR'] || '/var/log/openvswitch'),
  };
}

export const defaultPidfile = (program: string, dirs: Dirs): string => join(dirs.run, `${program}.pid`);
export const defaultLogFile = (program: string, dirs: Dirs): string => join(dirs.log, `${program}.log`);

/** The options' rows for `program`; relative names of files are in its directories. */
export function daemonOptionTable(program: string, dirs: Dirs): OptionTable<DaemonOptions> {
  // biome-ignore format: table
  return {
    detach:              { value: 'none',     apply: (o) => { o.detach = true; } },
    monitor:             { value: 'none',     apply: (o) => { o.monitor = true; } },
    'no-chdir':          { value: 'none',     apply: (o) => { o.stayInDir = true; } },
    pidfile:             { value: 'optional', apply: (o, v) => { o.pidfile = v === undefined ? defaultPidfile(program, dirs) : resolve(dirs.run, v); } },
    'overwrite-pidfile': { value: 'none',     apply: (o) => { o.overwritePidfile = true; } },
    user:                { value: 'required', apply: (o, v) => { o.user = v; } },
    mlockall:            { value: 'none',     apply: (o) => { o.lockMemory = true; } },
    'log-file':          { value: 'optional', apply: (o, v) => { o.logFile = v === undefined ? defaultLogFile(program, dirs) : resolve(dirs.log, v); } },
    verbose:             { value: 'optional', short: 'v', apply: (o, v) => { o.verbose.push(v ?? 'any:any:dbg'); } },
    'syslog-method':     { value: 'required', apply: (o, v) => { o.syslogMethod ??= v; } },
    'syslog-target':     { value: 'required', apply: (o, v) => { o.syslogTarget = v; } },
    unixctl:             { value: 'required', apply: (o, v = '') => { o.unixctl = v === 'none' ? v : resolve(dirs.run, v); } },
  };
}

/** Text for --help. */
export const daemonUsage = (program: string, dirs: Dirs): string => `
Daemon options:
  --detach                run in background as daemon
  --monitor               creates a process to monitor this daemon
  --user=username[:group] changes the effective daemon user:group
  --no-chdir              do not chdir to '/'
  --pidfile[=FILE]        create pidfile (default: ${defaultPidfile(program, dirs)})
  --overwrite-pidfile     with --pidfile, start even if already running
  --mlockall              keep all memory from being paged out

Logging options:
  -vSPEC, --verbose=SPEC   set logging levels
  -v, --verbose            set maximum verbosity level
  --log-file[=FILE]        enable logging to specified FILE
                           (default: ${defaultLogFile(program, dirs)})
  --syslog-method=(libc|unix:file|udp:ip:port)
                           specify how to send messages to syslog daemon
  --syslog-target=IP:PORT  also send syslog msgs to IP:PORT via UDP
`;
