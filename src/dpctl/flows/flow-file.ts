/**
 * Commands that take flows from a file, a line each: add-flows, mod-flows, del-flows; and del-flows without a file.
 * Source: lib/dpctl.c (dpctl_process_flows(), dpctl_parse_flow_line(), dpctl_del_flows()).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import { attempt, type DpctlContext, printError } from '../dpctl-context.ts';
import { dpArgExists, withOptionalDpif } from '../dpctl-open.ts';
import { ADD_FLAGS, deleteFlow, MODIFY_FLAGS, putFlow } from './flows.ts';

type LineCommand = 'add' | 'modify' | 'delete';

interface FlowLine {
  readonly command: LineCommand;
  readonly flow: string | undefined;
  readonly actions: string | undefined;
}

/**
 * Takes a line apart: "[add|modify|delete] FLOW [ACTIONS]".  Any beginning of one of the words will do, so that a line
 * that begins with a comma has the empty word, which is "add".
 */
export function parseFlowLine(line: string, otherwise: LineCommand): FlowLine {
  const text = line.replace(/^[ \t\r\n]+/, '');
  const word = /^[^, \t\r\n]*/.exec(text)?.[0] ?? '';
  const command = (['add', 'delete', 'modify'] as const).find((c) => c.startsWith(word));
  const rest = command === undefined ? text : text.slice(word.length);
  const m = /^[ \t\r\n]*([^ \t\r\n]*)[ \t\r\n]*(.*)$/s.exec(rest);
  const flow = m?.[1] === '' ? undefined : m?.[1];
  const actions = flow === undefined || m?.[2] === '' ? undefined : m?.[2];
  return { command: command ?? otherwise, flow, actions };
}

/** Runs each line of the file, the last argument; a line that fails does not stop the others, nor change the status. */
function processFlows(ctx: DpctlContext, args: readonly string[], otherwise: LineCommand): Promise<number> {
  const path = args[args.length - 1] ?? '';
  return withOptionalDpif(ctx, args, 3, async (dpif) => {
    const opened = await attempt(readAll(ctx, dpif, path, otherwise));
    if (!opened.ok) printError(ctx, opened.errno, `Opening file "${path}" failed`);
    return 0;
  });
}

async function readAll(ctx: DpctlContext, dpif: Dpif, path: string, otherwise: LineCommand): Promise<void> {
  let number = 0;
  for await (const raw of ctx.readLines(path)) {
    number++;
    const line = raw.replace(/#.*$/s, '');
    if (/^[ \t\n]*$/.test(line)) continue;
    const { command, flow, actions } = parseFlowLine(line, otherwise);
    if (flow === undefined || (command === 'delete') !== (actions === undefined)) {
      printError(ctx, 0, `Failed parsing line number ${number}, skipped!`);
    } else if (actions === undefined) {
      await deleteFlow(ctx, dpif, flow);
    } else {
      await putFlow(ctx, dpif, flow, actions, command === 'add' ? ADD_FLAGS : MODIFY_FLAGS);
    }
  }
}

/** add-flows [DP] FILE */
export const addFlows = (ctx: DpctlContext, args: readonly string[]): Promise<number> => processFlows(ctx, args, 'add');
/** mod-flows [DP] FILE */
export const modFlows = (ctx: DpctlContext, args: readonly string[]): Promise<number> =>
  processFlows(ctx, args, 'modify');

/** del-flows [DP] [FILE] */
export async function delFlows(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  if (args.length > 1 || (args.length === 1 && !(await dpArgExists(ctx, args)))) {
    return processFlows(ctx, args, 'delete');
  }
  return withOptionalDpif(ctx, args, 1, async (dpif) => {
    const { errno } = await attempt(dpif.flowFlush());
    if (errno !== 0) printError(ctx, errno, 'deleting all flows');
    return errno;
  });
}
