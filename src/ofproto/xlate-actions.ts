/**
 * OpenFlow actions, one function each: what an action does to a translation.
 * `xlate-normal.ts` has the largest.  Source: ofproto/ofproto-dpif-xlate.c (do_xlate_actions, xlate_output_action).
 */
import { FIELD } from '../flow/fields.ts';
import { getField, setField, setFieldOnes } from '../flow/flow-key.ts';
import { SLOW_PATH } from '../odp/slow-path.ts';
import { encodeCookie } from '../odp/user-action-cookie.ts';
import { OFPP, OFPPC } from '../openflow/ofp-port.ts';
import { executeActionSet } from './action-set.ts';
import { isIp } from './packet-fields.ts';
import type { OfpAct } from './rules.ts';
import { MAX_DEPTH, MAX_RESUBMITS, XLATE_ERROR, type XlateCtx } from './xlate-ctx.ts';
import { xlateNormal } from './xlate-normal.ts';
import { xlateSet } from './xlate-set.ts';

/** Resubmit to the table that the action stands in. */
const CURRENT_TABLE = 255;

/** OFPR_ACTION: the packet goes to the controller because an action says so. */
const OFPR_ACTION = 1;

/** Carries out `actions` in order. */
export function xlateActionList(actions: readonly OfpAct[], ctx: XlateCtx): void {
  for (const action of actions) {
    if (ctx.error !== XLATE_ERROR.OK || ctx.exit) return;
    switch (action.kind) {
      case 'output':
        xlateOutput(ctx, action.port, action.maxLen);
        break;
      case 'exit':
        ctx.exit = true;
        break;
      case 'resubmit':
        resubmit(ctx, action.inPort, action.table === CURRENT_TABLE ? ctx.table : action.table);
        break;
      case 'goto_table':
        xlateTable(ctx, action.table);
        break;
      case 'write_actions':
        ctx.actionSet.push(...action.actions);
        break;
      case 'clear_actions':
        ctx.actionSet.length = 0;
        break;
      case 'debug_slow':
        ctx.slow |= SLOW_PATH.ACTION;
        break;
      case 'dec_ttl':
        if (decTtl(ctx)) return;
        break;
      case 'note':
      case 'conjunction':
        break;
      default:
        // An action that is not carried out must not look as if it were.
        if (!xlateSet(ctx.flow, ctx.wc, action)) ctx.error = XLATE_ERROR.UNSUPPORTED_ACTION;
        break;
    }
  }
}

/** Looks the packet up in `table` and carries out the rule's actions. */
export function xlateTable(ctx: XlateCtx, table: number, inPort = getField(ctx.flow, FIELD.inPort)): void {
  if (ctx.depth >= MAX_DEPTH) {
    ctx.error = XLATE_ERROR.RECURSION_TOO_DEEP;
    return;
  }
  if (ctx.resubmits >= MAX_RESUBMITS) {
    ctx.error = XLATE_ERROR.TOO_MANY_RESUBMITS;
    return;
  }
  const ownPort = getField(ctx.flow, FIELD.inPort);
  setField(ctx.flow, FIELD.inPort, inPort);
  const rule = ctx.bridge.lookupRule(table, ctx.flow, ctx.wc);
  setField(ctx.flow, FIELD.inPort, ownPort);
  const old = ctx.rule;
  const oldTable = ctx.table;
  // Tables in rising order cannot lead round in a circle.
  const deepens = ctx.rule === undefined || table <= oldTable ? 1 : 0;
  ctx.table = table;
  ctx.credit(rule);
  ctx.resubmits++;
  ctx.depth += deepens;
  ctx.rule = rule;
  xlateActionList(rule.actions, ctx);
  ctx.rule = old;
  ctx.table = oldTable;
  ctx.depth -= deepens;
}

/** Looks up as if the packet had come in on `inPort`. */
function resubmit(ctx: XlateCtx, inPort: number, table: number): void {
  const own = getField(ctx.flow, FIELD.inPort);
  xlateTable(ctx, table, inPort === OFPP.IN_PORT ? own : inPort);
}

/** Carries out what was written into the action set: once, at the end of the pipeline. */
export function xlateActionSet(ctx: XlateCtx): void {
  if (ctx.actionSet.length === 0 || ctx.error !== XLATE_ERROR.OK) return;
  const list = executeActionSet(ctx.actionSet);
  ctx.actionSet.length = 0;
  ctx.exit = false;
  xlateActionList(list, ctx);
}

/** True if the TTL has run out: the list of actions ends there. */
function decTtl(ctx: XlateCtx): boolean {
  const { flow, wc } = ctx;
  if (!isIp(getField(flow, FIELD.ethType))) return false;
  setFieldOnes(wc, FIELD.nwTtl);
  const ttl = getField(flow, FIELD.nwTtl);
  if (ttl > 1) setField(flow, FIELD.nwTtl, ttl - 1);
  return ttl <= 1;
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
