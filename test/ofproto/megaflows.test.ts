/**
 * Random tables and packets: whatever a megaflow takes is translated alike.  `xlate.test.ts` does it with matches of many kinds and plain
 * outputs; here it is the actions that are many.
 */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FIELD, FLOW_WORDS } from '../../src/flow/fields.ts';
import { type FlowKey, getField, setField } from '../../src/flow/flow-key.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import type { MirrorSettings } from '../../src/ofproto/mirror/mirror-settings.ts';
import type { BundleConfig } from '../../src/ofproto/ofproto-provider.ts';
import { presentBits } from '../../src/ofproto/xlate/packet-fields.ts';
import { recircIds } from '../../src/ofproto/xlate/recirc.ts';
import { nVlans } from '../../src/ofproto/xlate/wildcards.ts';
import { xlateActions } from '../../src/ofproto/xlate/xlate.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { parseGroupMod } from '../../src/openflow/group-text.ts';
import { OFPFC } from '../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../src/openflow/messages/flow/new-flow-mod.ts';
import { GROUP_COMMAND } from '../../src/openflow/messages/switch/switch-types.ts';
import { OFPPC } from '../../src/openflow/ofp-port.ts';
import { fc } from '../support/property.ts';
import { MAC_A, MAC_B, tag, udp } from './fakes.ts';
import { bundle, type Rig, withRig } from './rig.ts';

const MIRROR: MirrorSettings = {
  id: 'm',
  name: 'm',
  srcs: [],
  dsts: [],
  vlans: [],
  outPort: 'v3',
  outVlan: 0,
  snaplen: 0,
};
let rig: Rig;
withRig((r) => {
  rig = r;
});

/** A second bridge behind port 4. */
beforeEach(async () => {
  const br1 = rig.backer.createOfproto('br1');
  for (const [br, name] of [
    [rig.br, 'p0'],
    [br1, 'p1'],
  ] as const) {
    // biome-ignore format: pairs
    await br.portAdd({ name, type: 'patch', ofport: undefined, isLocal: false });
    br.bundleSet(bundle(name));
  }
  await br1.portAdd({ name: 'w1', type: 'system', ofport: undefined, isLocal: false });
  br1.bundleSet(bundle('w1'));
  rig.br.setPatchPeer('p0', 'p1');
  br1.setPatchPeer('p1', 'p0');
});
const held: number[] = [];
afterEach(() => recircIds.release(held.splice(0)));

const FIELDS = ['NXM_OF_IP_SRC', 'NXM_OF_IP_DST', 'NXM_NX_REG0', 'NXM_NX_REG1'] as const;
const field = fc.constantFrom(...FIELDS);
const ACTIONS = fc.oneof(
  fc.constantFrom(
    ...['output:1', 'output:2', 'output:3', 'output:4', 'IN_PORT', 'NORMAL', 'FLOOD', 'enqueue:2:1'],
    ...['dec_ttl', 'mod_nw_tos:16', 'mod_vlan_vid:7', 'strip_vlan', 'push_vlan:0x8100', 'mod_dl_src:02:00:00:00:00:0a'],
    ...[
      'resubmit(,1)',
      'resubmit(,2)',
      'resubmit(2,1)',
      'resubmit(,0)',
      'exit',
      'ct(table=2)',
      'ct_clear',
      'debug_recirc',
    ],
    'check_pkt_larger(100)->NXM_NX_REG0[0]',
    'learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])',
    'learn(table=1,limit=1,result_dst=NXM_NX_REG1[0],NXM_OF_IP_SRC[])',
    'fin_timeout(idle_timeout=5)',
    'clone(mod_nw_tos:4,output:3)',
    'multipath(symmetric_l4,0,modulo_n,2,0,NXM_NX_REG0[0..3])',
    'bundle(nw_src,0,hrw,ofport,members:2,3)',
    'controller(max_len=40)',
    'output:NXM_NX_REG0[0..15]',
  ),
  fc.constantFrom(
    ...['group:1', 'group:2', 'group:3', 'group:4', 'clone(push_vlan:0x88a8,output:2)', 'push_vlan:0x88a8'],
    ...['set_tunnel:0x17', 'set_field:0x1/0x3->metadata', 'load:7->NXM_NX_PKT_MARK[]', 'set_field:5->xreg0'],
    ...['mod_vlan_pcp:3', 'mod_nw_ecn:1', 'mod_tp_dst:53', 'mod_nw_src:10.0.0.2', 'set_field:10.0.0.0/8->ip_dst'],
    ...['ct(commit,table=1,exec(load:5->NXM_NX_CT_MARK[]))', 'resubmit(,2,ct)', 'push_mpls:0x8847', 'dec_mpls_ttl'],
    ...[
      'bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG1[],members:1,2)',
      'multipath(eth_src,0,hrw,3,0,NXM_NX_REG1[0..3])',
    ],
    ...[
      'load:NXM_OF_VLAN_TCI[]->NXM_NX_REG0[0..15]',
      'move:NXM_OF_VLAN_TCI[]->NXM_NX_REG0[0..15]',
      'write_actions(output:2)',
    ],
    ...[
      'write_actions(group:1)',
      'clear_actions',
      'goto_table:2',
      'note:01',
      'conjunction(7,1/2)',
      'conjunction(7,2/2)',
    ],
  ),
  field.map((f) => `push:${f}[]`),
  field.map((f) => `push:${f}[4..11]`),
  field.map((f) => `pop:${f}[]`),
  field.map((f) => `pop:${f}[0..3]`),
  fc.tuple(field, field).map(([a, b]) => `move:${a}[0..7]->${b}[8..15]`),
  fc.tuple(field, fc.integer({ min: 0, max: 3 })).map(([f, n]) => `load:${n}->${f}[0..1]`),
);
const MATCHES = fc.constantFrom(
  ...[
    '',
    'in_port=1,',
    'in_port=2,',
    'ip,',
    `dl_src=${MAC_A},`,
    `dl_dst=${MAC_B},`,
    'ip,nw_src=10.0.0.1,',
    'ip,nw_dst=10.0.0.0/30,',
  ],
  ...[
    'udp,tp_dst=2000,',
    'udp,tp_src=1000/0xfff8,',
    'reg0=1,',
    'reg0=0/1,',
    'reg1=0,',
    'dl_vlan=7,',
    'vlan_tci=0,',
    'ip,nw_tos=16,',
  ],
  ...[
    'metadata=1,',
    'metadata=0/2,',
    'tun_id=0x17,',
    'pkt_mark=7,',
    'xreg0=5,',
    'dl_vlan_pcp=0,',
    'vlan_tci=0x1000/0x1000,',
    'conj_id=7,ip,',
  ],
  ...[
    'tcp,',
    'udp,nw_src=10.0.0.0/8,',
    'ip,nw_ecn=1,',
    'ip,nw_dst=10.0.0.7/0.0.0.7,',
    'dl_src=02:00:00:00:00:00/ff:ff:ff:ff:ff:f0,',
  ],
  ...['ip,nw_ttl=64,', 'ip,ip_frag=no,', 'ip,ip_frag=later,', 'ct_state=+trk,ip,', 'dl_type=0x1234,'],
);
const FLOWS = fc
  .tuple(fc.constantFrom(0, 0, 1, 2), fc.integer({ min: 0, max: 3 }), MATCHES, fc.array(ACTIONS, { maxLength: 5 }))
  .map(([table, priority, match, actions]) => {
    const list = actions.length === 0 ? 'drop' : actions.join();
    return `table=${table},priority=${priority},${match}actions=${list}`;
  });
/** Those of a switch; some name ports and fields that decide on a bucket. */
const GROUPS = fc.constantFrom(
  'group_id=1,type=all,bucket=output:2,bucket=mod_nw_tos:32,output:3,bucket=resubmit(,1)',
  'group_id=1,type=all,bucket=group:2,bucket=dec_ttl,output:1',
  'group_id=2,type=select,selection_method=hash,fields(eth_src,ip_dst),bucket=output:2,bucket=output:3,bucket=resubmit(,2)',
  'group_id=2,type=select,selection_method=hash,fields=vlan_vid,bucket=output:2,bucket=load:1->NXM_NX_REG0[],resubmit(,2)',
  'group_id=2,type=select,selection_method=hash,fields(ip_src=255.0.0.0),bucket=output:1,bucket=output:2',
  'group_id=3,type=ff,bucket=watch_port:2,output:2,bucket=watch_port:3,output:3',
  'group_id=3,type=indirect,bucket=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],normal',
);
/** VLAN modes of port v2. */
const MODES = fc.constantFrom<Partial<BundleConfig>>(
  ...[{}, {}, { priorityTags: 'if-nonzero' as const }, { priorityTags: 'always' as const }, { trunks: [0, 7] }],
  ...[{ vlanMode: 'access' as const, tag: 7 }, { vlanMode: 'native-untagged' as const, tag: 7 }, { isProtected: true }],
);
const MIRRORS = fc.constantFrom<readonly Partial<MirrorSettings>[]>(
  ...[
    [],
    [],
    [{ srcs: ['v1'] }],
    [{ dsts: ['v2'] }],
    [{ srcs: ['v1', 'v2'], vlans: [7] }],
    [{ srcs: ['v1'], outPort: undefined, outVlan: 9 }],
  ],
);
const PACKETS = fc
  .record({
    inPort: fc.constantFrom(2, 3),
    src: fc.constantFrom(MAC_A, MAC_B),
    dst: fc.constantFrom(MAC_A, MAC_B, '01:80:c2:00:00:00'),
    vid: fc.constantFrom(undefined, 0, 7),
    pcp: fc.constantFrom(0, 0, 3),
    nwSrc: fc.constantFrom(0x0a000001, 0x0a000002, 0x0b0000ff),
    nwDst: fc.constantFrom(0x0a000001, 0x0a000007),
    nwTtl: fc.constantFrom(0, 1, 2, 64),
    nwTos: fc.constantFrom(0, 16, 17),
    nwFrag: fc.constantFrom(0, 0, 0, 1, 2),
    tpDst: fc.constantFrom(0, 2000, 2001),
  })
  .map(({ src, dst, inPort, vid, pcp, nwFrag, tpDst, ...more }) => {
    const ports = nwFrag === 2 ? { tpSrc: 0, tpDst: 0 } : { tpDst };
    return udp(inPort, src, dst, { ...more, ...ports, nwFrag, ...(vid === undefined ? {} : tag(vid, pcp)) });
  });

/** Translates without side effects. */
function translate(flow: FlowKey) {
  const ofpInPort = (flow[FIELD.inPort.word] as number) - 1;
  const out = xlateActions({
    bridge: rig.br,
    flow,
    ofpInPort,
    hasSideEffects: false,
    stats: undefined,
    cache: undefined,
  });
  const text = formatOdpActions(out.actions);
  const result = { text: `${out.error} ${out.slow} ${text}`, wc: out.wc.slice(0, FLOW_WORDS) };
  // The same state has the same id as long as it is held.
  held.push(...out.recircs);
  return result;
}

/** Whether the megaflow takes `other`, too: tags are told apart by their Ethernet types. */
const takes = (key: FlowKey, wc: FlowKey, other: FlowKey): boolean =>
  nVlans(key) === nVlans(other) &&
  getField(key, FIELD.vlanTpid) === getField(other, FIELD.vlanTpid) &&
  wc.every((bits, i) => (((key[i] as number) ^ (other[i] as number)) & bits) === 0);

describe('megaflows of many actions', () => {
  it('take only what is translated alike', () => {
    fc.assert(
      fc.property(
        fc.array(FLOWS, { minLength: 1, maxLength: 8 }),
        fc.array(PACKETS, { minLength: 2, maxLength: 10 }),
        // Whether a packet is tracked belongs to what is frozen, and is not matched for that: as Open vSwitch does it.
        fc.constantFrom(0, 0, 0x22),
        fc.constantFrom(0, 1, 3),
        fc.constantFrom(0, 0, OFPPC.NO_RECV, OFPPC.NO_RECV_STP),
        fc.record({ groups: fc.array(GROUPS, { maxLength: 3 }), mode: MODES, mirrors: MIRRORS }),
        (flows, packets, ctState, frag, config, { groups, mode, mirrors }) => {
          for (const p of packets) setField(p, FIELD.ctState, ctState);
          recircIds.release(held.splice(0));
          rig.br.tables.apply(newFlowMod('DELETE'));
          rig.br.setFrag(frag);
          rig.br.setPortConfig('v1', config);
          rig.br.bundleSet(bundle('v2', mode));
          rig.br.setMirrors(mirrors.map((m) => ({ ...MIRROR, ...m })));
          rig.br.groups.deleteAll();
          for (const text of groups) {
            try {
              rig.br.groups.apply(parseGroupMod(text, GROUP_COMMAND.ADD).groupMod);
            } catch {
              // One that is there, or leads to one that is not.
            }
          }
          for (const text of flows) {
            try {
              rig.br.tables.apply(parseFlow(text, OFPFC.ADD).flow);
            } catch {
              // Not all actions fit all matches.
            }
          }
          for (const p of packets) {
            const { text, wc } = translate(p);
            const alike = packets.map((other) => {
              const q = p.map(
                (w, i) => ((w as number) & (wc[i] as number)) | ((other[i] as number) & ~(wc[i] as number)),
              );
              if (nVlans(p) === 0) q[FIELD.vlanTci.word] = 0;
              else setField(q, FIELD.vlanTpid, getField(p, FIELD.vlanTpid));
              const present = presentBits(q);
              return q.map((w, i) => w & (present[i] as number));
            });
            for (const q of [...packets, ...alike])
              if (takes(p, wc, q)) expect(translate(q).text, flows.join('\n')).toBe(text);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
