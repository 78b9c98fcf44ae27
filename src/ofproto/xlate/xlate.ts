/**
 * Translation: from a packet and the OpenFlow tables to datapath actions, and to the wildcards of a megaflow for which these
 * actions are right.  The rule for wildcards: a bit that any decision looked at is matched; no other is, so that one
 * flow serves as many packets as can be.
 *
 * `upcall.ts` translates for packets that the datapath has no flow for, `revalidator.ts` to see whether a flow is still
 * right.  Source: ofproto/ofproto-dpif-xlate.c (xlate_actions, xlate_wc_init, xlate_wc_finish).
 */
import { FIELD, FLOW_WORDS } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, newFlow } from '../../flow/flow-key.ts';
import { OdpActionsBuilder } from '../../odp/odp-actions.ts';
import { SLOW_PATH } from '../../odp/slow-path.ts';
import { coverage } from '../../util/coverage.ts';
import type { XPort } from '../ports/bundle.ts';
import { mayReceive } from '../ports/port-config.ts';
import { addMissingEthernet, tunnelWildcards } from '../tunnel/tunnel-receive.ts';
import { firstActions, xlateActionSet, xlateFirst } from './actions/xlate-actions.ts';
import { xlateInBand } from './forward/xlate-in-band.ts';
import { mirrorRefusal } from './forward/xlate-vlan.ts';
import { clearAbsent, isIp, shownBits } from './packet-fields.ts';
import { recircIds } from './recirc.ts';
import { OFT, type XlateTrace } from './trace/xlate-trace.ts';
import { maskOptions, optionsToFields } from './tunnel-options.ts';
import { bitsOf, unwildcard } from './wildcards.ts';
import { countPatch } from './xlate-cache.ts';
import { XLATE_ERROR, XlateCtx, type XlateError, type XlateIn } from './xlate-ctx.ts';
import { countDrop, isAsPlanned } from './xlate-error.ts';
import { finishFreezing } from './xlate-freeze.ts';
import { reportError } from './xlate-report.ts';

const xlateCount = coverage('xlate_actions');
const oversizeCount = coverage('xlate_actions_oversize');

const ALWAYS = bitsOf(FIELD.inPort, FIELD.ethType, FIELD.recircId);
const FRAGMENT = bitsOf(FIELD.nwFrag);

export interface XlateOut {
  /** Not OK: the actions are empty, that is, drop. */
  readonly error: XlateError;
  /** OVS_ACTION_ATTR_* list; the caller's. */
  readonly actions: Uint8Array;
  /** Bits that decided.  Valid until the next translation. */
  readonly wc: FlowMask;
  /** SLOW_PATH bits: why userspace must see each packet; 0 if it need not. */
  readonly slow: number;
  /** The actions may be wrong for the next packet: no flow should have them. */
  readonly avoidCaching: boolean;
  /** Recirculation ids in the actions, each held once (`recirc.ts`): the caller's, to release when the actions are out of use. */
  readonly recircs: readonly number[];
  /** The packet at the end of its actions.  Valid until the next translation. */
  readonly flow: FlowKey;
  /** `wc` with what only an OpenFlow switch knows of, which no flow of a datapath can match. */
  readonly ofWc: FlowMask;
}

// Translation never waits, so that one set of buffers serves all of them.
const scratchWc = newFlow();
const scratchDpWc = scratchWc.subarray(0, FLOW_WORDS);
const scratchOut = new OdpActionsBuilder();
const NO_ACTIONS = new Uint8Array(0);
const NO_RECIRCS: readonly number[] = [];

/** Translates a packet of port `ofpInPort` of a bridge. */
export function xlateActions(xin: XlateIn): XlateOut {
  xlateCount.n++;
  const wc = scratchWc;
  initWildcards(wc, xin.flow);
  scratchOut.reset();
  const ctx = new XlateCtx(xin, wc, scratchOut);
  if (ctx.trace !== undefined) reportBegin(ctx.trace, xin);
  // The port that the datapath has it from, whatever a frozen state says.
  const from = xin.bridge.xport(xin.ofpInPort);
  if (getField(xin.flow, FIELD.recircId) !== 0 && xin.frozen === undefined) {
    // Another program's flow, or an earlier run's, recirculates to it.
    reportError(ctx, `Recirculation context not found for ID ${getField(xin.flow, FIELD.recircId).toString(16)}`);
    ctx.error = XLATE_ERROR.NO_RECIRCULATION_CONTEXT;
  } else if (!tellsOptions(ctx, xin)) {
    reportError(ctx, 'Invalid Geneve tunnel metadata');
    ctx.error = XLATE_ERROR.INVALID_TUNNEL_METADATA;
  } else if (xin.frozen !== undefined && xin.ofpacts !== undefined && xin.ofpacts.length > 0) {
    // Actions that were given, and actions that are left.
    ctx.error = XLATE_ERROR.RECIRCULATION_CONFLICT;
  } else {
    if (from?.tunnel !== undefined && xin.frozen === undefined) receiveFromTunnel(ctx, from);
    const given = xin.frozen === undefined ? xin.ofpacts : xin.frozen.ofpacts;
    // A frozen state without actions goes on at its table.
    const isLookUp = given === undefined || (xin.frozen !== undefined && given.length === 0);
    const ofpacts = isLookUp ? firstActions(ctx) : given;
    if (from?.bundle !== undefined && xin.bridge.mirrors?.isOutput(from.bundle)) {
      reportError(ctx, mirrorRefusal(from.bundle));
    } else {
      if (from === undefined || mayReceive(from, xin.flow, wc)) {
        xlateFirst(ofpacts, ctx);
        if (!ctx.freezing) xlateActionSet(ctx);
        if (ctx.freezing && ctx.error === XLATE_ERROR.OK) finishFreezing(ctx);
      }
      if (!ctx.freezing && ctx.error === XLATE_ERROR.OK) xlateInBand(ctx, xin);
    }
  }
  const { tlvTable } = xin.bridge;
  if (tlvTable !== undefined && getField(xin.flow, FIELD.tunOptsSize) !== 0) maskOptions(tlvTable, xin.flow, wc);
  const hasFailed = !isAsPlanned(ctx.error);
  const ofWc = ctx.trace !== undefined && !hasFailed ? shownBits(wc, xin.flow) : wc;
  // A trace shows what led to the error.
  if (!hasFailed || ctx.trace === undefined) clearAbsent(wc, xin.flow);

  let { slow } = ctx;
  const { avoidCaching } = ctx;
  if (scratchOut.isOversized) {
    oversizeCount.n++;
    slow |= SLOW_PATH.ACTION;
  }
  if (ctx.error !== XLATE_ERROR.OK || (scratchOut.isEmpty && slow === 0)) {
    if (xin.stats !== undefined) countDrop(ctx.error, xin.stats.nPackets);
    xin.cache?.addDrop(ctx.error);
  }
  // Look-ups of this translation saw the tables as they were.
  for (const learned of ctx.learns) learned.learn();
  if (ctx.error !== XLATE_ERROR.OK) {
    recircIds.release(ctx.recircs);
    return {
      error: hasFailed ? ctx.error : XLATE_ERROR.OK,
      actions: NO_ACTIONS,
      wc: scratchDpWc,
      slow: 0,
      recircs: NO_RECIRCS,
      avoidCaching,
      flow: ctx.flow,
      ofWc,
    };
  }
  return {
    error: ctx.error,
    actions: scratchOut.openLastClone().finish(),
    wc: scratchDpWc,
    slow,
    recircs: ctx.recircs,
    avoidCaching,
    flow: ctx.flow,
    ofWc,
  };
}

/** Counts the packet, and makes it a frame if it is none. */
function receiveFromTunnel(ctx: XlateCtx, { tunnel, counts }: XPort): void {
  if (tunnel !== undefined) addMissingEthernet(ctx.flow, tunnel, ctx.pending);
  if (ctx.stats !== undefined) countPatch(undefined, counts, ctx.stats);
  ctx.cache?.addPatch(undefined, counts);
}

/** Makes fields of the options that the packet came with, unless a frozen state has them; false if they make no sense. */
function tellsOptions({ flow }: XlateCtx, { bridge, frozen }: XlateIn): boolean {
  if (frozen !== undefined || bridge.tlvTable === undefined || getField(flow, FIELD.tunOptsSize) === 0) return true;
  return optionsToFields(bridge.tlvTable, flow);
}

/** The bridge, and what a frozen state brings back. */
function reportBegin(trace: XlateTrace, { bridge, frozen, ofpacts = [] }: XlateIn): void {
  trace.begin(bridge);
  if (frozen === undefined) return;
  const up = trace.enter(OFT.THAW, 'thaw');
  if (ofpacts.length > 0) {
    trace.error('Recirculation conflict (actions)!');
    return;
  }
  trace.report(OFT.THAW, `Resuming from table ${frozen.table}`);
  if (frozen.actionSet.length > 0) trace.actions(OFT.THAW, 'Restoring action set', frozen.actionSet);
  if (frozen.ofpacts.length > 0) trace.actions(OFT.THAW, 'Restoring actions', frozen.ofpacts);
  trace.leave(up);
}

function initWildcards(wc: FlowMask, flow: FlowKey): void {
  wc.fill(0);
  unwildcard(wc, ALWAYS);
  if (isIp(getField(flow, FIELD.ethType))) unwildcard(wc, FRAGMENT);
  tunnelWildcards(flow, wc);
}
