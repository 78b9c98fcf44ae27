import { beforeEach, describe, expect, it } from 'vitest';
import { DPIF_UC, type DpifUpcall } from '../../../src/dpif/dpif-types.ts';
import type { McastSettings } from '../../../src/ofproto/mcast/mcast-settings.ts';
import { keyOf, missOf } from '../fakes.ts';
import { actionsText } from '../nests.ts';
import { type Rig, withRig } from '../rig.ts';

let rig: Rig;
withRig((r) => {
  rig = r;
});

const SETTINGS: McastSettings = {
  ...{ agingSec: 300, maxEntries: 2048, floodsUnregistered: false, floodPorts: [], reportPorts: [] },
};
const GROUP_MAC = '01:00:5e:01:01:01';
const SRC = '02:00:00:00:00:01';

/** IGMP from 10.0.0.1 about 224.1.1.1: key and frame. */
function igmp(inPort: number, type: number, group = 'e0010101'): DpifUpcall {
  const sum = (type << 8) + Number.parseInt(group.slice(0, 4), 16) + Number.parseInt(group.slice(4), 16);
  const check = (~((sum & 0xffff) + (sum >>> 16)) & 0xffff).toString(16).padStart(4, '0');
  const ip = `4500001c0000000001020000 0a000001${group === '00000000' ? 'e0000001' : group}`.replace(' ', '');
  const frame = `01005e010101020000000001 0800${ip}${type.toString(16).padStart(2, '0')}00${check}${group}`;
  const key = keyOf({ inPort, ethSrc: SRC, ethDst: GROUP_MAC, ethType: 0x0800, nwProto: 2, nwTtl: 1 });
  return { ...missOf(key), packet: Uint8Array.from(Buffer.from(frame.replace(' ', ''), 'hex')) };
}
const REPORT = 0x16;
const LEAVE = 0x17;
const QUERY = 0x11;

/** Where the packet of an upcall is sent, as actions. */
async function sent(upcall: DpifUpcall): Promise<string> {
  rig.dpif.operated.length = 0;
  await rig.dpif.upcall(upcall);
  const ops = rig.dpif.operated.flat().flatMap((op) => (op.type === 'execute' ? [actionsText(op.actions)] : []));
  return ops.join('; ') || 'drop';
}
const data = (inPort: number, nwDst = 0xe0010101, ethDst = GROUP_MAC): DpifUpcall =>
  missOf(keyOf({ inPort, ethSrc: SRC, ethDst, ethType: 0x0800, nwProto: 17, nwDst, nwTtl: 5, tpSrc: 1, tpDst: 2 }));
/** The same where no flow is left. */
async function sentAnew(upcall: DpifUpcall): Promise<string> {
  await rig.backer.flows.purge();
  return sent(upcall);
}
/** Of the userspace action in front: its attribute of type 2, behind that of the port id. */
function userdataOf(actions: Uint8Array): Uint8Array | undefined {
  const dv = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  for (let at = 4; at < dv.getUint16(0, true); at += (dv.getUint16(at, true) + 3) & ~3) {
    if (dv.getUint16(at + 2, true) === 2) return actions.slice(at + 4, at + dv.getUint16(at, true));
  }
  return undefined;
}
const mdb = () => rig.br.mdb.entries()?.map(({ ofport, vlan, group }) => [ofport, vlan, group]);

describe('multicast snooping', () => {
  beforeEach(() => rig.br.setMcastSnooping(SETTINGS));

  it('is off unless it is configured', async () => {
    rig.br.setMcastSnooping(undefined);
    expect(rig.br.mdb.entries()).toBeUndefined();
    expect(rig.br.mdb.flush()).toBe(false);
    expect(await sent(igmp(2, REPORT))).toBe('1,3,4');
    expect(await sent(data(3))).toBe('1,2,4');
  });

  it('sends a group where its members are, until they leave', async () => {
    expect(await sent(data(4))).toBe('drop');
    expect(await sent(igmp(2, REPORT))).toBe('drop');
    expect(mdb()).toEqual([[1, 0, '224.1.1.1']]);
    expect(await sentAnew(data(4))).toBe('2');
    expect(await sentAnew(data(2))).toBe('drop');
    await sent(igmp(3, REPORT));
    expect(await sentAnew(data(4))).toBe('2,3');
    await sentAnew(igmp(2, LEAVE));
    expect(await sentAnew(data(4))).toBe('3');
  });

  it('floods groups that nobody is known to be in if it is told to', async () => {
    rig.br.setMcastSnooping({ ...SETTINGS, floodsUnregistered: true });
    expect(await sent(data(2, 0xe0010102))).toBe('1,3,4');
  });

  it('floods what is for all, and what is not IP', async () => {
    expect(await sent(data(2, 0xe00000fb, '01:00:5e:00:00:fb'))).toBe('1,3,4');
    expect(await sent(missOf(keyOf({ inPort: 2, ethSrc: SRC, ethDst: GROUP_MAC, ethType: 0x88b5 })))).toBe('1,3,4');
  });

  it('floods queries, and sends reports and groups to routers', async () => {
    expect(await sent(igmp(4, QUERY, '00000000'))).toBe('1,2,3');
    expect(mdb()).toEqual([[3, 0, undefined]]);
    expect(await sent(igmp(2, REPORT))).toBe('4');
    expect(await sentAnew(data(3))).toBe('2,4');
    expect(await sentAnew(data(3, 0xe0020202))).toBe('4');
    await rig.scheduler.advance(181_000);
    expect(await sentAnew(data(3))).toBe('2');
  });

  it('sends everything to flood ports, and reports where they are asked for', async () => {
    rig.br.setMcastSnooping({ ...SETTINGS, floodPorts: ['v3'], reportPorts: ['v2'] });
    expect(await sent(igmp(2, REPORT))).toBe('3');
    expect(await sent(data(2, 0xe0020202))).toBe('4');
    await sent(igmp(4, REPORT, 'e0020202'));
    expect(mdb()).toEqual([[1, 0, '224.1.1.1']]);
  });

  it('sees every message, by a flow that sends them up', async () => {
    await sent(igmp(2, REPORT));
    expect(rig.flowActions).toEqual(['userspace']);
    expect(rig.br.mdb.flush()).toBe(true);
    expect(mdb()).toEqual([]);
    const [flow] = rig.dpif.flows.values();
    const userdata = flow === undefined ? undefined : userdataOf(flow.actions);
    await sent({ ...igmp(2, REPORT), type: DPIF_UC.ACTION, userdata });
    expect(mdb()).toEqual([[1, 0, '224.1.1.1']]);
  });

  it('has flows follow the table', async () => {
    await sent(igmp(2, REPORT));
    await sent(data(4));
    expect(rig.flowActions).toContain('2');
    rig.br.mdb.flush();
    await rig.scheduler.advance(1000);
    expect(rig.flowActions).not.toContain('2');
  });

  it('forgets a port whose VLAN changes, or which goes', async () => {
    await sent(igmp(2, REPORT));
    await sent(igmp(3, REPORT));
    rig.br.bundleSet({ name: 'v1', members: ['v1'], vlanMode: 'access', tag: 7, trunks: [], isProtected: false });
    expect(mdb()).toEqual([[2, 0, '224.1.1.1']]);
    rig.br.bundleRemove('v2');
    expect(mdb()).toEqual([]);
  });

  it('takes no damaged message', async () => {
    const damaged = igmp(2, REPORT);
    damaged.packet[damaged.packet.length - 1] = 9;
    await sent(damaged);
    expect(mdb()).toEqual([]);
  });
});
