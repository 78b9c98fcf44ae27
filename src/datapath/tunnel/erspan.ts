/**
 * The ERSPAN header behind a GRE header with a sequence number, type II (version 1) and type III (version 2):
 *
 *      0                   1                   2                   3
 *     +-------+-----------------------+-----+---+-+-------------------+
 *     |  ver  |          VLAN         | COS |enc|T|    session id     |   T: truncated; enc (II), BSO (III)
 *     +-------+-----------------------+-----+---+-+-------------------+
 *     |      reserved         |                 index                 |   type II
 *     +-----------------------+---------------------------------------+
 *     |                            timestamp                          |   type III, in units of 100 us
 *     |             SGT               |P|   FT    |   HW ID   |D|GRA|O|
 *     +-------------------------------+-+---------+-----------+-+---+-+
 *
 * The session id is the tunnel id; the rest is the options, a struct erspan_metadata: version as a host int, then the
 * header's words behind the first.
 * Source: draft-foschiano-erspan; include/net/erspan.h, include/uapi/linux/erspan.h.
 */
import { TUN_F } from '../../flow/fields.ts';
import { ETH_ADDRS, ETH_HLEN, ETH_TYPE } from '../../packet/ethernet.ts';
import { IP } from '../../packet/ip.ts';
import { DECAP, hostWord, TUN, type TunnelInfo, tunFlags, tunOptsSize } from './tunnel-info.ts';

/** GRE protocol types of versions 1 and 2. */
export const ERSPAN_PROTOCOL = { V1: 0x88be, V2: 0x22eb } as const;
/** sizeof(struct erspan_metadata). */
const METADATA_SIZE = 12;
const V1_SIZE = 8;
const V2_SIZE = 12;
const SESSION_MASK = 0x3ff;
const TRUNCATED = 0x400;
/** Of version 1: the frame has its VLAN tag in it. */
const ENC_IN_FRAME = 3;
/** Of version 2: how the frame's size is odd. */
const BSO = { NONE: 0, SHORT: 1, OVERSIZED: 2 } as const;
const ETH_ZLEN = 60;
const ETH_FRAME_LEN = 1514;
const P_BIT = 0x8000;
/** Of the metadata's last 16 bits: hardware id and direction, which are the sender's to choose. */
const V2_CHOSEN = 0x03f8;

/**
 * Reads the header at `at`, behind a GRE header, into `tun`; else as decapVxlan().
 */
export function decapErspan(view: DataView, at: number, end: number, tun: TunnelInfo): number {
  if (end - at < V1_SIZE) return DECAP.SHORT;
  const first = view.getInt32(at);
  const version = first >>> 28;
  if (version !== 1 && version !== 2) return DECAP.BAD;
  const size = version === 1 ? V1_SIZE : V2_SIZE;
  if (end - at < size) return DECAP.SHORT;
  tun[TUN.ID] = 0;
  tun[TUN.ID + 1] = first & SESSION_MASK;
  tun[TUN.TOS] = tun[TUN.TOS]! | TUN_F.KEY | TUN_F.ERSPAN_OPTS;
  tun[TUN.OPTS_SIZE] = METADATA_SIZE;
  tun[TUN.OPTS] = hostWord(version);
  tun[TUN.OPTS + 1] = view.getInt32(at + 4);
  tun[TUN.OPTS + 2] = version === 1 ? 0 : view.getInt32(at + 8);
  return at + size;
}

/** Version of the options, or 0 if there are none to make a header of. */
export function erspanVersion(tun: TunnelInfo): number {
  if ((tunFlags(tun) & TUN_F.ERSPAN_OPTS) === 0 || tunOptsSize(tun) < METADATA_SIZE) return 0;
  const version = hostWord(tun[TUN.OPTS]!);
  return version === 1 || version === 2 ? version : 0;
}

/**
 * Writes the header at `at` for the frame in `[start, end)`, cut if `isCut`; `ticks` is the time in 100 us.  The version is
 * that of erspanVersion().  Returns the size.  Hot path.
 */
export function encapErspan(
  view: DataView,
  at: number,
  tun: TunnelInfo,
  start: number,
  end: number,
  isCut: boolean,
  ticks: number,
): number {
  const version = hostWord(tun[TUN.OPTS]!);
  const type = end - start >= ETH_HLEN ? view.getUint16(start + ETH_ADDRS) : 0;
  const isTagged = type === ETH_TYPE.VLAN_8021Q && end - start >= ETH_HLEN + 4;
  const vlan = isTagged ? view.getUint16(start + ETH_HLEN) & 0xfff : 0;
  const tos = type === ETH_TYPE.IP && end - start > ETH_HLEN + IP.TOS ? view.getUint8(start + ETH_HLEN + IP.TOS) : 0;
  const size = end - start;
  const bso = isCut || size > ETH_FRAME_LEN ? BSO.OVERSIZED : size < ETH_ZLEN ? BSO.SHORT : BSO.NONE;
  const enc = version === 2 ? bso : isTagged ? ENC_IN_FRAME : 0;
  view.setInt32(
    at,
    (version << 28) |
      (vlan << 16) |
      ((tos >>> 5) << 13) |
      (enc << 11) |
      (isCut ? TRUNCATED : 0) |
      (tun[TUN.ID + 1]! & SESSION_MASK),
  );
  if (version === 1) {
    view.setInt32(at + 4, tun[TUN.OPTS + 1]! & 0xfffff);
    return V1_SIZE;
  }
  view.setInt32(at + 4, ticks);
  view.setInt32(at + 8, P_BIT | (tun[TUN.OPTS + 2]! & V2_CHOSEN));
  return V2_SIZE;
}
