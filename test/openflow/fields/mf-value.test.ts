/** Values of match fields in flows: properties over every field, and tables of the special ones. */

import { describe, expect, it, test } from 'vitest';
import { getBits, setBits } from '../../../src/flow/bits.ts';
import { FIELD, type FieldName, OF_FLOW_WORDS } from '../../../src/flow/fields.ts';
import type { MfField } from '../../../src/openflow/fields/mf-field.ts';
import { MF_FIELDS, mfByName } from '../../../src/openflow/fields/mf-fields.ts';
import { mfPrereqsOk } from '../../../src/openflow/fields/mf-prereqs.ts';
import {
  formatSubfield,
  getSubfield,
  maskSubfield,
  moveSubfield,
  parseSubfield,
  setSubfield,
} from '../../../src/openflow/fields/mf-subfield.ts';
import * as mf from '../../../src/openflow/fields/mf-value.ts';
import { fc } from '../../support/property.ts';

const newFlow = () => new Int32Array(OF_FLOW_WORDS);
const named = (name: string): MfField => mfByName(name) as MfField;
const placed = MF_FIELDS.filter((f) => !f.isVariable);
const plain = placed.filter((f) => f.special === undefined || f.special === 'ip-dscp-shifted');
const bytesOf = (n: number, size: number) => Uint8Array.from({ length: size }, (_, i) => n / 2 ** (8 * (size - 1 - i)));
const get = (flow: Int32Array, name: FieldName) => getBits(flow, FIELD[name].at, FIELD[name].bits);

describe('values of fields', () => {
  it('are read back as they were written, and nothing else changes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...plain),
        fc.nat(),
        fc.nat(),
        fc.nat({ max: 0xffffffff }),
        fc.boolean(),
        (f, a, b, raw, ones) => {
          const flow = newFlow().fill(ones ? -1 : 0);
          const before = flow.slice();
          const ofs = a % f.bits;
          const sub = { field: f, ofs, bits: 1 + (b % (f.bits - ofs)) };
          setSubfield(sub, raw, flow);
          expect(getSubfield(sub, flow)).toBe(raw % 2 ** sub.bits);
          const mask = newFlow();
          maskSubfield(sub, mask);
          for (let i = 0; i < flow.length; i++) expect((flow[i]! ^ before[i]!) & ~mask[i]!).toBe(0);
        },
      ),
    );
  });

  it('move from field to field, whatever their places', () => {
    const wide = placed.filter((f) => f.special === undefined && f.bits >= 64);
    fc.assert(
      fc.property(fc.constantFrom(...wide), fc.constantFrom(...wide), fc.nat(), fc.nat(), (from, to, a, b) => {
        const flow = Int32Array.from({ length: OF_FLOW_WORDS }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
        const bits = 1 + (a % 32);
        const src = { field: from, ofs: b % (from.bits - bits), bits };
        const dst = { field: to, ofs: a % (to.bits - bits), bits };
        const value = getSubfield(src, flow);
        moveSubfield(dst, src, flow);
        expect(getSubfield(dst, flow)).toBe(value);
      }),
    );
  });

  // biome-ignore format: table
  test.each([
    ['dl_vlan',     0x0fff, 'vlanTci', 0x1fff],
    ['vlan_pcp',    7,      'vlanTci', 0xf000],
    ['vlan_vid',    0x1000, 'vlanTci', 0x1000],
    ['nw_tos',      0xfc,   'nwTos',   0xfc],
    ['in_port_oxm', 0xff,   'inPort',  0xff],
    ['eth_type',    1,      'ethType', 0xffff],
    ['dl_vlan',     0,      'vlanTci', 0],
  ] as const)('%s looks, with bits %i, at %s', (name, bits, place, inMask) => {
    const mask = newFlow();
    mf.mfMaskBits(named(name), bytesOf(bits, named(name).bytes), mask);
    expect(get(mask, place)).toBe(inMask);
    expect(get(mask, 'vlanTpid')).toBe(0);
  });

  it('have no port that the switch cannot have', () => {
    const flow = newFlow();
    mf.mfSet(named('in_port_oxm'), bytesOf(0xff01, 4), flow);
    expect(get(flow, 'inPort')).toBe(0xffff);
  });

  test.each(placed.map((f) => [f.name, f] as const))('%s is wild in an empty mask, exact in a full one', (_, f) => {
    const mask = newFlow();
    expect(mf.mfIsAllWild(f, mask)).toBe(true);
    expect(mf.mfGetMask(f, mask).every((b) => b === 0)).toBe(true);
    mf.mfMaskField(f, mask);
    expect(mf.mfIsAllWild(f, mask)).toBe(false);
    expect(mf.mfGetMask(f, mask).some((b) => b !== 0)).toBe(true);
  });

  // biome-ignore format: table
  test.each([
    ['dl_vlan',       0x0005,     'vlanTci',      0x1005],
    ['vlan_vid',      0x1005,     'vlanTci',      0x1005],
    ['vlan_pcp',      3,          'vlanTci',      0x7000],
    ['nw_tos',        0xb8,       'nwTos',        0xb8],
    ['ip_dscp',       0x2e,       'nwTos',        0xb8],
    ['in_port_oxm',   0xfffffffe, 'inPort',       0xfffe],
    ['actset_output', 0xfffffffd, 'actsetOutput', 0xfffd],
    ['packet_type',   0x10800,    'packetType',   0x0800],
    ['eth_type',      0x05ff,     'ethType',      0x0004],
    ['eth_type',      0x0800,     'ethType',      0x0800],
    ['arp_op',        2,          'nwProto',      2],
    ['icmp_type',     8,          'tpSrc',        8],
    ['ip_frag',       3,          'nwFrag',       3],
    ['ct_state',      0x21,       'ctState',      0x21],
    ['tun_flags',     1,          'tunFlags',     8],
  ] as const)('%s=%i', (name, value, place, inFlow) => {
    const f = named(name);
    const flow = newFlow();
    const bytes = bytesOf(value, f.bytes);
    mf.mfSet(f, bytes, flow);
    expect(get(flow, place)).toBe(inFlow);
    expect(mf.mfGet(f, flow)).toEqual(bytes);
    expect(mf.mfIsValueOk(f, bytes)).toBe(true);
  });

  // biome-ignore format: table
  test.each([
    ['nw_tos', 1], ['ip_dscp', 64], ['nw_ecn', 4], ['ip_frag', 4], ['tcp_flags', 0x1000], ['arp_op', 0x100], ['dl_vlan', 0x1000],
    ['vlan_vid', 0x2000], ['vlan_pcp', 8], ['ipv6_label', 0x100000], ['mpls_label', 0x100000], ['mpls_bos', 2], ['tun_flags', 2],
    ['ct_state', 0x100], ['nsh_ttl', 64], ['nsh_mdtype', 3], ['nsh_spi', 0x1000000], ['in_port_oxm', 0xff00], ['packet_type', 7],
  ] as const)('%s cannot be %i', (name, value) => {
    expect(mf.mfIsValueOk(named(name), bytesOf(value, named(name).bytes))).toBe(false);
  });

  it('need what their prerequisites say, and tell what was looked at', () => {
    const flow = newFlow();
    const put = (name: FieldName, v: number) => setBits(flow, FIELD[name].at, FIELD[name].bits, v);
    expect(mfPrereqsOk(named('tcp_src'), flow)).toBe(false);
    put('ethType', 0x86dd);
    put('nwProto', 6);
    const wc = newFlow();
    expect(mfPrereqsOk(named('tcp_src'), flow, undefined, wc)).toBe(true);
    expect(get(wc, 'nwProto')).toBe(0xff);
    put('nwFrag', 3);
    expect(mfPrereqsOk(named('tcp_src'), flow)).toBe(false);
    put('nwProto', 58);
    put('tpSrc', 135);
    expect(mfPrereqsOk(named('nd_sll'), flow)).toBe(true);
    expect(mfPrereqsOk(named('nd_tll'), flow)).toBe(false);
    expect(mfPrereqsOk(named('vlan_pcp'), flow)).toBe(false);
    put('vlanTci', 0x1001);
    expect(mfPrereqsOk(named('vlan_pcp'), flow)).toBe(true);
    put('packetType', 0x0800);
    expect(mfPrereqsOk(named('eth_src'), flow)).toBe(false);
    expect(mfPrereqsOk(named('ip_src'), flow)).toBe(true);
    put('ctState', 0x20);
    expect(mfPrereqsOk(named('ct_nw_src'), flow, newFlow())).toBe(false);
    const ctMask = newFlow();
    setBits(ctMask, FIELD.ctState.at, 16, 0x30);
    expect(mfPrereqsOk(named('ct_nw_src'), flow, ctMask)).toBe(true);
  });

  it('of tun_metadata are 0 without a table, and stay so', () => {
    const flow = newFlow();
    mf.mfSet(named('tun_metadata0'), new Uint8Array(124).fill(1), flow);
    expect(flow).toEqual(newFlow());
    expect(mf.mfGet(named('tun_metadata0'), flow)).toEqual(new Uint8Array(124));
  });
});

describe('subfields', () => {
  // biome-ignore format: table
  test.each([
    ['NXM_NX_REG0[4..11]', 'NXM_NX_REG0[4..11]'], ['reg0[]', 'NXM_NX_REG0[]'], ['reg0', 'NXM_NX_REG0[]'], ['reg0[0..31]', 'NXM_NX_REG0[]'],
    ['NXM_OF_IN_PORT[3]', 'NXM_OF_IN_PORT[3]'], ['vlan_tci[12]', 'NXM_OF_VLAN_TCI[12]'], ['xreg1[]', 'OXM_OF_PKT_REG1[]'],
    ['dl_vlan[]', 'dl_vlan[]'], ['NXM_NX_REG3_W[1..2]', 'NXM_NX_REG3[1..2]'],
  ] as const)('%s is %s', (text, formatted) => {
    expect(formatSubfield(parseSubfield(text))).toBe(formatted);
    expect(parseSubfield(formatted)).toEqual(parseSubfield(text));
  });

  // biome-ignore format: table
  test.each([
    ['reg0[', 'reg0[: syntax error expecting [] or [<bit>] or [<start>..<end>]'],
    ['reg0[3..1]', 'reg0[3..1]: starting bit 3 is after ending bit 1'],
    ['reg0[32]', 'reg0[32]: starting bit 32 is not valid because field is only 32 bits wide'],
    ['reg0[3..32]', 'reg0[3..32]: ending bit 32 is not valid because field is only 32 bits wide'],
    ['nope[]', "nope[]: unknown field `nope'"],
    ['reg0[]x', 'unexpected input following field syntax'],
  ] as const)('%s is refused', (text, message) => {
    expect(() => parseSubfield(text)).toThrow(message);
  });
});
