/**
 * Commands about the process itself that every daemon has: what it counts, how long things take, what it holds in memory.
 * Source: lib/coverage.c, lib/stopwatch.c, lib/memory.c.
 */
import { readCoverage, showCoverage } from '../util/coverage.ts';
import { formatUsage } from '../util/memory-report.ts';
import { stopwatchesOf } from '../util/stopwatch.ts';
import { type UnixctlCommand, UnixctlError } from './unixctl-server.ts';

/** `usage` has the numbers of `memory/show`, by what they count. */
export function processCommands(usage: () => Readonly<Record<string, number>>): UnixctlCommand[] {
  // biome-ignore format: table
  return [
    { name: 'coverage/show',         usage: '',        minArgs: 0, maxArgs: 0, run: showCoverage },
    { name: 'coverage/read-counter', usage: 'COUNTER', minArgs: 1, maxArgs: 1, run: ([name]) => readCounter(name) },
    { name: 'memory/show',           usage: '',        minArgs: 0, maxArgs: 0, run: () => formatUsage(usage()) },
    { name: 'stopwatch/show',        usage: '[NAME]',  minArgs: 0, maxArgs: 1, run: ([name]) => showStopwatch(name) },
    { name: 'stopwatch/reset',       usage: '[NAME]',  minArgs: 0, maxArgs: 1, run: ([name]) => resetStopwatch(name) },
  ];
}

function readCounter(name: string | undefined): string {
  const n = readCoverage(name ?? '');
  if (n === undefined) throw new UnixctlError('No such counter');
  return `${n}\n`;
}

function showStopwatch(name: string | undefined): string {
  const found = stopwatchesOf(name);
  if (found.length === 0 && name !== undefined) throw new UnixctlError('No such stopwatch');
  return found.map((watch) => watch.show()).join('');
}

function resetStopwatch(name: string | undefined): string {
  for (const watch of stopwatchesOf(name)) watch.reset();
  return '';
}
