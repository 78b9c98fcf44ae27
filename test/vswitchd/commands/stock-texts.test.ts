/** The texts of stock ovs-vswitchd 3.1 where it has nothing of the kind; test-netns/service/appctl.test.ts compares more with the program itself. */
import { afterEach, expect, test } from 'vitest';
import { UnixctlError } from '../../../src/unixctl/unixctl-server.ts';
import { FakeClock, setClock } from '../../../src/util/clock.ts';
import {
  DATAPATH_COMMANDS,
  dispatchModeCommand,
  offloadCommands,
} from '../../../src/vswitchd/commands/datapath-commands.ts';
import { PROTOCOL_COMMANDS } from '../../../src/vswitchd/commands/protocol-commands.ts';
import { routeCommands } from '../../../src/vswitchd/commands/route-commands.ts';
import { tunnelCommands } from '../../../src/vswitchd/commands/tunnel-commands.ts';
import { parsePrefix } from '../../../src/vswitchd/router/ip-prefix.ts';
import { NeighCache } from '../../../src/vswitchd/router/neigh-cache.ts';

const address = { device: 'br0', prefix: parsePrefix('10.0.0.1/24') ?? { address: 0n, length: 0 } };
const COMMANDS = [
  ...PROTOCOL_COMMANDS,
  ...DATAPATH_COMMANDS,
  ...offloadCommands({ backer: undefined }),
  dispatchModeCommand(async () => [{ name: 'ovs-system', mode: 'per-cpu' }]),
  ...routeCommands(true, async () => ({ routes: [], rules: [], addresses: [address] })),
  ...tunnelCommands(new NeighCache()),
];

/** The reply, with "!" before a refusal. */
async function ask(line: string, commands = COMMANDS): Promise<string> {
  const [name, ...args] = line.split(' ');
  const command = commands.find((c) => c.name === name);
  if (command === undefined) throw new Error(`no ${name}`);
  expect(args.length).toBeGreaterThanOrEqual(command.minArgs);
  expect(args.length).toBeLessThanOrEqual(command.maxArgs);
  try {
    return await command.run(args);
  } catch (error) {
    if (error instanceof UnixctlError) return `!${error.message}`;
    throw error;
  }
}

afterEach(() => setClock(undefined));

// biome-ignore format: table
test.each([
  ['bond/list',                             'bond\ttype\trecircID\tmembers\n'],
  ['bond/show',                             ''],
  ['bond/show x',                           '!no such bond'],
  ['bond/migrate a b c',                    '!no such bond'],
  ['bond/hash 00:00:00:00:00:01',           '68'],
  ['bond/hash 00:00:00:00:00:01 5 6',       '10'],
  ['bond/hash x',                           '!invalid mac'],
  ['bond/hash 00:00:00:00:00:01 x',         '!invalid vlan'],
  ['bond/hash 00:00:00:00:00:01 1 x',       '!invalid basis'],
  ['lacp/show x',                           '!no such lacp object'],
  ['cfm/set-fault true',                    'OK'],
  ['cfm/set-fault x normal',                '!no such CFM object'],
  ['cfm/set-fault blah',                    '!unknown fault string'],
  ['bfd/show x',                            '!no such bfd object'],
  ['bfd/set-forwarding x true',             '!no such BFD object'],
  ['bfd/set-forwarding x',                  '!unknown fault string'],
  ['stp/tcn',                               'OK'],
  ['stp/show br0',                          '!no such stp object'],
  ['rstp/tcn br0',                          '!No such RSTP object'],
  ['autoattach/status br0',                 ''],
  ['dpif-netdev/pmd-stats-show',            '!please specify an existing datapath'],
  ['dpif-netdev/miniflow-parser-set x',     '!Error: unknown miniflow extract implementation x.'],
  ['dpif-netdev/pmd-perf-log-set on',       ''],
  ['odp-execute/action-impl-set x',         '!Error: unknown action implementation, x, specified!'],
  ['dpif-netlink/dispatch-mode',            'ovs-system: per-cpu dispatch mode\n'],
  ['dpif/offload/show',                     'Globally enabled: false\nDatapaths:\n'],
  ['ovs/route/show',                        'Route Table:\n'],
  ['ovs/route/lookup x',                    '!Invalid parameters'],
  ['ovs/route/lookup 10.0.0.0/8',           '!Invalid parameters'],
  ['ovs/route/lookup 10.0.0.1',             '!Not found'],
  ['ovs/route/lookup 10.0.0.1 mark=1',      '!Invalid pkt_mark'],
  ['ovs/route/add 1.2.3.4 br0',             '!Error while inserting route.'],
  ['ovs/route/add 1.2.3.4 br0 pkt_mark=0x',  '!Invalid pkt_mark or gateway'],
  ['ovs/route/add 1.2.3.4 br0 10.0.0.2 x',   '!Invalid pkt_mark'],
  ['ovs/route/del 1.2.3.4 x',                '!Invalid pkt_mark'],
  ['ovs/route/add junk br0',                '!Invalid parameters'],
  ['ovs/route/add 1.2.3.4 br0 fc00::1',     '!Invalid pkt_mark or gateway'],
  ['ovs/route/add fc00::/8 br0 x',          '!Invalid pkt_mark or IPv6 gateway'],
  ['ovs/route/add 1.2.3.0/24 br0 10.0.0.2 pkt_mark=0x10', 'OK'],
  ['ovs/route/show',                        'Route Table:\nUser: 1.2.3.0/24 MARK 16 dev br0 GW 10.0.0.2 SRC 10.0.0.1\n'],
  ['ovs/route/lookup 1.2.3.9 pkt_mark=16',  'src 10.0.0.1\ngateway 10.0.0.2\ndev br0\n'],
  ['ovs/route/del 1.2.3.0/24',              '!Not found'],
  ['ovs/route/del 1.2.3.0/24 pkt_mark=16',  'OK'],
  ['tnl/neigh/set br0 x 00:11:22:33:44:55', '!bad IP address'],
  ['tnl/neigh/set br0 1.2.3.4 zz',          '!bad MAC address'],
  ['tnl/neigh/set br0 1.2.3.4 00:11:22:33:44', '!bad MAC address'],
  ['tnl/neigh/set br0 1.2.3.4 00:11:22:33:44:55:66', '!bad MAC address'],
  ['tnl/ports/show -v',                     'Listening ports:\n'],
  ['tnl/egress_port_range',                 'Tunnel UDP source port range: 32768-61000\n'],
  ['tnl/egress_port_range 0 5',             'Invalid min.'],
  ['tnl/egress_port_range 5 70000',         'Invalid max.'],
  ['tnl/egress_port_range 5000 4000',       'OK'],
  ['tnl/egress_port_range',                 'Tunnel UDP source port range: 4000-5000\n'],
])('%s', async (line, want) => {
  expect(await ask(line)).toBe(want);
});

test('neighbours age', async () => {
  const clock = new FakeClock();
  setClock(clock);
  const commands = tunnelCommands(new NeighCache());
  const head = `IP${' '.repeat(44)}MAC${' '.repeat(17)}Bridge\n${'='.repeat(74)}\n`;
  expect(await ask('tnl/neigh/aging', commands)).toBe('900');
  expect(await ask('tnl/neigh/set br0 1.2.3.4 00:11:22:33:44:55', commands)).toBe('OK');
  const line = `1.2.3.4${' '.repeat(39)}00:11:22:33:44:55   br0`;
  expect(await ask('tnl/arp/show', commands)).toBe(`${head}${line}\n`);
  expect(await ask('tnl/arp/aging 0', commands)).toBe('!bad aging value');
  expect(await ask('tnl/arp/aging 3601', commands)).toBe('!bad aging value');
  expect(await ask('tnl/arp/aging 2', commands)).toBe('OK');
  clock.advance(2000);
  expect(await ask('tnl/neigh/show', commands)).toBe(`${head}${line} STALE\n`);
  expect(await ask('tnl/neigh/flush', commands)).toBe('OK');
  expect(await ask('tnl/neigh/show', commands)).toBe(head);
});

test('neighbours of tunnels: bytes and names are cut as by stock, and the times agree with each other', async () => {
  const commands = tunnelCommands(new NeighCache());
  expect(await ask('tnl/neigh/set abcdefghijklmnopqrst fc00::1 1ff:0x2:-1:+4:5:6', commands)).toBe('OK');
  expect(await ask('tnl/neigh/show', commands)).toContain('ff:02:ff:04:05:06   abcdefghijklmno\n');
  expect(await ask('tnl/neigh/retrans_time', commands)).toBe('1000');
  expect(await ask('tnl/neigh/retrans_time x', commands)).toBe('!bad retrans_time value');
  expect(await ask('tnl/neigh/retrans_time 900001', commands)).toBe('!retrans_time value cannot be greater than aging');
  expect(await ask('tnl/neigh/retrans_time 5000', commands)).toBe('OK');
  expect(await ask('tnl/neigh/aging 4', commands)).toBe('!aging value cannot be less than retrans_time');
  expect(await ask('tnl/neigh/aging 5x', commands)).toBe('OK');
  expect(await ask('tnl/neigh/retrans_time 0', commands)).toBe('OK');
  expect(await ask('tnl/neigh/retrans_time', commands)).toBe('0');
});
