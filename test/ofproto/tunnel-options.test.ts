/** Geneve options to fields of tun_metadata and back, and their masks. */

import { describe, expect, it, test } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { type FlowKey, newFlow, setField } from '../../src/flow/flow-key.ts';
import { fieldsToOptions, maskOptions, optionsToFields } from '../../src/ofproto/xlate/tunnel-options.ts';
import type { MfField } from '../../src/openflow/fields/mf-field.ts';
import { mfGet, mfHasTunMetadata, mfMaskBits, mfSet } from '../../src/openflow/fields/mf-value.ts';
import { NXTTMC, TlvTable } from '../../src/openflow/fields/tlv-table.ts';
import { fc } from '../support/property.ts';

const option = (index: number, optionLen: number, optionType = index) => ({
  index,
  optionLen,
  optionType,
  optionClass: 0x0102,
});
const table = new TlvTable()
  .modify({ command: NXTTMC.ADD, mappings: [option(0, 4), option(1, 8), option(40, 12, 0x83)] })
  .modify({ command: NXTTMC.DELETE, mappings: [option(1, 8)] })
  .modify({ command: NXTTMC.ADD, mappings: [option(2, 124)] });
const field = (n: number) => table.fieldOf(n) as MfField;
const OPTS = FIELD.tunOpts.word;

function flowOf(...words: number[]): FlowKey {
  const flow = newFlow();
  words.forEach((w, i) => {
    flow[OPTS + i] = w;
  });
  setField(flow, FIELD.tunOptsSize, 4 * words.length);
  return flow;
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const wordsOf = (flow: FlowKey, n: number): string[] =>
  Array.from(flow.subarray(OPTS, OPTS + n), (w) => (w >>> 0).toString(16));

describe('options', () => {
  it('are fields where the table says so', () => {
    const flow = flowOf(0x01020001, 0xaabbccdd, 0x99990701, 5, 0x01028303, 1, 2, 3);
    expect(optionsToFields(table, flow)).toBe(true);
    expect([hex(mfGet(field(0), flow)), hex(mfGet(field(40), flow))]).toEqual(['aabbccdd', '000000010000000200000003']);
    expect([0, 2, 40].map((n) => mfHasTunMetadata(field(n), flow))).toEqual([true, false, true]);
  });

  // biome-ignore format: table
  test.each<[string, number[]]>([
    ['cut off',                    [0x01020002, 1]],
    ['of another length',          [0x01020002, 1, 2]],
    ['critical and unknown',       [0x99998001, 1]],
  ])('%s are refused', (_, words) => expect(optionsToFields(table, flowOf(...words))).toBe(false));

  it('of any bytes end, and stay within the flow', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 63 }), (words) => {
        const flow = flowOf(...words);
        optionsToFields(table, flow);
        const wc = newFlow().fill(-1, FIELD.tunMetaPresent.word);
        maskOptions(table, flow, wc);
        expect(wc.subarray(0, FIELD.tunOptsSize.word).every((w) => w === 0)).toBe(true);
        expect(wc.subarray(OPTS + words.length, OPTS + 64).every((w) => w === 0)).toBe(true);
      }),
    );
  });

  it('are made of fields, and are the same fields again', () => {
    const flow = newFlow();
    mfSet(
      field(40),
      Uint8Array.from({ length: 12 }, (_, i) => i),
      flow,
    );
    mfSet(field(0), Uint8Array.of(1, 2, 3, 4), flow);
    expect(fieldsToOptions(table, flow)).toBe(true);
    expect(wordsOf(flow, 7)).toEqual(['1020001', '1020304', '1028303', '10203', '4050607', '8090a0b', '0']);
    const again = flowOf(...flow.subarray(OPTS, OPTS + 6));
    expect(optionsToFields(table, again)).toBe(true);
    expect(again).toEqual(flow);
  });

  it('of which there are too many are left out', () => {
    const full = new TlvTable().modify({
      command: NXTTMC.ADD,
      mappings: [option(0, 124), option(1, 124), option(2, 4)],
    });
    const flow = newFlow();
    for (const f of full.fields) mfSet(f, new Uint8Array(f.bytes).fill(f.index + 1), flow);
    expect(fieldsToOptions(full, flow)).toBe(false);
    expect(flow[FIELD.tunOptsSize.word]! & 0xff).toBe(128 + 8);
  });
});

it('masks of fields are masks of the options that are there', () => {
  const flow = flowOf(0x99990701, 5, 0x01020001, 0xaabbccdd);
  const wc = newFlow();
  mfMaskBits(field(0), Uint8Array.of(0, 0, 0xff, 0x0f), wc);
  maskOptions(table, flow, wc);
  expect(wordsOf(wc, 5)).toEqual(['ffffff1f', '0', 'ffffff1f', 'ff0f', '0']);
  const none = newFlow();
  maskOptions(table, flow, none);
  expect(wordsOf(none, 4)).toEqual(['0', '0', '0', '0']);
  expect(none[FIELD.tunOptsSize.word]! & 0xff).toBe(0xff);
});
