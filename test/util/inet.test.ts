/** Text of addresses: as inet_ntop() prints them, and what inet_pton() takes. */

import { describe, expect, test } from 'vitest';
import { formatIpv4, formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac } from '../../src/util/inet.ts';
import { fc } from '../support/property.ts';

// biome-ignore format: table
const IPV6: readonly (readonly [text: string, hex: string])[] = [
  ['::',                                      '00000000000000000000000000000000'],
  ['::1',                                     '00000000000000000000000000000001'],
  ['::192.0.2.1',                             '000000000000000000000000c0000201'],
  ['::ffff:192.0.2.1',                        '00000000000000000000ffffc0000201'],
  ['::1:0.0.0.0',                             ''],
  ['fe80::1',                                 'fe800000000000000000000000000001'],
  ['2001:db8::',                              '20010db8000000000000000000000000'],
  ['2001:db8::1:0:0:1',                       '20010db8000000000001000000000001'],
  ['2001:0:0:1::2',                           '20010000000000010000000000000002'],
  ['1:0:2:3:4:5:6:7',                         '00010000000200030004000500060007'],
  ['64:ff9b::808:808',                        '0064ff9b000000000000000008080808'],
  ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffffffffffffffffffffffffffffffff'],
];
const fromHex = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));

describe('IPv6', () => {
  test.each(IPV6.filter(([, hex]) => hex !== ''))('%s', (text, hex) => {
    expect(formatIpv6(fromHex(hex))).toBe(text);
    expect(parseIpv6(text)).toEqual(fromHex(hex));
  });

  // biome-ignore format: table
  test.each([
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
    ['::2:3:4:5:6:7:8', '00000002000300040005000600070008'],
    ['2001:DB8::00AB',  '20010db80000000000000000000000ab'],
    ['1::1.2.3.4',      '00010000000000000000000001020304'],
    ['0:0:0:0:0:0:0:0', '00000000000000000000000000000000'],
  ])('%s is read', (text, hex) => {
    expect(parseIpv6(text)).toEqual(fromHex(hex));
  });

  // biome-ignore format: table
  test.each([
    '', ':', ':::', '1', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', '1:2:3:4::5:6:7:8', '12345::', 'g::', '::1%eth0', '::/64',
    '1.2.3.4', '::1.2.3', '::1.2.3.256', '::01.2.3.4', '1.2.3.4::', '::1.2.3.4:5', ':1::', '1::2:',
  ])('%j is refused', (text) => {
    expect(parseIpv6(text)).toBeUndefined();
  });

  test('what is printed is read', () => {
    // Zeros are common, so that they are drawn often.
    const byte = fc.oneof(fc.constant(0), fc.nat(255));
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.array(byte, { minLength: 16, maxLength: 16 }),
        (a, b) => {
          for (const bytes of [a, Uint8Array.from(b)]) expect(parseIpv6(formatIpv6(bytes))).toEqual(bytes);
        },
      ),
    );
  });
});

describe('IPv4', () => {
  test('is printed from inside an array', () => {
    expect(formatIpv4(Uint8Array.of(9, 192, 0, 2, 255), 1)).toBe('192.0.2.255');
  });
  test.each(['0.0.0.0', '255.255.255.255', '10.1.2.3'])('%s', (text) => {
    expect(formatIpv4(parseIpv4(text) ?? new Uint8Array(4))).toBe(text);
  });
  test.each(['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.x', '1.2.3.', ' 1.2.3.4', '0x1.2.3.4'])(
    '%j is refused',
    (text) => {
      expect(parseIpv4(text)).toBeUndefined();
    },
  );
});

describe('MAC', () => {
  test.each([
    ['02:00:5e:10:00:ff', '02:00:5e:10:00:ff'],
    ['2:0:5E:10:0:ff', '02:00:5e:10:00:ff'],
  ])('%s', (text, printed) => {
    expect(formatMac(parseMac(text) ?? new Uint8Array(6))).toBe(printed);
  });
  test.each(['', '02:00:5e:10:00', '02:00:5e:10:00:ff:01', '02-00-5e-10-00-ff', '002:0:0:0:0:0', 'g:0:0:0:0:0'])(
    '%j is refused',
    (text) => {
      expect(parseMac(text)).toBeUndefined();
    },
  );
});
