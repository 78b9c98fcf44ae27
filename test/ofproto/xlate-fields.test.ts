import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { getField, newFlow, setField } from '../../src/flow/flow-key.ts';
import {
  bytesValue,
  hasField,
  mfRead,
  mfWrite,
  subLoad,
  subRead,
  subUnwildcard,
  subWrite,
  valueBytes,
} from '../../src/ofproto/xlate-fields.ts';
import { actionSetToList } from '../../src/openflow/actions/action-set.ts';
import type { MfField } from '../../src/openflow/mf-field.ts';
import { MF_FIELDS, mfByName } from '../../src/openflow/mf-fields.ts';
import type { Ofpact } from '../../src/openflow/ofpact.ts';

const mf = (name: string): MfField => mfByName(name) as MfField;
const plain = MF_FIELDS.filter((f) => f.at >= 0 && f.special === undefined);

describe('fields in a translation', () => {
  it('read what was written, and leave other bits alone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...plain),
        fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
        fc.nat(),
        fc.nat(),
        (field, value, a, b) => {
          const ofs = a % field.bits;
          const s = { field, ofs, bits: 1 + (b % (field.bits - ofs)) };
          const flow = newFlow().fill(0x5a5a5a5a);
          const before = mfRead(flow, field);
          subWrite(flow, s, value);
          expect(subRead(flow, s)).toBe(BigInt.asUintN(s.bits, value));
          const wc = newFlow();
          subUnwildcard(wc, s);
          const outside = flow.map((w, i) => (w ^ 0x5a5a5a5a) & ~(wc[i] ?? 0));
          expect(outside.every((w) => w === 0)).toBe(true);
          mfWrite(flow, field, before);
          expect(flow.every((w) => w === 0x5a5a5a5a)).toBe(true);
          expect(bytesValue(valueBytes(value, 16))).toBe(value);
        },
      ),
    );
  });

  it('give a tag its TPID, and its wildcards none', () => {
    const flow = newFlow();
    mfWrite(flow, mf('vlan_vid'), 0x1005n);
    expect([getField(flow, FIELD.vlanTpid), getField(flow, FIELD.vlanTci)]).toEqual([0x8100, 0x1005]);
    mfWrite(flow, mf('vlan_pcp'), 3n);
    expect(getField(flow, FIELD.vlanTci)).toBe(0x7005);
    mfWrite(flow, mf('dl_vlan'), 9n);
    expect(getField(flow, FIELD.vlanTci)).toBe(0x7009);
    const wc = newFlow();
    mfWrite(wc, mf('vlan_vid'), 0x1fffn, true);
    expect(getField(wc, FIELD.vlanTpid)).toBe(0);
  });

  it('are written only where the packet has them, and what told is matched', () => {
    const flow = newFlow();
    const wc = newFlow();
    setField(flow, FIELD.ethType, 0x0800);
    setField(flow, FIELD.nwProto, 17);
    const s = { field: mf('tcp_dst'), ofs: 0, bits: 16 };
    subLoad(flow, wc, s, 80n);
    expect([getField(flow, FIELD.tpDst), getField(wc, FIELD.tpDst), getField(wc, FIELD.nwProto)]).toEqual([0, 0, 0xff]);
    setField(flow, FIELD.nwProto, 6);
    subLoad(flow, wc, s, 80n);
    expect([getField(flow, FIELD.tpDst), getField(wc, FIELD.tpDst)]).toEqual([80, 0xffff]);
    expect(hasField(flow, mf('arp_op'), wc)).toBe(false);
  });
});

describe('action sets', () => {
  const output = (port: number): Ofpact => ({ kind: 'output', port, maxLen: 0 });
  const ttl = (value: number): Ofpact => ({ kind: 'mod_nw_ttl', value });
  const push = (ethType: number): Ofpact => ({ kind: 'push_vlan', ethType });
  it.each<[string, Ofpact[], Ofpact[]]>([
    ['nothing without a final action', [ttl(1), push(0x8100)], []],
    [
      'the last output, after all else',
      [output(1), ttl(1), output(2), push(0x8100), push(0x88a8), ttl(2)],
      [push(0x88a8), ttl(1), ttl(2), output(2)],
    ],
    ['a group before an output', [{ kind: 'group', groupId: 5 }, output(1)], [{ kind: 'group', groupId: 5 }]],
  ])('%s', (_name, set, list) => expect(actionSetToList(set)).toEqual(list));
});
