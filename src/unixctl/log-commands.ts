/**
 * Commands about the log of a daemon: vlog/*.  Source: lib/vlog.c (vlog_unixctl_set ...), ovs-appctl(8).
 */
import { closeLogFile, reopenLogFile, setLevels, showPatterns } from '../util/vlog.ts';
import { setLevelsFromString, setRateLimits, showLevels } from '../util/vlog-settings.ts';
import { type UnixctlCommand, UnixctlError } from './unixctl-server.ts';

// biome-ignore format: table
export const LOG_COMMANDS: readonly UnixctlCommand[] = [
  { name: 'vlog/set',                usage: '{spec | PATTERN:destination:pattern}', minArgs: 0, maxArgs: Infinity, run: setLogLevels },
  { name: 'vlog/list',               usage: '',             minArgs: 0, maxArgs: 0,        run: showLevels },
  { name: 'vlog/list-pattern',       usage: '',             minArgs: 0, maxArgs: 0,        run: showPatterns },
  { name: 'vlog/enable-rate-limit',  usage: '[module]...',  minArgs: 0, maxArgs: Infinity, run: (names) => orError(setRateLimits(names, true)) },
  { name: 'vlog/disable-rate-limit', usage: '[module]...',  minArgs: 0, maxArgs: Infinity, run: (names) => orError(setRateLimits(names, false)) },
  { name: 'vlog/reopen',             usage: '',             minArgs: 0, maxArgs: 0,        run: reopen },
  { name: 'vlog/close',              usage: '',             minArgs: 0, maxArgs: 0,        run: close },
];

function orError(problem: string | undefined): string {
  if (problem !== undefined) throw new UnixctlError(problem);
  return '';
}

/** Each spec is as after `-v`; none at all means that everything is logged everywhere. */
function setLogLevels(specs: readonly string[]): string {
  if (specs.length === 0) setLevels(undefined, undefined, 'dbg');
  for (const spec of specs) orError(setLevelsFromString(spec));
  return '';
}

function reopen(): string {
  try {
    if (reopenLogFile()) return '';
  } catch (error) {
    throw new UnixctlError((error as Error).message, { cause: error });
  }
  throw new UnixctlError('Logging to file not configured');
}

function close(): string {
  closeLogFile();
  return '';
}
