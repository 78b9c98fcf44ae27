/**
 * Matches from text, part by part: `tcp`, `in_port=1`, `nw_dst=10.0.0.0/8`, `reg0[0..3]=5`.
 *
 * Each part is told with the protocols (OFPUTIL_P bits) that can say it.
 * Source: lib/ofp-parse.c (ofp_parse_field, ofp_parse_protocol), lib/ofp-flow.c (parse_subfield), lib/meta-flow.c (mf_set), ovs-fields(7).
 */
import { fillBits, getBits, setBits } from '../../flow/bits.ts';
import { FIELD, type Field } from '../../flow/fields.ts';
import { newFlow } from '../../flow/flow-key.ts';
import { prefixOf } from '../fields/masked-text.ts';
import type { MfField, MfValue } from '../fields/mf-field.ts';
import { mfByName } from '../fields/mf-fields.ts';
import { parseSubfield } from '../fields/mf-subfield.ts';
import { formatMf, parseMf } from '../fields/mf-text.ts';
import { mfGet, mfGetMask, mfIsAllWild, mfMaskField } from '../fields/mf-value.ts';
import type { NameMap, OfpNames } from '../ofp-names.ts';
import { OFPUTIL_P } from '../ofp-protocol.ts';
import { KeyValues, OfpTextError, scanIntString } from '../ofp-text.ts';
import { type Match, matchSetField, newMatch } from './match.ts';

const ETH = { IP: 0x0800, ARP: 0x0806, RARP: 0x8035, IPV6: 0x86dd, MPLS: 0x8847, MPLS_MCAST: 0x8848 };

/** Names that stand for an ethertype, and a protocol if there is a second number. */
const SHORTHANDS: Readonly<Record<string, readonly [number, number?]>> = {
  ip: [ETH.IP],
  ipv4: [ETH.IP],
  ip4: [ETH.IP],
  arp: [ETH.ARP],
  icmp: [ETH.IP, 1],
  tcp: [ETH.IP, 6],
  udp: [ETH.IP, 17],
  sctp: [ETH.IP, 132],
  ipv6: [ETH.IPV6],
  ip6: [ETH.IPV6],
  icmp6: [ETH.IPV6, 58],
  tcp6: [ETH.IPV6, 6],
  udp6: [ETH.IPV6, 17],
  sctp6: [ETH.IPV6, 132],
  rarp: [ETH.RARP],
  mpls: [ETH.MPLS],
  mplsm: [ETH.MPLS_MCAST],
};

/** Ethertype and IP protocol of `tcp` and the like; undefined for other words. */
export const protocolNamed = (name: string): readonly [number, number?] | undefined =>
  Object.hasOwn(SHORTHANDS, name) ? SHORTHANDS[name] : undefined;

function setExact({ flow, mask }: Match, { at, bits }: Field, value: number): void {
  setBits(flow, at, bits, value);
  fillBits(mask, at, bits, true);
}

/** A match of a field of Ethernet packets is one of those only, unless it says otherwise. */
function needEthernet(match: Match): void {
  if (getBits(match.mask, FIELD.packetType.at, FIELD.packetType.bits) === 0) setExact(match, FIELD.packetType, 0);
}

/** Takes a field out of a match. */
function setWild(match: Match, field: MfField): void {
  if (mfIsAllWild(field, match.mask)) return;
  const bits = newFlow();
  mfMaskField(field, bits);
  for (let i = 0; i < bits.length; i++) {
    (match.mask[i] as number) &= ~(bits[i] as number);
    (match.flow[i] as number) &= ~(bits[i] as number);
  }
}

/** Puts a value into a match; which protocols can say it. */
function setField(match: Match, field: MfField, value: MfValue, mask: MfValue): number {
  // A tun_metadata of any value is one that the packet has.
  if (!field.isVariable && mask.every((b) => b === 0)) {
    setWild(match, field);
    return OFPUTIL_P.ANY;
  }
  try {
    matchSetField(match, field, value, mask);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new OfpTextError(error.message);
  }
  const { exact, cidr, bitwise } = field.usable;
  if (mask.every((b) => b === 0xff)) return exact;
  return cidr === bitwise || prefixOf(mask.subarray(0, 4)) !== undefined ? cidr : bitwise;
}

/** `reg0[0..3]=5`: some bits of a field. */
function setSubfield(match: Match, name: string, text: string): number {
  const { field, ofs, bits } = parseSubfield(name);
  const value = new Uint8Array(field.bytes);
  if (scanIntString(text, value) !== '') throw new OfpTextError(`${name}: cannot parse integer value: ${text}`);
  const big = (bytes: Uint8Array) => bytes.reduce((n, b) => (n << 8n) | BigInt(b), 0n);
  const bytesOf = (n: bigint) =>
    Uint8Array.from({ length: field.bytes }, (_, i) => Number((n >> BigInt(8 * (field.bytes - 1 - i))) & 0xffn));
  if (big(value) >> BigInt(bits) !== 0n) {
    throw new OfpTextError(`${name}: value ${formatMf(field, value)} does not fit into ${bits} bits`);
  }
  const ones = ((1n << BigInt(bits)) - 1n) << BigInt(ofs);
  const [old, oldMask] = field.isVariable
    ? [0n, 0n]
    : [mfGet(field, match.flow), mfGetMask(field, match.mask)].map(big);
  const whole = ((old ?? 0n) & ~ones) | (big(value) << BigInt(ofs));
  const usable = setField(match, field, bytesOf(whole), bytesOf((oldMask ?? 0n) | ones));
  if (field.prereq !== 'none') needEthernet(match);
  return usable;
}

/**
 * Adds the part `key` (with `value`, "" if there is none) to a match, and returns the protocols that can say it; undefined if it is no part
 * of a match.  Throws OfpTextError, and OfpError (OFPBAC_BAD_OUT_PORT) for a port that a switch cannot have.
 */
export function parseMatchPart(match: Match, key: string, value: string, ports?: NameMap): number | undefined {
  const short = protocolNamed(key);
  if (short !== undefined) {
    setExact(match, FIELD.ethType, short[0]);
    if (short[1] !== undefined) setExact(match, FIELD.nwProto, short[1]);
    needEthernet(match);
    return OFPUTIL_P.ANY;
  }
  if (key === 'eth') {
    setExact(match, FIELD.packetType, 0);
    return OFPUTIL_P.ANY;
  }
  const field = mfByName(key);
  if (field === undefined) return key.includes('[') ? setSubfield(match, key, value) : undefined;
  // Without a value it is only asked whether the field exists.
  const found = parseMf(field, value === '' ? '0/0' : value, ports);
  const usable = setField(match, field, found.value, found.mask);
  if (field.prereq !== 'none') needEthernet(match);
  return usable;
}

/** Protocols that can say a match as a whole: fields within IPv6 packets are for NXM and OXM. */
export function usableProtocols(match: Match): number {
  const get = (words: Int32Array, f: Field) => getBits(words, f.at, f.bits);
  const packetType = get(match.flow, FIELD.packetType);
  const type = packetType === 0 ? get(match.flow, FIELD.ethType) : packetType;
  if (type !== ETH.IPV6) return OFPUTIL_P.ANY;
  const isWithin = [FIELD.nwProto, FIELD.nwTos, FIELD.tpSrc, FIELD.tpDst].some((f) => get(match.mask, f) !== 0);
  return isWithin ? OFPUTIL_P.NXM_OXM_ANY : OFPUTIL_P.ANY;
}

/** Reads a match that is all of `text`.  Throws OfpTextError. */
export function parseMatch(
  text: string,
  names: OfpNames = {},
): { readonly match: Match; readonly usableProtocols: number } {
  const match = newMatch();
  let usable: number = OFPUTIL_P.ANY;
  for (const kv = new KeyValues(text); kv.next(); ) {
    const part = parseMatchPart(match, kv.key, kv.value, names.ports);
    if (part === undefined) throw new OfpTextError(`unknown keyword ${kv.key}`);
    usable &= part;
  }
  return { match, usableProtocols: usable & usableProtocols(match) };
}
