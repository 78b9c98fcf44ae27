/**
 * `tapswitch datapath`: the datapath process alone, in the foreground.  What it runs is datapath/main.ts, which is loaded only when it
 * is asked for, because the other commands need none of it.
 */
import type { Command } from 'commander';

interface DatapathOptions {
  readonly readyFile?: string;
  readonly pidfile?: string;
  readonly logFile?: string;
  readonly unixctl?: string;
  readonly kernelCompat?: string;
  readonly verbose: readonly string[];
}

export function registerDatapath(program: Command): void {
  program
    .command('datapath')
    .description('run a datapath process alone, until SIGINT or SIGTERM')
    .option('--ready-file <path>', 'write this file when the datapath can serve; it is removed at the end')
    .option('--pidfile <path>', 'lock this file and write the process id to it')
    .option('--log-file <path>', 'log to this file, too')
    .option('--unixctl <path>', 'take commands on this socket, from `ovs-appctl -t PATH COMMAND`')
    .option('--kernel-compat <version>', 'answer as this Linux version does, 6.1 by default; 6.11 has psample')
    .option('-v, --verbose [spec]', 'log levels, as in -vdbg; may be repeated', collectLevels, [])
    .action(async (options: DatapathOptions) => {
      const { runDatapath } = await import('../datapath/main.ts');
      try {
        await runDatapath(options);
      } catch (error) {
        console.error(`tapswitch: datapath: ${(error as Error).message}`);
        process.exit(1);
      }
      process.exit(0);
    });
}

/** Collects the specs of repeated -v options; one without a spec means that everything is logged. */
export const collectLevels = (spec: string | true, specs: string[]): string[] => [
  ...specs,
  spec === true ? 'any:any:dbg' : spec,
];
