/**
 * The Geneve header:
 *
 *      0                   1                   2                   3
 *     +---+-----------+-+-+-----------+-------------------------------+
 *     |Ver|  opt len  |O|C|   rsvd    |        protocol type          |   opt len in words; O: OAM, C: critical options
 *     +---+-----------+-+-+-----------+---------------+---------------+
 *     |            network identifier                 |   reserved    |
 *     +-----------------------------------------------+---------------+
 *     |   options: class (16), type (8), rsvd (3), length (5), data   |   0 to 252 bytes; type's top bit: critical
 *
 * Options pass through as bytes; what they mean is up to the flows.
 * Source: RFC 8926 3.4, 3.5; include/net/geneve.h.
 */
import { TUN_F } from '../../flow/fields.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import { DECAP, storeOptions, TUN, type TunnelInfo, tunFlags, tunOptsSize } from './tunnel-info.ts';

export const GENEVE_HLEN = 8;
/** Most bytes of options that the header's length field can say. */
export const GENEVE_MAX_OPTIONS = 252;
const FLAG = { OAM: 0x80, CRITICAL: 0x40 } as const;
const CRITICAL_TYPE = 0x80;
const OPTION_HLEN = 4;

/** As decapVxlan(). */
export function decapGeneve(view: DataView, at: number, end: number, tun: TunnelInfo): number {
  if (end - at < GENEVE_HLEN) return DECAP.SHORT;
  const first = view.getUint8(at);
  if (first >>> 6 !== 0) return DECAP.BAD;
  if (view.getUint16(at + 2) !== ETH_TYPE.TEB) return DECAP.FOREIGN;
  const optsSize = (first & 0x3f) << 2;
  if (end - at - GENEVE_HLEN < optsSize) return DECAP.SHORT;
  const bits = view.getUint8(at + 1);
  tun[TUN.ID] = 0;
  tun[TUN.ID + 1] = view.getInt32(at + 4) >>> 8;
  let flags: number = TUN_F.KEY;
  if ((bits & FLAG.OAM) !== 0) flags |= TUN_F.OAM;
  if ((bits & FLAG.CRITICAL) !== 0) flags |= TUN_F.CRIT;
  tun[TUN.TOS] = tun[TUN.TOS]! | flags;
  if (optsSize !== 0) storeOptions(tun, view, at + GENEVE_HLEN, optsSize, TUN_F.GENEVE_OPTS);
  return at + GENEVE_HLEN + optsSize;
}

/** Writes the header at `at`; returns its size, or -1 if the options do not fit.  Hot path. */
export function encapGeneve(view: DataView, at: number, tun: TunnelInfo): number {
  const flags = tunFlags(tun);
  const optsSize = (flags & TUN_F.GENEVE_OPTS) !== 0 ? tunOptsSize(tun) : 0;
  if (optsSize > GENEVE_MAX_OPTIONS) return -1;
  view.setUint8(at, optsSize >>> 2);
  view.setUint8(at + 1, ((flags & TUN_F.OAM) !== 0 ? FLAG.OAM : 0) | ((flags & TUN_F.CRIT) !== 0 ? FLAG.CRITICAL : 0));
  view.setUint16(at + 2, ETH_TYPE.TEB);
  view.setInt32(at + 4, tun[TUN.ID + 1]! << 8);
  for (let i = 0; i < optsSize; i += 4) view.setInt32(at + GENEVE_HLEN + i, tun[TUN.OPTS + (i >>> 2)]!);
  return GENEVE_HLEN + optsSize;
}

/**
 * Whether the options of `tun` are whole ones, as set(tunnel(geneve(...))) must have them.  Sets the flag that says that
 * one of them is critical.  Cold path.
 */
export function checkGeneveOptions(tun: TunnelInfo): boolean {
  const size = tunOptsSize(tun);
  if ((tunFlags(tun) & TUN_F.GENEVE_OPTS) === 0) return true;
  for (let at = 0; at < size; ) {
    if (size - at < OPTION_HLEN) return false;
    const head = tun[TUN.OPTS + (at >>> 2)]!;
    at += OPTION_HLEN + ((head & 0x1f) << 2);
    if (at > size) return false;
    if (((head >>> 8) & CRITICAL_TYPE) !== 0) tun[TUN.TOS] = tun[TUN.TOS]! | TUN_F.CRIT;
  }
  return true;
}
