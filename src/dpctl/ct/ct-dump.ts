/**
 * Commands that list tracked connections: dump-conntrack, ct-stats-show, and ct-bkts, which has nothing to show of a system
 * datapath.  Neighbour: ct-text.ts (a connection as text).
 * Source: lib/dpctl.c (dpctl_dump_conntrack(), dpctl_ct_stats_show(), dpctl_ct_bkts()).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import type { CtEntry } from '../../dpif/dpif-ct.ts';
import { ERRNO } from '../../util/errno.ts';
import { attempt, type DpctlContext, print, printError } from '../dpctl-context.ts';
import { withOptionalDpif } from '../dpctl-open.ts';
import { scanUint } from '../key-values.ts';
import { formatCtEntry, TCP_STATE_NAMES, tcpStateName } from './ct-text.ts';

/** The number in "zone=N"; undefined for other text. */
const scanZone = (text: string): number | undefined =>
  text.startsWith('zone=') ? scanUint(text.slice('zone='.length), 16) : undefined;

/** Dumps to `visit`, and says what is wrong.  Returns 0 or an errno. */
async function dump(
  ctx: DpctlContext,
  dpif: Dpif,
  zone: number | undefined,
  visit: (entry: CtEntry) => void,
): Promise<number> {
  if (dpif.ct === undefined) {
    printError(ctx, ERRNO.EOPNOTSUPP, 'starting conntrack dump');
    return ERRNO.EOPNOTSUPP;
  }
  const done = await attempt(dpif.ct.dump(zone, visit));
  if (!done.ok) printError(ctx, done.errno, 'dumping conntrack entry');
  return done.errno;
}

/** dump-conntrack [-m] [-s] [DP] [zone=N] */
export function dumpConntrack(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const zone = scanZone(args.at(-1) ?? '');
  const rest = zone === undefined ? args : args.slice(0, -1);
  return withOptionalDpif(ctx, rest, 1, (dpif) =>
    dump(ctx, dpif, zone, (entry) => print(ctx, `${formatCtEntry(entry, ctx.options)}\n`)),
  );
}

// biome-ignore format: table
const PROTOCOLS: readonly (readonly [proto: number, name: string])[] = [
  [6, 'TCP'], [17, 'UDP'], [136, 'UDPLITE'], [132, 'SCTP'], [1, 'ICMP'], [33, 'DCCP'], [2, 'IGMP'],
];
/** Counted in the total, and in no line of its own. */
const ICMPV6 = 58;
const TCP = 6;

/** ct-stats-show [DP] [zone=N] [verbose] */
export function ctStatsShow(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const rest = [...args];
  let zone: number | undefined;
  let isVerbose = ctx.options.verbosity > 0;
  for (let last = rest.at(-1); last !== undefined; last = rest.at(-1)) {
    const given = scanZone(last);
    if (last.startsWith('verbose')) isVerbose = true;
    else if (given !== undefined) zone = given;
    else break;
    rest.pop();
  }
  return withOptionalDpif(ctx, rest, 1, async (dpif) => {
    let total = 0;
    const byName = new Map<string, number>();
    const byState = new Map<string, number>();
    const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
    const errno = await dump(ctx, dpif, zone, ({ orig, tcp }) => {
      total++;
      if (orig.proto !== ICMPV6) count(byName, PROTOCOLS.find(([proto]) => proto === orig.proto)?.[1] ?? 'Other');
      if (orig.proto === TCP) count(byState, tcpStateName(tcp?.state ?? 0, true));
    });
    if (errno === ERRNO.EOPNOTSUPP && dpif.ct === undefined) return errno;
    let text = `Connections Stats:\n    Total: ${total}\n`;
    for (const name of [...PROTOCOLS.map((row) => row[1]), 'Other']) {
      const n = byName.get(name);
      if (n === undefined) continue;
      text += `  ${name}: ${n}\n`;
      if (name !== 'TCP' || !isVerbose) continue;
      text += '    Conn per TCP states:\n';
      for (const state of TCP_STATE_NAMES) if (byState.has(state)) text += `\t  [${state}]=${byState.get(state)}\n`;
    }
    print(ctx, text);
    return errno;
  });
}

/** ct-bkts [DP] [gt=N] */
export function ctBkts(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const rest = /^gt=[ \t\r\n]*[+-]?\d/.test(args.at(-1) ?? '') ? args.slice(0, -1) : args;
  return withOptionalDpif(ctx, rest, 1, async () => {
    print(ctx, 'Command is available for UserSpace ConnTracker only.\n');
    return 0;
  });
}
