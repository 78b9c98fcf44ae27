import { expect, test } from 'vitest';
import { parseIp, parsePrefix } from '../../../src/vswitchd/router/ip-prefix.ts';
import { formatRoute, inOrder, TABLE } from '../../../src/vswitchd/router/route-table.ts';
import { type NewRoute, Router } from '../../../src/vswitchd/router/router.ts';
import { formatRule, type RoutingRule } from '../../../src/vswitchd/router/routing-rule.ts';
import type { SystemRoute, SystemRouting } from '../../../src/vswitchd/router/system-routes.ts';

const ip = (text: string) => parseIp(text) ?? 0n;
const prefix = (text: string) => parsePrefix(text) ?? { address: 0n, length: 0 };

function route(table: number, to: string, device: string, gateway?: string): SystemRoute {
  const via = gateway === undefined ? undefined : ip(gateway);
  return { table, destination: prefix(to), device, gateway: via, isLocal: table === TABLE.local };
}

function rule(priority: number, from: string | undefined, table: number, more: Partial<RoutingRule> = {}): RoutingRule {
  const source = from === undefined ? undefined : prefix(from);
  return { priority, isInverted: false, isV4: true, from: source, table, isUser: false, ...more };
}

const SYSTEM: SystemRouting = {
  routes: [
    route(TABLE.main, '0.0.0.0/0', 'eth0', '10.0.0.254'),
    route(TABLE.main, '10.0.0.0/24', 'eth0'),
    route(TABLE.local, '10.0.0.1/32', 'eth0'),
    route(TABLE.local, '10.0.0.2/32', 'eth0'),
    route(TABLE.main, '172.16.0.0/12', 'bare'),
    route(TABLE.main, 'fc00::/64', 'eth0'),
    route(TABLE.local, 'fc00::1/128', 'eth0'),
    route(100, '1.0.0.0/8', 'eth0', '10.0.0.100'),
    route(101, '2.0.0.0/8', 'eth0', '10.0.0.101'),
  ],
  addresses: [
    { device: 'eth0', prefix: prefix('10.0.0.1/24') },
    { device: 'eth0', prefix: prefix('10.0.0.2/24') },
    { device: 'eth0', prefix: prefix('fc00::1/64') },
    { device: 'br0', prefix: prefix('10.9.0.1/16') },
  ],
  rules: [rule(0, undefined, TABLE.local), rule(500, '10.0.0.2/32', 100), rule(0x7ffe, undefined, TABLE.main)],
};
const router = () => new Router(async () => SYSTEM);

const USER: Omit<NewRoute, 'destination' | 'device'> = {
  table: TABLE.main,
  mark: 0,
  gateway: undefined,
  source: undefined,
};
const add = (r: Router, to: string, device: string, more: Partial<NewRoute> = {}) =>
  r.add({ ...USER, destination: prefix(to), device, ...more });

const show = async (r: Router, table: number) =>
  inOrder((await r.tables()).get(table) ?? []).map((shown) => `${formatRoute(shown)}\n`);
const rules = async (r: Router) => (await r.rules()).filter(({ isV4 }) => isV4).map(formatRule);

test('the routes of the kernel that have a source address and that a rule leads to', async () => {
  expect(await show(router(), TABLE.local)).toEqual([
    'Cached: 10.0.0.1/32 dev eth0 SRC 10.0.0.1 local\n',
    'Cached: 10.0.0.2/32 dev eth0 SRC 10.0.0.1 local\n',
    'Cached: fc00::1/128 dev eth0 SRC fc00::1 local\n',
  ]);
  expect(await show(router(), TABLE.main)).toEqual([
    'Cached: 10.0.0.0/24 dev eth0 SRC 10.0.0.1\n',
    'Cached: 0.0.0.0/0 dev eth0 GW 10.0.0.254 SRC 10.0.0.1\n',
    'Cached: fc00::/64 dev eth0 SRC fc00::1\n',
  ]);
  expect([...(await router().tables()).keys()]).toEqual([100, TABLE.main, TABLE.local]);
});

test('the longest prefix wins, what an operator added wins over it, and the host itself over both', async () => {
  const r = router();
  const device = async (to: string, mark = 0) => (await r.lookup(ip(to), mark))?.device;
  expect(await device('10.0.0.9')).toBe('eth0');
  expect((await r.lookup(ip('8.8.8.8'), 0))?.gateway).toBe(ip('10.0.0.254'));
  expect(await device('172.16.0.1')).toBe('eth0');
  expect(await device('fd00::1')).toBeUndefined();
  expect(await add(r, '10.0.0.0/24', 'br0', { gateway: ip('10.9.0.2') })).toBe(true);
  expect(await device('10.0.0.9')).toBe('br0');
  expect(await device('10.0.0.1')).toBe('eth0');
  expect(await show(r, TABLE.main)).toContain('User: 10.0.0.0/24 dev br0 GW 10.9.0.2 SRC 10.9.0.1\n');
  expect(await add(r, '10.9.0.0/16', 'br0', { mark: 5 })).toBe(true);
  expect(await device('10.9.1.1')).toBe('eth0');
  expect(await device('10.9.1.1', 5)).toBe('br0');
  expect(await show(r, TABLE.main)).toContain('User: 10.9.0.0/16 MARK 5 dev br0 SRC 10.9.0.1\n');
  expect(r.remove(TABLE.main, prefix('10.0.0.0/24'), 0)).toBe(true);
  expect(r.remove(TABLE.main, prefix('10.0.0.0/24'), 0)).toBe(false);
  expect(await device('10.0.0.9')).toBe('eth0');
});

test('a device without a fitting address takes no route', async () => {
  expect(await add(router(), '1.2.3.4', 'br0')).toBe(false);
  expect(await add(router(), '1.2.3.4', 'no_such')).toBe(false);
});

// biome-ignore format: table
test.each([
  ['10.0.0.9/32', undefined,    '10.0.0.2',  true],
  ['10.8.0.0/16', '10.0.0.254', '10.0.0.2',  true],
  ['10.8.0.0/16', '10.7.0.254', '10.0.0.2',  false],
  ['10.8.0.0/16', undefined,    '10.0.0.2',  false],
  ['10.0.0.9/32', undefined,    '10.0.0.77', false],
  ['10.0.0.9/32', undefined,    '10.9.0.1',  false],
])('a route to %s via %s from %s', async (to, gateway, source, want) => {
  const r = router();
  expect(await add(r, to, 'eth0', { gateway: gateway === undefined ? undefined : ip(gateway), source: ip(source) })).toBe(want);
  const lines = (await show(r, TABLE.main)).filter((line) => line.startsWith('User'));
  expect(lines.map((line) => line.includes(`SRC ${source}\n`))).toEqual(want ? [true] : []);
});

test('routes are told with those of their length, in the order in which they came', async () => {
  const r = router();
  await add(r, '11.0.0.0/24', 'eth0', { gateway: ip('10.0.0.9') });
  await add(r, '9.0.0.0/24', 'eth0', { gateway: ip('10.0.0.9') });
  await add(r, '10.0.0.9/32', 'eth0', { mark: 1 });
  expect((await show(r, TABLE.main)).map((line) => line.split(' ')[1])).toEqual([
    '10.0.0.9/32',
    '10.0.0.0/24',
    '11.0.0.0/24',
    '9.0.0.0/24',
    '0.0.0.0/0',
    'fc00::/64',
  ]);
});

test('rules choose the table by the source, which must be an address of the host', async () => {
  const r = router();
  const gateway = async (to: string, source?: string) =>
    (await r.lookup(ip(to), 0, source === undefined ? undefined : ip(source)))?.gateway;
  const [main, other] = [ip('10.0.0.254'), ip('10.0.0.100')];
  expect(await gateway('1.1.1.1')).toBe(main);
  expect(await gateway('1.1.1.1', '10.0.0.1')).toBe(main);
  expect(await gateway('1.1.1.1', '10.0.0.2')).toBe(other);
  expect(await gateway('2.1.1.1', '10.0.0.2')).toBe(main);
  expect(await r.lookup(ip('1.1.1.1'), 0, ip('10.0.0.77'))).toBeUndefined();
  expect(await r.lookup(ip('1.1.1.1'), 7, ip('10.0.0.2'))).toBeUndefined();

  await r.addRule(rule(0, '10.0.0.1/32', 100, { isUser: true, isInverted: true }));
  expect(await gateway('1.1.1.1', '10.0.0.1')).toBe(main);
  expect(await gateway('1.1.1.1')).toBe(other);
  expect(r.removeRule(rule(0, '10.0.0.1/32', 100, { isInverted: true }))).toBe(true);
  expect(await gateway('1.1.1.1')).toBe(main);
});

test("rules of one family leave the other's packets alone, and a default route of IPv6 is the last that IPv4 takes", async () => {
  const r = router();
  await add(r, '::/0', 'eth0', { table: 11, gateway: ip('fc00::9') });
  await r.addRule(rule(7, undefined, 11, { isUser: true, isV4: false }));
  expect((await r.lookup(ip('fd00::1'), 0))?.gateway).toBe(ip('fc00::9'));
  expect((await r.lookup(ip('8.8.8.8'), 0))?.gateway).toBe(ip('10.0.0.254'));
  await r.addRule(rule(8, undefined, 11, { isUser: true }));
  expect((await r.lookup(ip('8.8.8.8'), 0))?.gateway).toBe(ip('10.0.0.254'));
});

test("the kernel's rules, the standard ones once, and an operator's, which find room before them", async () => {
  const r = router();
  const mine = rule(0, '10.0.0.1/32', 11, { isUser: true });
  for (let i = 0; i < 3; i++) await r.addRule(mine);
  await r.addRule(rule(900, '10.0.0.0/8', 12, { isUser: true, isInverted: true }));
  expect(await rules(r)).toEqual([
    'Cached: 0: from all lookup local',
    'Cached: 500: from 10.0.0.2 lookup 100',
    'User: 900: not from 10.0.0.0/8  lookup 12',
    'User: 32763: from 10.0.0.1 lookup 11',
    'User: 32764: from 10.0.0.1 lookup 11',
    'User: 32765: from 10.0.0.1 lookup 11',
    'Cached: 32766: from all lookup main',
    'Cached: 32767: from all lookup default',
  ]);
  expect(r.removeRule({ ...mine, priority: 32764 })).toBe(true);
  expect(r.removeRule(mine)).toBe(true);
  expect((await rules(r)).filter((line) => line.includes('lookup 11'))).toEqual([
    'User: 32765: from 10.0.0.1 lookup 11',
  ]);
  expect(r.removeRule({ ...mine, table: 12 })).toBe(false);
  expect(r.removeRule(rule(500, '10.0.0.2/32', 100))).toBe(false);
});
