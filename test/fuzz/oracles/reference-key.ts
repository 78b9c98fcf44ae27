/**
 * What the flow key of a frame must be, worked out anew from the headers' definitions with byte arrays and hex text: to compare
 * flow-extract.ts with.  A field that is not named here must be 0.
 * Sources: net/openvswitch/flow.c (key_extract), RFC 791, 8200, 4861, 8300, 3032, 826.
 */
import type { FieldName } from '../../../src/flow/fields.ts';

/** Fields as hex, as many digits as they have. */
export type ReferenceKey = Partial<Record<FieldName, string>>;

const hex = (bytes: readonly number[]): string => bytes.map((b) => b.toString(16).padStart(2, '0')).join('');
const num = (value: number, bytes: number): string => value.toString(16).padStart(2 * bytes, '0');
const be16 = (b: readonly number[], at: number): number => b[at]! * 256 + b[at + 1]!;
const isTag = (type: number): boolean => type === 0x8100 || type === 0x88a8;

/** `bareType`: ethertype of a packet without Ethernet header, or 0; `isUdpGso`: the device was to fragment it.  Null: dropped. */
export function referenceKey(frame: readonly number[], bareType: number, isUdpGso: boolean): ReferenceKey | null {
  const key: ReferenceKey = {};
  let rest: readonly number[];
  let type: number;
  if (bareType !== 0) {
    if (isTag(bareType)) return null;
    key.packetType = num(bareType, 2);
    type = bareType;
    rest = frame;
  } else {
    if (frame.length < 14) return null;
    key.ethDst = hex(frame.slice(0, 6));
    key.ethSrc = hex(frame.slice(6, 12));
    rest = frame.slice(12);
    // A tag counts if the type behind it is there.
    for (const [tpid, tci] of [
      ['vlanTpid', 'vlanTci'],
      ['cvlanTpid', 'cvlanTci'],
    ] as const) {
      if (!isTag(be16(rest, 0)) || rest.length < 6) break;
      key[tpid] = hex(rest.slice(0, 2));
      key[tci] = num(be16(rest, 2) | 0x1000, 2);
      rest = rest.slice(4);
    }
    type = be16(rest, 0);
    rest = rest.slice(2);
    if (type < 0x600) {
      const isSnap = rest.length >= 8 && hex(rest.slice(0, 2)) === 'aaaa' && hex(rest.slice(3, 6)) === '000000';
      if (isSnap && be16(rest, 6) >= 0x600) {
        type = be16(rest, 6);
        rest = rest.slice(8);
      } else {
        // A SNAP header that holds a length is none, but is passed over all the same; nothing behind it is looked at.
        type = 4;
      }
    }
  }
  key.ethType = num(type, 2);
  switch (type) {
    case 0x0800:
      ipv4(key, rest, isUdpGso);
      break;
    case 0x86dd:
      ipv6(key, rest, isUdpGso);
      break;
    case 0x0806:
    case 0x8035:
      arp(key, rest);
      break;
    case 0x8847:
    case 0x8848:
      mpls(key, rest);
      break;
    case 0x894f:
      return nsh(key, rest) ? key : null;
  }
  return key;
}

function ipv4(key: ReferenceKey, p: readonly number[], isUdpGso: boolean): void {
  const hlen = p.length >= 20 ? (p[0]! % 16) * 4 : 0;
  if (hlen < 20 || p.length < hlen) return;
  key.nwTos = hex([p[1]!]);
  key.nwTtl = hex([p[8]!]);
  key.nwProto = hex([p[9]!]);
  key.nwSrc = hex(p.slice(12, 16));
  key.nwDst = hex(p.slice(16, 20));
  const field = be16(p, 6);
  const isLater = field % 0x2000 !== 0;
  if (isLater) key.nwFrag = '02';
  else if (field & 0x2000 || isUdpGso) key.nwFrag = '01';
  if (isLater) return;
  if (p[9] === 1) icmp(key, p.slice(hlen));
  else ports(key, p[9]!, p.slice(hlen));
}

const icmp = (key: ReferenceKey, p: readonly number[]): void => {
  if (p.length < 8) return;
  key.tpSrc = num(p[0]!, 2);
  key.tpDst = num(p[1]!, 2);
};

function ports(key: ReferenceKey, proto: number, p: readonly number[]): void {
  const least = ({ 6: 20, 17: 8, 132: 12 } as Record<number, number>)[proto];
  if (least === undefined || p.length < least) return;
  if (proto === 6) {
    const hlen = (p[12]! >> 4) * 4;
    if (hlen < 20 || hlen > p.length) return;
    key.tcpFlags = num(be16(p, 12) & 0xfff, 2);
  }
  key.tpSrc = hex(p.slice(0, 2));
  key.tpDst = hex(p.slice(2, 4));
}

const EXTENSIONS = [0, 43, 44, 51, 59, 60];

function ipv6(key: ReferenceKey, p: readonly number[], isUdpGso: boolean): void {
  if (p.length < 40) return;
  key.nwTos = num((be16(p, 0) >> 4) & 0xff, 1);
  key.ipv6Label = num(((p[1]! & 15) << 16) | be16(p, 2), 4);
  key.nwTtl = hex([p[7]!]);
  key.ipv6Src = hex(p.slice(8, 24));
  key.ipv6Dst = hex(p.slice(24, 40));
  key.ipv6Exthdrs = num(extensionBits(p), 2);
  let frag = 0;
  let proto = p[6]!;
  let rest = p.slice(40);
  let isWhole = true;
  while (EXTENSIONS.includes(proto) && proto !== 59) {
    if (rest.length < 2 || (proto === 43 && rest.length < 4)) {
      isWhole = false;
      break;
    }
    let size = proto === 51 ? (rest[1]! + 2) * 4 : (rest[1]! + 1) * 8;
    const next = rest[0]!;
    if (proto === 44) {
      frag = 1;
      if (rest.length < 4) {
        isWhole = false;
        break;
      }
      size = 8;
      if (be16(rest, 2) >= 8) {
        isWhole = !EXTENSIONS.includes(next) || next === 59;
        if (isWhole) frag = 2;
        break;
      }
    }
    if (rest.length < size) {
      isWhole = false;
      break;
    }
    rest = rest.slice(size);
    proto = next;
  }
  if (frag === 2) proto = 44;
  else if (!isWhole) proto = 59;
  else if (isUdpGso) frag = 1;
  key.nwProto = num(proto, 1);
  key.nwFrag = num(frag, 1);
  if (frag === 2 || !isWhole) return;
  if (proto === 58) icmpv6(key, rest);
  else ports(key, proto, rest);
}

/** OFPIEH12_*: which headers there are, and 128 for repeated, 256 for misplaced ones. */
function extensionBits(p: readonly number[]): number {
  const [NONEXT, AUTH, DEST, FRAG, ROUTER, HOP, UNREP, UNSEQ] = [1, 4, 8, 16, 32, 64, 128, 256];
  /** What may come before. */
  const before: Record<number, readonly [bit: number, allowed: number]> = {
    43: [ROUTER, HOP | DEST | UNREP],
    44: [FRAG, HOP | DEST | ROUTER | UNREP],
    51: [AUTH, HOP | DEST | ROUTER | FRAG | UNREP],
  };
  let bits = 0;
  let nDest = 0;
  let at = 40;
  for (let type = p[6]!; EXTENSIONS.includes(type); type = p[at]!, at += (p[at + 1]! + 1) * 8) {
    if (type === 59) return bits | NONEXT;
    if (type === 0) {
      if (bits & HOP) bits |= UNREP;
      bits |= bits === 0 ? HOP : UNSEQ;
    } else if (type === 60) {
      nDest++;
      if (nDest === 1) {
        if (bits & ~(HOP | UNREP)) bits |= UNSEQ;
        bits |= DEST;
      } else if (nDest === 2) {
        if (bits & ~(HOP | DEST | ROUTER | FRAG | AUTH | UNREP)) bits |= UNSEQ;
      } else {
        bits |= UNREP;
      }
    } else {
      const [bit, allowed] = before[type]!;
      if (bits & bit) bits |= UNREP;
      if (bits & ~allowed || nDest >= 2) bits |= UNSEQ;
      bits |= bit;
    }
    if (at + 2 > p.length) break;
  }
  return bits;
}

function icmpv6(key: ReferenceKey, p: readonly number[]): void {
  if (p.length < 8) return;
  icmp(key, p);
  if ((p[0] !== 135 && p[0] !== 136) || p[1] !== 0 || p.length < 24) return;
  const lladdr: Record<number, string | undefined> = {};
  const zero = '000000000000';
  for (let at = 24; p.length - at >= 8; ) {
    const [kind, size] = [p[at]!, p[at + 1]! * 8];
    if (size === 0 || size > p.length - at) break;
    if ((kind === 1 || kind === 2) && size === 8) {
      if ((lladdr[kind] ?? zero) !== zero) return;
      lladdr[kind] = hex(p.slice(at + 2, at + 8));
    }
    at += size;
  }
  key.ndTarget = hex(p.slice(8, 24));
  if (lladdr[1] !== undefined) key.arpSha = lladdr[1];
  if (lladdr[2] !== undefined) key.arpTha = lladdr[2];
}

function arp(key: ReferenceKey, p: readonly number[]): void {
  if (p.length < 28 || hex(p.slice(0, 6)) !== '000108000604') return;
  if (p[6] === 0) key.nwProto = hex([p[7]!]);
  key.arpSha = hex(p.slice(8, 14));
  key.nwSrc = hex(p.slice(14, 18));
  key.arpTha = hex(p.slice(18, 24));
  key.nwDst = hex(p.slice(24, 28));
}

function mpls(key: ReferenceKey, p: readonly number[]): void {
  const names = ['mplsLse0', 'mplsLse1', 'mplsLse2'] as const;
  for (let i = 0; p.length >= 4 * i + 4; i++) {
    const name = names[i];
    if (name !== undefined) key[name] = hex(p.slice(4 * i, 4 * i + 4));
    if ((p[4 * i + 2]! & 1) === 0) continue;
    key.mplsLabels = num([1, 3, 7][Math.min(i, 2)]!, 1);
    return;
  }
}

function nsh(key: ReferenceKey, p: readonly number[]): boolean {
  if (p.length < 8) return false;
  const first = be16(p, 0);
  const size = (first & 63) * 4;
  if (first >> 14 !== 0 || size > p.length) return false;
  if (p[2] !== 1 && p[2] !== 2) return false;
  if (p[2] === 1 && size !== 24) return false;
  key.nshFlags = num((first >> 12) & 3, 1);
  key.nshTtl = num((first >> 6) & 63, 1);
  key.nshMdtype = hex([p[2]!]);
  key.nshNp = hex([p[3]!]);
  key.nshPathHdr = hex(p.slice(4, 8));
  if (p[2] === 2) return true;
  (['nshC1', 'nshC2', 'nshC3', 'nshC4'] as const).forEach((name, i) => {
    key[name] = hex(p.slice(8 + 4 * i, 12 + 4 * i));
  });
  return true;
}
