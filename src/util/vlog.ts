/**
 * Logging as Open vSwitch does it: modules, levels a destination, rate limits a call site, and the line format that people
 * and log parsers know:
 *
 *     2026-11-21T08:00:00Z|00001|dpif_netlink|INFO|Datapath dispatch mode: per-cpu
 *
 * A module is named once a file, `const log = vlog('dpif_netlink')`; what it logs goes to standard error (CONSOLE), to a log
 * file (FILE, log-file.ts) and to syslog (SYSLOG, where a daemon has said how to reach it), as far as the module's levels
 * allow.  Messages may be functions, which are called only if the message goes anywhere.
 * Neighbours: vlog-settings.ts (what `-v` and `vlog/set` change), log-pattern.ts (lines), rate-limit.ts.
 * Source: lib/vlog.c, ovs-appctl(8).
 */
import { wallMs } from './clock.ts';
import { closeFile, isLogFileOpen, logFilePath, switchLogFile, writeLogFile } from './log-file.ts';
import { DESTINATIONS, type LogDestination, type LogLevel, rank, SEVERITY } from './log-levels.ts';
import { compilePattern, type LogFormatter, type LogRecord, logIdentity } from './log-pattern.ts';
import type { RateLimit } from './rate-limit.ts';

export type { LogDestination, LogLevel } from './log-levels.ts';
export { RateLimit } from './rate-limit.ts';

/** A message, or a function that makes it. */
export type LogText = string | (() => string);

/** What a file logs through. */
export interface Logger {
  readonly name: string;
  /** Each logs at its level; `limit`, if given, bounds how often. */
  emer(text: LogText, limit?: RateLimit): void;
  err(text: LogText, limit?: RateLimit): void;
  warn(text: LogText, limit?: RateLimit): void;
  info(text: LogText, limit?: RateLimit): void;
  dbg(text: LogText, limit?: RateLimit): void;
  /** Logs at `level`. */
  at(level: Exclude<LogLevel, 'off'>, text: LogText, limit?: RateLimit): void;
  /** Whether a message of `level` would go anywhere. */
  isEnabled(level: LogLevel): boolean;
}

/** Where lines for syslog go. */
export interface SyslogSink {
  /** What comes before each line on its way, as a pattern, for `vlog/list-pattern`. */
  readonly prefix: string;
  /** `priority` is facility and severity; facility 0 leaves the choice to the sink. */
  send(priority: number, line: string): void;
}

/** Levels of a module that is named for the first time: what was last set for all of them. */
const initialLevels: Record<LogDestination, LogLevel> = { syslog: 'info', console: 'info', file: 'info' };

export class LogModule implements Logger {
  readonly name: string;
  readonly levels: Record<LogDestination, LogLevel> = { ...initialLevels };
  honorRateLimits = true;
  /** The highest level that goes anywhere. */
  private max = rank('info');

  constructor(name: string) {
    this.name = name;
    this.update();
  }

  update(): void {
    const file = isLogFileOpen() ? this.levels.file : 'off';
    const toSyslog = syslog === undefined && syslogTarget === undefined ? 'off' : this.levels.syslog;
    this.max = Math.max(rank(this.levels.console), rank(file), rank(toSyslog));
  }

  isEnabled(level: LogLevel): boolean {
    return rank(level) <= this.max;
  }
  emer(text: LogText, limit?: RateLimit): void {
    this.at('emer', text, limit);
  }
  err(text: LogText, limit?: RateLimit): void {
    this.at('err', text, limit);
  }
  warn(text: LogText, limit?: RateLimit): void {
    this.at('warn', text, limit);
  }
  info(text: LogText, limit?: RateLimit): void {
    this.at('info', text, limit);
  }
  dbg(text: LogText, limit?: RateLimit): void {
    this.at('dbg', text, limit);
  }

  at(level: Exclude<LogLevel, 'off'>, text: LogText, limit?: RateLimit): void {
    if (rank(level) > this.max) return;
    if (limit !== undefined && this.honorRateLimits) {
      if (!limit.take()) return;
      const dropped = limit.takeDroppedText();
      if (dropped !== undefined) this.put(level, dropped);
    }
    this.put(level, text);
  }

  private put(level: LogLevel, text: LogText): void {
    const message = (typeof text === 'string' ? text : text()).replace(/\n+$/, '');
    const record: LogRecord = { module: this.name, level, text: message, number: ++messageNumber, wallMs: wallMs() };
    const goesTo = (destination: LogDestination) => rank(level) <= rank(this.levels[destination]);
    if (goesTo('console')) consoleWrite(`${patterns.console.format(record)}\n`);
    if (goesTo('syslog')) putSyslog(record);
    if (goesTo('file') && isLogFileOpen()) writeLogFile(`${patterns.file.format(record)}\n`);
  }
}

const modules = new Map<string, LogModule>();
let messageNumber = 0;
let consoleWrite: (line: string) => void = writeToStderr;
let syslog: SyslogSink | undefined;
let syslogTarget: ((datagram: string) => void) | undefined;

const pattern = (text: string): { text: string; format: LogFormatter } => ({ text, format: compilePattern(text) });
const patterns: Record<LogDestination, { text: string; format: LogFormatter }> = {
  syslog: pattern('ovs|%05N|%c%T|%p|%m'),
  console: pattern('%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m'),
  file: pattern('%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m'),
};
/** What goes to `--syslog-target`: RFC 5424, with the byte order mark that says UTF-8. */
const rfc5424 = compilePattern('<%B>1 %D{%Y-%m-%dT%H:%M:%S.###Z} %E %A %P %c - \ufeff%m');

let stderr: typeof process.stderr | undefined;

/** What standard error does not take, on a full disk or without a reader, is lost: that must not end a switch. */
function writeToStderr(line: string): void {
  stderr ??= process.stderr.on('error', () => undefined);
  stderr.write(line);
}

function putSyslog(record: LogRecord): void {
  if (syslog !== undefined) {
    const priority = SEVERITY[record.level] | logIdentity.facility;
    for (const line of patterns.syslog.format(record).split('\n')) if (line !== '') syslog.send(priority, line);
  }
  syslogTarget?.(rfc5424(record));
}

/** The logger of module `name`; the same one each time. */
export function vlog(name: string): Logger {
  let module = modules.get(name);
  if (module === undefined) {
    module = new LogModule(name);
    modules.set(name, module);
  }
  return module;
}

const log = vlog('vlog');

/** All modules that have been named so far. */
export const logModules = (): Iterable<LogModule> => modules.values();

function updateModules(): void {
  for (const m of modules.values()) m.update();
}

/** Where lines for the console go: a test's own list, or standard error again if undefined. */
export function setConsole(write: ((line: string) => void) | undefined): void {
  consoleWrite = write ?? writeToStderr;
}

/** Where lines for syslog go; undefined: nowhere. */
export function setSyslog(sink: SyslogSink | undefined): void {
  syslog = sink;
  updateModules();
}

/** What is sent there in the format of RFC 5424 besides, whatever the pattern; undefined: nothing. */
export function setSyslogTarget(send: ((datagram: string) => void) | undefined): void {
  syslogTarget = send;
  updateModules();
  if (send !== undefined) log.warn('--syslog-target flag is deprecated, use --syslog-method instead');
}

/** Sets levels.  Undefined stands for all modules, all destinations. */
export function setLevels(name: string | undefined, destination: LogDestination | undefined, level: LogLevel): void {
  const destinations = destination === undefined ? DESTINATIONS : [destination];
  if (name === undefined) for (const d of destinations) initialLevels[d] = level;
  for (const m of modules.values()) {
    if (name !== undefined && m.name !== name) continue;
    for (const d of destinations) m.levels[d] = level;
    m.update();
  }
}

/** Sets how lines for a destination look; undefined stands for all of them. */
export function setPattern(destination: LogDestination | undefined, text: string): void {
  for (const d of destination === undefined ? DESTINATIONS : [destination]) patterns[d] = pattern(text);
}

/** Text of `vlog/list-pattern`. */
export function showPatterns(): string {
  const lines = DESTINATIONS.map((d) => {
    const prefix = d === 'syslog' && syslog !== undefined ? syslog.prefix : 'none';
    return `${d.toUpperCase().padEnd(7)}  ${prefix.padEnd(32)}  ${patterns[d].text}\n`;
  });
  const head = '         prefix                            format\n         ------                            ------\n';
  return head + lines.join('');
}

/** Starts logging to `path`, in place of an earlier log file.  Throws the Error of open(2), which is also logged. */
export function openLogFile(path: string): void {
  try {
    if (!switchLogFile(path, () => log.info('closing log file'))) return;
  } catch (error) {
    log.warn(`failed to open ${path} for logging: ${(error as Error).message}`);
    throw error;
  }
  updateModules();
  log.info(`opened log file ${path}`);
}

/** Opens the log file by its name again, after it was renamed by log rotation, or closed.  False if there never was one. */
export function reopenLogFile(): boolean {
  const path = logFilePath();
  if (path === undefined) return false;
  openLogFile(path);
  return true;
}

export function closeLogFile(): void {
  closeFile();
  updateModules();
}
