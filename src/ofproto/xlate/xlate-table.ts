/**
 * Table look-ups of a translation: the limits of how deep they go, and the packets that they count.
 * `xlate-actions.ts` carries out what the rule says.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_table_action, xlate_resubmit_resource_check).
 */
import { FIELD } from '../../flow/fields.ts';
import { getField, setField } from '../../flow/flow-key.ts';
import type { Rule } from '../tables/rule.ts';
import { swapCtTuple } from './actions/xlate-ct.ts';
import type { TableCounts } from './xbridge.ts';
import { MAX_DEPTH, MAX_RESUBMITS, XLATE_ERROR, type XlateCtx } from './xlate-ctx.ts';
import { triggerFreeze } from './xlate-freeze.ts';
import { reportError } from './xlate-report.ts';

/** Bytes of datapath actions, and of the stack, with which look-ups end. */
const MAX_ACTIONS_SIZE = 0xffff;
const MAX_STACK_SIZE = 0x10000;

/** How a table is looked up. */
export interface LookupOptions {
  /** The packet looks as its connection's original direction began. */
  readonly withCtOrig?: boolean;
  /** The rule's actions change a copy of the packet. */
  readonly asClone?: boolean;
  /** The translation begins with it: it does not count as a resubmission. */
  readonly isFirst?: boolean;
  /** resubmit, not goto_table or the like: what no rule matches is dropped, whatever the table is configured to do with it. */
  readonly isResubmit?: boolean;
}

function stackSize(stack: readonly Uint8Array[]): number {
  let size = 0;
  for (const entry of stack) size += entry.length + 1;
  return size;
}

/** False, and nothing more happens, where a translation has gone too far. */
export function mayGoOn(ctx: XlateCtx): boolean {
  if (ctx.depth >= MAX_DEPTH) {
    reportError(ctx, `over max translation depth ${MAX_DEPTH}`);
    ctx.error = XLATE_ERROR.RECURSION_TOO_DEEP;
  } else if (ctx.resubmits >= MAX_RESUBMITS) {
    reportError(ctx, `over ${MAX_RESUBMITS} resubmit actions`);
    ctx.error = XLATE_ERROR.TOO_MANY_RESUBMITS;
  } else if (ctx.out.size > MAX_ACTIONS_SIZE) {
    // What there is goes packet by packet through userspace.
    reportError(ctx, 'resubmits yielded over 64 kB of actions');
    ctx.exit = true;
  } else if (stackSize(ctx.stack) >= MAX_STACK_SIZE) {
    reportError(ctx, 'resubmits yielded over 64 kB of stack');
    ctx.error = XLATE_ERROR.STACK_TOO_DEEP;
  } else return true;
  return false;
}

/**
 * Finds the rule for the packet in `table`, as if it had come in on `inPort`, and credits it.  `ctx.table` becomes the table in which it
 * was found.  undefined: there is none, as the translation ends or freezes.
 */
export function lookUp(ctx: XlateCtx, table: number, inPort: number, how: LookupOptions): Rule | undefined {
  if (ctx.wasMpls) {
    // Rules look at what is behind the label.
    triggerFreeze(ctx);
    return undefined;
  }
  if (!how.isFirst && !mayGoOn(ctx)) return undefined;
  const { flow, wc, bridge, stats, cache } = ctx;
  const ownPort = getField(flow, FIELD.inPort);
  const isFree = how.isResubmit !== true || ctx.rule?.missText !== undefined;
  const lookup = {
    mayPacketIn: isFree,
    honorsMiss: isFree,
    inPort: ownPort,
    table,
    lookedUp(counts: TableCounts, isMatch: boolean): void {
      if (stats !== undefined && isMatch) counts.nMatched += stats.nPackets;
      else if (stats !== undefined) counts.nMissed += stats.nPackets;
      cache?.addTable(counts, isMatch);
    },
  };
  setField(flow, FIELD.inPort, inPort);
  if (how.withCtOrig) swapCtTuple(flow, wc);
  const rule = bridge.lookupRule(table, flow, wc, lookup);
  if (how.withCtOrig) swapCtTuple(flow, wc);
  setField(flow, FIELD.inPort, ownPort);
  ctx.table = lookup.table;
  ctx.credit(rule);
  return rule;
}
