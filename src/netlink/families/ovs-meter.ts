/** The "ovs_meter" family: token buckets that flows may pass packets through.  Source: include/uapi/linux/openvswitch.h. */
import { flag, type Kind, struct, u32, u64 } from '../kinds.ts';
import { type AttrsOf, arrayNest, nla, policy } from '../policy.ts';

export const OVS_METER_FAMILY = 'ovs_meter';
export const OVS_METER_VERSION = 1;

/** enum ovs_meter_cmd. */
export const OVS_METER_CMD = { FEATURES: 1, SET: 2, DEL: 3, GET: 4 } as const;

/** enum ovs_meter_band_type. */
export const OVS_METER_BAND_TYPE = { UNSPEC: 0, DROP: 1 } as const;

const OVS_METER_STATS = struct({ nPackets: u64, nBytes: u64 });

/** enum ovs_band_attr. */
// biome-ignore format: table
export const OVS_BAND_ATTR = policy('OVS_BAND_ATTR', {
  type:  nla(1, u32), //   OVS_METER_BAND_TYPE
  rate:  nla(2, u32), //   kbit/s, or packets/s
  burst: nla(3, u32), //   kbit, or packets
  stats: nla(4, OVS_METER_STATS),
});
export type MeterBand = AttrsOf<typeof OVS_BAND_ATTR>;

/** enum ovs_meter_attr. */
// biome-ignore format: table
export const OVS_METER_ATTR = policy('OVS_METER_ATTR', {
  id:        nla(1, u32),
  kbps:      nla(2, flag), //   rates are in kbit/s, not in packets/s
  stats:     nla(3, OVS_METER_STATS),
  bands:     nla(4, arrayNest(OVS_BAND_ATTR) as Kind<MeterBand[]>),
  used:      nla(5, u64), //    ms, monotonic clock
  clear:     nla(6, flag),
  maxMeters: nla(7, u32),
  maxBands:  nla(8, u32),
});
export type MeterAttrs = AttrsOf<typeof OVS_METER_ATTR>;
