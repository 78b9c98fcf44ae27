import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeClock, setClock } from '../../src/util/clock.ts';
import { formatUsage, MemoryReport, rssKb } from '../../src/util/memory-report.ts';
import { setConsole, setLevels } from '../../src/util/vlog.ts';

let lines: string[] = [];
const clock = new FakeClock();
beforeEach(() => {
  setClock(clock);
  lines = [];
  setConsole((line) => lines.push(line.replace(/^.*\|INFO\|/, '').trim()));
  setLevels(undefined, undefined, 'info');
});
afterEach(() => {
  setClock(undefined);
  setConsole(undefined);
});

test('the size is logged after ten seconds, and again when it has grown by half', () => {
  let kb = 1000;
  const report = new MemoryReport(
    () => ({ rules: 2, ports: 1 }),
    () => kb,
  );
  report.run();
  expect(lines).toEqual([]);
  clock.advance(10_000);
  report.run();
  expect(lines).toEqual(['1000 kB peak resident set size after 10.0 seconds', 'ports:1 rules:2']);
  lines = [];
  kb = 1400;
  clock.advance(10_000);
  report.run();
  expect(lines).toEqual([]);
  kb = 1600;
  clock.advance(10_000);
  report.run();
  expect(lines[0]).toBe('peak resident set size grew 60% in last 20.0 seconds, from 1000 kB to 1600 kB');
});

test('nothing to count is no text', () => {
  expect(formatUsage({})).toBe('');
  expect(formatUsage({ rules: 2, 'udpif keys': 0, ports: 1 })).toBe('ports:1 rules:2');
  expect(rssKb()).toBeGreaterThan(1000);
});
