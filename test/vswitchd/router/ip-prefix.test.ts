import { expect, test } from 'vitest';
import { formatIp, formatPrefix, parseIp, parsePrefix } from '../../../src/vswitchd/router/ip-prefix.ts';

// biome-ignore format: table
test.each([
  ['10.1.2.3',               '10.1.2.3/32'],
  ['10.1.2.3/8',             '10.1.2.3/8'],
  ['0.0.0.0/0',              '0.0.0.0/0'],
  ['10.1.2.3/255.255.0.0',   '10.1.2.3/16'],
  ['10.1.2.3/0.0.0.0',       '10.1.2.3/0'],
  ['010.1.2.300/+8',         '10.1.2.44/8'],
  ['fc00::1',                'fc00::1/128'],
  ['::/0',                   '::/0'],
  [' fc00::1/ 7',            'fc00::1/7'],
  ['fc00::1/ffff:ff00::',    'fc00::1/24'],
  ['::ffff:1.2.3.4',         '1.2.3.4/32'],
])('prefix %s', (text, want) => {
  const prefix = parsePrefix(text);
  expect(prefix && formatPrefix(prefix)).toBe(want);
});

// biome-ignore format: table
test.each([
  '', 'junk', '10.0.0', '10.0.0.0/33', 'fc00::/129', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0.0/8x', '10.0.0.0/', '10.0.0.0/255.0.255.0',
  'fc00::/', 'fc00::/7x', 'fc00::/8000::', 'fc00::/f0f::', 'fc00:::', '/8',
])('no prefix: %j', (text) => {
  expect(parsePrefix(text)).toBeUndefined();
});

test('addresses', () => {
  expect(formatIp(0n)).toBe('::');
  expect(formatIp(parseIp('10.0.0.1') ?? 0n)).toBe('10.0.0.1');
  expect(parseIp('10.0.0.1/32')).toBeUndefined();
});
