/**
 * The program `tapswitch vswitchd`: reads its command line and becomes a daemon; the switch itself is in run.ts, which is loaded only by the
 * process that is to be it, because launcher and monitor need none of it.
 * Source: vswitchd/ovs-vswitchd.c.
 */
import { writeFileSync } from 'node:fs';
import { UsageError } from '../daemon/command-line.ts';
import { dirsOf } from '../daemon/daemon-options.ts';
import { daemonizeStart, setUpLog } from '../daemon/daemonize.ts';
import { takeRole } from '../daemon/respawn.ts';
import { setLevels, vlog } from '../util/vlog.ts';
import { nameStockModules } from './log-modules.ts';
import { parseOptions, usage, type VswitchdCommandLine } from './options.ts';
import { PROGRAM, VERSION_TEXT } from './version.ts';

const log = vlog('vswitchd');
const PROCESS_NAME = '/proc/self/comm';

/**
 * Runs vswitchd with the command line `argv` (the words after "vswitchd").  Resolves to the exit status when it has ended,
 * or, with --detach, when it is ready in the background.  Says on standard error what went wrong.
 */
export async function main(argv: readonly string[]): Promise<number> {
  // First, because a shell that waits is to hear of failures, too.
  const role = takeRole(process.env);
  const dirs = dirsOf(process.env);
  let options: VswitchdCommandLine;
  try {
    options = parseOptions(argv, dirs);
    if (options.showHelp || options.showVersion) {
      process.stdout.write(options.showHelp ? usage(dirs) : `${VERSION_TEXT}\n`);
      return 0;
    }
    nameStockModules();
    setUpLog(PROGRAM, options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return fail(error.message);
  }
  try {
    const status = await daemonizeStart({ name: PROGRAM }, options, role);
    if (status !== undefined) return status;
    nameProcess();
    process.on('unhandledRejection', (error) => log.err(`unhandled: ${(error as Error).stack ?? error}`));
    process.on('uncaughtException', (error) => {
      log.emer(`uncaught: ${error.stack}`);
      // By a signal that a monitor takes for a crash.
      process.abort();
    });
    const { runVswitchd } = await import('./run.ts');
    return await runVswitchd(options, dirs.run);
  } catch (error) {
    return fail((error as Error).message);
  }
}

/** ovs-ctl(8) knows the daemon by the name of its process, as ps(1) shows it. */
function nameProcess(): void {
  try {
    writeFileSync(PROCESS_NAME, PROGRAM);
  } catch {
    // Without /proc it is called what Node is called.
  }
}

/** What keeps the program from running goes to the log, too. */
function fail(text: string): number {
  setLevels(log.name, 'console', 'off');
  log.emer(text);
  process.stderr.write(`${PROGRAM}: ${text}\n`);
  return 1;
}
