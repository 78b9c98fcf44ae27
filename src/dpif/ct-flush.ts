/**
 * Ending the tracked connections that fit tuples of which any part may be left out, as dpctl and OpenFlow ask for.
 * Source: lib/ct-dpif.c (ct_dpif_flush()).
 */
import type { CtEntry, CtTuple, DpifCt } from './dpif-ct.ts';

const ICMP = 1;
const ICMPV6 = 58;

/** One direction; undefined addresses and ports that are 0 fit any. */
export interface TupleMatch {
  readonly src?: string | undefined;
  readonly dst?: string | undefined;
  /** Of ICMP: the id. */
  readonly srcPort: number;
  /** Of ICMP: the code in the upper byte, the type in the lower. */
  readonly dstPort: number;
}

export interface CtMatch {
  readonly family: 'IPv4' | 'IPv6' | undefined;
  /** 0 fits any. */
  readonly proto: number;
  readonly orig: TupleMatch;
  readonly reply: TupleMatch;
}

export const isIcmp = (proto: number): boolean => proto === ICMP || proto === ICMPV6;

/** Whether nothing of a direction is asked for; of ICMP only addresses count. */
const isEmpty = (t: TupleMatch, proto: number): boolean =>
  t.src === undefined && t.dst === undefined && (isIcmp(proto) || (t.srcPort === 0 && t.dstPort === 0));

/** Rejects as `DpifCt.flush` does: the connection of a whole tuple is ENOENT if there is none. */
export async function flushMatching(ct: DpifCt, zone: number | undefined, match: CtMatch): Promise<void> {
  const { family, proto, orig, reply } = match;
  if (family === undefined && proto === 0 && isEmpty(orig, proto) && isEmpty(reply, proto)) {
    return ct.flush(zone, undefined);
  }
  const { src, dst, srcPort, dstPort } = orig;
  const isWhole = src !== undefined && dst !== undefined && (isIcmp(proto) || (srcPort !== 0 && dstPort !== 0));
  if (isWhole && isEmpty(reply, proto)) {
    const icmp = { icmpId: srcPort, icmpType: dstPort & 0xff, icmpCode: dstPort >>> 8 };
    return ct.flush(zone, { src, dst, proto, srcPort, dstPort, ...icmp });
  }
  const found: CtEntry[] = [];
  await ct.dump(zone, (entry) => {
    if (fits(entry, match)) found.push(entry);
  });
  for (const entry of found) await ct.flush(entry.zone, entry.orig);
}

function fits({ orig, reply }: CtEntry, match: CtMatch): boolean {
  if (match.family !== undefined && (match.family === 'IPv6') !== orig.src.includes(':')) return false;
  if (match.proto !== 0 && match.proto !== orig.proto) return false;
  return tupleFits(orig, match.orig, match.proto) && tupleFits(reply, match.reply, match.proto);
}

/** Identifier, type and code of ICMP must be equal, those of a direction that was not given too: an oddity of Open vSwitch. */
function tupleFits(tuple: CtTuple, match: TupleMatch, proto: number): boolean {
  if (match.src !== undefined && match.src !== tuple.src) return false;
  if (match.dst !== undefined && match.dst !== tuple.dst) return false;
  if (isIcmp(proto)) {
    return match.srcPort === tuple.icmpId && match.dstPort === ((tuple.icmpCode << 8) | tuple.icmpType);
  }
  // Where no protocol is given a match has no ports, and where one is given the entry has that one.
  return (match.srcPort || tuple.srcPort) === tuple.srcPort && (match.dstPort || tuple.dstPort) === tuple.dstPort;
}
