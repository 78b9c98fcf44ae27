/**
 * The MPLS labels of a flow: counting, pushing and popping, with what each looks at.
 *
 * A flow has at most three label stack entries, the outermost first; more are not known.  What is behind them shows only after the last
 * one is popped and the packet is parsed again: whoever pops it has the packet recirculated.
 * Source: lib/flow.c (flow_count_mpls_labels, flow_push_mpls, flow_pop_mpls), RFC 3032.
 */
import { FIELD } from '../../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField } from '../../../flow/flow-key.ts';

export const MAX_MPLS_LABELS = 3;
const LSE = FIELD.mplsLse0.word;
const BOS = 0x100;
const TYPE = FIELD.ethType;
/** Name space of packet types that are Ethernet types. */
const OFPHTN_ETHERTYPE = 1;

export const isMplsType = (ethType: number): boolean => ethType === 0x8847 || ethType === 0x8848;

/** Labels that `flow` has, as far as is known; the bits that tell are added to `wc`. */
export function countMplsLabels(flow: FlowKey, wc?: FlowMask): number {
  if (!isMplsType(getField(flow, TYPE))) return 0;
  let n = 0;
  for (let i = 0; i < MAX_MPLS_LABELS; i++) {
    if (wc !== undefined) wc[LSE + i] = (wc[LSE + i] as number) | BOS;
    const lse = flow[LSE + i] as number;
    if ((lse & BOS) !== 0) return i + 1;
    if (lse !== 0) n++;
  }
  return n;
}

/** Labels that both have at the bottom of their stacks. */
export function countCommonLabels(a: FlowKey, na: number, b: FlowKey, nb: number): number {
  let n = 0;
  while (n < na && n < nb && a[LSE + na - 1 - n] === b[LSE + nb - 1 - n]) n++;
  return n;
}

/** Type of the packet by its packet_type: encap(mpls) has set that already when it pushes the label, so its label takes nothing from IP. */
function typeOf(flow: FlowKey): number {
  const packetType = getField(flow, FIELD.packetType);
  if (packetType === 0) return getField(flow, TYPE);
  return packetType >>> 16 === OFPHTN_ETHERTYPE ? packetType & 0xffff : 0;
}

/** What a first label says of the packet that it is pushed onto: explicit null, its DSCP's class, its TTL. */
function firstLse(flow: FlowKey, wc: FlowMask | undefined): number {
  const type = getField(flow, TYPE);
  const ipType = typeOf(flow);
  let tc = 0;
  let ttl = 64;
  if (ipType === 0x0800 || ipType === 0x86dd) {
    tc = (getField(flow, FIELD.nwTos) & 0xfc) >>> 2;
    if (wc !== undefined) {
      setField(wc, FIELD.nwTos, getField(wc, FIELD.nwTos) | 0xfc);
      setField(wc, FIELD.nwTtl, 0xff);
    }
    ttl = getField(flow, FIELD.nwTtl) || 64;
  }
  return ((type === 0x86dd ? 2 : 0) << 12) | ((tc & 7) << 9) | BOS | ttl;
}

/**
 * Pushes a label; `n` is how many there are, fewer than MAX_MPLS_LABELS.  The first is made from the L3 header, and with `clearsL3` hides all
 * that is behind it.
 */
export function pushMpls(flow: FlowKey, n: number, ethType: number, wc: FlowMask | undefined, clearsL3: boolean): void {
  if (n > 0) {
    if (wc !== undefined) wc.fill(-1, LSE, LSE + n);
    for (let i = n; i >= 1; i--) flow[LSE + i] = flow[LSE + i - 1] as number;
    flow[LSE] = (flow[LSE + 1] as number) & ~BOS;
  } else {
    flow[LSE] = firstLse(flow, wc);
    if (clearsL3) {
      flow.fill(0, FIELD.nwProto.word, FIELD.ctState.word);
      flow[FIELD.dpHash.word] = 0;
    }
  }
  setField(flow, TYPE, ethType);
}

/** Pops the outermost of `n` labels; false if there is none, or the one that would take the last's place is not known. */
export function popMpls(flow: FlowKey, n: number, ethType: number, wc?: FlowMask): boolean {
  if (n === 0) return false;
  if (n === MAX_MPLS_LABELS) {
    const last = LSE + n - 1;
    if (wc !== undefined) wc[last] = (wc[last] as number) | BOS;
    if (((flow[last] as number) & BOS) === 0) return false;
  }
  wc?.fill(-1, LSE + 1, LSE + n);
  for (let i = 1; i < n; i++) flow[LSE + i - 1] = flow[LSE + i] as number;
  flow[LSE + n - 1] = 0;
  setField(flow, TYPE, ethType);
  return true;
}
