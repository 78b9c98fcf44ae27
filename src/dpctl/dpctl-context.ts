/**
 * What a dpctl command is given: options, where its output goes, datapaths and network devices.  The same commands run as
 * `tapswitch dpctl` (cli/dpctl.ts), printing to standard output and error, and inside vswitchd as `ovs-appctl dpctl/...`,
 * where both make the reply (dpctl-unixctl.ts).
 * Source: lib/dpctl.h.
 */

import type { Dpif } from '../dpif/dpif.ts';
import { errnoOf } from '../dpif/dpif-error.ts';
import type { DpifProviders } from '../dpif/dpif-name.ts';
import { errnoText } from '../util/errno.ts';
import type { Netdevs } from './netdevs.ts';

export interface DpctlOptions {
  /** -s: print statistics. */
  statistics: boolean;
  /** --clear: zero statistics. */
  zeroStatistics: boolean;
  /** --may-create: mod-flow may make the flow. */
  mayCreate: boolean;
  /** --read-only: refuse commands that change something. */
  readOnly: boolean;
  /** How often -m was given. */
  verbosity: number;
  /** Print names in the place of port numbers. */
  names: boolean;
}

export type HasOwnLimits = (dpif: Dpif) => boolean;

export interface DpctlContext {
  /** Begins error messages. */
  readonly programName: string;
  /** Whether this is `ovs-appctl dpctl/...`. */
  readonly isAppctl: boolean;
  readonly options: Readonly<DpctlOptions>;
  readonly providers: DpifProviders;
  readonly netdevs: Netdevs;
  /** Whether the database says how many connections the zones of a datapath may hold, so that nobody else may; without it nothing does. */
  readonly hasOwnLimits?: HasOwnLimits | undefined;
  /** Takes text that ends with a newline. */
  readonly output: (isError: boolean, text: string) => void;
  /** Text of `help`. */
  readonly help: () => string;
  /** Lines of a file of flows, "-" being standard input.  The iteration throws an Error with `errno`. */
  readonly readLines: (path: string) => AsyncIterable<string>;
}

/** A row of the table of commands. */
export interface DpctlCommand {
  readonly name: string;
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  /** Whether it changes something. */
  readonly writes: boolean;
  /** Returns 0 or an errno, having said what is wrong. */
  readonly run: (ctx: DpctlContext, args: readonly string[]) => Promise<number> | number;
}

export const defaultOptions = (): DpctlOptions => ({
  statistics: false,
  zeroStatistics: false,
  mayCreate: false,
  readOnly: false,
  verbosity: 0,
  names: false,
});

export function print(ctx: DpctlContext, text: string): void {
  ctx.output(false, text);
}

/** Prints "PROGRAM: TEXT", and what `errno` means unless it is 0. */
export function printError(ctx: DpctlContext, errno: number, text: string): void {
  ctx.output(true, `${ctx.programName}: ${text}${errno === 0 ? '' : ` (${errnoText(errno)})`}\n`);
}

export type Attempt<T> =
  | { readonly ok: true; readonly errno: 0; readonly value: T }
  | { readonly ok: false; readonly errno: number };

/** Waits for `what`: its value, or the errno that it rejected with.  An error that has none is a bug, and passed on. */
export async function attempt<T>(what: Promise<T>): Promise<Attempt<T>> {
  try {
    return { ok: true, errno: 0, value: await what };
  } catch (e) {
    // Errors of the operating system and the datapath have an errno; malformed replies have an offset.
    if (!(e instanceof Error) || !('errno' in e || 'offset' in e)) throw e;
    return { ok: false, errno: errnoOf(e) };
  }
}
