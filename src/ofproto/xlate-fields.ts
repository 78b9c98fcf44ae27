/**
 * What translation does with match fields: reads and writes them, or some bits of them, in a flow, asks whether the packet has them, and notes in
 * the wildcards what decided.
 *
 * Numbers are BigInt, as fields have up to 128 bits.  Fields of tun_metadata, whose place a bridge's table tells, are read as 0 and not written.
 * Source: lib/meta-flow.c (mf_get_value, mf_set_flow_value, mf_are_prereqs_ok), lib/nx-match.c.
 */
import { getBits, setBits } from '../flow/bits.ts';
import { FIELD, type Field, OVS_FRAG_TYPE, VLAN_CFI } from '../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField, setFieldOnes } from '../flow/flow-key.ts';
import type { MfField, MfValue, Subfield } from '../openflow/mf-field.ts';
import { isMplsType } from './flow-mpls.ts';

const F = FIELD;
const VID_AND_CFI = 0x1fff;
const DSCP = 0xfc;

/** Big-endian bytes as a number, and back. */
export const bytesValue = (bytes: MfValue): bigint => bytes.reduce((v, b) => (v << 8n) | BigInt(b), 0n);

export function valueBytes(value: bigint, size: number): MfValue {
  const out = new Uint8Array(size);
  for (let i = size - 1; i >= 0; i--, value >>= 8n) out[i] = Number(value & 0xffn);
  return out;
}

function readBits(flow: FlowKey, at: number, bits: number): bigint {
  let value = 0n;
  for (let done = 0; done < bits; done += 32) {
    const n = Math.min(32, bits - done);
    value = (value << BigInt(n)) | BigInt(getBits(flow, at + done, n));
  }
  return value;
}

function writeBits(flow: FlowKey, at: number, bits: number, value: bigint): void {
  for (let left = bits; left > 0; ) {
    const n = left % 32 === 0 ? 32 : left % 32;
    // The last piece first: it has the lowest bits.
    const size = left === bits && bits % 32 !== 0 ? n : 32;
    left -= size;
    setBits(flow, at + left, size, Number(BigInt.asUintN(size, value)));
    value >>= BigInt(size);
  }
}

/** Value of `mf` in a flow, or in wildcards, as a number of the field's bytes. */
export function mfRead(flow: FlowKey, mf: MfField): bigint {
  if (mf.at < 0) return 0n;
  const tci = getField(flow, F.vlanTci);
  switch (mf.special) {
    case 'vlan-vid':
      return BigInt(tci & VID_AND_CFI);
    case 'ip-dscp':
      return BigInt(getField(flow, F.nwTos) & DSCP);
    case 'in-port-oxm':
    case 'actset-output': {
      // Reserved numbers have 32 bits in OpenFlow 1.1 and later.
      const port = Number(readBits(flow, mf.at, mf.bits));
      return BigInt(port >= 0xff00 && port <= 0xffff ? port + 0xffff0000 : port);
    }
    default:
      return readBits(flow, mf.at, mf.bits);
  }
}

/** Writes `value`; a tag that was not there is given a TPID, unless it is wildcards (`isMask`) that are written. */
export function mfWrite(flow: FlowKey, mf: MfField, value: bigint, isMask = false): void {
  if (mf.at < 0) return;
  const tci = getField(flow, F.vlanTci);
  const v = Number(BigInt.asUintN(32, value));
  switch (mf.special) {
    case 'vlan-tci':
      setField(flow, F.vlanTci, v);
      break;
    case 'vlan-vid':
      setField(flow, F.vlanTci, (tci & ~VID_AND_CFI) | (v & VID_AND_CFI));
      break;
    case 'dl-vlan':
      setField(flow, F.vlanTci, (tci & ~0xfff) | VLAN_CFI | (v & 0xfff));
      break;
    case 'vlan-pcp':
      setField(flow, F.vlanTci, (tci & 0x1fff) | VLAN_CFI | ((v & 7) << 13));
      break;
    case 'ip-dscp':
      setField(flow, F.nwTos, (getField(flow, F.nwTos) & ~DSCP) | (v & DSCP));
      return;
    case 'in-port-oxm':
    case 'actset-output':
      writeBits(flow, mf.at, mf.bits, isMask ? value : BigInt.asUintN(16, value));
      return;
    default:
      writeBits(flow, mf.at, mf.bits, value);
      return;
  }
  if (!isMask && getField(flow, F.vlanTci) !== 0 && getField(flow, F.vlanTpid) === 0)
    setField(flow, F.vlanTpid, 0x8100);
}

/** Writes the bits of `mask`. */
export function mfWriteMasked(flow: FlowKey, mf: MfField, value: bigint, mask: bigint): void {
  mfWrite(flow, mf, (mfRead(flow, mf) & ~mask) | (value & mask));
}

/** Notes that the bits of `mask` of the field decided. */
export function mfUnwildcard(wc: FlowMask, mf: MfField, mask: bigint): void {
  mfWrite(wc, mf, mfRead(wc, mf) | mask, true);
}

const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** Value of some bits of a field, as a number from bit 0 on. */
export const subRead = (flow: FlowKey, s: Subfield): bigint => (mfRead(flow, s.field) >> BigInt(s.ofs)) & ones(s.bits);

export function subWrite(flow: FlowKey, s: Subfield, value: bigint): void {
  const mask = ones(s.bits) << BigInt(s.ofs);
  mfWriteMasked(flow, s.field, value << BigInt(s.ofs), mask);
}

export function subUnwildcard(wc: FlowMask, s: Subfield): void {
  mfUnwildcard(wc, s.field, ones(s.bits) << BigInt(s.ofs));
}

/** Writes as an action does: only if the packet has the field, and what is written is matched. */
export function subLoad(flow: FlowKey, wc: FlowMask, s: Subfield, value: bigint): void {
  if (!hasField(flow, s.field, wc)) return;
  subUnwildcard(wc, s);
  subWrite(flow, s, value);
}

/** Whether the packet has the IP protocol; the protocol is noted if it is IP. */
function isProto(flow: FlowKey, wc: FlowMask, ethTypes: readonly number[], proto: number): boolean {
  if (!ethTypes.includes(getField(flow, F.ethType))) return false;
  setFieldOnes(wc, F.nwProto);
  return getField(flow, F.nwProto) === proto;
}

const IPV4 = [0x0800];
const IPV6 = [0x86dd];
const IP_ANY = [0x0800, 0x86dd];

function isNd(flow: FlowKey, wc: FlowMask, types: readonly number[]): boolean {
  if (!isProto(flow, wc, IPV6, 58)) return false;
  const both: readonly Field[] = [F.tpSrc, F.tpDst];
  for (const f of both) setField(wc, f, getField(wc, f) | 0xff);
  return getField(flow, F.tpDst) === 0 && types.includes(getField(flow, F.tpSrc));
}

/** Whether the packet is such that `mf` means something; notes in `wc` what told. */
export function hasField(flow: FlowKey, mf: MfField, wc: FlowMask): boolean {
  const type = getField(flow, F.ethType);
  const isLater = getField(flow, F.nwFrag) === OVS_FRAG_TYPE.LATER;
  switch (mf.prereq) {
    case 'none':
      return true;
    case 'ethernet':
      setFieldOnes(wc, F.packetType);
      return getField(flow, F.packetType) === 0;
    case 'arp':
      return type === 0x0806 || type === 0x8035;
    case 'vlan-vid':
      setField(wc, F.vlanTci, getField(wc, F.vlanTci) | VLAN_CFI);
      return (getField(flow, F.vlanTci) & VLAN_CFI) !== 0;
    case 'ipv4':
      return type === 0x0800;
    case 'ipv6':
      return type === 0x86dd;
    case 'ip-any':
      return type === 0x0800 || type === 0x86dd;
    case 'nsh':
      return type === 0x894f;
    case 'mpls':
      return isMplsType(type);
    case 'ct-valid':
      setField(wc, F.ctState, getField(wc, F.ctState) | 0x20);
      return (getField(flow, F.ctState) & 0x20) !== 0;
    case 'tcp':
      return isProto(flow, wc, IP_ANY, 6) && !isLater;
    case 'udp':
      return isProto(flow, wc, IP_ANY, 17) && !isLater;
    case 'sctp':
      return isProto(flow, wc, IP_ANY, 132) && !isLater;
    case 'icmpv4':
      return isProto(flow, wc, IPV4, 1);
    case 'icmpv6':
      return isProto(flow, wc, IPV6, 58);
    case 'nd':
      return isNd(flow, wc, [135, 136]);
    case 'nd-solicit':
      return isNd(flow, wc, [135]);
    case 'nd-advert':
      return isNd(flow, wc, [136]);
  }
}
