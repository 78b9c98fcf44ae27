/**
 * Matches of OpenFlow 1.1: struct ofp_match, 88 bytes, whose masks have a 1 for each bit that is not looked at.
 *
 * ```
 *  0 type 16 (0) | 2 length 16 (88) | 4 in_port 32 | 8 wildcards 32 | 12 dl_src 48 | 18 its mask 48 | 24 dl_dst 48 | 30 its mask 48
 * 36 dl_vlan 16 | 38 dl_vlan_pcp 8 | 39 pad 8 | 40 dl_type 16 | 42 nw_tos 8 | 43 nw_proto 8 | 44 nw_src 32 | 48 its mask 32
 * 52 nw_dst 32 | 56 its mask 32 | 60 tp_src 16 | 62 tp_dst 16 | 64 mpls_label 32 | 68 mpls_tc 8 | 69 pad 24 | 72 metadata 64
 * 80 its mask 64
 * ```
 * Source: OpenFlow 1.1.0 A.2.3, lib/ofp-match.c.
 */
import { getBits, setBits } from '../../flow/bits.ts';
import { FIELD, type Field, VLAN_CFI } from '../../flow/fields.ts';
import type { MfField } from '../fields/mf-field.ts';
import { MF } from '../fields/mf-fields.ts';
import { mfGet } from '../fields/mf-value.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { portToOfp11 } from '../ofp-names.ts';
import { emptied, type Match, matchSetField, newMatch } from './match.ts';

export const OF11_MATCH_SIZE = 88;

// biome-ignore format: table
const OFPFW11 = {
  IN_PORT: 1 << 0, DL_VLAN: 1 << 1, DL_VLAN_PCP: 1 << 2, DL_TYPE: 1 << 3, NW_TOS: 1 << 4, NW_PROTO: 1 << 5, TP_SRC: 1 << 6,
  TP_DST: 1 << 7, MPLS_LABEL: 1 << 8, MPLS_TC: 1 << 9,
} as const;
/** OFPVID_*: any tag, no tag. */
const VID = { ANY: 0xfffe, NONE: 0xffff } as const;
const ETH = { IP: 0x0800, ARP: 0x0806, RARP: 0x8035, MPLS: 0x8847, MPLS_MCAST: 0x8848 } as const;
const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, SCTP: 132 } as const;

const field = (name: string): MfField => MF[name] as MfField;
const get = (words: Int32Array, f: Field): number => getBits(words, f.at, f.bits);
const set = (words: Int32Array, f: Field, value: number): void => setBits(words, f.at, f.bits, value);
const badValue = (why: string): never => {
  throw new OfpError(OFPERR.OFPBMC_BAD_VALUE, why);
};

/** Fields with a mask of their own: where value and mask stand. */
const ETHERNET = [
  [field('eth_src'), 12, 18],
  [field('eth_dst'), 24, 30],
] as const;
const IPV4 = [
  [field('ip_src'), 44, 48],
  [field('ip_dst'), 52, 56],
] as const;
const METADATA = [[field('metadata'), 72, 80]] as const;
type Masked = readonly (readonly [MfField, number, number])[];

/** Reads fields with masks; whether any of them is looked at. */
function getMasked(match: Match, struct: Uint8Array, fields: Masked): boolean {
  let isAny = false;
  for (const [f, valueAt, maskAt] of fields) {
    const mask = struct.slice(maskAt, maskAt + f.bytes).map((b) => ~b);
    matchSetField(match, f, struct.slice(valueAt, valueAt + f.bytes), mask);
    isAny ||= mask.some((b) => b !== 0);
  }
  return isAny;
}

function getVlan(match: Match, wild: number, vid: number, pcp: number): void {
  let flow = VLAN_CFI;
  let mask = VLAN_CFI;
  if (vid === VID.NONE) [flow, mask] = [0, 0xffff];
  else if (vid < 4096) [flow, mask] = [VLAN_CFI | vid, VLAN_CFI | 0xfff];
  else if (vid !== VID.ANY) badValue(`dl_vlan 0x${vid.toString(16)}`);
  if (vid !== VID.NONE && (wild & OFPFW11.DL_VLAN_PCP) === 0) {
    if (pcp > 7) badValue(`dl_vlan_pcp ${pcp}`);
    flow |= pcp << 13;
    mask |= 0xe000;
  }
  set(match.flow, FIELD.vlanTci, flow);
  set(match.mask, FIELD.vlanTci, mask);
}

/** Reads what ports there are; of protocols that have none they are not looked at. */
function getPorts(match: Match, wild: number, dv: DataView): void {
  const isIcmp = get(match.flow, FIELD.nwProto) === IPPROTO.ICMP;
  const isPorts = ([IPPROTO.TCP, IPPROTO.UDP, IPPROTO.SCTP] as number[]).includes(get(match.flow, FIELD.nwProto));
  if (!isIcmp && !isPorts) return;
  for (const [f, ofs, bit] of [
    [FIELD.tpSrc, 60, OFPFW11.TP_SRC],
    [FIELD.tpDst, 62, OFPFW11.TP_DST],
  ] as const) {
    if ((wild & bit) !== 0) continue;
    const value = dv.getUint16(ofs);
    if (isIcmp && value > 0xff) throw new OfpError(OFPERR.OFPBMC_BAD_FIELD, `ICMP type or code ${value}`);
    set(match.flow, f, value);
    set(match.mask, f, 0xffff);
  }
}

/** Reads the match at `at`, of which all 88 bytes are there, into `into` if it is given.  Throws OfpError (OFPBMC_BAD_VALUE, OFPBMC_BAD_FIELD). */
export function decodeOf11Match(bytes: Uint8Array, at: number, into?: Match): Match {
  const struct = bytes.subarray(at, at + OF11_MATCH_SIZE);
  const dv = new DataView(struct.buffer, struct.byteOffset, struct.byteLength);
  const wild = dv.getUint32(8);
  const isMatched = (bit: number) => (wild & bit) === 0;
  const match = into === undefined ? newMatch() : emptied(into);
  const { flow, mask } = match;

  if (isMatched(OFPFW11.IN_PORT)) {
    const port = dv.getUint32(4);
    if (port >= 0xff00 && port < 0xffffff00) badValue(`in_port 0x${port.toString(16)}`);
    matchSetField(match, field('in_port'), struct.slice(6, 8));
  }
  let isEthernet = getMasked(match, struct, ETHERNET);
  if (isMatched(OFPFW11.DL_VLAN)) {
    getVlan(match, wild, dv.getUint16(36), dv.getUint8(38));
    isEthernet = true;
  }
  if (isMatched(OFPFW11.DL_TYPE)) {
    matchSetField(match, field('eth_type'), struct.slice(40, 42));
    isEthernet = true;
  }
  if (isEthernet) set(mask, FIELD.packetType, 0xffff);

  const type = get(flow, FIELD.ethType);
  if (type === ETH.IP && isMatched(OFPFW11.NW_TOS)) {
    if ((dv.getUint8(42) & 3) !== 0) badValue(`nw_tos ${dv.getUint8(42)}`);
    matchSetField(match, field('nw_tos'), struct.slice(42, 43));
  }
  if (type === ETH.IP || type === ETH.ARP || type === ETH.RARP) {
    if (isMatched(OFPFW11.NW_PROTO)) matchSetField(match, field('nw_proto'), struct.slice(43, 44));
    getMasked(match, struct, IPV4);
  }
  if (type === ETH.IP) getPorts(match, wild, dv);
  if (type === ETH.MPLS || type === ETH.MPLS_MCAST) {
    if (isMatched(OFPFW11.MPLS_LABEL)) matchSetField(match, field('mpls_label'), struct.slice(64, 68));
    if (isMatched(OFPFW11.MPLS_TC)) matchSetField(match, field('mpls_tc'), struct.slice(68, 69));
  }
  getMasked(match, struct, METADATA);
  return match;
}

/** Fields that a wildcard bit masks as a whole: where, and the bit. */
// biome-ignore format: table
const WHOLE: readonly (readonly [MfField, number, number])[] = [
  [field('eth_type'), 40, OFPFW11.DL_TYPE],   [field('nw_tos'), 42, OFPFW11.NW_TOS],  [field('nw_proto'), 43, OFPFW11.NW_PROTO],
  [field('tcp_src'),  60, OFPFW11.TP_SRC],    [field('tcp_dst'), 62, OFPFW11.TP_DST], [field('mpls_label'), 64, OFPFW11.MPLS_LABEL],
  [field('mpls_tc'),  68, OFPFW11.MPLS_TC],
];

/** Writes a match; what OpenFlow 1.1 cannot say of it is left out. */
export function encodeOf11Match({ flow, mask }: Match): Uint8Array {
  const bytes = new Uint8Array(OF11_MATCH_SIZE);
  const dv = new DataView(bytes.buffer);
  dv.setUint16(2, OF11_MATCH_SIZE);
  let wild = 0;
  if ((get(mask, FIELD.inPort) & 0xffff) === 0) wild |= OFPFW11.IN_PORT;
  else dv.setUint32(4, portToOfp11(get(flow, FIELD.inPort) & 0xffff));
  for (const [f, valueAt, maskAt] of [...ETHERNET, ...IPV4, ...METADATA]) {
    mfGet(f, flow, bytes.subarray(valueAt, valueAt + f.bytes));
    bytes.set(
      mfGet(f, mask).map((b) => ~b),
      maskAt,
    );
  }

  const tci = get(flow, FIELD.vlanTci);
  const tciMask = get(mask, FIELD.vlanTci);
  if (tciMask === 0) wild |= OFPFW11.DL_VLAN | OFPFW11.DL_VLAN_PCP;
  else if ((tciMask & VLAN_CFI) !== 0 && (tci & VLAN_CFI) === 0) {
    dv.setUint16(36, VID.NONE);
    wild |= OFPFW11.DL_VLAN_PCP;
  } else {
    dv.setUint16(36, (tciMask & 0xfff) === 0 ? VID.ANY : tci & 0xfff);
    if ((tciMask & 0xe000) === 0) wild |= OFPFW11.DL_VLAN_PCP;
    else dv.setUint8(38, tci >>> 13);
  }

  for (const [f, ofs, bit] of WHOLE) {
    if (mfGet(f, mask).every((b) => b === 0)) wild |= bit;
    else mfGet(f, flow, bytes.subarray(ofs, ofs + f.bytes));
  }
  dv.setUint32(8, wild);
  return bytes;
}
