/**
 * Routing tables and rules of ovs/route/*, as Open vSwitch 3.7.1 answers (its tests/ovs-router.at, and the program itself); what is the same as in 3.1 is
 * in stock-texts.test.ts.
 */
import { expect, test } from 'vitest';
import { UnixctlError } from '../../../src/unixctl/unixctl-server.ts';
import { routeCommands } from '../../../src/vswitchd/commands/route-commands.ts';
import { parsePrefix } from '../../../src/vswitchd/router/ip-prefix.ts';
import type { SystemRouting } from '../../../src/vswitchd/router/system-routes.ts';

const prefix = (text: string) => parsePrefix(text) ?? { address: 0n, length: 0 };
const local = (device: string, to: string) => ({
  table: 255,
  destination: prefix(to),
  device,
  gateway: undefined,
  isLocal: true,
});

const SYSTEM: SystemRouting = {
  routes: [local('p1', '10.0.0.11'), local('p2', '10.0.0.22'), local('p1', 'fc00::11')],
  addresses: [
    { device: 'p1', prefix: prefix('10.0.0.11/24') },
    { device: 'p1', prefix: prefix('fc00::11/64') },
    { device: 'p2', prefix: prefix('10.0.0.22/24') },
  ],
  rules: [],
};

/** Carries out the lines of a conversation, and compares the replies; "!" stands before a refusal. */
async function converse(
  lines: readonly (readonly [command: string, reply: string])[],
  commands = routeCommands(true, async () => SYSTEM),
) {
  for (const [line, want] of lines) {
    const [name, ...args] = line.split(' ');
    const command = commands.find((c) => c.name === `ovs/route/${name}`);
    if (command === undefined) throw new Error(`no ${name}`);
    expect(args.length, line).toBeGreaterThanOrEqual(command.minArgs);
    expect(args.length, line).toBeLessThanOrEqual(command.maxArgs);
    const refusal = (error: unknown) => (error instanceof UnixctlError ? `!${error.message}` : Promise.reject(error));
    const reply = await Promise.resolve(args)
      .then((a) => command.run(a))
      .catch(refusal);
    expect(reply, line).toBe(want);
  }
}

const STANDARD = 'Cached: 32766: from all lookup main\nCached: 32767: from all lookup default\n';

// biome-ignore format: table
test('tables', () => converse([
  ['add 10.0.0.0/24 p1 10.0.0.1 table=11',                'OK'],
  ['add ::/0 p1 fc00::1 src=fc00::11 table=11',           'OK'],
  ['add 10.2.0.0/16 p2 10.0.0.2 pkt_mark=3 src=10.0.0.22 table=300', 'OK'],
  ['add 10.2.0.0/16 p2 pkt_mark=0x4 10.0.0.2',            'OK'],
  ['show table=11',     'Route Table #11:\nUser: 10.0.0.0/24 dev p1 GW 10.0.0.1 SRC 10.0.0.11\nUser: ::/0 dev p1 GW fc00::1 SRC fc00::11\n'],
  ['show table=0x',     'Route Table:\nCached: 10.0.0.11/32 dev p1 SRC 10.0.0.11 local\nCached: 10.0.0.22/32 dev p2 SRC 10.0.0.22 local\n' +
                        'Cached: fc00::11/128 dev p1 SRC fc00::11 local\nUser: 10.2.0.0/16 MARK 4 dev p2 GW 10.0.0.2 SRC 10.0.0.22\n'],
  ['show table=254',    'Route Table:\nUser: 10.2.0.0/16 MARK 4 dev p2 GW 10.0.0.2 SRC 10.0.0.22\n'],
  ['show table=all',    'User: 10.0.0.0/24 dev p1 GW 10.0.0.1 SRC 10.0.0.11 table 11\nUser: ::/0 dev p1 GW fc00::1 SRC fc00::11 table 11\n' +
                        'User: 10.2.0.0/16 MARK 4 dev p2 GW 10.0.0.2 SRC 10.0.0.22\n' +
                        'Cached: 10.0.0.11/32 dev p1 SRC 10.0.0.11 local\nCached: 10.0.0.22/32 dev p2 SRC 10.0.0.22 local\n' +
                        'Cached: fc00::11/128 dev p1 SRC fc00::11 local\nUser: 10.2.0.0/16 MARK 3 dev p2 GW 10.0.0.2 SRC 10.0.0.22 table 300\n'],
  ['show table=12',     "!Table 'table=12' not found"],
  ['show table=x',      '!Invalid table format'],
  ['show 11',           '!Invalid table format'],
  ['del 10.2.0.0/16 table=300',            '!Not found'],
  ['del 10.2.0.0/16 pkt_mark=3',           '!Not found'],
  ['del 10.2.0.0/16 table=12 pkt_mark=3',  '!Table table=12 not found'],
  ['del 10.2.0.0/16 table=x',              '!Invalid table format'],
  ['del 10.2.0.0/16 pkt_mark=3 table=300', 'OK'],
  ['show table=300',                       'Route Table #300:\n'],
]));

// biome-ignore format: table
test('bad arguments of routes', () => converse([
  ['add 10.3.0.0/16 p1 10.0.0.1 table=x',           '!Invalid table format'],
  ['add 10.3.0.0/16 p1 10.0.0.1 src=foo.bar.9.200', '!Invalid pkt_mark, IP gateway or src_ip'],
  ['add 10.3.0.0/16 p1 src=fc00::11',               '!Invalid pkt_mark, IP gateway or src_ip'],
  ['add fc01::/16 p1 src=10.0.0.11',                '!Invalid pkt_mark, IP gateway or src_ip'],
  ['add 10.3.0.0/16 p1 10.0.0.1 pkt_mark=1 table=3 junk', '!Invalid pkt_mark, IP gateway or src_ip'],
  ['add 10.3.0.0/16 p1 10.0.0.1 junk',              '!Invalid pkt_mark'],
  ['add 10.3.0.0/16 p1 10.0.0.1 src=10.0.0.200',    '!Error while inserting route.'],
  ['add 10.3.0.0/16 p1 10.1.0.1 src=10.0.0.11',     '!Error while inserting route.'],
  ['add 10.3.0.0/16 p1 src=10.0.0.11',              '!Error while inserting route.'],
  ['lookup 10.0.0.1 src=x',                         '!Invalid pkt_mark or src'],
  ['lookup fc00::2 src=10.0.0.11',                  '!Invalid pkt_mark or src'],
  ['lookup 10.0.0.11 pkt_mark=1 junk',              '!Invalid pkt_mark'],
  ['lookup 10.0.0.11 src=10.0.0.77',                '!Not found'],
  ['lookup 10.0.0.11 src=10.0.0.22 pkt_mark=1',     '!Not found'],
]));

// biome-ignore format: table
test('rules', () => converse([
  ['rule/show',                             `Cached: 0: from all lookup local\n${STANDARD}`],
  ['rule/show -6',                          'Cached: 0: from all lookup local\nCached: 32766: from all lookup main\n'],
  ['rule/add from=10.0.0.11/32 table=11',   'OK'],
  ['rule/add from=10.0.0.20/30 table=12',   'OK'],
  ['rule/add not from=fc00::100 prio=9 table=local', 'OK'],
  ['rule/add -6 from=all prio=9 table=main extra',   'OK'],
  ['rule/add -6 not from=10.0.0.0/8 prio=11 table=default', 'OK'],
  ['rule/add from=0.0.0.0/0 prio=12 table=-1',       'OK'],
  ['rule/show',                             'Cached: 0: from all lookup local\nUser: 11: not from 10.0.0.0/8  lookup default\nUser: 12: from all lookup 4294967295\n' +
                                            `User: 32764: from 10.0.0.20/30  lookup 12\nUser: 32765: from 10.0.0.11 lookup 11\n${STANDARD}`],
  ['rule/show -6',                          'Cached: 0: from all lookup local\nUser: 9: not from fc00::100 lookup local\nUser: 9: from all lookup main\n' +
                                            'Cached: 32766: from all lookup main\n'],
  ['rule/add junk table=3',                 "!Invalid 'from' parameter"],
  ['rule/add -6 not',                       "!Invalid 'from' parameter"],
  ['rule/add from=zz table=3',              '!Invalid from=ip/plen'],
  ['rule/add from=10.0.0.0/8 prio=7',       '!Not enough arguments'],
  ['rule/add not from=10.0.0.0/8',          '!Not enough arguments'],
  ['rule/add from=10.0.0.0/8 prio=7 table=x', "!Invalid 'table' format"],
  ['rule/add from=10.0.0.0/8 prio=x table=3', "!Invalid 'table' format"],
  ['rule/del from=10.0.0.11 table=12',      '!Failed to delete router rule: -2 (Unknown error -2)'],
  ['rule/del from=10.0.0.11 prio=5 table=11', '!Failed to delete router rule: -2 (Unknown error -2)'],
  ['rule/del from=all table=main',          '!Failed to delete router rule: -2 (Unknown error -2)'],
  ['rule/del from=10.0.0.11 table=11',      'OK'],
  ['rule/del from=10.0.0.11 table=11',      '!Failed to delete router rule: -2 (Unknown error -2)'],
  ['rule/del -6 from=all table=main',       'OK'],
]));

// biome-ignore format: table
test('look-ups go by rules', () => converse([
  ['add 10.0.0.0/24 p2',                        'OK'],
  ['add 10.0.0.0/24 p1 10.0.0.1 table=11',      'OK'],
  ['lookup 10.0.0.100 src=10.0.0.11',           'src 10.0.0.11\ngateway ::\ndev p2\n'],
  ['rule/add from=10.0.0.11/32 table=11',       'OK'],
  ['lookup 10.0.0.100 src=10.0.0.11',           'src 10.0.0.11\ngateway 10.0.0.1\ndev p1\n'],
  ['lookup 10.0.0.100',                         'src 10.0.0.22\ngateway ::\ndev p2\n'],
  ['lookup 20.0.0.100 src=10.0.0.11',           '!Not found'],
]));

test('as JSON', async () => {
  const commands = routeCommands(true, async () => SYSTEM);
  const json = async (name: string, ...args: string[]) => await commands.find((c) => c.name === name)?.runJson?.(args);
  await converse(
    [
      ['add 2.2.0.0/16 p2 10.0.0.2 pkt_mark=2 table=7', 'OK'],
      ['rule/add not from=10.0.0.0/8 table=7', 'OK'],
    ],
    commands,
  );
  expect(await json('ovs/route/show', 'table=7')).toEqual([
    {
      dst: '2.2.0.0',
      local: false,
      mark: 2,
      nexthops: [{ dev: 'p2', gateway: '10.0.0.2' }],
      prefix: 16,
      prefsrc: '10.0.0.22',
      table: 7,
      user: true,
    },
  ]);
  expect(await json('ovs/route/show', 'table=255')).toContainEqual({
    dst: 'fc00::11',
    local: true,
    nexthops: [{ dev: 'p1' }],
    prefix: 128,
    prefsrc: 'fc00::11',
    table: 255,
    user: false,
  });
  expect(await json('ovs/route/rule/show')).toContainEqual({
    from: '10.0.0.0',
    invert: true,
    ipv4: true,
    lookup: 7,
    priority: 32765,
    'src-prefix': 8,
    user: true,
  });
});
