/**
 * Logging as Open vSwitch does it: modules, levels a destination, rate limits a call site, and the line format that people
 * and log parsers know:
 *
 *     2026-11-21T08:00:00Z|00001|dpif_netlink|INFO|Datapath dispatch mode: per-cpu
 *
 * A module is named once a file, `const log = vlog('dpif_netlink')`; what it logs goes to standard error (CONSOLE) and to
 * a log file (FILE) as far as the module's levels allow, which `-v` and `vlog/set` change.  Messages may be functions,
 * which are called only if the message goes anywhere.  The levels of SYSLOG are kept, set and listed, but this program
 * sends nothing there.
 * Source: lib/vlog.c, lib/token-bucket.c, ovs-appctl(8).
 */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { monotonicMs, wallMs } from './clock.ts';

/** From the least to the most that is logged. */
const LEVELS = ['off', 'emer', 'err', 'warn', 'info', 'dbg'] as const;
export type LogLevel = (typeof LEVELS)[number];
const DESTINATIONS = ['syslog', 'console', 'file'] as const;
export type LogDestination = (typeof DESTINATIONS)[number];
const LEVEL_NAME: Record<LogLevel, string> = {
  off: 'OFF',
  emer: 'EMER',
  err: 'ERR',
  warn: 'WARN',
  info: 'INFO',
  dbg: 'DBG',
};
const rank = (level: LogLevel): number => LEVELS.indexOf(level);

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

/** Each message costs this many tokens; a bucket gains its rate in tokens every millisecond. */
const MESSAGE_TOKENS = 60_000;

/** A token bucket for one call site, or for several that are to share it: `perMinute` messages, `burst` at once. */
export class RateLimit {
  private readonly perMs: number;
  private readonly capacity: number;
  private tokens = 0;
  private lastFill = Number.NEGATIVE_INFINITY;
  private nDropped = 0;
  private firstDropped = 0;
  private lastDropped = 0;

  constructor(perMinute: number, burst: number) {
    this.perMs = perMinute;
    this.capacity = burst * MESSAGE_TOKENS;
  }

  /** True if the message may go out; else it is counted as dropped. */
  take(): boolean {
    const now = monotonicMs();
    if (this.tokens < MESSAGE_TOKENS && now > this.lastFill) {
      this.tokens = Math.min(this.capacity, this.tokens + this.perMs * (now - this.lastFill));
      this.lastFill = now;
    }
    if (this.tokens >= MESSAGE_TOKENS) {
      this.tokens -= MESSAGE_TOKENS;
      return true;
    }
    const seconds = Math.floor(now / 1000);
    if (this.nDropped++ === 0) this.firstDropped = seconds;
    this.lastDropped = seconds;
    return false;
  }

  /** The line to log about what was dropped since the last call, if anything was. */
  takeDroppedText(): string | undefined {
    if (this.nDropped === 0) return undefined;
    const now = Math.floor(monotonicMs() / 1000);
    const text =
      `Dropped ${this.nDropped} log messages in last ${now - this.firstDropped} seconds (most recently, ` +
      `${now - this.lastDropped} seconds ago) due to excessive rate`;
    this.nDropped = 0;
    return text;
  }
}

/** Levels of a module that is named for the first time: what was last set for all of them. */
const initialLevels: Record<LogDestination, LogLevel> = { syslog: 'info', console: 'info', file: 'info' };

class Module implements Logger {
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
    const file = logFile === undefined ? 'off' : this.levels.file;
    this.max = Math.max(rank(this.levels.console), rank(file), rank(this.levels.syslog));
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
    messageNumber++;
    const toConsole = rank(level) <= rank(this.levels.console);
    const toFile = logFile !== undefined && rank(level) <= rank(this.levels.file);
    if (!toConsole && !toFile) return;
    const message = (typeof text === 'string' ? text : text()).replace(/\n+$/, '');
    const time = new Date(wallMs()).toISOString();
    const rest = `|${String(messageNumber).padStart(5, '0')}|${this.name}|${LEVEL_NAME[level]}|${message}\n`;
    // The console shows seconds, the file milliseconds, as the stock patterns have it.
    if (toConsole) consoleWrite(time.replace(/\.\d+Z$/, 'Z') + rest);
    if (toFile) writeToFile(time + rest);
  }
}

const modules = new Map<string, Module>();
let messageNumber = 0;
let consoleWrite: (line: string) => void = writeToStderr;
let logFile: { readonly path: string; readonly fd: number } | undefined;

function writeToStderr(line: string): void {
  process.stderr.write(line);
}

function writeToFile(line: string): void {
  try {
    if (logFile !== undefined) writeSync(logFile.fd, line);
  } catch {
    // A full disk must not stop a switch, and there is nowhere left to say so.
  }
}

/** The logger of module `name`; the same one each time. */
export function vlog(name: string): Logger {
  let module = modules.get(name);
  if (module === undefined) {
    module = new Module(name);
    modules.set(name, module);
  }
  return module;
}

const log = vlog('vlog');

/** Where lines for the console go: a test's own list, or standard error again if undefined. */
export function setConsole(write: ((line: string) => void) | undefined): void {
  consoleWrite = write ?? writeToStderr;
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

/**
 * Sets levels as `-v SPEC` and `vlog/set SPEC` do: words separated by colons, commas or blanks, at most one module, one
 * destination and one level in any order, "ANY" for all; no level means dbg.  Returns an error text, and changes
 * nothing, if `spec` makes no sense.
 */
export function setLevelsFromString(spec: string): string | undefined {
  const words = spec.split(/[ ,:\t]+/).filter((w) => w !== '');
  const first = words[0]?.toUpperCase();
  if (first === 'PATTERN' || first === 'FACILITY') return `${first} is not supported`;
  let module: string | undefined;
  let destination: LogDestination | undefined;
  let level: LogLevel | undefined;
  for (const word of words) {
    const w = word.toLowerCase();
    const asDestination = DESTINATIONS.find((d) => d === w);
    const asLevel = LEVELS.find((l) => l === w);
    const asModule = [...modules.keys()].find((m) => m.toLowerCase() === w);
    if (w === 'any') continue;
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

/** Text of `vlog/list`. */
export function showLevels(): string {
  const lines = [...modules.values()].map((m) => {
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
    const chosen = [...modules.values()].filter((m) => w === 'any' || m.name.toLowerCase() === w);
    if (chosen.length === 0) return 'unknown module';
    for (const m of chosen) m.honorRateLimits = on;
  }
  return undefined;
}

/** Starts logging to `path`, in place of an earlier log file.  Throws the Error of open(2). */
export function openLogFile(path: string): void {
  const fd = openSync(path, 'a', 0o660);
  if (logFile !== undefined) {
    const [a, b] = [fstatSync(logFile.fd), fstatSync(fd)];
    if (a.dev === b.dev && a.ino === b.ino) {
      closeSync(fd);
      return;
    }
    log.info('closing log file');
    closeSync(logFile.fd);
  }
  logFile = { path, fd };
  for (const m of modules.values()) m.update();
  log.info(`opened log file ${path}`);
}

/** Opens the log file by its name again, after it was renamed by log rotation.  False if none is open. */
export function reopenLogFile(): boolean {
  if (logFile === undefined) return false;
  openLogFile(logFile.path);
  return true;
}

export function closeLogFile(): void {
  if (logFile === undefined) return;
  closeSync(logFile.fd);
  logFile = undefined;
  for (const m of modules.values()) m.update();
}
