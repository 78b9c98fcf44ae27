/**
 * OpenFlow actions, one function each: what an action does to a translation.
 * `xlate-normal.ts` has the largest.  Source: ofproto/ofproto-dpif-xlate.c (do_xlate_actions, xlate_output_action).
 */
import { encodeCookie } from '../odp/user-action-cookie.ts';
import { OFPP, OFPPC } from '../openflow/ofp-port.ts';
import type { OfpAct } from './rules.ts';
import { MAX_DEPTH, MAX_RESUBMITS, XLATE_ERROR, type XlateCtx } from './xlate-ctx.ts';
import { xlateNormal } from './xlate-normal.ts';

/** OFPR_ACTION: the packet goes to the controller because an action says so. */
const OFPR_ACTION = 1;

/** Carries out `actions` in order. */
export function xlateActionList(actions: readonly OfpAct[], ctx: XlateCtx): void {
  for (const action of actions) {
    if (ctx.error !== XLATE_ERROR.OK) return;
    switch (action.kind) {
      case 'output':
        xlateOutput(ctx, action.port, action.maxLen);
        break;
    }
  }
}

/** Looks the packet up in `table` and carries out the rule's actions. */
export function xlateTable(ctx: XlateCtx, table: number): void {
  if (ctx.depth >= MAX_DEPTH) {
    ctx.error = XLATE_ERROR.RECURSION_TOO_DEEP;
    return;
  }
  if (ctx.resubmits >= MAX_RESUBMITS) {
    ctx.error = XLATE_ERROR.TOO_MANY_RESUBMITS;
    return;
  }
  const rule = ctx.bridge.lookupRule(table, ctx.flow, ctx.wc);
  const old = ctx.rule;
  ctx.credit(rule);
  ctx.resubmits++;
  ctx.depth++;
  ctx.rule = rule;
  xlateActionList(rule.actions, ctx);
  ctx.rule = old;
  ctx.depth--;
}

function xlateOutput(ctx: XlateCtx, port: number, maxLen: number): void {
  switch (port) {
    case OFPP.IN_PORT:
      ctx.output(ctx.ofpInPort);
      break;
    case OFPP.TABLE:
      xlateTable(ctx, 0);
      break;
    case OFPP.NORMAL:
      xlateNormal(ctx);
      break;
    case OFPP.FLOOD:
      xlateFlood(ctx, OFPPC.NO_FLOOD);
      break;
    case OFPP.ALL:
      xlateFlood(ctx, 0);
      break;
    case OFPP.CONTROLLER:
      xlateController(ctx, maxLen);
      break;
    case OFPP.NONE:
      break;
    default:
      // A port never sends back what it received unless IN_PORT says so.
      if (port !== ctx.ofpInPort) ctx.output(port);
      break;
  }
}

/** All ports but the input port and those with `unless` in their configuration; VLANs do not count. */
function xlateFlood(ctx: XlateCtx, unless: number): void {
  for (const port of ctx.bridge.xports) {
    if (port.ofport !== ctx.ofpInPort && (port.config & unless) === 0) ctx.output(port.ofport);
  }
}

/** Sends the packet up, with what a packet-in needs to say; the flow stays in the datapath. */
function xlateController(ctx: XlateCtx, maxLen: number): void {
  ctx.commit();
  const userdata = encodeCookie({
    type: 'controller',
    ofprotoUuid: ctx.bridge.uuid,
    dontSend: false,
    continuation: false,
    reason: OFPR_ACTION,
    recircId: 0,
    ruleCookie: ctx.rule?.cookie ?? 0n,
    controllerId: 0,
    maxLen,
  });
  ctx.out.userspace(ctx.bridge.upcallPid(ctx.ofpInPort), { userdata });
}
