/** The directories of the environment, and the record of a switch's processes. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isRunning, spawnChild } from '../../src/cli/processes.ts';
import { cleanLeftovers, dirsOf, type Member, readRecord, writeRecord } from '../../src/cli/rundir.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tapswitch-rundir-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('dirsOf', () => {
  test("Debian's defaults", () => {
    expect(dirsOf({})).toEqual({
      run: '/var/run/openvswitch',
      log: '/var/log/openvswitch',
      database: '/etc/openvswitch/conf.db',
      schema: '/usr/share/openvswitch/vswitch.ovsschema',
    });
  });
  test('the variables of Open vSwitch', () => {
    expect(dirsOf({ OVS_RUNDIR: '/r', OVS_LOGDIR: '/l/', OVS_DBDIR: '/d', OVS_PKGDATADIR: '/p' })).toEqual({
      run: '/r',
      log: '/l',
      database: '/d/conf.db',
      schema: '/p/vswitch.ovsschema',
    });
    expect(dirsOf({ OVS_SYSCONFDIR: '/s' }).database).toBe('/s/openvswitch/conf.db');
  });
  test('an empty variable is none, and a relative one is made absolute', () => {
    expect(dirsOf({ OVS_RUNDIR: '' }).run).toBe('/var/run/openvswitch');
    expect(dirsOf({ OVS_RUNDIR: 'x' }).run).toBe(join(process.cwd(), 'x'));
  });
});

describe('the record', () => {
  const member: Member = { role: 'datapath', pid: 4, startTime: '77' };

  test('is read as it was written, and replaced whole', () => {
    writeRecord(dir, [member]);
    expect(readRecord(dir)).toEqual([member]);
    writeRecord(dir, []);
    expect(readRecord(dir)).toEqual([]);
    expect(readdirSync(dir)).toEqual(['tapswitch.json']);
  });

  test('one that cannot be written leaves nothing half done, and says why', () => {
    mkdirSync(join(dir, 'tapswitch.json'));
    expect(() => writeRecord(dir, [member])).toThrow(/EISDIR/);
    expect(readdirSync(dir)).toEqual(['tapswitch.json']);
  });

  test.each([
    ['no file', undefined],
    ['no JSON', '{"members":'],
    ['another shape', '{"members":7}'],
    [
      'entries of another shape',
      '{"members":[{"role":"init","pid":1,"startTime":"1"},{"role":"vswitchd","pid":-9,"startTime":"1"},{}]}',
    ],
  ])('%s: no members', (_name, text) => {
    if (text !== undefined) writeFileSync(join(dir, 'tapswitch.json'), text);
    expect(readRecord(dir)).toEqual([]);
  });

  test('cleanLeftovers ends the processes that are meant, and no others', async () => {
    const left = await spawnChild('left', ['sleep', '60']);
    const stranger = await spawnChild('stranger', ['sleep', '60']);
    writeRecord(dir, [
      { role: 'datapath', pid: left.pid, startTime: left.startTime },
      // The pid of a process of ours that is long gone has passed on.
      { role: 'vswitchd', pid: stranger.pid, startTime: '12' },
    ]);
    // Nobody has these locked.
    for (const name of ['ovs-vswitchd.pid', 'ovsdb-server.pid']) writeFileSync(join(dir, name), `${stranger.pid}\n`);
    expect((await cleanLeftovers(dir)).map((m) => m.pid)).toEqual([left.pid]);
    expect(isRunning(left)).toBe(false);
    expect(isRunning(stranger)).toBe(true);
    expect(readdirSync(dir)).toEqual([]);
    process.kill(stranger.pid);
    await stranger.ended;
  });
});
