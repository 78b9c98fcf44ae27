/**
 * Commands about a datapath's caches, of which a system datapath has one: cache-get-size, cache-set-size.
 * Source: lib/dpctl.c (dpctl_cache_get_size(), dpctl_cache_set_size()).
 */
import type { Dpif } from '../dpif/dpif.ts';
import { dpifFullName } from '../dpif/dpif-name.ts';
import type { DpifDpStats } from '../dpif/dpif-types.ts';
import { ERRNO } from '../util/errno.ts';
import { attempt, type DpctlContext, print, printError } from './dpctl-context.ts';
import { forEachDp, openDpif, withDpif } from './dpctl-open.ts';

const MASKS_CACHE = 'masks-cache';

/** The lines of `show` and cache-get-size. */
export function formatCaches({ masksCacheSize }: DpifDpStats): string {
  return masksCacheSize === undefined ? '' : `  caches:\n    ${MASKS_CACHE}: size:${masksCacheSize}\n`;
}

/** cache-get-size [DP] */
export async function cacheGetSize(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const showOne = async (dpif: Dpif): Promise<void> => {
    const stats = await attempt(dpif.stats());
    print(ctx, `${dpifFullName(dpif)}:\n${stats.ok ? formatCaches(stats.value) : ''}`);
  };
  if (args[0] === undefined) return forEachDp(ctx, showOne);
  const dpif = await openDpif(ctx, args[0]);
  if (!dpif.ok) {
    printError(ctx, dpif.errno, `Opening datapath ${args[0]} failed`);
    return dpif.errno;
  }
  await withDpif(dpif.value, showOne);
  return 0;
}

/** cache-set-size DP CACHE SIZE */
export async function cacheSetSize(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const [dp = '', cache = '', text = ''] = args;
  const fail = (errno: number, why: string): number => {
    printError(ctx, errno, why);
    return errno;
  };
  const digits = /^[ \t\r\n]*([+-]?\d+)/.exec(text)?.[1];
  if (digits === undefined) return fail(ERRNO.EINVAL, 'size is malformed');
  const entries = Number(BigInt.asUintN(32, BigInt(digits.replace('+', ''))));
  const dpif = await openDpif(ctx, dp);
  if (!dpif.ok) return fail(dpif.errno, `Opening datapath ${dp} failed`);
  return withDpif(dpif.value, async (d) => {
    if (cache !== MASKS_CACHE) return fail(ERRNO.EINVAL, `Cache name "${cache}" not found on dpif`);
    if (d.setMasksCacheSize === undefined) return fail(ERRNO.EOPNOTSUPP, 'Setting caches not supported');
    const size = await attempt(d.setMasksCacheSize(entries));
    if (!size.ok) return fail(size.errno, 'Setting cache size failed');
    print(ctx, `Setting cache size successful, new size ${size.value}\n`);
    return 0;
  });
}
