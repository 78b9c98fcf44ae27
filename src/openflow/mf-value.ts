/**
 * Values of match fields: reading them from a flow or mask, writing them, and what they need of a packet.
 *
 * A value is big-endian bytes, as long as the field's `bytes`, right-aligned.  Most are copied bit by bit; `special` of the field names the
 * few whose value is not what the flow has.  For tun_metadata, whose place only a TLV table tells, these functions throw a RangeError.
 * Source: lib/meta-flow.c, lib/flow.h (is_vlan, is_nd, is_ct_valid and their like).
 */
import { areBitsZero, fillBits, getBits, setBits } from '../flow/bits.ts';
import { ETH_TYPE_802_2, FIELD, type Field, VLAN_CFI } from '../flow/fields.ts';
import type { FlowKey, FlowMask } from '../flow/flow-key.ts';
import type { MfField, MfValue } from './mf-field.ts';
import { portFromOfp11, portToOfp11 } from './ofp-names.ts';
import { OFPP } from './ofp-port.ts';

/** OFP_DL_TYPE_NOT_ETH_TYPE: what OpenFlow calls the type of a frame that has a length instead. */
const DL_TYPE_NOT_ETH_TYPE = 0x05ff;
/** OFP10_VLAN_NONE: a dl_vlan that says "no tag". */
const VLAN_NONE = 0xffff;

const get = (flow: FlowKey, field: Field): number => getBits(flow, field.at, field.bits);
const set = (flow: FlowKey, field: Field, value: number): void => setBits(flow, field.at, field.bits, value);

const swapDlType = (type: number): number =>
  type === ETH_TYPE_802_2 ? DL_TYPE_NOT_ETH_TYPE : type === DL_TYPE_NOT_ETH_TYPE ? ETH_TYPE_802_2 : type;

/** The bits of a flow that belong to a field: `bits` of them from `at`.  Those of vlan_vid and its like include the tag's presence. */
function placeOf(field: MfField): { readonly at: number; readonly bits: number } {
  switch (field.special) {
    case 'dl-vlan':
    case 'vlan-vid':
      return { at: FIELD.vlanTci.at + 3, bits: 13 };
    case 'vlan-pcp':
      return { at: FIELD.vlanTci.at, bits: 4 };
    case 'in-port-oxm':
      return { at: FIELD.inPort.at + 16, bits: 16 };
    case 'actset-output':
    case 'icmp': // The whole of tpSrc or tpDst, so that it is one mask whichever protocol is meant.
      return field.special === 'icmp' ? { at: field.at - 8, bits: 16 } : { at: FIELD.actsetOutput.at, bits: 32 };
    case 'packet-type':
      return { at: field.at, bits: 16 };
    case 'ct-state':
      return { at: FIELD.ctState.at + 8, bits: 8 };
    case 'arp-op':
      return { at: field.at, bits: 8 };
    case 'ip-dscp':
      return { at: field.at, bits: 6 };
    case 'tun-metadata':
      throw new RangeError(`${field.name}: its place is only known with a TLV table`);
    default:
      return { at: field.at, bits: field.bits };
  }
}

function putNumber(out: Uint8Array, value: number): void {
  let rest = value;
  for (let i = out.length - 1; i >= 0; i--) {
    out[i] = rest & 0xff;
    rest >>>= 8;
  }
}

/** The value of up to 4 bytes as a number. */
function numberOf(value: MfValue): number {
  let n = 0;
  for (const byte of value) n = ((n << 8) | byte) >>> 0;
  return n;
}

/** The number that a flow has for a special field. */
function getSpecial(field: MfField, flow: FlowKey): number {
  switch (field.special) {
    case 'vlan-vid':
      return get(flow, FIELD.vlanTci) & 0x1fff;
    case 'in-port-oxm':
      return portToOfp11(get(flow, FIELD.inPort) & 0xffff);
    case 'actset-output':
      return portToOfp11(get(flow, FIELD.actsetOutput) & 0xffff);
    case 'packet-type': {
      const type = get(flow, FIELD.packetType);
      return type === 0 ? 0 : 0x10000 | type;
    }
    case 'dl-type':
      return swapDlType(get(flow, FIELD.ethType));
    case 'ip-dscp':
      return get(flow, FIELD.nwTos) & 0xfc;
    default: {
      const { at, bits } = placeOf(field);
      const all = getBits(flow, at, bits);
      return field.bits < bits ? all & ((1 << field.bits) - 1) : all;
    }
  }
}

/** Reads a field of a flow, into `out` if it is given (`field.bytes` long). */
export function mfGet(field: MfField, flow: FlowKey, out: MfValue = new Uint8Array(field.bytes)): MfValue {
  if (field.special !== undefined && field.special !== 'vlan-tci' && field.special !== 'ip-frag') {
    if (field.special === 'vlan-pcp') putNumber(out, get(flow, FIELD.vlanTci) >>> 13);
    else if (field.special === 'dl-vlan') putNumber(out, get(flow, FIELD.vlanTci) & 0xfff);
    else if (field.special === 'ip-dscp-shifted') putNumber(out, get(flow, FIELD.nwTos) >>> 2);
    else putNumber(out, getSpecial(field, flow));
    return out;
  }
  out.fill(0);
  for (let left = field.bits, i = out.length - 1; left > 0; left -= 8, i--) {
    const n = Math.min(8, left);
    out[i] = getBits(flow, field.at + left - n, n);
  }
  return out;
}

/** Reads a field of a mask: bits that are matched are 1, for fields that cannot be masked all or none. */
export function mfGetMask(field: MfField, mask: FlowMask, out: MfValue = new Uint8Array(field.bytes)): MfValue {
  if (!field.isMaskable && field.special !== 'ip-dscp') return out.fill(mfIsAllWild(field, mask) ? 0 : 0xff);
  if (field.special === 'ct-state') {
    putNumber(out, get(mask, FIELD.ctState));
    return out;
  }
  return mfGet(field, mask, out);
}

/** Whether a mask looks at no bit of a field. */
export function mfIsAllWild(field: MfField, mask: FlowMask): boolean {
  // A tag's presence alone is no match on its id or priority.
  if (field.special === 'dl-vlan') return (get(mask, FIELD.vlanTci) & 0xfff) === 0;
  if (field.special === 'vlan-pcp') return (get(mask, FIELD.vlanTci) & 0xe000) === 0;
  const { at, bits } = placeOf(field);
  return areBitsZero(mask, at, bits);
}

/** Adds all of a field to a mask. */
export function mfMaskField(field: MfField, mask: FlowMask): void {
  const { at, bits } = placeOf(field);
  fillBits(mask, at, bits, true);
}

/** A tag that was written into a flow without one is an 802.1Q tag. */
function fixVlanTpid(flow: FlowKey): void {
  if (get(flow, FIELD.vlanTpid) === 0 && get(flow, FIELD.vlanTci) !== 0) set(flow, FIELD.vlanTpid, 0x8100);
}

/**
 * Writes a field of a flow.  The caller has seen to the prerequisites.  Throws OfpError (OFPBAC_BAD_OUT_PORT) for a port that this switch
 * cannot have, RangeError for a packet type that it does not know.
 */
export function mfSet(field: MfField, value: MfValue, flow: FlowKey): void {
  switch (field.special) {
    case undefined:
    case 'ip-frag':
      for (let left = field.bits, i = value.length - 1; left > 0 && i >= 0; left -= 8, i--) {
        const n = Math.min(8, left);
        setBits(flow, field.at + left - n, n, value[i] as number);
      }
      break;
    case 'vlan-tci':
      set(flow, FIELD.vlanTci, numberOf(value));
      fixVlanTpid(flow);
      break;
    case 'dl-vlan': {
      const vid = numberOf(value);
      const tci = get(flow, FIELD.vlanTci);
      set(flow, FIELD.vlanTci, vid === VLAN_NONE ? 0 : (tci & 0xf000) | VLAN_CFI | (vid & 0xfff));
      fixVlanTpid(flow);
      break;
    }
    case 'vlan-vid':
      set(flow, FIELD.vlanTci, (get(flow, FIELD.vlanTci) & 0xe000) | (numberOf(value) & 0x1fff));
      fixVlanTpid(flow);
      break;
    case 'vlan-pcp':
      set(flow, FIELD.vlanTci, (get(flow, FIELD.vlanTci) & 0x0fff) | VLAN_CFI | ((numberOf(value) & 7) << 13));
      fixVlanTpid(flow);
      break;
    case 'ip-dscp':
      setBits(flow, FIELD.nwTos.at, 6, numberOf(value) >>> 2);
      break;
    case 'in-port-oxm':
      setBits(flow, FIELD.inPort.at + 16, 16, portFromOfp11(numberOf(value)));
      break;
    case 'actset-output':
      set(flow, FIELD.actsetOutput, portFromOfp11(numberOf(value)));
      break;
    case 'packet-type': {
      const type = numberOf(value);
      if (type !== 0 && (type >>> 16 !== 1 || (type & 0xffff) === 0)) {
        throw new RangeError(`packet_type: 0x${type.toString(16)}, want 0 or 1 << 16 | ethertype`);
      }
      set(flow, FIELD.packetType, type & 0xffff);
      break;
    }
    case 'dl-type':
      set(flow, FIELD.ethType, swapDlType(numberOf(value)));
      break;
    default: {
      const { at, bits } = placeOf(field);
      setBits(flow, at, bits, numberOf(value));
    }
  }
}

/** Writes the bits of a field that are 1 in `mask`, and leaves the others. */
export function mfSetMasked(field: MfField, value: MfValue, mask: MfValue, flow: FlowKey): void {
  const mixed = mfGet(field, flow);
  for (let i = 0; i < mixed.length; i++) {
    const m = mask[i] as number;
    mixed[i] = ((mixed[i] as number) & ~m) | ((value[i] as number) & m);
  }
  mfSet(field, mixed, flow);
}

/** Whether a field is 0 in a flow. */
export const mfIsZero = (field: MfField, flow: FlowKey): boolean => mfGet(field, flow).every((b) => b === 0);

/** Whether a field can be matched with this mask: any, if single bits can; else all ones or all zeros. */
export const mfIsMaskOk = (field: MfField, mask: MfValue): boolean =>
  field.isMaskable || mask.every((b) => b === 0) || mask.every((b) => b === 0xff);

/** Ones in those bytes of a value that a match of the field may have; fields whose values are not just `bits` wide. */
const VALUE_BITS: Readonly<Record<string, number>> = { nw_tos: 0xfc, arp_op: 0xff, vlan_vid: 0x1fff, ct_state: 0xff };

/** Whether a value makes sense as part of a match: not whether a packet can have it, but whether its bits can be asked for. */
export function mfIsValueOk(field: MfField, value: MfValue): boolean {
  const n = value.length <= 4 ? numberOf(value) : 0;
  switch (field.special) {
    case 'in-port-oxm':
    case 'actset-output':
      return n < OFPP.MAX || n >= 0xffffff00;
    case 'packet-type':
      return n === 0 || (n >>> 16 === 1 && (n & 0xffff) !== 0);
    default:
  }
  if (field.name === 'nsh_ttl') return n <= 63;
  if (field.name === 'nsh_mdtype') return n === 1 || n === 2;
  // The stock switch lets these pass with more bits than they have.
  if (field.name.startsWith('tun_erspan')) return true;
  if (value.length > 4 || field.bits === 32) return field.special !== 'ct-state' || n <= 0xff;
  const ones = VALUE_BITS[field.name] ?? 2 ** field.bits - 1;
  return (n & ~ones) >>> 0 === 0;
}

const ETH = { IP: 0x0800, ARP: 0x0806, RARP: 0x8035, IPV6: 0x86dd, MPLS: 0x8847, MPLS_MCAST: 0x8848, NSH: 0x894f };
const CT = { NEW: 1, EST: 2, REL: 4, REPLY: 8, INVALID: 16, TRACKED: 32, SNAT: 64, DNAT: 128 };

/** Whether the flow is of an IP protocol; adds nwProto to `wc` if it had to be looked at. */
function isProto(flow: FlowKey, type: number, types: readonly number[], proto: number, wc?: FlowMask): boolean {
  if (!types.includes(type)) return false;
  if (wc !== undefined) set(wc, FIELD.nwProto, 0xff);
  return get(flow, FIELD.nwProto) === proto;
}

function isNd(flow: FlowKey, type: number, icmpTypes: readonly number[], wc?: FlowMask): boolean {
  if (!isProto(flow, type, [ETH.IPV6], 58, wc)) return false;
  if (wc !== undefined) set(wc, FIELD.tpDst, 0xffff);
  if (get(flow, FIELD.tpDst) !== 0) return false;
  if (wc !== undefined) set(wc, FIELD.tpSrc, 0xffff);
  return icmpTypes.includes(get(flow, FIELD.tpSrc));
}

function isCtValid(flow: FlowKey, mask?: FlowMask, wc?: FlowMask): boolean {
  const state = get(flow, FIELD.ctState);
  if (mask !== undefined) {
    if ((state & (CT.NEW | CT.EST | CT.REL | CT.REPLY | CT.SNAT | CT.DNAT)) !== 0) return true;
    const isNotInvalid = (get(mask, FIELD.ctState) & CT.INVALID) !== 0 && (state & CT.INVALID) === 0;
    return (state & CT.TRACKED) !== 0 && isNotInvalid;
  }
  const valid = CT.NEW | CT.EST | CT.REPLY;
  if (wc !== undefined) set(wc, FIELD.ctState, get(wc, FIELD.ctState) | valid);
  return (state & valid) !== 0;
}

/**
 * Whether a flow has what a field needs.  With `mask`, flow and mask are a match, and it is asked whether every packet of it has; with
 * `wc`, the flow is a packet's, and the bits that were looked at are added to `wc`.
 */
export function mfPrereqsOk(field: MfField, flow: FlowKey, options: { mask?: FlowMask; wc?: FlowMask } = {}): boolean {
  const { mask, wc } = options;
  const packetType = get(flow, FIELD.packetType);
  const type = packetType !== 0 ? packetType : get(flow, FIELD.ethType);
  const ip = [ETH.IP, ETH.IPV6];
  const isNotLater = (get(flow, FIELD.nwFrag) & 2) === 0;
  switch (field.prereq) {
    case 'none':
      return true;
    case 'ethernet':
    case 'vlan-vid':
      if (wc !== undefined) set(wc, FIELD.packetType, 0xffff);
      if (packetType !== 0 || field.prereq === 'ethernet') return packetType === 0;
      if (wc !== undefined) set(wc, FIELD.vlanTci, get(wc, FIELD.vlanTci) | VLAN_CFI);
      return (get(flow, FIELD.vlanTci) & VLAN_CFI) !== 0;
    case 'arp':
      return type === ETH.ARP || type === ETH.RARP;
    case 'ipv4':
      return type === ETH.IP;
    case 'ipv6':
      return type === ETH.IPV6;
    case 'ip-any':
      return ip.includes(type);
    case 'mpls':
      return type === ETH.MPLS || type === ETH.MPLS_MCAST;
    case 'nsh':
      return type === ETH.NSH;
    case 'ct-valid':
      return isCtValid(flow, mask, wc);
    case 'tcp':
      return isProto(flow, type, ip, 6, wc) && isNotLater;
    case 'udp':
      return isProto(flow, type, ip, 17, wc) && isNotLater;
    case 'sctp':
      return isProto(flow, type, ip, 132, wc) && isNotLater;
    case 'icmpv4':
      return isProto(flow, type, [ETH.IP], 1, wc);
    case 'icmpv6':
      return isProto(flow, type, [ETH.IPV6], 58, wc);
    case 'nd':
      return isNd(flow, type, [135, 136], wc);
    case 'nd-solicit':
      return isNd(flow, type, [135], wc);
    case 'nd-advert':
      return isNd(flow, type, [136], wc);
  }
}
