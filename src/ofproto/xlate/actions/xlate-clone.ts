/**
 * Actions on a copy of the packet: clone(), and what is beyond a patch port.  What they do to the packet and its pipeline is taken back.
 * Source: ofproto/ofproto-dpif-xlate.c (clone_xlate_actions, patch_port_output).
 */
import { FIELD } from '../../../flow/fields.ts';
import { setField } from '../../../flow/flow-key.ts';
import { OVS_ACTION_ATTR, OVS_SAMPLE_ATTR } from '../../../odp/action-attrs.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import type { Ofpact, OfpactKind } from '../../../openflow/ofpact.ts';
import type { XPort } from '../../ports/bundle.ts';
import { mayReceive } from '../../ports/port-config.ts';
import { OFT } from '../trace/xlate-trace.ts';
import type { XBridge } from '../xbridge.ts';
import { countPatch } from '../xlate-cache.ts';
import { XLATE_ERROR, type XlateCtx } from '../xlate-ctx.ts';
import { finishFreezing } from '../xlate-freeze.ts';
import { reportError } from '../xlate-report.ts';

/** What a datapath action does that can not be taken back by another: those in a clone need the datapath's clone. */
// biome-ignore format: names, several on a line
const IRREVERSIBLE: ReadonlySet<OfpactKind> = new Set<OfpactKind>([
  'ct', 'meter', 'nat', 'output_trunc', 'encap', 'decap', 'dec_nsh_ttl',
]);

/** Samples nested deeper than a datapath surely takes: only then are samples made for clones. */
const MIN_SAMPLE_NESTING = 3;
/** Probability of a sample of all packets. */
const ALWAYS = 0xffffffff;

/** Carries out actions, then the action set, and finishes what froze: what `xlate-actions.ts` has. */
export interface Runner {
  list(actions: readonly Ofpact[], ctx: XlateCtx, isLast: boolean): void;
  actionSet(ctx: XlateCtx): void;
  /** Looks up in table 0, and carries out the rule's actions on a copy. */
  firstTable(ctx: XlateCtx, isLast: boolean): void;
}

function run(ctx: XlateCtx, actions: readonly Ofpact[], isLast: boolean, runner: Runner): void {
  runner.list(actions, ctx, isLast);
  finishClone(ctx, runner);
}

/** Ends what is done to a copy: its action set, and what froze. */
export function finishClone(ctx: XlateCtx, runner: Runner): void {
  if (!ctx.freezing) runner.actionSet(ctx);
  if (ctx.freezing && ctx.error === XLATE_ERROR.OK) finishFreezing(ctx);
}

/** Carries out `actions` on a copy. */
export function xlateClone(ctx: XlateCtx, actions: readonly Ofpact[], isLast: boolean, runner: Runner): void {
  const { stack, actionSet } = ctx;
  ctx.stack = [...stack];
  ctx.actionSet = [...actionSet];
  if (isLast || actions.every((a) => !IRREVERSIBLE.has(a.kind))) {
    const flow = ctx.flow.slice();
    run(ctx, actions, isLast, runner);
    ctx.flow.set(flow);
  } else {
    ctx.commit();
    const flow = ctx.flow.slice();
    const base = ctx.base.slice();
    const { wasMpls, conntracked, out } = ctx;
    const before = out.size;
    if (ctx.support.clone) {
      const nest = out.begin(OVS_ACTION_ATTR.CLONE);
      const empty = out.size;
      run(ctx, actions, true, runner);
      if (out.size === empty) out.truncate(before);
      else out.end(nest);
    } else if (ctx.support.sampleNesting > MIN_SAMPLE_NESTING) {
      // A sample of all packets is a clone, too.
      const sample = out.begin(OVS_ACTION_ATTR.SAMPLE);
      const list = out.begin(OVS_SAMPLE_ATTR.ACTIONS);
      const empty = out.size;
      run(ctx, actions, true, runner);
      if (out.size === empty) out.truncate(before);
      else out.end(list).u32(OVS_SAMPLE_ATTR.PROBABILITY, ALWAYS).end(sample);
    } else reportError(ctx, 'Failed to compose clone action');
    ctx.conntracked = conntracked;
    ctx.wasMpls = wasMpls;
    ctx.base.set(base);
    ctx.flow.set(flow);
  }
  ctx.stack = stack;
  ctx.actionSet = actionSet;
}

/**
 * Sends the packet through a patch port into another bridge: `port` of it is where it comes in.  Translation goes on at its table 0.
 * What goes wrong there, and that it ends there, is none of this bridge's.
 */
export function xlatePatchPort(
  ctx: XlateCtx,
  from: XPort,
  peer: { readonly bridge: XBridge; readonly port: XPort },
  isLast: boolean,
  runner: Runner,
): void {
  const { flow, wc, bridge, stack, actionSet, wasMpls, conntracked, table, rule, ruleCookie, inActionSet, mirrors } =
    ctx;
  const oldFlow = flow.slice();
  const tunnelWc = wc.slice(TUN_FROM, TUN_TO);
  ctx.stack = [];
  ctx.actionSet = [];
  ctx.inActionSet = false;
  setField(flow, FIELD.inPort, peer.port.ofport);
  // Another bridge's pipeline: registers, metadata and what the tunnel said do not go along.
  flow.fill(0, TUN_FROM);
  wc.fill(0, TUN_FROM, TUN_TO);
  setField(flow, FIELD.actsetOutput, OFPP.UNSET);
  ctx.clearConntrack();
  // Another bridge has mirrors of its own.
  const hasOwnMirrors = peer.bridge !== bridge;
  if (hasOwnMirrors) ctx.mirrors = 0;
  ctx.bridge = peer.bridge;
  const up = ctx.trace?.enter(OFT.BRIDGE, `bridge("${peer.bridge.name}")`);
  const vlans = [ctx.inVlan, ctx.vlan, ctx.outVlan].map((v) => ({ ...v }));
  if (mayReceive(peer.port, flow, wc)) {
    runner.firstTable(ctx, isLast);
    finishClone(ctx, runner);
  }
  ctx.trace?.leave(up);
  // NORMAL here may be in the middle of a flood.
  for (const [i, v] of [ctx.inVlan, ctx.vlan, ctx.outVlan].entries()) Object.assign(v, vlans[i]);
  flow.set(oldFlow);
  wc.set(tunnelWc, TUN_FROM);
  Object.assign(ctx, { bridge, stack, actionSet, wasMpls, conntracked, table, rule, ruleCookie, inActionSet });
  if (hasOwnMirrors) ctx.mirrors = mirrors;
  ctx.exit = false;
  if (ctx.error !== XLATE_ERROR.UNSUPPORTED_ACTION) ctx.error = XLATE_ERROR.OK;
  if (ctx.stats !== undefined) countPatch(from.counts, peer.port.counts, ctx.stats);
  ctx.cache?.addPatch(from.counts, peer.port.counts);
}
const TUN_FROM = FIELD.tunId.word;
const TUN_TO = FIELD.reg0.word;
