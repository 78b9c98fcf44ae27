/**
 * Connection tracking actions: ct with what is nested in it, and what it recirculates to; ct_clear.
 * Source: ofproto/ofproto-dpif-xlate.c (compose_conntrack_action), ovs-actions(7).
 */
import { getBits, setBits } from '../../../flow/bits.ts';
import { FIELD } from '../../../flow/fields.ts';
import {
  type FlowKey,
  type FlowMask,
  getField,
  getFieldBytes,
  isFieldSet,
  setFieldOnes,
} from '../../../flow/flow-key.ts';
import { OVS_NAT_ATTR as N } from '../../../odp/action-attrs.ts';
import { OdpActionsBuilder } from '../../../odp/odp-actions.ts';
import type { CtOptions } from '../../../odp/odp-ct.ts';
import type { MfField } from '../../../openflow/fields/mf-field.ts';
import { getSubfield, maskSubfield } from '../../../openflow/fields/mf-subfield.ts';
import type { OfpactCt, OfpactNat } from '../../../openflow/ofpact.ts';
import { OFT } from '../trace/xlate-trace.ts';
import { XLATE_ERROR, type XlateCtx } from '../xlate-ctx.ts';
import { forkRecirculation } from '../xlate-freeze.ts';
import { xlateSet } from './xlate-set.ts';

const F = FIELD;
const CT_F = { COMMIT: 1, FORCE: 2 } as const;
const NAT_F = { SRC: 1, DST: 2, PERSISTENT: 4, PROTO_HASH: 8, PROTO_RANDOM: 16 } as const;
const RECIRC_NONE = 255;
/** Events that a listener is told of: new, related, destroy, mark, label (IPCT_*).  Source: lib/dpif.h, nf_conntrack_common.h. */
const EVENT_MASK = 0x487;
/** By the port of the protocol. */
const HELPERS: Readonly<Record<number, string>> = { 21: 'ftp', 69: 'tftp' };

const NOTHING = new Uint8Array(0);
const MARK = F.ctMark.word;
const LABELS = F.ctLabels.word;

/** Whether a frozen state has the field's value, so that it need not be matched once more. */
const isFrozen = (f: MfField): boolean => f.at === F.inPort.at || f.at >= F.tunId.at;

function zoneOf(ctx: XlateCtx, ct: OfpactCt): number {
  const { zoneSrc } = ct;
  if (zoneSrc === undefined) return ct.zoneImm;
  if (ctx.frozen === undefined || !isFrozen(zoneSrc.field)) maskSubfield(zoneSrc, ctx.wc);
  return getSubfield(zoneSrc, ctx.flow);
}

/** OVS_NAT_ATTR_* list; ranges of one are given by their lower end. */
function natNest(nat: OfpactNat): Uint8Array {
  const out = new OdpActionsBuilder();
  if ((nat.flags & (NAT_F.SRC | NAT_F.DST)) === 0) return NOTHING;
  out.raw((nat.flags & NAT_F.SRC) !== 0 ? N.SRC : N.DST, NOTHING);
  if ((nat.flags & NAT_F.PERSISTENT) !== 0) out.raw(N.PERSISTENT, NOTHING);
  if ((nat.flags & NAT_F.PROTO_HASH) !== 0) out.raw(N.PROTO_HASH, NOTHING);
  else if ((nat.flags & NAT_F.PROTO_RANDOM) !== 0) out.raw(N.PROTO_RANDOM, NOTHING);
  const { addrMin, addrMax } = nat;
  if (addrMin === undefined) return out.finish();
  out.raw(N.IP_MIN, addrMin);
  if (addrMax !== undefined && Buffer.compare(addrMax, addrMin) > 0) out.raw(N.IP_MAX, addrMax);
  if (nat.portMin !== 0) out.u16(N.PROTO_MIN, nat.portMin);
  if (nat.portMin !== 0 && nat.portMax > nat.portMin) out.u16(N.PROTO_MAX, nat.portMax);
  return out.finish();
}

/** ct(): tells the datapath to, and forks where a table is to see what comes of it.  What follows sees an untracked packet. */
export function xlateCt(ctx: XlateCtx, ct: OfpactCt): void {
  const { wc } = ctx;
  const zone = zoneOf(ctx, ct);
  ctx.commit();
  // Mark and label of the connection, not of the packet: what is set goes into the action, and is not matched.
  const oldMark = wc[MARK] as number;
  const oldLabels = wc.slice(LABELS, LABELS + 4);
  wc[MARK] = 0;
  wc.fill(0, LABELS, LABELS + 4);
  let nat: OfpactNat | undefined;
  if (ct.actions.length === 0) ctx.trace?.report(OFT.ACTION, 'drop');
  for (const a of ct.actions) {
    ctx.trace?.action(ctx.bridge, a);
    if (a.kind === 'nat') nat = a;
    else if (!xlateSet(ctx, a)) ctx.error = XLATE_ERROR.UNSUPPORTED_ACTION;
  }
  ctx.out.ct(optionsOf(ctx, ct, zone, nat));
  wc[MARK] = oldMark;
  wc.set(oldLabels, LABELS);
  if (ctx.error === XLATE_ERROR.OK && ct.recircTable !== RECIRC_NONE) {
    ctx.conntracked = true;
    ctx.ctNat = nat;
    const id = forkRecirculation(ctx, ct.recircTable);
    if (id !== 0 && ctx.trace !== undefined) {
      ctx.trace.recirculates({ id, isConntrack: true, flow: ctx.flow.slice(), zone, nat });
      const { recircTable } = ct;
      ctx.trace.detail(
        `A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table ${recircTable}.`,
      );
    }
    ctx.ctNat = undefined;
  }
  ctx.clearConntrack();
  ctx.trace?.detail('Sets the packet to an untracked state, and clears all the conntrack fields.');
}

function optionsOf(ctx: XlateCtx, ct: OfpactCt, zone: number, nat: OfpactNat | undefined): CtOptions {
  const { flow, wc } = ctx;
  const markMask = getField(wc, F.ctMark);
  const helper = HELPERS[ct.alg];
  let labels: CtOptions['labels'];
  if (isFieldSet(wc, F.ctLabels)) {
    const value = new Uint8Array(16);
    const mask = new Uint8Array(16);
    getFieldBytes(flow, F.ctLabels, value, 0);
    getFieldBytes(wc, F.ctLabels, mask, 0);
    labels = { value: value.map((b, i) => b & (mask[i] as number)), mask };
  }
  const commit = (ct.flags & CT_F.COMMIT) !== 0;
  const timeout = commit && ctx.support.ctTimeout ? timeoutOf(ctx, zone) : undefined;
  return {
    commit,
    force: (ct.flags & CT_F.FORCE) !== 0,
    zone,
    ...(commit && ctx.support.ctEventmask ? { eventMask: EVENT_MASK } : {}),
    ...(timeout === undefined ? {} : { timeout }),
    ...(markMask === 0 ? {} : { mark: { value: (getField(flow, F.ctMark) & markMask) >>> 0, mask: markMask } }),
    ...(labels === undefined ? {} : { labels }),
    ...(helper === undefined ? {} : { helper }),
    ...(nat === undefined ? {} : { nat: natNest(nat) }),
  };
}

/** The name of the zone's timeout policy for the packet's protocol, which then matters. */
function timeoutOf(ctx: XlateCtx, zone: number): string | undefined {
  const { flow, wc, bridge } = ctx;
  const isIpv4 = getField(flow, F.ethType) === 0x0800;
  const name = bridge.ctPolicyName?.(zone, isIpv4, getField(flow, F.nwProto));
  if (name !== undefined) setFieldOnes(wc, F.nwProto);
  return name;
}

/** ct_clear: only a packet that has been tracked has something to clear. */
export function xlateCtClear(ctx: XlateCtx): void {
  if (!ctx.conntracked) return;
  ctx.clearConntrack();
  if (ctx.support.ctClear) ctx.out.ctClear();
}

function swapBits(flow: Int32Array, a: number, b: number, bits: number): void {
  for (let done = 0; done < bits; done += 32) {
    const n = Math.min(32, bits - done);
    const kept = getBits(flow, a + done, n);
    setBits(flow, a + done, n, getBits(flow, b + done, n));
    setBits(flow, b + done, n, kept);
  }
}

/** Puts the tuple of the connection's original direction into the place of the packet's own, and back. */
export function swapCtTuple(flow: FlowKey, wc: FlowMask): void {
  const isV4 = getField(flow, F.ethType) === 0x0800;
  // biome-ignore format: the pairs of a family on one line
  const pairs = isV4
    ? ([[F.nwSrc, F.ctNwSrc], [F.nwDst, F.ctNwDst]] as const)
    : ([[F.ipv6Src, F.ctIpv6Src], [F.ipv6Dst, F.ctIpv6Dst]] as const);
  for (const [a, b] of [...pairs, [F.nwProto, F.ctNwProto], [F.tpSrc, F.ctTpSrc], [F.tpDst, F.ctTpDst]] as const) {
    swapBits(flow, a.at, b.at, a.bits);
    swapBits(wc, a.at, b.at, a.bits);
  }
}
