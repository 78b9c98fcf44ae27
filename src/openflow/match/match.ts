/**
 * A match: a flow, and a mask of the bits of it that count.  Bits of the flow outside of the mask are 0.
 *
 * Fields of tun_metadata have their place in a flow by a switch's TLV table only.  In messages and in text they stand beside the flow;
 * `tlv-bind.ts` puts them into it.
 * Source: include/openvswitch/match.h, lib/meta-flow.c (mf_set), lib/tun-metadata.c (tun_metadata_set_match).
 */
import { setBits } from '../../flow/bits.ts';
import { FIELD, OF_FLOW_WORDS } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import type { MfField, MfValue } from '../fields/mf-field.ts';
import { mfCheckSpecial, mfMaskField, mfSet } from '../fields/mf-value.ts';

export interface Match {
  readonly flow: FlowKey;
  readonly mask: FlowMask;
  /** By rising index; undefined: none. */
  tunMetadata?: readonly TunMetadata[];
}

/** A match of tun_metadata `index`: its last bytes, as many as say something. */
export interface TunMetadata {
  readonly index: number;
  /** false: of packets without the option. */
  readonly isPresent: boolean;
  readonly value: MfValue;
  /** As long as `value`. */
  readonly mask: MfValue;
  /** Whether a mask was told, even one of all ones: bytes before those that are here do not count then, else they are 0. */
  readonly isMasked: boolean;
  /** Bytes of the value in the message that it came in; undefined: as many as `value` has. */
  readonly wireSize?: number;
}

/** Bytes of all values of tun_metadata in a match. */
const TUN_METADATA_SPACE = 256;

/** The significant bytes: those after leading zeros. */
function significant(bytes: MfValue): number {
  const first = bytes.findIndex((b) => b !== 0);
  return first < 0 ? 0 : bytes.length - first;
}

/**
 * Has the match look at a tun_metadata without a place; `isWire`: `value` is as long as in the message that it comes from.  Throws RangeError if
 * the match has the field already, or no room for it.
 */
export function addTunMetadata(match: Match, field: MfField, value: MfValue, mask?: MfValue, isWire = false): void {
  const told = match.tunMetadata ?? [];
  const isMasked = mask !== undefined && !(mask.length === field.bytes && mask.every((b) => b === 0xff));
  const size = Math.max(significant(value), isMasked ? significant(mask) : 0);
  const used = told.reduce((sum, t) => sum + t.value.length, size);
  if (used > TUN_METADATA_SPACE) {
    const space = `(used ${used}, max ${TUN_METADATA_SPACE})`;
    throw new RangeError(`field ${field.name} exceeds maximum size for tunnel metadata ${space}`);
  }
  if (hasTunMetadata(match, field)) throw new RangeError(`field ${field.name} set multiple times`);
  const bits = isMasked ? mask.slice(mask.length - size) : new Uint8Array(size).fill(0xff);
  const part = value.slice(value.length - size).map((b, i) => b & (bits[i] as number));
  const told1 = { index: field.index, isPresent: true, value: part, mask: bits, isMasked };
  const added = isWire && value.length > size ? { ...told1, wireSize: value.length } : told1;
  match.tunMetadata = [...told, added].sort((a, b) => a.index - b.index);
}

/** Whether a match looks at a tun_metadata field. */
export const hasTunMetadata = (match: Match, field: MfField): boolean =>
  match.tunMetadata?.some((t) => t.index === field.index) ?? false;

// Most matches live no longer than their message: views of common memory cost a fraction of memory of their own.
const SLAB_FLOWS = 64;
let slab = new Int32Array(0);
let slabUsed = 0;

function slabFlow(): FlowKey {
  if (slabUsed === slab.length) {
    slab = new Int32Array(SLAB_FLOWS * OF_FLOW_WORDS);
    slabUsed = 0;
  }
  const from = slabUsed;
  slabUsed += OF_FLOW_WORDS;
  return slab.subarray(from, slabUsed);
}

/** A match of every packet. */
export const newMatch = (): Match => ({ flow: slabFlow(), mask: slabFlow() });

/** Makes a match one of every packet. */
export function emptied(match: Match): Match {
  match.flow.fill(0);
  match.mask.fill(0);
  if (match.tunMetadata !== undefined) delete match.tunMetadata;
  return match;
}

/** Forgets what writing a tag made of its type: no match looks at it. */
function clearTpid(match: Match): void {
  setBits(match.flow, FIELD.vlanTpid.at, 16, 0);
  setBits(match.mask, FIELD.vlanTpid.at, 16, 0);
}

/** All bits of an ERSPAN hardware ID. */
const ERSPAN_HWID_BITS = 0x3f;

/**
 * Whether the bits of the value are those that a masked match looks at: so it is with stock's ERSPAN hardware IDs, and in its ovs-ofctl, too, which
 * sends V/M as V&M under the mask V.  Exact matches are left exact.  Source: lib/match.c (match_set_tun_erspan_hwid_masked).
 */
function takesValueForMask(field: MfField, mask: MfValue): boolean {
  return field.name === 'tun_erspan_hwid' && ((mask[0] as number) & ERSPAN_HWID_BITS) !== ERSPAN_HWID_BITS;
}

/**
 * Makes the match look at a field: `value` on the bits of `mask`, all bits if there is none.  The caller has checked value, mask and
 * prerequisites.  Throws OfpError or RangeError as `mfCheckSpecial` does, and RangeError for a tun_metadata that it has, or has no room for.
 */
export function matchSetField(match: Match, field: MfField, value: MfValue, mask?: MfValue): void {
  if (field.special === 'tun-metadata' && field.words === undefined) {
    addTunMetadata(match, field, value, mask);
    return;
  }
  if (mask === undefined || mask.every((b) => b === 0xff)) {
    mfCheckSpecial(field, value);
    mfSet(field, value, match.flow);
    mfMaskField(field, match.mask);
    // dl_vlan=0xffff is a packet without tag: all of the TCI is 0.
    if (field.special === 'dl-vlan' && value.every((b) => b === 0xff)) {
      setBits(match.mask, FIELD.vlanTci.at, 16, 0xffff);
    }
  } else if (mask.some((b) => b !== 0)) {
    mfSet(
      field,
      value.map((b, i) => b & (mask[i] as number)),
      match.flow,
    );
    mfSet(field, takesValueForMask(field, mask) ? value : mask, match.mask);
  }
  clearTpid(match);
}
