import { expect, test } from 'vitest';
import { formatIp, formatPrefix, parseIp, parsePrefix } from '../../../src/vswitchd/router/ip-prefix.ts';
import { formatRoute, RouteTable } from '../../../src/vswitchd/router/route-table.ts';
import type { SystemRouting } from '../../../src/vswitchd/router/system-routes.ts';

const ip = (text: string) => parseIp(text) ?? 0n;
const prefix = (text: string) => parsePrefix(text) ?? { address: 0n, length: 0 };

// biome-ignore format: table
test.each([
  ['10.1.2.3',       '10.1.2.3/32'],
  ['10.1.2.3/8',     '10.1.2.3/8'],
  ['0.0.0.0/0',      '0.0.0.0/0'],
  ['fc00::1',        'fc00::1/128'],
  ['::/0',           '::/0'],
  ['::ffff:1.2.3.4', '1.2.3.4/32'],
])('prefix %s', (text, want) => {
  expect(formatPrefix(prefix(text))).toBe(want);
});

test.each(['', 'junk', '10.0.0', '10.0.0.0/33', 'fc00::/129', '10.0.0.0/-1', '10.0.0.0/8/8'])(
  'no prefix: %j',
  (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  },
);

const SYSTEM: SystemRouting = {
  routes: [
    { destination: prefix('0.0.0.0/0'), device: 'eth0', gateway: ip('10.0.0.254'), isLocal: false },
    { destination: prefix('10.0.0.0/24'), device: 'eth0', gateway: undefined, isLocal: false },
    { destination: prefix('10.0.0.1/32'), device: 'eth0', gateway: undefined, isLocal: true },
    { destination: prefix('172.16.0.0/12'), device: 'bare', gateway: undefined, isLocal: false },
    { destination: prefix('fc00::/64'), device: 'eth0', gateway: undefined, isLocal: false },
  ],
  addresses: [
    { device: 'eth0', prefix: prefix('10.0.0.1/24') },
    { device: 'eth0', prefix: prefix('fc00::1/64') },
    { device: 'br0', prefix: prefix('10.9.0.1/16') },
  ],
};
const table = () => new RouteTable(async () => SYSTEM);
const show = async (t: RouteTable) => (await t.routes()).map(formatRoute).join('');

test('the routes of the kernel that have a source address', async () => {
  expect(await show(table())).toBe(
    'Cached: 10.0.0.1/32 dev eth0 SRC 10.0.0.1 local\n' +
      'Cached: 10.0.0.0/24 dev eth0 SRC 10.0.0.1\n' +
      'Cached: 0.0.0.0/0 dev eth0 GW 10.0.0.254 SRC 10.0.0.1\n' +
      'Cached: fc00::/64 dev eth0 SRC fc00::1\n',
  );
});

test('the longest prefix wins, what an operator added wins over it, and the host itself over both', async () => {
  const t = table();
  const device = async (to: string, mark = 0) => (await t.lookup(ip(to), mark))?.device;
  expect(await device('10.0.0.9')).toBe('eth0');
  expect((await t.lookup(ip('8.8.8.8'), 0))?.gateway).toBe(ip('10.0.0.254'));
  expect(await device('172.16.0.1')).toBe('eth0');
  expect(await device('fd00::1')).toBeUndefined();
  expect(await t.add(prefix('10.0.0.0/24'), 'br0', ip('10.9.0.2'), 0)).toBe(true);
  expect(await device('10.0.0.9')).toBe('br0');
  expect(await device('10.0.0.1')).toBe('eth0');
  expect(await show(t)).toContain('User: 10.0.0.0/24 dev br0 GW 10.9.0.2 SRC 10.9.0.1\n');
  expect(await t.add(prefix('10.9.0.0/16'), 'br0', undefined, 5)).toBe(true);
  expect(await device('10.9.1.1')).toBe('eth0');
  expect(await device('10.9.1.1', 5)).toBe('br0');
  expect(await show(t)).toContain('User: 10.9.0.0/16 MARK 5 dev br0 SRC 10.9.0.1\n');
  expect(t.remove(prefix('10.0.0.0/24'), 0)).toBe(true);
  expect(t.remove(prefix('10.0.0.0/24'), 0)).toBe(false);
  expect(await device('10.0.0.9')).toBe('eth0');
});

test('a device without a fitting address takes no route', async () => {
  expect(await table().add(prefix('1.2.3.4'), 'br0', undefined, 0)).toBe(false);
  expect(await table().add(prefix('1.2.3.4'), 'no_such', undefined, 0)).toBe(false);
  expect(formatIp(0n)).toBe('::');
});
