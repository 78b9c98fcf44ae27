/**
 * Commands about how many connections a conntrack zone may hold: ct-set-limits, ct-del-limits, ct-get-limits.
 * Source: lib/dpctl.c (dpctl_ct_set_limits() ...), lib/ct-dpif.c (ct_dpif_parse_zone_limit_tuple()).
 * Neighbour: key-values.ts (the grammar).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import type { CtLimits, CtZoneLimit, DpifCt } from '../../dpif/dpif-ct.ts';
import { ERRNO, errnoText } from '../../util/errno.ts';
import { type Attempt, attempt, type DpctlContext, print, printError } from '../dpctl-context.ts';
import { dpArgExists, withOptionalDpif } from '../dpctl-open.ts';
import { ArgumentError, keyValues, parseUint, scanUint } from '../key-values.ts';

const ANY = Number.MAX_SAFE_INTEGER;
const MAX_ZONE = 0xffff;
const MAX_LIMIT = 0xffffffff;

/** Why only the database is asked (Open vSwitch 3.3). */
const ownLimits = (verb: 'set' | 'del'): string =>
  `the zone limits are set via database, use 'ovs-vsctl ${verb}-zone-limit <...>' instead.`;

/** ct-set-limits [DP] [default=L] [zone=N,limit=L]... */
export function ctSetLimits(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  return run(ctx, args, ANY, async (dpif, rest) => {
    const isDefault = rest[0]?.startsWith('default=') ?? false;
    const defaultLimit = isDefault ? scanUint(rest[0]?.slice('default='.length) ?? '', 32) : undefined;
    if (isDefault && defaultLimit === undefined) throw new ArgumentError('invalid default limit');
    const zones = rest.slice(isDefault ? 1 : 0).map(parseZoneLimit);
    if (ctx.hasOwnLimits?.(dpif)) return fail(ctx, ERRNO.EPERM, ownLimits('set'));
    const done = await ask(dpif, (ct) => ct.setLimits(defaultLimit, zones));
    return done.ok ? 0 : fail(ctx, done.errno, 'failed to set conntrack limit');
  });
}

/** ct-del-limits [DP] [default] [zone=N1[,N2]...] */
export function ctDelLimits(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  return run(ctx, args, 3, async (dpif, [first = '', second]) => {
    const isDefault = first === 'default';
    const zoneText = isDefault ? second : first;
    const zones = zoneText === undefined ? [] : parseZones(zoneText);
    if (ctx.hasOwnLimits?.(dpif)) return fail(ctx, ERRNO.EPERM, ownLimits('del'));
    const done = await ask(dpif, async (ct) => {
      if (isDefault) await ct.setLimits(0, []);
      if (zones.length > 0) await ct.delLimits(zones);
    });
    return done.ok ? 0 : fail(ctx, done.errno, 'failed to delete conntrack limit');
  });
}

/** ct-get-limits [DP] [zone=N1[,N2]...] */
export function ctGetLimits(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  return run(ctx, args, 2, async (dpif, rest) => {
    const zones = rest[0] === undefined ? [] : parseZones(rest[0]);
    const limits = await ask(dpif, (ct) => ct.getLimits(zones));
    if (!limits.ok) return fail(ctx, limits.errno, `failed to get conntrack limit ${errnoText(limits.errno)}`);
    print(ctx, formatLimits(limits.value));
    return 0;
  });
}

function formatLimits({ defaultLimit, zones }: CtLimits): string {
  const lines = zones.map(({ zone, limit, count }) => `zone=${zone},limit=${limit},count=${count}\n`);
  return `default limit=${defaultLimit}\n${lines.join('')}`;
}

/** Runs `use` with the arguments that follow the datapath's name, and says what it finds wrong with them. */
async function run(
  ctx: DpctlContext,
  args: readonly string[],
  maxArgs: number,
  use: (dpif: Dpif, rest: readonly string[]) => Promise<number>,
): Promise<number> {
  const rest = (await dpArgExists(ctx, args)) ? args.slice(1) : args;
  return withOptionalDpif(ctx, args, maxArgs, async (dpif) => {
    try {
      return await use(dpif, rest);
    } catch (e) {
      if (!(e instanceof ArgumentError)) throw e;
      return fail(ctx, ERRNO.EINVAL, e.message);
    }
  });
}

async function ask<T>(dpif: Dpif, request: (ct: DpifCt) => Promise<T>): Promise<Attempt<T>> {
  return dpif.ct === undefined ? { ok: false, errno: ERRNO.EOPNOTSUPP } : attempt(request(dpif.ct));
}

function fail(ctx: DpctlContext, errno: number, why: string): number {
  printError(ctx, errno, why);
  return errno;
}

/** "zone=1,2,3" */
function parseZones(text: string): number[] {
  if (!text.startsWith('zone=')) throw new ArgumentError(`invalid argument ${text}`);
  const words = text.slice('zone='.length).split(',').filter(Boolean);
  const zones = words.map((word) => scanUint(word, 16));
  if (zones.length === 0 || zones.includes(undefined)) throw new ArgumentError('invalid zone');
  return zones.filter((zone) => zone !== undefined);
}

/** "zone=1,limit=2" */
function parseZoneLimit(text: string): CtZoneLimit {
  let zone: number | undefined;
  let limit: number | undefined;
  for (const [key, value] of keyValues(text)) {
    if (value === '') throw new ArgumentError(`field ${key} missing value`);
    if (key === 'zone') zone = parseUint(key, value, MAX_ZONE);
    else if (key === 'limit') limit = parseUint(key, value, MAX_LIMIT);
    else throw new ArgumentError(`invalid zone limit field: ${key}`);
  }
  if (zone === undefined || limit === undefined) throw new ArgumentError('failed to parse zone limit');
  return { zone, limit };
}
