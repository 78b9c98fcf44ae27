/**
 * Lists of OpenFlow actions: each action's function is called, which does to the translation what the action does; here are those that lead
 * on, to ports, tables and the action set.  `xlate-normal.ts` has the largest.  Source: ofproto/ofproto-dpif-xlate.c (do_xlate_actions, xlate_output_action).
 */

import { FIELD } from '../../../flow/fields.ts';
import { getField } from '../../../flow/flow-key.ts';
import { SLOW_PATH } from '../../../odp/slow-path.ts';
import { actionSetToList } from '../../../openflow/actions/action-set.ts';
import { OFPP, OFPPC } from '../../../openflow/ofp-port.ts';
import type { Ofpact, OfpactResubmit } from '../../../openflow/ofpact.ts';
import { decapsulateEcn } from '../../tunnel/tunnel-receive.ts';
import { floodOrder } from '../forward/flood-order.ts';
import { mirrorEgress, mirrorIngress } from '../forward/xlate-mirror.ts';
import { xlateNormal } from '../forward/xlate-normal.ts';
import type { Send } from '../forward/xlate-vlan.ts';
import { isIp } from '../packet-fields.ts';
import { OFT } from '../trace/xlate-trace.ts';
import { XLATE_ERROR, type XlateCtx } from '../xlate-ctx.ts';
import { freezeActions, triggerFreeze } from '../xlate-freeze.ts';
import { reportError, reportInfo } from '../xlate-report.ts';
import { type LookupOptions, lookUp, mayGoOn } from '../xlate-table.ts';
import { type Runner, xlateClone, xlatePatchPort } from './xlate-clone.ts';
import { decTtl, outputToController, ttlExpired, xlateController } from './xlate-controller.ts';
import { xlateCt, xlateCtClear } from './xlate-ct.ts';
import { xlateGroup } from './xlate-group.ts';
import {
  decMplsTtl,
  decNshTtl,
  needsParsing,
  xlateDecap,
  xlateEncap,
  xlatePopMpls,
  xlatePushMpls,
} from './xlate-header.ts';
import { xlateFinTimeout, xlateLearn } from './xlate-learn.ts';
import { xlateMeter } from './xlate-meter.ts';
import { xlateCheckPktLarger, xlateSample } from './xlate-sample.ts';
import { xlateSend } from './xlate-send.ts';
import { xlateSet } from './xlate-set.ts';
import { xlateDeleteField, xlateStack } from './xlate-stack.ts';

/** Resubmit to the table that the action stands in. */
const CURRENT_TABLE = 255;

/** Carries out `actions` in order; `isLast`: nothing follows them. */
export function xlateActionList(actions: readonly Ofpact[], ctx: XlateCtx, isLast = false): void {
  if (actions.length === 0) ctx.trace?.report(OFT.ACTION, 'drop');
  for (let i = 0; i < actions.length; i++) {
    const action = actions[i] as Ofpact;
    if (ctx.error !== XLATE_ERROR.OK) return;
    if (needsParsing(ctx, action)) triggerFreeze(ctx);
    if (ctx.exit) {
      if (ctx.freezing) freezeActions(actions, i, ctx);
      return;
    }
    const last = isLast && i === actions.length - 1 && ctx.actionSet.length === 0;
    ctx.trace?.action(ctx.bridge, action);
    // The first of the actions that are frozen if this one has it so: what froze on its own account is done.
    let next = i;
    switch (action.kind) {
      case 'output':
        xlateOutput(ctx, action.port, action.maxLen, last);
        break;
      case 'exit':
        ctx.exit = true;
        break;
      case 'resubmit':
        // What froze in there goes on there; only a look-up that had to wait for parsing comes again.
        if (!ctx.wasMpls) next = i + 1;
        resubmit(ctx, action, last);
        break;
      case 'goto_table':
        if (!ctx.wasMpls) next = i + 1;
        xlateTable(ctx, action.table, ctx.ofpInPort, last);
        break;
      case 'write_actions':
        ctx.writeActions(action.actions);
        reportActionSet(ctx, 'is');
        break;
      case 'clear_actions':
        reportActionSet(ctx, 'was');
        ctx.clearActions();
        break;
      case 'debug_slow':
        ctx.slow |= SLOW_PATH.ACTION;
        break;
      case 'dec_ttl':
        if (decTtl(ctx, action.controllerIds)) return;
        break;
      case 'dec_mpls_ttl':
        if (ttlExpired(ctx, decMplsTtl(ctx), 'MPLS')) return;
        break;
      case 'dec_nsh_ttl':
        if (ttlExpired(ctx, decNshTtl(ctx), 'NSH')) return;
        break;
      case 'controller':
        if (action.pause) {
          ctx.pause = action;
          triggerFreeze(ctx);
          next = i + 1;
        } else xlateController(ctx, action.maxLen, action.reason, action.controllerId, action.userdata, action.meterId);
        break;
      case 'debug_recirc':
        triggerFreeze(ctx);
        next = i + 1;
        break;
      case 'unroll_xlate':
        ctx.table = action.ruleTable;
        ctx.ruleCookie = action.ruleCookie;
        ctx.trace?.restored(action.ruleTable, action.ruleCookie);
        break;
      case 'push_mpls':
        xlatePushMpls(ctx, action.ethType);
        break;
      case 'pop_mpls':
        xlatePopMpls(ctx, action.ethType);
        break;
      case 'encap':
        xlateEncap(ctx, action);
        break;
      case 'decap':
        xlateDecap(ctx, action);
        if (ctx.freezing) next = i + 1;
        break;
      case 'ct':
        xlateCt(ctx, action);
        break;
      case 'ct_clear':
        xlateCtClear(ctx);
        break;
      case 'clone':
        xlateClone(ctx, action.actions, last, RUNNER);
        break;
      case 'meter':
        xlateMeter(ctx, action.meterId);
        break;
      case 'group':
        if (mayGoOn(ctx) && !xlateGroup(ctx, action.groupId, last, RUNNER)) return;
        break;
      case 'learn':
        xlateLearn(ctx, action);
        break;
      case 'fin_timeout':
        xlateFinTimeout(ctx, action);
        break;
      case 'push':
      case 'pop':
        xlateStack(ctx, action);
        break;
      case 'delete_field':
        xlateDeleteField(ctx, action);
        break;
      case 'sample':
        xlateSample(ctx, action);
        break;
      case 'check_pkt_larger':
        if (xlateCheckPktLarger(ctx, action, actions.slice(i + 1), RUNNER)) return;
        break;
      case 'note':
        break;
      case 'conjunction':
        // Such a rule is part of another; only a packet-out carries it out.
        reportError(ctx, 'executing no-op conjunction action');
        break;
      default:
        // An action that is not carried out must not look as if it were.
        if (xlateSet(ctx, action)) break;
        if (!xlateSend(ctx, action, (port, maxLen) => xlateOutput(ctx, port, maxLen, last)))
          ctx.error = XLATE_ERROR.UNSUPPORTED_ACTION;
        break;
    }
    if (ctx.freezing && ctx.exit && ctx.error === XLATE_ERROR.OK && ctx.frozenActions.length === 0) {
      freezeActions(actions, next, ctx);
      return;
    }
  }
}

/** The actions of the packet's first rule, which is credited whether the packet is let in or not. */
export function firstActions(ctx: XlateCtx): readonly Ofpact[] {
  const rule = lookUp(ctx, ctx.table, ctx.ofpInPort, { isFirst: true });
  if (rule === undefined) return [];
  ctx.trace?.enterTable(ctx.bridge, rule, ctx.table);
  ctx.rule = rule;
  ctx.ruleCookie = rule.cookie;
  return rule.actions;
}

/** Carries out the actions with which a translation begins. */
export function xlateFirst(actions: readonly Ofpact[], ctx: XlateCtx): void {
  if (!takeIn(ctx)) return;
  xlateActionList(actions, ctx, true);
}

/** Begins with the packet.  False: it is dropped for what happened to it in its tunnel. */
function takeIn(ctx: XlateCtx): boolean {
  if (!decapsulateEcn(ctx.flow)) {
    ctx.error = XLATE_ERROR.CONGESTION_DROP;
    return false;
  }
  mirrorIngress(ctx, sendOn);
  return true;
}

/** Looks the packet up in `table` and carries out the rule's actions. */
export function xlateTable(
  ctx: XlateCtx,
  table: number,
  inPort = ctx.ofpInPort,
  isLast = false,
  how: LookupOptions = {},
): void {
  const { rule: oldRule, table: oldTable, ruleCookie: oldCookie, inBucket } = ctx;
  const rule = lookUp(ctx, table, inPort, how);
  if (rule === undefined) return;
  const up = ctx.trace?.enterTable(ctx.bridge, rule, ctx.table);
  // Tables in rising order cannot lead round in a circle.
  const deepens = table <= oldTable ? 1 : 0;
  ctx.resubmits++;
  ctx.depth += deepens;
  ctx.rule = rule;
  ctx.ruleCookie = rule.cookie;
  ctx.inBucket = false;
  if (how.asClone) xlateClone(ctx, rule.actions, isLast, RUNNER);
  else xlateActionList(rule.actions, ctx, isLast);
  ctx.depth -= deepens;
  ctx.inBucket = inBucket;
  ctx.trace?.leave(up);
  ctx.ruleCookie = oldCookie;
  ctx.rule = oldRule;
  ctx.table = oldTable;
}

/** Looks up as if the packet had come in on `inPort`. */
function resubmit(ctx: XlateCtx, a: OfpactResubmit, isLast: boolean): void {
  const { flow } = ctx;
  const inPort = a.inPort === OFPP.IN_PORT ? ctx.ofpInPort : a.inPort;
  // A packet that is not IP or not tracked has no original direction: nothing is looked up.
  const hasTuple = getField(flow, FIELD.ctNwProto) !== 0 && isIp(getField(flow, FIELD.ethType));
  if (a.withCtOrig && !hasTuple) {
    reportError(ctx, 'resubmit(ct) with non-tracked or non-IP packet!');
    return;
  }
  xlateTable(ctx, a.table === CURRENT_TABLE ? ctx.table : a.table, inPort, isLast, {
    withCtOrig: a.withCtOrig,
    isResubmit: true,
  });
}

/** Carries out what was written into the action set: once, at the end of the pipeline. */
export function xlateActionSet(ctx: XlateCtx): void {
  if (ctx.actionSet.length === 0 || ctx.error !== XLATE_ERROR.OK) return;
  const list = actionSetToList(ctx.actionSet);
  ctx.actionSet.length = 0;
  // What ended the pipeline does not end this.
  ctx.exit = false;
  if (list.length === 0) return;
  const { inBucket } = ctx;
  ctx.inActionSet = true;
  ctx.inBucket = false;
  const up = ctx.trace?.enter(OFT.TABLE, '--. Executing action set:');
  xlateActionList(list, ctx, true);
  ctx.trace?.leave(up);
  ctx.inActionSet = false;
  ctx.inBucket = inBucket;
}

function reportActionSet({ trace, actionSet }: XlateCtx, verb: 'is' | 'was'): void {
  if (trace === undefined) return;
  const list = actionSetToList(actionSet);
  if (list.length === 0) trace.detail(`action set ${verb} empty`);
  else trace.actions(OFT.DETAIL, `action set ${verb}`, list);
}

/** What clones and patch ports carry out. */
const RUNNER: Runner = {
  list: xlateActionList,
  actionSet: xlateActionSet,
  firstTable: (ctx, isLast) => xlateTable(ctx, 0, ctx.ofpInPort, isLast, { asClone: true }),
};

function xlateOutput(ctx: XlateCtx, port: number, maxLen: number, isLast: boolean): void {
  switch (port) {
    case OFPP.IN_PORT:
      sendTo(ctx, ctx.ofpInPort, isLast);
      break;
    case OFPP.TABLE:
      xlateTable(ctx, 0, ctx.ofpInPort, isLast);
      break;
    case OFPP.NORMAL:
      xlateNormal(ctx, sendOn);
      break;
    case OFPP.FLOOD:
      xlateFlood(ctx, OFPPC.NO_FLOOD);
      break;
    case OFPP.ALL:
      xlateFlood(ctx, 0);
      break;
    case OFPP.CONTROLLER:
      outputToController(ctx, maxLen);
      break;
    case OFPP.NONE:
      break;
    default:
      // A port never sends back what it received unless IN_PORT says so.
      if (port !== ctx.ofpInPort) sendTo(ctx, port, isLast);
      else reportInfo(ctx, 'skipping output to input port');
      break;
  }
}

/** All ports but the input port and those with `unless` in their configuration; VLANs do not count. */
function xlateFlood(ctx: XlateCtx, unless: number): void {
  for (const port of floodOrder(ctx.bridge.bundles, ctx.bridge.xports)) {
    if (port.ofport !== ctx.ofpInPort && (port.config & unless) === 0) sendTo(ctx, port.ofport, false);
  }
}

const sendOn: Send = (ctx, ofport) => sendTo(ctx, ofport, false);

/** Sends the packet out of port `ofport`; through a patch port, into the bridge behind it. */
function sendTo(ctx: XlateCtx, ofport: number, isLast: boolean): void {
  const port = ctx.bridge.xport(ofport);
  const peer = port === undefined ? undefined : ctx.bridge.peerOf?.(port);
  if (peer === undefined) {
    const sent = ctx.output(ofport);
    if (sent !== undefined) mirrorEgress(ctx, sent, sendOn);
  } else {
    const from = ctx.mayOutput(ofport);
    if (from !== undefined) xlatePatchPort(ctx, from, peer, isLast, RUNNER);
  }
}
