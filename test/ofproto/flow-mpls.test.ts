import { expect, test } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { getField, newFlow, setField } from '../../src/flow/flow-key.ts';
import { pushMpls } from '../../src/ofproto/xlate/actions/flow-mpls.ts';

const MPLS = 0x8847;

/** An IPv4 packet with DSCP 46 and TTL 9, of a packet_type. */
function ipFlow(packetType: number) {
  const flow = newFlow();
  setField(flow, FIELD.packetType, packetType);
  setField(flow, FIELD.ethType, 0x0800);
  setField(flow, FIELD.nwTos, 46 << 2);
  setField(flow, FIELD.nwTtl, 9);
  return flow;
}

test('a label pushed onto IP has its class and its TTL, and looks at them', () => {
  const [flow, wc] = [ipFlow(0), newFlow()];
  pushMpls(flow, 0, MPLS, wc, true);
  expect(flow[FIELD.mplsLse0.word]).toBe((6 << 9) | 0x100 | 9);
  expect([getField(wc, FIELD.nwTos), getField(wc, FIELD.nwTtl)]).toEqual([0xfc, 0xff]);
});

test('what encap(mpls) has made a packet of MPLS has nothing of IP that a label could take', () => {
  const [flow, wc] = [ipFlow((1 << 16) | MPLS), newFlow()];
  pushMpls(flow, 0, MPLS, wc, true);
  expect(flow[FIELD.mplsLse0.word]).toBe(0x100 | 64);
  expect(wc).toEqual(newFlow());
});
