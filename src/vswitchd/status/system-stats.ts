/**
 * Numbers of the host, for Open_vSwitch.statistics: processors, load, memory, the processes of the switch, and local file
 * systems.  What cannot be read is left out.  Source: vswitchd/system-stats.c, vswitchd/vswitch.xml (Open_vSwitch:statistics), proc(5).
 */

import { readdir, readFile, statfs } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { fixed } from '../../util/fixed.ts';

/** Where the numbers come from; a test has a directory of its own for "/proc". */
export interface SystemStatsSource {
  readonly proc: string;
  /** Where the pidfiles of the switch's processes are; undefined: there are none. */
  readonly runDir: string | undefined;
  /** Clock ticks per second of /proc/PID/stat. */
  readonly ticks?: number;
}

/** Linux tells /proc/PID/stat in these, whatever its timer. */
const USER_HZ = 100;
/** Fields of /proc/PID/stat, numbered as in proc(5), behind the name in parentheses. */
const STAT = { UTIME: 14, STIME: 15, STARTTIME: 22, VSIZE: 23, PROCESSOR: 39, FIRST: 3 } as const;

/** Reads all of them. */
export async function readSystemStats(source: SystemStatsSource): Promise<ReadonlyMap<string, string>> {
  const stats = new Map<string, string>();
  stats.set('cpu', String(availableParallelism()));
  stats.set(
    'load_average',
    loadavg()
      .map((load) => fixed(load, 2))
      .join(),
  );
  const memory = await readMemory(source.proc);
  if (memory !== undefined) stats.set('memory', memory);
  for (const [name, text] of await readProcesses(source)) stats.set(`process_${name}`, text);
  const fileSystems = await readFileSystems(source.proc);
  if (fileSystems !== '') stats.set('file_systems', fileSystems);
  return stats;
}

const textOf = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

/** "total,used,cache,swap total,swap used" in kB. */
async function readMemory(proc: string): Promise<string | undefined> {
  const text = await textOf(join(proc, 'meminfo'));
  if (text === undefined) return undefined;
  const kb = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  const [total, swap] = [kb('MemTotal'), kb('SwapTotal')];
  return [total, total - kb('MemFree'), kb('Buffers') + kb('Cached'), swap, swap - kb('SwapFree')].join();
}

/** By the names of the pidfiles. */
async function readProcesses({ proc, runDir, ticks = USER_HZ }: SystemStatsSource): Promise<[string, string][]> {
  if (runDir === undefined) return [];
  const found: [string, string][] = [];
  const uptimeSec = Number((await textOf(join(proc, 'uptime')))?.split(' ')[0] ?? 0);
  for (const file of (await readdir(runDir).catch(() => [])).filter((name) => name.endsWith('.pid')).sort()) {
    const pid = Number(await textOf(join(runDir, file)));
    if (!Number.isInteger(pid) || pid <= 0) continue;
    const stat = await textOf(join(proc, String(pid), 'stat'));
    const status = await textOf(join(proc, String(pid), 'status'));
    if (stat !== undefined)
      found.push([file.slice(0, -'.pid'.length), processText(stat, status ?? '', uptimeSec, ticks)]);
  }
  return found;
}

/** "virtual kB,resident kB,CPU ms,crashes,ms since boot,ms since start,processor". */
function processText(stat: string, status: string, uptimeSec: number, ticks: number): string {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (n: number) => Number(fields[n - STAT.FIRST] ?? 0);
  const rssKb = Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? 0);
  const cpuMs = ((field(STAT.UTIME) + field(STAT.STIME)) * 1000) / ticks;
  const upMs = Math.max(0, Math.round(1000 * uptimeSec - (field(STAT.STARTTIME) * 1000) / ticks));
  const virtualKb = Math.floor(field(STAT.VSIZE) / 1024);
  return [virtualKb, rssKb, cpuMs, 0, upMs, upMs, field(STAT.PROCESSOR)].join();
}

/** "mount point,total kB,used kB" of each that is on a local device and can be written. */
async function readFileSystems(proc: string): Promise<string> {
  const mounts = (await textOf(join(proc, 'mounts'))) ?? '';
  const parts: string[] = [];
  for (const line of mounts.split('\n')) {
    const [device = '', where = '', , options = ''] = line.split(' ');
    if (!device.startsWith('/dev') || !options.split(',').includes('rw')) continue;
    const path = where.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const { bsize, blocks, bfree } = await statfs(path).catch(() => ({ bsize: 0, blocks: 0, bfree: 0 }));
    const kb = (n: number) => Math.floor((n * bsize) / 1024);
    parts.push(`${path.replace(/[ ,]/g, '_')},${kb(blocks)},${kb(blocks) - kb(bfree)}`);
  }
  return parts.join(' ');
}
