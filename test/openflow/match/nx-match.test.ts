/** NXM and OXM: hexadecimal vectors in both directions, errors, and a property over any bytes. */

import { describe, expect, it, test } from 'vitest';
import { FIELD } from '../../../src/flow/fields.ts';
import { getField } from '../../../src/flow/flow-key.ts';
import type { Match } from '../../../src/openflow/match/match.ts';
import { parseMatch } from '../../../src/openflow/match/match-parse.ts';
import { decodeNxMatch, encodeNxMatch } from '../../../src/openflow/match/nx-match.ts';
import { OFPERR, OfpError } from '../../../src/openflow/ofp-errors.ts';
import { fc } from '../../support/property.ts';

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(/[ _]/g, ''), 'hex'));
const hex = (b: Uint8Array) => Buffer.from(b).toString('hex');

describe('NXM and OXM', () => {
  // biome-ignore format: table
  test.each([
    ['nothing',          0, ''],
    ['in_port',          0, '00000002 fffe'],
    ['oxm in_port',      4, '80000004 fffffffe'],
    ['eth_src masked',   0, '0000050c 60175619 0000 ffffffff 0000'],
    ['tcp',              0, '00000602 0800 00000c01 06 00001202 0050'],
    ['oxm udp6',         4, '80000a02 86dd 80001401 11 80002002 0035'],
    ['vlan tci masked',  0, '00000904 1123 1fff'],
    ['oxm vlan and pcp', 4, '80000c02 1005 80000e01 03'],
    ['arp',              0, '00000602 0806 00001e02 0001'],
    ['icmp',             0, '00000602 0800 00000c01 01 00001a01 08'],
    ['reg',              0, '00010108 0000aa00 0000ff00'],
    ['xreg',             6, '80010008 0000000000001234'],
    ['experimenter',     5, 'ffff5608 4f4e4600 00000003'],
  ] as const)('%s: is read and written', (_, version, text) => {
    const { match } = decodeNxMatch(bytes(text));
    expect(hex(encodeNxMatch(match, version))).toBe(hex(bytes(text)));
  });

  // biome-ignore format: table
  test.each([
    ['000000',                       'OFPBMC_BAD_LEN'],
    ['00000002 ff',                  'OFPBMC_BAD_LEN'],
    ['ffff5602 4f4e4600',            'OFPBMC_BAD_LEN'],
    ['0001fe04 00000000',            'OFPBMC_BAD_FIELD'],
    ['00000003 000000',              'OFPBMC_BAD_FIELD'],
    ['00001202 0050',                'OFPBMC_BAD_PREREQ'],
    ['00000002 0001 00000002 0001',  'OFPBMC_DUP_FIELD'],
    ['00010108 000000ff 0000ff00',   'OFPBMC_BAD_WILDCARDS'],
    ['00000104 0001 00ff',           'OFPBMC_BAD_MASK'],
    ['00000602 0800 00000a01 03',    'OFPBMC_BAD_VALUE'],
    ['00013c08 0000000000000001',    'OFPBMC_BAD_FIELD'],
  ] as const)('%s is %s', (text, err) => {
    expect(() => decodeNxMatch(bytes(text))).toThrow(expect.objectContaining({ err: OFPERR[err] }));
  });

  it('does not look at a field whose mask is all zeros', () => {
    const { match } = decodeNxMatch(bytes('80000c02 1005 80000f02 00 00'));
    expect(hex(encodeNxMatch(match, 4))).toBe(hex(bytes('80000c02 1005')));
  });

  it("takes an ERSPAN hardware ID's value for its mask, as stock and its ovs-ofctl do, unless it is exact", () => {
    const look = ({ flow, mask }: Match) => [getField(flow, FIELD.tunErspanHwid), getField(mask, FIELD.tunErspanHwid)];
    const typed = parseMatch('tun_erspan_hwid=0xf/0x1').match;
    expect(look(typed)).toEqual([0x1, 0xf]);
    expect(look(decodeNxMatch(encodeNxMatch(typed, 0)).match)).toEqual([0x1, 0x1]);
    expect(look(parseMatch('tun_erspan_hwid=0x7').match)).toEqual([0x7, 0x3f]);
    expect(look(parseMatch('tun_erspan_hwid=0x7/0x3f').match)).toEqual([0x7, 0x3f]);
  });

  it('has a cookie where one may be', () => {
    const text = '00013d10 0000000000000001 00000000000000ff';
    const found = decodeNxMatch(bytes(text), { allowCookie: true });
    expect([found.cookie, found.cookieMask]).toEqual([1n, 0xffn]);
    expect(hex(encodeNxMatch(found.match, 0, 1n, 0xffn))).toBe(hex(bytes(text)));
  });

  it('throws nothing but OfpError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (b, isLoose) => {
        try {
          decodeNxMatch(b, { isLoose, allowCookie: true });
        } catch (e) {
          expect(e).toBeInstanceOf(OfpError);
        }
      }),
    );
  });
});
