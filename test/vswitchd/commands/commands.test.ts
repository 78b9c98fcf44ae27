import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DpifDpStats } from '../../../src/dpif/dpif-types.ts';
import { dpifJson } from '../../../src/ofproto/show/show-json.ts';
import { UnixctlError } from '../../../src/unixctl/unixctl-server.ts';
import { coverage } from '../../../src/util/coverage.ts';
import { closeLogFile, openLogFile, setConsole, setLevels, vlog } from '../../../src/util/vlog.ts';
import { type CommandTarget, vswitchdCommands } from '../../../src/vswitchd/commands/commands.ts';
import { FakeWorld } from '../fakes.ts';

const world = new FakeWorld();
const exits: boolean[] = [];
let target: CommandTarget;
const log = vlog('commands_test');

beforeEach(async () => {
  setConsole(() => undefined);
  const options = { maxIdleMs: 1, flowLimit: 1, maxRevalidatorMs: 1, minRevalidatePps: 1 };
  const backer = await world.openBacker(await world.openProvider(), 'ovs-system', options);
  target = { backer, exit: (cleanup) => exits.push(cleanup) };
  for (const name of ['br1', 'br0']) backer.createOfproto(name);
});
afterEach(() => {
  setLevels(undefined, undefined, 'info');
  setConsole(undefined);
});

const DPCTL = [
  {
    name: 'dpctl/ok',
    usage: '',
    minArgs: 0,
    maxArgs: 9,
    handler: async (args: readonly string[]) => ({ isError: false, text: `${args}` }),
  },
  { name: 'dpctl/bad', usage: '', minArgs: 0, maxArgs: 9, handler: async () => ({ isError: true, text: 'why not\n' }) },
];
async function run(name: string, ...args: string[]): Promise<string> {
  const command = vswitchdCommands(target, DPCTL).find((c) => c.name === name);
  if (command === undefined) throw new Error(`no command ${name}`);
  return command.run(args);
}
async function refused(name: string, ...args: string[]): Promise<string> {
  const error = await run(name, ...args).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(UnixctlError);
  return (error as Error).message;
}

test('fdb/show', async () => {
  expect(await run('fdb/show', 'br0')).toBe(
    ' port  VLAN  MAC                Age\n    1     0  02:00:00:00:00:0a    3\nLOCAL    10  02:00:00:00:00:0b  static\n',
  );
  expect(await refused('fdb/show', 'br9')).toBe('no such bridge');
});

test('fdb/show and dpif/show as JSON', async () => {
  const json = (name: string, ...args: string[]) =>
    vswitchdCommands(target, DPCTL)
      .find((c) => c.name === name)
      ?.runJson?.(args);
  expect(await json('fdb/show', 'br0')).toEqual([
    { port: 1, vlan: 0, mac: '02:00:00:00:00:0a', age: 3 },
    { port: 65534, vlan: 10, mac: '02:00:00:00:00:0b', static: true },
  ]);
  const br0 = target.backer?.ofprotos.get('br0');
  await br0?.portAdd({ name: 'p9', type: 'system', ofport: 7, isLocal: false });
  await br0?.portAdd({ name: 'pa', type: 'patch', ofport: 8, isLocal: false });
  br0?.setPatchPeer('pa', 'pb');
  const shown = JSON.parse(JSON.stringify(await json('dpif/show')));
  const [datapath] = Object.values(shown) as { bridges: Record<string, unknown> }[];
  expect(datapath?.bridges['br0']).toMatchObject({
    p9: { ofport: '7', type: 'system' },
    pa: { ofport: '8', type: 'patch' },
  });
  expect(datapath?.bridges['br1']).toEqual({});
  expect(dpifJson('system@dp', { nHit: 3n, nMissed: 4n } as DpifDpStats, [])).toEqual({
    'system@dp': { bridges: {}, stats: { hit: '3', missed: '4' } },
  });
});

test('fdb/add and fdb/del', async () => {
  await target.backer?.ofprotos.get('br0')?.portAdd({ name: 'p9', type: 'system', ofport: undefined, isLocal: false });
  const local = 'p9';
  world.journal.length = 0;
  expect(await run('fdb/add', 'br0', local, '0', '02:00:00:00:00:99')).toBe('');
  expect(await run('fdb/add', 'br0', local, '0', '2:0:0:0:0:A')).toBe(
    'Overriding already existing dynamic entry on 1\n',
  );
  const moved = 'Overriding already existing static entry on LOCAL\n';
  expect(await run('fdb/add', 'br0', local, '10', '02:00:00:00:00:0b')).toBe(moved);
  expect(await run('fdb/del', 'br0', '10', '02:00:00:00:00:0b')).toBe('');
  expect(world.journal).toEqual([
    'fdbAdd br0 p9 0 20000000099',
    'fdbAdd br0 p9 0 2000000000a',
    'fdbAdd br0 p9 10 2000000000b',
    'fdbDelete br0 10 2000000000b',
  ]);
  expect(await refused('fdb/add', 'br0', 'nowhere', '0', '02:00:00:00:00:99')).toContain('software error');
  expect(await refused('fdb/add', 'br0', local, '0', '02:00')).toBe('bad MAC address');
  expect(await refused('fdb/add', 'br0', local, '0', '0:0:0:0:0:1')).toBe('could not add static mac entry\n');
  expect(await refused('fdb/del', 'br0', '0', '0:0:0:0:0:1')).toBe('could not find static mac entry\n');
  expect(await refused('fdb/add', 'br9', local, '0', '02:00:00:00:00:99')).toBe('no such bridge');
  await target.backer?.ofprotos.get('br0')?.portDel('p9');
});

test('fdb/stats-show and fdb/stats-clear', async () => {
  const text = await run('fdb/stats-show', 'br0');
  expect(text).toContain('Statistics for bridge "br0":\n  Current/maximum MAC entries in the table: 1/8192\n');
  expect(text).toContain('  Total number of port moved MAC entries  : 1\n');
  expect(await run('fdb/stats-clear')).toBe('statistics successfully cleared');
  expect(await run('fdb/stats-clear', 'br0')).toBe('statistics successfully cleared');
  expect(await refused('fdb/stats-clear', 'br9')).toBe('no such bridge');
  expect(await refused('fdb/stats-show', 'br9')).toBe('no such bridge');
});

test('mdb/show and mdb/flush', async () => {
  expect(await refused('mdb/show', 'br9')).toBe('no such bridge');
  expect(await refused('mdb/show', 'br0')).toBe('multicast snooping is disabled');
  expect(await refused('mdb/flush', 'br0')).toBe('multicast snooping is disabled');
  expect(await run('mdb/flush')).toBe('table successfully flushed');
  const limits = { agingSec: 300, maxEntries: 2048, floodsUnregistered: true };
  target.backer?.ofprotos.get('br0')?.setMcastSnooping({ ...limits, floodPorts: [], reportPorts: [] });
  expect(await run('mdb/flush', 'br0')).toBe('table successfully flushed');
  expect(await run('mdb/show', 'br0')).toBe(
    ' port  VLAN  GROUP                Age\n' +
      '    2     5  224.1.1.1           7\n' +
      'LOCAL     0  querier               0\n',
  );
});

test('fdb/flush', async () => {
  world.journal.length = 0;
  expect(await run('fdb/flush', 'br0')).toBe('table successfully flushed');
  expect(await run('fdb/flush')).toBe('table successfully flushed');
  expect(world.journal).toEqual(['flush br0', 'flush br1', 'flush br0']);
  expect(await refused('fdb/flush', 'br9')).toBe('no such bridge');
  expect(await refused('bridge/reconnect', 'br9')).toBe('Unknown bridge');
});

test('what concerns the datapath', async () => {
  expect(await run('dpif/dump-dps')).toBe('system@br0\nsystem@br1\n');
  expect(await run('dpif/show')).toBe('system@ovs-system: hit:0 missed:0\n');
  expect(await run('upcall/show')).toBe('system@ovs-system:\n');
  expect(await run('revalidator/wait')).toBe('');
  expect(await refused('dpif/dump-flows', 'br9')).toBe('no such bridge');
  expect(await run('dpctl/ok', '-m', 'x')).toBe('-m,x');
  expect(await refused('dpctl/bad')).toBe('why not\n');
  target = { backer: undefined, exit: () => undefined };
  expect(await run('dpif/show')).toBe('');
  expect(await run('upcall/show')).toBe('');
  expect(await run('fdb/flush')).toBe('table successfully flushed');
});

test('dpif/dump-flows shows the flows of the ports of one bridge', async () => {
  const { backer } = target;
  if (backer === undefined) throw new Error('no backer');
  await backer.ofprotos.get('br0')?.portAdd({ name: 'p5', type: 'internal', ofport: 5, isLocal: false });
  const odpPort = backer.ofprotos.get('br0')?.ports.get('p5')?.odpPort ?? 0;
  // OVS_KEY_ATTR_IN_PORT, 8 bytes; then an OUTPUT action.
  const attr = (type: number, value: number) => new Uint8Array(Uint32Array.of(8 | (type << 16), value).buffer);
  const stats = { nPackets: 1, nBytes: 60, used: 0, tcpFlags: 0 };
  const flow = (port: number) => ({
    ufid: undefined,
    key: attr(3, port),
    mask: attr(3, 0xffffffff),
    actions: attr(1, 2),
    stats,
  });
  Object.assign(backer.dpif, {
    portDump: async () => [{ name: 'p5', type: 'internal', portNo: odpPort, ifindex: undefined }],
    flowDump: async (_terse: boolean, visit: (flows: unknown[]) => void) => visit([flow(odpPort), flow(99)]),
  });
  const want = 'packets:1, bytes:60, used:never, actions:2\n';
  expect(await run('dpif/dump-flows', 'br0')).toBe(`in_port(${odpPort}), ${want}`);
  expect(await run('dpif/dump-flows', '--names', 'br0')).toBe(`in_port(p5), ${want}`);
  expect(await run('dpif/dump-flows', 'br1')).toBe('');
});

test('exit', async () => {
  expect(await run('exit')).toBe('');
  expect(await run('exit', '--cleanup')).toBe('');
  expect(exits).toEqual([false, true]);
});

test('log levels', async () => {
  expect(log.isEnabled('dbg')).toBe(false);
  expect(await run('vlog/set', 'commands_test:console:dbg')).toBe('');
  expect(log.isEnabled('dbg')).toBe(true);
  expect(await run('vlog/list')).toMatch(/^commands_test +DBG +INFO +INFO$/m);
  expect(await refused('vlog/set', 'nonesuch')).toBe('no destination, level, or module "nonesuch"');
  await run('vlog/set');
  expect(await run('vlog/list')).toMatch(/^commands_test +DBG +DBG +DBG$/m);
  expect(await run('vlog/disable-rate-limit', 'commands_test')).toBe('');
  expect(await run('vlog/list')).toMatch(/^commands_test .*\(rate limiting disabled\)$/m);
  expect(await refused('vlog/enable-rate-limit', 'nonesuch')).toBe('unknown module');
});

test('the log file can be rotated', async () => {
  expect(await refused('vlog/reopen')).toBe('Logging to file not configured');
  const dir = mkdtempSync(join(tmpdir(), 'tapswitch-log-'));
  const path = join(dir, 'log');
  openLogFile(path);
  try {
    log.info('one');
    renameSync(path, `${path}.1`);
    expect(await run('vlog/reopen')).toBe('');
    log.info('two');
    expect(readFileSync(`${path}.1`, 'utf8')).toMatch(/\|commands_test\|INFO\|one\n/);
    expect(readFileSync(path, 'utf8')).toMatch(/\|commands_test\|INFO\|two\n$/);
    expect(await run('vlog/close')).toBe('');
    log.info('three');
    expect(readFileSync(path, 'utf8')).not.toContain('three');
  } finally {
    closeLogFile();
    rmSync(dir, { recursive: true });
  }
});

test('coverage', async () => {
  coverage('commands_test_event').n = 3;
  expect(await run('coverage/show')).toMatch(/^commands_test_event .*total: 3$/m);
  expect(await run('coverage/read-counter', 'commands_test_event')).toBe('3\n');
  expect(await refused('coverage/read-counter', 'nonesuch')).toBe('No such counter');
});

test('commands on the life of flows', async () => {
  world.journal.length = 0;
  expect(await run('upcall/disable-megaflows')).toBe('megaflows disabled');
  expect(await run('upcall/enable-megaflows')).toBe('megaflows enabled');
  expect(await run('upcall/disable-ufid')).toBe('Datapath dumping tersely using UFID disabled');
  expect(await run('upcall/enable-ufid')).toBe('Datapath dumping tersely using UFID enabled for supported datapaths');
  expect(await run('upcall/set-flow-limit', '77')).toBe('set flow_limit to 77\n');
  const ufid = 'ufid:00112233-4455-4677-8899-aabbccddeeff';
  expect(await run('ofproto/detrace', ufid, 'pmd=3')).toBe(`rules of ${ufid}\n`);
  expect(await refused('ofproto/detrace', ufid.slice(0, -1))).toBe('failed to parse ufid');
  expect(await refused('ofproto/detrace', ufid, '3')).toBe("Invalid pmd argument format. Expecting 'pmd=PMD-ID'");
  expect(await run('upcall/set-flow-limit', 'x')).toBe('set flow_limit to 0\n');
  for (const name of ['purge', 'pause', 'resume']) expect(await run(`revalidator/${name}`)).toBe('');
  expect(world.journal).toEqual([
    'flush flows',
    'flush flows',
    'flow limit 77',
    'flow limit 0',
    'purge',
    'pause',
    'resume',
  ]);
  expect(await run('memory/show')).toBe('handlers:1 ports:2 revalidators:1 udpif keys:7');
});
