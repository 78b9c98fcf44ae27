/** Patch ports: two switches on one datapath, joined without a device. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { OfprotoSwitch } from '../../src/ofproto/ofproto.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { OFPFC } from '../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../src/openflow/messages/flow/new-flow-mod.ts';
import { OFPPC } from '../../src/openflow/ofp-port.ts';
import { BROADCAST, MAC_A, MAC_B, tag, udp } from './fakes.ts';
import { bundle, type Rig, withRig } from './rig.ts';

let rig: Rig;
let br1: OfprotoSwitch;
withRig((r) => {
  rig = r;
});
beforeEach(async () => {
  br1 = rig.backer.createOfproto('br1');
  const port = async (br: OfprotoSwitch, name: string, type: string, isLocal = false) => {
    await br.portAdd({ name, type, ofport: undefined, isLocal });
    br.bundleSet(bundle(name));
  };
  await port(br1, 'br1', 'internal', true);
  await port(br1, 'w1', 'system');
  await port(rig.br, 'p0', 'patch');
  await port(br1, 'p1', 'patch');
  rig.br.setPatchPeer('p0', 'p1');
  br1.setPatchPeer('p1', 'p0');
});

const add = (br: OfprotoSwitch, text: string): void => br.tables.apply(parseFlow(text, OFPFC.ADD).flow);
const odp = (br: OfprotoSwitch, name: string): number => br.ports.get(name)?.odpPort ?? -1;

describe('patch ports', () => {
  it('have no number in the datapath', async () => {
    expect(odp(rig.br, 'p0')).toBe(0xffffffff);
    expect([...rig.dpif.ports.values()].map((p) => p.name)).not.toContain('p0');
    expect(await rig.backer.showDpif()).toContain('    p0 4/none: (patch: peer=p1)\n');
  });

  it('forward as if the bridges were one', async () => {
    const [flood] = await rig.forward(udp(2, MAC_A, BROADCAST));
    const there = [odp(br1, 'br1'), odp(br1, 'w1')];
    expect(flood?.split(',').map(Number).sort()).toEqual([1, 3, 4, ...there].sort());
    // Both have learned.
    expect(await rig.forward(udp(odp(br1, 'w1'), MAC_B, MAC_A))).toEqual(['2']);
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual([String(odp(br1, 'w1'))]);
    expect(br1.fdb.entries().map((e) => [e.mac, e.ofport])).toEqual([[MAC_A, 2], [MAC_B, 1]]); // biome-ignore format: pairs
  });

  it('tell of addresses, which all bridges forget with the port behind which they were', async () => {
    await rig.forward(udp(2, MAC_A, BROADCAST), udp(3, MAC_B, BROADCAST));
    expect(br1.fdb.entries().map((e) => e.mac)).toEqual([MAC_A, MAC_B]);
    await rig.br.portDel('v1');
    expect(rig.br.fdb.entries().map((e) => e.mac)).toEqual([MAC_B]);
    expect(br1.fdb.entries().map((e) => e.mac)).toEqual([MAC_B]);
  });

  it('leave the VLAN of a flood alone', async () => {
    rig.br.bundleSet(bundle('v2', { vlanMode: 'access', tag: 7 }));
    rig.br.bundleRemove('v3');
    rig.br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 7 }));
    const [flood] = await rig.forward(udp(3, MAC_A, BROADCAST));
    expect(flood).toContain('push_vlan(8100,1007)');
    expect(flood).toContain('pop_vlan');
    const [back] = await rig.forward(udp(odp(br1, 'w1'), MAC_B, MAC_A, tag(7)));
    expect(back).toBe('pop_vlan,3');
  });

  it('count what passes, that in the datapath too', async () => {
    await rig.forward(udp(2, MAC_A, BROADCAST));
    rig.dpif.hit(rig.dpif.only, 4, 100);
    await rig.scheduler.advance(1000);
    expect(await rig.br.portStats('p0')).toMatchObject({ txPackets: 5n, txBytes: 460n, rxPackets: 0n });
    expect(await br1.portStats('p1')).toMatchObject({ rxPackets: 5n, rxBytes: 460n, txPackets: 0n });
  });

  it('obey their configuration', async () => {
    rig.br.tables.apply(newFlowMod('DELETE'));
    add(rig.br, 'actions=output:4,output:2');
    br1.tables.apply(newFlowMod('DELETE'));
    add(br1, 'in_port=2,actions=output:1');
    const out = String(odp(br1, 'w1'));
    expect(await rig.forward(udp(2, MAC_A, '02:00:00:00:01:01'))).toEqual([`${out},3`]);
    rig.br.setPortConfig('p0', OFPPC.NO_FWD);
    expect(await rig.forward(udp(2, MAC_A, '02:00:00:00:01:02'))).toEqual(['3']);
    rig.br.setPortConfig('p0', 0);
    br1.setPortConfig('p1', OFPPC.NO_RECV);
    expect(await rig.forward(udp(2, MAC_A, '02:00:00:00:01:03'))).toEqual(['3']);
    // 802.1D has a bit of its own.
    expect(await rig.forward(udp(2, MAC_A, '01:80:c2:00:00:00'))).toEqual([`${out},3`]);
    br1.setPortConfig('p1', OFPPC.NO_RECV_STP);
    expect(await rig.forward(udp(2, MAC_B, '01:80:c2:00:00:00'))).toEqual(['3']);
  });

  it('lead nowhere unless both name each other', async () => {
    rig.br.tables.apply(newFlowMod('DELETE'));
    add(rig.br, 'actions=output:4');
    br1.setPatchPeer('p1', 'p9');
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['drop']);
    br1.setPatchPeer('p1', 'p0');
    await br1.portDel('p1');
    expect(await rig.forward(udp(2, MAC_B, MAC_A))).toEqual(['drop']);
    expect(() => rig.br.setPatchPeer('v1', 'p1')).toThrow(RangeError);
  });

  it('do not go round in circles for ever', async () => {
    for (const br of [rig.br, br1]) br.tables.apply(newFlowMod('DELETE'));
    add(rig.br, 'actions=output:2,output:4,IN_PORT');
    add(br1, 'actions=IN_PORT');
    const [text] = await rig.forward(udp(2, MAC_A, MAC_B));
    expect(text?.startsWith('3,')).toBe(true);
  });

  it('go away', async () => {
    await rig.br.portDel('p0');
    expect(rig.br.ports.has('p0')).toBe(false);
    expect(await rig.forward(udp(2, MAC_A, BROADCAST))).toEqual(['1,3,4']);
  });
});
