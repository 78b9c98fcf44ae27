import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeClock, setClock } from '../../src/util/clock.ts';
import {
  closeLogFile,
  openLogFile,
  RateLimit,
  reopenLogFile,
  setConsole,
  setLevels,
  vlog,
} from '../../src/util/vlog.ts';
import { setLevelsFromString, setRateLimits, showLevels } from '../../src/util/vlog-settings.ts';

const log = vlog('unit_a');
const other = vlog('unit_b');
let clock: FakeClock;
let lines: string[];
/** What was logged, without the sequence number, which depends on the tests before. */
const logged = () => lines.map((l) => l.replace(/\|\d{5,}\|/, '|N|'));

beforeEach(() => {
  clock = new FakeClock(1_000_000, Date.UTC(2026, 10, 21, 8, 0, 0, 123));
  setClock(clock);
  lines = [];
  setConsole((line) => lines.push(line));
  setLevels(undefined, undefined, 'info');
});
afterEach(() => {
  closeLogFile();
  setClock(undefined);
  setConsole(undefined);
});

test('a line has the time, a sequence number, the module and the level', () => {
  log.warn('one\n');
  log.info('two');
  log.dbg('not shown');
  expect(logged()).toEqual(['2026-11-21T08:00:00Z|N|unit_a|WARN|one\n', '2026-11-21T08:00:00Z|N|unit_a|INFO|two\n']);
  const [a, b] = lines.map((l) => Number(l.split('|')[1]));
  expect(b).toBe((a ?? 0) + 1);
});

test('a message that goes nowhere is not made', () => {
  let made = 0;
  const text = () => `${++made}`;
  log.dbg(text);
  expect(made).toBe(0);
  setLevels('unit_a', 'console', 'dbg');
  log.dbg(text);
  expect(made).toBe(1);
  expect(log.isEnabled('dbg')).toBe(true);
  expect(other.isEnabled('dbg')).toBe(false);
});

// biome-ignore format: table
const SPECS = [
  { spec: 'unit_a:dbg',         a: 'DBG DBG DBG',    b: 'INFO INFO INFO' },
  { spec: 'unit_a:console:off', a: 'OFF INFO INFO',  b: 'INFO INFO INFO' },
  { spec: 'console:warn',       a: 'WARN INFO INFO', b: 'WARN INFO INFO' },
  { spec: 'ANY:file:err',       a: 'INFO INFO ERR',  b: 'INFO INFO ERR' },
  { spec: 'off',                a: 'OFF OFF OFF',    b: 'OFF OFF OFF' },
  { spec: 'UNIT_B syslog',      a: 'INFO INFO INFO', b: 'INFO DBG INFO' },
  { spec: 'any:any:emer',       a: 'EMER EMER EMER', b: 'EMER EMER EMER' },
  { spec: '',                   a: 'DBG DBG DBG',    b: 'DBG DBG DBG' },
];
test.each(SPECS)('levels: "$spec"', ({ spec, a, b }) => {
  expect(setLevelsFromString(spec)).toBeUndefined();
  const row = (name: string) =>
    showLevels()
      .split('\n')
      .find((l) => l.startsWith(`${name} `))
      ?.trim()
      .split(/ +/)
      .slice(1)
      .join(' ');
  expect(row('unit_a')).toBe(a);
  expect(row('unit_b')).toBe(b);
});

// biome-ignore format: table
const BAD = [
  { spec: 'no_such:dbg',          error: 'no destination, level, or module "no_such"' },
  { spec: 'dbg:info',             error: 'cannot specify multiple levels' },
  { spec: 'console:file:dbg',     error: 'cannot specify multiple destinations' },
  { spec: 'unit_a:unit_b:dbg',    error: 'cannot specify multiple modules' },
  { spec: 'PATTERN',              error: 'missing destination' },
  { spec: 'pattern:tty:%m',       error: 'unknown destination "tty"' },
  { spec: 'FACILITY:nonesuch',    error: 'invalid facility' },
];
test.each(BAD)('levels: "$spec" is refused and changes nothing', ({ spec, error }) => {
  const before = showLevels();
  expect(setLevelsFromString(spec)).toBe(error);
  expect(showLevels()).toBe(before);
});

test('vlog/list is a table', () => {
  expect(showLevels()).toMatch(
    /^ {17}console {4}syslog {4}file\n {17}-{7} {4}-{6} {4}-{6}\n(.*\n)*unit_a {12}INFO {7}INFO {7}INFO\n/,
  );
});

test('a rate limit drops what exceeds it and says so later', () => {
  const limit = new RateLimit(60, 2);
  for (let i = 0; i < 5; i++) {
    log.warn(`m${i}`, limit);
    clock.advance(100);
  }
  // The bucket holds two; it gains one a second.
  expect(logged().map((l) => l.split('|')[4])).toEqual(['m0\n', 'm1\n']);
  lines = [];
  clock.advance(3500);
  log.warn('m5', limit);
  expect(logged()).toEqual([
    '2026-11-21T08:00:04Z|N|unit_a|WARN|Dropped 3 log messages in last 4 seconds (most recently, 4 seconds ago) due to excessive rate\n',
    '2026-11-21T08:00:04Z|N|unit_a|WARN|m5\n',
  ]);
});

test('rate limits can be switched off for a module', () => {
  const limit = new RateLimit(1, 1);
  expect(setRateLimits(['unit_a'], false)).toBeUndefined();
  for (let i = 0; i < 3; i++) log.warn('x', limit);
  expect(lines).toHaveLength(3);
  expect(showLevels()).toContain('(rate limiting disabled)');
  expect(setRateLimits([], true)).toBeUndefined();
  expect(showLevels()).not.toContain('(rate limiting disabled)');
  expect(setRateLimits(['nonesuch'], true)).toBe('unknown module');
});

test('the log file has milliseconds, levels of its own, and can be rotated', () => {
  const dir = mkdtempSync(join(tmpdir(), 'vlog-'));
  try {
    const path = join(dir, 'x.log');
    expect(reopenLogFile()).toBe(false);
    openLogFile(path);
    setLevels(undefined, 'console', 'off');
    log.warn('to the file');
    setLevels(undefined, 'file', 'err');
    log.warn('to nowhere');
    setLevels(undefined, 'file', 'info');
    renameSync(path, `${path}.1`);
    expect(reopenLogFile()).toBe(true);
    log.warn('to the new file');
    closeLogFile();
    log.warn('after closing');
    const strip = (f: string) => readFileSync(f, 'utf8').replace(/\|\d{5,}\|/g, '|N|');
    expect(strip(`${path}.1`)).toBe(
      `2026-11-21T08:00:00.123Z|N|vlog|INFO|opened log file ${path}\n` +
        '2026-11-21T08:00:00.123Z|N|unit_a|WARN|to the file\n' +
        '2026-11-21T08:00:00.123Z|N|vlog|INFO|closing log file\n',
    );
    expect(strip(path)).toBe(
      `2026-11-21T08:00:00.123Z|N|vlog|INFO|opened log file ${path}\n` +
        '2026-11-21T08:00:00.123Z|N|unit_a|WARN|to the new file\n',
    );
    expect(lines.some((l) => l.includes('to the file'))).toBe(false);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
