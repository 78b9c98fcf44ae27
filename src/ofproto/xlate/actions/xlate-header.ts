/**
 * Actions that put a header in front of the packet or take one away: MPLS labels, encap and decap, NSH; and the TTLs of such headers.
 *
 * What is behind a header shows only when the packet is parsed again: taking one away may end in recirculation.
 * Source: ofproto/ofproto-dpif-xlate.c (compose_mpls_push_action, xlate_generic_encap_action ...), RFC 8300.
 */
import { FIELD } from '../../../flow/fields.ts';
import { getField, setField, setFieldOnes } from '../../../flow/flow-key.ts';
import { SLOW_PATH } from '../../../odp/slow-path.ts';
import type { Ofpact, OfpactDecap, OfpactEncap } from '../../../openflow/ofpact.ts';
import { OFT } from '../trace/xlate-trace.ts';
import { nVlans } from '../wildcards.ts';
import { XLATE_ERROR, type XlateCtx } from '../xlate-ctx.ts';
import { triggerFreeze } from '../xlate-freeze.ts';
import { reportError } from '../xlate-report.ts';
import { countMplsLabels, isMplsType, MAX_MPLS_LABELS, popMpls, pushMpls } from './flow-mpls.ts';

const F = FIELD;
/** Namespace 1, ethertypes, of a packet type. */
const ETHERTYPE = 0x10000;
const NSH = 0x894f;
/** Transparent Ethernet bridging: Ethernet behind a label. */
const TEB = 0x6558;
const LSE = F.mplsLse0.word;

/** Next protocol of a network service header, by packet type. */
const NSH_NP: Readonly<Record<number, number>> = { 2048: 1, 34525: 2, 0: 3, [NSH]: 4 };
const NSH_TYPES = new Map(Object.entries(NSH_NP).map(([type, np]) => [np, Number(type)]));
const NSH_PROP = { CLASS: 4, MDTYPE: 1, TLV: 2 } as const;
const MAX_NSH_CONTEXTS = 248;

/** The packet has, or would have, more labels than a flow can tell. */
function tooManyLabels(ctx: XlateCtx, action: string, has: string): void {
  const labels = `${has} more MPLS LSEs than the ${MAX_MPLS_LABELS} supported.`;
  if (ctx.hasPacket) reportError(ctx, `dropping packet on which ${action} can't be performed as ${labels}`);
  ctx.error = XLATE_ERROR.TOO_MANY_MPLS_LABELS;
}

export function xlatePushMpls(ctx: XlateCtx, ethType: number): void {
  const n = countMplsLabels(ctx.flow, ctx.wc);
  if (n >= MAX_MPLS_LABELS) {
    tooManyLabels(ctx, 'an MPLS push action', 'it would have');
    return;
  }
  // The label hides what has been set so far.
  if (n === 0) ctx.commit();
  pushMpls(ctx.flow, n, ethType, ctx.wc, true);
}

export function xlatePopMpls(ctx: XlateCtx, ethType: number): void {
  const n = countMplsLabels(ctx.flow, ctx.wc);
  if (popMpls(ctx.flow, n, ethType, ctx.wc)) {
    if (!isMplsType(ethType) && ctx.support.recirc) ctx.wasMpls = true;
  } else if (n >= MAX_MPLS_LABELS) tooManyLabels(ctx, 'an MPLS pop action', 'it has');
}

/** 'expired': the TTL has run out, and a controller is to be told; 'end': there is none. */
export type TtlResult = 'ok' | 'expired' | 'end';

export function decMplsTtl({ flow, wc }: XlateCtx): TtlResult {
  if (!isMplsType(getField(flow, F.ethType))) return 'end';
  wc[LSE] = (wc[LSE] as number) | 0xff;
  const lse = flow[LSE] as number;
  if ((lse & 0xff) <= 1) return 'expired';
  flow[LSE] = lse - 1;
  return 'ok';
}

export function decNshTtl({ flow, wc }: XlateCtx): TtlResult {
  if (getField(flow, F.packetType) !== NSH && getField(flow, F.ethType) !== NSH) return 'end';
  setFieldOnes(wc, F.nshTtl);
  const ttl = getField(flow, F.nshTtl);
  if (ttl <= 1) return 'expired';
  setField(flow, F.nshTtl, ttl - 1);
  return 'ok';
}

export function xlateEncap(ctx: XlateCtx, a: OfpactEncap): void {
  ctx.commit();
  const type = a.packetType & 0xffff;
  if (a.packetType === 0) encapEthernet(ctx);
  else if (a.packetType === ETHERTYPE + NSH) encapNsh(ctx, a);
  else if (isMplsType(type)) encapMpls(ctx, type);
  else ctx.error = XLATE_ERROR.UNSUPPORTED_PACKET_TYPE;
  if (ctx.error === XLATE_ERROR.OK) ctx.pending.encap = true;
}

function dropped(ctx: XlateCtx, why: string): void {
  ctx.trace?.report(OFT.ACTION, why);
  ctx.error = XLATE_ERROR.UNSUPPORTED_PACKET_TYPE;
}
/** `(1,0x894f)`: namespace and type. */
const typeText = (type: number): string => (type === 0 ? '(0,0x0)' : `(1,0x${type.toString(16)})`);

function clearMacs(ctx: XlateCtx): void {
  ctx.flow.fill(0, F.ethDst.word, F.ethType.word);
}

function encapEthernet(ctx: XlateCtx): void {
  const { flow, wc } = ctx;
  setFieldOnes(wc, F.packetType);
  const type = getField(flow, F.packetType);
  if (type === 0) {
    dropped(ctx, 'Dropping packet as encap(ethernet) is not supported for packet type ethernet.');
    return;
  }
  setField(flow, F.packetType, 0);
  setField(flow, F.ethType, type);
  clearMacs(ctx);
}

function encapMpls(ctx: XlateCtx, type: number): void {
  const { flow, wc, base } = ctx;
  const n = countMplsLabels(flow, wc);
  if (n >= MAX_MPLS_LABELS) {
    tooManyLabels(ctx, 'an encap MPLS action', 'it would have');
    return;
  }
  setFieldOnes(wc, F.packetType);
  if (getField(flow, F.packetType) === 0 && getField(flow, F.ethType) === 0x8847) {
    // Labels behind an Ethernet header are none of the new packet's.
    for (const words of [flow, wc, base]) words.fill(0, LSE, LSE + MAX_MPLS_LABELS);
  }
  setField(flow, F.packetType, type);
  pushMpls(flow, n, type, wc, true);
  clearMacs(ctx);
  if (!ctx.support.addMpls) ctx.slow |= SLOW_PATH.ACTION;
}

/** Metadata type, and the context headers of type 2 as they stand in the packet, each padded to words. */
function nshProps(a: OfpactEncap): { mdtype: number; md2: Uint8Array | undefined } {
  let mdtype = 1;
  const bytes: number[] = [];
  for (const p of a.props) {
    if (p.propClass !== NSH_PROP.CLASS) continue;
    if (p.type === NSH_PROP.MDTYPE) mdtype = p.value[0] ?? 1;
    else if (p.type === NSH_PROP.TLV) {
      bytes.push(...p.value.subarray(0, 4 + (p.value[3] ?? 0)));
      while (bytes.length % 4 !== 0) bytes.push(0);
    }
  }
  const fits = bytes.length > 0 && bytes.length <= MAX_NSH_CONTEXTS;
  return { mdtype, md2: fits && mdtype === 2 ? Uint8Array.from(bytes) : undefined };
}

function encapNsh(ctx: XlateCtx, a: OfpactEncap): void {
  const { flow, wc } = ctx;
  const type = getField(flow, F.packetType);
  const np = NSH_NP[type];
  if (np === undefined) {
    dropped(ctx, `Dropping packet as encap(nsh) is not supported for packet type ${typeText(type)}`);
    return;
  }
  setFieldOnes(wc, F.packetType);
  // All other headers are inside now.
  flow.fill(0, F.ethDst.word, F.ctState.word);
  flow.fill(0, F.mplsLse0.word, F.tunId.word);
  const { mdtype, md2 } = nshProps(a);
  setField(flow, F.packetType, NSH);
  setField(flow, F.ethType, NSH);
  setField(flow, F.nshTtl, 63);
  setField(flow, F.nshNp, np);
  setField(flow, F.nshPathHdr, 255);
  setField(flow, F.nshMdtype, mdtype & 0xf);
  ctx.pending.md2 = md2;
}

/** Takes away the outermost header; freezes if what is behind it is not known. */
export function xlateDecap(ctx: XlateCtx, a: OfpactDecap): void {
  const { flow, wc } = ctx;
  ctx.commit();
  const type = getField(flow, F.packetType);
  if (type === 0) {
    if (nVlans(flow) > 0) {
      dropped(ctx, 'Dropping packet, cannot decap Ethernet if VLAN is present.');
      return;
    }
    setField(flow, F.packetType, getField(flow, F.ethType));
    clearMacs(ctx);
    setFieldOnes(wc, F.ethType);
  } else if (type === NSH) decapNsh(ctx);
  else if (isMplsType(type)) decapMpls(ctx, a);
  else dropped(ctx, `Dropping packet as the decap() does not support packet type ${typeText(type)}`);
}

function decapNsh(ctx: XlateCtx): void {
  const { flow, wc } = ctx;
  const np = getField(flow, F.nshNp);
  const inner = NSH_TYPES.get(np);
  if (inner === undefined) {
    dropped(ctx, `Dropping packet as NSH next protocol ${np} is not supported`);
    return;
  }
  setField(flow, F.packetType, inner);
  setFieldOnes(wc, F.nshNp);
  ctx.pending.decap = true;
  triggerFreeze(ctx);
}

function decapMpls(ctx: XlateCtx, a: OfpactDecap): void {
  const { flow, wc } = ctx;
  const inner = a.newPacketType & 0xffff;
  setField(flow, F.packetType, inner);
  const n = countMplsLabels(flow, wc);
  if (popMpls(flow, n, inner || TEB, wc)) {
    if (!ctx.support.addMpls) ctx.slow |= SLOW_PATH.ACTION;
    ctx.pending.decap = true;
    if (n === 1) triggerFreeze(ctx);
  } else if (n >= MAX_MPLS_LABELS) tooManyLabels(ctx, 'an MPLS decap', 'it has');
}

/** Actions that do not care what is behind a label that was popped. */
// biome-ignore format: names, several on a line
const LABEL_BLIND: ReadonlySet<Ofpact['kind']> = new Set<Ofpact['kind']>([
  'output', 'output_trunc', 'enqueue', 'output_reg', 'set_vlan_vid', 'set_vlan_pcp', 'mod_dl_src', 'mod_dl_dst', 'set_tunnel', 'set_queue', 'group',
]);
const FROM_L3 = F.nwProto.at;

/** Whether the packet must be parsed again before `a`, as its last label was popped. */
export function needsParsing(ctx: XlateCtx, a: Ofpact): boolean {
  if (ctx.exit || !ctx.wasMpls || LABEL_BLIND.has(a.kind)) return false;
  if (a.kind !== 'set_field') return true;
  const { at } = a.field;
  return at >= FROM_L3 && at < F.ctState.at;
}
