/**
 * Mirrors, while a packet is translated: `mirrorIngress` when it has come in, before its actions; `mirrorEgress` whenever it has been sent out of a
 * port.  Each takes the packet as it is at that moment, and a packet goes to a mirror's output once at most, whatever happens to it.
 * `mirror/mirror-table.ts` has the mirrors.  Source: ofproto/ofproto-dpif-xlate.c (mirror_packet).
 */
import { FIELD, VLAN_CFI } from '../../../flow/fields.ts';
import { lowestMirror, type Mirror, type MirrorMask, type MirrorTable } from '../../mirror/mirror-table.ts';
import { type Bundle, newXvlan, type XPort, type Xvlan, xvlanExtract } from '../../ports/bundle.ts';
import { bitsOf, unwildcard, VLAN_WORDS } from '../wildcards.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { ethDstOf, isReserved } from './xlate-mac.ts';
import { admitsVid, inputBundle, NO_BUNDLE, outputNormal, type Send } from './xlate-vlan.ts';

const ETH_DST = bitsOf(FIELD.ethDst);
const VID_AND_CFI = { words: [VLAN_WORDS[0]], bits: [0x1fff] };

/** The packet came in. */
export function mirrorIngress(ctx: XlateCtx, send: Send): void {
  const { mirrors } = ctx.bridge;
  if (mirrors?.isInUse !== true) return;
  const bundle = inputBundle(ctx);
  if (bundle !== undefined) mirrorPacket(ctx, mirrors, bundle, bundle === NO_BUNDLE ? 0 : mirrors.src(bundle), send);
}

/** The packet went out of `port`, with the headers that it has now. */
export function mirrorEgress(ctx: XlateCtx, port: XPort, send: Send): void {
  const { mirrors } = ctx.bridge;
  const { bundle } = port;
  if (mirrors?.isInUse === true && bundle !== undefined) {
    mirrorPacket(ctx, mirrors, bundle, mirrors.dst(bundle), send);
  }
}

/** Sends a packet of `bundle` to those of `candidates` that it has not been sent to. */
function mirrorPacket(ctx: XlateCtx, table: MirrorTable, bundle: Bundle, candidates: MirrorMask, send: Send): void {
  // What is sent to a mirror may be mirrored to another in turn: each needs its own.
  const header = newXvlan();
  const vlan = newXvlan();
  xvlanExtract(ctx.flow, header);
  // A tag of VID 0 goes when it is sent.  Stock looks at the VID, and at what outputToVlan() does, without matching it: its flows are too wide.
  const isTagged = (VLAN_CFI & (ctx.flow[VLAN_WORDS[0]] as number)) !== 0;
  if (candidates !== 0 && (isTagged || !bundle.admitsAll)) unwildcard(ctx.wc, VID_AND_CFI);
  if (!admitsVid(ctx, bundle, header.vid0)) return;
  bundle.translateIn(header, vlan);
  let used = 0;
  let left = candidates & ~ctx.mirrors;
  while (left !== 0) {
    const mirror = table.mirror(lowestMirror(left));
    if (mirror === undefined || !selects(ctx, mirror, vlan.vid0)) {
      left &= left - 1;
      continue;
    }
    used |= mirror.bit;
    ctx.mirrors |= mirror.duplicates;
    ctx.mirrorSnaplen = mirror.settings.snaplen;
    if (mirror.out !== undefined) outputNormal(ctx, mirror.out, vlan, send);
    else outputToVlan(ctx, table, mirror.settings.outVlan, vlan, send);
    ctx.mirrorSnaplen = 0;
    left &= ~ctx.mirrors;
  }
  if (used === 0) return;
  if (ctx.stats !== undefined) table.credit(used, ctx.stats.nPackets, ctx.stats.nBytes);
  ctx.cache?.addMirrors(table, used);
}

function selects(ctx: XlateCtx, mirror: Mirror, vid: number): boolean {
  if (mirror.selectsVlans) unwildcard(ctx.wc, VID_AND_CFI);
  return mirror.selectsVlan(vid);
}

/** RSPAN: floods the packet in VLAN `vid`, back to where it came from too. */
function outputToVlan(ctx: XlateCtx, table: MirrorTable, vid: number, vlan: Xvlan, send: Send): void {
  unwildcard(ctx.wc, VID_AND_CFI);
  unwildcard(ctx.wc, ETH_DST);
  // What is in that VLAN has been mirrored by another switch, or needs no mirror.
  if (vlan.vid0 === vid || isReserved(ethDstOf(ctx.flow))) return;
  const was = vlan.vid0;
  vlan.vid0 = vid;
  for (const bundle of ctx.bridge.bundles) {
    if (bundle.includes(vlan) && !table.isOutput(bundle)) outputNormal(ctx, bundle, vlan, send);
  }
  vlan.vid0 = was;
}
