/** What translation makes of actions that a datapath does not know. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { getField } from '../../src/flow/flow-key.ts';
import { SLOW_PATH } from '../../src/odp/slow-path.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from '../../src/ofproto/backer/dp-support.ts';
import { recircIds } from '../../src/ofproto/xlate/recirc.ts';
import { xlateActions } from '../../src/ofproto/xlate/xlate.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { OFPFC } from '../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../src/openflow/messages/flow/new-flow-mod.ts';
import { MAC_A, MAC_B, udp } from './fakes.ts';
import { type Rig, withRig } from './rig.ts';

let rig: Rig;
withRig((r) => {
  rig = r;
});
beforeEach(() => rig.br.tables.apply(newFlowMod('DELETE')));

/** Translates a packet of 100 bytes without what `less` says. */
async function translate(less: Partial<DpSupport>, actions: string, more: Parameters<typeof udp>[3] = {}) {
  await rig.backer.setSupport({ ...KERNEL_DP_SUPPORT, ...less });
  rig.br.tables.apply(parseFlow(`udp,actions=${actions}`, OFPFC.ADD).flow);
  const flow = udp(2, MAC_A, MAC_B, more);
  const common = { bridge: rig.br, flow, ofpInPort: 1, hasSideEffects: false, stats: undefined, cache: undefined };
  const out = xlateActions({ ...common, packetSize: 100 });
  recircIds.release(out.recircs);
  return { text: formatOdpActions(out.actions), size: out.actions.length, slow: out.slow, wc: out.wc.slice() };
}

const CLONE = 'clone(output(port=2,max_len=100)),output:3';

describe('clone', () => {
  // biome-ignore format: table
  it.each([
    ['as it is',                   {},                                 'clone(trunc(100),3),4'],
    ['by a sample of all',         { clone: false },                   'sample(sample=100.0%,actions(trunc(100),3)),4'],
    ['not at all',                 { clone: false, sampleNesting: 3 }, '4'],
  ])('%s', async (_name, less, text) => {
    expect((await translate(less, CLONE)).text).toBe(text);
  });
});

describe('in userspace', () => {
  // biome-ignore format: table
  it.each([
    ['a packet that is cut',    { trunc: false },       'output(port=2,max_len=100)',                                        'trunc(100),3'],
    ['its length is long',      { checkPktLen: false }, 'check_pkt_larger(99)->NXM_NX_REG0[0],move:NXM_NX_REG0[0]->NXM_NX_IP_TTL[0],output:2', 'set(ipv4(ttl=1/0x1)),3'],
    ['its length is not',       { checkPktLen: false }, 'check_pkt_larger(100)->NXM_NX_REG0[0],move:NXM_NX_REG0[0]->NXM_NX_IP_TTL[0],output:2', '3'],
    ['a label on all of it',    { addMpls: false },     'encap(mpls),encap(ethernet),output:2',                                'add_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),push_eth(src=00:00:00:00:00:00,dst=00:00:00:00:00:00),3'],
  ])('%s', async (_name, less, actions, text) => {
    const slow = await translate(less, actions);
    expect(slow).toMatchObject({ text, slow: SLOW_PATH.ACTION });
    expect((await translate({}, actions)).slow).toBe(0);
  });
});

it('fields are set whole, and all of the header is matched', async () => {
  const { text, wc } = await translate({ maskedSetAction: false }, 'mod_nw_ttl:9,output:2');
  expect(text).toMatch(/^set\(ipv4\(src=10\.0\.0\.1,dst=[0-9.]*,proto=17,tos=0,ttl=9,frag=no\)\),3$/);
  for (const f of [FIELD.nwSrc, FIELD.nwDst]) expect(getField(wc, f) >>> 0).toBe(0xffffffff);
  const masked = await translate({}, 'mod_nw_ttl:9,output:2');
  expect([masked.text, getField(masked.wc, FIELD.nwSrc)]).toEqual(['set(ipv4(ttl=9)),3', 0]);
});

it('connections: events and ct_clear are left out', async () => {
  const less = { ctEventmask: false, ctClear: false };
  // The text does not tell of the mask of events.
  const { size } = await translate({}, 'ct(commit),output:2');
  expect(await translate(less, 'ct(commit),output:2')).toMatchObject({ text: 'ct(commit),3', size: size - 8 });
  const tracked = { ctState: 0x21 };
  expect((await translate({}, 'ct_clear,output:2', tracked)).text).toBe('ct_clear,3');
  expect((await translate(less, 'ct_clear,output:2', tracked)).text).toBe('3');
});
