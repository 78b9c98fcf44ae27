/**
 * packet_in: a packet for controllers, in the standard's four forms and Nicira's two; and nxt_resume, by which one that was paused goes on.
 *
 * ```
 * 1.0            | buffer | total_len 16 | in_port 16 | reason 8 | pad 8 | packet |
 * 1.1            | buffer | in_port | in_phy_port | total_len 16 | reason 8 | table 8 | packet |
 * 1.2, 1.3+      | buffer | total_len 16 | reason 8 | table 8 | (1.3+: cookie 64) | match | pad 16 | packet |
 * NXT_PACKET_IN  | buffer | total_len 16 | reason 8 | table 8 | cookie 64 | match_len 16 | pad 48 | NXM | pad 16 | packet |
 * NXT_PACKET_IN2, NXT_RESUME       properties
 * ```
 * Source: OpenFlow 1.5.1 7.4.1, include/openflow/nicira-ext.h, lib/ofp-packet.c.
 */
import { getBits } from '../../../flow/bits.ts';
import { FIELD } from '../../../flow/fields.ts';
import type { MfField } from '../../fields/mf-field.ts';
import { MF } from '../../fields/mf-fields.ts';
import { matchSetField, newMatch } from '../../match/match.ts';
import { decodeMatch, decodePaddedNxMatch, encodeMatch, encodePaddedNxMatch } from '../../match/match-codec.ts';
import { decodeNxMatch, encodeNxMatch } from '../../match/nx-match.ts';
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import { OFPRAW } from '../../ofp-msgs.ts';
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import { type Match, type PacketIn, type Resume, UNKNOWN32, UNKNOWN64 } from '../flow/flow-types.ts';
import type { BodyCodec, BodyIn, BodyOut, Codecs } from '../wire/body.ts';
import {
  beginProperty,
  eachProperty,
  endProperty,
  propertyU32,
  putPropertyU32,
  unknownProperty,
} from '../wire/properties.ts';
import {
  beginNested,
  nestedAt,
  propertyBytes,
  propertyU8,
  propertyU64,
  putPropertyBytes,
  putPropertyU8,
  putPropertyU64,
} from '../wire/property-values.ts';
import { decodeContinuation, encodeContinuation } from './continuation.ts';

/** OFPR_*; the last two are Open vSwitch's own: a flow for what nothing else matches, and no flow at all. */
// biome-ignore format: table
export const OFPR = {
  NO_MATCH: 0, ACTION: 1, INVALID_TTL: 2, ACTION_SET: 3, GROUP: 4, PACKET_OUT: 5, EXPLICIT_MISS: 6, IMPLICIT_MISS: 7,
} as const;

/** NXPINT_*. */
// biome-ignore format: table
const PROP = {
  PACKET: 0, FULL_LEN: 1, BUFFER_ID: 2, TABLE_ID: 3, COOKIE: 4, REASON: 5, METADATA: 6, USERDATA: 7, CONTINUATION: 8,
} as const;

/** The reason as a version can tell it: older ones know fewer. */
export function reasonOnWire(reason: number, version: OfVersion): number {
  if (reason === OFPR.EXPLICIT_MISS) return version < 4 ? OFPR.ACTION : OFPR.NO_MATCH;
  if (reason === OFPR.IMPLICIT_MISS) return OFPR.NO_MATCH;
  return reason >= OFPR.ACTION_SET && version < 5 ? OFPR.ACTION : reason;
}

const inPortOf = ({ flow }: Match): number => getBits(flow, FIELD.inPort.at, FIELD.inPort.bits);

function matchInPort(port: number): Match {
  const match = newMatch();
  matchSetField(match, MF['in_port'] as MfField, Uint8Array.of(port >> 8, port & 0xff));
  return match;
}

const NOTHING = { cookie: UNKNOWN64, tableId: 0, userdata: new Uint8Array(), continuation: undefined } as const;

function decode10({ dv, at, bytes }: BodyIn): PacketIn {
  return {
    ...NOTHING,
    bufferId: dv.getUint32(at),
    totalLen: dv.getUint16(at + 4),
    flowMetadata: matchInPort(dv.getUint16(at + 6)),
    reason: dv.getUint8(at + 8),
    packet: bytes.slice(at + 10),
  };
}

function decode11({ dv, at, bytes }: BodyIn): PacketIn {
  return {
    ...NOTHING,
    bufferId: dv.getUint32(at),
    flowMetadata: matchInPort(portFromOfp11(dv.getUint32(at + 4))),
    totalLen: dv.getUint16(at + 12),
    reason: dv.getUint8(at + 14),
    tableId: dv.getUint8(at + 15),
    packet: bytes.slice(at + 16),
  };
}

/** 1.2, 1.3 and NXT_PACKET_IN, which differ in cookie and match. */
function decodeWithMatch(m: BodyIn): PacketIn {
  const { raw, version, dv, at, bytes } = m;
  const isNicira = raw === OFPRAW.NXT_PACKET_IN;
  const hasCookie = isNicira || raw === OFPRAW.OFPT13_PACKET_IN;
  const matchAt = at + (isNicira ? 24 : hasCookie ? 16 : 8);
  const { match, size } = isNicira
    ? decodePaddedNxMatch(bytes, matchAt, dv.getUint16(at + 16), { isLoose: true })
    : decodeMatch(version, bytes, matchAt, { isLoose: true });
  const packetAt = matchAt + size + 2;
  if (packetAt > bytes.length) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `${raw.text}: no bytes after the match`);
  return {
    ...NOTHING,
    bufferId: dv.getUint32(at),
    totalLen: dv.getUint16(at + 4),
    reason: dv.getUint8(at + 6),
    tableId: dv.getUint8(at + 7),
    cookie: hasCookie ? dv.getBigUint64(at + 8) : UNKNOWN64,
    flowMetadata: match,
    packet: bytes.slice(packetAt),
  };
}

/** `isLoose`: as a controller reads them, which leaves out what it does not know. */
function decodeProperties({ raw, dv, at, bytes }: BodyIn, isLoose: boolean): PacketIn {
  const pin = {
    ...NOTHING,
    packet: new Uint8Array(),
    totalLen: 0,
    bufferId: UNKNOWN32,
    reason: 0,
    flowMetadata: newMatch(),
  } as { -readonly [K in keyof PacketIn]: PacketIn[K] };
  eachProperty(dv, at, bytes.length, (p) => {
    if (p.vendor !== 0) return unknownProperty(p, isLoose);
    switch (p.type) {
      case PROP.PACKET:
        pin.packet = propertyBytes(bytes, p).slice();
        break;
      case PROP.FULL_LEN:
        pin.totalLen = propertyU32(dv, p);
        break;
      case PROP.BUFFER_ID:
        pin.bufferId = propertyU32(dv, p);
        break;
      case PROP.TABLE_ID:
        pin.tableId = propertyU8(dv, p);
        break;
      case PROP.COOKIE:
        pin.cookie = propertyU64(dv, p);
        break;
      case PROP.REASON:
        pin.reason = propertyU8(dv, p);
        break;
      case PROP.METADATA:
        pin.flowMetadata = decodeNxMatch(propertyBytes(bytes, p), { isLoose }).match;
        break;
      case PROP.USERDATA:
        pin.userdata = propertyBytes(bytes, p).slice();
        break;
      case PROP.CONTINUATION:
        pin.continuation = bytes.slice(nestedAt(p), p.at + p.size);
        break;
      default:
        unknownProperty(p, isLoose);
    }
  });
  const { length } = pin.packet;
  if (length === 0) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `${raw.text}: no packet`);
  if (pin.totalLen === 0) pin.totalLen = length;
  if (pin.totalLen < length) {
    throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `${raw.text}: ${length} bytes of a packet of ${pin.totalLen}`);
  }
  return pin;
}

/** What NXT_PACKET_IN2 and NXT_RESUME have in common. */
function putProperties(pin: PacketIn, { out, version }: BodyOut): void {
  putPropertyBytes(out, PROP.PACKET, pin.packet);
  if (pin.totalLen !== pin.packet.length) putPropertyU32(out, PROP.FULL_LEN, pin.totalLen);
  if (pin.bufferId !== UNKNOWN32) putPropertyU32(out, PROP.BUFFER_ID, pin.bufferId);
  putPropertyU8(out, PROP.TABLE_ID, pin.tableId);
  if (pin.cookie !== UNKNOWN64) putPropertyU64(out, PROP.COOKIE, pin.cookie);
  putPropertyU8(out, PROP.REASON, reasonOnWire(pin.reason, version));
  const at = beginProperty(out, PROP.METADATA);
  out.put(encodeNxMatch(pin.flowMetadata, version));
  endProperty(out, at);
}

function putContinuation({ out }: BodyOut, continuation: Uint8Array): void {
  const at = beginNested(out, PROP.CONTINUATION);
  out.put(continuation);
  endProperty(out, at);
}

function encodeWithMatch(pin: PacketIn, { raw, version, out }: BodyOut): void {
  const isNicira = raw === OFPRAW.NXT_PACKET_IN;
  out.u32(pin.bufferId);
  out.u16(pin.totalLen);
  out.u8(reasonOnWire(pin.reason, version));
  out.u8(pin.tableId);
  if (isNicira || raw === OFPRAW.OFPT13_PACKET_IN) out.u64(pin.cookie);
  if (isNicira) {
    const nxm = encodePaddedNxMatch(pin.flowMetadata);
    out.u16(nxm.length);
    out.room(6);
    out.put(nxm.bytes);
  } else out.put(encodeMatch(version, pin.flowMetadata));
  out.u16(0);
  out.put(pin.packet);
}

const packetIn: BodyCodec<PacketIn> = {
  decode(m) {
    switch (m.raw) {
      case OFPRAW.OFPT10_PACKET_IN:
        return decode10(m);
      case OFPRAW.OFPT11_PACKET_IN:
        return decode11(m);
      case OFPRAW.NXT_PACKET_IN2:
        return decodeProperties(m, true);
      default:
        return decodeWithMatch(m);
    }
  },
  encode(pin, m) {
    const { raw, version, out } = m;
    if (raw === OFPRAW.NXT_PACKET_IN2) {
      putProperties(pin, m);
      if (pin.continuation !== undefined) putContinuation(m, pin.continuation);
      if (pin.userdata.length > 0) putPropertyBytes(out, PROP.USERDATA, pin.userdata);
    } else if (raw === OFPRAW.OFPT10_PACKET_IN) {
      out.u32(pin.bufferId);
      out.u16(pin.totalLen);
      out.u16(inPortOf(pin.flowMetadata));
      out.u16(reasonOnWire(pin.reason, version) << 8);
      out.put(pin.packet);
    } else if (raw === OFPRAW.OFPT11_PACKET_IN) {
      const port = portToOfp11(inPortOf(pin.flowMetadata));
      out.u32(pin.bufferId);
      out.u32(port);
      out.u32(port);
      out.u16(pin.totalLen);
      out.u8(reasonOnWire(pin.reason, version));
      out.u8(pin.tableId);
      out.put(pin.packet);
    } else encodeWithMatch(pin, m);
  },
};

const resume: BodyCodec<Resume> = {
  decode(m) {
    const pin = decodeProperties(m, false);
    return { packetIn: pin, private: decodeContinuation(pin.continuation ?? new Uint8Array(), m.version) };
  },
  encode({ packetIn: pin, private: state }, m) {
    putProperties(pin, m);
    putContinuation(m, encodeContinuation(state, m.version));
    if (pin.userdata.length > 0) putPropertyBytes(m.out, PROP.USERDATA, pin.userdata);
  },
};

export const PACKET_IN_CODECS = { packet_in: packetIn, nxt_resume: resume } satisfies Partial<Codecs>;
