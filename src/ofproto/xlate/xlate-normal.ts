/**
 * The action NORMAL: forward as a learning switch does.  It looks at both Ethernet addresses and at the VLAN, so these bits
 * become part of every megaflow that passes through it; ARP broadcasts also at who asks whom.
 * `bundle.ts` has the VLAN modes, `mac-learning.ts` the table.  Source: ofproto/ofproto-dpif-xlate.c (xlate_normal),
 * IEEE 802.1Q 8.6.3 (reserved addresses).
 */
import { FIELD, VLAN_CFI } from '../../flow/fields.ts';
import { type FlowKey, getField } from '../../flow/flow-key.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import { Bundle, xvlanExtract, xvlanPut } from '../bundle.ts';
import { formatMac } from '../mac-learning.ts';
import { bitsOf, unwildcard, VLAN_WORDS } from './wildcards.ts';
import type { XlateCtx } from './xlate-ctx.ts';
import { reportError } from './xlate-report.ts';

const ETH_ADDRESSES = bitsOf(FIELD.ethSrc, FIELD.ethDst);
const ETH_DST = bitsOf(FIELD.ethDst);
const ARP_OPCODE = bitsOf(FIELD.nwProto);
const ARP_ADDRESSES = bitsOf(FIELD.nwSrc, FIELD.nwDst);
const VID_AND_CFI = { words: [VLAN_WORDS[0]], bits: [0x1fff] };
const CVLAN = { words: [VLAN_WORDS[1]], bits: [0xffff] };
const PCP_MASK = 0xe000;
const PRIORITY_BITS = { words: [VLAN_WORDS[0]], bits: [0xe000] };

const ETH_TYPE_ARP = 0x0806;
const ETH_BROADCAST = 0xffffffffffff;
const ARP_REQUEST = 1;

/** A reader of a 48-bit field of a key, as a number. */
function macReader(at: number): (key: FlowKey) => number {
  const word = at >>> 5;
  if ((at & 31) === 0) {
    return (key) => ((key[word] as number) >>> 0) * 0x10000 + ((key[word + 1] as number) >>> 16);
  }
  if ((at & 31) !== 16) throw new Error('flow key: an Ethernet address must begin at half a word');
  return (key) => ((key[word] as number) & 0xffff) * 0x100000000 + ((key[word + 1] as number) >>> 0);
}
export const ethSrcOf = macReader(FIELD.ethSrc.at);
export const ethDstOf = macReader(FIELD.ethDst.at);

const range = (first: number, n: number): number[] => Array.from({ length: n }, (_, i) => first + i);
/** Destinations that a bridge does not forward. */
// biome-ignore format: table
const RESERVED = new Set<number>([
  ...range(0x0180c2000000, 16), // STP, pause, LACP, LLDP and other protocols between neighbours
  0x00e02b000000, 0x00e02b000004, 0x00e02b000006, // Extreme EDP and EAPS
  0x01000c000000, 0x01000ccccccc, 0x01000ccccccd, 0x01000ccdcdcd, // Cisco ISL, CDP and kin, PVST+, uplink fast
  ...range(0x01000cccccc0, 8), // Cisco CFM
]);
const isReserved = (mac: number): boolean => RESERVED.has(mac);

/** ARP that announces its sender: a broadcast reply, or a request for the sender's own address. */
function lookForGratuitousArp(ctx: XlateCtx): void {
  const { flow, wc } = ctx;
  if (getField(flow, FIELD.ethType) !== ETH_TYPE_ARP) return;
  unwildcard(wc, ETH_DST);
  if (ethDstOf(flow) !== ETH_BROADCAST) return;
  unwildcard(wc, ARP_OPCODE);
  // A reply is one whatever its addresses; of a request they decide.
  if (getField(flow, FIELD.nwProto) === ARP_REQUEST) unwildcard(wc, ARP_ADDRESSES);
}

/** Sends the packet out of an OpenFlow port, through patch ports too. */
type Send = (ofport: number) => void;

/** Sends the packet out of `bundle`, with the VLAN headers that it wants; the packet itself stays as it is. */
function outputNormal(ctx: XlateCtx, bundle: Bundle, send: Send): void {
  const port = bundle.active;
  if (port === undefined) return;
  if (bundle.asksForCvlan) unwildcard(ctx.wc, CVLAN);
  bundle.translateOut(ctx.vlan, ctx.outVlan);
  const { flow } = ctx;
  const outer = flow[VLAN_WORDS[0]] as number;
  if (bundle.priorityTags !== 'never') ctx.outVlan.pcp0 = outer & PCP_MASK;
  const inner = flow[VLAN_WORDS[1]] as number;
  xvlanPut(flow, ctx.outVlan, bundle.priorityTags === 'always');
  send(port.ofport);
  flow[VLAN_WORDS[0]] = outer;
  flow[VLAN_WORDS[1]] = inner;
}

function flood(ctx: XlateCtx, from: Bundle, send: Send): void {
  for (const bundle of ctx.bridge.bundles) {
    if (bundle !== from && bundle.includes(ctx.vlan) && bundle.isFloodable) outputNormal(ctx, bundle, send);
  }
}

/** Where packets come from that a controller made. */
const NO_BUNDLE = new Bundle('OFPP_NONE');

/** Why `from` does not admit a packet of VLAN `vid`. */
function refusalOf(from: Bundle, vid: number): string {
  switch (from.vlanMode) {
    case 'access':
      return `dropping VLAN ${vid} tagged packet received on port ${from.name} configured as VLAN ${from.vlan} access port`;
    case 'dot1q-tunnel':
      return `dropping VLAN ${vid} packet received on dot1q-tunnel port ${from.name} that excludes this VLAN`;
    default:
      return `dropping VLAN ${vid} packet received on port ${from.name} not configured for trunking VLAN ${vid}`;
  }
}

function learn(ctx: XlateCtx, src: number, vlan: number, from: Bundle): void {
  const { trace, bridge } = ctx;
  const isNew = trace !== undefined && bridge.macs.lookup(src, vlan)?.port !== from;
  bridge.learn(src, vlan, from);
  // Of some addresses and VLANs nothing is learned.
  if (isNew && bridge.macs.lookup(src, vlan)?.port === from)
    trace.detail(`learned that ${formatMac(src)} is on port ${from.name} in VLAN ${vlan}`);
}

/** Carries out NORMAL. */
export function xlateNormal(ctx: XlateCtx, send: Send): void {
  const { flow, wc, bridge, inPort, ofpInPort } = ctx;
  unwildcard(wc, ETH_ADDRESSES);
  unwildcard(wc, VID_AND_CFI);
  const isMade = ofpInPort === OFPP.NONE || ofpInPort === OFPP.CONTROLLER;
  const from = inPort?.bundle ?? (isMade ? NO_BUNDLE : undefined);
  // A port that is in no bundle yet was added a moment ago.
  if (from === undefined) {
    reportError(ctx, `received packet on unknown port ${ofpInPort}`);
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
  // The headers of a priority-tagged frame are rewritten by its priority: with none left, the tag goes.
  if ((outer & VLAN_CFI) !== 0 && (outer & 0xfff) === 0) unwildcard(wc, PRIORITY_BITS);

  xvlanExtract(flow, ctx.inVlan);
  if (from !== NO_BUNDLE && !from.admits(ctx.inVlan.vid0)) {
    reportError(ctx, refusalOf(from, ctx.inVlan.vid0));
    ctx.trace?.warn('disallowed VLAN VID for this input port, dropping');
    return;
  }
  from.translateIn(ctx.inVlan, ctx.vlan);
  const vlan = ctx.vlan.vid0;
  const dst = ethDstOf(flow);
  if (inPort !== undefined && isReserved(dst)) {
    ctx.trace?.detail('packet has reserved destination MAC, dropping');
    return;
  }
  // Only one member of a bundle receives: a flooded packet comes back through the others.
  if (inPort !== undefined && from.active !== inPort) return;

  lookForGratuitousArp(ctx);
  const src = ethSrcOf(flow);
  if (ctx.hasSideEffects && from !== NO_BUNDLE) learn(ctx, src, vlan, from);
  ctx.cache?.addLearn(bridge, ctx.ofpInPort, src, vlan);

  const entry = bridge.macs.lookup(dst, vlan);
  if (entry === undefined) {
    ctx.trace?.detail('no learned MAC for destination, flooding');
    flood(ctx, from, send);
  } else if (entry.port !== from) {
    ctx.trace?.detail('forwarding to learned port');
    outputNormal(ctx, entry.port, send);
  } else ctx.trace?.detail('learned port is input port, dropping');
}
