/** What the datapath process can be told.  cli/datapath.ts reads it from the command line, main.ts follows it. */

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
