/**
 * The action NORMAL: forward as a learning switch does.  It looks at both Ethernet addresses and at the VLAN, so these bits
 * become part of every megaflow that passes through it; ARP broadcasts also at who asks whom.
 * `bundle.ts` has the VLAN modes, `mac-learning.ts` the table.  Source: ofproto/ofproto-dpif-xlate.c (xlate_normal).
 */
import { FIELD, VLAN_CFI } from '../../../flow/fields.ts';
import { getField } from '../../../flow/flow-key.ts';
import { formatMac } from '../../mac-learning.ts';
import { type Bundle, xvlanExtract } from '../../ports/bundle.ts';
import { bitsOf, unwildcard, VLAN_WORDS } from '../wildcards.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { reportError } from '../xlate-report.ts';
import { ETH_BROADCAST, ethDstOf, ethSrcOf, isReserved } from './xlate-mac.ts';
import { xlateMulticast } from './xlate-mcast.ts';
import {
  admitsVid,
  flood,
  inputBundle,
  isMirrorOutput,
  mirrorRefusal,
  NO_BUNDLE,
  outputNormal,
  type Send,
} from './xlate-vlan.ts';

const ETH_ADDRESSES = bitsOf(FIELD.ethSrc, FIELD.ethDst);
const ETH_DST = bitsOf(FIELD.ethDst);
const ARP_OPCODE = bitsOf(FIELD.nwProto);
const ARP_ADDRESSES = bitsOf(FIELD.nwSrc, FIELD.nwDst);
const VID_AND_CFI = { words: [VLAN_WORDS[0]], bits: [0x1fff] };

const ETH_TYPE_ARP = 0x0806;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;

/** Whether it is ARP that announces its sender: a broadcast reply, or a request for the sender's own address. */
function isGratuitousArp(ctx: XlateCtx): boolean {
  const { flow, wc } = ctx;
  if (getField(flow, FIELD.ethType) !== ETH_TYPE_ARP) return false;
  unwildcard(wc, ETH_DST);
  if (ethDstOf(flow) !== ETH_BROADCAST) return false;
  unwildcard(wc, ARP_OPCODE);
  const opcode = getField(flow, FIELD.nwProto);
  if (opcode === ARP_REPLY) return true;
  if (opcode !== ARP_REQUEST) return false;
  unwildcard(wc, ARP_ADDRESSES);
  return getField(flow, FIELD.nwSrc) === getField(flow, FIELD.nwDst);
}

function learn(ctx: XlateCtx, src: number, vlan: number, from: Bundle, isGarp: boolean): void {
  const { trace, bridge } = ctx;
  const isNew = trace !== undefined && bridge.macs.lookup(src, vlan)?.port !== from;
  bridge.learn(src, vlan, from, isGarp);
  // Of some addresses and VLANs nothing is learned.
  if (isNew && bridge.macs.lookup(src, vlan)?.port === from)
    trace.detail(`learned that ${formatMac(src)} is on port ${from.name} in VLAN ${vlan}`);
}

/** Carries out NORMAL. */
export function xlateNormal(ctx: XlateCtx, send: Send): void {
  const { flow, wc, bridge, inPort } = ctx;
  unwildcard(wc, ETH_ADDRESSES);
  unwildcard(wc, VID_AND_CFI);
  const from = inputBundle(ctx);
  if (from === undefined) {
    ctx.trace?.warn('no input bundle, dropping');
    return;
  }

  const ethType = getField(flow, FIELD.ethType);
  const outer = flow[VLAN_WORDS[0]] as number;
  // An Ethernet type that announces a tag, with none there: the frame ends too early.
  if ((ethType === 0x8100 || ethType === 0x88a8) && (outer & VLAN_CFI) === 0) {
    if (ctx.hasPacket) reportError(ctx, `dropping packet with partial VLAN tag received on port ${from.name}`);
    ctx.trace?.warn('partial VLAN tag, dropping');
    return;
  }
  if (isMirrorOutput(ctx, from)) {
    if (ctx.hasPacket) reportError(ctx, mirrorRefusal(from));
    ctx.trace?.warn('input port is mirror output port, dropping');
    return;
  }

  xvlanExtract(flow, ctx.inVlan);
  if (!admitsVid(ctx, from, ctx.inVlan.vid0)) {
    ctx.trace?.warn('disallowed VLAN VID for this input port, dropping');
    return;
  }
  from.translateIn(ctx.inVlan, ctx.vlan);
  const vlan = ctx.vlan.vid0;
  const dst = ethDstOf(flow);
  if (inPort !== undefined && bridge.forwardsBpdu !== true && isReserved(dst)) {
    ctx.trace?.detail('packet has reserved destination MAC, dropping');
    return;
  }
  // Only one member of a bundle receives: a flooded packet comes back through the others.
  if (inPort !== undefined && from.active !== inPort) return;

  const isGarp = isGratuitousArp(ctx);
  const src = ethSrcOf(flow);
  if (ctx.hasSideEffects && from !== NO_BUNDLE) learn(ctx, src, vlan, from, isGarp);
  ctx.cache?.addLearn(bridge, { ofpInPort: ctx.ofpInPort, mac: src, vlan, isGarp });

  if (xlateMulticast(ctx, from, send)) return;
  const entry = bridge.macs.lookup(dst, vlan);
  if (entry === undefined) {
    ctx.trace?.detail('no learned MAC for destination, flooding');
    flood(ctx, from, send);
  } else if (isMirrorOutput(ctx, entry.port)) ctx.trace?.warn('learned port is a mirror port, dropping');
  else if (entry.port !== from) {
    ctx.trace?.detail('forwarding to learned port');
    outputNormal(ctx, entry.port, ctx.vlan, send);
  } else ctx.trace?.detail('learned port is input port, dropping');
}
