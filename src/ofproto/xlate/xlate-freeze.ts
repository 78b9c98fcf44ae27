/**
 * Freezing: stopping a translation half-way, so that it goes on with what is left of its actions when the packet comes back.
 *
 *     triggerFreeze     no more actions are carried out; each list that is unwound adds what is left of it (`freezeActions`)
 *     finishFreezing    at the end: recirculates, or pauses at a controller, with an id for all that
 *     forkRecirculation recirculates a copy of the packet and goes on
 *
 * `recirc.ts` keeps the states; `xlate.ts` thaws them.
 * Source: ofproto/ofproto-dpif-xlate.c (finish_freezing, freeze_unroll_actions).
 */
import { encodeCookie } from '../../odp/user-action-cookie.ts';
import { MF } from '../../openflow/fields/mf-fields.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import type { Ofpact, OfpactController, OfpactUnrollXlate } from '../../openflow/ofpact.ts';
import { meteredController } from './actions/xlate-meter.ts';
import { type FrozenState, freezeMetadata, recircIds } from './recirc.ts';
import { XLATE_ERROR, type XlateCtx } from './xlate-ctx.ts';
import { reportError } from './xlate-report.ts';

function be64(value: bigint): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, value);
  return out;
}

/** Carries out no more actions, and keeps those that are left for later. */
export function triggerFreeze(ctx: XlateCtx): void {
  ctx.exit = true;
  ctx.freezing = true;
}

/** Takes back `triggerFreeze`, but for the end of the actions. */
export function cancelFreeze(ctx: XlateCtx): void {
  ctx.freezing = false;
  ctx.freezeHash = undefined;
  ctx.frozenActions = [];
  ctx.pause = undefined;
}

const NONE = new Uint8Array(0);

/** Table and cookie of the rule whose actions come next, unless the frozen actions say that already. */
function putUnroll(ctx: XlateCtx): void {
  const last = ctx.frozenActions.findLast((a): a is OfpactUnrollXlate => a.kind === 'unroll_xlate');
  if (last !== undefined && last.ruleTable === ctx.table && last.ruleCookie === ctx.ruleCookie) return;
  ctx.frozenActions.push({ kind: 'unroll_xlate', ruleTable: ctx.table, ruleCookie: ctx.ruleCookie });
}

/** Adds `actions` from number `from` on to those that are carried out later. */
export function freezeActions(actions: readonly Ofpact[], from: number, ctx: XlateCtx): void {
  const { frozenActions } = ctx;
  for (let i = from; i < actions.length; i++) {
    const a = actions[i] as Ofpact;
    switch (a.kind) {
      case 'output_reg':
      case 'output_trunc':
      case 'group':
      case 'output':
      case 'controller':
      case 'dec_mpls_ttl':
      case 'dec_nsh_ttl':
      case 'dec_ttl':
        // They may send messages, which tell the table and the cookie.
        putUnroll(ctx);
        break;
      case 'resubmit':
        if (a.table === 255) putUnroll(ctx);
        break;
      case 'goto_table':
        // An instruction: what is left are actions.
        frozenActions.push({
          kind: 'resubmit',
          inPort: OFPP.IN_PORT,
          table: a.table,
          withCtOrig: false,
          compat: 'resubmit_table',
        });
        continue;
      case 'write_metadata':
        frozenActions.push({
          kind: 'set_field',
          field: MF['metadata'] as NonNullable<(typeof MF)[string]>,
          value: be64(a.metadata & a.mask),
          mask: be64(a.mask),
          isLoad: false,
        });
        continue;
      case 'note':
      case 'conjunction':
        continue;
      default:
        break;
    }
    frozenActions.push(a);
  }
}

/** The state of the translation; `table` counts where no actions are left. */
function stateOf(ctx: XlateCtx, table: number, what: Pick<FrozenState, 'ofpacts' | 'actionSet' | 'userdata'>) {
  return {
    ...what,
    bridge: ctx.bridge,
    table,
    metadata: freezeMetadata(ctx.flow),
    inPort: ctx.ofpInPort,
    stack: [...ctx.stack],
    conntracked: ctx.conntracked,
    wasMpls: ctx.wasMpls,
    mirrors: ctx.mirrors,
  } satisfies FrozenState;
}

/** Takes an id for a state; 0, and the translation fails, if there is none left. */
function takeId(ctx: XlateCtx, state: FrozenState): number {
  const id = recircIds.take(state);
  if (id === 0) {
    reportError(ctx, 'Failed to allocate recirculation id');
    ctx.error = XLATE_ERROR.NO_RECIRCULATION_CONTEXT;
  } else ctx.recircs.push(id);
  return id;
}

interface ToController {
  readonly dontSend: boolean;
  readonly continuation: boolean;
  readonly reason: number;
  readonly controllerId: number;
  readonly maxLen: number;
}

function putController(ctx: XlateCtx, recircId: number, to: ToController): void {
  const userdata = encodeCookie({
    type: 'controller',
    ofprotoUuid: ctx.bridge.uuid,
    dontSend: to.dontSend,
    continuation: to.continuation,
    reason: to.reason,
    recircId,
    ruleCookie: ctx.ruleCookie,
    controllerId: to.controllerId,
    maxLen: to.maxLen,
  });
  ctx.out.userspace(ctx.bridge.upcallPid(ctx.ofpInPort), { userdata });
}

/** Sends the packet up, with an id for what a packet-in needs to say. */
export function sendToController(
  ctx: XlateCtx,
  to: Pick<OfpactController, 'reason' | 'controllerId' | 'maxLen' | 'userdata' | 'meterId'>,
): void {
  ctx.commit();
  const state = stateOf(ctx, ctx.table, { ofpacts: [], actionSet: [], userdata: to.userdata });
  const id = takeId(ctx, state);
  if (id === 0) return;
  const dontSend = !ctx.hasSideEffects && ctx.cache === undefined;
  const { reason, controllerId, maxLen } = to;
  meteredController(ctx.bridge, ctx.out, to.meterId, () => {
    putController(ctx, id, { dontSend, continuation: false, reason, controllerId, maxLen });
  });
}

/** Recirculates, or pauses at the controller that `ctx.pause` says.  Returns the id, or 0. */
function freeze(ctx: XlateCtx, table: number): number {
  const { pause } = ctx;
  const state = stateOf(ctx, table, {
    ofpacts: ctx.frozenActions,
    actionSet: [...ctx.actionSet],
    userdata: pause?.userdata ?? NONE,
  });
  const id = takeId(ctx, state);
  if (id === 0) return 0;
  if (pause === undefined) {
    if (ctx.freezeHash !== undefined) ctx.out.hash(ctx.freezeHash.algorithm, ctx.freezeHash.basis);
    ctx.out.recirc(id);
  } else if (ctx.hasSideEffects || ctx.cache !== undefined) {
    const { reason, controllerId, maxLen } = pause;
    putController(ctx, id, { dontSend: false, continuation: true, reason, controllerId, maxLen });
  }
  cancelFreeze(ctx);
  return id;
}

/** Ends a translation, or a clone's, that froze: what is left of it happens when the packet comes back. */
export function finishFreezing(ctx: XlateCtx): void {
  ctx.commit();
  freeze(ctx, 0);
}

/** Recirculates a copy of the packet, which goes on at `table`; the caller has committed.  Returns the id, 0 if there is none. */
export function forkRecirculation(ctx: XlateCtx, table: number): number {
  ctx.freezing = true;
  return freeze(ctx, table);
}
