/**
 * Commands about connection tracking and fragments that dpctl has, and system datapaths (so far) have not: they find their
 * datapath, look at their arguments, and fail with EOPNOTSUPP in the words of ovs-dpctl.
 * Source: lib/dpctl.c, lib/ct-dpif.c.
 */
import { ERRNO } from '../util/errno.ts';
import { type DpctlCommand, type DpctlContext, printError } from './dpctl-context.ts';
import { withOptionalDpif } from './dpctl-open.ts';

interface Row {
  readonly name: string;
  readonly usage: string;
  /** Arguments, and how many are most when the first must name a datapath. */
  readonly args: readonly [min: number, max: number, maxBesideOptions: number];
  readonly writes: boolean;
  readonly failure: string;
  /** What the argument `back` places from the end must look like, and the complaint if it does not. */
  readonly wants?: { readonly back: number; readonly pattern: RegExp; readonly complaint: string };
}

const NUMBER = /^[ \t]*[+-]?\d/;
const VERSION = /^[ \t]*v[46]/;
const version = (back: number, text: string) => ({ back, pattern: VERSION, complaint: `parameter missing: ${text}` });
const number = (complaint: string) => ({ back: 1, pattern: NUMBER, complaint });

// biome-ignore format: table
const AFTER_CACHES: readonly Row[] = [
  { name: 'ct-set-maxconns', usage: '[dp] maxconns', args: [1, 2, 2], writes: true, failure: 'ct set maxconns failed', wants: number('maxconns missing or malformed') },
  { name: 'ct-get-maxconns', usage: '[dp]', args: [0, 1, 1], writes: false, failure: 'maxconns could not be retrieved' },
  { name: 'ct-get-nconns', usage: '[dp]', args: [0, 1, 1], writes: false, failure: 'nconns could not be retrieved' },
  { name: 'ct-enable-tcp-seq-chk', usage: '[dp]', args: [0, 1, 2], writes: true, failure: 'enabling TCP sequence checking failed' },
  { name: 'ct-disable-tcp-seq-chk', usage: '[dp]', args: [0, 1, 2], writes: true, failure: 'disabling TCP sequence checking failed' },
  { name: 'ct-get-tcp-seq-chk', usage: '[dp]', args: [0, 1, 1], writes: false, failure: 'TCP sequence checking query failed' },
];
// biome-ignore format: table
const AFTER_LIMITS: readonly Row[] = [
  { name: 'ct-get-sweep-interval', usage: '[dp]', args: [0, 1, 1], writes: false, failure: 'failed to get the sweep interval' },
  { name: 'ct-set-sweep-interval', usage: '[dp] ms', args: [1, 2, 2], writes: true, failure: 'failed to set the sweep interval', wants: number('invalid sweep value') },
  { name: 'ipf-set-enabled', usage: '[dp] v4|v6', args: [1, 2, 3], writes: true, failure: 'enabling fragmentation reassembly failed', wants: version(1, "'v4' for IPv4 or 'v6' for IPv6") },
  { name: 'ipf-set-disabled', usage: '[dp] v4|v6', args: [1, 2, 3], writes: true, failure: 'disabling fragmentation reassembly failed', wants: version(1, "'v4' for IPv4 or 'v6' for IPv6") },
  { name: 'ipf-set-min-frag', usage: '[dp] v4|v6 minfragment', args: [2, 3, 3], writes: true, failure: 'requested minimum fragment size too small; see documentation', wants: version(2, 'v4 for IPv4 or v6 for IPv6') },
  { name: 'ipf-set-max-nfrags', usage: '[dp] maxfrags', args: [1, 2, 2], writes: true, failure: 'setting maximum fragments failed', wants: number('parameter missing for maximum fragments') },
  { name: 'ipf-get-status', usage: '[dp]', args: [0, 1, 1], writes: false, failure: 'ipf status could not be retrieved' },
];

const toCommand = (row: Row): DpctlCommand => ({
  name: row.name,
  usage: row.usage,
  minArgs: row.args[0],
  maxArgs: row.args[1],
  writes: row.writes,
  run: (ctx, args) => run(ctx, args, row),
});

async function run(ctx: DpctlContext, args: readonly string[], row: Row): Promise<number> {
  return withOptionalDpif(ctx, args, row.args[2], async () => {
    const { wants } = row;
    if (wants !== undefined && !wants.pattern.test(args.at(-wants.back) ?? '')) {
      printError(ctx, ERRNO.EINVAL, wants.complaint);
      return ERRNO.EINVAL;
    }
    printError(ctx, ERRNO.EOPNOTSUPP, row.failure);
    return ERRNO.EOPNOTSUPP;
  });
}

/** dump-conntrack-exp. */
export const EXPECTATIONS: DpctlCommand = toCommand({
  name: 'dump-conntrack-exp',
  usage: '[dp] [zone=N]',
  args: [0, 2, 2],
  writes: false,
  failure: 'starting conntrack expectations dump',
});

/** Those that `list-commands` shows before ct-set-limits, and at the end. */
export const CONNTRACK_SETTINGS: readonly DpctlCommand[] = AFTER_CACHES.map(toCommand);
export const FRAGMENT_SETTINGS: readonly DpctlCommand[] = AFTER_LIMITS.map(toCommand);
