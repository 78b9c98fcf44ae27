/**
 * The command line of vswitchd, which is that of ovs-vswitchd(8).  What it shares with other daemons is in daemon/daemon-options.ts.
 * Source: ovs-vswitchd(8), lib/ssl.man, lib/dirs.c.in.
 */
import { join } from 'node:path';
import { type OptionTable, parseCommandLine, UsageError } from '../daemon/command-line.ts';
import {
  type DaemonOptions,
  type Dirs,
  daemonOptionTable,
  daemonUsage,
  initialDaemonOptions,
} from '../daemon/daemon-options.ts';
import type { DatapathChoice } from '../netlink/genl-family.ts';
import { PROGRAM } from './version.ts';

/** Names of files for connections over TLS, as far as the database names none. */
export interface SslOptions {
  privateKey: string | undefined;
  certificate: string | undefined;
  caCert: string | undefined;
  /** Whether the CA certificate may come from the peer, and be written to `caCert`, while there is no such file. */
  bootstrapCaCert: boolean;
  /** --ssl-protocols and --ssl-ciphers: of all connections, those that the database gives files for, too. */
  protocols?: string | undefined;
  ciphers?: string | undefined;
}

export interface VswitchdCommandLine extends DaemonOptions {
  /** "unix:FILE", "tcp:HOST:PORT", "ssl:HOST:PORT". */
  database: string;
  datapath: DatapathChoice;
  /** Devices and a datapath that exist in this process only, for tests; undefined: the real ones. */
  dummy: 'none' | 'system' | 'override' | undefined;
  /** Whether bridges can have a datapath of type "system". */
  hasSystemDatapath: boolean;
  /** Whether the kernel's routes are in `ovs/route/show`. */
  hasSystemRoutes: boolean;
  /** Whether the database may name Unix sockets outside the rundir. */
  isConfined: boolean;
  ssl: SslOptions;
  showHelp: boolean;
  showVersion: boolean;
}

type Table = OptionTable<VswitchdCommandLine>;

// biome-ignore format: table
const OWN: Table = {
  datapath:               { value: 'required', apply: (o, v) => { o.datapath = datapathChoice(v); } },
  'no-self-confinement':  { value: 'none',     apply: (o) => { o.isConfined = false; } },
  'enable-dummy':         { value: 'optional', apply: (o, v) => { o.dummy = dummyLevel(v); } },
  'disable-system':       { value: 'none',     apply: (o) => { o.hasSystemDatapath = false; } },
  'disable-system-route': { value: 'none',     apply: (o) => { o.hasSystemRoutes = false; } },
  // No thread here belongs to a processor.
  'dummy-numa':           { value: 'required', apply: () => undefined },
  'private-key':          { value: 'required', short: 'p', apply: (o, v) => { o.ssl.privateKey = v; } },
  certificate:            { value: 'required', short: 'c', apply: (o, v) => { o.ssl.certificate = v; } },
  'ca-cert':              { value: 'required', short: 'C', apply: (o, v) => { o.ssl.caCert = v; } },
  'bootstrap-ca-cert':    { value: 'required', apply: (o, v) => { o.ssl.caCert = v; o.ssl.bootstrapCaCert = true; } },
  'ssl-protocols':        { value: 'required', apply: (o, v) => { o.ssl.protocols = v; } },
  'ssl-ciphers':          { value: 'required', apply: (o, v) => { o.ssl.ciphers = v; } },
  help:                   { value: 'none',     short: 'h', apply: (o) => { o.showHelp = true; } },
  version:                { value: 'none',     short: 'V', apply: (o) => { o.showVersion = true; } },
};

function dummyLevel(text: string | undefined): VswitchdCommandLine['dummy'] {
  if (text === undefined || text === '') return 'none';
  if (text === 'system' || text === 'override') return text;
  throw new UsageError(`${text}: unknown dummy level`);
}

function datapathChoice(text: string | undefined): DatapathChoice {
  if (text === 'auto' || text === 'kernel' || text === 'emulated') return text;
  throw new UsageError(`--datapath=${text}: want auto, kernel or emulated`);
}

/** Parses `argv`, the words after "vswitchd".  Throws a UsageError. */
export function parseOptions(argv: readonly string[], dirs: Dirs): VswitchdCommandLine {
  const options: VswitchdCommandLine = {
    ...initialDaemonOptions(),
    database: `unix:${join(dirs.run, 'db.sock')}`,
    datapath: 'auto',
    dummy: undefined,
    hasSystemDatapath: true,
    hasSystemRoutes: true,
    isConfined: true,
    ssl: { privateKey: undefined, certificate: undefined, caCert: undefined, bootstrapCaCert: false },
    showHelp: false,
    showVersion: false,
  };
  const table: Table = { ...daemonOptionTable(PROGRAM, dirs), ...OWN };
  const rest = parseCommandLine(argv, table, options);
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
  ssl:HOST:PORT           SSL PORT at remote HOST
  unix:FILE               Unix domain socket named FILE
PKI configuration (required to use SSL):
  -p, --private-key=FILE  file with private key
  -c, --certificate=FILE  file with certificate for private key
  -C, --ca-cert=FILE      file with peer CA certificate
  --bootstrap-ca-cert=FILE  file with peer CA certificate to read or create
SSL options:
  --ssl-protocols=PROTOS  list of SSL protocols to enable
  --ssl-ciphers=CIPHERS   list of SSL ciphers to enable
${daemonUsage(PROGRAM, dirs)}
Other options:
  --datapath=WHICH          which datapath: auto (the kernel's if it has one), kernel or emulated
  --disable-system          have no datapath of type "system"
  --disable-system-route    leave the kernel's routes out of ovs/route/show
  --no-self-confinement     let the database name OpenFlow sockets outside of ${dirs.run}
  --enable-dummy[=LEVEL]    dummy devices and datapath, for tests; LEVEL is system or override
  --unixctl=SOCKET          override default control socket name
  -h, --help                display this help message
  -V, --version             display version information
`;
