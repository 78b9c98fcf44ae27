/**
 * flush-conntrack: ends the tracked connections that fit a zone and tuples, of which any part may be left out.
 * Neighbours: ct-dump.ts, key-values.ts.
 * Source: lib/dpctl.c (dpctl_flush_conntrack()), lib/ofp-ct.c (ofp_ct_tuple_parse()), lib/ct-dpif.c (ct_dpif_flush()).
 */
import type { Dpif } from '../dpif/dpif.ts';
import type { CtEntry, CtTuple, DpifCt } from '../dpif/dpif-ct.ts';
import { ERRNO } from '../util/errno.ts';
import { formatIpv6, parseIpv4, parseIpv6 } from '../util/inet.ts';
import { attempt, type DpctlContext, printError } from './dpctl-context.ts';
import { dpArgExists, withOptionalDpif } from './dpctl-open.ts';
import { ArgumentError, keyValues, parseUint, scanUint } from './key-values.ts';

const MAX_ARGS = 4;
const ICMP = 1;
const ICMPV6 = 58;
const ANY_V6 = '::';

/** One direction; undefined addresses and ports that are 0 fit any. */
interface TupleMatch {
  src?: string;
  dst?: string;
  /** Of ICMP: the id. */
  srcPort: number;
  /** Of ICMP: the code in the upper byte, the type in the lower. */
  dstPort: number;
}

interface CtMatch {
  family: 'IPv4' | 'IPv6' | undefined;
  /** 0 fits any. */
  proto: number;
  readonly orig: TupleMatch;
  readonly reply: TupleMatch;
}

/** flush-conntrack [DP] [zone=N] [ORIGINAL-TUPLE] [REPLY-TUPLE] */
export async function flushConntrack(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const rest = (await dpArgExists(ctx, args)) ? args.slice(1) : [...args];
  const match: CtMatch = {
    family: undefined,
    proto: 0,
    orig: { srcPort: 0, dstPort: 0 },
    reply: { srcPort: 0, dstPort: 0 },
  };
  let zone: number | undefined;
  /** What was wrong and did not count yet. */
  let remarks = '';
  const fail = (errno: number, why: string): number => {
    printError(ctx, errno, remarks + why);
    return errno;
  };
  try {
    if (rest[0]?.startsWith('zone=')) {
      zone = scanUint(rest.shift()?.slice('zone='.length) ?? '', 16);
      if (zone === undefined) throw new ArgumentError('failed to parse zone');
    }
    for (const tuple of [match.orig, match.reply]) {
      remarks += parseTuple(rest.shift() ?? '', tuple, match);
    }
    if (rest.length > 1) throw new ArgumentError('invalid arguments');
  } catch (e) {
    if (!(e instanceof ArgumentError)) throw e;
    return fail(ERRNO.EINVAL, e.message);
  }

  let isOpen = false;
  const errno = await withOptionalDpif(ctx, args, MAX_ARGS, async (dpif) => {
    isOpen = true;
    const done = await flush(dpif, zone, match);
    return done === 0 ? 0 : fail(done, 'failed to flush conntrack');
  });
  if (!isOpen) printError(ctx, errno, 'Cannot open dpif');
  return errno;
}

/** Reads `text` into `tuple` and what both tuples of `match` share.  Returns a remark that is no error by itself, or ''. */
function parseTuple(text: string, tuple: TupleMatch, match: CtMatch): string {
  let remark = '';
  for (const [key, value] of keyValues(text)) {
    if (value === '') throw new ArgumentError(`field ${key} missing value`);
    switch (key) {
      case 'ct_nw_src':
      case 'ct_nw_dst':
      case 'ct_ipv6_src':
      case 'ct_ipv6_dst':
        setAddress(key, value, tuple, match);
        break;
      case 'ct_nw_proto':
        if (match.proto !== 0) remark += `${key} is set multiple times`;
        match.proto = parseUint(key, value, 0xff);
        break;
      case 'ct_tp_src':
        tuple.srcPort = parseUint(key, value, 0xffff);
        break;
      case 'ct_tp_dst':
        tuple.dstPort = parseUint(key, value, 0xffff);
        break;
      case 'icmp_id':
      case 'icmp_type':
      case 'icmp_code':
        if (!isIcmp(match.proto)) throw new ArgumentError('invalid L4 fields');
        if (key === 'icmp_id') tuple.srcPort = parseUint(key, value, 0xffff);
        else if (key === 'icmp_type') tuple.dstPort = (tuple.dstPort & 0xff00) | parseUint(key, value, 0xff);
        else tuple.dstPort = (tuple.dstPort & 0xff) | (parseUint(key, value, 0xff) << 8);
        break;
      default:
        throw new ArgumentError(`invalid conntrack tuple field: ${key}`);
    }
  }
  if (match.proto === 0 && (tuple.srcPort !== 0 || tuple.dstPort !== 0)) {
    throw new ArgumentError('port is set without protocol');
  }
  return remark;
}

function setAddress(key: string, value: string, tuple: TupleMatch, match: CtMatch): void {
  const family = key.startsWith('ct_nw') ? 'IPv4' : 'IPv6';
  const end = key.endsWith('src') ? 'src' : 'dst';
  if (match.family !== undefined && match.family !== family) {
    throw new ArgumentError(`the L3 protocol does not match ${value}`);
  }
  if (tuple[end] !== undefined) throw new ArgumentError(`${key} is set multiple times`);
  const bytes = family === 'IPv4' ? parseIpv4(value) : parseIpv6(value);
  if (bytes === undefined) throw new ArgumentError(`failed to parse field ${key}`);
  match.family = family;
  const text = family === 'IPv4' ? value : formatIpv6(bytes);
  if (text !== ANY_V6) tuple[end] = text;
}

const isIcmp = (proto: number): boolean => proto === ICMP || proto === ICMPV6;

/** Whether nothing of a direction is asked for; of ICMP only addresses count. */
const isEmpty = (t: TupleMatch, proto: number): boolean =>
  t.src === undefined && t.dst === undefined && (isIcmp(proto) || (t.srcPort === 0 && t.dstPort === 0));

/** Returns 0 or an errno. */
async function flush(dpif: Dpif, zone: number | undefined, match: CtMatch): Promise<number> {
  const { ct } = dpif;
  if (ct === undefined) return ERRNO.EOPNOTSUPP;
  const { family, proto, orig, reply } = match;
  if (family === undefined && proto === 0 && isEmpty(orig, proto) && isEmpty(reply, proto)) {
    return (await attempt(ct.flush(zone, undefined))).errno;
  }
  const { src, dst, srcPort, dstPort } = orig;
  const isWhole = src !== undefined && dst !== undefined && (isIcmp(proto) || (srcPort !== 0 && dstPort !== 0));
  if (isWhole && isEmpty(reply, proto)) {
    const icmp = { icmpId: srcPort, icmpType: dstPort & 0xff, icmpCode: dstPort >>> 8 };
    return (await attempt(ct.flush(zone, { src, dst, proto, srcPort, dstPort, ...icmp }))).errno;
  }
  return flushFitting(ct, zone, match);
}

async function flushFitting(ct: DpifCt, zone: number | undefined, match: CtMatch): Promise<number> {
  const found: CtEntry[] = [];
  const listed = await attempt(
    ct.dump(zone, (entry) => {
      if (fits(entry, match)) found.push(entry);
    }),
  );
  if (!listed.ok) return listed.errno;
  for (const entry of found) {
    const { errno } = await attempt(ct.flush(entry.zone, entry.orig));
    if (errno !== 0) return errno;
  }
  return 0;
}

function fits({ orig, reply }: CtEntry, match: CtMatch): boolean {
  if (match.family !== undefined && (match.family === 'IPv6') !== orig.src.includes(':')) return false;
  if (match.proto !== 0 && match.proto !== orig.proto) return false;
  return tupleFits(orig, match.orig, match.proto) && tupleFits(reply, match.reply, match.proto);
}

/** Identifier, type and code of ICMP must be equal, those of a direction that was not given too: an oddity of the stock tool. */
function tupleFits(tuple: CtTuple, match: TupleMatch, proto: number): boolean {
  if (match.src !== undefined && match.src !== tuple.src) return false;
  if (match.dst !== undefined && match.dst !== tuple.dst) return false;
  if (isIcmp(proto))
    return match.srcPort === tuple.icmpId && match.dstPort === ((tuple.icmpCode << 8) | tuple.icmpType);
  // Where no protocol is given a match has no ports, and where one is given the entry has that one.
  return (match.srcPort || tuple.srcPort) === tuple.srcPort && (match.dstPort || tuple.dstPort) === tuple.dstPort;
}
