/**
 * Messages about meters: meter_mod, statistics, configuration, features.  OpenFlow 1.3 and later.
 *
 * ```
 * meter_mod | command 16 | flags 16 | meter_id | bands |
 * band      | type 16 | length 16 = 16 | rate | burst_size | prec_level 8 | pad 24 |
 * stats     | meter_id | length 16 | pad 48 | flow_count | packets 64 | bytes 64 | duration 2*32 | packets and bytes of bands |
 * config    | length 16 | flags 16 | meter_id | bands |
 * features  | max_meter | band_types | capabilities | max_bands 8 | max_color 8 | pad 16 |
 * ```
 * Source: OpenFlow 1.3.5 A.3.4.4, A.3.5.12 to A.3.5.14, lib/ofp-meter.c.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import type { MeterBand, MeterConfig, MeterFeatures, MeterMod, MeterStats } from '../switch/switch-types.ts';
import { type BodyCodec, type BodyIn, type BodyOut, type Codecs, listCodec, NO_BODY, needBytes } from '../wire/body.ts';

/** OFPMC13_*. */
export const METER_COMMAND = { ADD: 0, MODIFY: 1, DELETE: 2 } as const;
/** OFPMF13_*. */
export const METER_FLAG = { KBPS: 1, PKTPS: 2, BURST: 4, STATS: 8 } as const;
/** OFPMBT13_*. */
export const METER_BAND = { DROP: 1, DSCP_REMARK: 2 } as const;

const BAND_SIZE = 16;
const CONFIG_SIZE = 8;
const STATS_SIZE = 40;
const BAND_STATS_SIZE = 16;

const fail = (name: keyof typeof OFPERR, why: string): never => {
  throw new OfpError(OFPERR[name], why);
};

function decodeBands({ dv }: BodyIn, at: number, end: number): MeterBand[] {
  const bands: MeterBand[] = [];
  let next = at;
  for (; end - next >= BAND_SIZE; next += BAND_SIZE) {
    const size = dv.getUint16(next + 2);
    if (size !== BAND_SIZE) fail('OFPBRC_BAD_LEN', `band of ${size} bytes at byte ${next}, want ${BAND_SIZE}`);
    const type = dv.getUint16(next);
    if (type !== METER_BAND.DROP && type !== METER_BAND.DSCP_REMARK) fail('OFPMMFC_BAD_BAND', `band of type ${type}`);
    bands.push({
      type,
      rate: dv.getUint32(next + 4),
      burstSize: dv.getUint32(next + 8),
      precLevel: type === METER_BAND.DSCP_REMARK ? dv.getUint8(next + 12) : 0,
    });
  }
  if (next !== end) fail('OFPBRC_BAD_LEN', `bands end with ${end - next} bytes left over`);
  return bands;
}

function encodeBands(bands: readonly MeterBand[], out: OfpWriter): void {
  for (const { type, rate, burstSize, precLevel } of bands) {
    out.u16(type);
    out.u16(BAND_SIZE);
    out.u32(rate);
    out.u32(burstSize);
    out.u8(precLevel);
    out.room(3);
  }
}

const meterMod: BodyCodec<MeterMod> = {
  decode(m) {
    const { dv, at, bytes } = m;
    const command = dv.getUint16(at);
    if (command > METER_COMMAND.DELETE) fail('OFPMMFC_BAD_COMMAND', `meter_mod: command ${command}`);
    const meterId = dv.getUint32(at + 4);
    if (command === METER_COMMAND.DELETE) return { command, meterId, flags: 0, bands: [] };
    const flags = dv.getUint16(at + 2);
    if ((flags & METER_FLAG.KBPS) !== 0 && (flags & METER_FLAG.PKTPS) !== 0) {
      fail('OFPMMFC_BAD_FLAGS', 'meter_mod: rates in kbit/s and in packets/s');
    }
    return { command, meterId, flags, bands: decodeBands(m, at + 8, bytes.length) };
  },
  encode({ command, meterId, flags, bands }, { out }) {
    out.u16(command);
    out.u16(command === METER_COMMAND.DELETE ? 0 : flags);
    out.u32(meterId);
    encodeBands(bands, out);
  },
};

const meterRequest: BodyCodec<number> = {
  decode: ({ dv, at }) => dv.getUint32(at),
  encode(meterId, { out }) {
    out.u32(meterId);
    out.u32(0);
  },
};

/** Bytes of an entry, of which the first `base` are there always.  Throws OfpError. */
function entrySize(m: BodyIn, at: number, sizeAt: number, base: number): number {
  needBytes(m, at, base, m.raw.text);
  const size = m.dv.getUint16(at + sizeAt);
  if (size < base) fail('OFPBRC_BAD_LEN', `${m.raw.text}: entry of ${size} bytes`);
  needBytes(m, at, size, m.raw.text);
  return size;
}

function decodeMeterConfig(m: BodyIn, at: number, push: (config: MeterConfig) => void): number {
  const { dv } = m;
  const end = at + entrySize(m, at, 0, CONFIG_SIZE);
  push({ meterId: dv.getUint32(at + 4), flags: dv.getUint16(at + 2), bands: decodeBands(m, at + CONFIG_SIZE, end) });
  return end;
}

function encodeMeterConfig({ meterId, flags, bands }: MeterConfig, { out }: BodyOut): void {
  out.u16(CONFIG_SIZE + bands.length * BAND_SIZE);
  out.u16(flags);
  out.u32(meterId);
  encodeBands(bands, out);
}

function decodeMeterStats(m: BodyIn, at: number, push: (stats: MeterStats) => void): number {
  const { dv } = m;
  const size = entrySize(m, at, 4, STATS_SIZE);
  const nBands = (size - STATS_SIZE) / BAND_STATS_SIZE;
  if (!Number.isInteger(nBands)) fail('OFPBRC_BAD_LEN', `statistics of a meter: ${size} bytes`);
  push({
    meterId: dv.getUint32(at),
    flowCount: dv.getUint32(at + 12),
    packetInCount: dv.getBigUint64(at + 16),
    byteInCount: dv.getBigUint64(at + 24),
    durationSec: dv.getUint32(at + 32),
    durationNsec: dv.getUint32(at + 36),
    bands: Array.from({ length: nBands }, (_, i) => {
      const bandAt = at + STATS_SIZE + i * BAND_STATS_SIZE;
      return { packetCount: dv.getBigUint64(bandAt), byteCount: dv.getBigUint64(bandAt + 8) };
    }),
  });
  return at + size;
}

function encodeMeterStats(stats: MeterStats, { out }: BodyOut): void {
  out.u32(stats.meterId);
  out.u16(STATS_SIZE + stats.bands.length * BAND_STATS_SIZE);
  out.room(6);
  out.u32(stats.flowCount);
  out.u64(stats.packetInCount);
  out.u64(stats.byteInCount);
  out.u32(stats.durationSec);
  out.u32(stats.durationNsec);
  for (const { packetCount, byteCount } of stats.bands) {
    out.u64(packetCount);
    out.u64(byteCount);
  }
}

const meterFeatures: BodyCodec<MeterFeatures> = {
  decode: ({ dv, at }) => ({
    maxMeters: dv.getUint32(at),
    bandTypes: dv.getUint32(at + 4),
    capabilities: dv.getUint32(at + 8),
    maxBands: dv.getUint8(at + 12),
    maxColor: dv.getUint8(at + 13),
  }),
  encode(f, { out }) {
    out.u32(f.maxMeters);
    out.u32(f.bandTypes);
    out.u32(f.capabilities);
    out.u8(f.maxBands);
    out.u8(f.maxColor);
    out.u16(0);
  },
};

export const METER_CODECS = {
  meter_mod: meterMod,
  meter_stats_request: meterRequest,
  meter_stats_reply: listCodec(decodeMeterStats, encodeMeterStats),
  meter_config_stats_request: meterRequest,
  meter_config_stats_reply: listCodec(decodeMeterConfig, encodeMeterConfig),
  meter_features_stats_request: NO_BODY,
  meter_features_stats_reply: meterFeatures,
} satisfies Partial<Codecs>;
