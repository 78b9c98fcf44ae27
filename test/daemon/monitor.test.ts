import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type MonitorHost, monitorDaemon } from '../../src/daemon/monitor.ts';
import type { ExitStatus } from '../../src/daemon/signals.ts';
import { logIdentity } from '../../src/util/log-pattern.ts';
import { closeLogFile, setConsole } from '../../src/util/vlog.ts';

let lines: string[] = [];
let dir = '';
beforeEach(() => {
  lines = [];
  dir = mkdtempSync(join(tmpdir(), 'tapswitch-monitor-'));
  setConsole((line) => lines.push(line.replace(/^[^|]*\|[0-9]+\|/, '').trim()));
});
afterEach(() => {
  logIdentity.subprogram = '';
  closeLogFile();
  setConsole(undefined);
  rmSync(dir, { recursive: true });
});

const segv: ExitStatus = { code: null, signal: 'SIGSEGV' };
const exited = (code: number): ExitStatus => ({ code, signal: null });

/** A host whose children live for `ms` each and then end as told; "before" ones never get ready. */
function host(children: readonly { ms?: number; end: ExitStatus; before?: boolean }[]) {
  const titles: string[] = [];
  const starts: number[] = [];
  let [now, started] = [0, 0];
  const fake: MonitorHost = {
    program: 'prog',
    logFile: undefined,
    run() {
      const child = children[starts.length];
      if (child === undefined) throw new Error('one child too many');
      starts.push(now);
      const startup = Promise.resolve(child.before === true ? child.end : undefined);
      const ended = startup.then(() => {
        now += child.ms ?? 0;
        return child.end;
      });
      return { pid: starts.length, startup, ended };
    },
    started: () => started++,
    setTitle: (title) => titles.push(title),
    now: () => now,
    sleep: async (ms) => {
      now += ms;
    },
  };
  return { fake, titles, starts, started: () => started };
}

test('a crash is followed by a new start at once, more of them by one every ten seconds', async () => {
  const { fake, titles, starts, started } = host([
    { ms: 50, end: segv },
    { ms: 3000, end: { code: null, signal: 'SIGABRT' } },
    { ms: 60_000, end: segv },
    { ms: 5, end: exited(0) },
  ]);
  expect(await monitorDaemon(fake)).toBe(0);
  expect(starts).toEqual([0, 50, 10_050, 70_050]);
  expect(started()).toBe(1);
  expect(titles).toEqual([
    'prog: monitoring pid 1 (healthy)',
    'prog: monitoring pid 2 (1 crashes: pid 1 died, killed (Segmentation fault))',
    'prog: monitoring pid 3 (2 crashes: pid 2 died, killed (Aborted))',
    'prog: monitoring pid 4 (3 crashes: pid 3 died, killed (Segmentation fault))',
  ]);
  expect(lines).toEqual([
    'daemon_unix(monitor)|ERR|1 crashes: pid 1 died, killed (Segmentation fault), restarting',
    'daemon_unix(monitor)|WARN|2 crashes: pid 2 died, killed (Aborted), waiting until 10 seconds since last restart',
    'daemon_unix(monitor)|ERR|2 crashes: pid 2 died, killed (Aborted), restarting',
    'daemon_unix(monitor)|ERR|3 crashes: pid 3 died, killed (Segmentation fault), restarting',
    'daemon_unix(monitor)|INFO|pid 4 died, exit status 0, exiting',
  ]);
});

test.each([
  [exited(1), 'exit status 1'],
  [{ code: null, signal: 'SIGTERM' } as ExitStatus, 'killed (Terminated)'],
  [{ code: null, signal: 'SIGKILL' } as ExitStatus, 'killed (Killed)'],
])('%j is no crash', async (end, text) => {
  expect(await monitorDaemon(host([{ end }]).fake)).toBe(0);
  expect(lines).toEqual([`daemon_unix(monitor)|INFO|pid 1 died, ${text}, exiting`]);
});

test('what cannot start ends the monitor, with its status', async () => {
  expect(await monitorDaemon(host([{ end: exited(3), before: true }]).fake)).toBe(3);
  expect(await monitorDaemon(host([{ end: segv, before: true }]).fake)).toBe(1);
  expect(lines.at(-1)).toBe(
    'daemon_unix(monitor)|ERR|fork child died before signaling startup (killed (Segmentation fault))',
  );
  expect(await monitorDaemon(host([{ end: segv }, { end: exited(4), before: true }]).fake)).toBe(4);
});

test('the log file is open only while there is something to say', async () => {
  const logFile = join(dir, 'x.log');
  const { fake } = host([{ end: exited(0) }]);
  expect(await monitorDaemon({ ...fake, logFile })).toBe(0);
  expect(readFileSync(logFile, 'utf8').replace(/^.*\|/gm, '')).toBe(
    `opened log file ${logFile}\npid 1 died, exit status 0, exiting\n`,
  );
});
