/**
 * Which asynchronous messages a controller wants: set_async_config and get_async_reply.
 *
 * ```
 * 1.3, NXT_SET_ASYNC_CONFIG           for packet_in, port_status, flow_removed: | primary's mask 32 | secondary's mask 32 |
 * 1.4+, NXT_SET_ASYNC_CONFIG2         properties: 2n a secondary's mask of type n, 2n+1 a primary's; what is missing stays as it is
 * ```
 * Source: OpenFlow 1.3.5 A.3.10, 1.5.1 7.3.10, include/openflow/nicira-ext.h, lib/ofp-connection.c.
 */
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import { OFPRAW } from '../../ofp-msgs.ts';
import { ASYNC_TYPES, type AsyncConfig, type AsyncMasks, type AsyncType } from '../flow/flow-types.ts';
import { OFPR } from '../packet/packet-in.ts';
import type { BodyCodec, BodyIn, Codecs } from '../wire/body.ts';
import { eachProperty, propertyU32, putPropertyU32, unknownProperty } from '../wire/properties.ts';

/** Reasons of each type that can be asked for, before 1.4 and from then on. */
// biome-ignore format: table
const ALLOWED: Readonly<Record<AsyncType, readonly [of10: number, of14: number]>> = {
  packetIn: [0x7, 0x3f], portStatus: [0x7, 0x7], flowRemoved: [0x3f, 0x3f], roleStatus: [0x7, 0x7], tableStatus: [0x18, 0x18],
  requestForward: [0x3, 0x3],
};
const allowedOf = (type: AsyncType, version: OfVersion): number => ALLOWED[type][version >= 5 ? 1 : 0];

/** What all forms have. */
const LEGACY: readonly AsyncType[] = ['packetIn', 'portStatus', 'flowRemoved'];
const NONE: AsyncMasks = Object.fromEntries(ASYNC_TYPES.map((type) => [type, 0]));

/** "No match" is also that a flow sends what nothing else matches, and before 1.3 that there is no flow at all. */
function widen(type: AsyncType, mask: number, version: OfVersion): number {
  if (type !== 'packetIn' || (mask & (1 << OFPR.NO_MATCH)) === 0) return mask;
  return mask | (1 << OFPR.EXPLICIT_MISS) | (version < 4 ? 1 << OFPR.IMPLICIT_MISS : 0);
}

const isLegacy = ({ raw }: Pick<BodyIn, 'raw'>): boolean =>
  raw === OFPRAW.OFPT13_SET_ASYNC || raw === OFPRAW.OFPT13_GET_ASYNC_REPLY || raw === OFPRAW.NXT_SET_ASYNC_CONFIG;

type Masks = { -readonly [K in AsyncType]?: number };

function decodeLegacy({ dv, at, version }: BodyIn): AsyncConfig {
  const primary: Masks = { ...NONE };
  const secondary: Masks = { ...NONE };
  LEGACY.forEach((type, i) => {
    const maskAt = (n: number): number => widen(type, dv.getUint32(n) & allowedOf(type, version), version);
    primary[type] = maskAt(at + 8 * i);
    secondary[type] = maskAt(at + 8 * i + 4);
  });
  return { primary, secondary };
}

function decodeProperties({ raw, dv, at, bytes, version }: BodyIn): AsyncConfig {
  // Controllers leave out what they do not know of a switch; a switch refuses it.
  const isLoose = raw.kind === 'get_async_reply';
  const primary: Masks = {};
  const secondary: Masks = {};
  eachProperty(
    dv,
    at,
    bytes.length,
    (p) => {
      const type = p.vendor === 0 ? ASYNC_TYPES[p.type >> 1] : undefined;
      if (type === undefined) {
        // This message has an error of its own for what others call OFPBPC_BAD_TYPE.
        if (p.vendor !== 0 || isLoose) return unknownProperty(p, isLoose);
        throw new OfpError(OFPERR.OFPACFC_UNSUPPORTED, `${raw.text}: property of type ${p.type}`);
      }
      const mask = propertyU32(dv, p);
      const allowed = allowedOf(type, version);
      if (!isLoose && (mask & ~allowed) !== 0) {
        const what = `0x${mask.toString(16)} for ${type}, want 0x${allowed.toString(16)}`;
        throw new OfpError(OFPERR.OFPACFC_INVALID, `${raw.text}: ${what}`);
      }
      ((p.type & 1) !== 0 ? primary : secondary)[type] = widen(type, mask & allowed, version);
    },
    8,
    0xfffe,
  );
  return { primary, secondary };
}

const asyncConfig: BodyCodec<AsyncConfig> = {
  decode: (m) => (isLegacy(m) ? decodeLegacy(m) : decodeProperties(m)),
  encode({ primary, secondary }, m) {
    const { version, out } = m;
    if (isLegacy(m)) {
      for (const type of LEGACY) {
        for (const masks of [primary, secondary]) out.u32((masks[type] ?? 0) & allowedOf(type, version));
      }
      return;
    }
    ASYNC_TYPES.forEach((type, i) => {
      [secondary, primary].forEach((masks, role) => {
        const mask = masks[type];
        if (mask !== undefined) putPropertyU32(out, 2 * i + role, mask & allowedOf(type, version));
      });
    });
  },
};

export const ASYNC_CODECS = { get_async_reply: asyncConfig, set_async_config: asyncConfig } satisfies Partial<Codecs>;
