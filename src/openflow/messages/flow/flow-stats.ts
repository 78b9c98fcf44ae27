/**
 * Replies about flows: the statistics of each, and their sum.
 *
 * ```
 * 1.0       | length | table | 0 | match 40 bytes | sec | nsec | priority | idle | hard | 0 48 | cookie | packets | bytes | actions |
 * NXST      | length | table | 0 | sec | nsec | priority | idle | hard | match_len | idle_age | hard_age | cookie | packets | bytes | NXM |
 * 1.1-1.4   | length | table | 0 | sec | nsec | priority | idle | hard | flags | importance | 0 | cookie | packets | bytes | match |
 * 1.5       | length | 0 16 | table | 0 | priority | idle | hard | flags | importance | cookie | match | OXS |
 * ```
 * Instructions, or actions, end each.  Flags are there from 1.3 on, importance from 1.4 on; ages are one more than they are, 0 is unknown.
 * Source: OpenFlow 1.0.2 5.3.5, 1.4.1 A.3.5.2, 1.5.1 7.3.5.2, nicira-ext.h (nx_flow_stats), lib/ofp-flow.c.
 */
import { RateLimit, vlog } from '../../../util/vlog.ts';
import { decodeInstructions, encodeInstructions } from '../../actions/index.ts';
import { decodeMatch, decodePaddedNxMatch, putMatch, putOxmMatch, putPaddedNxMatch } from '../../match/match-codec.ts';
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import { OFPRAW } from '../../ofp-msgs.ts';
import {
  type BodyCodec,
  type BodyIn,
  type BodyOut,
  type Codecs,
  type ListCodec,
  listCodec,
  needBytes,
} from '../wire/body.ts';
import { decodeFlowFlags, encodeFlowFlags } from './flow-mod.ts';
import { type AggregateStats, type FlowStats, UNKNOWN32, UNKNOWN64 } from './flow-types.ts';
import { decodeOxsStats, encodeOxsStats, NO_OXS_STATS } from './oxs-stats.ts';

const log = vlog('ofp_flow');
const limit = new RateLimit(1, 5);

const SIZE10 = 88;
const SIZE11 = 48;
const SIZE15 = 24;
const AGE_MAX = 0xffff;

type Head = Omit<FlowStats, 'ofpacts'> & { readonly end: number };

const counts = (dv: DataView, at: number) => ({
  cookie: dv.getBigUint64(at),
  packetCount: dv.getBigUint64(at + 8),
  byteCount: dv.getBigUint64(at + 16),
});

const NOT_TOLD = { idleAge: -1, hardAge: -1, flags: 0, importance: 0 } as const;

function decodeHead10({ dv, bytes }: BodyIn, at: number): Head {
  const { match, size } = decodeMatch(1, bytes, at + 4);
  const t = at + 4 + size;
  return {
    ...NOT_TOLD,
    ...counts(dv, at + 64),
    match,
    tableId: dv.getUint8(at + 2),
    durationSec: dv.getUint32(t),
    durationNsec: dv.getUint32(t + 4),
    priority: dv.getUint16(t + 8),
    idleTimeout: dv.getUint16(t + 10),
    hardTimeout: dv.getUint16(t + 12),
    end: at + SIZE10,
  };
}

/** What Nicira's form and those of 1.1 to 1.4 begin with. */
const decodeTimes = (dv: DataView, at: number) => ({
  tableId: dv.getUint8(at + 2),
  durationSec: dv.getUint32(at + 4),
  durationNsec: dv.getUint32(at + 8),
  priority: dv.getUint16(at + 12),
  idleTimeout: dv.getUint16(at + 14),
  hardTimeout: dv.getUint16(at + 16),
  ...counts(dv, at + 24),
});

function decodeHeadNx({ dv, bytes }: BodyIn, at: number): Head {
  const nx = decodePaddedNxMatch(bytes, at + SIZE11, dv.getUint16(at + 18));
  return {
    ...NOT_TOLD,
    ...decodeTimes(dv, at),
    idleAge: dv.getUint16(at + 20) - 1,
    hardAge: dv.getUint16(at + 22) - 1,
    match: nx.match,
    end: at + SIZE11 + nx.size,
  };
}

function decodeHead11({ raw, dv, bytes, version }: BodyIn, at: number): Head {
  const { match, size } = decodeMatch(version, bytes, at + SIZE11);
  return {
    ...NOT_TOLD,
    ...decodeTimes(dv, at),
    flags: raw === OFPRAW.OFPST13_FLOW_REPLY ? decodeFlowFlags(dv.getUint16(at + 18), version) : 0,
    importance: version >= 5 ? dv.getUint16(at + 20) : 0,
    match,
    end: at + SIZE11 + size,
  };
}

function decodeHead15({ dv, bytes, version }: BodyIn, at: number): Head {
  const { match, size } = decodeMatch(version, bytes, at + SIZE15);
  const oxs = decodeOxsStats(dv, at + SIZE15 + size);
  const { durationSec, durationNsec, idleAge, packetCount, byteCount } = oxs.stats;
  return {
    match,
    tableId: dv.getUint8(at + 4),
    priority: dv.getUint16(at + 6),
    idleTimeout: dv.getUint16(at + 8),
    hardTimeout: dv.getUint16(at + 10),
    flags: decodeFlowFlags(dv.getUint16(at + 12), version),
    importance: dv.getUint16(at + 14),
    cookie: dv.getBigUint64(at + 16),
    durationSec,
    durationNsec,
    idleAge: idleAge === UNKNOWN32 ? -1 : idleAge,
    hardAge: -1,
    packetCount,
    byteCount,
    end: at + SIZE15 + size + oxs.size,
  };
}

function decodeFlowStats(m: BodyIn, at: number, push: (entry: FlowStats) => void): number {
  const { raw, version, bytes, dv } = m;
  const is10 = raw === OFPRAW.OFPST10_FLOW_REPLY;
  const is15 = raw === OFPRAW.OFPST15_FLOW_REPLY;
  const least = is10 ? SIZE10 : is15 ? SIZE15 : SIZE11;
  needBytes(m, at, least, 'flow');
  const size = dv.getUint16(at);
  if (size < least) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `flow of ${size} bytes`);
  needBytes(m, at, size, 'flow');
  const read = is10 ? decodeHead10 : is15 ? decodeHead15 : raw.class === 'NXST' ? decodeHeadNx : decodeHead11;
  const { end, ...head } = read(m, at);
  if (end > at + size) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `flow of ${size} bytes`);
  push({ ...head, ofpacts: decodeInstructions(version, bytes.subarray(end, at + size)) });
  return at + size;
}

const known = (n: bigint): bigint => (n === UNKNOWN64 ? 0n : n);
const wireAge = (age: number): number => (age < 0 ? 0 : Math.min(age + 1, AGE_MAX));

function encodeHead10(fs: FlowStats, { out }: BodyOut): void {
  out.u8(fs.tableId);
  out.u8(0);
  putMatch(out, 1, fs.match);
  out.u32(fs.durationSec);
  out.u32(fs.durationNsec);
  out.u16(fs.priority);
  out.u16(fs.idleTimeout);
  out.u16(fs.hardTimeout);
  out.room(6);
  out.u64(fs.cookie);
  out.u64(known(fs.packetCount));
  out.u64(known(fs.byteCount));
}

function encodeHead11(fs: FlowStats, { raw, version, out }: BodyOut): void {
  const isNxm = raw.class === 'NXST';
  // Hot path of dumps: room is made once.
  const at = out.room(SIZE11 - 2) - 2;
  const { dv } = out;
  dv.setUint8(at + 2, fs.tableId);
  dv.setUint32(at + 4, fs.durationSec);
  dv.setUint32(at + 8, fs.durationNsec);
  dv.setUint16(at + 12, fs.priority);
  dv.setUint16(at + 14, fs.idleTimeout);
  dv.setUint16(at + 16, fs.hardTimeout);
  if (isNxm) {
    dv.setUint16(at + 20, wireAge(fs.idleAge));
    dv.setUint16(at + 22, wireAge(fs.hardAge));
  } else {
    if (version >= 4) dv.setUint16(at + 18, encodeFlowFlags(fs.flags, version));
    if (version >= 5) dv.setUint16(at + 20, fs.importance);
  }
  dv.setBigUint64(at + 24, fs.cookie);
  dv.setBigUint64(at + 32, isNxm ? fs.packetCount : known(fs.packetCount));
  dv.setBigUint64(at + 40, isNxm ? fs.byteCount : known(fs.byteCount));
  // 1.1's own match has too few fields.
  if (!isNxm) putOxmMatch(out, version, fs.match);
  else {
    const length = putPaddedNxMatch(out, fs.match);
    out.dv.setUint16(at + 18, length);
  }
}

function encodeHead15(fs: FlowStats, { version, out }: BodyOut): void {
  out.u16(0);
  out.u8(fs.tableId);
  out.u8(0);
  out.u16(fs.priority);
  out.u16(fs.idleTimeout);
  out.u16(fs.hardTimeout);
  out.u16(encodeFlowFlags(fs.flags, version));
  out.u16(fs.importance);
  out.u64(fs.cookie);
  putMatch(out, version, fs.match);
  const { durationSec, durationNsec, packetCount, byteCount } = fs;
  const idleAge = fs.idleAge < 0 ? UNKNOWN32 : fs.idleAge;
  encodeOxsStats(out, { durationSec, durationNsec, idleAge, packetCount, byteCount, flowCount: UNKNOWN32 });
}

function encodeFlowStats(fs: FlowStats, m: BodyOut): void {
  const { raw, version, out } = m;
  const at = out.room(2);
  if (raw === OFPRAW.OFPST10_FLOW_REPLY) encodeHead10(fs, m);
  else if (raw === OFPRAW.OFPST15_FLOW_REPLY) encodeHead15(fs, m);
  else encodeHead11(fs, m);
  out.put(encodeInstructions(fs.ofpacts, version));
  out.dv.setUint16(at, out.size - at);
}

const aggregateReply: BodyCodec<AggregateStats> = {
  decode({ raw, dv, at }) {
    if (raw === OFPRAW.OFPST15_AGGREGATE_REPLY) {
      const { packetCount, byteCount, flowCount } = decodeOxsStats(dv, at).stats;
      return { packetCount, byteCount, flowCount };
    }
    return { packetCount: dv.getBigUint64(at), byteCount: dv.getBigUint64(at + 8), flowCount: dv.getUint32(at + 16) };
  },
  encode(a, { raw, version, out }) {
    if (raw === OFPRAW.OFPST15_AGGREGATE_REPLY) {
      encodeOxsStats(out, { ...NO_OXS_STATS, ...a });
      return;
    }
    const is10 = raw.class === 'OFPST' && version === 1;
    out.u64(is10 ? known(a.packetCount) : a.packetCount);
    out.u64(is10 ? known(a.byteCount) : a.byteCount);
    out.u32(a.flowCount);
    out.u32(0);
  },
};

const flowStats: ListCodec<FlowStats> = {
  ...listCodec(decodeFlowStats, encodeFlowStats),
  leftOut() {
    log.warn('Flow exceeded the maximum flow statistics reply size and was excluded from the response set', limit);
  },
};

export const FLOW_STATS_CODECS = {
  flow_stats_reply: flowStats,
  aggregate_stats_reply: aggregateReply,
} satisfies Partial<Codecs>;
