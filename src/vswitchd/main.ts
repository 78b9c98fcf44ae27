/**
 * The program `tapswitch vswitchd`: puts the userspace half of the switch together, and makes a daemon of it.
 *
 * Start: options, log file, background, pidfile, control socket, then the switch (vswitchd.ts), which follows the database.
 * Ready: when the first configuration is in force; whoever started it with --detach waits until then.
 * End: `ovs-appctl exit` and SIGTERM leave the datapath and its flows, which go on forwarding; `exit --cleanup` does not.
 * Source: vswitchd/ovs-vswitchd.c.
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { dpctlUnixctl } from '../dpctl/dpctl-unixctl.ts';
import { HostNetdevs } from '../dpctl/netdevs.ts';
import { DpifProviders } from '../dpif/dpif-name.ts';
import { DpifNetlinkProvider } from '../dpif-netlink/dpif-netlink.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { OVS_DATAPATH_FAMILY } from '../netlink/families/ovs-datapath.ts';
import { type DatapathChoice, hasDatapathFamily, resolveEndpoint } from '../netlink/genl-family.ts';
import { openSocketTransport } from '../netlink/socket.ts';
import { openBacker } from '../ofproto/backer.ts';
import { UnixctlServer } from '../unixctl/unixctl-server.ts';
import { ERRNO } from '../util/errno.ts';
import { openLogFile, setLevelsFromString, vlog } from '../util/vlog.ts';
import { vswitchdCommands } from './commands.ts';
import { daemonizeComplete, detach, handleExit, isDetached, makePidfile, unlinkAtExit } from './daemon.ts';
import { RtnetlinkTable } from './netdev.ts';
import { type DaemonOptions, dirsOf, parseOptions, UsageError, usage } from './options.ts';
import { PROGRAM, VERSION_TEXT } from './version.ts';
import { Vswitchd } from './vswitchd.ts';

const log = vlog('vswitchd');

const provider = (choice: DatapathChoice): DpifNetlinkProvider =>
  new DpifNetlinkProvider(() => resolveEndpoint(choice, openSocketTransport));

/** A provider whose datapath is there.  Rejects with ENOENT otherwise, without a word in the log: this is tried every second. */
async function readyProvider(choice: DatapathChoice): Promise<DpifNetlinkProvider> {
  const endpoint = await resolveEndpoint(choice, openSocketTransport);
  if (!(await hasDatapathFamily(endpoint))) throw new NetlinkError(ERRNO.ENOENT, OVS_DATAPATH_FAMILY);
  return new DpifNetlinkProvider(async () => endpoint);
}

/**
 * Runs vswitchd with the command line `argv` (the words after "vswitchd").  Resolves to the exit status when it has ended,
 * or, with --detach, when it is ready in the background.  Says on standard error what went wrong.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const dirs = dirsOf(process.env);
  let options: DaemonOptions;
  try {
    options = parseOptions(argv, dirs);
    for (const spec of options.verbose) {
      const problem = setLevelsFromString(spec);
      if (problem !== undefined) throw new UsageError(`processing "${spec}": ${problem}`);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return fail(error.message);
  }
  if (options.showHelp || options.showVersion) {
    process.stdout.write(options.showHelp ? usage(dirs) : `${VERSION_TEXT}\n`);
    return 0;
  }
  if (options.detach && !isDetached()) return detach();
  try {
    return await runDaemon(options, dirs.run);
  } catch (error) {
    return fail((error as Error).message);
  }
}

function fail(text: string): number {
  process.stderr.write(`${PROGRAM}: ${text}\n`);
  return 1;
}

/** Resolves to the exit status when somebody has told the daemon to exit.  Rejects if it cannot start. */
async function runDaemon(options: DaemonOptions, rundir: string): Promise<number> {
  handleExit();
  process.on('unhandledRejection', (error) => log.err(`unhandled: ${(error as Error).stack ?? error}`));
  process.on('uncaughtException', (error) => {
    log.emer(`uncaught: ${error.stack}`);
    process.exit(1);
  });
  if (options.logFile !== undefined) {
    mkdirSync(dirname(options.logFile), { recursive: true });
    openLogFile(options.logFile);
  }
  if (options.pidfile !== undefined) makePidfile(options.pidfile, options.overwritePidfile);

  const vswitchd = await Vswitchd.start({
    database: options.database,
    openProvider: () => readyProvider(options.datapath),
    openBacker,
    openNetdevs: () => RtnetlinkTable.open(),
  });
  let exit: (cleanup: boolean) => void = () => undefined;
  const told = new Promise<boolean>((resolve) => {
    exit = resolve;
  });
  const dpctlProviders = new DpifProviders([provider(options.datapath)]);
  const dpctlNetdevs = new HostNetdevs();
  const target = {
    get backer() {
      return vswitchd.backer;
    },
    exit,
  };
  const commands = vswitchdCommands(target, dpctlUnixctl(dpctlProviders, dpctlNetdevs, PROGRAM));
  const unixctl = new UnixctlServer(VERSION_TEXT, commands);
  if (options.unixctl !== 'none') {
    mkdirSync(rundir, { recursive: true });
    const path = options.unixctl ?? join(rundir, `${PROGRAM}.${process.pid}.ctl`);
    await unixctl.listen(path);
    unlinkAtExit(path);
  }
  void vswitchd.configured.then(() => daemonizeComplete(options.stayInDir));

  const cleanup = await told;
  await vswitchd.stop(cleanup);
  dpctlNetdevs.close();
  dpctlProviders.close();
  await unixctl.close();
  return 0;
}
