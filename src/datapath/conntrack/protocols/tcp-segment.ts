/**
 * TCP segments as the connection tracker reads them: what kind they are, whether they make sense, their options.  Hot path.
 * tcp-state.ts decides what they mean.
 * Sources: net/netfilter/nf_conntrack_proto_tcp.c (6.1), RFC 9293, RFC 7323, RFC 2018.
 */
import { TCP } from '../../../packet/ip.ts';
import type { IpView } from '../ip-view.ts';

/** Kinds of segments, in the order of the columns of tcp-table.ts. */
export const [SYN, SYNACK, FIN, ACK, RST, OTHER] = [0, 1, 2, 3, 4, 5] as const;

/** IP_CT_TCP_FLAG_*: of a sender, and (the last two) of `lastFlags`. */
// biome-ignore format: table
export const TCP_CT_FLAG = {
  WINDOW_SCALE: 0x01, SACK_PERM: 0x02, CLOSE_INIT: 0x04, BE_LIBERAL: 0x08, DATA_UNACKNOWLEDGED: 0x10, MAXACK_SET: 0x20,
  CHALLENGE_ACK: 0x40, SIMULTANEOUS_OPEN: 0x80,
} as const;
const F = TCP_CT_FLAG;

/** Of byte 13. */
export const FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, ECE: 64, CWR: 128 } as const;
/** Combinations, without PSH, ECE and CWR, that make sense. */
const VALID_FLAGS = new Uint8Array(64);
for (const flags of [
  FLAG.SYN,
  FLAG.SYN | FLAG.URG,
  FLAG.SYN | FLAG.ACK,
  FLAG.RST,
  FLAG.RST | FLAG.ACK,
  FLAG.FIN | FLAG.ACK,
  FLAG.FIN | FLAG.ACK | FLAG.URG,
  FLAG.ACK,
  FLAG.ACK | FLAG.URG,
]) {
  VALID_FLAGS[flags] = 1;
}

/** Modulo 2^32. */
export const isAfter = (a: number, b: number): boolean => ((b - a) | 0) < 0;
export const isBefore = (a: number, b: number): boolean => ((a - b) | 0) < 0;

export function kindOf(flags: number): number {
  if ((flags & FLAG.RST) !== 0) return RST;
  if ((flags & FLAG.SYN) !== 0) return (flags & FLAG.ACK) !== 0 ? SYNACK : SYN;
  if ((flags & FLAG.FIN) !== 0) return FIN;
  return (flags & FLAG.ACK) !== 0 ? ACK : OTHER;
}

/** Whether the segment can be looked at: header whole, checksum right, flags sensible. */
export function isSound(ip: IpView): boolean {
  const { view, l4, end } = ip;
  if (end - l4 < TCP.HLEN) return false;
  const hlen = (view.getUint8(l4 + 12) >>> 4) << 2;
  if (hlen < TCP.HLEN || hlen > end - l4 || !ip.sumIsRight(true)) return false;
  const flags = view.getUint8(l4 + 13) & 0x37;
  return VALID_FLAGS[flags] === 1;
}

/** The window it offers, not scaled. */
export const windowOf = (ip: IpView): number => ip.view.getUint16(ip.l4 + 14);

export const hasOptions = (ip: IpView): boolean => ip.view.getUint8(ip.l4 + 12) >>> 4 > TCP.HLEN / 4;

/** Sequence number just after the segment. */
export function endOf(ip: IpView, seq: number, flags: number): number {
  const { view, l4, end } = ip;
  const size = end - l4 - ((view.getUint8(l4 + 12) >>> 4) << 2);
  return (seq + size + ((flags & FLAG.SYN) !== 0 ? 1 : 0) + ((flags & FLAG.FIN) !== 0 ? 1 : 0)) | 0;
}

const OPT = { EOL: 0, NOP: 1, WINDOW: 3, SACK_PERM: 4, SACK: 5 } as const;

const endOfOptions = ({ view, l4 }: IpView): number => l4 + ((view.getUint8(l4 + 12) >>> 4) << 2);

/** Where the next option with a size begins, at or behind `at`: -1 if there is none, or it is cut short. */
function nextOption(view: DataView, at: number, end: number): number {
  while (at < end && view.getUint8(at) === OPT.NOP) at++;
  if (at + 2 > end || view.getUint8(at) === OPT.EOL) return -1;
  const size = view.getUint8(at + 1);
  return size < 2 || at + size > end ? -1 : at;
}

/** Reads window scale and SACK-permitted: `flags | scale << 8`. */
export function readOptions(ip: IpView): number {
  const { view } = ip;
  const end = endOfOptions(ip);
  let found = 0;
  for (let at = nextOption(view, ip.l4 + TCP.HLEN, end); at >= 0; ) {
    const kind = view.getUint8(at);
    const size = view.getUint8(at + 1);
    if (kind === OPT.SACK_PERM && size === 2) found |= F.SACK_PERM;
    else if (kind === OPT.WINDOW && size === 3) {
      found = (found & 0xff) | F.WINDOW_SCALE | (Math.min(view.getUint8(at + 2), 14) << 8);
    }
    at = nextOption(view, at + size, end);
  }
  return found;
}

/** The highest right edge of SACK blocks, if that is beyond `ack`. */
export function highestSack(ip: IpView, ack: number): number {
  const { view } = ip;
  const end = endOfOptions(ip);
  for (let at = nextOption(view, ip.l4 + TCP.HLEN, end); at >= 0; ) {
    const kind = view.getUint8(at);
    const size = view.getUint8(at + 1);
    if (kind === OPT.SACK && size >= 10 && (size - 2) % 8 === 0) {
      for (let edge = at + 6; edge < at + size; edge += 8) {
        const right = view.getInt32(edge);
        if (isAfter(right, ack)) ack = right;
      }
      break;
    }
    at = nextOption(view, at + size, end);
  }
  return ack;
}
