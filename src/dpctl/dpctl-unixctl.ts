/**
 * dpctl commands as vswitchd serves them to `ovs-appctl dpctl/COMMAND`: options come first, and everything that a command
 * prints is the reply.  Knows nothing of the control socket itself; vswitchd registers what this file lists.
 * Source: lib/dpctl.c (dpctl_unixctl_handler()).
 */
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { DpifProviders } from '../dpif/dpif-name.ts';
import { DPCTL_COMMANDS } from './commands.ts';
import {
  type DpctlCommand,
  type DpctlContext,
  type DpctlOptions,
  defaultOptions,
  type HasOwnLimits,
} from './dpctl-context.ts';
import type { Netdevs } from './netdevs.ts';

export interface DpctlReply {
  /** Whether `text` goes back as an error. */
  readonly isError: boolean;
  readonly text: string;
}

/** A command to register: its arguments are checked against the bounds by whoever does. */
export interface DpctlUnixctl {
  /** "dpctl/show". */
  readonly name: string;
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  readonly handler: (args: readonly string[]) => Promise<DpctlReply>;
}

/** All dpctl commands but `help`, on the datapaths of `providers`. */
export function dpctlUnixctl(
  providers: DpifProviders,
  netdevs: Netdevs,
  programName = 'ovs-vswitchd',
  hasOwnLimits?: HasOwnLimits,
): DpctlUnixctl[] {
  return DPCTL_COMMANDS.filter((c) => c.name !== 'help').map((c) => ({
    name: `dpctl/${c.name}`,
    usage: c.usage,
    minArgs: c.minArgs,
    maxArgs: c.maxArgs,
    handler: (args) => run(c, args, { providers, netdevs, programName, hasOwnLimits }),
  }));
}

async function run(
  command: DpctlCommand,
  argv: readonly string[],
  parts: Pick<DpctlContext, 'providers' | 'netdevs' | 'programName' | 'hasOwnLimits'>,
): Promise<DpctlReply> {
  const options = defaultOptions();
  const args = [...argv];
  const bad = takeOptions(args, options);
  if (bad !== undefined) return { isError: true, text: bad };
  let text = '';
  const ctx: DpctlContext = {
    ...parts,
    isAppctl: true,
    options,
    output: (_isError, some) => {
      text += some;
    },
    help: () => '',
    readLines,
  };
  const errno = await command.run(ctx, args);
  return { isError: errno !== 0, text };
}

/** Takes the options off the front of `args`.  Returns what is wrong with them. */
function takeOptions(args: string[], options: DpctlOptions): string | undefined {
  let names: boolean | undefined;
  for (let arg = args[0]; arg?.startsWith('-') && arg !== '-'; arg = args[0]) {
    if (arg === '--statistics') options.statistics = true;
    else if (arg === '--clear') options.zeroStatistics = true;
    else if (arg === '--may-create') options.mayCreate = true;
    else if (arg === '--more') options.verbosity++;
    else if (arg === '--names') names = true;
    else if (arg === '--no-names') names = false;
    else if (arg.startsWith('--')) return `Unrecognized option ${arg}`;
    else {
      for (const letter of arg.slice(1)) {
        if (letter === 'm') options.verbosity++;
        else if (letter === 's') options.statistics = true;
        else return `Unrecognized option -${letter}`;
      }
    }
    args.shift();
  }
  options.names = names ?? options.verbosity > 0;
  return undefined;
}

/** Lines of a file; "-" is standard input. */
export async function* readLines(path: string): AsyncIterable<string> {
  if (path === '-') {
    yield* createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
    return;
  }
  const file = await open(path);
  try {
    yield* file.readLines();
  } finally {
    await file.close();
  }
}
