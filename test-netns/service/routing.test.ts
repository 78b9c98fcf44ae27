/**
 * The kernel's routing tables and rules in ovs/route/*: the answers are those of Open vSwitch 3.7.1 (tests/system-route.at), apart from the
 * standard rules, which it lists twice.  Neighbour: appctl.test.ts, for what 3.1 has.
 */
import { expect, test } from 'vitest';
import { useLab } from '../support/harness.ts';
import { type Side, startSide } from '../support/two-sides.ts';

let side: Side;

useLab(async (lab) => {
  side = await startSide(lab, 'ours');
  for (const line of ['link set lo up', 'tuntap add name p1 mode tap', 'link set p1 up']) await ip(line);
  await side.ns.address('p1', '10.0.0.17/24', '10.0.0.18/24');
});

const ip = (line: string) => side.ns.ip(line);
/** The reply, or why there is none. */
async function ask(line: string): Promise<string> {
  const { stdout, stderr } = await side.ns.run(['ovs-appctl', '-t', side.socket, ...`ovs/route/${line}`.split(' ')]);
  return stdout || (stderr.split('\n')[0] ?? '');
}
const way = (source: string, gateway: string) => `src ${source}\ngateway ${gateway}\ndev p1\n`;

const STANDARD = 'Cached: 32766: from all lookup main\nCached: 32767: from all lookup default\n';
const LOCAL = 'Cached: 0: from all lookup local\n';

test("the kernel's rules, and tables that they lead to, as they come and go", async () => {
  expect(await ask('rule/show')).toBe(LOCAL + STANDARD);
  await ip('route add default via 10.0.0.1 dev p1');
  await ip('route add 192.0.2.0/24 via 10.0.0.2 dev p1 table 1042');
  expect(await ask('show table=1042')).toBe("Table 'table=1042' not found");
  await ip('rule add from 10.0.0.18 table 1042');
  expect(await ask('show table=1042')).toBe(
    'Route Table #1042:\nCached: 192.0.2.0/24 dev p1 GW 10.0.0.2 SRC 10.0.0.17\n',
  );
  expect(await ask('rule/show')).toBe(`${LOCAL}Cached: 32765: from 10.0.0.18 lookup 1042\n${STANDARD}`);
  expect(await ask('show')).not.toContain('192.0.2.0');
  expect(await ask('lookup 192.0.2.7')).toBe(way('10.0.0.17', '10.0.0.1'));
  expect(await ask('lookup 192.0.2.7 src=10.0.0.18')).toBe(way('10.0.0.18', '10.0.0.2'));
  expect(await ask('lookup 192.0.2.7 src=10.0.0.19')).toBe('Not found');

  await ip('rule del from 10.0.0.18 table 1042');
  expect(await ask('rule/show')).toBe(LOCAL + STANDARD);
  expect(await ask('show table=1042')).toBe("Table 'table=1042' not found");
  expect(await ask('lookup 192.0.2.7 src=10.0.0.18')).toBe(way('10.0.0.18', '10.0.0.1'));
});

test('rules that look at more than the source are left out', async () => {
  const rules = [
    'fwmark 22 lookup 42',
    'from 10.0.0.17 dport 22 lookup 42',
    'iif p1 lookup 42',
    'ipproto udp lookup 42',
    'to 9.9.9.9 lookup 42',
  ];
  for (const [i, rule] of rules.entries()) await ip(`rule add priority ${100 + i} ${rule}`);
  expect(await ask('rule/show')).toBe(LOCAL + STANDARD);
  await ip('rule add priority 200 not from 10.9.0.0/16 lookup main');
  await ip('-6 rule add priority 201 from fc00::/7 lookup 42');
  expect(await ask('rule/show')).toBe(`${LOCAL}Cached: 200: not from 10.9.0.0/16  lookup main\n${STANDARD}`);
  expect(await ask('rule/show -6')).toBe(
    `${LOCAL}Cached: 201: from fc00::/7  lookup 42\nCached: 32766: from all lookup main\n`,
  );
  for (const i of rules.keys()) await ip(`rule del priority ${100 + i}`);
  await ip('rule del priority 200');
});

test("an operator's rules stand among the kernel's", async () => {
  expect(await ask('add 198.51.100.0/24 p1 10.0.0.3 table=7 src=10.0.0.18')).toBe('OK\n');
  expect(await ask('rule/add from=10.0.0.0/24 table=7')).toBe('OK\n');
  await ip('rule add priority 40 from 10.0.0.17 table 1042');
  expect(await ask('rule/show')).toBe(
    `${LOCAL}Cached: 40: from 10.0.0.17 lookup 1042\nUser: 32765: from 10.0.0.0/24  lookup 7\n${STANDARD}`,
  );
  expect(await ask('lookup 198.51.100.1 src=10.0.0.17')).toBe(way('10.0.0.17', '10.0.0.3'));
  expect(await ask('lookup 192.0.2.7 src=10.0.0.17')).toBe(way('10.0.0.17', '10.0.0.2'));
  expect(await ask('show table=7')).toBe('Route Table #7:\nUser: 198.51.100.0/24 dev p1 GW 10.0.0.3 SRC 10.0.0.18\n');
  expect(await ask('rule/del from=10.0.0.0/24 table=7')).toBe('OK\n');
  expect(await ask('lookup 198.51.100.1 src=10.0.0.17')).toBe(way('10.0.0.17', '10.0.0.1'));
});
