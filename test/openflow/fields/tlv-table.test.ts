/** The TLV table: allocation, errors, values in flows. */

import { describe, expect, it, test } from 'vitest';
import { newFlow } from '../../../src/flow/flow-key.ts';
import type { MfField } from '../../../src/openflow/fields/mf-field.ts';
import { mfGet, mfHasTunMetadata, mfSet } from '../../../src/openflow/fields/mf-value.ts';
import { NXTTMC, TlvTable } from '../../../src/openflow/fields/tlv-table.ts';
import { fc } from '../../support/property.ts';

const map = (index: number, optionLen: number, optionType = index, optionClass = 0xffff) => ({
  index,
  optionLen,
  optionType,
  optionClass,
});
const add = (...mappings: ReturnType<typeof map>[]) => ({ command: NXTTMC.ADD, mappings });

describe('TLV table', () => {
  it('keeps values apart, also where space is in pieces', () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 2, maxLength: 5 }), byte, (lengths, seed) => {
        let table = new TlvTable().modify(add(...lengths.map((n, i) => map(i, 4 * n))));
        table = table.modify({ command: NXTTMC.DELETE, mappings: [map(0, 4)] }).modify(add(map(9, 124)));
        const flow = newFlow();
        const values = new Map(
          [...lengths.keys(), 9].slice(1).map((i) => [i, new Uint8Array(table.sizeOf(i) ?? 0).fill((seed + i) & 0xff)]),
        );
        const fieldOf = (i: number) => table.fieldOf(i) as MfField;
        for (const [i, v] of values) mfSet(fieldOf(i), v, flow);
        for (const [i, v] of values)
          expect([mfHasTunMetadata(fieldOf(i), flow), mfGet(fieldOf(i), flow)]).toEqual([true, v]);
        expect(table.fieldOf(0)).toBe(undefined);
      }),
    );
  });

  // biome-ignore format: table
  test.each([
    [map(64, 4),       'NXTTMFC_BAD_FIELD_IDX'], [map(1, 5),    'NXTTMFC_BAD_OPT_LEN'], [map(1, 128), 'NXTTMFC_BAD_OPT_LEN'],
    [map(0, 4, 7),     'NXTTMFC_ALREADY_MAPPED'], [map(1, 4, 0), 'NXTTMFC_DUP_ENTRY'],
  ] as const)('%o is %s', (mapping, code) => {
    expect(() => new TlvTable().modify(add(map(0, 4), mapping))).toThrow(expect.objectContaining({ code }));
  });

  it('is full at 256 bytes, tells what it has, and is cleared', () => {
    const full = new TlvTable().modify(add(map(5, 124), map(2, 124), map(3, 8)));
    expect(() => full.modify(add(map(4, 4)))).toThrow(expect.objectContaining({ code: 'NXTTMFC_TABLE_FULL' }));
    expect(full.describe().mappings.map((m) => m.index)).toEqual([2, 3, 5]);
    expect([full.fieldOfOption(0xffff, 3)?.index, full.fieldOfOption(0xfffe, 3)]).toEqual([3, undefined]);
    expect(full.modify({ command: NXTTMC.CLEAR, mappings: [] }).describe().mappings).toEqual([]);
  });
});
