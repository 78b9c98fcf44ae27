/**
 * The control sockets of stock ovs-vswitchd and of ours, each with a database, a datapath and a bridge of its own: the same commands, the same
 * answers.  Neighbour: daemon.test.ts.
 */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { type Result, useLab } from '../support/harness.ts';
import { type Side, sideVsctl, startSide } from '../support/two-sides.ts';

let stock: Side;
let ours: Side;

useLab(async (lab) => {
  stock = await startSide(lab, 'stock');
  ours = await startSide(lab, 'ours');
  for (const side of [stock, ours]) {
    await side.ns.address('lo', '192.0.2.1/24');
    await sideVsctl(side, 'add-br br0');
  }
});

const ask = ({ ns, socket }: Side, line: string): Promise<Result> =>
  ns.run(['ovs-appctl', '-t', socket, ...line.split(' ')]);

/** Without what names one side. */
const neutral = ({ status, stdout, stderr }: Result, { socket, rundir }: Side) => ({
  status,
  // Routes come in any order.
  stdout: stdout.replaceAll(rundir, 'RUNDIR').split('\n').sort(),
  stderr: stderr.replaceAll(socket, 'SOCKET').replaceAll(rundir, 'RUNDIR'),
});

let stockCommands: string[] = [];
let ourCommands: string[] = [];
beforeAll(async () => {
  if (stock === undefined) return;
  const list = async (side: Side) => (await ask(side, 'list-commands')).stdout.split('\n').filter((l) => l !== '');
  [stockCommands, ourCommands] = [await list(stock), await list(ours)];
});

test('all commands of stock are there, with its words about their arguments', () => {
  expect(stockCommands.length).toBeGreaterThan(120);
  const missing = stockCommands.filter((line) => !ourCommands.includes(line));
  // Later releases take more arguments.
  expect(
    missing.filter(
      (line) =>
        !/^ {2}(dpif\/set-dp-features|fdb\/show|ovs\/route\/\w+|dpctl\/(flush-conntrack|ct-del-limits)) /.test(line),
    ),
  ).toEqual([]);
});

// biome-ignore format: table
const SAME = [
  'bogus', 'version x', 'vlog/list-pattern', 'vlog/set foo', 'vlog/set PATTERN', 'vlog/set PATTERN:x:%m', 'vlog/set FACILITY:foo',
  'vlog/set FACILITY', 'vlog/set any:file:dbg:extra', 'vlog/set FACILITY:local5', 'vlog/set pattern:console:%c|%m', 'vlog/list-pattern',
  'vlog/disable-rate-limit foo', 'vlog/disable-rate-limit bridge', 'vlog/set dpdk:console:dbg', 'vlog/close', 'vlog/reopen',
  'coverage/read-counter', 'coverage/read-counter nonesuch', 'memory/show x', 'exit --cleanup x',
  'bond/list', 'bond/show', 'bond/show x', 'bond/hash 00:00:00:00:00:01', 'bond/hash 12:34:56:78:9a:bc 7', 'bond/hash 12:34:56:78:9a:bc 7 99',
  'bond/hash x', 'bond/migrate a b c', 'bond/migrate a', 'lacp/show', 'lacp/show x', 'lacp/show-stats x', 'cfm/show', 'cfm/show x',
  'cfm/set-fault true', 'cfm/set-fault x normal', 'cfm/set-fault blah', 'bfd/show x', 'bfd/set-forwarding true', 'bfd/set-forwarding x true',
  'stp/show', 'stp/show x', 'stp/tcn', 'rstp/show x', 'rstp/tcn', 'autoattach/status', 'autoattach/show-isid x', 'autoattach/statistics',
  'ovs/route/show', 'ovs/route/lookup 192.0.2.1', 'ovs/route/lookup 192.0.2.7', 'ovs/route/lookup 10.0.0.1', 'ovs/route/lookup x',
  'ovs/route/add 198.51.100.0/24 lo 192.0.2.9', 'ovs/route/add 10.0.0.0/8 nope', 'ovs/route/add junk lo', 'ovs/route/lookup 198.51.100.3',
  'ovs/route/del 198.51.100.0/24', 'ovs/route/del 198.51.100.0/24', 'ovs/route/del junk',
  'tnl/neigh/show', 'tnl/neigh/aging', 'tnl/neigh/aging 0', 'tnl/neigh/aging 30', 'tnl/neigh/set br0 1.2.3.4 00:11:22:33:44:55', 'tnl/arp/show',
  'tnl/neigh/set br0 x 00:11:22:33:44:55', 'tnl/neigh/set br0 1.2.3.4 zz', 'tnl/neigh/flush', 'tnl/neigh/show',
  'tnl/ports/show', 'tnl/ports/show -v', 'tnl/egress_port_range', 'tnl/egress_port_range 5000 4000', 'tnl/egress_port_range',
  'dpif-netdev/pmd-stats-show', 'dpif-netdev/pmd-rxq-show', 'dpif-netdev/bond-show x', 'dpif-netdev/dpif-impl-set x',
  'dpif-netdev/miniflow-parser-set x', 'dpif-netdev/pmd-perf-log-set x', 'dpif-netdev/subtable-lookup-prio-set a b',
  'odp-execute/action-impl-set x', 'odp-execute/action-impl-set scalar',
  'ofproto/list', 'dpif/dump-dps', 'bond/show br0', 'stp/show br0', 'dpif-netlink/dispatch-mode', 'upcall/show x', 'fdb/flush', 'fdb/flush x', 'dpif/show-dp-features x', 'dpif/dump-flows x',
  'bridge/dump-flows x', 'dpctl/dump-dps', 'dpctl/show x',
] as const;
test('the same answers', async () => {
  for (const line of SAME) {
    const [theirs, own] = [neutral(await ask(stock, line), stock), neutral(await ask(ours, line), ours)];
    expect(own, line).toEqual(theirs);
  }
});

test('what was logged to the file has the pattern that was set', async () => {
  for (const side of [stock, ours]) {
    expect((await ask(side, 'vlog/set pattern:file:<%c>%m')).status).toBe(0);
    expect((await ask(side, 'vlog/set unixctl:file:dbg')).status).toBe(0);
    await ask(side, 'version');
    const log = await side.ns.ok(['tail', '-n', '4', join(side.rundir, 'x.log')]);
    expect(log).toMatch(/^<unixctl>received request version\[\]/m);
  }
});

test('whoever asks our control socket for JSON gets it', async () => {
  const { ns, socket } = ours;
  const script = `import json, socket
s = socket.socket(socket.AF_UNIX)
s.connect(${JSON.stringify(socket)})
for i, (method, *params) in enumerate([["set-options", "--format", "json"], ["version"], ["dpif/offload/show"]]):
    s.sendall(json.dumps({"id": i, "method": method, "params": params}).encode())
    print(s.recv(65536).decode())`;
  const [, version = '', offload = ''] = (await ns.ok(['python3', '-c', script])).split('\n');
  expect(JSON.parse(version).result).toEqual({
    'reply-format': 'plain',
    reply: expect.stringMatching(/^ovs-vswitchd/),
  });
  expect(JSON.parse(offload).result).toEqual({
    enabled: false,
    'system@ovs-system': { priority: [], providers: {} },
  });
});
