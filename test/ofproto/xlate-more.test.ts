/** Actions that keep fields aside, that the datapath decides, and how far a translation may go. */
import { beforeEach, describe, expect, it } from 'vitest';
import { SLOW_PATH } from '../../src/odp/slow-path.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { decodeCookie } from '../../src/odp/user-action-cookie.ts';
import { recircIds } from '../../src/ofproto/xlate/recirc.ts';
import type { XBridge } from '../../src/ofproto/xlate/xbridge.ts';
import { xlateActions } from '../../src/ofproto/xlate/xlate.ts';
import { XLATE_ERROR, xlateErrorText } from '../../src/ofproto/xlate/xlate-error.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { OFPFC } from '../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../src/openflow/messages/flow/new-flow-mod.ts';
import { readCoverage } from '../../src/util/coverage.ts';
import { MAC_A, MAC_B, udp } from './fakes.ts';
import { type Rig, withRig } from './rig.ts';

let rig: Rig;
withRig((r) => {
  rig = r;
});
beforeEach(() => rig.br.tables.apply(newFlowMod('DELETE')));

const add = (...texts: string[]): void => {
  for (const text of texts) rig.br.tables.apply(parseFlow(text, OFPFC.ADD).flow);
};
const packet = udp(2, MAC_A, MAC_B);

/** Translates; `R` stands for ids of recirculations. */
function translate(bridge: XBridge = rig.br, flow = packet) {
  const out = xlateActions({ bridge, flow, ofpInPort: 1, hasSideEffects: true, stats: undefined, cache: undefined });
  recircIds.release(out.recircs);
  const text = formatOdpActions(out.actions).replace(/recirc\(0x[0-9a-f]+\)/g, 'R');
  return { text, error: out.error, actions: out.actions, slow: out.slow };
}

describe('push and pop', () => {
  // biome-ignore format: table
  it.each([
    ['carry a value over',        'push:NXM_OF_IP_SRC[],pop:NXM_OF_IP_DST[]',                   'set(ipv4(dst=10.0.0.1))'],
    ['last in, first out',        'push:NXM_OF_UDP_SRC[],push:NXM_OF_UDP_DST[],pop:NXM_OF_UDP_SRC[],pop:NXM_OF_UDP_DST[]', 'set(udp(src=2000,dst=1000))'],
    ['bits to the low bits',      'push:NXM_OF_IP_SRC[24..31],pop:NXM_OF_IP_DST[]',             'set(ipv4(dst=0.0.0.10))'],
    ['cut what has no room',      'push:NXM_OF_UDP_DST[],pop:NXM_NX_IP_TTL[]',                  'set(ipv4(ttl=208))'],
    ['nothing off an empty stack', 'pop:NXM_OF_IP_DST[]',                                       ''],
  ])('%s', (_name, actions, text) => {
    add(`udp,actions=${actions},output:2`);
    expect(translate()).toMatchObject({ text: text === '' ? '3' : `${text},3`, error: XLATE_ERROR.OK });
  });
});

describe('check_pkt_larger', () => {
  it('goes on in both ways', () => {
    add('actions=check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,1)');
    add('table=1,reg0=1,actions=output:2', 'table=1,reg0=0,actions=mod_nw_ttl:9,output:3');
    expect(translate().text).toBe('check_pkt_len(size=100,gt(3),le(set(ipv4(ttl=9)),4))');
  });

  it('leaves the packet as it was for those who looked it up', () => {
    add('actions=resubmit(,1),output:3');
    add('table=1,actions=check_pkt_larger(100)->NXM_NX_REG0[0],mod_nw_ttl:9,output:2');
    expect(translate().text).toBe('check_pkt_len(size=100,gt(set(ipv4(ttl=9)),3),le(set(ipv4(ttl=9)),3)),4');
  });

  it('recirculates in one way only', () => {
    add('actions=check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,1)');
    add('table=1,reg0=1,actions=ct(table=2)', 'table=1,reg0=0,actions=output:3');
    expect(translate().text).toBe('check_pkt_len(size=100,gt(ct,R),le(4))');
  });
});

describe('sample', () => {
  const sampling = (samples: boolean): XBridge => Object.create(rig.br, { samplesFlows: { value: samples } });
  const action = (more: string) =>
    `actions=sample(probability=${more},collector_set_id=2,obs_domain_id=3,obs_point_id=4),output:2`;

  it('does nothing without an exporter', () => {
    add(action('100'));
    expect(translate(sampling(false)).text).toBe('3');
  });

  it('sends up some of the packets', () => {
    add(action('32768'));
    const { text } = translate(sampling(true));
    expect(text).toMatch(
      /^sample\(sample=50\.0%,actions\(userspace\(.*flow_sample\(probability=32768,collector_set_id=2/,
    );
    add(action('65535'));
    expect(translate(sampling(true)).text).toMatch(/^userspace\(/);
  });

  it('says for which port', () => {
    add('actions=sample(probability=65535,collector_set_id=1,sampling_port=3,egress)');
    const { actions } = translate(sampling(true));
    // The cookie follows the headers of the action, of the pid, and its own.
    const cookie = decodeCookie(actions.slice(16, 64));
    expect(cookie).toMatchObject({ type: 'flowSample', outputOdpPort: 4, direction: 2, ofpInPort: 1 });
  });
});

describe('limits', () => {
  it('of depth: a circle of resubmissions', () => {
    const drops = readCoverage('drop_action_recursion_too_deep') ?? 0;
    add('actions=resubmit(,0)');
    expect(translate()).toMatchObject({ text: 'drop', error: XLATE_ERROR.RECURSION_TOO_DEEP });
    // Without statistics nothing is counted.
    expect(readCoverage('drop_action_recursion_too_deep')).toBe(drops);
  });

  it('of depth: 64 are not too many', () => {
    for (let i = 0; i < 64; i++) add(`reg0=${i},actions=load:${i + 1}->NXM_NX_REG0[],resubmit(,0)`);
    add('reg0=64,actions=output:2');
    expect(translate()).toMatchObject({ text: '3', error: XLATE_ERROR.OK });
    add('reg0=64,actions=load:65->NXM_NX_REG0[],resubmit(,0)', 'reg0=65,actions=output:2');
    expect(translate().error).toBe(XLATE_ERROR.RECURSION_TOO_DEEP);
  });

  it('of depth: rising tables do not count', () => {
    for (let i = 0; i < 200; i++) add(`table=${i},actions=goto_table:${i + 1}`);
    add('table=200,actions=output:2');
    expect(translate()).toMatchObject({ text: '3', error: XLATE_ERROR.OK });
  });

  it('of resubmissions', () => {
    for (let i = 0; i < 14; i++) add(`table=${i},actions=resubmit(,${i + 1}),resubmit(,${i + 1})`);
    add('table=14,actions=output:2');
    expect(translate().error).toBe(XLATE_ERROR.TOO_MANY_RESUBMITS);
  });

  it('of the stack', () => {
    const push = 'push:NXM_NX_XXREG0[]';
    for (let i = 0; i < 9; i++) add(`table=${i},actions=resubmit(,${i + 1}),resubmit(,${i + 1})`);
    add(`table=9,actions=${Array(8).fill(push).join()}`);
    expect(translate().error).toBe(XLATE_ERROR.STACK_TOO_DEEP);
  });

  it('of actions: a packet that has many goes through userspace', () => {
    for (let i = 0; i < 10; i++) add(`table=${i},actions=resubmit(,${i + 1}),resubmit(,${i + 1})`);
    add('table=10,actions=mod_nw_ttl:9,output:2,mod_nw_ttl:8,output:3');
    expect(translate()).toMatchObject({ error: XLATE_ERROR.OK, slow: SLOW_PATH.ACTION });
  });

  it('have texts', () => {
    expect(
      Object.values(XLATE_ERROR)
        .map(xlateErrorText)
        .filter((t) => t === 'Unknown error').length,
    ).toBe(1);
  });
});

describe('dropped packets', () => {
  const read = (name: string): number => readCoverage(`drop_action_${name}`) ?? 0;

  it('are counted by reason, those of the datapath too', async () => {
    const before = read('of_pipeline');
    add('actions=drop');
    await rig.forward(packet);
    expect(read('of_pipeline')).toBe(before + 1);
    rig.dpif.hit(rig.dpif.only, 2);
    await rig.scheduler.advance(1000);
    expect(read('of_pipeline')).toBe(before + 3);
  });

  it('of a translation that failed, too', async () => {
    const before = read('recursion_too_deep');
    add('actions=resubmit(,0)');
    await rig.forward(packet);
    expect(rig.flowActions).toEqual(['drop']);
    expect(read('recursion_too_deep')).toBe(before + 1);
  });
});
