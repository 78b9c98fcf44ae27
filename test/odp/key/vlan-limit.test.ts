import { afterEach, expect, test } from 'vitest';
import { FIELD } from '../../../src/flow/fields.ts';
import { getField, newFlow } from '../../../src/flow/flow-key.ts';
import { ODP_FIT } from '../../../src/odp/key/fitness.ts';
import { odpKeyToFlow } from '../../../src/odp/key/odp-key.ts';
import { setVlanLimit, vlanLimit } from '../../../src/odp/key/vlan-limit.ts';
import { parseOdpFlow } from '../../../src/odp/text/odp-parse-key.ts';
import { flowOfPacket } from '../../../src/ofproto/xlate/packet-flow.ts';

afterEach(() => {
  setVlanLimit(1);
});

const KEY =
  'in_port(1),eth(src=00:11:22:33:44:55,dst=00:22:44:66:88:00),eth_type(0x88a8),vlan(vid=4,pcp=0),' +
  'encap(eth_type(0x8100),vlan(vid=5,pcp=0),encap(eth_type(0xabcd)))';
const FRAME = Buffer.from('002244668800001122334455' + '88a80004' + '81000005' + 'abcd', 'hex');

test('a number below 1 is as many as there can be', () => {
  const seen = [1, 2, 3, 0, -1].map((n) => [setVlanLimit(n), vlanLimit()]);
  expect(seen).toEqual([
    [false, 1],
    [true, 2],
    [false, 2],
    [false, 2],
    [false, 2],
  ]);
});

test.each([
  [1, [0x8100, 0]],
  [2, [0xabcd, 0x1005]],
])('with a limit of %i keys and packets have that many tags', (limit, want) => {
  setVlanLimit(limit);
  const flow = newFlow();
  expect(odpKeyToFlow(parseOdpFlow(KEY).key, flow)).not.toBe(ODP_FIT.ERROR);
  const seen = (f: typeof flow) => [getField(f, FIELD.ethType), getField(f, FIELD.cvlanTci)];
  expect(seen(flow)).toEqual(want);
  expect(seen(flowOfPacket(FRAME, newFlow()))).toEqual(want);
});
