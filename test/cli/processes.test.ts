/** Children that end with their parent, and waiting for what they do. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  fileIsThere,
  isRunning,
  spawnChild,
  startTimeOf,
  stopProcess,
  waitForEnd,
  waitUntil,
} from '../../src/cli/processes.ts';

const dir = mkdtempSync(join(tmpdir(), 'tapswitch-processes-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('startTimeOf', () => {
  test('gives field 22 of /proc/PID/stat, for a process that lives', () => {
    expect(startTimeOf(process.pid)).toMatch(/^\d+$/);
    expect(startTimeOf(1)).not.toBe(startTimeOf(process.pid));
  });
  test('undefined for one that does not', () => {
    expect(startTimeOf(0x7ffffff0)).toBeUndefined();
  });
  test('a pid that has passed on to another process is not the one that was meant', () => {
    expect(isRunning({ pid: process.pid, startTime: '1' })).toBe(false);
  });
});

test('stopProcess ends a process that listens to SIGTERM, and one that does not', async () => {
  const polite = await spawnChild('sleep', ['sleep', '60']);
  expect(isRunning(polite)).toBe(true);
  expect(await stopProcess(polite)).toBe(true);
  expect(await polite.ended).toBe('signal SIGTERM');
  expect(await stopProcess(polite)).toBe(false);

  const ready = join(dir, 'deaf');
  const deaf = await spawnChild('deaf', ['sh', '-c', `trap '' TERM; : >${ready}; while :; do sleep 0.1; done`]);
  await waitUntil(deaf, ready, fileIsThere(ready), 60_000);
  expect(await stopProcess(deaf, 100)).toBe(true);
  expect(await deaf.ended).toBe('signal SIGKILL');
});

test('a log file that takes nothing, as on a full disk, ends nothing', async () => {
  const child = await spawnChild('talker', ['sh', '-c', 'echo out; echo err >&2'], { logFile: '/dev/full' });
  expect(await child.ended).toBe('exit status 0');
  expect(child.errors()).toBe('err');
});

test('a child ends when its parent is killed', async () => {
  const pidFile = join(dir, 'pid');
  const module = new URL('../../src/cli/processes.ts', import.meta.url).pathname;
  const script = `import(${JSON.stringify(module)}).then(async (m) => {
    const child = await m.spawnChild('sleep', ['sleep', '60']);
    require('fs').writeFileSync(${JSON.stringify(pidFile)}, child.pid + ' ' + child.startTime + '\\n');
    setInterval(() => {}, 1000);
  });`;
  const parent = spawn(process.execPath, ['--import', 'tsx', '-e', script], { stdio: ['ignore', 'ignore', 'inherit'] });
  const id = {
    pid: parent.pid ?? 0,
    startTime: startTimeOf(parent.pid ?? 0) ?? '',
    name: 'parent',
    ended: new Promise<string>(() => {}),
    errors: () => '',
  };
  let text = '';
  const written = () => {
    text = fileIsThere(pidFile)() ? readFileSync(pidFile, 'utf8') : '';
    return text.endsWith('\n');
  };
  await waitUntil(id, pidFile, written, 60_000);
  const [pid = '0', startTime = ''] = text.trim().split(' ');
  const child = { pid: Number(pid), startTime };
  expect(isRunning(child)).toBe(true);
  // From then on the kernel knows what to do.
  while (readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'sleep\n') await new Promise((done) => setTimeout(done, 5));
  parent.kill('SIGKILL');
  expect(await waitForEnd(child, 60_000)).toBe(true);
});

describe('waitUntil', () => {
  test('resolves as soon as the file is there', async () => {
    const path = join(dir, 'ready');
    const child = await spawnChild('touch', ['sh', '-c', `sleep 0.2; : >${path}; sleep 60`]);
    await waitUntil(child, path, fileIsThere(path), 60_000);
    await stopProcess(child);
  });
  test('says what the child said if it ends before', async () => {
    const logFile = join(dir, 'log');
    const child = await spawnChild('bad', ['sh', '-c', 'echo out; echo no such thing >&2; exit 3'], { logFile });
    await expect(waitUntil(child, join(dir, 'never'), () => false, 60_000)).rejects.toThrow(
      'bad ended with exit status 3:\nno such thing',
    );
    expect(readFileSync(logFile, 'utf8').split('\n').sort().join('\n')).toBe('\nno such thing\nout');
  });
  test('gives up after its time', async () => {
    const child = await spawnChild('slow', ['sleep', '60']);
    await expect(waitUntil(child, join(dir, 'never'), () => false, 200)).rejects.toThrow(
      'slow was not ready after 0.2 s',
    );
    await stopProcess(child);
  });
  test('an error of the check is passed on', async () => {
    const child = await spawnChild('slow', ['sleep', '60']);
    const check = () => {
      throw new Error('broken check');
    };
    await expect(waitUntil(child, join(dir, 'never'), check, 60_000)).rejects.toThrow('broken check');
    await stopProcess(child);
  });
});

test('a program that is not there', async () => {
  const child = await spawnChild('nothing', ['/no/such/program']);
  expect(await child.ended).toMatch(/exit status \d+/);
  expect(child.errors()).toMatch(/no such file/i);
});
