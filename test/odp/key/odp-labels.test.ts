/** Labels of connections on the wire are what texts say, and what OpenFlow has. */
import { expect, test } from 'vitest';
import { FIELD } from '../../../src/flow/fields.ts';
import { newFlow, newFlowKey } from '../../../src/flow/flow-key.ts';
import { odpKeyToFlow } from '../../../src/odp/key/odp-key.ts';
import { KERNEL_SUPPORT, odpKeyFromFlow } from '../../../src/odp/key/odp-key-build.ts';
import { OdpActionsBuilder } from '../../../src/odp/odp-actions.ts';
import { formatOdpActions } from '../../../src/odp/text/odp-format-actions.ts';
import { formatOdpFlow } from '../../../src/odp/text/odp-format-key.ts';

const LABELS = Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
const NUMBER = '0x102030405060708090a0b0c0d0e0f';

test('of a flow', () => {
  const flow = newFlow();
  const dv = new DataView(LABELS.buffer);
  for (let i = 0; i < 4; i++) flow[FIELD.ctLabels.word + i] = dv.getInt32(4 * i);
  const wire = odpKeyFromFlow(flow, KERNEL_SUPPORT);
  expect(formatOdpFlow(wire, undefined, { verbose: true })).toContain(`ct_label(${NUMBER})`);
  const back = newFlowKey();
  odpKeyToFlow(wire, back);
  expect([...back.subarray(FIELD.ctLabels.word, FIELD.ctLabels.word + 4)]).toEqual([
    ...flow.subarray(FIELD.ctLabels.word, FIELD.ctLabels.word + 4),
  ]);
});

test('of a ct action', () => {
  const mask = new Uint8Array(16).fill(0xff, 1);
  const list = new OdpActionsBuilder().ct({ commit: true, force: false, labels: { value: LABELS, mask } });
  expect(formatOdpActions(list.finish())).toBe(`ct(commit,label=${NUMBER}/0xffffffffffffffffffffffffffffff)`);
});
