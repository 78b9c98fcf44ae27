/**
 * Commands about single flows: add-flow, mod-flow, get-flow, del-flow; flow-file.ts runs them for the lines of a file.
 * Source: lib/dpctl.c (dpctl_put_flow_dpif(), dpctl_get_flow(), dpctl_del_flow_dpif()).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import {
  DPIF_FP,
  type DpifFlow,
  type DpifFlowDel,
  type DpifFlowGet,
  type DpifFlowPut,
  type Ufid,
} from '../../dpif/dpif-types.ts';
import { formatFlowStats } from '../../dpif/flow-stats.ts';
import { formatUfid, hashToUfid, parseUfidPrefix, UFID_TEXT_SIZE, ufidOf } from '../../odp/odp-ufid.ts';
import { formatOdpActions } from '../../odp/text/odp-format-actions.ts';
import { formatOdpFlow } from '../../odp/text/odp-format-key.ts';
import { parseOdpActions } from '../../odp/text/odp-parse-actions.ts';
import { parseOdpFlow } from '../../odp/text/odp-parse-key.ts';
import { OdpParseError } from '../../odp/text/odp-text-scan.ts';
import { ERRNO } from '../../util/errno.ts';
import { attempt, type DpctlContext, print, printError } from '../dpctl-context.ts';
import { withOptionalDpif } from '../dpctl-open.ts';

/** Which operation a flow is put by. */
export const ADD_FLAGS = DPIF_FP.CREATE;
export const MODIFY_FLAGS = DPIF_FP.MODIFY;

/** UFIDs that appctl makes for flows given without one are the same as long as the process lives. */
const UFID_SEED = Math.floor(Math.random() * 2 ** 32);

const lastOf = (args: readonly string[], n: number): string => args[args.length - n] ?? '';

/** add-flow [DP] FLOW ACTIONS */
export const addFlow = (ctx: DpctlContext, args: readonly string[]): Promise<number> =>
  withOptionalDpif(ctx, args, 3, (dpif) => putFlow(ctx, dpif, lastOf(args, 2), lastOf(args, 1), ADD_FLAGS));

/** mod-flow [DP] FLOW ACTIONS */
export function modFlow(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const flags =
    MODIFY_FLAGS | (ctx.options.mayCreate ? DPIF_FP.CREATE : 0) | (ctx.options.zeroStatistics ? DPIF_FP.ZERO_STATS : 0);
  return withOptionalDpif(ctx, args, 3, (dpif) => putFlow(ctx, dpif, lastOf(args, 2), lastOf(args, 1), flags));
}

/** del-flow [DP] FLOW */
export const delFlow = (ctx: DpctlContext, args: readonly string[]): Promise<number> =>
  withOptionalDpif(ctx, args, 2, (dpif) => deleteFlow(ctx, dpif, lastOf(args, 1)));

/** Names of the datapath's ports, or their numbers. */
export async function portNamesOf(ctx: DpctlContext, dpif: Dpif): Promise<ReadonlyMap<number, string> | undefined> {
  if (!ctx.options.names) return undefined;
  const ports = await attempt(dpif.portDump());
  return new Map(ports.ok ? ports.value.map((p) => [p.portNo, p.name]) : []);
}

/** Numbers of the datapath's ports by name. */
export async function portNumbersOf(dpif: Dpif): Promise<ReadonlyMap<string, number>> {
  const ports = await attempt(dpif.portDump());
  return new Map(ports.ok ? ports.value.map((p) => [p.name, p.portNo]) : []);
}

interface ParsedFlow {
  readonly ufid: Ufid | undefined;
  readonly key: Uint8Array;
  readonly mask: Uint8Array | undefined;
}

/** Reads "[UFID,]FLOW".  Returns an errno after saying what is wrong; `describe` makes the message for a bad key. */
async function parseFlow(
  ctx: DpctlContext,
  dpif: Dpif,
  text: string,
  describe: (reason: string) => string,
): Promise<ParsedFlow | number> {
  const prefix = parseUfidPrefix(text);
  if (prefix === 'bad') {
    printError(ctx, ERRNO.EINVAL, 'parsing flow ufid');
    return ERRNO.EINVAL;
  }
  const portNumbers = await portNumbersOf(dpif);
  try {
    const flow = parseOdpFlow(prefix === undefined ? text : text.slice(UFID_TEXT_SIZE), { portNumbers });
    let ufid = prefix && ufidOf(prefix);
    // Only with a UFID can such a flow be offloaded; ovs-dpctl, being another process each time, could not find it again.
    if (ufid === undefined && ctx.isAppctl) ufid = hashToUfid(flow.key, UFID_SEED);
    return { ufid, key: flow.key, mask: flow.mask };
  } catch (e) {
    if (!(e instanceof OdpParseError)) throw e;
    printError(ctx, e.errno, describe(e.message));
    return e.errno;
  }
}

/** Adds or changes one flow; `flags` are DPIF_FP_*. */
export async function putFlow(
  ctx: DpctlContext,
  dpif: Dpif,
  flowText: string,
  actionsText: string,
  flags: number,
): Promise<number> {
  const flow = await parseFlow(ctx, dpif, flowText, (reason) => `parsing flow key (${reason})`);
  if (typeof flow === 'number') return flow;
  let actions: Uint8Array;
  try {
    actions = parseOdpActions(actionsText);
  } catch (e) {
    if (!(e instanceof OdpParseError)) throw e;
    printError(ctx, e.errno, 'parsing actions');
    return e.errno;
  }
  const put: DpifFlowPut = { type: 'put', flags, ...flow, actions, wantStats: ctx.options.statistics };
  await dpif.operate([put]);
  const errno = put.result ?? ERRNO.EINVAL;
  if (errno !== 0) printError(ctx, errno, 'updating flow table');
  else if (put.stats !== undefined) print(ctx, `${formatFlowStats(put.stats)}\n`);
  return errno;
}

/** Deletes one flow. */
export async function deleteFlow(ctx: DpctlContext, dpif: Dpif, flowText: string): Promise<number> {
  const hasUfid = parseUfidPrefix(flowText) !== undefined;
  const flow = await parseFlow(ctx, dpif, flowText, (reason) => reason);
  if (typeof flow === 'number') return flow;
  const del: DpifFlowDel = { type: 'del', key: flow.key, ufid: flow.ufid, wantStats: ctx.options.statistics };
  await dpif.operate([del]);
  const errno = del.result ?? ERRNO.EINVAL;
  if (errno !== 0) {
    printError(ctx, errno, 'deleting flow');
    // ovs-dpctl 3.1 says this for a flow that was given by its UFID, too.
    if (errno === ERRNO.ENOENT && (!hasUfid || !ctx.isAppctl)) print(ctx, 'Perhaps you need to specify a UFID?\n');
  } else if (del.stats !== undefined) {
    print(ctx, `${formatFlowStats(del.stats)}\n`);
  }
  return errno;
}

/** get-flow [DP] ufid:UFID */
export function getFlow(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  return withOptionalDpif(ctx, args, 2, async (dpif) => {
    const portNames = await portNamesOf(ctx, dpif);
    const ufid = parseUfidPrefix(lastOf(args, 1));
    if (ufid === undefined || ufid === 'bad') {
      // The exit status is 0, as that of ovs-dpctl.
      printError(ctx, ufid === 'bad' ? ERRNO.EINVAL : 0, 'parsing flow ufid');
      return 0;
    }
    const get: DpifFlowGet = { type: 'get', key: undefined, ufid: ufidOf(ufid) };
    await dpif.operate([get]);
    const errno = get.flow === undefined ? get.result || ERRNO.EINVAL : 0;
    if (get.flow === undefined) printError(ctx, errno, 'getting flow');
    else print(ctx, `${formatFlow(get.flow, ctx.options.verbosity > 0, portNames)}\n`);
    return errno;
  });
}

/** A line of dump-flows, without its newline.  `verbose` is -m. */
export function formatFlow(
  flow: DpifFlow,
  verbose: boolean,
  portNames: ReadonlyMap<number, string> | undefined,
): string {
  return (
    (verbose && flow.ufid !== undefined ? `${formatUfid(flow.ufid)}, ` : '') +
    `${formatOdpFlow(flow.key ?? new Uint8Array(), flow.mask, { verbose, portNames })}, ${formatFlowStats(flow.stats)}` +
    `${verbose ? ', dp:ovs' : ''}, actions:${formatOdpActions(flow.actions ?? new Uint8Array(), { portNames })}`
  );
}
