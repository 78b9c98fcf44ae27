/**
 * The command line of the datapath process: its own options, and those of every daemon (daemon/daemon-options.ts).
 */
import { resolve } from 'node:path';
import { type OptionTable, parseCommandLine, UsageError } from '../daemon/command-line.ts';
import {
  type DaemonOptions,
  type Dirs,
  daemonOptionTable,
  daemonUsage,
  initialDaemonOptions,
} from '../daemon/daemon-options.ts';

/** Its name in file names and in the log. */
export const DATAPATH_PROGRAM = 'tapswitch-datapath';

export interface DatapathProcessOptions extends DaemonOptions {
  /** Written, with the process id, when the datapath can serve; removed at its end. */
  readyFile: string | undefined;
  /** Answer as this Linux version does, "6.12" say; 6.1 if left out. */
  kernelCompat: string | undefined;
  /** Port id to serve at, for tests that run beside another datapath; undefined: the usual one. */
  portId: number | undefined;
  showHelp: boolean;
}

type Table = OptionTable<DatapathProcessOptions>;

// biome-ignore format: table
const OWN: Table = {
  'ready-file':    { value: 'required', apply: (o, v = '') => { o.readyFile = resolve(v); } },
  'kernel-compat': { value: 'required', apply: (o, v) => { o.kernelCompat = v; } },
  help:            { value: 'none',     short: 'h', apply: (o) => { o.showHelp = true; } },
};

/** Parses `argv`, the words after "datapath".  Throws a UsageError. */
export function parseDatapathOptions(argv: readonly string[], dirs: Dirs): DatapathProcessOptions {
  const options: DatapathProcessOptions = {
    ...initialDaemonOptions(),
    readyFile: undefined,
    kernelCompat: undefined,
    portId: undefined,
    showHelp: false,
  };
  const table: Table = { ...daemonOptionTable(DATAPATH_PROGRAM, dirs), ...OWN };
  const [extra] = parseCommandLine(argv, table, options);
  if (extra !== undefined)
    throw new UsageError(`${extra}: non-option arguments are not accepted; use --help for usage`);
  return options;
}

export const datapathUsage = (dirs: Dirs): string => `${DATAPATH_PROGRAM}: the datapath of Open vSwitch as a process
usage: tapswitch datapath [OPTIONS]
Serves clients that speak generic netlink as they do with openvswitch.ko, until SIGINT, SIGTERM, or "exit" on its control socket.

  --ready-file=PATH         write this file when the datapath can serve; it is removed at the end
  --kernel-compat=VERSION   answer as this Linux version does, 6.1 by default; 6.11 has psample,
                            before 5.15 upcalls are sent by port, not by CPU
${daemonUsage(DATAPATH_PROGRAM, dirs)}
Other options:
  --unixctl=PATH            take commands on this socket, from \`ovs-appctl -t PATH COMMAND\`
  -h, --help                display this help message
`;
