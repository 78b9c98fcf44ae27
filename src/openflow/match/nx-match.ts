/**
 * Matches as NXM and OXM: a list of entries, each a header, a value, and a mask if the header says so.
 *
 * Both are one format with different code points; `version` is 0 for NXM, else the OpenFlow version on the wire.  A pseudo-field, the
 * cookie, may stand in the NXM of flow mods and stats requests.
 * Source: lib/nx-match.c (nx_pull_raw, nx_put_raw), OpenFlow 1.3.5 7.2.3.
 */
import { getBits, setBits } from '../../flow/bits.ts';
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import type { MfField, MfValue } from '../fields/mf-field.ts';
import { MF, mfHeader } from '../fields/mf-fields.ts';
import { mfPrereqsOk } from '../fields/mf-prereqs.ts';
import { mfGet, mfGetMask, mfIsAllWild, mfIsMaskOk, mfIsValueOk } from '../fields/mf-value.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { OfpWriter } from '../ofp-writer.ts';
import { addTunMetadata, emptied, hasTunMetadata, type Match, matchSetField, newMatch } from './match.ts';
import { checkOxmMask, describeEntry, putOxmEntry, putOxmHeader, readOxmEntry } from './oxm-entry.ts';
import { readPlainEntry } from './plain-entry.ts';

export interface NxMatch {
  readonly match: Match;
  readonly cookie: bigint;
  /** 0 if there is no cookie. */
  readonly cookieMask: bigint;
}

export interface NxDecodeOptions {
  /** Whether NXM_NX_COOKIE may stand in it. */
  readonly allowCookie?: boolean;
  /** Skip what is not known, and ask for no prerequisites: for what a switch says of packets. */
  readonly isLoose?: boolean;
  /** Only fields that are not of the packet may stand in it: OpenFlow 1.5's packet_out. */
  readonly pipelineOnly?: boolean;
  /** Is overwritten, and is the match that is returned; else that has memory of its own. */
  readonly into?: Match | undefined;
}

/** NXM_NX_COOKIE(30) without mask. */
const COOKIE = 0x13c08n;
const COOKIE_MASKED = 0x13d10n;

/** Names of the fields that are not of the packet itself. */
const PIPELINE = /^(tun_(?!ttl$|tos$)\w+|metadata|in_port|in_port_oxm|x{0,2}reg\d+|packet_type)$/;

const bigOf = (bytes: Uint8Array): bigint => bytes.reduce((n, b) => (n << 8n) | BigInt(b), 0n);
const fail = (name: keyof typeof OFPERR, why: string): never => {
  throw new OfpError(OFPERR[name], why);
};

const isMatched = (match: Match, field: MfField): boolean =>
  field.isVariable ? hasTunMetadata(match, field) : !mfIsAllWild(field, match.mask);

/** Values may be shorter than the field.  Throws OfpError (OFPBMC_BAD_VALUE) if there is no room. */
function setTunMetadata(
  match: Match,
  field: MfField,
  value: MfValue,
  mask: MfValue | undefined,
  where: () => string,
): void {
  try {
    addTunMetadata(match, field, value.subarray(0, field.bytes), mask?.subarray(0, field.bytes), true);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    fail('OFPBMC_BAD_VALUE', `${where()}: ${error.message}`);
  }
}

/** Reads entries that fill `bytes`.  Throws OfpError. */
export function decodeNxMatch(bytes: Uint8Array, options: NxDecodeOptions = {}): NxMatch {
  const { allowCookie = false, isLoose = false, pipelineOnly = false } = options;
  const match = options.into === undefined ? newMatch() : emptied(options.into);
  let cookie = 0n;
  let cookieMask = 0n;
  for (let at = 0; at < bytes.length; ) {
    const next = pipelineOnly ? 0 : readPlainEntry(bytes, at, match, isLoose);
    if (next !== 0) {
      at = next;
      continue;
    }
    const entry = readOxmEntry(bytes, at);
    const { header, field, value, mask } = entry;
    const start = at;
    const where = (): string => describeEntry(start, entry);
    const isCookie = allowCookie && (header === COOKIE || header === COOKIE_MASKED);
    checkOxmMask(at, entry);
    at = entry.end;
    if (field === undefined && !isCookie && isLoose) continue;
    if (isCookie) {
      if (cookieMask !== 0n) fail('OFPBMC_DUP_FIELD', `${where()}: a second cookie`);
      cookie = bigOf(value);
      cookieMask = mask === undefined ? (1n << 64n) - 1n : bigOf(mask);
      continue;
    }
    if (field === undefined) return fail('OFPBMC_BAD_FIELD', `${where()}: not a known field`);
    if (mask !== undefined && !mfIsMaskOk(field, mask)) fail('OFPBMC_BAD_MASK', `${where()}: mask of ${field.name}`);
    if (!field.isVariable && !mfIsValueOk(field, value)) fail('OFPBMC_BAD_VALUE', `${where()}: value of ${field.name}`);
    if (!isLoose && !mfPrereqsOk(field, match.flow, match.mask)) {
      fail('OFPBMC_BAD_PREREQ', `${where()}: ${field.name} without ${field.prereq}`);
    }
    if (isMatched(match, field)) fail('OFPBMC_DUP_FIELD', `${where()}: ${field.name} again`);
    if (pipelineOnly && !PIPELINE.test(field.name)) {
      fail('OFPBRC_PIPELINE_FIELDS_ONLY', `${where()}: ${field.name} is of the packet`);
    }
    if (field.isVariable) setTunMetadata(match, field, value, mask, where);
    else matchSetField(match, field, value, mask);
    if (field.prereq !== 'none') setBits(match.mask, FIELD.packetType.at, 16, 0xffff);
  }
  return { match, cookie, cookieMask };
}

const names = (text: string): readonly MfField[] => text.split(' ').map((name) => MF[name] as MfField);
const range = (prefix: string, n: number) => names(Array.from({ length: n }, (_, i) => prefix + i).join(' '));

/** The order in which entries are written: what a field needs comes before it. */
const L4 =
  'tcp_src tcp_dst tcp_flags udp_src udp_dst sctp_src sctp_dst icmp_type icmp_code icmpv6_type icmpv6_code nd_reserved nd_target nd_options_type nd_sll nd_tll';
const l3 = (tos: string) =>
  `mpls_tc mpls_bos mpls_ttl mpls_label ip_src ip_dst ipv6_src ipv6_dst ip_frag ${tos} nw_ecn nw_ttl ipv6_label nw_proto ${L4} arp_op arp_spa arp_tpa arp_sha arp_tha`;
const TUNNEL =
  'tun_id tun_flags tun_src tun_dst tun_ipv6_src tun_ipv6_dst tun_gbp_id tun_gbp_flags tun_metadata0 tun_erspan_idx tun_erspan_ver tun_erspan_dir tun_erspan_hwid tun_gtpu_flags tun_gtpu_msgtype';
const NSH = 'nsh_flags nsh_ttl nsh_mdtype nsh_np nsh_spi nsh_si nsh_c1 nsh_c2 nsh_c3 nsh_c4';
const CT =
  'pkt_mark ct_state ct_zone ct_mark ct_label ct_nw_src ct_ipv6_src ct_nw_dst ct_ipv6_dst ct_nw_proto ct_tp_src ct_tp_dst metadata';

function orderOf(inPort: string, vlan: string, tos: string, regs: readonly MfField[]): readonly MfField[] {
  const head = names(`dp_hash recirc_id conj_id ${inPort} actset_output eth_src eth_dst eth_type ${vlan}`);
  return [...head, ...names(l3(tos)), ...names(`${TUNNEL} ${NSH}`), ...regs, ...names(CT)];
}
const NXM_ORDER = orderOf('in_port', 'vlan_tci', 'nw_tos', range('reg', 16));
const OXM_ORDER = orderOf('in_port_oxm', 'vlan_vid vlan_pcp', 'ip_dscp', range('reg', 16));
const OXM15_ORDER = orderOf('in_port_oxm', 'vlan_vid vlan_pcp', 'ip_dscp', range('xreg', 8));

/** A field as entries of a version have it, with room for its value. */
interface Entry {
  readonly field: MfField;
  readonly exact: Uint8Array;
  readonly masked: Uint8Array;
  readonly value: Uint8Array;
  readonly bits: Uint8Array;
  /** Without a mask if so many of its lowest bits are matched. */
  readonly fullBits: number;
  readonly isCtPort: boolean;
}

function entryOf(field: MfField, version: number): Entry {
  const header = (hasMask: boolean): Uint8Array => {
    const out: number[] = [];
    putOxmHeader(out, mfHeader(field, version)?.header ?? 0n, field.bytes, hasMask);
    return Uint8Array.from(out);
  };
  return {
    field,
    exact: header(false),
    masked: header(true),
    value: new Uint8Array(field.bytes),
    bits: new Uint8Array(field.bytes),
    fullBits: FULL_BITS[field.name] ?? field.bits,
    isCtPort: CT_PORTS.has(field.name),
  };
}

/** Made once for each version. */
const entries: Entry[][] = [];
function entriesOf(version: number): readonly Entry[] {
  const order = version === 0 ? NXM_ORDER : version < 6 ? OXM_ORDER : OXM15_ORDER;
  entries[version] ??= order.map((field) => entryOf(field, version));
  return entries[version] as readonly Entry[];
}

/** Whether the number in `bytes` is 2^n - 1 or more. */
function isFull(bytes: Uint8Array, n: number): boolean {
  let isAllOnes = true;
  for (let i = bytes.length - 1, left = n; i >= 0; i--, left -= 8) {
    const ones = left >= 8 ? 0xff : left > 0 ? (1 << left) - 1 : 0;
    const byte = bytes[i] as number;
    if ((byte & ~ones) !== 0) return true;
    if ((byte & ones) !== ones) isAllOnes = false;
  }
  return isAllOnes;
}

/** Fields of which the stock switch writes a mask although all bits that there are count, or whose bits are more than their width. */
const FULL_BITS: Readonly<Record<string, number>> = { vlan_vid: 13, tun_flags: 16 };

const CT_PORTS = new Set(['ct_nw_proto', 'ct_tp_src', 'ct_tp_dst']);

/** Appends what `put` writes. */
function putOthers(put: (out: number[]) => void): void {
  const out: number[] = [];
  put(out);
  written.put(Uint8Array.from(out));
}

/** In the place of tun_metadata0, all of them. */
function putTunMetadata(match: Match, version: number): void {
  for (const { index, value, mask, isMasked } of match.tunMetadata ?? []) {
    const header = mfHeader(MF[`tun_metadata${index}`] as MfField, version)?.header ?? 0n;
    putOthers((out) => putOxmEntry(out, header, value, isMasked ? mask : undefined));
  }
}

/** Room before all entries for the packet type. */
const PACKET_TYPE_SIZE = 8;
const written = new OfpWriter();

function putEntry({ field, value, bits, fullBits, exact, masked }: Entry, flow: FlowKey, mask: FlowMask): void {
  mfGetMask(field, mask, bits);
  const isExact = isFull(bits, fullBits) || !field.isMaskable;
  mfGet(field, flow, value);
  written.put(isExact ? exact : masked);
  written.put(value);
  if (!isExact) written.put(bits);
}

/**
 * Writes the entries of a match, without padding, and a cookie if its mask has bits.  What is returned is borrowed: it is valid until another
 * match is written.  `match-template.ts` is faster.
 */
export function borrowNxMatch(match: Match, version: number, cookie = 0n, cookieMask = 0n): Uint8Array {
  const { flow, mask } = match;
  written.size = 0;
  written.room(PACKET_TYPE_SIZE);
  let impliesEthernet = false;
  const packetType = MF['packet_type'] as MfField;
  const hasType = getBits(mask, FIELD.packetType.at, 16) !== 0;
  const isEthernet = getBits(flow, FIELD.packetType.at, 16) === 0;
  if (hasType && !isEthernet) putEntry(entryOf(packetType, version), flow, mask);
  for (const entry of entriesOf(version)) {
    const { field } = entry;
    if (field.isVariable) {
      if (match.tunMetadata !== undefined) putTunMetadata(match, version);
      continue;
    }
    if (mfIsAllWild(field, mask)) continue;
    if (field.prereq !== 'ct-valid' && !mfPrereqsOk(field, flow, mask)) continue;
    // Ports, and the protocol that they are of.
    if (entry.isCtPort && getBits(flow, FIELD.ctNwProto.at, 8) === 0) continue;
    putEntry(entry, flow, mask);
    impliesEthernet ||= field.prereq !== 'none';
  }
  if (cookieMask !== 0n) {
    const bytesOf = (n: bigint) => Uint8Array.from({ length: 8 }, (_, i) => Number((n >> BigInt(56 - 8 * i)) & 0xffn));
    const isExact = cookieMask === (1n << 64n) - 1n;
    putOthers((out) =>
      putOxmEntry(out, COOKIE, bytesOf(cookie & cookieMask), isExact ? undefined : bytesOf(cookieMask)),
    );
  }
  if (!hasType || !isEthernet || impliesEthernet) return written.bytes.subarray(PACKET_TYPE_SIZE, written.size);
  // Four bytes of 0, in front.
  written.bytes.set(entryOf(packetType, version).exact);
  return written.bytes.subarray(0, written.size);
}

/** As `borrowNxMatch`; what is returned is the caller's. */
export const encodeNxMatch = (match: Match, version: number, cookie = 0n, cookieMask = 0n): Uint8Array =>
  borrowNxMatch(match, version, cookie, cookieMask).slice();
