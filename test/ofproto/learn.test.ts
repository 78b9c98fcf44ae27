/** learn and fin_timeout: flows that packets make, and make last or end. */
import { beforeEach, describe, expect, it } from 'vitest';
import { expandTo } from '../../src/flow/minimatch.ts';
import { formatActions } from '../../src/openflow/actions/index.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { newMatch } from '../../src/openflow/match/match.ts';
import { DEFAULT_PRIORITY, formatMatch } from '../../src/openflow/match/match-text.ts';
import { OFPFC } from '../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../src/openflow/messages/flow/new-flow-mod.ts';
import { keyOf, MAC_A, MAC_B, udp } from './fakes.ts';
import { type Rig, withRig } from './rig.ts';

let rig: Rig;
withRig((r) => {
  rig = r;
});
beforeEach(() => rig.br.tables.apply(newFlowMod('DELETE')));

const add = (text: string): void => rig.br.tables.apply(parseFlow(text, OFPFC.ADD).flow);
const del = (text: string): void => rig.br.tables.apply(parseFlow(text, OFPFC.DELETE).flow);

/** Flows of a table as text, without those of the test. */
function flows(table: number): string[] {
  const out: string[] = [];
  for (const rule of rig.br.tables.rules()) {
    if (rule.table !== table) continue;
    const match = newMatch();
    expandTo(rule.match, match.flow, match.mask);
    const text = formatMatch(match, DEFAULT_PRIORITY);
    out.push(`${text === '' ? '' : `${text} `}${formatActions(rule.actions)}`);
  }
  return out.sort();
}
const only = (table: number) => {
  const rules = [...rig.br.tables.rules()].filter((r) => r.table === table);
  if (rules.length !== 1 || rules[0] === undefined) throw new Error(`${rules.length} flows in table ${table}`);
  return rules[0];
};

const packet = udp(2, MAC_A, MAC_B);

describe('learn', () => {
  it('adds what the specs say', async () => {
    add(
      'actions=learn(table=1,priority=7,cookie=0x5,idle_timeout=10,hard_timeout=60,fin_idle_timeout=5,' +
        'NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],eth_type=0x800,nw_proto=17,' +
        'udp_dst=NXM_OF_UDP_SRC[],load:0x12->NXM_NX_REG3[0..7],load:NXM_OF_IP_SRC[0..15]->NXM_NX_REG1[16..31],' +
        'output:NXM_OF_IN_PORT[]),resubmit(,1)',
    );
    expect(await rig.forward(packet)).toEqual(['drop']);
    expect(flows(1)).toEqual([
      `udp,vlan_tci=0x0000/0x0fff,dl_dst=${MAC_A},tp_dst=1000 ` +
        'fin_timeout(idle_timeout=5),load:0x12->NXM_NX_REG3[0..7],load:0x1->NXM_NX_REG1[16..31],output:1',
    ]);
    expect(only(1)).toMatchObject({ priority: 7, cookie: 5n, idleTimeout: 10, hardTimeout: 60 });
    // The answer finds its way.
    expect(await rig.forward(udp(3, MAC_B, MAC_A, { tpSrc: 2000, tpDst: 1000 }))).toEqual(['2']);
  });

  it('matches what the flow is made of', async () => {
    add('actions=learn(table=1,NXM_OF_ETH_SRC[]),output:3');
    await rig.forward(packet, udp(2, MAC_B, MAC_A), udp(2, MAC_A, MAC_B, { tpSrc: 7 }));
    expect(flows(1)).toEqual([`dl_src=${MAC_A} drop`, `dl_src=${MAC_B} drop`]);
  });

  it('refreshes the flow when packets come, and brings it back when it is gone', async () => {
    add('actions=learn(table=1,hard_timeout=20,NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),output:3');
    await rig.forward(packet);
    const first = only(1);
    await rig.scheduler.advance(6000);
    rig.dpif.hit(rig.dpif.only);
    await rig.scheduler.advance(6000);
    expect(only(1)).toBe(first);
    expect(first.modifiedMs).toBeGreaterThan(first.createdMs + 5000);
    del('table=1');
    await rig.scheduler.advance(1000);
    expect(flows(1)).toEqual([]);
    rig.dpif.hit(rig.dpif.only);
    await rig.scheduler.advance(3000);
    expect(flows(1)).toEqual([`dl_src=${MAC_A} output:1`]);
  });

  it('sees the tables as they were before', async () => {
    add('actions=learn(table=1,NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1),output:3');
    expect(await rig.forward(packet)).toEqual(['4']);
  });

  it('replaces actions', async () => {
    add('actions=learn(table=1,NXM_OF_ETH_SRC[],load:NXM_OF_IP_SRC[]->NXM_NX_REG0[]),output:3');
    await rig.forward(packet, udp(2, MAC_A, MAC_B, { nwSrc: 9 }));
    expect(flows(1)).toEqual([`dl_src=${MAC_A} load:0x9->NXM_NX_REG0[]`]);
  });

  it('stops at a limit, and says so', async () => {
    add('actions=learn(table=1,limit=2,result_dst=reg0[0],cookie=0x9,NXM_OF_ETH_SRC[]),resubmit(,2)');
    add('table=2,reg0=1,actions=output:2');
    add('table=2,reg0=0,actions=output:3');
    add('table=1,priority=1,cookie=0x8,actions=drop');
    const packets = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'].map((mac) => udp(2, mac, MAC_B));
    expect(await rig.forward(...packets)).toEqual(['3', '3', '4']);
    expect(flows(1).length).toBe(3);
    // What is there may be learned again.
    expect(await rig.forward(udp(2, '02:00:00:00:00:02', MAC_A))).toEqual(['3']);
    expect(flows(1).length).toBe(3);
  });

  it('with a limit: a flow whose learned flow expired is translated anew', async () => {
    add('actions=learn(table=1,limit=1,hard_timeout=2,result_dst=reg0[0],NXM_OF_ETH_SRC[]),output:3');
    await rig.forward(packet);
    expect(flows(1).length).toBe(1);
    await rig.scheduler.advance(4000);
    expect(flows(1)).toEqual([]);
    expect(rig.dpif.flows.size).toBe(0);
  });

  it('a packet forwarded just before a rule expires counts for that rule', async () => {
    add('hard_timeout=4,actions=output:3');
    await rig.forward(packet);
    const rule = only(0);
    rig.dpif.hit(rig.dpif.only);
    // No round has seen this packet when the time is up.
    rig.scheduler.clock.advance(4500);
    rig.br.run();
    expect(only(0)).toBe(rule);
    await rig.scheduler.advance(600);
    expect(flows(0)).toEqual([]);
    expect(rule.nPackets).toBe(2n);
  });

  it('delete_learned takes the flows along with the last that learns them', async () => {
    add('in_port=1,actions=learn(table=1,cookie=0x7,delete_learned,NXM_OF_ETH_SRC[]),output:3');
    add('in_port=2,actions=learn(table=1,cookie=0x7,delete_learned,NXM_OF_ETH_SRC[]),output:3');
    await rig.forward(packet, udp(3, MAC_B, MAC_A));
    add('table=1,cookie=0x6,priority=1,actions=drop');
    del('in_port=1');
    expect(flows(1).length).toBe(3);
    add('in_port=2,actions=output:3');
    expect(flows(1)).toEqual(['drop']);
  });

  it('waits for the end of a transaction', async () => {
    add('actions=learn(table=1,NXM_OF_ETH_SRC[]),output:3');
    const tx = rig.br.tables.begin();
    await rig.forward(packet);
    expect(flows(1)).toEqual([]);
    tx.commit();
    expect(flows(1)).toEqual([`dl_src=${MAC_A} drop`]);
  });
});

describe('fin_timeout', () => {
  const tcp = (tcpFlags: number) => {
    const key = udp(2, MAC_A, MAC_B, { nwProto: 6, tcpFlags });
    return key;
  };

  it('lowers timeouts when a packet ends the connection', async () => {
    add('tcp,idle_timeout=60,actions=fin_timeout(idle_timeout=5,hard_timeout=7),output:3');
    await rig.forward(tcp(0x10));
    expect(only(0)).toMatchObject({ idleTimeout: 60, hardTimeout: 0 });
    await rig.forward(tcp(0x11));
    expect(only(0)).toMatchObject({ idleTimeout: 5, hardTimeout: 7 });
    await rig.scheduler.advance(8000);
    expect(flows(0)).toEqual([]);
  });

  it('learns of it from the datapath', async () => {
    add('tcp,idle_timeout=60,actions=fin_timeout(idle_timeout=5),output:3');
    await rig.forward(tcp(0x10));
    rig.dpif.hit(rig.dpif.only);
    rig.dpif.only.stats.tcpFlags = 0x11;
    await rig.scheduler.advance(1000);
    expect(only(0).idleTimeout).toBe(5);
  });

  it('leaves other packets alone', async () => {
    add('idle_timeout=60,actions=fin_timeout(idle_timeout=5),output:3');
    await rig.forward(packet, keyOf({ inPort: 2, ethType: 0x1234 }));
    expect(only(0).idleTimeout).toBe(60);
  });
});
