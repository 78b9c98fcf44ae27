/**
 * OpenFlow actions that change the packet, or the metadata that goes with it, but send it nowhere: they change `ctx.flow`, and the next commit
 * says so to the datapath.  Bits that are written are matched, so that a set can leave alone what is the same already.
 * Source: ofproto/ofproto-dpif-xlate.c (do_xlate_actions), ovs-actions(7).
 */
import { FIELD, type Field, OVS_FRAG_TYPE, VLAN_CFI } from '../../../flow/fields.ts';
import {
  type FlowKey,
  type FlowMask,
  getField,
  setField,
  setFieldBytes,
  setFieldOnes,
} from '../../../flow/flow-key.ts';
import type { Ofpact } from '../../../openflow/ofpact.ts';
import { isIp } from '../packet-fields.ts';
import type { XlateTrace } from '../trace/xlate-trace.ts';
import { nVlans, VLAN_WORDS } from '../wildcards.ts';
import { xlateMove, xlateSetField } from '../xlate-fields.ts';
import { isMplsType } from './flow-mpls.ts';

const F = FIELD;
const [VLAN, CVLAN] = VLAN_WORDS;

/** Sets the bits of `mask` in `f`, and has them matched. */
function set(flow: FlowKey, wc: FlowMask, f: Field, mask: number, value: number): void {
  setField(wc, f, getField(wc, f) | mask);
  setField(flow, f, (getField(flow, f) & ~mask) | (value & mask));
}

/** Sets the VID or the priority of the outer tag, which is made if there is none and the action says so. */
function setTag(flow: FlowKey, wc: FlowMask, mask: number, value: number, pushIfNone: boolean): void {
  setField(wc, F.vlanTci, getField(wc, F.vlanTci) | mask | VLAN_CFI);
  const tci = getField(flow, F.vlanTci);
  if ((tci & VLAN_CFI) === 0 && !pushIfNone) return;
  if (getField(flow, F.vlanTpid) === 0) setField(flow, F.vlanTpid, 0x8100);
  setField(flow, F.vlanTci, (tci & ~mask) | value | VLAN_CFI);
}

function popTag(flow: FlowKey, wc: FlowMask): void {
  if (nVlans(flow) > 1) wc[CVLAN] = -1;
  flow[VLAN] = nVlans(flow) > 1 ? (flow[CVLAN] as number) : 0;
  flow[CVLAN] = 0;
}

function pushTag(flow: FlowKey, wc: FlowMask, ethType: number): void {
  wc.fill(-1, VLAN, VLAN + nVlans(flow));
  flow[CVLAN] = flow[VLAN] as number;
  flow[VLAN] = (ethType << 16) | VLAN_CFI;
}

function setLabel(flow: FlowKey, wc: FlowMask, mask: number, value: number): void {
  if (isMplsType(getField(flow, F.ethType))) set(flow, wc, F.mplsLse0, mask, value);
}

function setIpv4(flow: FlowKey, wc: FlowMask, f: Field, ipv4: number): void {
  if (getField(flow, F.ethType) === 0x0800) set(flow, wc, f, -1, ipv4);
}

function setPort(flow: FlowKey, wc: FlowMask, f: Field, port: number): void {
  if (!isIp(getField(flow, F.ethType)) || (getField(flow, F.nwFrag) & OVS_FRAG_TYPE.LATER) !== 0) return;
  setFieldOnes(wc, F.nwProto);
  set(flow, wc, f, 0xffff, port);
}

function setWide(flow: FlowKey, wc: FlowMask, f: Field, bytes: Uint8Array): void {
  setFieldOnes(wc, f);
  setFieldBytes(flow, f, bytes, 0);
}

/** What is changed: of a translation, or of a flow alone. */
export interface Setting {
  readonly flow: FlowKey;
  readonly wc: FlowMask;
  readonly trace?: XlateTrace | undefined;
}

/** Carries out `a` if it is one of these; false if it is another. */
export function xlateSet({ flow, wc, trace }: Setting, a: Ofpact): boolean {
  switch (a.kind) {
    case 'set_vlan_vid':
      setTag(flow, wc, 0xfff, a.vid, a.pushIfNone);
      return true;
    case 'set_vlan_pcp':
      setTag(flow, wc, 0xe000, a.pcp << 13, a.pushIfNone);
      return true;
    case 'strip_vlan':
      popTag(flow, wc);
      return true;
    case 'push_vlan':
      pushTag(flow, wc, a.ethType);
      return true;
    case 'mod_dl_src':
      setWide(flow, wc, F.ethSrc, a.mac);
      return true;
    case 'mod_dl_dst':
      setWide(flow, wc, F.ethDst, a.mac);
      return true;
    case 'mod_nw_src':
      setIpv4(flow, wc, F.nwSrc, a.ipv4);
      return true;
    case 'mod_nw_dst':
      setIpv4(flow, wc, F.nwDst, a.ipv4);
      return true;
    case 'mod_nw_tos':
    case 'mod_nw_ecn':
      if (isIp(getField(flow, F.ethType))) set(flow, wc, F.nwTos, a.kind === 'mod_nw_ecn' ? 3 : 0xfc, a.value);
      return true;
    case 'mod_nw_ttl':
      if (isIp(getField(flow, F.ethType))) set(flow, wc, F.nwTtl, 0xff, a.value);
      return true;
    case 'mod_tp_src':
      setPort(flow, wc, F.tpSrc, a.port);
      return true;
    case 'mod_tp_dst':
      setPort(flow, wc, F.tpDst, a.port);
      return true;
    case 'set_mpls_label':
      setLabel(flow, wc, 0xfffff000, a.value << 12);
      return true;
    case 'set_mpls_tc':
      setLabel(flow, wc, 0xe00, a.value << 9);
      return true;
    case 'set_mpls_ttl':
      setLabel(flow, wc, 0xff, a.value);
      return true;
    case 'set_tunnel':
      setField64(flow, F.tunId, a.tunId);
      return true;
    case 'write_metadata':
      writeMetadata(flow, a.metadata, a.mask);
      return true;
    case 'set_field':
      if (!xlateSetField(flow, wc, a.field, a.value, a.mask)) {
        trace?.warn(`unmet prerequisites for ${a.field.name}, set_field ignored`);
      }
      return true;
    case 'move':
      xlateMove(flow, wc, a.dst, a.src);
      trace?.subfield(a.dst, flow);
      return true;
    default:
      return false;
  }
}

function setField64(flow: FlowKey, f: Field, value: bigint): void {
  flow[f.word] = Number(BigInt.asIntN(32, value >> 32n));
  flow[f.word + 1] = Number(BigInt.asIntN(32, value));
}

function writeMetadata(flow: FlowKey, value: bigint, mask: bigint): void {
  const w = F.metadata.word;
  const old = (BigInt((flow[w] as number) >>> 0) << 32n) | BigInt((flow[w + 1] as number) >>> 0);
  setField64(flow, F.metadata, (old & ~mask) | (value & mask));
}
