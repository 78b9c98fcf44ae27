/**
 * The table of dpctl commands, and running one.  Source: lib/dpctl.c (all_commands, dpctl_run_command()).
 */
import { formatOdpActions } from '../odp/text/odp-format-actions.ts';
import { parseOdpActions } from '../odp/text/odp-parse-actions.ts';
import { OdpParseError } from '../odp/text/odp-text-scan.ts';
import { ERRNO } from '../util/errno.ts';
import { cacheGetSize, cacheSetSize } from './caches.ts';
import { ctBkts, ctStatsShow, dumpConntrack } from './ct/ct-dump.ts';
import { flushConntrack } from './ct/ct-flush.ts';
import { ctDelLimits, ctGetLimits, ctSetLimits } from './ct/ct-limits.ts';
import { type DpctlCommand, type DpctlContext, print, printError } from './dpctl-context.ts';
import { withOptionalDpif } from './dpctl-open.ts';
import { dumpFlows } from './flows/dump-flows.ts';
import { addFlows, delFlows, modFlows } from './flows/flow-file.ts';
import { addFlow, delFlow, getFlow, modFlow } from './flows/flows.ts';
import { normalizeActions } from './flows/normalize-actions.ts';
import { addIf, delIf, setIf } from './ports.ts';
import { addDp, delDp, dumpDps, show } from './show.ts';
import { CONNTRACK_SETTINGS, EXPECTATIONS, FRAGMENT_SETTINGS } from './unsupported.ts';

const ANY = Number.MAX_SAFE_INTEGER;
const [RO, RW] = [false, true];

const command = (
  name: string,
  usage: string,
  minArgs: number,
  maxArgs: number,
  run: DpctlCommand['run'],
  writes: boolean,
): DpctlCommand => ({ name, usage, minArgs, maxArgs, writes, run });

// biome-ignore format: table
export const DPCTL_COMMANDS: readonly DpctlCommand[] = [
  command('add-dp',             'dp [iface...]',   1, ANY, addDp,    RW),
  command('del-dp',             'dp',              1, 1,   delDp,    RW),
  command('add-if',             'dp iface...',     2, ANY, addIf,    RW),
  command('del-if',             'dp iface...',     2, ANY, delIf,    RW),
  command('set-if',             'dp iface...',     2, ANY, setIf,    RW),
  command('dump-dps',           '',                0, 0,   dumpDps,  RO),
  command('show',               '[-s] [dp...]',    0, ANY, show,     RO),
  command('dump-flows',         '[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]', 0, 6, dumpFlows, RO),
  command('add-flow',           '[dp] flow actions', 2, 3, addFlow,  RW),
  command('mod-flow',           '[dp] flow actions', 2, 3, modFlow,  RW),
  command('get-flow',           '[dp] ufid',       1, 2,   getFlow,  RO),
  command('del-flow',           '[dp] flow',       1, 2,   delFlow,  RW),
  command('add-flows',          '[dp] file',       1, 2,   addFlows, RW),
  command('mod-flows',          '[dp] file',       1, 2,   modFlows, RW),
  command('del-flows',          '[dp] [file]',     0, 2,   delFlows, RW),
  command('offload-stats-show', '[dp]',            0, 1,   offloadStatsShow, RO),
  command('dump-conntrack',     '[-m] [-s] [dp] [zone=N]', 0, 4, dumpConntrack, RO),
  EXPECTATIONS,
  command('flush-conntrack',    '[dp] [zone=N] [mark=X[/M]] [labels=Y[/N]] [ct-orig-tuple [ct-reply-tuple]]', 0, 6, flushConntrack, RW),
  command('cache-get-size',     '[dp]',            0, 1,   cacheGetSize, RO),
  command('cache-set-size',     'dp cache <size>', 3, 3,   cacheSetSize, RW),
  command('ct-stats-show',      '[dp] [zone=N]',   0, 3,   ctStatsShow, RO),
  command('ct-bkts',            '[dp] [gt=N]',     0, 2,   ctBkts, RO),
  ...CONNTRACK_SETTINGS,
  command('ct-set-limits',      '[dp] [default=L] [zone=N,limit=L]...', 1, ANY, ctSetLimits, RO),
  command('ct-del-limits',      '[dp] [default] [zone=N1[,N2]...]', 1, 3, ctDelLimits, RO),
  command('ct-get-limits',      '[dp] [zone=N1[,N2]...]', 0, 2, ctGetLimits, RO),
  ...FRAGMENT_SETTINGS,
  command('help',               '',                0, ANY, (ctx) => say(ctx, ctx.help()), RO),
  command('list-commands',      '',                0, ANY, (ctx) => say(ctx, listCommands(ctx.isAppctl)), RO),
  command('parse-actions',      'actions',         1, ANY, parseActions, RO),
  command('normalize-actions',  'actions',         2, ANY, normalizeActions, RO),
];

function say(ctx: DpctlContext, text: string): number {
  print(ctx, text);
  return 0;
}

function listCommands(isAppctl: boolean): string {
  const lines = DPCTL_COMMANDS.filter((c) => !isAppctl || c.name !== 'help').map(
    (c) => `  ${isAppctl ? 'dpctl/' : ''}${c.name.padEnd(23)} ${c.usage}\n`,
  );
  return `The available commands are:\n${lines.join('')}`;
}

/** offload-stats-show [DP]: a system datapath has no such statistics. */
function offloadStatsShow(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  return withOptionalDpif(ctx, args, 1, async () => {
    printError(ctx, ERRNO.EOPNOTSUPP, 'retrieving offload statistics');
    return ERRNO.EOPNOTSUPP;
  });
}

/** parse-actions ACTIONS...: prints them as they are understood. */
function parseActions(ctx: DpctlContext, args: readonly string[]): number {
  for (const text of args) {
    try {
      print(ctx, `${formatOdpActions(parseOdpActions(text))}\n`);
    } catch (e) {
      if (!(e instanceof OdpParseError)) throw e;
      printError(ctx, e.errno, 'odp_actions_from_string');
      return e.errno;
    }
  }
  return 0;
}

/** Runs "COMMAND ARG...".  Returns 0 or an errno, having said what is wrong. */
export async function runDpctl(ctx: DpctlContext, argv: readonly string[]): Promise<number> {
  const [name, ...args] = argv;
  const refuse = (text: string): number => {
    printError(ctx, 0, text);
    return ERRNO.EINVAL;
  };
  if (name === undefined) return refuse('missing command name; use --help for help');
  const c = DPCTL_COMMANDS.find((x) => x.name === name);
  if (c === undefined) return refuse(`unknown command '${name}'; use --help for help`);
  if (args.length < c.minArgs) return refuse(`'${name}' command requires at least ${c.minArgs} arguments`);
  if (args.length > c.maxArgs) return refuse(`'${name}' command takes at most ${c.maxArgs} arguments`);
  if (c.writes && ctx.options.readOnly) return refuse(`'${name}' command does not work in read only mode`);
  return c.run(ctx, args);
}
