/**
 * dump-flows [-m] [--names] [DP] [filter=..] [type=..] [pmd=..]
 *
 * Flows come in the datapath's order.  Every flow of a system datapath is in layer "ovs" and none is offloaded, which is
 * what `type` selects by.  Source: lib/dpctl.c (dpctl_dump_flows()).
 */
import { MAIN_THREAD } from '../../dpif/flow-stats.ts';
import { ERRNO } from '../../util/errno.ts';
import { attempt, type DpctlContext, print, printError } from '../dpctl-context.ts';
import { withOptionalDpif } from '../dpctl-open.ts';
import { FlowFilter } from './flow-filter.ts';
import { formatFlow, portNamesOf, portNumbersOf } from './flows.ts';

/** Values of `type`, and whether flows in layer "ovs" that are not offloaded have it. */
const TYPES: ReadonlyMap<string, boolean> = new Map([
  ['ovs', true],
  ['tc', false],
  ['dpdk', false],
  ['offloaded', false],
  ['non-offloaded', true],
  ['partially-offloaded', false],
  ['all', true],
]);

export async function dumpFlows(ctx: DpctlContext, allArgs: readonly string[]): Promise<number> {
  const args = [...allArgs];
  let filter: string | undefined;
  let types: string | undefined;
  let hasPmd = false;
  // Options stand at the end, in any order; anything else ends them.
  for (let last = args.at(-1); last !== undefined; last = args.at(-1)) {
    if (last.startsWith('filter=') && filter === undefined) {
      filter = last.slice('filter='.length);
    } else if (last.startsWith('type=') && types === undefined) {
      if (!ctx.isAppctl) {
        printError(ctx, 0, "Invalid argument 'type'. Use 'ovs-appctl dpctl/dump-flows' instead.");
        return ERRNO.EINVAL;
      }
      types = last.slice('type='.length);
    } else if (last.startsWith('pmd=')) {
      if (!/^pmd=[ \t]*[+-]?\d/.test(last)) return ERRNO.EINVAL;
      hasPmd = true;
    } else {
      break;
    }
    args.pop();
  }

  return withOptionalDpif(ctx, args, 1, async (dpif) => {
    const portNames = await portNamesOf(ctx, dpif);
    let passes: FlowFilter | undefined;
    try {
      passes = filter === undefined ? undefined : FlowFilter.parse(filter, await portNumbersOf(dpif));
    } catch (e) {
      if (!(e instanceof RangeError)) throw e;
      printError(ctx, 0, `Failed to parse filter (${e.message})`);
      return ERRNO.EINVAL;
    }
    const wanted = types === undefined ? true : selectsOvs(ctx, types);
    if (typeof wanted === 'number') return wanted;
    // Kernel flows belong to no polling thread: asking for those of one finds none.
    const showsFlows = wanted && !hasPmd;
    let toldThread = false;
    const dumped = await attempt(
      dpif.flowDump(false, (flows) => {
        if (!showsFlows) return;
        for (const f of flows) {
          if (passes !== undefined && !passes.passes(f.key, f.mask)) continue;
          if (f.isOfMainThread && !toldThread) print(ctx, MAIN_THREAD);
          toldThread ||= f.isOfMainThread === true;
          print(ctx, `${formatFlow(f, ctx.options.verbosity > 0, portNames)}\n`);
        }
      }),
    );
    if (!dumped.ok) printError(ctx, dumped.errno, 'Failed to dump flows from datapath');
    return dumped.errno;
  });
}

/** Whether the comma-separated `types` select the flows of a system datapath; an errno for a type that is none. */
function selectsOvs(ctx: DpctlContext, types: string): boolean | number {
  let selects = false;
  for (const type of types.replace(/,$/, '').split(',')) {
    if (type === '' && types === '') break;
    const is = TYPES.get(type);
    if (is === undefined) {
      printError(ctx, ERRNO.EINVAL, `Failed to parse type (${type})`);
      return ERRNO.EINVAL;
    }
    selects ||= is;
  }
  return selects;
}
