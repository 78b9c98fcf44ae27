/**
 * Statistics of ports.
 *
 * ```
 * 1.0-1.2 | port | zeros, to 8 bytes | 12 counters of 64 bits |         the port has 16 bits in 1.0, 32 from 1.1 on
 * 1.3     | port 32 | pad 32 | 12 counters | duration 2*32 |
 * 1.4+    | length 16 | pad 16 | port 32 | duration 2*32 | 8 counters | properties |
 *
 * | 0 | 40 | pad 32 | 4 counters |                                         property: those of Ethernet
 * | 0xffff | 184 | Intel's id | 1 | pad 32 | 21 counters |                 those of RFC 2819
 * | 0xffff | length | Intel's id | 2 | pad 16 | number 16 | (length 8 | name | 64 bits)... |
 * ```
 * Source: OpenFlow 1.0.2 5.3.5, 1.3.5 A.3.5.6, 1.4.1 A.3.5.6, include/openflow/intel-ext.h, lib/ofp-port.c.
 */
import { OFPERR, OfpError, VENDOR } from '../../ofp-errors.ts';
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import { UNKNOWN32, UNKNOWN64 } from '../flow/flow-types.ts';
import type { PortCounter, PortStats } from '../switch/switch-types.ts';
import {
  type BodyCodec,
  type BodyIn,
  type BodyOut,
  type Codecs,
  getString,
  listCodec,
  needBytes,
} from '../wire/body.ts';
import { beginProperty, eachProperty, endProperty, type Property, unknownProperty } from '../wire/properties.ts';

/** In the order of the wire. */
// biome-ignore format: names, several on a line
const BASIC = [
  'rxPackets', 'txPackets', 'rxBytes', 'txBytes', 'rxDropped', 'txDropped', 'rxErrors', 'txErrors',
] as const satisfies readonly PortCounter[];
const ETHERNET = [
  'rxFrameErrors',
  'rxOverErrors',
  'rxCrcErrors',
  'collisions',
] as const satisfies readonly PortCounter[];
// biome-ignore format: names, several on a line
const RFC2819 = [
  'rx1To64Packets', 'rx65To127Packets', 'rx128To255Packets', 'rx256To511Packets', 'rx512To1023Packets', 'rx1024To1522Packets',
  'rx1523ToMaxPackets', 'tx1To64Packets', 'tx65To127Packets', 'tx128To255Packets', 'tx256To511Packets', 'tx512To1023Packets',
  'tx1024To1522Packets', 'tx1523ToMaxPackets', 'txMulticastPackets', 'rxBroadcastPackets', 'txBroadcastPackets',
  'rxUndersizedErrors', 'rxOversizeErrors', 'rxFragmentedErrors', 'rxJabberErrors',
] as const satisfies readonly PortCounter[];
const OF10 = [...BASIC, ...ETHERNET] as const;

const HEAD14 = 16;
const INTEL = { RFC2819: 1, CUSTOM: 2 } as const;
/** Names of custom counters are cut to this. */
const CUSTOM_NAME_MAX = 63;

type Counters = Partial<Record<PortCounter, bigint>>;
type Custom = PortStats['custom'][number];

function getCounters(dv: DataView, at: number, names: readonly PortCounter[], counters: Counters): void {
  names.forEach((name, i) => {
    const value = dv.getBigUint64(at + 8 * i);
    if (value !== UNKNOWN64) counters[name] = value;
  });
}

function putCounters(out: OfpWriter, names: readonly PortCounter[], counters: Counters): void {
  for (const name of names) out.u64(counters[name] ?? UNKNOWN64);
}

const badProperty = (p: Property): OfpError =>
  new OfpError(OFPERR.OFPBPC_BAD_LEN, `port statistics: property of ${p.size} bytes at byte ${p.at}`);

function decodeCustom({ bytes, dv }: BodyIn, p: Property): Custom[] {
  const end = p.at + p.size;
  if (p.size < 16) throw badProperty(p);
  const custom: Custom[] = [];
  let next = p.at + 16;
  for (let left = dv.getUint16(p.at + 14); left > 0; left--) {
    if (next >= end) throw badProperty(p);
    const valueAt = next + 1 + dv.getUint8(next);
    if (valueAt + 8 > end) throw badProperty(p);
    const name = getString(bytes, next + 1, Math.min(valueAt - next - 1, CUSTOM_NAME_MAX));
    custom.push({ name, value: dv.getBigUint64(valueAt) });
    next = valueAt + 8;
  }
  return custom;
}

function decode14(m: BodyIn, at: number): { readonly stats: PortStats; readonly end: number } {
  const { dv } = m;
  const base = HEAD14 + 8 * BASIC.length;
  needBytes(m, at, base, 'port statistics');
  const size = dv.getUint16(at);
  if (size < base) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `port statistics of ${size} bytes`);
  needBytes(m, at, size, 'port statistics');
  const portNo = portFromOfp11(dv.getUint32(at + 4));
  const counters: Counters = {};
  let custom: Custom[] = [];
  getCounters(dv, at + HEAD14, BASIC, counters);
  eachProperty(dv, at + base, at + size, (p) => {
    if (p.vendor === 0 && p.type === 0) {
      if (p.size !== 8 + 8 * ETHERNET.length) throw badProperty(p);
      getCounters(dv, p.at + 8, ETHERNET, counters);
    } else if (p.vendor === VENDOR.INTEL && p.type === INTEL.RFC2819) {
      if (p.size !== 16 + 8 * RFC2819.length) throw badProperty(p);
      getCounters(dv, p.at + 16, RFC2819, counters);
    } else if (p.vendor === VENDOR.INTEL && p.type === INTEL.CUSTOM) custom = decodeCustom(m, p);
    else unknownProperty(p, true);
  });
  const durationSec = dv.getUint32(at + 8);
  return { stats: { portNo, counters, custom, durationSec, durationNsec: dv.getUint32(at + 12) }, end: at + size };
}

function decodePortStats(m: BodyIn, at: number, push: (stats: PortStats) => void): number {
  const { dv, version } = m;
  if (version >= 5) {
    const { stats, end } = decode14(m, at);
    push(stats);
    return end;
  }
  const durationAt = at + 8 + 8 * OF10.length;
  const end = version === 4 ? durationAt + 8 : durationAt;
  needBytes(m, at, end - at, 'port statistics');
  const counters: Counters = {};
  getCounters(dv, at + 8, OF10, counters);
  push({
    portNo: version === 1 ? dv.getUint16(at) : portFromOfp11(dv.getUint32(at)),
    counters,
    custom: [],
    durationSec: version === 4 ? dv.getUint32(durationAt) : UNKNOWN32,
    durationNsec: version === 4 ? dv.getUint32(durationAt + 4) : UNKNOWN32,
  });
  return end;
}

/** All properties that there are, whatever is known; custom counters if there are any. */
function encode14(stats: PortStats, out: OfpWriter): void {
  const at = out.room(2);
  out.u16(0);
  out.u32(portToOfp11(stats.portNo));
  out.u32(stats.durationSec);
  out.u32(stats.durationNsec);
  putCounters(out, BASIC, stats.counters);
  let propertyAt = beginProperty(out, 0);
  out.u32(0);
  putCounters(out, ETHERNET, stats.counters);
  endProperty(out, propertyAt);
  propertyAt = beginProperty(out, INTEL.RFC2819, VENDOR.INTEL);
  out.u32(0);
  putCounters(out, RFC2819, stats.counters);
  endProperty(out, propertyAt);
  if (stats.custom.length > 0) {
    propertyAt = beginProperty(out, INTEL.CUSTOM, VENDOR.INTEL);
    out.u16(0);
    out.u16(stats.custom.length);
    for (const { name, value } of stats.custom) {
      const text = Buffer.from(name.slice(0, CUSTOM_NAME_MAX), 'latin1');
      out.u8(text.length);
      out.put(text);
      out.u64(value);
    }
    endProperty(out, propertyAt);
  }
  out.dv.setUint16(at, out.size - at);
}

function encodePortStats(stats: PortStats, { out, version }: BodyOut): void {
  if (version >= 5) {
    encode14(stats, out);
    return;
  }
  if (version === 1) out.u16(stats.portNo);
  else out.u32(portToOfp11(stats.portNo));
  out.room(version === 1 ? 6 : 4);
  putCounters(out, OF10, stats.counters);
  if (version < 4) return;
  out.u32(stats.durationSec);
  out.u32(stats.durationNsec);
}

const portStatsRequest: BodyCodec<number> = {
  decode: ({ version, dv, at }) => (version === 1 ? dv.getUint16(at) : portFromOfp11(dv.getUint32(at))),
  encode(port, { version, out }) {
    if (version === 1) out.u16(port);
    else out.u32(portToOfp11(port));
    out.room(version === 1 ? 6 : 4);
  },
};

export const PORT_STATS_CODECS = {
  port_stats_request: portStatsRequest,
  port_stats_reply: listCodec(decodePortStats, encodePortStats),
} satisfies Partial<Codecs>;
