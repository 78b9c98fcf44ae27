/**
 * The "ovs_meter" family: commands that make, show and delete the meters of a datapath.  It has a multicast group, as in
 * the kernel, that nothing is ever sent to.
 *
 * SET answers with the id, and, if it replaced a meter that keeps its statistics, with those (and the id again).  GET and
 * DEL answer with all that is known of the meter; DEL of one that is not there with nothing.
 *
 *     [ID] [STATS packets, bytes] [USED ms] [BANDS [0 [STATS]] ...]
 *
 * Source: net/openvswitch/meter.c (ovs_meter_cmd_*).
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, nlaAlign } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import {
  OVS_BAND_ATTR,
  OVS_METER_ATTR,
  OVS_METER_BAND_TYPE,
  OVS_METER_CMD,
  OVS_METER_FAMILY,
  OVS_METER_VERSION,
} from '../../netlink/families/ovs-meter.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { ERRNO } from '../../util/errno.ts';
import type { Datapath } from '../datapath.ts';
import type { Datapaths } from '../datapaths.ts';
import { MAX_BANDS, Meter, type MeterBandSpec } from '../meter.ts';
import { AttrTable, atLeast, attrRules, FLAG, NESTED, U32, U64 } from './attr-policy.ts';
import type { GenlFamily, Replies, Request } from './genl-family.ts';

const ATTR = OVS_METER_ATTR.type;
const BAND = OVS_BAND_ATTR.type;
/** OVS_METER_ATTR_MAX: one more than the last, for padding (PAD). */
const MAXATTR = ATTR.maxBands + 1;
/** The type of each band's nest. */
const BAND_NEST = 0;
/** struct ovs_flow_stats: packets and bytes. */
const STATS_SIZE = 16;

// biome-ignore format: table
const BAND_RULES = attrRules(BAND.stats, {
  [BAND.type]: U32, [BAND.rate]: U32, [BAND.burst]: U32, [BAND.stats]: atLeast(STATS_SIZE),
});

export interface MeterCommandsOptions {
  readonly id: number;
  readonly group: number;
  readonly datapaths: Datapaths;
}

/** Makes the family. */
export function meterFamily({ id, group, datapaths }: MeterCommandsOptions): GenlFamily {
  return {
    id,
    name: OVS_METER_FAMILY,
    version: OVS_METER_VERSION,
    hdrsize: 4,
    maxattr: MAXATTR,
    rules: attrRules(MAXATTR, {
      [ATTR.id]: U32,
      [ATTR.kbps]: FLAG,
      [ATTR.stats]: atLeast(STATS_SIZE),
      [ATTR.bands]: NESTED,
      [ATTR.used]: U64,
      [ATTR.clear]: FLAG,
      [ATTR.maxMeters]: U32,
      [ATTR.maxBands]: U32,
    }),
    ops: [
      { cmd: OVS_METER_CMD.FEATURES, needsAdmin: false, doit: (req, replies) => features(req, replies, datapaths) },
      { cmd: OVS_METER_CMD.SET, needsAdmin: true, doit: (req, replies) => set(req, replies, datapaths) },
      { cmd: OVS_METER_CMD.GET, needsAdmin: false, doit: (req, replies) => get(req, replies, datapaths) },
      { cmd: OVS_METER_CMD.DEL, needsAdmin: true, doit: (req, replies) => del(req, replies, datapaths) },
    ],
    group,
  };
}

function features(req: Request, replies: Replies, datapaths: Datapaths): void {
  const dp = datapathOf(req, datapaths);
  const w = replies.begin(req, OVS_METER_CMD.FEATURES, req.dpIfindex);
  w.attrU32(ATTR.maxMeters, dp.meters.max);
  w.attrU32(ATTR.maxBands, MAX_BANDS);
  const bands = w.nest(ATTR.bands);
  const band = w.nest(BAND_NEST);
  w.attrU32(BAND.type, OVS_METER_BAND_TYPE.DROP);
  w.endNest(band);
  w.endNest(bands);
  replies.reply(req);
}

function set(req: Request, replies: Replies, datapaths: Datapaths): void {
  const { attrs } = req;
  const id = idOf(req);
  const bands = readBands(attrs);
  const dp = datapathOf(req, datapaths);
  const keepsStats = !attrs.has(ATTR.clear);
  const stats = keepsStats && attrs.has(ATTR.stats) ? attrs.offset(ATTR.stats) : -1;
  const meter = new Meter(
    {
      ...{ id, bands, keepsStats, isKbps: attrs.has(ATTR.kbps) },
      ...(stats >= 0 && { nPackets: readU64(attrs.dv, stats), nBytes: readU64(attrs.dv, stats + 8) }),
    },
    dp.clock(),
  );
  const old = dp.meters.set(meter);
  const w = replies.begin(req, OVS_METER_CMD.SET, req.dpIfindex);
  w.attrU32(ATTR.id, id);
  if (old?.keepsStats === true) putMeter(w, old);
  replies.reply(req);
}

function get(req: Request, replies: Replies, datapaths: Datapaths): void {
  const id = idOf(req);
  const meter = datapathOf(req, datapaths).meters.find(id);
  if (meter === undefined) throw new NetlinkError(ERRNO.ENOENT, `meter ${id}`);
  putMeter(replies.begin(req, OVS_METER_CMD.GET, req.dpIfindex), meter);
  replies.reply(req);
}

function del(req: Request, replies: Replies, datapaths: Datapaths): void {
  const id = idOf(req);
  const meter = datapathOf(req, datapaths).meters.delete(id);
  const w = replies.begin(req, OVS_METER_CMD.DEL, req.dpIfindex);
  if (meter !== undefined) putMeter(w, meter);
  replies.reply(req);
}

function idOf({ attrs }: Request): number {
  if (!attrs.has(ATTR.id)) throw new NetlinkError(ERRNO.EINVAL, 'meter: no id');
  return attrs.u32(ATTR.id);
}

function datapathOf(req: Request, datapaths: Datapaths): Datapath {
  const dp = datapaths.find(req.dpIfindex);
  if (dp === undefined) throw new NetlinkError(ERRNO.ENODEV, `datapath ${req.dpIfindex}`);
  return dp;
}

const bandAttrs = new AttrTable(BAND.stats);

/** The bands of a request.  Throws NetlinkError: EINVAL for too many or what they lack, ERANGE for a short attribute. */
function readBands(attrs: AttrTable): MeterBandSpec[] {
  if (!attrs.has(ATTR.bands)) throw new NetlinkError(ERRNO.EINVAL, 'meter: no bands');
  const { dv } = attrs;
  const at = attrs.offset(ATTR.bands);
  const bands: MeterBandSpec[] = [];
  const nests: AttrRange[] = [];
  for (const nest of wholeAttributes(dv, at, at + attrs.size(ATTR.bands))) {
    if (nests.push(nest) > MAX_BANDS) throw new NetlinkError(ERRNO.EINVAL, `meter: more than ${MAX_BANDS} bands`);
  }
  for (const { from, to } of nests) {
    const violation = bandAttrs.parse(dv, from, from, to, BAND_RULES);
    if (violation !== undefined) throw new NetlinkError(violation.errno, `meter band: ${violation.message}`);
    if (!bandAttrs.has(BAND.type) || !bandAttrs.has(BAND.rate) || !bandAttrs.has(BAND.burst)) {
      throw new NetlinkError(ERRNO.EINVAL, 'meter band: type, rate and burst are all needed');
    }
    const rate = bandAttrs.u32(BAND.rate);
    if (rate === 0) throw new NetlinkError(ERRNO.EINVAL, 'meter band: rate is 0');
    bands.push({ type: bandAttrs.u32(BAND.type), rate, burst: bandAttrs.u32(BAND.burst) });
  }
  return bands;
}

interface AttrRange {
  readonly from: number;
  readonly to: number;
}

/** Payloads of the attributes in `[at, end)`, up to the first that is not whole. */
function* wholeAttributes(dv: DataView, at: number, end: number): IterableIterator<AttrRange> {
  while (end - at >= NLA_HDRLEN) {
    const size = dv.getUint16(at, LITTLE_ENDIAN);
    if (size < NLA_HDRLEN || size > end - at) return;
    yield { from: at + NLA_HDRLEN, to: at + size };
    at += nlaAlign(size);
  }
}

/** Appends what GET tells of `meter`. */
function putMeter(w: MessageWriter, meter: Meter): void {
  w.attrU32(ATTR.id, meter.id);
  putStats(w, ATTR.stats, meter);
  putU64(w, w.attrHeader(ATTR.used, 8), meter.usedMs);
  const bands = w.nest(ATTR.bands);
  for (const band of meter.bands) {
    const nest = w.nest(BAND_NEST);
    putStats(w, BAND.stats, band);
    w.endNest(nest);
  }
  w.endNest(bands);
}

function putStats(w: MessageWriter, type: number, stats: { readonly nPackets: number; readonly nBytes: number }): void {
  const at = w.attrHeader(type, STATS_SIZE);
  putU64(w, at, stats.nPackets);
  putU64(w, at + 8, stats.nBytes);
}

const putU64 = (w: MessageWriter, at: number, value: number): void =>
  w.dv.setBigUint64(at, BigInt(value), LITTLE_ENDIAN);
const readU64 = (dv: DataView, at: number): number => Number(dv.getBigUint64(at, LITTLE_ENDIAN));
