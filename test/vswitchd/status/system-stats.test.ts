import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readSystemStats } from '../../../src/vswitchd/status/system-stats.ts';

let dir: string;
const put = (name: string, text: string) => writeFileSync(join(dir, name), text);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tapswitch-stats-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test('numbers of a host', async () => {
  put(
    'meminfo',
    'MemTotal: 1000 kB\nMemFree: 300 kB\nBuffers: 20 kB\nCached: 100 kB\nSwapTotal: 50 kB\nSwapFree: 40 kB\n',
  );
  put('uptime', '100.50 7.00\n');
  put('mounts', '/dev/x / ext4 rw,relatime 0 0\n/dev/y /ro ext4 ro 0 0\ntmpfs /tmp tmpfs rw 0 0\n');
  mkdirSync(join(dir, '42'));
  mkdirSync(join(dir, 'run'));
  const numbers = Array.from({ length: 50 }, (_, i) => i + 4);
  // A name may hold anything, parentheses too.
  put('42/stat', `42 (a) b) S ${numbers.join(' ')}\n`);
  put('42/status', 'VmRSS:\t  77 kB\n');
  put('run/ovs-vswitchd.pid', '42\n');
  put('run/gone.pid', '43\n');
  put('run/nonsense.pid', 'x\n');
  const stats = await readSystemStats({ proc: dir, runDir: join(dir, 'run') });
  expect(stats.get('cpu')).toMatch(/^[1-9]\d*$/);
  expect(stats.get('load_average')).toMatch(/^\d+\.\d\d,\d+\.\d\d,\d+\.\d\d$/);
  expect(stats.get('memory')).toBe('1000,700,120,50,10');
  // utime 14, stime 15 and start time 22 are ticks, vsize 23 bytes.
  expect(stats.get('process_ovs-vswitchd')).toBe('0,77,290,0,100280,100280,39');
  expect([...stats.keys()].filter((k) => k.startsWith('process_'))).toEqual(['process_ovs-vswitchd']);
  expect(stats.get('file_systems')).toMatch(/^\/,[1-9]\d*,\d+$/);
});

test('what cannot be read is left out', async () => {
  const stats = await readSystemStats({ proc: join(dir, 'none'), runDir: undefined });
  expect([...stats.keys()]).toEqual(['cpu', 'load_average']);
});
