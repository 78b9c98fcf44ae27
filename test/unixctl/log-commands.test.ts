import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LOG_COMMANDS } from '../../src/unixctl/log-commands.ts';
import { processCommands } from '../../src/unixctl/process-commands.ts';
import { coverage } from '../../src/util/coverage.ts';
import { stopwatch } from '../../src/util/stopwatch.ts';
import {
  closeLogFile,
  openLogFile,
  setConsole,
  setLevels,
  setPattern,
  setSyslog,
  setSyslogTarget,
  vlog,
} from '../../src/util/vlog.ts';
import { setLevelsFromString } from '../../src/util/vlog-settings.ts';

const log = vlog('unit_commands');
let lines: string[] = [];
const run = (name: string, ...args: string[]) =>
  [...LOG_COMMANDS, ...processCommands(() => ({ rules: 5, ports: 1 }))].find((c) => c.name === name)?.run(args);

const DEFAULT_PATTERNS = `         prefix                            format
         ------                            ------
SYSLOG   none                              ovs|%05N|%c%T|%p|%m
CONSOLE  none                              %D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m
FILE     none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m
`;

beforeEach(() => {
  lines = [];
  setConsole((line) => lines.push(line));
  setLevels(undefined, undefined, 'info');
});
afterEach(() => {
  setSyslog(undefined);
  setSyslogTarget(undefined);
  closeLogFile();
  setConsole(undefined);
  setPattern('syslog', 'ovs|%05N|%c%T|%p|%m');
  setPattern('console', '%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m');
  setPattern('file', '%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m');
});

test('patterns are listed, and set for one destination or all', () => {
  expect(run('vlog/list-pattern')).toBe(DEFAULT_PATTERNS);
  run('vlog/set', 'pattern:console:I<3OVS|%p: %m');
  log.warn('hello');
  expect(lines).toEqual(['I<3OVS|WARN: hello\n']);
  run('vlog/set', 'PATTERN:any:%m');
  expect(run('vlog/list-pattern')).toMatch(/SYSLOG {3}none +%m\nCONSOLE {2}none +%m\nFILE {5}none +%m\n/);
});

test('syslog gets each line with its priority, and the facility that was set', () => {
  const sent: [number, string][] = [];
  setSyslog({ prefix: '<%B>', send: (priority, line) => sent.push([priority, line]) });
  expect(run('vlog/list-pattern')).toContain('SYSLOG   <%B>       ');
  setPattern('syslog', '%c|%m');
  log.err('one\ntwo');
  log.dbg('not this');
  run('vlog/set', 'FACILITY:local5');
  log.info('three');
  run('vlog/set', 'FACILITY:kern');
  expect(sent).toEqual([
    [3, 'unit_commands|one'],
    [3, 'two'],
    [(21 << 3) | 5, 'unit_commands|three'],
  ]);
});

test('a syslog target gets RFC 5424', () => {
  const sent: string[] = [];
  setSyslogTarget((datagram) => sent.push(datagram));
  log.warn('x');
  expect(sent[0]).toMatch(/^<132>1 .*--syslog-target flag is deprecated/);
  expect(sent[1]).toMatch(/^<132>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ \S+ \d+ unit_commands - \ufeffx$/);
});

test('a module that goes nowhere but to syslog is enabled for it', () => {
  setLevelsFromString('unit_commands:console:off');
  expect(log.isEnabled('warn')).toBe(false);
  setSyslog({ prefix: '', send: () => undefined });
  expect(log.isEnabled('warn')).toBe(true);
});

test('vlog/close, then vlog/reopen opens the same file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tapswitch-log-'));
  try {
    const path = join(dir, 'x.log');
    openLogFile(path);
    log.info('a');
    run('vlog/close');
    log.info('b');
    run('vlog/reopen');
    log.info('c');
    expect(readFileSync(path, 'utf8').replace(/^.*\|/gm, '')).toBe(
      `opened log file ${path}\na\nopened log file ${path}\nc\n`,
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('numbers of the process', () => {
  expect(run('memory/show')).toBe('ports:1 rules:5');
  coverage('unit_event').n = 3;
  expect(run('coverage/read-counter', 'unit_event')).toBe('3\n');
  expect(() => run('coverage/read-counter', 'unit_none')).toThrow('No such counter');
  expect(run('coverage/show')).toMatch(
    /^Event coverage, avg rate over last: 5 seconds, last minute, last hour, {2}hash=[0-9a-f]{8}:\n/,
  );
  stopwatch('unit_a').add(7);
  expect(run('stopwatch/show', 'unit_a')).toContain('Maximum: 7 msec');
  run('stopwatch/reset');
  expect(run('stopwatch/show', 'unit_a')).toContain('Total samples: 0');
  expect(() => run('stopwatch/show', 'unit_none')).toThrow('No such stopwatch');
});
