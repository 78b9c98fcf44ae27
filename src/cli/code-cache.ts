/**
 * The program as V8 runs it, and what V8 remembers of having compiled it: with that a process starts in a third of the time that compiling
 * takes.  The memory is made when the program is built (scripts/learn-code.sh), one for each kind of process, and lies beside the program under
 * names that begin with a hash of it.  V8 itself looks whether it is of this version of Node, and of the same settings, and compiles as usual if
 * not: at worst a start takes longer.  Whether it is undamaged V8 does not look, so it is sealed here.
 *
 *     20 bytes: SHA-1 of the rest | what V8 made
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';

/** Kinds of processes that a memory is made for; others use that of "cli". */
export const CACHE_KINDS = ['cli', 'dpctl', 'launcher', 'vswitchd', 'datapath'] as const;
export type CacheKind = (typeof CACHE_KINDS)[number];

/** The kind of process that has command line `argv` (the words after "tapswitch"); `role` is as in daemon/respawn.ts. */
export function cacheKind(argv: readonly string[], role: string | undefined): CacheKind {
  const [subcommand = ''] = argv;
  if (subcommand === 'dpctl') return 'dpctl';
  if (subcommand !== 'vswitchd' && subcommand !== 'datapath') return 'cli';
  const isDaemon = role === 'daemon' || (role === undefined && !argv.some((word) => /^--(det|mon)/.test(word)));
  return isDaemon ? subcommand : 'launcher';
}

/** Where the memory of a `kind` is, of the program in `program`, a file "NAME.cjs". */
export const cacheFile = (program: string, kind: CacheKind): string => program.replace(/cjs$/, `${kind}.cache`);

/**
 * The program, compiled: the file has one expression, `(function (require, __filename) {...})`.  `cache` is what V8 made of it before, undefined:
 * nothing.  The result's `cachedDataRejected` says whether that was of use.
 */
export function compileProgram(file: string, cache: Buffer | undefined): Script {
  // esbuild writes ASCII.  A text that is put together of others would be copied once more.
  const source = readFileSync(file, 'latin1');
  return new Script(source, { filename: file, ...(cache === undefined ? {} : { cachedData: cache }) });
}

/** Runs it; `require` finds what it does not contain. */
export function runScript(script: Script, file: string, require: NodeJS.Require): void {
  script.runInThisContext()(require, file);
}

/** What is to be in the file, for what V8 made. */
export const sealCache = (made: Buffer): Buffer => Buffer.concat([sealOf(made), made]);

/** What V8 made; undefined if the file cannot be read, or is damaged. */
export function readCache(file: string): Buffer | undefined {
  try {
    const sealed = readFileSync(file);
    const made = sealed.subarray(SEAL_SIZE);
    return sealOf(made).equals(sealed.subarray(0, SEAL_SIZE)) ? made : undefined;
  } catch {
    return undefined;
  }
}

const SEAL_SIZE = 20;
const sealOf = (made: Buffer): Buffer => createHash('sha1').update(made).digest();
