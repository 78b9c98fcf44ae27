/**
 * `tapswitch dpctl`: the options, output and exit status of stock ovs-dpctl, for either datapath.  What the commands do is
 * in dpctl/.  The text of help is dpctl-help.ts.
 *
 * Error messages begin with "tapswitch-dpctl", or with $TAPSWITCH_DPCTL_NAME, for scripts that compare with ovs-dpctl.
 * Source: utilities/ovs-dpctl.c.
 */
import { join } from 'node:path';
import { runDpctl } from '../dpctl/commands.ts';
import { type DpctlContext, defaultOptions } from '../dpctl/dpctl-context.ts';
import { readLines } from '../dpctl/dpctl-unixctl.ts';
import { HostNetdevs } from '../dpctl/netdevs.ts';
import { DpifProviders } from '../dpif/dpif-name.ts';
import { DpifNetlinkProvider } from '../dpif-netlink/dpif-netlink.ts';
import { type DatapathChoice, resolveEndpoint } from '../netlink/genl-family.ts';
import { openSocketTransport } from '../netlink/socket.ts';
import { openLogFile, setLevels, vlog } from '../util/vlog.ts';
import { setLevelsFromString } from '../util/vlog-settings.ts';
import { dpctlHelp, OVS_VERSION } from './dpctl-help.ts';
import { getopt, type LongOption } from './getopt.ts';
import { Output } from './output.ts';

// biome-ignore format: table
const OPTIONS: readonly LongOption[] = [
  { name: 'statistics',    argument: 'none', short: 's' },
  { name: 'clear',         argument: 'none' },
  { name: 'may-create',    argument: 'none' },
  { name: 'read-only',     argument: 'none' },
  { name: 'more',          argument: 'none', short: 'm' },
  { name: 'names',         argument: 'none' },
  { name: 'no-names',      argument: 'none' },
  { name: 'timeout',       argument: 'required', short: 't' },
  { name: 'help',          argument: 'none', short: 'h' },
  { name: 'option',        argument: 'none', short: 'o' },
  { name: 'version',       argument: 'none', short: 'V' },
  { name: 'verbose',       argument: 'optional', short: 'v' },
  { name: 'log-file',      argument: 'optional' },
  { name: 'syslog-method', argument: 'required' },
  { name: 'syslog-target', argument: 'required' },
];
/** Ours: which datapath to talk to.  Never abbreviated, so that it takes nothing from the stock ones. */
const DATAPATH_OPTION = '--datapath=';
const CHOICES: readonly DatapathChoice[] = ['auto', 'kernel', 'emulated'];

/** Thrown to leave with an exit status, once what there is to say was said. */
class Exit {
  readonly status: number;
  constructor(status: number) {
    this.status = status;
  }
}

/** Runs `tapswitch dpctl` with the command line `argv` (the words after "dpctl").  Resolves to the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const { TAPSWITCH_DPCTL_NAME, OVS_LOGDIR, OVS_CTL_TIMEOUT = '' } = process.env;
  const programName = TAPSWITCH_DPCTL_NAME || 'tapswitch-dpctl';
  const logDir = OVS_LOGDIR || '/var/log/openvswitch';
  const output = new Output();
  const fatal = (text: string): never => {
    output.err(`${programName}: ${text}\n`);
    throw new Exit(1);
  };
  try {
    const { rest, options, choice, timeout } = parse(argv, programName, logDir, output, fatal);
    setTimeLimit(timeout || parseTimeout(OVS_CTL_TIMEOUT));
    const open = () => openSocketTransport();
    const providers = new DpifProviders([new DpifNetlinkProvider(() => resolveEndpoint(choice, open))]);
    const netdevs = new HostNetdevs();
    const ctx: DpctlContext = {
      programName,
      isAppctl: false,
      options,
      providers,
      netdevs,
      output: (isError, text) => (isError ? output.err(text) : output.out(text)),
      help: () => dpctlHelp(programName, logDir),
      readLines,
    };
    try {
      return (await runDpctl(ctx, rest)) === 0 ? 0 : 1;
    } finally {
      providers.close();
      netdevs.close();
    }
  } catch (e) {
    if (e instanceof Exit) return e.status;
    output.err(`${programName}: ${e instanceof Error ? e.message : String(e)}\n`);
    return 1;
  } finally {
    output.flush();
  }
}

function parse(
  argv: readonly string[],
  programName: string,
  logDir: string,
  output: Output,
  fatal: (text: string) => never,
) {
  const options = defaultOptions();
  const rest: string[] = [];
  let names: boolean | undefined;
  let timeout = 0;
  let choice: DatapathChoice = 'auto';
  const ours = argv.filter((a) => a.startsWith(DATAPATH_OPTION));
  for (const arg of ours) {
    const value = arg.slice(DATAPATH_OPTION.length);
    choice = CHOICES.find((c) => c === value) ?? fatal(`--datapath: "${value}" is none of ${CHOICES.join(', ')}`);
  }
  const others = argv.filter((a) => !ours.includes(a));

  for (const given of getopt(others, OPTIONS, rest)) {
    if (given.error !== undefined) return fatal(given.error);
    const { name, value = '' } = given;
    switch (name) {
      case 'statistics':
        options.statistics = true;
        break;
      case 'clear':
        options.zeroStatistics = true;
        break;
      case 'may-create':
        options.mayCreate = true;
        break;
      case 'read-only':
        options.readOnly = true;
        break;
      case 'more':
        options.verbosity++;
        break;
      case 'names':
        names = true;
        break;
      case 'no-names':
        names = false;
        break;
      case 'timeout':
        timeout = parseTimeout(value) || fatal(`value ${value} on -t or --timeout is invalid`);
        break;
      case 'help':
        output.out(dpctlHelp(programName, logDir));
        throw new Exit(0);
      case 'option':
        output.out(formatOptions());
        throw new Exit(0);
      case 'version':
        output.out(`${programName} (Open vSwitch) ${OVS_VERSION}\n`);
        throw new Exit(0);
      case 'verbose':
        if (given.value === undefined) {
          setLevels(undefined, undefined, 'dbg');
        } else {
          const error = setLevelsFromString(value);
          if (error !== undefined) fatal(`processing "${value}": ${error}`);
        }
        break;
      case 'log-file':
        logTo(given.value ?? join(logDir, `${programName}.log`));
        break;
    }
  }
  options.names = names ?? options.verbosity > 0;
  return { rest, options, choice, timeout };
}

/** Seconds; 0 for what is no positive 32-bit number. */
function parseTimeout(text: string): number {
  const n = /^\s*\+?\d+$/.test(text) ? Number(text) : 0;
  return n <= 0xffffffff ? n : 0;
}

/** As in ovs-dpctl, the process dies of SIGALRM when its time is over. */
function setTimeLimit(seconds: number): void {
  if (seconds === 0) return;
  const longest = 2 ** 31 - 1;
  const timer = setTimeout(
    () => {
      vlog('fatal_signal').warn('terminating with signal 14 (Alarm clock)');
      process.kill(process.pid, 'SIGALRM');
    },
    Math.min(1000 * seconds, longest),
  );
  timer.unref();
}

function logTo(path: string): void {
  try {
    openLogFile(path);
  } catch (e) {
    vlog('vlog').warn(`failed to open ${path} for logging: ${e instanceof Error ? e.message : String(e)}`);
  }
}

function formatOptions(): string {
  const text = { none: '', required: 'ARG', optional: '[ARG]' };
  return OPTIONS.map((o) => {
    const arg = text[o.argument];
    const long = `--${o.name}${arg === '' ? '' : `=${arg}`}\n`;
    return o.short === undefined ? long : `${long}-${o.short} ${arg}\n`;
  }).join('');
}
