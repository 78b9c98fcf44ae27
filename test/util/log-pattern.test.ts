import { hostname } from 'node:os';
import { afterEach, expect, test } from 'vitest';
import { compilePattern, type LogRecord, logIdentity } from '../../src/util/log-pattern.ts';
import { strftime } from '../../src/util/strftime.ts';

const AT = Date.UTC(2026, 10, 1, 8, 5, 9, 123);
const record: LogRecord = { module: 'dpif', level: 'warn', text: 'two\nlines', number: 42, wallMs: AT };

afterEach(() => {
  Object.assign(logIdentity, { program: 'tapswitch', subprogram: '', facility: 0 });
});

// biome-ignore format: table
test.each([
  ['%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m', '2026-11-01T08:05:09.123Z|00042|dpif|WARN|two\nlines'],
  ['%D',             '2026-11-01 08:05:09.123'],
  ['%D{%h %e %T} x', 'Nov  1 08:05:09 x'],
  ['%D{%S.#',        '09.1'],
  ['<%B>',           '<132>'],
  ['[%8c]',          '[    dpif]'],
  ['[%-8c]',         '[dpif    ]'],
  ['[%2c]',          '[dpif]'],
  ['%A %t%T',        'tapswitch main'],
  ['%E',             hostname()],
  ['%P',             String(process.pid)],
  ['%c{x}',          'dpif'],
  ['100%% %q%',      '100% q%'],
  ['a%nb',           'a\nb'],
  ['',               ''],
])('%j', (pattern, want) => {
  expect(compilePattern(pattern)(record)).toBe(want);
});

test('the identity of the process shows', () => {
  Object.assign(logIdentity, { program: 'ovs-vswitchd', subprogram: 'monitor', facility: 3 << 3 });
  expect(compilePattern('<%B>%A %t %c%T')(record)).toBe('<28>ovs-vswitchd monitor dpif(monitor)');
});

test('%r counts from the start of the process', () => {
  expect(Number(compilePattern('%r')(record))).toBeGreaterThanOrEqual(0);
});

// biome-ignore format: table
test.each([
  ['%a %A %b %B %d %e %j', 'Sun Sunday Nov November 01  1 305'],
  ['%F %T %D %R',          '2026-11-01 08:05:09 11/01/26 08:05'],
  ['%I %p %y %s',          '08 AM 26 1793520309'],
  ['%z %% %t%n.',          '+0000 % \t\n.'],
  ['## ### #',             '12 300 0'],
])('strftime %j', (format, want) => {
  expect(strftime(format, AT, true)).toBe(want);
});

test('local time is shifted by the zone', () => {
  const hours = new Date(AT).getHours();
  expect(strftime('%H', AT, false)).toBe(String(hours).padStart(2, '0'));
});
