/**
 * Options as GNU getopt_long(3) takes them, for commands that stand in for a C program: options may come before or after
 * other arguments, short ones may be joined ("-ms"), long ones abbreviated, and errors have the C library's words.
 * Used by dpctl.ts.  Source: getopt(3), glibc's messages.
 */

/** A long option; `short` is its letter, if it has one. */
export interface LongOption {
  readonly name: string;
  readonly argument: 'none' | 'required' | 'optional';
  readonly short?: string;
}

/** One option that was given, or what is wrong with the one that was (a text to follow "PROGRAM: "). */
export type GivenOption =
  | { readonly name: string; readonly value: string | undefined; readonly error?: undefined }
  | { readonly error: string };

/**
 * Goes through `argv`.  Options are yielded in order, as long as the caller wants more; everything else ends up in `rest`,
 * in order.  After an error the caller should stop.
 */
export function* getopt(
  argv: readonly string[],
  options: readonly LongOption[],
  rest: string[],
): Generator<GivenOption, void> {
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? '';
    if (arg === '--') {
      rest.push(...argv.slice(i + 1));
      return;
    }
    if (arg.startsWith('--')) {
      const given = longOption(arg, options);
      if (given.needsArgument === undefined) yield given.option;
      else if (i + 1 < argv.length) yield { name: given.needsArgument, value: argv[++i] };
      else yield { error: `option '--${given.needsArgument}' requires an argument` };
    } else if (arg.startsWith('-') && arg !== '-') {
      for (let at = 1; at < arg.length; at++) {
        const letter = arg[at] ?? '';
        const option = options.find((o) => o.short === letter);
        if (option === undefined) {
          yield { error: `invalid option -- '${letter}'` };
          continue;
        }
        const { name } = option;
        if (option.argument === 'none') {
          yield { name, value: undefined };
          continue;
        }
        // The rest of the word is the argument; only a required one may also be the next word.
        const attached = arg.slice(at + 1);
        if (attached !== '' || option.argument === 'optional') {
          yield { name, value: attached === '' ? undefined : attached };
        } else if (i + 1 < argv.length) {
          yield { name, value: argv[++i] };
        } else {
          yield { error: `option requires an argument -- '${letter}'` };
        }
        break;
      }
    } else {
      rest.push(arg);
    }
  }
}

/** Reads "--NAME" or "--NAME=VALUE".  `needsArgument` names an option whose argument is the next word. */
function longOption(
  arg: string,
  options: readonly LongOption[],
): { option: GivenOption; needsArgument?: undefined } | { needsArgument: string } {
  const equals = arg.indexOf('=');
  const typed = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
  const value = equals < 0 ? undefined : arg.slice(equals + 1);
  const exact = options.find((o) => o.name === typed);
  const candidates = exact === undefined ? options.filter((o) => o.name.startsWith(typed)) : [exact];
  const [option] = candidates;
  if (option === undefined) return { option: { error: `unrecognized option '--${typed}'` } };
  if (candidates.length > 1) {
    const all = candidates.map((o) => `'--${o.name}'`).join(' ');
    return { option: { error: `option '--${typed}' is ambiguous; possibilities: ${all}` } };
  }
  if (value !== undefined && option.argument === 'none') {
    return { option: { error: `option '--${option.name}' doesn't allow an argument` } };
  }
  if (value === undefined && option.argument === 'required') return { needsArgument: option.name };
  return { option: { name: option.name, value } };
}
