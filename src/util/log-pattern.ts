/**
 * How a log line looks: patterns such as `%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m`, compiled once to a function.
 * Source: ovs-appctl(8) "vlog/set PATTERN", lib/vlog.c (format_log_message).
 */
import { hostname } from 'node:os';
import { monotonicMs } from './clock.ts';
import { LEVEL_NAME, LOG_LOCAL0, type LogLevel, SEVERITY } from './log-levels.ts';
import { strftime } from './strftime.ts';

/** One message on its way out. */
export interface LogRecord {
  readonly module: string;
  readonly level: LogLevel;
  /** Without newlines at its end. */
  readonly text: string;
  /** Counts messages. */
  readonly number: number;
  readonly wallMs: number;
}

export type LogFormatter = (record: LogRecord) => string;

/** Who logs: what %A, %t, %T and %B show. */
export const logIdentity: { program: string; subprogram: string; facility: number } = {
  program: 'tapswitch',
  /** "monitor" in the process that watches a daemon, else empty. */
  subprogram: '',
  /** 0: none was chosen. */
  facility: 0,
};

const startMs = monotonicMs();
const DEFAULT_TIME = '%Y-%m-%d %H:%M:%S.###';

/** The field that `letter` names; `braces` is what stood in braces after it. */
function fieldOf(letter: string, braces: string | undefined): LogFormatter {
  // biome-ignore format: table
  switch (letter) {
    case 'A': return () => logIdentity.program;
    case 'B': return (r) => String((logIdentity.facility || LOG_LOCAL0) + SEVERITY[r.level]);
    case 'c': return (r) => r.module;
    case 'd': return (r) => strftime(braces ?? DEFAULT_TIME, r.wallMs, false);
    case 'D': return (r) => strftime(braces ?? DEFAULT_TIME, r.wallMs, true);
    case 'E': return () => hostname();
    case 'm': return (r) => r.text;
    case 'n': return () => '\n';
    case 'N': return (r) => String(r.number);
    case 'p': return (r) => LEVEL_NAME[r.level];
    case 'P': return () => String(process.pid);
    case 'r': return () => String(monotonicMs() - startMs);
    case 't': return () => logIdentity.subprogram || 'main';
    case 'T': return () => (logIdentity.subprogram === '' ? '' : `(${logIdentity.subprogram})`);
    default: return () => letter;
  }
}

const FIELD = /%(-?)(0?)([0-9]*)(?:([cdD])(?:\{([^}]*)\}?)?|(.))/gsu;

/** Any text is a pattern: what is no field stands for itself. */
export function compilePattern(pattern: string): LogFormatter {
  const parts: (string | LogFormatter)[] = [];
  let end = 0;
  for (const match of pattern.matchAll(FIELD)) {
    const [all, left, zero, width = '', braced, braces, plain] = match;
    parts.push(pattern.slice(end, match.index));
    end = match.index + all.length;
    const field = fieldOf(braced ?? plain ?? '', braces);
    const n = Number(width);
    const fill = zero === '0' ? '0' : ' ';
    if (n === 0) parts.push(field);
    else if (left === '-') parts.push((r) => field(r).padEnd(n, fill));
    else parts.push((r) => field(r).padStart(n, fill));
  }
  parts.push(pattern.slice(end));
  return (record) => {
    let text = '';
    for (const part of parts) text += typeof part === 'string' ? part : part(record);
    return text;
  };
}
