/** Nests that are written once for equal masks: they are those of their masks, whatever came before. */

import { expect, test } from 'vitest';
import { FIELD as F } from '../../../src/flow/fields.ts';
import { newFlowKey, setFieldOnes } from '../../../src/flow/flow-key.ts';
import { MaskNests } from '../../../src/odp/key/mask-nests.ts';
import { odpKeyToFlow } from '../../../src/odp/key/odp-key.ts';
import { KERNEL_SUPPORT, odpKeyFromMask } from '../../../src/odp/key/odp-key-build.ts';
import { parseOdpFlow } from '../../../src/odp/text/odp-parse-key.ts';
import { fc } from '../../support/property.ts';

const L2 = 'in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)';
const IPV4 = 'eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,tos=0,ttl=64,';
const FLOWS = [
  `${L2},${IPV4}proto=17,frag=no),udp(src=1,dst=2)`,
  `${L2},${IPV4}proto=6,frag=no),tcp(src=1,dst=2),tcp_flags(2)`,
  `${L2},${IPV4}proto=17,frag=later)`,
  `${L2},${IPV4}proto=1,frag=no),icmp(type=8,code=0)`,
  `${L2},eth_type(0x8100),vlan(vid=5,pcp=0),encap(${IPV4}proto=17,frag=no),udp(src=1,dst=2))`,
  `${L2},eth_type(0x86dd),ipv6(src=::1,dst=::2,label=0,proto=17,tclass=0,hlimit=64,frag=no),udp(src=1,dst=2)`,
  `tunnel(tun_id=0x7,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(key)),${L2},${IPV4}proto=17,frag=no),udp(src=1,dst=2)`,
  `${L2},eth_type(0x0806),arp(sip=1.1.1.1,tip=2.2.2.2,op=1)`,
].map((text) => {
  const flow = newFlowKey();
  odpKeyToFlow(parseOdpFlow(text, { hasMasks: false }).key, flow);
  return flow;
});
const FIELDS = [F.ethSrc, F.nwSrc, F.ipv6Src, F.tpSrc, F.tcpFlags, F.ctState, F.nwTos];
const SUPPORTS = [KERNEL_SUPPORT, { ...KERNEL_SUPPORT, ctState: false }];

test('a nest is that of its mask', () => {
  const step = fc.record({
    flow: fc.nat(FLOWS.length - 1),
    // Few, so that the same come again.
    fields: fc.subarray(FIELDS, { maxLength: 1 }),
    support: fc.nat(SUPPORTS.length - 1),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 2, maxLength: 30 }), (steps) => {
      const nests = new MaskNests();
      for (const { flow: n, fields, support: s } of steps) {
        const [flow, support] = [FLOWS[n] ?? newFlowKey(), SUPPORTS[s] ?? KERNEL_SUPPORT];
        const mask = newFlowKey();
        for (const f of fields) setFieldOnes(mask, f);
        expect([...nests.nestOf(mask, flow, support)]).toEqual([...odpKeyFromMask(mask, flow, support)]);
      }
    }),
  );
});

test('the nest of an equal mask is not written again', () => {
  const nests = new MaskNests();
  const [udp] = FLOWS;
  if (udp === undefined) throw new Error('no flow');
  const mask = newFlowKey();
  setFieldOnes(mask, F.tpSrc);
  expect(nests.nestOf(mask, udp, KERNEL_SUPPORT)).toBe(nests.nestOf(mask.slice(), udp.slice(), KERNEL_SUPPORT));
});
