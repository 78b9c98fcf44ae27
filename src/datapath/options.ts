/** What the datapath process can be told.  cli/datapath.ts reads it from the command line, main.ts follows it. */

export interface DatapathProcessOptions {
  /** Written, with the process id, when the datapath can serve; removed at its end. */
  readonly readyFile?: string;
  /** Locked and written like Open vSwitch's. */
  readonly pidfile?: string;
  readonly logFile?: string;
  /** Log levels, as after `-v`. */
  readonly verbose?: readonly string[];
  /** Where to listen for `ovs-appctl -t`; nowhere if left out.  See dp-control.ts. */
  readonly unixctl?: string;
  /** Answer as this Linux version does, "6.12" say; 6.1 if left out. */
  readonly kernelCompat?: string;
  /** Port id to serve at, for tests that run beside another datapath. */
  readonly portId?: number;
}
