import { beforeEach, describe, expect, it } from 'vitest';
import type { MirrorSettings } from '../../src/ofproto/mirror/mirror-settings.ts';
import { MAX_MIRRORS } from '../../src/ofproto/mirror/mirror-table.ts';
import { monotonicMs } from '../../src/util/clock.ts';
import { BROADCAST, MAC_A, MAC_B, udp } from './fakes.ts';
import { actionsText } from './nests.ts';
import { type Rig, withRig } from './rig.ts';
import { addFlow, catchAll, output } from './support/rules.ts';

let rig: Rig;
withRig((r) => {
  rig = r;
});

const mirror = (change: Partial<MirrorSettings> = {}): MirrorSettings => ({
  ...{ id: 'm', name: 'm', srcs: [], dsts: [], vlans: [], outPort: 'v3', outVlan: 0, snaplen: 0 },
  ...change,
});
const ALL = { srcs: ['br0', 'v1', 'v2', 'v3'], dsts: ['br0', 'v1', 'v2', 'v3'] };

describe('mirrors', () => {
  beforeEach(async () => {
    // v2 (datapath port 3) has B, v1 (2) has A.
    await rig.forward(udp(3, MAC_B, MAC_A), udp(2, MAC_A, MAC_B));
    await rig.backer.flows.purge();
  });

  // biome-ignore format: table
  it.each([
    ['nothing',                     mirror(),                                        '3'],
    ['what a port receives',        mirror({ srcs: ['v1'] }),                        '4,3'],
    ['what a port sends',           mirror({ dsts: ['v2'] }),                        '3,4'],
    ['all, once',                   mirror(ALL),                                     '4,3'],
    ['another port',                mirror({ srcs: ['v2'], dsts: ['v1'] }),          '3'],
    ['another VLAN',                mirror({ ...ALL, vlans: [5] }),                  '3'],
    ['untagged packets',            mirror({ ...ALL, vlans: [0, 5] }),               '4,3'],
    ['the beginning of packets',    mirror({ ...ALL, snaplen: 64 }),                 'action13,4,3'],
    ['whole packets',               mirror({ ...ALL, snaplen: 65535 }),              '4,3'],
    ['to a port that is not there', mirror({ ...ALL, outPort: 'v9' }),               '3'],
    ['from one that is not there',  mirror({ srcs: ['v9', 'v1'] }),                  '4,3'],
    ['to a VLAN',                   mirror({ srcs: ['v1'], outPort: undefined, outVlan: 7 }),
      'push_vlan(8100,1007),1,2,3,4,pop_vlan,3'],
  ])('mirrors %s', async (_, settings, actions) => {
    rig.br.setMirrors([settings]);
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual([actions]);
  });

  it('floods past mirror ports, and takes nothing from them', async () => {
    rig.br.setMirrors([mirror()]);
    expect(await rig.forward(udp(2, MAC_A, BROADCAST))).toEqual(['1,3']);
    expect(await rig.forward(udp(4, MAC_A, MAC_B))).toEqual(['drop']);
  });

  it('does not forward to a mirror port that an address was learned on', async () => {
    rig.br.setMirrors([mirror({ outPort: 'v2' })]);
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['drop']);
  });

  it('sends one packet to mirrors with one output', async () => {
    rig.br.setMirrors([mirror({ id: 'a', srcs: ['v1'] }), mirror({ id: 'b', srcs: ['v1'], dsts: ['v2'] })]);
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['4,3']);
  });

  it('mirrors what is sent to a mirror to another one', async () => {
    rig.br.setMirrors([mirror({ id: 'a', srcs: ['v1'] }), mirror({ id: 'b', dsts: ['v3'], outPort: 'br0' })]);
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['4,1,3']);
  });

  it('asks for the VLAN where it selects one, and of a tag, which goes if its VID is 0', async () => {
    addFlow(rig.br.tables, { priority: 1, match: catchAll(), actions: [output(2)] });
    const megaflow = async (): Promise<string | undefined> =>
      /Megaflow: (.*)\nDatapath actions: .*/.exec(await rig.backer.trace(['br0', 'in_port=1,dl_vlan=5'], false))?.[0];
    expect(await megaflow()).toBe('Megaflow: recirc_id=0,eth,in_port=1,dl_type=0x0000\nDatapath actions: 3');
    rig.br.setMirrors([mirror({ srcs: ['v1'] })]);
    expect(await megaflow()).toBe(
      'Megaflow: recirc_id=0,eth,in_port=1,dl_vlan=5,dl_type=0x0000\nDatapath actions: 4,3',
    );
    rig.br.setMirrors([mirror({ srcs: ['v1'], vlans: [6] })]);
    expect(await megaflow()).toBe('Megaflow: recirc_id=0,eth,in_port=1,dl_vlan=5,dl_type=0x0000\nDatapath actions: 3');
    rig.br.setMirrors([mirror({ srcs: ['v1'], vlans: [5, 6] })]);
    expect(await megaflow()).toBe(
      'Megaflow: recirc_id=0,eth,in_port=1,dl_vlan=5,dl_type=0x0000\nDatapath actions: 4,3',
    );
  });

  it('takes all flows up again when it changes', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    rig.br.setMirrors([mirror(ALL)]);
    await rig.scheduler.advance(1000);
    expect(rig.flowActions).toEqual(['4,3']);
    rig.br.setMirrors([]);
    await rig.scheduler.advance(1000);
    expect(rig.flowActions).toEqual(['3']);
  });

  it('counts the packet that came up, and those of the flow', async () => {
    rig.br.setMirrors([mirror(ALL)]);
    const key = udp(2, MAC_A, MAC_B);
    await rig.forward(key);
    expect(rig.br.mirrorStats('m')?.txPackets).toBe(1n);
    const [flow] = rig.dpif.flows.values();
    if (flow === undefined) throw new Error('no flow');
    expect(actionsText(flow.actions)).toBe('4,3');
    flow.stats = { ...flow.stats, nPackets: 10, nBytes: 1000, used: monotonicMs() };
    await rig.scheduler.advance(1000);
    expect(rig.br.mirrorStats('m')?.txPackets).toBe(11n);
    expect(rig.br.mirrorStats('m')?.txBytes).toBeGreaterThanOrEqual(1000n);
    expect(rig.br.mirrorStats('other')).toBeUndefined();
  });

  it('keeps counters while a mirror stays, whatever else changes', async () => {
    rig.br.setMirrors([mirror({ ...ALL, id: 'a' }), mirror({ ...ALL, id: 'b', outPort: 'br0' })]);
    await rig.forward(udp(2, MAC_A, MAC_B));
    rig.br.setMirrors([mirror({ ...ALL, id: 'b', outPort: 'br0', snaplen: 50 }), mirror({ id: 'c' })]);
    expect(rig.br.mirrorStats('a')).toBeUndefined();
    expect(rig.br.mirrorStats('b')?.txPackets).toBe(1n);
    expect(rig.br.mirrorStats('c')?.txPackets).toBe(0n);
  });

  it('has no more than 32', async () => {
    const many = Array.from({ length: MAX_MIRRORS + 1 }, (_, i) => mirror({ id: `m${i}`, srcs: i < 31 ? [] : ['v1'] }));
    rig.br.setMirrors(many);
    expect(rig.br.mirrorStats('m31')).toBeDefined();
    expect(rig.br.mirrorStats('m32')).toBeUndefined();
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['4,3']);
    expect(rig.br.mirrorStats('m31')?.txPackets).toBe(1n);
  });

  it('follows a port that goes and comes back', async () => {
    rig.br.setMirrors([mirror(ALL)]);
    rig.br.bundleRemove('v3');
    await rig.br.portDel('v3');
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['3']);
    await rig.backer.flows.purge();
    await rig.addPort('v3');
    const odp = rig.br.ports.get('v3')?.odpPort;
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual([`${odp},3`]);
  });
});
