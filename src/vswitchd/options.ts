/**
 * The command line of vswitchd, which is that of ovs-vswitchd(8), and the directories of the environment.
 * Source: ovs-vswitchd(8), lib/daemon.man, lib/vlog.man, lib/dirs.c.in.
 */
import { join, resolve } from 'node:path';
import type { DatapathChoice } from '../netlink/genl-family.ts';
import { PROGRAM } from './version.ts';

export interface DaemonOptions {
  /** "unix:FILE" or "tcp:HOST:PORT". */
  database: string;
  datapath: DatapathChoice;
  detach: boolean;
  /** Devices and a datapath that exist in this process only, for tests; undefined: the real ones. */
  dummy: 'none' | 'system' | 'override' | undefined;
  /** Whether a detached process stays in the directory where it was started. */
  stayInDir: boolean;
  /** Undefined: none. */
  pidfile: string | undefined;
  overwritePidfile: boolean;
  /** Whether the database may name Unix sockets outside the rundir. */
  isConfined: boolean;
  /** Undefined: none. */
  logFile: string | undefined;
  /** Specs of -v, in order. */
  verbose: string[];
  /** Control socket; undefined: the usual name, "none": none. */
  unixctl: string | undefined;
  showHelp: boolean;
  showVersion: boolean;
}

/** What is wrong with the command line, in words for the person who wrote it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

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

interface Option {
  /** Whether a value must, may or must not follow. */
  readonly value: 'required' | 'optional' | 'none';
  apply(options: DaemonOptions, value: string | undefined, dirs: Dirs): void;
}

// biome-ignore format: table
const LONG: Readonly<Record<string, Option>> = {
  datapath:            { value: 'required', apply: (o, v) => { o.datapath = datapathChoice(v); } },
  detach:              { value: 'none',     apply: (o) => { o.detach = true; } },
  'no-chdir':          { value: 'none',     apply: (o) => { o.stayInDir = true; } },
  pidfile:             { value: 'optional', apply: (o, v, dirs) => { o.pidfile = resolve(dirs.run, v ?? `${PROGRAM}.pid`); } },
  'overwrite-pidfile': { value: 'none',     apply: (o) => { o.overwritePidfile = true; } },
  'no-self-confinement': { value: 'none',    apply: (o) => { o.isConfined = false; } },
  'log-file':          { value: 'optional', apply: (o, v, dirs) => { o.logFile = resolve(dirs.log, v ?? `${PROGRAM}.log`); } },
  verbose:             { value: 'optional', apply: (o, v) => { o.verbose.push(v ?? 'any:any:dbg'); } },
  unixctl:             { value: 'required', apply: (o, v, dirs) => { o.unixctl = v === 'none' ? v : resolve(dirs.run, v ?? ''); } },
  'enable-dummy':      { value: 'optional', apply: (o, v) => { o.dummy = dummyLevel(v); } },
  // With --enable-dummy there are no system datapaths and no system routes anyway.
  'disable-system':    { value: 'none',     apply: () => undefined },
  'disable-system-route': { value: 'none',  apply: () => undefined },
  // No thread here belongs to a processor.
  'dummy-numa':        { value: 'required', apply: () => undefined },
  help:                { value: 'none',     apply: (o) => { o.showHelp = true; } },
  version:             { value: 'none',     apply: (o) => { o.showVersion = true; } },
};
const SHORT: Readonly<Record<string, string>> = { v: 'verbose', h: 'help', V: 'version' };

function dummyLevel(text: string | undefined): DaemonOptions['dummy'] {
  if (text === undefined || text === '') return 'none';
  if (text === 'system' || text === 'override') return text;
  throw new UsageError(`${text}: unknown dummy level`);
}

function datapathChoice(text: string | undefined): DatapathChoice {
  if (text === 'auto' || text === 'kernel' || text === 'emulated') return text;
  throw new UsageError(`--datapath=${text}: want auto, kernel or emulated`);
}

/** Parses `argv`, the words after "vswitchd".  Throws a UsageError. */
export function parseOptions(argv: readonly string[], dirs: Dirs): DaemonOptions {
  const options: DaemonOptions = {
    database: `unix:${join(dirs.run, 'db.sock')}`,
    datapath: 'auto',
    detach: false,
    dummy: undefined,
    stayInDir: false,
    pidfile: undefined,
    overwritePidfile: false,
    isConfined: true,
    logFile: undefined,
    verbose: [],
    unixctl: undefined,
    showHelp: false,
    showVersion: false,
  };
  const words = [...argv];
  const rest: string[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '--') {
      rest.push(...words.splice(0));
    } else if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
      const option = Object.hasOwn(LONG, name) ? LONG[name] : undefined;
      if (option === undefined) throw new UsageError(`unrecognized option '--${name}'`);
      let value = equals < 0 ? undefined : word.slice(equals + 1);
      if (value !== undefined && option.value === 'none') {
        throw new UsageError(`option '--${name}' doesn't allow an argument`);
      }
      if (value === undefined && option.value === 'required') value = words.shift();
      if (value === undefined && option.value === 'required') {
        throw new UsageError(`option '--${name}' requires an argument`);
      }
      option.apply(options, value, dirs);
    } else if (word.startsWith('-') && word.length > 1) {
      const name = SHORT[word.charAt(1)];
      const option = name === undefined ? undefined : LONG[name];
      const value = word.length > 2 ? word.slice(2) : undefined;
      if (option === undefined || (value !== undefined && option.value === 'none')) {
        throw new UsageError(`invalid option -- '${word.slice(1)}'`);
      }
      option.apply(options, value, dirs);
    } else {
      rest.push(word);
    }
  }
  if (rest.length > 1) throw new UsageError('at most one non-option argument accepted; use --help for usage');
  options.database = rest[0] ?? options.database;
  return options;
}

export const usage = (dirs: Dirs): string => `${PROGRAM}: Open vSwitch daemon
usage: tapswitch vswitchd [OPTIONS] [DATABASE]
where DATABASE is a socket on which ovsdb-server is listening
      (default: "unix:${join(dirs.run, 'db.sock')}").

Active DATABASE connection methods:
  tcp:HOST:PORT           PORT at remote HOST
  unix:FILE               Unix domain socket named FILE

Daemon options:
  --detach                run in background as daemon
  --no-chdir              do not chdir to '/'
  --pidfile[=FILE]        create pidfile (default: ${join(dirs.run, `${PROGRAM}.pid`)})
  --overwrite-pidfile     with --pidfile, start even if already running
  --no-self-confinement   let the database name OpenFlow sockets outside of ${dirs.run}

Logging options:
  -vSPEC, --verbose=SPEC   set logging levels
  -v, --verbose            set maximum verbosity level
  --log-file[=FILE]        enable logging to specified FILE
                           (default: ${join(dirs.log, `${PROGRAM}.log`)})

Other options:
  --datapath=WHICH        auto (the default), kernel or emulated
  --enable-dummy[=LEVEL]  dummy devices and datapath, for tests; LEVEL is system or override
  --unixctl=SOCKET        override default control socket name
  -h, --help              display this help message
  -V, --version           display version information
`;
