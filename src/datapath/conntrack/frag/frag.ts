/**
 * Puts IP fragments together before they are tracked: in the kernel, the defragmentation that conntrack does for each zone.
 * refragment.ts takes them apart again on output.
 *
 * Fragments that wait are copies, in memory that is bounded; a datagram that is not complete in time is forgotten.
 * Overlapping fragments end it, one whose bytes are all there already is ignored.
 *
 * read-fragment.ts finds the fragment in a packet.  An IPv6 fragment that cannot be taken for one, or is not the last and
 * of a size that is no multiple of 8, is not dropped but goes on as it is.
 * Sources: RFC 791 3.2, RFC 8200 4.5, RFC 5722, RFC 3168 5.3; net/ipv4/ip_fragment.c, net/ipv4/inet_fragment.c,
 * net/ipv6/netfilter/nf_conntrack_reasm.c, include/net/ipv6_frag.h.
 */
import { setIpv4Checksum } from '../../../packet/checksum.ts';
import { IP, IPV6 } from '../../../packet/ip.ts';
import { HEADROOM, type Packet, SLOT_SIZE } from '../../../packet/packet.ts';
import { type Fragment, IP_DF, readV4, readV6 } from './read-fragment.ts';

/** What became of a fragment: the packet goes on, usually as it is whole now; it waits; it was dropped. */
export const FRAG_RESULT = { WHOLE: 0, QUEUED: 1, DROPPED: 2 } as const;
/** It goes on as it is. */
const PASSED = 3;

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
  /** Whether it came just after its predecessor, which was the end of what there was. */
  readonly isAppended: boolean;
}

interface Datagram {
  readonly isV6: boolean;
  readonly key: string;
  readonly expires: number;
  readonly pieces: Piece[];
  /** Payload bytes in all if the last fragment has come; else how far those go that have. */
  size: number;
  hasLast: boolean;
  /** A bit for each ECN codepoint seen. */
  ecn: number;
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
        key, expires, pieces: [], size: 0, hasLast: false, ecn: 0, received: 0, held: 0, head: undefined, l3: 0, maxSize: 0, maxDfSize: 0,
        nextHeader: 0, nextAt: 0,
      };
      datagrams.set(key, datagram);
      // It counts from now on, even if nothing of its first fragment is kept.
      this.hold(datagram, OVERHEAD);
    }
    const result = this.take(datagram, pkt, fragment);
    if (result === PASSED) return FRAG_RESULT.WHOLE;
    if (result !== FRAG_RESULT.WHOLE) return result;
    const isGood = assemble(pkt, datagram, isV6);
    this.forget(datagram);
    if (!isGood) return isV6 ? this.ignore() : this.fail();
    this.stats.reassembled++;
    return FRAG_RESULT.WHOLE;
  }

  private fail(): number {
    this.stats.failed++;
    return FRAG_RESULT.DROPPED;
  }
  /** It is dropped, but as one that waits. */
  private ignore(): number {
    this.stats.failed++;
    return FRAG_RESULT.QUEUED;
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
    let end = f.offset + f.end - f.at;
    if (end > MAX_SIZE) return this.fail();
    if (f.isLast) {
      if (end < d.size || (d.hasLast && end !== d.size)) return this.contradicts(d);
      d.hasLast = true;
      d.size = end;
    } else {
      if ((end & 7) !== 0 && d.isV6) {
        this.giveUp(d);
        return PASSED;
      }
      end &= ~7;
      if (end > d.size && d.hasLast) return this.contradicts(d);
      d.size = Math.max(d.size, end);
    }
    const size = end - f.offset;
    if (size <= 0) return this.contradicts(d);
    const i = placeOf(d.pieces, f.offset, end);
    if (i === DUPLICATE) return d.isV6 ? this.ignore() : this.fail();
    if (i === OVERLAP) return this.giveUp(d);
    const { bytes } = pkt.arena;
    const last = d.pieces.at(-1);
    const isAppended = i === d.pieces.length && last !== undefined && endOf(last) === f.offset;
    d.pieces.splice(i, 0, { offset: f.offset, bytes: bytes.slice(f.at, f.at + size), isAppended });
    d.ecn |= 1 << f.ecn;
    d.received += size;
    this.hold(d, size + OVERHEAD);
    if (f.offset === 0) {
      d.head = bytes.slice(pkt.start, f.at);
      d.l3 = pkt.l3;
      d.nextHeader = f.nextHeader;
      d.nextAt = f.nextAt - pkt.start;
      this.hold(d, d.head.length);
    }
    const whole = f.at + size - pkt.start - pkt.l3;
    d.maxSize = Math.max(d.maxSize, whole);
    if (f.hasDf) d.maxDfSize = Math.max(d.maxDfSize, whole);
    return d.hasLast && d.received === d.size && d.head !== undefined ? FRAG_RESULT.WHOLE : FRAG_RESULT.QUEUED;
  }

  private hold(d: Datagram, n: number): void {
    d.held += n;
    this.bytes += n;
  }

  /** A fragment that does not fit to how large the datagram is: of IPv6, the others wait on. */
  private contradicts(d: Datagram): number {
    return d.isV6 ? this.fail() : this.giveUp(d);
  }

  /** Fragments that overlap each other: none of them can be trusted. */
  private giveUp(d: Datagram): number {
    this.forget(d);
    return this.fail();
  }
}

const endOf = (piece: Piece): number => piece.offset + piece.bytes.length;

const DUPLICATE = -1;
const OVERLAP = -2;

/** Where the bytes from `offset` to `end` go among the pieces; DUPLICATE or OVERLAP if some of them are there. */
function placeOf(pieces: readonly Piece[], offset: number, end: number): number {
  const last = pieces.at(-1);
  if (last === undefined) return 0;
  if (endOf(last) < end) return offset < endOf(last) ? OVERLAP : pieces.length;
  let i = pieces.length;
  while (i > 0 && pieces[i - 1]!.offset >= end) i--;
  if (i === 0) return 0;
  // Pieces that came one after the other count as one.
  const stop = endOf(pieces[i - 1]!);
  if (offset >= stop) return i;
  let first = i - 1;
  while (pieces[first]!.isAppended) first--;
  let runEnd = stop;
  for (let j = i; j < pieces.length && pieces[j]!.isAppended; j++) runEnd = endOf(pieces[j]!);
  return offset >= pieces[first]!.offset && end <= runEnd ? DUPLICATE : OVERLAP;
}

/** ECN codepoints, as bits of a set. */
const [NOT_ECT, CE_BIT] = [1, 8] as const;
const CE = 3;

/** What is to be set in a datagram whose fragments had the codepoints in `set`; -1 if they cannot be of one. */
function ecnOf(set: number): number {
  if ((set & NOT_ECT) !== 0 && set !== NOT_ECT) return -1;
  return (set & CE_BIT) !== 0 && set !== CE_BIT ? CE : 0;
}

/** Builds the datagram in the packet's slot.  False if it does not fit. */
function assemble(pkt: Packet, d: Datagram, isV6: boolean): boolean {
  const head = d.head!;
  const { bytes, view } = pkt.arena;
  const start = pkt.slot * SLOT_SIZE + HEADROOM;
  // Of IPv6, the fragment header goes.
  const headSize = head.length - (isV6 ? 8 : 0);
  const ipSize = headSize - d.l3 + d.size;
  const ecn = ecnOf(d.ecn);
  if (ecn < 0) return false;
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
    view.setUint8(l3 + 1, view.getUint8(l3 + 1) | (ecn << 4));
  } else {
    view.setUint8(l3 + 1, view.getUint8(l3 + 1) | ecn);
    view.setUint16(l3 + IP.TOTAL, ipSize);
    view.setUint16(l3 + IP.FRAG, d.maxDfSize === d.maxSize ? IP_DF : 0);
    setIpv4Checksum(view, l3);
  }
  return true;
}
