/**
 * Messages that change flows or ask for them: flow_mod, requests of flow and aggregate statistics.
 *
 * Matches and instructions are those of the form's version; in Nicira's forms of OpenFlow 1.0 the match is NXM, which may hold a cookie.
 * Source: OpenFlow 1.0.2 5.3.3, 5.3.5, 1.5.1 7.3.4.2, 7.3.5.2, lib/ofp-flow.c.
 */
import { areBitsZero, getBits } from '../../../flow/bits.ts';
import { FIELD, type Field } from '../../../flow/fields.ts';
import type { FlowMask } from '../../../flow/flow-key.ts';
import { RateLimit, vlog } from '../../../util/vlog.ts';
import { decodeInstructions, encodeInstructions } from '../../actions/index.ts';
import { newMatch } from '../../match/match.ts';
import { decodeMatch, decodePaddedNxMatch, encodeMatch, encodePaddedNxMatch } from '../../match/match-codec.ts';
import { isNormalMatch, normalizeMatch } from '../../match/match-normalize.ts';
import { formatMatch } from '../../match/match-text.ts';
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import { OFPRAW, type OfpRaw } from '../../ofp-msgs.ts';
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import type { BodyCodec, BodyIn, BodyOut, Codecs } from '../wire/body.ts';
import {
  FLOW_FLAG,
  type FlowMod,
  type FlowStatsRequest,
  type Match,
  OFPFC,
  OFPG,
  OFPTT_ALL,
  UNKNOWN64,
} from './flow-types.ts';

const log = vlog('ofp_match');
const limit = new RateLimit(1, 5);

/** Bit on the wire, first and last version that have it, FLOW_FLAG. */
// biome-ignore format: table
const FLAGS: readonly (readonly [wire: number, first: number, last: number, flag: number])[] = [
  [1 << 0, 1, 6, FLOW_FLAG.SEND_FLOW_REM], [1 << 1, 1, 6, FLOW_FLAG.CHECK_OVERLAP], [1 << 2, 1, 1, FLOW_FLAG.EMERG],
  [1 << 2, 3, 6, FLOW_FLAG.RESET_COUNTS],  [1 << 3, 4, 6, FLOW_FLAG.NO_PKT_COUNTS], [1 << 4, 4, 6, FLOW_FLAG.NO_BYT_COUNTS],
];

/** FLOW_FLAG bits of those of a version.  Throws OfpError (OFPFMFC_BAD_FLAGS). */
export function decodeFlowFlags(wire: number, version: OfVersion): number {
  if (wire === 0) return 0;
  let left = wire;
  let flags = 0;
  for (const [bit, first, last, flag] of FLAGS) {
    if ((wire & bit) === 0 || version < first || version > last) continue;
    left &= ~bit;
    flags |= flag;
  }
  if (left !== 0) throw new OfpError(OFPERR.OFPFMFC_BAD_FLAGS, `flags 0x${wire.toString(16)}`);
  return flags;
}

/** Those of the FLOW_FLAG bits that a version has. */
export function encodeFlowFlags(flags: number, version: OfVersion): number {
  if (flags === 0) return 0;
  let wire = 0;
  for (const [bit, first, last, flag] of FLAGS) {
    if ((flags & flag) !== 0 && version >= first && version <= last) wire |= bit;
  }
  return wire;
}

const isDelete = (command: number): boolean => command === OFPFC.DELETE || command === OFPFC.DELETE_STRICT;
const isModify = (command: number): boolean => command === OFPFC.MODIFY || command === OFPFC.MODIFY_STRICT;

/** OpenFlow 1.0's wildcards: none of them means an exact match, which has the highest priority. */
const WILDCARDS10 = 0x3fffff;

/** A flow_mod without its flags and actions, which are filled in last: objects of 18 properties are slow to copy. */
interface Head {
  readonly fm: { -readonly [K in keyof FlowMod]: FlowMod[K] };
  readonly rawFlags: number;
  /** Where the actions begin. */
  readonly end: number;
}

const NO_ACTIONS: FlowMod['ofpacts'] = [];

/** The forms of 1.0: they are the same from the command, at `at`, on. */
function flowMod10(m: BodyIn, at: number, match: Match, newCookie: bigint, cookie: bigint, cookieMask: bigint) {
  const { dv, context } = m;
  const word = dv.getUint16(at);
  const hasTable = context.hasFlowModTableId === true;
  return {
    match,
    priority: dv.getUint16(at + 6),
    cookie,
    cookieMask,
    newCookie,
    modifyCookie: newCookie !== UNKNOWN64,
    tableId: hasTable ? word >>> 8 : OFPTT_ALL,
    command: hasTable ? word & 0xff : word,
    idleTimeout: dv.getUint16(at + 2),
    hardTimeout: dv.getUint16(at + 4),
    bufferId: dv.getUint32(at + 8),
    outPort: dv.getUint16(at + 12),
    outGroup: OFPG.ANY,
    flags: 0,
    importance: 0,
    ofpacts: NO_ACTIONS,
  };
}

/** What a match was. */
const before = newMatch();

/** Matches of 1.0 may name fields that no packet of theirs has: flows are made without them. */
function normalize(match: Match): void {
  if (isNormalMatch(match)) return;
  before.flow.set(match.flow);
  before.mask.set(match.mask);
  normalizeMatch(match);
  if (!limit.take()) return;
  log.info('normalization changed ofp_match, details:');
  log.info(() => ` pre: ${formatMatch(before)}`);
  log.info(() => `post: ${formatMatch(match)}`);
}

function decodeHead10(m: BodyIn): Head {
  const { dv, at, bytes } = m;
  const { match, size } = decodeMatch(1, bytes, at, { into: m.context.flowModMatch });
  normalize(match);
  const fm = flowMod10(m, at + size + 8, match, dv.getBigUint64(at + size), 0n, 0n);
  if ((dv.getUint32(at) & WILDCARDS10) === 0) fm.priority = 0xffff;
  return { fm, rawFlags: dv.getUint16(at + 62), end: at + 64 };
}

function decodeHeadNx(m: BodyIn): Head {
  const { dv, at, bytes } = m;
  const options = { allowCookie: true, into: m.context.flowModMatch };
  const nx = decodePaddedNxMatch(bytes, at + 32, dv.getUint16(at + 24), options);
  if ((dv.getUint16(at + 8) & 0xff) === OFPFC.ADD && nx.cookieMask !== 0n) {
    throw new OfpError(OFPERR.NXBRC_NXM_INVALID, 'flow_mod: an added flow has no cookie to be found by');
  }
  const fm = flowMod10(m, at + 8, nx.match, dv.getBigUint64(at), nx.cookie, nx.cookieMask);
  return { fm, rawFlags: dv.getUint16(at + 22), end: at + 32 + nx.size };
}

function decodeHead11({ dv, at, bytes, version, context }: BodyIn): Head {
  const { match, size } = decodeMatch(version, bytes, at + 40, { into: context.flowModMatch });
  const cookie = dv.getBigUint64(at);
  const cookieMask = dv.getBigUint64(at + 8);
  const tableId = dv.getUint8(at + 16);
  const command = dv.getUint8(at + 17);
  // In 1.1 a modification that asks for no cookie adds the flow if it finds none.
  const adds = command === OFPFC.ADD || (version === 2 && isModify(command) && cookieMask === 0n);
  if (tableId === OFPTT_ALL && (version === 2 || !isDelete(command))) {
    throw new OfpError(OFPERR.OFPFMFC_BAD_TABLE_ID, 'flow_mod of all tables');
  }
  const fm = {
    match,
    priority: dv.getUint16(at + 22),
    cookie: adds ? 0n : cookie,
    cookieMask: adds ? 0n : cookieMask,
    newCookie: adds ? cookie : UNKNOWN64,
    modifyCookie: false,
    tableId,
    command,
    idleTimeout: dv.getUint16(at + 18),
    hardTimeout: dv.getUint16(at + 20),
    bufferId: dv.getUint32(at + 24),
    outPort: portFromOfp11(dv.getUint32(at + 28)),
    outGroup: isDelete(command) ? dv.getUint32(at + 32) : OFPG.ANY,
    flags: 0,
    importance: version >= 5 && command === OFPFC.ADD ? dv.getUint16(at + 38) : 0,
    ofpacts: NO_ACTIONS,
  };
  return { fm, rawFlags: dv.getUint16(at + 36), end: at + 40 + size };
}

const IPV4 = 0x0800;
const IPV6 = 0x86dd;

const isMatched = (mask: FlowMask, field: Field): boolean => !areBitsZero(mask, field.at, field.bits);

/** Addresses of a connection's original direction can be matched where the packet is of their family only. */
function checkCtAddresses({ flow, mask }: Match): void {
  const has4 = isMatched(mask, FIELD.ctNwSrc) || isMatched(mask, FIELD.ctNwDst);
  const has6 = isMatched(mask, FIELD.ctIpv6Src) || isMatched(mask, FIELD.ctIpv6Dst);
  if (!has4 && !has6) return;
  const ethType = getBits(flow, FIELD.ethType.at, 16);
  if ((has4 && ethType !== IPV4) || (has6 && ethType !== IPV6)) {
    throw new OfpError(OFPERR.OFPBAC_MATCH_INCONSISTENT, 'flow_mod: ct address without its eth_type');
  }
}

/** The command of OpenFlow 1.0, with the table if the connection has agreed on that. */
const command10 = (fm: FlowMod, { context }: BodyOut): number =>
  context.hasFlowModTableId === true ? fm.command | (fm.tableId << 8) : fm.command;

function encodeTail10(fm: FlowMod, m: BodyOut): void {
  const { out } = m;
  out.u16(command10(fm, m));
  out.u16(fm.idleTimeout);
  out.u16(fm.hardTimeout);
  out.u16(fm.priority);
  out.u32(fm.bufferId);
  out.u16(fm.outPort);
  out.u16(encodeFlowFlags(fm.flags, 1));
}

function encodeHead11(fm: FlowMod, { version, out }: BodyOut): void {
  const adds = fm.command === OFPFC.ADD || (version === 2 && isModify(fm.command) && fm.cookieMask === 0n);
  const saysTable = fm.tableId !== OFPTT_ALL || (version !== 2 && isDelete(fm.command));
  out.u64(adds ? fm.newCookie : fm.cookie & fm.cookieMask);
  out.u64(fm.cookieMask);
  out.u8(saysTable ? fm.tableId : 0);
  out.u8(fm.command);
  out.u16(fm.idleTimeout);
  out.u16(fm.hardTimeout);
  out.u16(fm.priority);
  out.u32(fm.bufferId);
  out.u32(portToOfp11(fm.outPort));
  out.u32(fm.outGroup);
  out.u16(encodeFlowFlags(fm.flags, version));
  out.u16(version >= 5 && fm.command === OFPFC.ADD ? fm.importance : 0);
  out.put(encodeMatch(version, fm.match));
}

const flowMod: BodyCodec<FlowMod> = {
  decode(m) {
    const { raw, version, bytes } = m;
    const read = raw === OFPRAW.OFPT10_FLOW_MOD ? decodeHead10 : raw.class === 'NXT' ? decodeHeadNx : decodeHead11;
    const { fm, rawFlags, end } = read(m);
    checkCtAddresses(fm.match);
    if (fm.command > OFPFC.DELETE_STRICT) {
      throw new OfpError(OFPERR.OFPFMFC_BAD_COMMAND, `flow_mod: command ${fm.command}`);
    }
    fm.ofpacts = decodeInstructions(version, bytes.subarray(end));
    fm.flags = decodeFlowFlags(rawFlags, version);
    // Before 1.2 what is added begins at 0, and nothing else does.
    if (version <= 2 && fm.command === OFPFC.ADD) fm.flags |= FLOW_FLAG.RESET_COUNTS;
    if ((fm.flags & FLOW_FLAG.EMERG) !== 0) {
      const hasTimeout = fm.hardTimeout !== 0 || fm.idleTimeout !== 0;
      const err = hasTimeout ? OFPERR.OFPFMFC_BAD_EMERG_TIMEOUT : OFPERR.OFPFMFC_TABLE_FULL;
      throw new OfpError(err, 'flow_mod: emergency flow');
    }
    return fm;
  },
  encode(fm, m) {
    const { raw, version, out } = m;
    if (raw === OFPRAW.OFPT10_FLOW_MOD) {
      out.put(encodeMatch(1, fm.match));
      out.u64(fm.newCookie);
      encodeTail10(fm, m);
    } else if (raw.class === 'NXT') {
      const nxm = encodePaddedNxMatch(fm.match, fm.cookie, fm.cookieMask);
      out.u64(fm.newCookie);
      encodeTail10(fm, m);
      out.u16(nxm.length);
      out.room(6);
      out.put(nxm.bytes);
    } else encodeHead11(fm, m);
    out.put(encodeInstructions(fm.ofpacts, version));
  },
};

/** Nicira's form is for matches that OpenFlow 1.0's own cannot tell: whoever sends it says so by `raw`. */
const isNicira = (raw: OfpRaw): boolean => raw.class === 'NXST';

const flowStatsRequest: BodyCodec<FlowStatsRequest> = {
  decode({ raw, version, bytes, dv, at }) {
    if (isNicira(raw)) {
      const nx = decodePaddedNxMatch(bytes, at + 8, dv.getUint16(at + 2), { allowCookie: true });
      if (at + 8 + nx.size !== bytes.length)
        throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `${raw.text}: bytes after the match`);
      const { match, cookie, cookieMask } = nx;
      const tableId = dv.getUint8(at + 4);
      return { match, cookie, cookieMask, outPort: dv.getUint16(at), outGroup: OFPG.ANY, tableId };
    }
    if (version === 1) {
      const { match, size } = decodeMatch(1, bytes, at);
      const tableId = dv.getUint8(at + size);
      const outPort = dv.getUint16(at + size + 2);
      return { match, cookie: 0n, cookieMask: 0n, outPort, outGroup: OFPG.ANY, tableId };
    }
    return {
      tableId: dv.getUint8(at),
      outPort: portFromOfp11(dv.getUint32(at + 4)),
      outGroup: dv.getUint32(at + 8),
      cookie: dv.getBigUint64(at + 16),
      cookieMask: dv.getBigUint64(at + 24),
      match: decodeMatch(version, bytes, at + 32).match,
    };
  },
  encode(r, { raw, version, out }) {
    if (isNicira(raw)) {
      const nxm = encodePaddedNxMatch(r.match, r.cookie, r.cookieMask);
      out.u16(r.outPort);
      out.u16(nxm.length);
      out.u32(r.tableId * 2 ** 24);
      out.put(nxm.bytes);
    } else if (version === 1) {
      out.put(encodeMatch(1, r.match));
      out.u16(r.tableId << 8);
      out.u16(r.outPort);
    } else {
      out.u32(r.tableId * 2 ** 24);
      out.u32(portToOfp11(r.outPort));
      out.u32(r.outGroup);
      out.u32(0);
      out.u64(r.cookie);
      out.u64(r.cookieMask);
      out.put(encodeMatch(version, r.match));
    }
  },
};

export const FLOW_MOD_CODECS = {
  flow_mod: flowMod,
  flow_stats_request: flowStatsRequest,
  aggregate_stats_request: flowStatsRequest,
} satisfies Partial<Codecs>;
