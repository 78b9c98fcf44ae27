/**
 * Values of match fields: reading them from a flow or mask, and writing them.  `mf-prereqs.ts` tells what they need of a packet.
 *
 * A value is big-endian bytes, as long as the field's `bytes`, right-aligned.  Most are copied bit by bit; `special` of the field names the
 * few whose value is not what the flow has.  A tun_metadata has a place, and a bit that tells whether the packet has it, only as the field that
 * a TLV table gives (`TlvTable.fieldOf`); one without is 0, and what is written there is lost.
 * Source: lib/meta-flow.c.
 */
import { areBitsZero, fillBits, getBits, setBits } from '../../flow/bits.ts';
import { ETH_TYPE_802_2, FIELD, type Field, VLAN_CFI } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { portFromOfp11, portToOfp11 } from '../ofp-names.ts';
import { OFPP } from '../ofp-port.ts';
import type { MfField, MfValue } from './mf-field.ts';

/** OFP_DL_TYPE_NOT_ETH_TYPE: what OpenFlow calls the type of a frame that has a length instead. */
const DL_TYPE_NOT_ETH_TYPE = 0x05ff;
/** OFP10_VLAN_NONE: a dl_vlan that says "no tag". */
const VLAN_NONE = 0xffff;

const get = (flow: FlowKey, field: Field): number => getBits(flow, field.at, field.bits);
const set = (flow: FlowKey, field: Field, value: number): void => setBits(flow, field.at, field.bits, value);

/** The number that a flow has for what OpenFlow calls `type`, and the other way. */
export const swapDlType = (type: number): number =>
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

/** Calls `each` with the first bit in a flow of every word of a tun_metadata that has a place, and the word's first byte in the value. */
function eachTunWord({ words = [], bytes }: MfField, each: (at: number, byte: number) => void): void {
  const first = bytes - 4 * words.length;
  for (let i = 0; i < words.length; i++) each(FIELD.tunMeta.at + 32 * (words[i] as number), first + 4 * i);
}

/** Sets the bit that tells of a tun_metadata, if the field has a place. */
function markTunMetadata(field: MfField, flow: FlowKey): void {
  if (field.words !== undefined) setBits(flow, tunPresentBit(field), 1, 1);
}

/** The bit that tells whether a flow has a tun_metadata. */
const tunPresentBit = (field: MfField): number => FIELD.tunMetaPresent.at + FIELD.tunMetaPresent.bits - 1 - field.index;

/** Whether a flow has a tun_metadata, or a mask looks at it. */
export const mfHasTunMetadata = (field: MfField, flow: FlowKey): boolean =>
  getBits(flow, tunPresentBit(field), 1) !== 0;

/** Takes a tun_metadata out of a flow: delete_field.  Its value stays, for who reads it all the same; no packet leaves with it. */
export function mfClearTunMetadata(field: MfField, flow: FlowKey): void {
  setBits(flow, tunPresentBit(field), 1, 0);
}

const wordAt = (value: MfValue, i: number): number =>
  ((value[i] as number) << 24) |
  ((value[i + 1] as number) << 16) |
  ((value[i + 2] as number) << 8) |
  (value[i + 3] as number);

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
  if (field.special === 'tun-metadata') {
    out.fill(0);
    eachTunWord(field, (at, byte) => putNumber(out.subarray(byte, byte + 4), getBits(flow, at, 32)));
    return out;
  }
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
  if (field.special === 'tun-metadata') return !mfHasTunMetadata(field, mask);
  // A tag's presence alone is no match on its id or priority.
  if (field.special === 'dl-vlan') return (get(mask, FIELD.vlanTci) & 0xfff) === 0;
  if (field.special === 'vlan-pcp') return (get(mask, FIELD.vlanTci) & 0xe000) === 0;
  const { at, bits } = placeOf(field);
  return areBitsZero(mask, at, bits);
}

/** Adds all of a field to a mask. */
export function mfMaskField(field: MfField, mask: FlowMask): void {
  if (field.special === 'tun-metadata') {
    eachTunWord(field, (at) => setBits(mask, at, 32, -1));
    markTunMetadata(field, mask);
    return;
  }
  const { at, bits } = placeOf(field);
  fillBits(mask, at, bits, true);
}

/** Adds those bits of a field to a mask that are 1 in `bits`; of a field whose value is translated, all that the value depends on. */
export function mfMaskBits(field: MfField, bits: MfValue, mask: FlowMask): void {
  if (field.special === undefined) {
    for (let left = field.bits, i = bits.length - 1; left > 0 && i >= 0; left -= 8, i--) {
      const n = Math.min(8, left);
      const at = field.at + left - n;
      setBits(mask, at, n, getBits(mask, at, n) | (bits[i] as number));
    }
    return;
  }
  if (field.special === 'tun-metadata') {
    eachTunWord(field, (at, byte) => setBits(mask, at, 32, getBits(mask, at, 32) | wordAt(bits, byte)));
    markTunMetadata(field, mask);
    return;
  }
  const n = numberOf(bits);
  if (n === 0) return;
  const { at, bits: size } = placeOf(field);
  let inPlace = n;
  if (field.special === 'dl-vlan') inPlace = (n & 0xfff) | VLAN_CFI;
  else if (field.special === 'vlan-pcp') inPlace = ((n & 7) << 1) | 1;
  else if (field.special === 'ip-dscp') inPlace = n >>> 2;
  else if (field.special === 'packet-type' || field.special === 'dl-type') inPlace = -1;
  setBits(mask, at, size, getBits(mask, at, size) | inPlace);
}

/** A tag that was written into a flow without one is an 802.1Q tag. */
function fixVlanTpid(flow: FlowKey): void {
  if (get(flow, FIELD.vlanTpid) === 0 && get(flow, FIELD.vlanTci) !== 0) set(flow, FIELD.vlanTpid, 0x8100);
}

/** Throws OfpError (OFPBAC_BAD_OUT_PORT) for a port that this switch cannot have, RangeError for a packet type that it does not know. */
export function mfCheckSpecial(field: MfField, value: MfValue): void {
  if (field.special === 'in-port-oxm' || field.special === 'actset-output') portFromOfp11(numberOf(value));
  else if (field.special === 'packet-type' && !mfIsValueOk(field, value)) {
    throw new RangeError(`packet_type: 0x${numberOf(value).toString(16)}, want 0 or 1 << 16 | ethertype`);
  }
}

/** The 16-bit port of a 32-bit one; NONE for one that this switch cannot have. */
const shortPort = (port: number): number => (port < OFPP.MAX || port >= 0xffffff00 ? port & 0xffff : OFPP.NONE);

/** Writes a field of a flow.  The caller has seen to the prerequisites, and, with `mfCheckSpecial`, to values that make no sense. */
export function mfSet(field: MfField, value: MfValue, flow: FlowKey): void {
  switch (field.special) {
    case undefined:
    case 'ip-frag':
      for (let left = field.bits, i = value.length - 1; left > 0 && i >= 0; left -= 8, i--) {
        const n = Math.min(8, left);
        setBits(flow, field.at + left - n, n, value[i] as number);
      }
      break;
    case 'tun-metadata':
      eachTunWord(field, (at, byte) => setBits(flow, at, 32, wordAt(value, byte)));
      markTunMetadata(field, flow);
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
      setBits(flow, FIELD.inPort.at + 16, 16, shortPort(numberOf(value)));
      break;
    case 'actset-output':
      set(flow, FIELD.actsetOutput, shortPort(numberOf(value)));
      break;
    case 'packet-type':
      set(flow, FIELD.packetType, numberOf(value) & 0xffff);
      break;
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
  if (field.special === undefined) {
    for (let left = field.bits, i = value.length - 1; left > 0 && i >= 0; left -= 8, i--) {
      const n = Math.min(8, left);
      const at = field.at + left - n;
      setBits(
        flow,
        at,
        n,
        (getBits(flow, at, n) & ~(mask[i] as number)) | ((value[i] as number) & (mask[i] as number)),
      );
    }
    return;
  }
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

const NSH_VALUES: ReadonlySet<string> = new Set(['nsh_ttl', 'nsh_mdtype']);
/** Whether a match may have other values of a field than its width allows, or fewer. */
export const mfHasOwnValues = (field: MfField): boolean => field.name in VALUE_BITS || NSH_VALUES.has(field.name);

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
