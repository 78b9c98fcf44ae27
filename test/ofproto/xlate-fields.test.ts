import { describe, expect, it } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { getField, newFlow, setField } from '../../src/flow/flow-key.ts';
import { xlateLoad, xlateMove, xlateSetField } from '../../src/ofproto/xlate/xlate-fields.ts';
import { actionSetToList } from '../../src/openflow/actions/action-set.ts';
import type { MfField } from '../../src/openflow/fields/mf-field.ts';
import { mfByName } from '../../src/openflow/fields/mf-fields.ts';
import { parseSubfield } from '../../src/openflow/fields/mf-subfield.ts';
import type { Ofpact } from '../../src/openflow/ofpact.ts';

const mf = (name: string): MfField => mfByName(name) as MfField;
const sub = parseSubfield;

describe('fields in a translation', () => {
  it('give a tag its TPID, and its wildcards none', () => {
    const flow = newFlow();
    const wc = newFlow();
    const put = (name: string, ...bytes: number[]) =>
      xlateSetField(flow, wc, mf(name), Uint8Array.from(bytes), new Uint8Array(bytes.length).fill(0xff));
    put('vlan_vid', 0x10, 0x05);
    expect([getField(flow, FIELD.vlanTpid), getField(flow, FIELD.vlanTci)]).toEqual([0x8100, 0x1005]);
    put('vlan_pcp', 3);
    expect(getField(flow, FIELD.vlanTci)).toBe(0x7005);
    put('dl_vlan', 0, 9);
    expect(getField(flow, FIELD.vlanTci)).toBe(0x7009);
    expect(getField(wc, FIELD.vlanTpid)).toBe(0);
  });

  it('are written only where the packet has them, and what told is matched', () => {
    const flow = newFlow();
    const wc = newFlow();
    setField(flow, FIELD.ethType, 0x0800);
    setField(flow, FIELD.nwProto, 17);
    xlateLoad(flow, wc, sub('tcp_dst'), 80);
    expect([getField(flow, FIELD.tpDst), getField(wc, FIELD.tpDst), getField(wc, FIELD.nwProto)]).toEqual([0, 0, 0xff]);
    setField(flow, FIELD.nwProto, 6);
    xlateLoad(flow, wc, sub('tcp_dst'), 80);
    expect([getField(flow, FIELD.tpDst), getField(wc, FIELD.tpDst)]).toEqual([80, 0xffff]);
    xlateMove(flow, wc, sub('reg0[0..15]'), sub('arp_op'));
    expect([getField(flow, FIELD.reg0), getField(wc, FIELD.reg0)]).toEqual([0, 0]);
    xlateMove(flow, wc, sub('reg0[4..19]'), sub('tcp_dst'));
    expect([getField(flow, FIELD.reg0), getField(wc, FIELD.reg0)]).toEqual([0x500, 0xffff0]);
  });

  it('write the bits of the mask', () => {
    const flow = newFlow();
    const wc = newFlow();
    setField(flow, FIELD.ctMark, 0x12345678);
    xlateSetField(flow, wc, mf('ct_mark'), Uint8Array.of(0, 0xab, 0, 0), Uint8Array.of(0, 0xff, 0, 0));
    expect([getField(flow, FIELD.ctMark), getField(wc, FIELD.ctMark)]).toEqual([0x12ab5678, 0xff0000]);
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
