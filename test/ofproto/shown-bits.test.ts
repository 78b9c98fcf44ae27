/** What ofproto/trace shows of the bits that a translation consulted. */
import { expect, test } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { getField, newFlow, setField, setFieldOnes } from '../../src/flow/flow-key.ts';
import { shownBits } from '../../src/ofproto/xlate/packet-fields.ts';

test('metadata of ERSPAN is shown, the bytes of options beside it are not', () => {
  const flow = newFlow();
  setField(flow, FIELD.tunPresent, 4);
  setField(flow, FIELD.ethType, 0x0800);
  const wc = newFlow();
  const erspan = [FIELD.tunErspanVer, FIELD.tunErspanIndex, FIELD.tunErspanDir, FIELD.tunErspanHwid];
  for (const f of [...erspan, FIELD.tunOptsSize]) setFieldOnes(wc, f);
  const shown = shownBits(wc, flow);
  for (const f of erspan) expect(getField(shown, f)).toBe(getField(wc, f));
  expect(getField(shown, FIELD.tunOptsSize)).toBe(0);
});
