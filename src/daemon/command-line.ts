/**
 * Command lines as getopt_long(3) reads them: `--name`, `--name=VALUE`, `--name VALUE`, any prefix of a name that is clear, `-n`, `-nVALUE`,
 * options and other words in any order, "--" before words that only look like options.
 */

/** What is wrong with the command line, in words for the person who wrote it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** An option of a program whose settings are a `T`. */
export interface Option<T> {
  /** Whether a value must, may or must not follow; one that may follows only after "=". */
  readonly value: 'required' | 'optional' | 'none';
  /** The letter of its short form. */
  readonly short?: string;
  /** Throws a UsageError for a value that makes no sense. */
  apply(settings: T, value: string | undefined): void;
}

export type OptionTable<T> = Readonly<Record<string, Option<T>>>;

/** Applies the options among `argv` to `settings`.  Returns the other words.  Throws a UsageError. */
export function parseCommandLine<T>(argv: readonly string[], table: OptionTable<T>, settings: T): string[] {
  const words = [...argv];
  const rest: string[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '--') return [...rest, ...words];
    if (word.startsWith('--')) takeLong(word, words, table, settings);
    else if (word.startsWith('-') && word.length > 1) takeShort(word, words, table, settings);
    else rest.push(word);
  }
  return rest;
}

function takeLong<T>(word: string, words: string[], table: OptionTable<T>, settings: T): void {
  const [, typed = '', joined] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const name = fullName(typed, table);
  const option = table[name] as Option<T>;
  if (joined !== undefined && option.value === 'none') {
    throw new UsageError(`option '--${name}' doesn't allow an argument`);
  }
  const value = joined ?? (option.value === 'required' ? words.shift() : undefined);
  if (value === undefined && option.value === 'required') {
    throw new UsageError(`option '--${name}' requires an argument`);
  }
  option.apply(settings, value);
}

function fullName<T>(typed: string, table: OptionTable<T>): string {
  if (Object.hasOwn(table, typed)) return typed;
  const found = Object.keys(table).filter((name) => name.startsWith(typed));
  if (found.length > 1) {
    const names = found.map((name) => `'--${name}'`).join(' ');
    throw new UsageError(`option '--${typed}' is ambiguous; possibilities: ${names}`);
  }
  if (found[0] === undefined) throw new UsageError(`unrecognized option '--${typed}'`);
  return found[0];
}

/** "-abVALUE": letters without values, and at most one with. */
function takeShort<T>(word: string, words: string[], table: OptionTable<T>, settings: T): void {
  const options = Object.values(table);
  for (let at = 1; at < word.length; at++) {
    const letter = word.charAt(at);
    const option = options.find((o) => o.short === letter);
    if (option === undefined) throw new UsageError(`invalid option -- '${letter}'`);
    if (option.value === 'none') {
      option.apply(settings, undefined);
      continue;
    }
    const joined = word.slice(at + 1);
    const value = joined !== '' ? joined : option.value === 'required' ? words.shift() : undefined;
    if (value === undefined && option.value === 'required') {
      throw new UsageError(`option requires an argument -- '${letter}'`);
    }
    option.apply(settings, value);
    return;
  }
}
