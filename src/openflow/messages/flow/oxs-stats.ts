/**
 * OXS: statistics of flows as OpenFlow 1.5 tells them, as TLVs of which any may be missing.
 *
 * ```
 * | reserved 16 | length 16, without padding | OXS ... | padding to 8 bytes |
 * | class 16 | field 7 | reserved 1 | length 8 | value |                       one OXS
 * ```
 * Source: OpenFlow 1.5.1 7.2.4, lib/ox-stat.c.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import { UNKNOWN32, UNKNOWN64 } from './flow-types.ts';

const CLASS_BASIC = 0x8002;
const CLASS_EXPERIMENTER = 0xffff;
const FIELD = { DURATION: 0, IDLE_TIME: 1, FLOW_COUNT: 3, PACKET_COUNT: 4, BYTE_COUNT: 5 } as const;

/** UNKNOWN32 and UNKNOWN64 are left out. */
export interface OxsStats {
  readonly durationSec: number;
  readonly durationNsec: number;
  /** Seconds. */
  readonly idleAge: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly flowCount: number;
}

export const NO_OXS_STATS: OxsStats = {
  durationSec: UNKNOWN32,
  durationNsec: UNKNOWN32,
  idleAge: UNKNOWN32,
  packetCount: UNKNOWN64,
  byteCount: UNKNOWN64,
  flowCount: UNKNOWN32,
};

const SIZES: Readonly<Record<number, number>> = {
  [FIELD.DURATION]: 8,
  [FIELD.IDLE_TIME]: 8,
  [FIELD.FLOW_COUNT]: 4,
  [FIELD.PACKET_COUNT]: 8,
  [FIELD.BYTE_COUNT]: 8,
};

function decodeOne(dv: DataView, at: number, field: number): Partial<OxsStats> {
  switch (field) {
    case FIELD.DURATION:
      return { durationSec: dv.getUint32(at), durationNsec: dv.getUint32(at + 4) };
    case FIELD.IDLE_TIME:
      return { idleAge: dv.getUint32(at) };
    case FIELD.FLOW_COUNT:
      return { flowCount: dv.getUint32(at) };
    case FIELD.PACKET_COUNT:
      return { packetCount: dv.getBigUint64(at) };
    default:
      return { byteCount: dv.getBigUint64(at) };
  }
}

/** Reads the statistics at `at`; `size` is what they take with their padding.  Throws OfpError (OFPBMC_BAD_LEN). */
export function decodeOxsStats(dv: DataView, at: number): { readonly stats: OxsStats; readonly size: number } {
  const left = dv.byteLength - at;
  const length = left < 4 ? 0 : dv.getUint16(at + 2);
  const size = (length + 7) & ~7;
  if (length < 4 || size > left) throw new OfpError(OFPERR.OFPBMC_BAD_LEN, `statistics of ${length} bytes`);
  let stats = NO_OXS_STATS;
  for (let p = at + 4; p < at + length; ) {
    const dataAt = p + 4;
    const dataSize = dataAt > at + length ? 1 : dv.getUint8(p + 3);
    if (dataAt + dataSize > at + length) throw new OfpError(OFPERR.OFPBMC_BAD_LEN, `statistic at byte ${p}`);
    const field = dv.getUint8(p + 2) >>> 1;
    if (dv.getUint16(p) === CLASS_EXPERIMENTER && dataSize < 4) throw new OfpError(OFPERR.OFPBMC_BAD_LEN);
    // Others may tell of more.
    if (dv.getUint16(p) === CLASS_BASIC && dataSize === SIZES[field])
      stats = { ...stats, ...decodeOne(dv, dataAt, field) };
    p = dataAt + dataSize;
  }
  return { stats, size };
}

function begin(out: OfpWriter, field: number): void {
  out.u16(CLASS_BASIC);
  out.u8(field << 1);
  out.u8(SIZES[field] as number);
}

/** Appends statistics, padded. */
export function encodeOxsStats(out: OfpWriter, s: OxsStats): void {
  const at = out.room(4);
  if (s.durationSec !== UNKNOWN32) {
    begin(out, FIELD.DURATION);
    out.u32(s.durationSec);
    out.u32(s.durationNsec);
  }
  if (s.idleAge !== UNKNOWN32) {
    begin(out, FIELD.IDLE_TIME);
    out.u32(s.idleAge);
    out.u32(0);
  }
  if (s.packetCount !== UNKNOWN64) {
    begin(out, FIELD.PACKET_COUNT);
    out.u64(s.packetCount);
  }
  if (s.byteCount !== UNKNOWN64) {
    begin(out, FIELD.BYTE_COUNT);
    out.u64(s.byteCount);
  }
  if (s.flowCount !== UNKNOWN32) {
    begin(out, FIELD.FLOW_COUNT);
    out.u32(s.flowCount);
  }
  out.dv.setUint16(at + 2, out.size - at);
  out.pad(at, 8);
}
