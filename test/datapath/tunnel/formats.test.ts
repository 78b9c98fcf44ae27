/** Tunnel headers, both ways: tables of bytes, properties, and what must be refused. */

import { describe, expect, test } from 'vitest';
import { decapErspan, encapErspan, erspanVersion } from '../../../src/datapath/tunnel/erspan.ts';
import { checkGeneveOptions, decapGeneve, encapGeneve } from '../../../src/datapath/tunnel/geneve.ts';
import { decapGre, encapGre, encapGreSequence, greProtocol, sumGre } from '../../../src/datapath/tunnel/gre.ts';
import {
  DECAP,
  hostWord,
  newTunnelInfo,
  TUN,
  type TunnelInfo,
  tunFlags,
  tunOptsSize,
} from '../../../src/datapath/tunnel/tunnel-info.ts';
import { decapVxlan, encapVxlan } from '../../../src/datapath/tunnel/vxlan.ts';
import { TUN_F } from '../../../src/flow/fields.ts';
import { fc } from '../../support/property.ts';

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replace(/ /g, ''), 'hex'));
const view = (b: Uint8Array) => new DataView(b.buffer, b.byteOffset, b.length);
const hexOf = (b: Uint8Array, size = b.length) => Buffer.from(b.subarray(0, size)).toString('hex');

/** Metadata with an id, TUN_F flags and options as bytes. */
function metadata(id: number, flags: number, options = ''): TunnelInfo {
  const tun = newTunnelInfo();
  const opts = bytes(options);
  tun[TUN.ID + 1] = id;
  tun[TUN.TOS] = flags;
  tun[TUN.OPTS_SIZE] = opts.length;
  for (let i = 0; i < opts.length; i += 4) tun[TUN.OPTS + i / 4] = view(opts).getInt32(i);
  return tun;
}
const optionsOf = (tun: TunnelInfo) => {
  const out = new Uint8Array((tunOptsSize(tun) + 3) & ~3);
  for (let i = 0; i < out.length; i += 4) view(out).setInt32(i, tun[TUN.OPTS + i / 4]!);
  return hexOf(out, tunOptsSize(tun));
};
const summary = (tun: TunnelInfo) => ({ id: tun[TUN.ID + 1]! >>> 0, flags: tunFlags(tun), options: optionsOf(tun) });

const { KEY, CSUM, OAM, CRIT, GENEVE_OPTS, VXLAN_OPTS, ERSPAN_OPTS } = TUN_F;

describe('VXLAN', () => {
  // biome-ignore format: table
  const ROWS = [
    { name: 'plain',             hex: '0800000000002a00', gbp: false, id: 42,       flags: KEY,              options: '' },
    { name: 'the largest id',    hex: '08000000ffffff00', gbp: false, id: 0xffffff, flags: KEY,              options: '' },
    { name: 'group policy',      hex: '8808000a00002a00', gbp: true,  id: 42,       flags: KEY | VXLAN_OPTS, options: '0a000800' },
    { name: 'do not learn',      hex: '8840ffff00002a00', gbp: true,  id: 42,       flags: KEY | VXLAN_OPTS, options: 'ffff4000' },
    { name: 'none, with policy', hex: '0800000000002a00', gbp: true,  id: 42,       flags: KEY,              options: '' },
  ];
  test.each(ROWS)('$name', ({ hex, gbp, id, flags, options }) => {
    const tun = newTunnelInfo();
    expect(decapVxlan(view(bytes(hex)), 0, 8, tun, gbp)).toBe(8);
    expect(summary(tun)).toEqual({ id, flags, options });
    const out = new Uint8Array(8);
    expect(encapVxlan(view(out), 0, tun, gbp)).toBe(8);
    expect(hexOf(out)).toBe(hex);
  });

  test('reserved bits of the group policy are no matter, whether it is there or not', () => {
    for (const hex of ['88f7000a00002a00', '0880000000002a00']) {
      expect(decapVxlan(view(bytes(hex)), 0, 8, newTunnelInfo(), true)).toBe(8);
    }
  });

  // biome-ignore format: table
  test.each<[string, string, boolean, number]>([
    ['seven bytes',                      '08000000000000',   false, DECAP.SHORT],
    ['no id',                            '0000000000002a00', false, DECAP.BAD],
    ['a reserved flag',                  '0c00000000002a00', false, DECAP.BAD],
    ['reserved bits behind the id',      '0800000000002a01', false, DECAP.BAD],
    ['group policy that is not expected', '8808000a00002a00', false, DECAP.BAD],
    ['a reserved flag beside policy',    '8908000a00002a00', true,  DECAP.BAD],
  ])('refuses %s', (_name, hex, gbp, reason) => {
    const b = bytes(hex);
    expect(decapVxlan(view(b), 0, b.length, newTunnelInfo(), gbp)).toBe(reason);
  });
});

describe('Geneve', () => {
  const option = '010280010badcafe';
  // biome-ignore format: table
  const ROWS = [
    { name: 'plain',            hex: '0000655800002a00',          id: 42, flags: KEY,                            options: '' },
    { name: 'OAM',              hex: '0080655800002a00',          id: 42, flags: KEY | OAM,                      options: '' },
    { name: 'critical options', hex: `0240655800002a00${option}`, id: 42, flags: KEY | CRIT | GENEVE_OPTS,       options: option },
    { name: 'most options',     hex: `3f00655800002a00${'0102031e'.padEnd(248, '7')}${'01020300'.repeat(32)}`, id: 42, flags: KEY | GENEVE_OPTS, options: `${'0102031e'.padEnd(248, '7')}${'01020300'.repeat(32)}` },
  ];
  test.each(ROWS)('$name', ({ hex, id, flags, options }) => {
    const tun = newTunnelInfo();
    const b = bytes(hex);
    expect(decapGeneve(view(b), 0, b.length, tun)).toBe(b.length);
    expect(summary(tun)).toEqual({ id, flags, options });
    const out = new Uint8Array(b.length);
    expect(encapGeneve(view(out), 0, tun)).toBe(b.length);
    expect(hexOf(out)).toBe(hex);
  });

  // biome-ignore format: table
  test.each<[string, string, number]>([
    ['seven bytes',             '00006558000000',   DECAP.SHORT],
    ['another version',         '4000655800002a00', DECAP.BAD],
    ['another payload',         '0000080000002a00', DECAP.FOREIGN],
    ['options that are cut',    '0200655800002a0001020304', DECAP.SHORT],
  ])('refuses %s', (_name, hex, reason) => {
    const b = bytes(hex);
    expect(decapGeneve(view(b), 0, b.length, newTunnelInfo())).toBe(reason);
  });

  // biome-ignore format: table
  test.each<[string, string, boolean, boolean]>([
    ['whole options',        `${option}01020300`, true,  true],
    ['none that is critical', '01020300',         true,  false],
    ['one that is cut',      '01020302deadbeef',  false, false],
  ])('checks options that are set: %s', (_name, options, isGood, isCritical) => {
    const tun = metadata(1, KEY | GENEVE_OPTS, options);
    expect(checkGeneveOptions(tun)).toBe(isGood);
    expect((tunFlags(tun) & CRIT) !== 0).toBe(isCritical);
  });

  test('does not send more options than a header can say', () => {
    expect(encapGeneve(new DataView(new ArrayBuffer(512)), 0, metadata(1, KEY | GENEVE_OPTS, '00'.repeat(252)))).toBe(
      260,
    );
    const tun = metadata(1, KEY | GENEVE_OPTS, '00'.repeat(252));
    tun[TUN.OPTS_SIZE] = 255;
    expect(encapGeneve(new DataView(new ArrayBuffer(512)), 0, tun)).toBe(-1);
  });
});

describe('GRE', () => {
  // biome-ignore format: table
  const ROWS = [
    { name: 'no field', hex: '00006558',         id: 0,          flags: 0,   sent: '00006558' },
    { name: 'key',      hex: '20006558fffffffe', id: 0xfffffffe, flags: KEY, sent: '20006558fffffffe' },
    { name: 'sequence', hex: '3000655800000007000003e8', id: 7,  flags: KEY, sent: '2000655800000007' },
  ];
  test.each(ROWS)('$name', ({ hex, id, flags, sent }) => {
    const tun = newTunnelInfo();
    const b = bytes(hex);
    expect(greProtocol(view(b), 0, b.length)).toBe(0x6558);
    expect(decapGre(view(b), 0, b.length, tun)).toBe(b.length);
    expect(summary(tun)).toEqual({ id, flags, options: '' });
    const out = new Uint8Array(16);
    expect(hexOf(out, encapGre(view(out), 0, tun, 0x6558))).toBe(sent);
  });

  test('sums what it sends, and believes no other sum', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(0xffff), (payload, flip) => {
        const b = new Uint8Array(12 + payload.length);
        b.set(payload, 12);
        const tun = metadata(99, KEY | CSUM);
        expect(encapGre(view(b), 0, tun, 0x6558)).toBe(12);
        sumGre(view(b), 0, 12, 12, payload.length);
        const got = newTunnelInfo();
        expect(decapGre(view(b), 0, b.length, got)).toBe(12);
        expect(summary(got)).toEqual({ id: 99, flags: KEY | CSUM, options: '' });
        // 0 and ffff are one sum.
        const old = view(b).getUint16(4);
        if (flip === 0 || (old === 0 && flip === 0xffff) || (old === 0xffff && flip === 0xffff)) return;
        view(b).setUint16(4, old ^ flip);
        expect(decapGre(view(b), 0, b.length, newTunnelInfo())).toBe(DECAP.BAD);
      }),
    );
  });

  // biome-ignore format: table
  test.each<[string, string, number]>([
    ['three bytes',         '000065',       DECAP.SHORT],
    ['a key that is cut',   '200065580000', DECAP.SHORT],
    ['version 1',           '00016558',     DECAP.BAD],
    ['reserved bits',       '20086558fffffffe', DECAP.BAD],
    ['routing',             '40006558',     DECAP.BAD],
  ])('refuses %s', (_name, hex, reason) => {
    const b = bytes(hex);
    expect(decapGre(view(b), 0, b.length, newTunnelInfo())).toBe(reason);
  });
});

describe('ERSPAN', () => {
  // biome-ignore format: table
  const ROWS = [
    { name: 'version 1', hex: '1000002a00000007',         id: 42, options: '010000000000000700000000' },
    { name: 'version 2', hex: '2000002a0000000000008078', id: 42, options: '020000000000000000008078' },
  ];
  test.each(ROWS)('$name', ({ hex, id, options }) => {
    const tun = newTunnelInfo();
    const b = bytes(hex);
    expect(decapErspan(view(b), 0, b.length, tun)).toBe(b.length);
    expect(summary(tun)).toEqual({ id, flags: KEY | ERSPAN_OPTS, options });
    const frame = new Uint8Array(12 + 64);
    expect(encapErspan(view(frame), 0, tun, 12, 76, false, 0)).toBe(b.length);
    expect(hexOf(frame, b.length)).toBe(hex);
  });

  test('tells the VLAN, the class of service and what was cut off', () => {
    const frame = bytes(`${'00'.repeat(12)}${'02'.repeat(12)} 8100 6064 0800`.padEnd(400, '0').replace(/ /g, ''));
    encapErspan(view(frame), 0, metadata(1, ERSPAN_OPTS, '010000000000000000000000'), 12, 100, true, 0);
    expect(view(frame).getUint32(0)).toBe((1 << 28) | (0x064 << 16) | (3 << 11) | 0x400 | 1);
    const ip = bytes(`${'00'.repeat(12)}${'02'.repeat(12)}080045e0`.padEnd(400, '0'));
    encapErspan(view(ip), 0, metadata(1, ERSPAN_OPTS, '020000000000000000000000'), 12, 100, false, 0x12345678);
    expect(view(ip).getUint32(0)).toBe(((2 << 28) | (7 << 13) | 1) >>> 0);
    expect(view(ip).getUint32(4)).toBe(0x12345678);
  });

  test('has no version without options', () => {
    expect(erspanVersion(metadata(1, KEY))).toBe(0);
    expect(erspanVersion(metadata(1, ERSPAN_OPTS, '030000000000000000000000'))).toBe(0);
    expect(erspanVersion(metadata(1, ERSPAN_OPTS, '020000000000000000000000'))).toBe(2);
  });

  test.each<[string, string, number]>([
    ['seven bytes', '10000000000000', DECAP.SHORT],
    ['a type III header that is cut', '2000000000000000', DECAP.SHORT],
    ['version 3', '3000000000000000', DECAP.BAD],
  ])('refuses %s', (_name, hex, reason) => {
    const b = bytes(hex);
    expect(decapErspan(view(b), 0, b.length, newTunnelInfo())).toBe(reason);
  });

  test('comes behind a sequence number', () => {
    const out = new Uint8Array(8);
    expect(encapGreSequence(view(out), 0, 0x88be, 5)).toBe(8);
    expect(hexOf(out)).toBe('100088be00000005');
  });
});

test('no bytes lead a decoder out of the packet', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (b, at) => {
      if (at > b.length) return;
      for (const decap of [
        (t: TunnelInfo) => decapVxlan(view(b), at, b.length, t, true),
        (t: TunnelInfo) => decapGeneve(view(b), at, b.length, t),
        (t: TunnelInfo) => decapGre(view(b), at, b.length, t),
        (t: TunnelInfo) => decapErspan(view(b), at, b.length, t),
      ]) {
        const inner = decap(newTunnelInfo());
        if (inner >= 0) expect(inner > at && inner <= b.length).toBe(true);
        else expect(Object.values(DECAP)).toContain(inner);
      }
    }),
    { numRuns: 500 },
  );
});

test('a word of host order and back', () => {
  expect(hostWord(0x01020304)).toBe(0x04030201);
  expect(hostWord(hostWord(-2))).toBe(-2);
});
