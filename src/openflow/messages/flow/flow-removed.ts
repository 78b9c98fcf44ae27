/**
 * flow_removed: a flow ended, and what it had counted.
 *
 * ```
 * 1.0               | match10 | cookie 64 | priority 16 | reason 8 | pad 8 | duration_sec | _nsec | idle 16 | pad 16 | packets 64 | bytes 64 |
 * 1.1-1.4           | cookie 64 | priority 16 | reason 8 | table 8 | duration_sec | _nsec | idle 16 | hard 16 | packets 64 | bytes 64 | match |
 * NXT               | cookie 64 | priority 16 | reason 8 | table+1 8 | duration_sec | _nsec | idle 16 | match_len 16 | packets | bytes | NXM |
 * 1.5+              | table 8 | reason 8 | priority 16 | idle 16 | hard 16 | cookie 64 | match | OXS |
 * ```
 * Source: OpenFlow 1.0.2 5.4.3, 1.5.1 7.4.2, include/openflow/nicira-ext.h, lib/ofp-monitor.c.
 */
import { decodeMatch, decodePaddedNxMatch, encodeMatch, encodePaddedNxMatch } from '../../match/match-codec.ts';
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import { OFPRAW } from '../../ofp-msgs.ts';
import type { BodyCodec, BodyIn, BodyOut, Codecs } from '../wire/body.ts';
import { type FlowRemoved, OFPTT_ALL, UNKNOWN32, UNKNOWN64 } from './flow-types.ts';
import { decodeOxsStats, encodeOxsStats } from './oxs-stats.ts';

/** OFPRR_*: the meter is gone.  Before 1.4 that is a flow that was deleted. */
const METER_DELETE = 4;
const DELETE = 2;

/** Both forms of 1.0, from the priority on: what stands at the same places. */
const decodeTail = (dv: DataView, at: number) => ({
  priority: dv.getUint16(at),
  reason: dv.getUint8(at + 2),
  durationSec: dv.getUint32(at + 4),
  durationNsec: dv.getUint32(at + 8),
  idleTimeout: dv.getUint16(at + 12),
  packetCount: dv.getBigUint64(at + 16),
  byteCount: dv.getBigUint64(at + 24),
});

function decode15({ dv, at, bytes, version }: BodyIn): FlowRemoved {
  const { match, size } = decodeMatch(version, bytes, at + 16);
  const { stats } = decodeOxsStats(dv, at + 16 + size);
  return {
    match,
    tableId: dv.getUint8(at),
    reason: dv.getUint8(at + 1),
    priority: dv.getUint16(at + 2),
    idleTimeout: dv.getUint16(at + 4),
    hardTimeout: dv.getUint16(at + 6),
    cookie: dv.getBigUint64(at + 8),
    durationSec: stats.durationSec,
    durationNsec: stats.durationNsec,
    packetCount: stats.packetCount,
    byteCount: stats.byteCount,
  };
}

function encode15(fr: FlowRemoved, { out, version }: BodyOut): void {
  out.u8(fr.tableId);
  out.u8(fr.reason);
  out.u16(fr.priority);
  out.u16(fr.idleTimeout);
  out.u16(fr.hardTimeout);
  out.u64(fr.cookie);
  out.put(encodeMatch(version, fr.match));
  const { durationSec, durationNsec, packetCount, byteCount } = fr;
  encodeOxsStats(out, { durationSec, durationNsec, packetCount, byteCount, idleAge: UNKNOWN32, flowCount: UNKNOWN32 });
}

/** Writes from the cookie on what all other forms have; `table` and `last` are what only some have. */
function putTail(fr: FlowRemoved, { raw, out, version }: BodyOut, table: number, last: number): void {
  // OpenFlow 1.0 itself has no counters that are not known.
  const count = (n: bigint): bigint => (raw === OFPRAW.OFPT10_FLOW_REMOVED && n === UNKNOWN64 ? 0n : n);
  out.u64(fr.cookie);
  out.u16(fr.priority);
  out.u8(fr.reason === METER_DELETE && version < 5 ? DELETE : fr.reason);
  out.u8(table);
  out.u32(fr.durationSec);
  out.u32(fr.durationNsec);
  out.u16(fr.idleTimeout);
  out.u16(last);
  out.u64(count(fr.packetCount));
  out.u64(count(fr.byteCount));
}

const flowRemoved: BodyCodec<FlowRemoved> = {
  decode(m) {
    const { raw, version, dv, at, bytes } = m;
    if (raw.class === 'NXT') {
      const nx = decodePaddedNxMatch(bytes, at + 40, dv.getUint16(at + 22));
      if (at + 40 + nx.size !== bytes.length)
        throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `${raw.text}: bytes after the match`);
      const table = dv.getUint8(at + 11);
      const tableId = table === 0 ? OFPTT_ALL : table - 1;
      return { ...decodeTail(dv, at + 8), match: nx.match, cookie: dv.getBigUint64(at), hardTimeout: 0, tableId };
    }
    if (version >= 6) return decode15(m);
    if (version === 1) {
      const { match, size } = decodeMatch(1, bytes, at);
      const next = at + size;
      return { ...decodeTail(dv, next + 8), match, cookie: dv.getBigUint64(next), hardTimeout: 0, tableId: OFPTT_ALL };
    }
    return {
      ...decodeTail(dv, at + 8),
      match: decodeMatch(version, bytes, at + 40).match,
      cookie: dv.getBigUint64(at),
      tableId: dv.getUint8(at + 11),
      hardTimeout: dv.getUint16(at + 22),
    };
  },
  encode(fr, m) {
    const { raw, version, out } = m;
    if (raw.class === 'NXT') {
      const nxm = encodePaddedNxMatch(fr.match);
      putTail(fr, m, (fr.tableId + 1) & 0xff, nxm.length);
      out.put(nxm.bytes);
    } else if (version >= 6) encode15(fr, m);
    else if (version === 1) {
      out.put(encodeMatch(1, fr.match));
      putTail(fr, m, 0, 0);
    } else {
      putTail(fr, m, fr.tableId, fr.hardTimeout);
      out.put(encodeMatch(version, fr.match));
    }
  },
};

export const FLOW_REMOVED_CODECS = { flow_removed: flowRemoved } satisfies Partial<Codecs>;
