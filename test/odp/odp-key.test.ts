/** Flow keys and masks to and from their nests: recordings of a stock ovs-vswitchd, layers, fitness, errors, random bytes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FIELD as F, TUN_F } from '../../src/flow/fields.ts';
import { getField, newFlowKey } from '../../src/flow/flow-key.ts';
import { readAttrs } from '../../src/odp/odp-attr-list.ts';
import { formatOdpFlow } from '../../src/odp/odp-format-key.ts';
import { ODP_FIT, type OdpKeyReport, odpKeyToFlow, odpMaskToFlow } from '../../src/odp/odp-key.ts';
import { KERNEL_SUPPORT, odpKeyFromFlow, odpKeyFromMask } from '../../src/odp/odp-key-build.ts';
import { parseOdpFlow } from '../../src/odp/odp-parse-key.ts';
import { available, flowAttrs, recordings } from './golden-flows.ts';

const hex = (b: Uint8Array) => Buffer.from(b).toString('hex');
const keyOf = (text: string) => parseOdpFlow(text, { hasMasks: false }).key;

describe.skipIf(!available)('recorded flows', () => {
  const puts = (available ? recordings('upcalls.jsonl.gz') : [])
    .filter((m) => m.family === 'ovs_flow' && m.cmd === 'NEW' && m.direction === 'request')
    .map((m) => ({ m, attrs: flowAttrs(m) }));

  test('masks are rebuilt as a stock ovs-vswitchd wrote them', () => {
    let n = 0;
    for (const { m, attrs } of puts) {
      if (!attrs?.key || !attrs.mask) continue;
      const [flow, mask] = [newFlowKey(), newFlowKey()];
      expect(odpKeyToFlow(attrs.key, flow), m.step).not.toBe(ODP_FIT.ERROR);
      expect(odpMaskToFlow(attrs.mask, mask, flow), m.step).not.toBe(ODP_FIT.ERROR);
      expect(
        hex(odpKeyFromMask(mask, flow, KERNEL_SUPPORT)),
        `${m.step}: ${formatOdpFlow(attrs.key, attrs.mask)}`,
      ).toBe(hex(attrs.mask));
      n++;
    }
    expect(n).toBeGreaterThan(20);
  });

  test('keys that the kernel sent survive the way to a flow and back', () => {
    const byType = (nest: Uint8Array): string[] =>
      readAttrs(nest)
        // What only kernels know, and the order, which differs between the two, do not matter.
        .attrs.filter((a) => a.type < 32)
        .map((a) => `${a.type}:${a.type === 1 ? byType(a.data).join() : hex(a.data)}`)
        .sort();
    let n = 0;
    for (const { m, attrs } of puts) {
      if (!attrs?.key || m.step.startsWith('ovs-vsctl')) continue;
      const flow = newFlowKey();
      expect(odpKeyToFlow(attrs.key, flow, 2), formatOdpFlow(attrs.key)).toBe(ODP_FIT.PERFECT);
      expect(byType(odpKeyFromFlow(flow, { ...KERNEL_SUPPORT, maxVlanHeaders: 2 })), formatOdpFlow(attrs.key)).toEqual(
        byType(attrs.key),
      );
      n++;
    }
    expect(n).toBeGreaterThan(20);
  });
});
