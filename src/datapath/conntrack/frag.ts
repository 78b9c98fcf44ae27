/**
 * Puts IP fragments together before they are tracked: in the kernel, the defragmentation that conntrack does for each zone.
 * refragment.ts takes them apart again on output.
 *
 * Fragments that wait are copies, in memory that is bounded; a datagram that is not complete in time is forgotten.
 * Overlapping fragments end it, an exact duplicate is ignored.
 * Sources: RFC 791 3.2, RFC 8200 4.5, RFC 5722; net/ipv4/ip_fragment.c, net/ipv6/netfilter/nf_conntrack_reasm.c.
 */
import { setIpv4Checksum } from '../../packet/checksum.ts';
import { IP, IP_MF, IP_OFFSET, IPPROTO, IPV6, isIpv6ExtHdr } from '../../packet/ip.ts';
import { HEADROOM, type Packet, SLOT_SIZE } from '../../packet/packet.ts';

/** What became of a fragment: the packet is whole now; it waits; it was dropped. */
export const FRAG_RESULT = { WHOLE: 0, QUEUED: 1, DROPPED: 2 } as const;

const IP_DF = 0x4000;
const V4_TIMEOUT_MS = 30_000;
const V6_TIMEOUT_MS = 60_000;
/** ipfrag_high_thresh, ip6frag_high_thresh. */
const DEFAULT_MAX_BYTES = 4 << 20;
/** What a waiting datagram, and each of its fragments, takes besides bytes. */
const OVERHEAD = 256;
const MAX_SIZE = 65_535;

interface Piece {
  readonly offset: number;
  /** Payload only. */
  readonly bytes: Uint8Array;
}

interface Datagram {
  readonly isV6: boolean;
  readonly key: string;
  readonly expires: number;
  readonly pieces: Piece[];
  /** Payload bytes in all, known when the last fragment has come; else -1. */
  size: number;
  received: number;
  held: number;
  /** Everything before the payload of the first fragment: link layer, IP header. */
  head: Uint8Array | undefined;
  /** Offset of the IP header in it. */
  l3: number;
  /** Largest fragment, and largest with DF, IP header included. */
  maxSize: number;
  maxDfSize: number;
  /** IPv6: type of what the fragment header stands before, and where in `head` that type is to be written. */
  nextHeader: number;
  nextAt: number;
}

/** Where in a packet its fragment is. */
interface Fragment {
  offset: number;
  isLast: boolean;
  at: number;
  end: number;
  hasDf: boolean;
  nextHeader: number;
  nextAt: number;
  id: string;
}

export class Defragmenter {
  /** The oldest first, and so by when they are given up. */
  private readonly v4 = new Map<string, Datagram>();
  private readonly v6 = new Map<string, Datagram>();
  private readonly maxBytes: number;
  /** Bytes in use. */
  bytes = 0;
  readonly stats = { reassembled: 0, failed: 0, timedOut: 0 };

  constructor(maxBytes = DEFAULT_MAX_BYTES) {
    this.maxBytes = maxBytes;
  }

  /** Datagrams that wait for the rest of them. */
  get waiting(): number {
    return this.v4.size + this.v6.size;
  }

  /**
   * Takes in the fragment in `pkt`, which has its bytes to itself.  If that makes its datagram whole, `pkt` becomes it, with
   * `mru` the size of its largest fragment.  Returns a FRAG_RESULT.
   */
  add(pkt: Packet, isV6: boolean, zone: number, now: number): number {
    this.expire(this.v4, now);
    this.expire(this.v6, now);
    const fragment = isV6 ? readV6(pkt) : readV4(pkt);
    if (fragment === 'none') return FRAG_RESULT.WHOLE;
    if (fragment === undefined) return this.fail();
    const key = `${zone} ${fragment.id}`;
    const datagrams = isV6 ? this.v6 : this.v4;
    // Whatever it belongs to: those that wait must not grow without bound either.
    if (this.bytes >= this.maxBytes) return this.fail();
    let datagram = datagrams.get(key);
    if (datagram === undefined) {
      const expires = now + (isV6 ? V6_TIMEOUT_MS : V4_TIMEOUT_MS);
      // biome-ignore format: one line a thing
      datagram = {
        isV6,
        key, expires, pieces: [], size: -1, received: 0, held: 0, head: undefined, l3: 0, maxSize: 0, maxDfSize: 0,
        nextHeader: 0, nextAt: 0,
      };
      datagrams.set(key, datagram);
      // It counts from now on, even if nothing of its first fragment is kept.
      this.hold(datagram, OVERHEAD);
    }
    const result = this.take(datagram, pkt, fragment);
    if (result !== FRAG_RESULT.WHOLE) return result;
    const isGood = assemble(pkt, datagram, isV6);
    this.forget(datagram);
    if (!isGood) return this.fail();
    this.stats.reassembled++;
    return FRAG_RESULT.WHOLE;
  }

  private fail(): number {
    this.stats.failed++;
    return FRAG_RESULT.DROPPED;
  }

  private expire(datagrams: ReadonlyMap<string, Datagram>, now: number): void {
    for (const datagram of datagrams.values()) {
      if (datagram.expires > now) return;
      this.forget(datagram);
      this.stats.timedOut++;
    }
  }

  private forget(datagram: Datagram): void {
    (datagram.isV6 ? this.v6 : this.v4).delete(datagram.key);
    this.bytes -= datagram.held;
  }

  private take(d: Datagram, pkt: Packet, f: Fragment): number {
    const size = f.end - f.at;
    const end = f.offset + size;
    if (end > MAX_SIZE || (!f.isLast && (size === 0 || size % 8 !== 0))) return this.fail();
    if (f.isLast) {
      if (d.size >= 0 && d.size !== end) return this.giveUp(d);
      if (d.pieces.some((p) => p.offset + p.bytes.length > end)) return this.giveUp(d);
      d.size = end;
    } else if (d.size >= 0 && end > d.size) {
      return this.giveUp(d);
    }
    let i = d.pieces.length;
    while (i > 0 && d.pieces[i - 1]!.offset >= f.offset) i--;
    const [before, after] = [d.pieces[i - 1], d.pieces[i]];
    if (after?.offset === f.offset && after.bytes.length === size) return this.fail();
    if (
      (before !== undefined && before.offset + before.bytes.length > f.offset) ||
      (after !== undefined && end > after.offset)
    ) {
      return this.giveUp(d);
    }
    const { bytes } = pkt.arena;
    d.pieces.splice(i, 0, { offset: f.offset, bytes: bytes.slice(f.at, f.end) });
    d.received += size;
    this.hold(d, size + OVERHEAD);
    if (f.offset === 0) {
      d.head = bytes.slice(pkt.start, f.at);
      d.l3 = pkt.l3;
      d.nextHeader = f.nextHeader;
      d.nextAt = f.nextAt - pkt.start;
      this.hold(d, d.head.length);
    }
    const whole = f.end - pkt.start - pkt.l3;
    d.maxSize = Math.max(d.maxSize, whole);
    if (f.hasDf) d.maxDfSize = Math.max(d.maxDfSize, whole);
    return d.size >= 0 && d.received === d.size && d.head !== undefined ? FRAG_RESULT.WHOLE : FRAG_RESULT.QUEUED;
  }

  private hold(d: Datagram, n: number): void {
    d.held += n;
    this.bytes += n;
  }

  /** Fragments that contradict each other: none of them can be trusted. */
  private giveUp(d: Datagram): number {
    this.forget(d);
    return this.fail();
  }
}

/** Builds the datagram in the packet's slot.  False if it does not fit. */
function assemble(pkt: Packet, d: Datagram, isV6: boolean): boolean {
  const head = d.head!;
  const { bytes, view } = pkt.arena;
  const start = pkt.slot * SLOT_SIZE + HEADROOM;
  // Of IPv6, the fragment header goes.
  const headSize = head.length - (isV6 ? 8 : 0);
  const ipSize = headSize - d.l3 + d.size;
  if (ipSize > MAX_SIZE + (isV6 ? IPV6.HLEN : 0) || headSize + d.size > SLOT_SIZE - HEADROOM) return false;
  bytes.set(head.subarray(0, headSize), start);
  for (const piece of d.pieces) bytes.set(piece.bytes, start + headSize + piece.offset);
  pkt.start = start;
  pkt.end = start + headSize + d.size;
  pkt.l3 = d.l3;
  pkt.vnetFlags = pkt.gsoType = pkt.gsoSize = pkt.hdrLen = pkt.csumStart = pkt.csumOffset = 0;
  pkt.mru = Math.max(d.maxSize, d.maxDfSize);
  const l3 = start + d.l3;
  if (isV6) {
    view.setUint8(start + d.nextAt, d.nextHeader);
    view.setUint16(l3 + IPV6.LEN, ipSize - IPV6.HLEN);
  } else {
    view.setUint16(l3 + IP.TOTAL, ipSize);
    view.setUint16(l3 + IP.FRAG, d.maxDfSize === d.maxSize ? IP_DF : 0);
    setIpv4Checksum(view, l3);
  }
  return true;
}

/** The fragment in an IPv4 packet; 'none' if it is a whole datagram; undefined if it is broken. */
function readV4(pkt: Packet): Fragment | 'none' | undefined {
  const { view } = pkt.arena;
  const l3 = pkt.start + pkt.l3;
  if (pkt.end - l3 < IP.HLEN) return undefined;
  const at = l3 + ((view.getUint8(l3) & 15) << 2);
  const end = l3 + view.getUint16(l3 + IP.TOTAL);
  if (at < l3 + IP.HLEN || at > end || end > pkt.end) return undefined;
  const frag = view.getUint16(l3 + IP.FRAG);
  if ((frag & (IP_MF | IP_OFFSET)) === 0) return 'none';
  return {
    offset: (frag & IP_OFFSET) << 3,
    isLast: (frag & IP_MF) === 0,
    at,
    end,
    hasDf: (frag & IP_DF) !== 0,
    nextHeader: 0,
    nextAt: 0,
    id: `${view.getInt32(l3 + IP.SRC)} ${view.getInt32(l3 + IP.DST)} ${view.getUint8(l3 + IP.PROTO)} ${view.getUint16(l3 + IP.ID)}`,
  };
}

/** The same for IPv6. */
function readV6(pkt: Packet): Fragment | 'none' | undefined {
  const { view } = pkt.arena;
  const l3 = pkt.start + pkt.l3;
  if (pkt.end - l3 < IPV6.HLEN) return undefined;
  const end = l3 + IPV6.HLEN + view.getUint16(l3 + IPV6.LEN);
  if (end > pkt.end) return undefined;
  let nextAt = l3 + IPV6.NEXT;
  let at = l3 + IPV6.HLEN;
  for (;;) {
    const next = view.getUint8(nextAt);
    if (!isIpv6ExtHdr(next) || next === IPPROTO.NONE) return 'none';
    if (end - at < 8) return undefined;
    if (next === IPPROTO.FRAGMENT) break;
    nextAt = at;
    at += next === IPPROTO.AH ? (view.getUint8(at + 1) + 2) << 2 : (view.getUint8(at + 1) + 1) << 3;
  }
  const field = view.getUint16(at + 2);
  let id = `${view.getInt32(at + 4)}`;
  for (let i = 0; i < 8; i++) id += ` ${view.getInt32(l3 + IPV6.SRC + 4 * i)}`;
  return {
    offset: field & 0xfff8,
    isLast: (field & 1) === 0,
    at: at + 8,
    end,
    hasDf: false,
    nextHeader: view.getUint8(at),
    nextAt,
    id,
  };
}
