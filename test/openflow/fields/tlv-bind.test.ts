/** tun_metadata of messages and texts, and of a switch: bound to a TLV table, and taken from it. */
import { describe, expect, it, test } from 'vitest';
import { newFlow } from '../../../src/flow/flow-key.ts';
import { decodeActions, formatActions, parseActions } from '../../../src/openflow/actions/index.ts';
import type { MfField } from '../../../src/openflow/fields/mf-field.ts';
import { MF } from '../../../src/openflow/fields/mf-fields.ts';
import { getSubfield, maskSubfield, moveSubfield, setSubfield } from '../../../src/openflow/fields/mf-subfield.ts';
import {
  mfClearTunMetadata,
  mfGet,
  mfHasTunMetadata,
  mfIsAllWild,
  mfMaskField,
  mfSetMasked,
} from '../../../src/openflow/fields/mf-value.ts';
import {
  bindActions,
  bindMatch,
  bindWideActions,
  bindWideMatch,
  unbindMatch,
} from '../../../src/openflow/fields/tlv-bind.ts';
import { NXTTMC, TlvTable } from '../../../src/openflow/fields/tlv-table.ts';
import { addTunMetadata, matchSetField, newMatch } from '../../../src/openflow/match/match.ts';
import { parseMatch } from '../../../src/openflow/match/match-parse.ts';
import { formatMatch } from '../../../src/openflow/match/match-text.ts';

const option = (index: number, optionLen: number) => ({ index, optionLen, optionType: index, optionClass: 0xffff });
// Number 2 is in two pieces.
const table = new TlvTable()
  .modify({ command: NXTTMC.ADD, mappings: [option(0, 4), option(1, 8), option(3, 124), option(4, 112)] })
  .modify({ command: NXTTMC.DELETE, mappings: [option(1, 8)] })
  .modify({ command: NXTTMC.ADD, mappings: [option(2, 16)] });
const field = (n: number) => table.fieldOf(n) as MfField;

describe('matches', () => {
  // biome-ignore format: table
  test.each([
    ['tun_metadata0=0x1234',              ''],
    ['tun_metadata0=0x1234/0xffff',       ''],
    ['tun_metadata0=0xffffffff',          ''],
    ['tun_metadata0=0',                   ''],
    ['tun_metadata0',                     ''],
    ['tun_metadata0=0x12/0xffffffff',     'tun_metadata0=0x12'],
    ['tun_metadata2=0x102030405060708090a0b0c0d0e0f10,in_port=3', ''],
    ['tun_metadata0=0xab,tun_metadata3=1', 'tun_metadata0=0xab,tun_metadata3=0x1'],
    // Of too many bytes the first ones count.
    ['tun_metadata0=0x123456789a',                   'tun_metadata0=0x12345678'],
    ['tun_metadata0=0x12345600000/0xfffffff0000',    'tun_metadata0=0x1234560/0xfffffff'],
    ['tun_metadata0=0x12/0xffff00000000',            'tun_metadata0=0/0xffff0000'],
  ])('%s', (text, want) => {
    const bound = bindMatch(parseMatch(text).match, table);
    expect(bound.tunMetadata).toBe(undefined);
    expect(formatMatch(unbindMatch(bound, table))).toBe(want || text);
  });

  it('count the bytes that a message has, zeros too', () => {
    const said = (value: number[], mask?: number[]): string => {
      const match = newMatch();
      addTunMetadata(
        match,
        MF['tun_metadata0'] as MfField,
        Uint8Array.from(value),
        mask && Uint8Array.from(mask),
        true,
      );
      return formatMatch(unbindMatch(bindMatch(match, table), table));
    };
    expect(said([0, 0, 0, 0x12, 0x34, 0x56])).toBe('tun_metadata0=0x12');
    expect(said([0, 0, 0, 0x12, 0x34, 0x56], [0, 0, 0, 0xff, 0xff, 0xff])).toBe('tun_metadata0=0x12/0xff');
    expect(said([0, 0x12])).toBe('tun_metadata0=0x12');
    expect(said([0, 0x12], [0, 0xff])).toBe('tun_metadata0=0x12/0xff');
  });

  it('have the last bytes of the field where a text names it', () => {
    const bound = bindWideMatch(parseMatch('tun_metadata0=0x123456789a,tun_metadata1=1').match, table);
    expect(formatMatch(unbindMatch(bound, table))).toBe('tun_metadata0=0x3456789a');
  });

  it('are refused with a field that the table has not', () => {
    expect(() => bindMatch(parseMatch('tun_metadata1=1').match, table)).toThrow(
      expect.objectContaining({ code: 'NXFMFC_INVALID_TLV_FIELD' }),
    );
  });

  it('take a field of the table into the flow at once', () => {
    const match = newMatch();
    matchSetField(match, field(0), Uint8Array.of(0, 0, 1, 2), Uint8Array.of(0, 0, 0xff, 0xff));
    expect(match).toEqual(bindMatch(parseMatch('tun_metadata0=0x102/0xffff').match, table));
  });

  it('tell of packets without the option', () => {
    const match = { flow: newFlow(), mask: newFlow() };
    mfMaskField(field(0), match.mask);
    expect(formatMatch(unbindMatch(match, table))).toBe('tun_metadata0=NP');
  });
});

describe('fields of the table', () => {
  it('are read, written, masked and moved, in several pieces too', () => {
    const flow = newFlow();
    const all = { field: field(2), ofs: 0, bits: 128 };
    const middle = { field: field(2), ofs: 60, bits: 8 };
    setSubfield(middle, 0xa5, flow);
    expect(getSubfield(middle, flow)).toBe(0xa5);
    expect(mfGet(field(2), flow)).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x0a, 0x50, 0, 0, 0, 0, 0, 0, 0));
    moveSubfield({ field: field(0), ofs: 4, bits: 8 }, middle, flow);
    expect(mfGet(field(0), flow)).toEqual(Uint8Array.of(0, 0, 0x0a, 0x50));
    mfSetMasked(field(0), Uint8Array.of(1, 2, 3, 4), Uint8Array.of(0xff, 0, 0, 0x0f), flow);
    expect(mfGet(field(0), flow)).toEqual(Uint8Array.of(1, 0, 0x0a, 0x54));
    const wc = newFlow();
    maskSubfield(middle, wc);
    expect(getSubfield(all, wc)).toBe(0xff * 2 ** 60);
    expect([mfIsAllWild(field(2), wc), mfIsAllWild(field(0), wc)]).toEqual([false, true]);
    mfClearTunMetadata(field(2), flow);
    expect([mfHasTunMetadata(field(2), flow), mfHasTunMetadata(field(0), flow)]).toEqual([false, true]);
    expect(getSubfield(middle, flow)).toBe(0xa5);
  });
});

describe('actions', () => {
  // biome-ignore format: table
  test.each([
    ['set_field:0x1234->tun_metadata0',                         ''],
    ['set_field:0x12/0xff->tun_metadata0',                      ''],
    ['load:0x5->NXM_NX_TUN_METADATA0[4..7]',                    ''],
    ['move:NXM_NX_REG0[]->NXM_NX_TUN_METADATA0[0..31]',         'move:NXM_NX_REG0[]->NXM_NX_TUN_METADATA0[]'],
    ['move:NXM_NX_TUN_METADATA0[0..7]->NXM_NX_REG0[0..7]',      ''],
    ['push:NXM_NX_TUN_METADATA2[0..127]',                       'push:NXM_NX_TUN_METADATA2[]'],
    ['set_field:0x123456789a->tun_metadata0',                   'set_field:0x12345678->tun_metadata0'],
    ['set_field:0x12/0xffff00000000->tun_metadata0',            'set_field:0/0xffff0000->tun_metadata0'],
    ['clone(set_field:0x1->tun_metadata0,output:1)',            ''],
    ['delete_field:tun_metadata0',                              ''],
    ['output:NXM_NX_TUN_METADATA0[0..15]',                      ''],
    ['push:NXM_NX_TUN_METADATA2[]',                             'refused'],
    ['load:0x1->NXM_NX_TUN_METADATA0[32]',                      'refused'],
    ['set_field:0x1->tun_metadata1',                            'refused'],
    ['load:0x1->NXM_NX_TUN_METADATA0[30..33]',                  'refused'],
    ['move:NXM_NX_REG0[]->NXM_NX_TUN_METADATA0[1..32]',         'refused'],
  ])('%s', (text, want) => {
    let said: string;
    try {
      said = formatActions(bindActions(parseActions(text).actions, table));
    } catch {
      said = 'refused';
    }
    expect(said).toBe(want || text);
  });

  it('count the bytes that a message has, zeros too', () => {
    const said = (entry: string): string => {
      const bytes = Uint8Array.from(Buffer.from(`00190010${entry}`, 'hex'));
      return formatActions(bindActions(decodeActions(4, bytes), table));
    };
    expect(said('00015004 00001234 00000000'.replaceAll(' ', ''))).toBe('set_field:0x1234->tun_metadata0');
    expect(said('00015005 0000001234 000000'.replaceAll(' ', ''))).toBe('set_field:0x12->tun_metadata0');
  });

  it('of a group name fields of the greatest length, whatever the table has', () => {
    const texts = ['set_field:0x123456789a->tun_metadata0', 'load:0x1->NXM_NX_TUN_METADATA1[30..33]'];
    const actions = parseActions(texts.join(',')).actions;
    const bound = bindWideActions(actions, table);
    expect(formatActions(bound)).toBe(texts.join(','));
    const flow = newFlow();
    for (const a of bound) if (a.kind === 'set_field') mfSetMasked(a.field, a.value, a.mask, flow);
    expect(mfGet(field(0), flow)).toEqual(Uint8Array.of(0x34, 0x56, 0x78, 0x9a));
    expect([mfHasTunMetadata(field(0), flow), mfHasTunMetadata(field(2), flow)]).toEqual([true, false]);
  });

  it('have the field with its place', () => {
    const [a] = bindActions(parseActions('set_field:0x1234->tun_metadata0').actions, table);
    expect(a).toMatchObject({
      field: field(0),
      value: Uint8Array.of(0, 0, 0x12, 0x34),
      mask: new Uint8Array(4).fill(0xff),
    });
  });
});
