/**
 * What people say about logging, on the command line (`-v SPEC`) and to `vlog/set`, and what `vlog/list` shows of it.
 * Source: lib/vlog.c (vlog_set_levels_from_string), ovs-appctl(8).
 */
import { DESTINATIONS, facilityOf, LEVEL_NAME, LEVELS, type LogDestination, type LogLevel } from './log-levels.ts';
import { logIdentity } from './log-pattern.ts';
import { logModules, setLevels, setPattern } from './vlog.ts';

const isAny = (word: string): boolean => word.toLowerCase() === 'any';
const destinationOf = (word: string): LogDestination | undefined => DESTINATIONS.find((d) => d === word.toLowerCase());

/**
 * Sets levels as `-v SPEC` and `vlog/set SPEC` do: words separated by colons, commas or blanks, at most one module, one
 * destination and one level in any order, "ANY" for all; no level means dbg.  Or "PATTERN:DESTINATION:TEXT", or
 * "FACILITY:NAME".  Returns an error text, and changes nothing, if `spec` makes no sense.
 */
export function setLevelsFromString(spec: string): string | undefined {
  const first = /^[ ,:\t]*([^ ,:\t]+)[ ,:\t]?(.*)$/s.exec(spec);
  if (first?.[1]?.toLowerCase() === 'pattern') return setPatternFrom(first[2] ?? '');
  if (first?.[1]?.toLowerCase() === 'facility') return setFacilityFrom(first[2] ?? '');
  let module: string | undefined;
  let destination: LogDestination | undefined;
  let level: LogLevel | undefined;
  for (const word of spec.split(/[ ,:\t]+/)) {
    if (word === '' || isAny(word)) continue;
    const w = word.toLowerCase();
    const asDestination = destinationOf(word);
    const asLevel = LEVELS.find((l) => l === w);
    const asModule = [...logModules()].find((m) => m.name.toLowerCase() === w)?.name;
    if (asDestination !== undefined) {
      if (destination !== undefined) return 'cannot specify multiple destinations';
      destination = asDestination;
    } else if (asLevel !== undefined) {
      if (level !== undefined) return 'cannot specify multiple levels';
      level = asLevel;
    } else if (asModule !== undefined) {
      if (module !== undefined) return 'cannot specify multiple modules';
      module = asModule;
    } else {
      return `no destination, level, or module "${word}"`;
    }
  }
  setLevels(module, destination, level ?? 'dbg');
  return undefined;
}

function setPatternFrom(rest: string): string | undefined {
  const [, name = '', text = ''] = /^:*([^:]*):?(.*)$/s.exec(rest) ?? [];
  if (name === '') return 'missing destination';
  const destination = destinationOf(name);
  if (destination === undefined && !isAny(name)) return `unknown destination "${name}"`;
  setPattern(destination, text);
  return undefined;
}

function setFacilityFrom(rest: string): string | undefined {
  const facility = facilityOf(rest.split(':').find((word) => word !== '') ?? '');
  if (facility === undefined) return 'invalid facility';
  logIdentity.facility = facility;
  return undefined;
}

/** Text of `vlog/list`. */
export function showLevels(): string {
  const lines = [...logModules()].map((m) => {
    const name = (d: LogDestination) => LEVEL_NAME[m.levels[d]].padStart(4);
    const note = m.honorRateLimits ? '' : '    (rate limiting disabled)';
    return `${m.name.padEnd(16)}  ${name('console')}       ${name('syslog')}       ${name('file')}${note}\n`;
  });
  const head = '                 console    syslog    file\n                 -------    ------    ------\n';
  return head + lines.sort().join('');
}

/**
 * Switches rate limits on or off for `names`, or for all modules if there are none or one is "ANY".  Returns "unknown
 * module" for a name that is none.
 */
export function setRateLimits(names: readonly string[], on: boolean): string | undefined {
  for (const name of names.length === 0 ? ['any'] : names) {
    const w = name.toLowerCase();
    const chosen = [...logModules()].filter((m) => isAny(w) || m.name.toLowerCase() === w);
    if (chosen.length === 0) return 'unknown module';
    for (const m of chosen) m.honorRateLimits = on;
  }
  return undefined;
}
