/**
 * The program `tapswitch datapath`: reads its command line and becomes a daemon; the datapath itself is in run.ts, which is loaded only by the
 * process that is to be it.
 */
import { UsageError } from '../daemon/command-line.ts';
import { dirsOf } from '../daemon/daemon-options.ts';
import { daemonizeComplete, daemonizeStart, setUpLog } from '../daemon/daemonize.ts';
import { takeRole } from '../daemon/respawn.ts';
import { setLevels, vlog } from '../util/vlog.ts';
import { DATAPATH_PROGRAM, type DatapathProcessOptions, datapathUsage, parseDatapathOptions } from './options.ts';

const log = vlog('datapath');

/** With --user, besides what every daemon has: CAP_PERFMON and CAP_BPF, to hide from the host's stack what a port receives. */
const CAPABILITIES = [38, 39];

/** Runs the datapath with the command line `argv` (the words after "datapath").  Resolves to the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  // First, because a shell that waits is to hear of failures, too.
  const role = takeRole(process.env);
  const dirs = dirsOf(process.env);
  let options: DatapathProcessOptions;
  try {
    options = parseDatapathOptions(argv, dirs);
    if (options.showHelp) {
      process.stdout.write(datapathUsage(dirs));
      return 0;
    }
    setUpLog(DATAPATH_PROGRAM, options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return fail(error.message);
  }
  try {
    // It gives devices back before it ends, also by a signal.
    const program = { name: DATAPATH_PROGRAM, capabilities: CAPABILITIES, handlesSignals: true };
    const status = await daemonizeStart(program, options, role);
    if (status !== undefined) return status;
    const { runDatapath } = await import('./run.ts');
    await runDatapath(options, () => daemonizeComplete(options));
    return 0;
  } catch (error) {
    return fail((error as Error).message);
  }
}

/** What keeps the program from running goes to the log, too. */
function fail(text: string): number {
  setLevels(log.name, 'console', 'off');
  log.emer(text);
  process.stderr.write(`tapswitch: datapath: ${text}\n`);
  return 1;
}
