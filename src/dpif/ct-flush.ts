/**
 * Ending the tracked connections that fit tuples of which any part may be left out, as dpctl and OpenFlow ask for.
 * Source: lib/ct-dpif.c (ct_dpif_flush()).
 */
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';
import type { Dpif } from './dpif.ts';
import type { CtEntry, CtTuple, DpifCt } from './dpif-ct.ts';
import { dpifFullName } from './dpif-name.ts';

const log = vlog('ct_dpif');

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
  /** Undefined fits any. */
  readonly mark?: Masked | undefined;
  readonly labels?: Masked | undefined;
}

/** Fits what has these bits where the mask is set. */
export interface Masked {
  readonly value: bigint;
  readonly mask: bigint;
}

const maskedFits = (wanted: Masked | undefined, is: bigint): boolean =>
  wanted === undefined || ((wanted.value ^ is) & wanted.mask) === 0n;

export const isIcmp = (proto: number): boolean => proto === ICMP || proto === ICMPV6;

/** Whether nothing of a direction is asked for; of ICMP only addresses count. */
const isEmpty = (t: TupleMatch, proto: number): boolean =>
  t.src === undefined && t.dst === undefined && (isIcmp(proto) || (t.srcPort === 0 && t.dstPort === 0));

/** Whether nothing is asked for: then it is all connections. */
const isAny = ({ family, proto, orig, reply, mark, labels }: CtMatch): boolean =>
  [family, mark, labels].every((part) => part === undefined) &&
  proto === 0 &&
  isEmpty(orig, proto) &&
  isEmpty(reply, proto);

/** "ct_nw_src=10.0.0.1,ct_nw_dst=::,ct_tp_src=1,ct_tp_dst=0": what is not asked for is zeros. */
function tupleText({ src, dst, srcPort, dstPort }: TupleMatch, { family, proto }: CtMatch): string {
  const l3 = family === 'IPv4' ? 'nw' : 'ipv6';
  const addresses = `ct_${l3}_src=${src ?? '::'},ct_${l3}_dst=${dst ?? '::'}`;
  return isIcmp(proto)
    ? `${addresses},icmp_id=${srcPort},icmp_type=${dstPort & 0xff},icmp_code=${dstPort >>> 8}`
    : `${addresses},ct_tp_src=${srcPort},ct_tp_dst=${dstPort}`;
}

function wantedText(zone: number | undefined, match: CtMatch | undefined): string {
  if (match !== undefined) {
    const orig = `${tupleText(match.orig, match)},ct_nw_proto=${match.proto}`;
    return `zone=${zone ?? 0} '${orig}' '${tupleText(match.reply, match)}'`;
  }
  return zone === undefined ? '<all>' : `zone ${zone}`;
}

/**
 * Ends the connections of `zone`, or of all, that fit `match`.
 * Rejects as `DpifCt.flush` does: the connection of a whole tuple is ENOENT if there is none.
 */
export async function flushMatching(dpif: Dpif, zone: number | undefined, match: CtMatch | undefined): Promise<void> {
  const { ct } = dpif;
  if (ct === undefined)
    throw Object.assign(new Error('the datapath tracks no connections'), { errno: ERRNO.EOPNOTSUPP });
  const wanted = match === undefined || isAny(match) ? undefined : match;
  log.dbg(() => `${dpifFullName(dpif)}: ct_flush: ${wantedText(zone, wanted)}`);
  return wanted === undefined ? ct.flush(zone, undefined) : flushFitting(ct, zone, wanted);
}

async function flushFitting(ct: DpifCt, zone: number | undefined, match: CtMatch): Promise<void> {
  const { proto, orig, reply, mark, labels } = match;
  const { src, dst, srcPort, dstPort } = orig;
  const isWhole = src !== undefined && dst !== undefined && (isIcmp(proto) || (srcPort !== 0 && dstPort !== 0));
  if (isWhole && isEmpty(reply, proto) && mark === undefined && labels === undefined) {
    const icmp = { icmpId: srcPort, icmpType: dstPort & 0xff, icmpCode: dstPort >>> 8 };
    return ct.flush(zone, { src, dst, proto, srcPort, dstPort, ...icmp });
  }
  const found: CtEntry[] = [];
  await ct.dump(zone, (entry) => {
    if (fits(entry, match)) found.push(entry);
  });
  for (const entry of found) await ct.flush(entry.zone, entry.orig);
}

function fits({ orig, reply, mark, labels }: CtEntry, match: CtMatch): boolean {
  if (!maskedFits(match.mark, BigInt(mark >>> 0)) || !maskedFits(match.labels, labels)) return false;
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
