/**
 * flush-conntrack: ends the tracked connections that fit a zone and tuples, of which any part may be left out.
 * Neighbours: ct-dump.ts, key-values.ts; dpif/ct-flush.ts does it.
 * Source: lib/dpctl.c (dpctl_flush_conntrack()), lib/ofp-ct.c (ofp_ct_tuple_parse()).
 */
import { type CtMatch, flushMatching, isIcmp, type Masked, type TupleMatch } from '../../dpif/ct-flush.ts';
import { ERRNO } from '../../util/errno.ts';
import { formatIpv6, parseIpv4, parseIpv6 } from '../../util/inet.ts';
import { attempt, type DpctlContext, printError } from '../dpctl-context.ts';
import { dpArgExists, withOptionalDpif } from '../dpctl-open.ts';
import { ArgumentError, keyValues, parseUint, scanUint } from '../key-values.ts';

const MAX_ARGS = 6;
const ANY_V6 = '::';

/** A CtMatch while it is read. */
type Mutable<T> = { -readonly [K in keyof T]: T[K] };
interface Parsing extends Mutable<Omit<CtMatch, 'orig' | 'reply'>> {
  readonly orig: Mutable<TupleMatch>;
  readonly reply: Mutable<TupleMatch>;
}

/** flush-conntrack [DP] [zone=N] [mark=X[/M]] [labels=Y[/N]] [ORIGINAL-TUPLE [REPLY-TUPLE]] */
export async function flushConntrack(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const rest = (await dpArgExists(ctx, args)) ? args.slice(1) : [...args];
  const match: Parsing = {
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
    match.mark = takeMasked(rest, 'mark', 32);
    match.labels = takeMasked(rest, 'labels', 128);
    for (const tuple of [match.orig, match.reply]) {
      remarks += parseTuple(rest.shift() ?? '', tuple, match);
    }
    if (rest.length > 0) throw new ArgumentError('invalid arguments');
  } catch (e) {
    if (!(e instanceof ArgumentError)) throw e;
    return fail(ERRNO.EINVAL, e.message);
  }

  let isOpen = false;
  const errno = await withOptionalDpif(ctx, args, MAX_ARGS, async (dpif) => {
    isOpen = true;
    const done = (await attempt(flushMatching(dpif, zone, match))).errno;
    return done === 0 ? 0 : fail(done, 'failed to flush conntrack');
  });
  if (!isOpen) printError(ctx, errno, 'Cannot open dpif');
  return errno;
}

/** Takes "KEY=VALUE[/MASK]" off the front of `args`, if it is there. */
function takeMasked(args: string[], key: string, nBits: number): Masked | undefined {
  if (!args[0]?.startsWith(`${key}=`)) return undefined;
  const numbers = /^(0x[0-9a-f]+|\d+)(?:\/(0x[0-9a-f]+|\d+))?$/i.exec(args.shift()?.slice(key.length + 1) ?? '');
  const all = (1n << BigInt(nBits)) - 1n;
  const [value, mask] = numbers === null ? [-1n, 0n] : [BigInt(numbers[1] ?? ''), BigInt(numbers[2] ?? all)];
  if (value < 0n || value > all || mask > all) throw new ArgumentError(`failed to parse ${key}`);
  return { value, mask };
}

/** Reads `text` into `tuple` and what both tuples of `match` share.  Returns a remark that is no error by itself, or ''. */
function parseTuple(text: string, tuple: Mutable<TupleMatch>, match: Parsing): string {
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

function setAddress(key: string, value: string, tuple: Mutable<TupleMatch>, match: Parsing): void {
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
