/**
 * Actions that change the tables: learn, and fin_timeout.  What they do happens when the translation has ended, so that it sees
 * the tables as they were, and again whenever its cache is replayed.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_learn_action, xlate_fin_timeout).
 */
import { formatActions } from '../../../openflow/actions/index.ts';
import { DEFAULT_PRIORITY, formatMatch } from '../../../openflow/match/match-text.ts';
import type { FlowMod } from '../../../openflow/messages/flow/flow-types.ts';
import type { OfpactFinTimeout, OfpactLearn } from '../../../openflow/ofpact.ts';
import type { LearnedFlow } from '../xbridge.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { xlateLoad } from '../xlate-fields.ts';
import { LEARN_FLAG, learnFlowMod, learnWildcards } from './learn.ts';

/** Of TCP: the connection ends. */
const TCP_FIN_OR_RST = 0x5;

function describe(fm: FlowMod): string {
  const match = formatMatch(fm.match, DEFAULT_PRIORITY);
  return [
    `table=${fm.tableId}`,
    ...(match === '' ? [] : [match]),
    `priority=${fm.priority}`,
    ...(fm.newCookie === 0n ? [] : [`cookie=0x${fm.newCookie.toString(16)}`]),
    ...(fm.idleTimeout === 0 ? [] : [`idle=${fm.idleTimeout}`]),
    ...(fm.hardTimeout === 0 ? [] : [`hard=${fm.hardTimeout}`]),
    ...(fm.flags === 0 ? [] : ['send_flow_rem']),
    `actions=${fm.ofpacts.length === 0 ? 'drop' : formatActions(fm.ofpacts)}`,
  ].join(' ');
}

/** Flows of the same table and cookie that this translation is about to add. */
function nAlike(ctx: XlateCtx, learned: LearnedFlow): number {
  const { tableId, newCookie } = learned.flowMod;
  return ctx.learns.filter((l) => l.flowMod.tableId === tableId && l.flowMod.newCookie === newCookie && !l.isThere)
    .length;
}

export function xlateLearn(ctx: XlateCtx, a: OfpactLearn): void {
  learnWildcards(a, ctx.wc);
  if (!ctx.hasSideEffects && ctx.cache === undefined) {
    ctx.trace?.warn('suppressing side effects, so learn action ignored');
    return;
  }
  const fm = learnFlowMod(a, ctx.flow);
  ctx.trace?.detail(describe(fm));
  const learned = ctx.bridge.learnFlow?.(fm, a.limit);
  if (learned === undefined) return;
  let isDone = true;
  if (ctx.hasSideEffects) {
    isDone = learned.fits(nAlike(ctx, learned));
    if (isDone) ctx.learns.push(learned);
  } else if (a.limit !== 0 && !learned.isThere) {
    // It has expired, and there is no packet to learn from: what would come of it is not known.
    ctx.avoidCaching = true;
  }
  if ((a.flags & LEARN_FLAG.WRITE_RESULT) !== 0 && a.resultDst !== undefined) {
    xlateLoad(ctx.flow, ctx.wc, a.resultDst, isDone ? 1 : 0);
    ctx.trace?.subfield(a.resultDst, ctx.flow);
  }
  if (isDone) ctx.cache?.addLearned(learned);
  else ctx.trace?.detail('Limit exceeded, learn failed');
}

export function xlateFinTimeout(ctx: XlateCtx, a: OfpactFinTimeout): void {
  const { rule, bridge } = ctx;
  if (rule === undefined) return;
  if (ctx.hasSideEffects && (ctx.tcpFlags & TCP_FIN_OR_RST) !== 0) bridge.lowerTimeouts?.(rule, a.idle, a.hard);
  ctx.cache?.addFinTimeout(bridge, rule, a.idle, a.hard);
}
