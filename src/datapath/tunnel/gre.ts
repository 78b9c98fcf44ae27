/**
 * The GRE header with the fields of RFC 2890:
 *
 *      0                   1                   2                   3
 *     +-+-+-+-+-------------+-----+-------------------------------+
 *     |C|R|K|S|  reserved   | ver |         protocol type         |
 *     +-+-+-+-+-------------+-----+-------------------------------+
 *     |      checksum (if C)      |           reserved            |
 *     |                          key (if K)                       |
 *     |                    sequence number (if S)                 |
 *
 * The key is the low half of the tunnel id.  A packet with a checksum is summed; routing (R) is not known any more.  Reserved bits of
 * the second byte but for the first make another version of it, to Linux: the packet is none of ours.
 * Source: RFC 2784, RFC 2890; include/net/gre.h, net/ipv4/gre_demux.c.
 */
import { TUN_F } from '../../flow/fields.ts';
import { foldSum, sumBytes } from '../../packet/checksum.ts';
import { DECAP, TUN, type TunnelInfo, tunFlags } from './tunnel-info.ts';

const GRE = { CSUM: 0x8000, ROUTING: 0x4000, KEY: 0x2000, SEQ: 0x1000, VERSION: 0x7f } as const;
const BASE_SIZE = 4;

/** Protocol type of the GRE header at `at`, whole or not: which port a packet is for; -1 if there is none. */
export const greProtocol = (view: DataView, at: number, end: number): number =>
  end - at < BASE_SIZE ? -1 : view.getUint16(at + 2);

/** Reads the header at `at`; else as decapVxlan(). */
export function decapGre(view: DataView, at: number, end: number, tun: TunnelInfo): number {
  if (end - at < BASE_SIZE) return DECAP.SHORT;
  const bits = view.getUint16(at);
  if ((bits & (GRE.VERSION | GRE.ROUTING)) !== 0) return DECAP.BAD;
  const size =
    BASE_SIZE + ((bits & GRE.CSUM) !== 0 ? 4 : 0) + ((bits & GRE.KEY) !== 0 ? 4 : 0) + ((bits & GRE.SEQ) !== 0 ? 4 : 0);
  if (end - at < size) return DECAP.SHORT;
  let flags = 0;
  let field = at + BASE_SIZE;
  if ((bits & GRE.CSUM) !== 0) {
    if (foldSum(sumBytes(view, at, end - at, 0)) !== 0xffff) return DECAP.BAD;
    flags |= TUN_F.CSUM;
    field += 4;
  }
  tun[TUN.ID] = 0;
  tun[TUN.ID + 1] = 0;
  if ((bits & GRE.KEY) !== 0) {
    flags |= TUN_F.KEY;
    tun[TUN.ID + 1] = view.getInt32(field);
  }
  tun[TUN.TOS] = tun[TUN.TOS]! | flags;
  return at + size;
}

/** Writes the header at `at` with room for a checksum if the metadata asks for one; returns its size.  Hot path. */
export function encapGre(view: DataView, at: number, tun: TunnelInfo, protocol: number): number {
  const flags = tunFlags(tun);
  const hasSum = (flags & TUN_F.CSUM) !== 0;
  const hasKey = (flags & TUN_F.KEY) !== 0;
  let end = at + BASE_SIZE;
  view.setUint16(at, (hasSum ? GRE.CSUM : 0) | (hasKey ? GRE.KEY : 0));
  view.setUint16(at + 2, protocol);
  if (hasSum) {
    view.setInt32(end, 0);
    end += 4;
  }
  if (hasKey) {
    view.setInt32(end, tun[TUN.ID + 1]!);
    end += 4;
  }
  return end - at;
}

/** Writes a header with only a sequence number, as ERSPAN has it; returns its size. */
export function encapGreSequence(view: DataView, at: number, protocol: number, sequence: number): number {
  view.setUint16(at, GRE.SEQ);
  view.setUint16(at + 2, protocol);
  view.setInt32(at + 4, sequence);
  return BASE_SIZE + 4;
}

/** Completes the checksum in the header at `at`, which is `headSize` long, over `size` bytes that follow at `body`. */
export function sumGre(view: DataView, at: number, headSize: number, body: number, size: number): void {
  const sum = foldSum(sumBytes(view, at, headSize, 0)) + foldSum(sumBytes(view, body, size, 0));
  view.setUint16(at + BASE_SIZE, ~foldSum(sum));
}
