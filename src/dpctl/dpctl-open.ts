/**
 * Finding and opening the datapath that a command means.
 * Source: lib/dpctl.c (get_one_dp(), opt_dpif_open(), dps_for_each()).
 */
import type { Dpif } from '../dpif/dpif.ts';
import { parseDpName } from '../dpif/dpif-name.ts';
import { ERRNO } from '../util/errno.ts';
import { type Attempt, attempt, type DpctlContext, printError } from './dpctl-context.ts';

/** Opens, or makes, "[TYPE@]NAME". */
export const openDpif = (ctx: DpctlContext, text: string, create = false): Promise<Attempt<Dpif>> =>
  attempt(ctx.providers.open(parseDpName(text), create));

/** Runs `use` on a datapath that was opened, and closes it after. */
export async function withDpif<T>(dpif: Dpif, use: (dpif: Dpif) => Promise<T>): Promise<T> {
  try {
    return await use(dpif);
  } finally {
    dpif.close();
  }
}

async function enumerate(ctx: DpctlContext, type: string): Promise<string[]> {
  const names = await attempt(ctx.providers.enumerate(type));
  return names.ok ? names.value : [];
}

/** Whether the first argument names a datapath. */
export async function dpArgExists(ctx: DpctlContext, args: readonly string[]): Promise<boolean> {
  if (args[0] === undefined) return false;
  const { type, name } = parseDpName(args[0]);
  return ctx.providers.types.includes(type) && (await enumerate(ctx, type)).includes(name);
}

/** The only datapath there is; undefined, after saying so, if there is none or more than one. */
async function onlyDp(ctx: DpctlContext): Promise<string | undefined> {
  const all: string[] = [];
  for (const type of ctx.providers.types) {
    for (const name of await enumerate(ctx, type)) all.push(`${type}@${name}`);
  }
  if (all.length === 0) printError(ctx, 0, 'no datapaths exist');
  else if (all.length > 1) printError(ctx, 0, 'multiple datapaths, specify one');
  return all.length === 1 ? all[0] : undefined;
}

/**
 * Runs `use` on the datapath of a command for which naming it is optional: the first of `args` if it names one, else the
 * only one.  With `maxArgs` arguments the first must.  Returns what `use` does, or an errno after saying what is wrong.
 */
export async function withOptionalDpif(
  ctx: DpctlContext,
  args: readonly string[],
  maxArgs: number,
  use: (dpif: Dpif) => Promise<number>,
): Promise<number> {
  let name: string | undefined;
  if (await dpArgExists(ctx, args)) name = args[0];
  else if (args.length !== maxArgs) name = await onlyDp(ctx);
  if (name === undefined) {
    printError(ctx, ERRNO.EINVAL, 'datapath not found');
    return ERRNO.EINVAL;
  }
  const dpif = await openDpif(ctx, name);
  if (!dpif.ok) {
    printError(ctx, dpif.errno, 'opening datapath');
    return dpif.errno;
  }
  return withDpif(dpif.value, use);
}

/**
 * Runs `use` on every datapath.  The result is the errno of the last one that could not be opened; where there is none at
 * all, of listing them.
 */
export async function forEachDp(ctx: DpctlContext, use: (dpif: Dpif) => Promise<void>): Promise<number> {
  let openError = 0;
  let listError = 0;
  let found = false;
  for (const type of ctx.providers.types) {
    const names = await attempt(ctx.providers.enumerate(type));
    if (!names.ok) listError = names.errno;
    for (const name of names.ok ? names.value : []) {
      found = true;
      const dpif = await openDpif(ctx, `${type}@${name}`);
      if (dpif.ok) {
        await withDpif(dpif.value, use);
      } else {
        openError = dpif.errno;
        printError(ctx, dpif.errno, `opening datapath ${name} failed`);
      }
    }
  }
  if (openError !== 0) return openError;
  return found ? 0 : listError;
}
