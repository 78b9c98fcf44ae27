import { beforeEach, describe, expect, it } from 'vitest';
import type { Dpif } from '../../src/dpif/dpif.ts';
import { FIELD, type FieldName, FLOW_WORDS, VLAN_CFI } from '../../src/flow/fields.ts';
import { type FlowKey, getField, newFlowKey, setField, setFieldOnes } from '../../src/flow/flow-key.ts';
import type { SwitchBacker } from '../../src/ofproto/backer/switch-backer.ts';
import { MeterIds } from '../../src/ofproto/meters/meter-ids.ts';
import { OfprotoSwitch } from '../../src/ofproto/ofproto.ts';
import type { BundleConfig, VlanMode } from '../../src/ofproto/ofproto-provider.ts';
import { Tunnels } from '../../src/ofproto/tunnel/tunnels.ts';
import { presentBits } from '../../src/ofproto/xlate/packet-fields.ts';
import { hasExtraBits, nVlans } from '../../src/ofproto/xlate/wildcards.ts';
import { xlateActions } from '../../src/ofproto/xlate/xlate.ts';
import { XLATE_ERROR } from '../../src/ofproto/xlate/xlate-ctx.ts';
import { newFlowMod } from '../../src/openflow/messages/flow/new-flow-mod.ts';
import { OFPP, OFPPC } from '../../src/openflow/ofp-port.ts';
import type { Ofpact } from '../../src/openflow/ofpact.ts';
import { fc } from '../support/property.ts';
import { BROADCAST, keyOf, MAC_A, MAC_B, tag, udp } from './fakes.ts';
import { actionsText, throughNest } from './nests.ts';
import { addFlow, makeMatch, output } from './support/rules.ts';

class Alone implements SwitchBacker {
  readonly tunnels = new Tunnels({} as Dpif);
  readonly meterIds = new MeterIds({} as Dpif);
  revalidations = 0;
  private next = 1;
  revalidate(): void {
    this.revalidations++;
  }
  async attach(): Promise<number> {
    return this.next++;
  }
  async detach(): Promise<void> {}
  async portStats(): Promise<never> {
    throw new Error('not asked for here');
  }
  async operate(): Promise<void> {}
  patchPort(): undefined {}
  byUuid(): undefined {}
  upcallPid(): number {
    return 0xffffffff;
  }
  changed(): void {}
  macsChanged(): void {}
}

interface PortSpec {
  readonly mode: VlanMode;
  readonly tag: number;
  readonly trunks: readonly number[];
  readonly config: number;
  readonly more?: Pick<BundleConfig, 'cvlans' | 'qinqEthtype' | 'priorityTags'>;
}
const PLAIN: PortSpec = { mode: 'trunk', tag: 0, trunks: [], config: 0 };

/** A switch whose ports are br0 (LOCAL, datapath port 1) and p1, p2 ... (OpenFlow 1, 2 ...; datapath 2, 3 ...). */
async function makeSwitch(specs: readonly PortSpec[]): Promise<OfprotoSwitch> {
  const sw = new OfprotoSwitch('br0', new Alone());
  for (const [i, spec] of [PLAIN, ...specs].entries()) {
    const name = i === 0 ? 'br0' : `p${i}`;
    await sw.portAdd({ name, type: 'internal', ofport: undefined, isLocal: i === 0 });
    const { mode: vlanMode, tag: vlan, trunks } = spec;
    sw.bundleSet({ name, members: [name], vlanMode, tag: vlan, trunks, isProtected: false, ...spec.more });
    sw.setPortConfig(name, spec.config);
  }
  return sw;
}

function translate(sw: OfprotoSwitch, flow: FlowKey) {
  const odpPort = getField(flow, FIELD.inPort);
  const ofpInPort = [...sw.ports.values()].find((p) => p.odpPort === odpPort)?.ofport ?? OFPP.NONE;
  const out = xlateActions({
    bridge: sw,
    flow,
    ofpInPort,
    hasSideEffects: false,
    stats: undefined,
    cache: undefined,
  });
  return { text: actionsText(out.actions), wc: out.wc.slice(), error: out.error };
}

const matchOn = (values: Partial<Record<FieldName, number | string>>) => {
  const mask = newFlowKey();
  for (const name of Object.keys(values)) setFieldOnes(mask, FIELD[name as FieldName]);
  return makeMatch(keyOf(values), mask);
};

describe('output', () => {
  let sw: OfprotoSwitch;
  beforeEach(async () => {
    sw = await makeSwitch([PLAIN, PLAIN, PLAIN]);
  });
  const acting = (...actions: Ofpact[]) => {
    addFlow(sw.tables, { priority: 9, match: matchOn({}), actions });
    return translate(sw, udp(2, MAC_A, MAC_B));
  };

  // biome-ignore format: table
  it.each([
    ['a port',            [output(2)],                      '3'],
    ['the input port',    [output(1)],                      'drop'],
    ['IN_PORT',           [output(OFPP.IN_PORT)],           '2'],
    ['LOCAL',             [output(OFPP.LOCAL)],             '1'],
    ['FLOOD',             [output(OFPP.FLOOD)],             '1,3,4'],
    ['ALL',               [output(OFPP.ALL)],               '1,3,4'],
    ['NORMAL',            [output(OFPP.NORMAL)],            '1,3,4'],
    ['NONE',              [output(OFPP.NONE)],              'drop'],
    ['CONTROLLER',        [output(OFPP.CONTROLLER, 128)],   'userspace'],
    ['a missing port',    [output(77)],                     'drop'],
    ['several',           [output(3), output(2), output(3)], '4,3,4'],
    ['nothing',           [],                               'drop'],
  ] as const)('to %s', (_name, actions, text) => {
    expect(acting(...actions).text).toBe(text);
  });

  it('fails, and drops, when TABLE leads round in a circle', () => {
    const { text, error } = acting(output(2), output(OFPP.TABLE));
    expect([text, error]).toEqual(['drop', XLATE_ERROR.RECURSION_TOO_DEEP]);
  });

  it('heeds the configuration of ports', () => {
    sw.setPortConfig('p2', OFPPC.NO_FLOOD);
    sw.setPortConfig('p3', OFPPC.NO_FWD);
    expect(acting(output(OFPP.FLOOD)).text).toBe('1');
    expect(acting(output(OFPP.ALL)).text).toBe('1,3');
    expect(acting(output(OFPP.NORMAL)).text).toBe('1');
    expect(acting(output(3)).text).toBe('drop');
    sw.setPortConfig('p1', OFPPC.NO_RECV);
    expect(acting(output(2)).text).toBe('drop');
  });

  it('takes the rule of highest priority, and drops what none matches', () => {
    sw.tables.apply(newFlowMod('DELETE'));
    expect(translate(sw, udp(2, MAC_A, MAC_B)).text).toBe('drop');
    addFlow(sw.tables, { priority: 1, match: matchOn({ ethType: 0x0800 }), actions: [output(2)] });
    addFlow(sw.tables, { priority: 2, match: matchOn({ inPort: 1 }), actions: [output(3)] });
    expect(translate(sw, udp(2, MAC_A, MAC_B)).text).toBe('4');
    expect(translate(sw, udp(4, MAC_A, MAC_B)).text).toBe('3');
    sw.tables.apply(newFlowMod('DELETE_STRICT', { match: matchOn({ inPort: 1 }), priority: 2 }));
    expect(sw.tables.table(0).nFlows).toBe(1);
    expect(translate(sw, udp(2, MAC_A, MAC_B)).text).toBe('3');
  });
});

describe('wildcards', () => {
  /** Names of the fields that are matched, with the mask where it is not whole. */
  const matched = (wc: FlowKey): string =>
    (Object.keys(FIELD) as FieldName[])
      .flatMap((name) => {
        const f = FIELD[name];
        const ones = newFlowKey();
        setFieldOnes(ones, f);
        const set = ones.map((w, i) => w & (wc[i] ?? 0));
        if (set.every((w) => w === 0)) return [];
        if (set.every((w, i) => w === ones[i])) return [name];
        return [`${name}/${getField(wc, f).toString(16)}`];
      })
      .join(' ');
  const META = 'recircId inPort';

  // biome-ignore format: table
  it.each([
    ['IPv4',                 udp(2, MAC_A, MAC_B),                               `${META} ethDst ethSrc ethType nwFrag`],
    ['a later fragment',     udp(2, MAC_A, MAC_B, { nwFrag: 2, tpSrc: 0, tpDst: 0 }), `${META} ethDst ethSrc ethType nwFrag`],
    ['IPv6',                 keyOf({ inPort: 2, ethSrc: MAC_A, ethDst: MAC_B, ethType: 0x86dd, nwProto: 58 }), `${META} ethDst ethSrc ethType nwFrag`],
    ['IGMP',                 udp(2, MAC_A, '01:00:5e:00:00:16', { nwProto: 2 }), `${META} ethDst ethSrc ethType nwFrag`],
    ['a VLAN',               udp(2, MAC_A, MAC_B, tag(5, 3)),                    `${META} ethDst ethSrc ethType vlanTci/1fff nwFrag`],
    ['a priority tag',       udp(2, MAC_A, MAC_B, tag(0, 3)),                    `${META} ethDst ethSrc ethType vlanTci nwFrag`],
    ['ARP, broadcast',       keyOf({ inPort: 2, ethSrc: MAC_A, ethDst: BROADCAST, ethType: 0x0806, nwProto: 1, nwSrc: 1, nwDst: 2 }), `${META} ethDst ethSrc ethType nwProto nwSrc nwDst`],
    ['ARP, broadcast reply', keyOf({ inPort: 2, ethSrc: MAC_A, ethDst: BROADCAST, ethType: 0x0806, nwProto: 2, nwSrc: 1, nwDst: 2 }), `${META} ethDst ethSrc ethType nwProto`],
    ['ARP, unicast',         keyOf({ inPort: 2, ethSrc: MAC_A, ethDst: MAC_B, ethType: 0x0806, nwProto: 2, nwSrc: 1, nwDst: 2 }), `${META} ethDst ethSrc ethType`],
    ['LLDP',                 keyOf({ inPort: 2, ethSrc: MAC_A, ethDst: '01:80:c2:00:00:0e', ethType: 0x88cc }), `${META} ethDst ethSrc ethType`],
  ])('of NORMAL for %s', async (_name, flow, want) => {
    const sw = await makeSwitch([PLAIN, PLAIN]);
    expect(matched(translate(sw, flow).wc)).toBe(want);
  });

  it('of a popped tag: all of it', async () => {
    const sw = await makeSwitch([PLAIN, { ...PLAIN, mode: 'access', tag: 5 }]);
    const { text, wc } = translate(sw, udp(2, MAC_A, MAC_B, tag(5)));
    expect(text).toBe('1,pop_vlan,3');
    expect(matched(wc)).toBe(`${META} ethDst ethSrc ethType vlanTpid vlanTci nwFrag`);
  });

  it('of rules: what the tables that were tried look at, and nothing that the packet has not got', async () => {
    const sw = await makeSwitch([PLAIN, PLAIN]);
    sw.tables.apply(newFlowMod('DELETE'));
    const rule = (priority: number, values: Parameters<typeof matchOn>[0]) =>
      addFlow(sw.tables, { priority, match: matchOn(values), actions: [output(2)] });
    rule(30, { ethType: 0x0800, nwProto: 6, tpDst: 80 });
    rule(20, { ethType: 0x0800, nwDst: 0x0a000002 });
    rule(10, { skbMark: 1 });
    // That it is not TCP is known before ports are looked at.
    expect(matched(translate(sw, udp(2, MAC_A, MAC_B)).wc)).toBe(`${META} ethType nwProto nwFrag nwDst`);
    const arp = keyOf({ inPort: 2, ethSrc: MAC_A, ethDst: BROADCAST, ethType: 0x0806, nwProto: 1 });
    expect(matched(translate(sw, arp).wc)).toBe('recircId inPort skbMark ethType');
  });
});

// Small domains, so that packets and rules meet.
const macs = fc.constantFrom(MAC_A, MAC_B, '02:00:00:00:00:0c', BROADCAST, '01:80:c2:00:00:02', '01:00:5e:00:00:01');
const small = fc.constantFrom(1, 2, 3);
const protos = fc.constantFrom(1, 6, 17, 58, 132, 2);
const tags = fc.constantFrom({}, {}, tag(0), tag(0, 3), tag(10), tag(10, 5), tag(20), { ...tag(20), vlanTpid: 0x88a8 });
const innerTags = fc.constantFrom({}, {}, { cvlanTpid: 0x8100, cvlanTci: VLAN_CFI | 10 });

const packets: fc.Arbitrary<FlowKey> = fc
  .record({
    inPort: fc.constantFrom(1, 2, 3, 4),
    skbMark: fc.constantFrom(0, 1),
    ethSrc: macs,
    ethDst: macs,
    ethType: fc.constantFrom(0x0800, 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8100),
    vlan: tags,
    inner: innerTags,
    nwProto: protos,
    nwTos: small,
    nwFrag: fc.constantFrom(0, 0, 1, 2),
    nwSrc: small,
    nwDst: small,
    tpSrc: small,
    tpDst: small,
    tcpFlags: small,
  })
  .map(({ vlan, inner, ...fields }) => {
    const key = keyOf({ ...fields, ...vlan, ...('vlanTci' in vlan ? inner : {}) });
    const present = presentBits(key);
    return key.map((w, i) => w & (present[i] ?? 0));
  });

const ports: fc.Arbitrary<PortSpec> = fc.record({
  mode: fc.constantFrom<VlanMode>('access', 'trunk', 'trunk', 'native-tagged', 'native-untagged', 'dot1q-tunnel'),
  tag: fc.constantFrom(0, 10, 20),
  trunks: fc.constantFrom<readonly number[]>([], [10], [0, 20]),
  config: fc.constantFrom(0, 0, 0, OFPPC.NO_FLOOD, OFPPC.NO_FWD, OFPPC.NO_RECV),
});

const bitsOf32 = fc.constantFrom(0xffffffff, 0xfffffffe, 1, 0);
const rules = fc
  .record({
    priority: fc.integer({ min: 0, max: 5 }),
    kind: fc.constantFrom('any', 'port', 'eth', 'vlan', 'ip', 'l4', 'arp', 'mark'),
    a: small,
    b: small,
    mac: macs,
    mask: bitsOf32,
    proto: protos,
    out: fc.array(fc.constantFrom(1, 2, 3, OFPP.LOCAL, OFPP.NORMAL, OFPP.FLOOD, OFPP.IN_PORT, OFPP.ALL), {
      maxLength: 3,
    }),
  })
  .map(({ priority, kind, a, b, mac, mask, proto, out }) => {
    const key = newFlowKey();
    const m = newFlowKey();
    const exact = (values: Partial<Record<FieldName, number | string>>) => {
      const match = matchOn(values);
      for (let i = 0; i < FLOW_WORDS; i++) {
        key[i]! |= match.flow[i]!;
        m[i]! |= match.mask[i]!;
      }
    };
    if (kind === 'port') exact({ inPort: a });
    if (kind === 'mark') exact({ skbMark: a & 1 });
    if (kind === 'eth') exact({ ethDst: mac });
    if (kind === 'vlan') {
      setField(key, FIELD.vlanTci, VLAN_CFI | (a * 10));
      setField(m, FIELD.vlanTci, a === 3 ? VLAN_CFI : 0x1fff);
    }
    if (kind === 'ip') {
      exact({ ethType: 0x0800 });
      setField(key, FIELD.nwSrc, a);
      setField(m, FIELD.nwSrc, mask);
    }
    if (kind === 'l4') {
      exact({ ethType: b === 1 ? 0x86dd : 0x0800, nwProto: proto });
      setField(key, FIELD.tpDst, a);
      setField(m, FIELD.tpDst, mask & 0xffff);
    }
    if (kind === 'arp') exact({ ethType: 0x0806, nwProto: a, nwDst: b });
    return { priority, match: makeMatch(key, m), actions: out.map((p) => output(p)) };
  });

/** Whether the datapath's megaflow of `key` and `wc` takes `other` too: its tags are told apart by Ethernet types. */
function megaflowTakes(key: FlowKey, wc: FlowKey, other: FlowKey): boolean {
  if (nVlans(key) !== nVlans(other)) return false;
  for (const f of [FIELD.vlanTpid, FIELD.cvlanTpid]) if (getField(key, f) !== getField(other, f)) return false;
  return wc.every((bits, i) => ((key[i]! ^ other[i]!) & bits) === 0);
}

describe('megaflows', () => {
  it('are never too wide: whatever they take is translated alike', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(ports, { minLength: 3, maxLength: 3 }),
        fc.array(rules, { maxLength: 6 }),
        fc.array(fc.tuple(macs, fc.constantFrom(0, 10, 20), small), { maxLength: 4 }),
        fc.array(packets, { minLength: 2, maxLength: 24 }),
        async (portSpecs, ruleSpecs, learned, flows) => {
          const sw = await makeSwitch(portSpecs);
          for (const r of ruleSpecs) addFlow(sw.tables, r);
          for (const [mac, vlan, port] of learned) {
            const bundle = sw.xport(port)?.bundle;
            if (bundle !== undefined) sw.learn(Number.parseInt(mac.replaceAll(':', ''), 16), vlan, bundle, false);
          }
          for (const p of flows) {
            const { text, wc } = translate(sw, p);
            // Packets like it, but with others' bits wherever the megaflow says that they do not matter.
            const alike = flows.map((other) => {
              const q = p.map((w, i) => (w & wc[i]!) | (other[i]! & ~wc[i]!));
              const tags = [FIELD.vlanTpid.word, FIELD.cvlanTpid.word];
              for (const [n, w] of tags.entries()) if (nVlans(p) <= n) q[w] = 0;
              const present = presentBits(q);
              return q.map((x, i) => x & present[i]!);
            });
            for (const q of [...flows, ...alike]) {
              if (megaflowTakes(p, wc, q)) expect(translate(sw, q).text).toBe(text);
            }
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it('say all that was consulted in a form that the datapath gives back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(ports, { minLength: 3, maxLength: 3 }),
        fc.array(rules, { maxLength: 6 }),
        fc.array(packets, { minLength: 1, maxLength: 8 }),
        async (portSpecs, ruleSpecs, flows) => {
          const sw = await makeSwitch(portSpecs);
          for (const r of ruleSpecs) addFlow(sw.tables, r);
          for (const p of flows) {
            const { wc } = translate(sw, p);
            expect(hasExtraBits(throughNest(p, wc), wc)).toBe(false);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('tags of ports', () => {
  const access = (more: PortSpec['more'] = {}): PortSpec => ({ ...PLAIN, mode: 'access', tag: 12, more });
  const tunnel = (more: PortSpec['more'] = {}): PortSpec => ({ ...PLAIN, mode: 'dot1q-tunnel', tag: 12, more });
  // Port 1 of the datapath is LOCAL, a trunk; p1, where packets come in, is its port 2.
  const flood = async (specs: readonly PortSpec[], flow = udp(2, MAC_A, BROADCAST)): Promise<string> => {
    const sw = await makeSwitch(specs);
    addFlow(sw.tables, { priority: 9, match: matchOn({}), actions: [output(OFPP.NORMAL)] });
    return translate(sw, flow).text;
  };
  const tagged = (vid: number, pcp: number) =>
    udp(2, MAC_A, BROADCAST, { vlanTpid: 0x8100, vlanTci: VLAN_CFI | (pcp << 13) | vid });

  it('of VLAN 0 tell the priority of packets that are to have no other', async () => {
    const ports = (priorityTags: 'never' | 'if-nonzero' | 'always') => [PLAIN, access({ priorityTags })];
    expect(await flood(ports('never'), tagged(12, 3))).toBe('1,pop_vlan,3');
    expect(await flood(ports('if-nonzero'), tagged(12, 3))).toBe('1,pop_vlan,push_vlan(8100,7000),3');
    expect(await flood(ports('if-nonzero'), tagged(12, 0))).toBe('1,pop_vlan,3');
  });

  it('of customers decide whether a tunnel takes their packets', async () => {
    const more = { cvlans: [10, 11], qinqEthtype: 0x8100 };
    expect(await flood([tunnel(more), tunnel()], tagged(9, 0))).toBe('drop');
    expect(await flood([tunnel(more), tunnel()], tagged(10, 0))).toBe('push_vlan(8100,100c),1,pop_vlan,3');
    expect(await flood([tunnel(), tunnel(more)], tagged(10, 0))).toBe('push_vlan(88a8,100c),1,pop_vlan,3');
    expect(await flood([tunnel(), tunnel(more)], tagged(9, 0))).toBe('push_vlan(88a8,100c),1');
  });
});
