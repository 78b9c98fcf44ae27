/** What the datapath process can be told: the options of `tapswitch datapath`, for cli/ and main.ts. */

export interface DatapathProcessOptions {
  /** Written, with the process id, when the datapath can serve; removed at its end. */
  readonly readyFile?: string;
  /** Locked and written like Open vSwitch's. */
  readonly pidfile?: string;
  readonly logFile?: string;
  /** Log levels, as after `-v`. */
  readonly verbose?: readonly string[];
  /** Port id to serve at, for tests that run beside another datapath. */
  readonly portId?: number;
}

/** One option of the command line, as commander writes it. */
export interface OptionRow {
  readonly flags: string;
  readonly help: string;
}

/** For a command line: what each option is called and does. */
// biome-ignore format: table
export const DATAPATH_OPTIONS: readonly OptionRow[] = [
  { flags: '--ready-file <path>', help: 'write this file when the datapath can serve; it is removed at the end' },
  { flags: '--pidfile <path>',    help: 'lock this file and write the process id to it' },
  { flags: '--log-file <path>',   help: 'log to this file, too' },
];
