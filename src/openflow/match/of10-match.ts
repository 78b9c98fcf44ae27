/**
 * Matches of OpenFlow 1.0: struct ofp_match, 40 bytes.
 *
 * ```
 * 0 wildcards 32 | 4 in_port 16 | 6 dl_src 48 | 12 dl_dst 48 | 18 dl_vlan 16 | 20 dl_vlan_pcp 8 | 21 pad 8
 * 22 dl_type 16 | 24 nw_tos 8 | 25 nw_proto 8 | 26 pad 16 | 28 nw_src 32 | 32 nw_dst 32 | 36 tp_src 16 | 38 tp_dst 16
 * ```
 * Nothing in it can be wrong: a field that is wildcarded is not looked at, and what a packet cannot have it never has.
 * Source: OpenFlow 1.0.2 5.2.3, lib/ofp-match.c.
 */
import { getBits, setBits } from '../../flow/bits.ts';
import { FIELD, type Field, VLAN_CFI } from '../../flow/fields.ts';
import type { MfField } from '../fields/mf-field.ts';
import { MF } from '../fields/mf-fields.ts';
import { mfGet, swapDlType } from '../fields/mf-value.ts';
import { emptied, type Match, newMatch } from './match.ts';

export const OF10_MATCH_SIZE = 40;

/** OFPFW_*: a 1 for each field that is not looked at. */
// biome-ignore format: table
const OFPFW = {
  IN_PORT: 1 << 0, DL_VLAN: 1 << 1, DL_SRC: 1 << 2, DL_DST: 1 << 3, DL_TYPE: 1 << 4, NW_PROTO: 1 << 5, TP_SRC: 1 << 6, TP_DST: 1 << 7,
  /** Six bits: how many of the lowest bits of the address are not looked at; 32 and more: none is. */
  NW_SRC_SHIFT: 8, NW_DST_SHIFT: 14,
  DL_VLAN_PCP: 1 << 20, NW_TOS: 1 << 21,
} as const;

const VLAN_NONE = 0xffff;

const field = (name: string): MfField => MF[name] as MfField;
/** Fields that stand in the struct as in an NXM entry: where, and their wildcard. */
// biome-ignore format: table
const PLAIN: readonly (readonly [MfField, number, number])[] = [
  [field('in_port'),  4,  OFPFW.IN_PORT],  [field('eth_src'),  6,  OFPFW.DL_SRC],   [field('eth_dst'), 12, OFPFW.DL_DST],
  [field('eth_type'), 22, OFPFW.DL_TYPE],  [field('nw_tos'),   24, OFPFW.NW_TOS],   [field('nw_proto'), 25, OFPFW.NW_PROTO],
  [field('tcp_src'),  36, OFPFW.TP_SRC],   [field('tcp_dst'),  38, OFPFW.TP_DST],
];
const ADDRESSES = [
  [field('ip_src'), 28, OFPFW.NW_SRC_SHIFT],
  [field('ip_dst'), 32, OFPFW.NW_DST_SHIFT],
] as const;

const get = (words: Int32Array, f: Field): number => getBits(words, f.at, f.bits);
const set = (words: Int32Array, f: Field, value: number): void => setBits(words, f.at, f.bits, value);

/** Makes a match look at all of a field, whose value is at `at`. */
function setPlain({ flow, mask }: Match, f: MfField, dv: DataView, at: number): void {
  if (f.bits === 48) {
    setBits(flow, f.at, 16, dv.getUint16(at));
    setBits(flow, f.at + 16, 32, dv.getUint32(at + 2));
    setBits(mask, f.at, 16, -1);
    setBits(mask, f.at + 16, 32, -1);
    return;
  }
  const value = f.bytes === 1 ? dv.getUint8(at) : dv.getUint16(at);
  if (f.special === 'ip-dscp') {
    setBits(flow, f.at, 6, value >>> 2);
    setBits(mask, f.at, 6, -1);
    return;
  }
  setBits(flow, f.at, f.bits, f.special === 'dl-type' ? swapDlType(value) : value);
  setBits(mask, f.at, f.bits, -1);
}

/** Reads the match at `at`, of which all 40 bytes are there, into `into` if it is given.  Hot path of flow_mods: allocates nothing else. */
export function decodeOf10Match(bytes: Uint8Array, at: number, into?: Match): Match {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wild = dv.getUint32(at);
  const match = into === undefined ? newMatch() : emptied(into);
  let isOfPackets = false;
  for (const [f, ofs, bit] of PLAIN) {
    if ((wild & bit) !== 0) continue;
    setPlain(match, f, dv, at + ofs);
    isOfPackets ||= bit !== OFPFW.IN_PORT;
  }
  for (const [f, ofs, shift] of ADDRESSES) {
    const nWild = (wild >>> shift) & 0x3f;
    if (nWild >= 32) continue;
    setBits(match.flow, f.at, 32, dv.getUint32(at + ofs) & (-1 << nWild));
    setBits(match.mask, f.at, 32, -1 << nWild);
    isOfPackets = true;
  }

  const hasVid = (wild & OFPFW.DL_VLAN) === 0;
  const hasPcp = (wild & OFPFW.DL_VLAN_PCP) === 0;
  const vid = dv.getUint16(at + 18);
  if (hasVid && vid === VLAN_NONE) {
    // A priority of no tag is no match: it is left out.
    set(match.mask, FIELD.vlanTci, 0xffff);
  } else if (hasVid || hasPcp) {
    const mask = VLAN_CFI | (hasVid ? 0xfff : 0) | (hasPcp ? 0xe000 : 0);
    set(match.mask, FIELD.vlanTci, mask);
    set(match.flow, FIELD.vlanTci, (VLAN_CFI | (vid & 0xfff) | (dv.getUint8(at + 20) << 13)) & mask);
  }
  if (isOfPackets || hasVid || hasPcp) set(match.mask, FIELD.packetType, 0xffff);
  return match;
}

/** How many of the lowest bits of a CIDR mask are 0. */
function wildBits(mask: number): number {
  return mask === 0 ? 32 : 31 - Math.clz32(mask & -mask);
}

/** Writes a match; what OpenFlow 1.0 cannot say of it is left out. */
export function encodeOf10Match({ flow, mask }: Match): Uint8Array {
  const bytes = new Uint8Array(OF10_MATCH_SIZE);
  const dv = new DataView(bytes.buffer);
  let wild = 0;
  for (const [f, ofs, bit] of PLAIN) {
    mfGet(f, flow, bytes.subarray(ofs, ofs + f.bytes));
    // Of an Ethernet address any bit of the mask counts, of the others all have it.
    if (mfGet(f, mask).every((b) => b === 0)) wild |= bit;
  }
  for (const [f, ofs, shift] of ADDRESSES) {
    mfGet(f, flow, bytes.subarray(ofs, ofs + 4));
    wild |= wildBits(get(mask, f.name === 'ip_src' ? FIELD.nwSrc : FIELD.nwDst)) << shift;
  }

  const tci = get(flow, FIELD.vlanTci);
  const tciMask = get(mask, FIELD.vlanTci);
  if (tciMask === 0) wild |= OFPFW.DL_VLAN | OFPFW.DL_VLAN_PCP;
  else if ((tciMask & VLAN_CFI) !== 0 && (tci & VLAN_CFI) === 0) dv.setUint16(18, VLAN_NONE);
  else {
    if ((tciMask & 0xfff) === 0) wild |= OFPFW.DL_VLAN;
    else dv.setUint16(18, tci & 0xfff);
    if ((tciMask & 0xe000) === 0) wild |= OFPFW.DL_VLAN_PCP;
    else dv.setUint8(20, tci >>> 13);
  }
  dv.setUint32(0, wild);
  return bytes;
}
