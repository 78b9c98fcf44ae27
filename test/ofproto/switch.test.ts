import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DPIF_UC } from '../../src/dpif/dpif-types.ts';
import { formatOdpActions } from '../../src/odp/odp-format-actions.ts';
import { SLOW_PATH } from '../../src/odp/slow-path.ts';
import { encodeCookie } from '../../src/odp/user-action-cookie.ts';
import { type DpifBacker, openBackerWith } from '../../src/ofproto/backer.ts';
import { catchAll } from '../../src/ofproto/classifier.ts';
import { filterAttrs } from '../../src/ofproto/nest.ts';
import type { OfprotoSwitch } from '../../src/ofproto/ofproto.ts';
import type { BackerOptions, BundleConfig } from '../../src/ofproto/ofproto-provider.ts';
import { output, Rule } from '../../src/ofproto/rules.ts';
import { setClock } from '../../src/util/clock.ts';
import { readCoverage } from '../../src/util/coverage.ts';
import { ERRNO } from '../../src/util/errno.ts';
import {
  arpRequest,
  BROADCAST,
  FakeDpif,
  FakeProvider,
  FakeScheduler,
  flush,
  MAC_A,
  MAC_B,
  missOf,
  tag,
  udp,
} from './fakes.ts';
import { actionsText } from './nests.ts';

const OPTIONS: BackerOptions = { maxIdleMs: 10_000, flowLimit: 200_000, maxRevalidatorMs: 500, minRevalidatePps: 5 };

let scheduler: FakeScheduler;
let dpif: FakeDpif;
let backer: DpifBacker;
let br: OfprotoSwitch;

const bundle = (name: string, more: Partial<BundleConfig> = {}): BundleConfig => ({
  name,
  members: [name],
  vlanMode: 'trunk',
  tag: undefined,
  trunks: [],
  isProtected: false,
  ...more,
});

async function addPort(name: string, more: Partial<BundleConfig> = {}): Promise<void> {
  await br.portAdd({ name, type: name === 'br0' ? 'internal' : 'system', ofport: undefined, isLocal: name === 'br0' });
  br.bundleSet(bundle(name, more));
}

async function open(exists: boolean): Promise<void> {
  backer = await openBackerWith(new FakeProvider(dpif, exists), 'ovs-system', OPTIONS, scheduler);
}

beforeEach(async () => {
  scheduler = new FakeScheduler();
  dpif = new FakeDpif(scheduler.clock);
  await open(false);
  br = backer.createOfproto('br0');
  // Datapath ports: br0 1, v1 2, v2 3, v3 4; OpenFlow: LOCAL, 1, 2, 3.
  for (const name of ['br0', 'v1', 'v2', 'v3']) await addPort(name);
  await scheduler.advance(600);
});
afterEach(async () => {
  const closing = backer.close(false);
  await scheduler.advance(1000);
  await closing;
  setClock(undefined);
});

/** Actions of the flow that the packet makes, and that it is executed with. */
async function forward(...keys: Parameters<typeof missOf>[0][]): Promise<string[]> {
  dpif.operated.length = 0;
  for (const key of keys) await dpif.upcall(missOf(key));
  return dpif.operated.flat().flatMap((op) => (op.type === 'put' ? [actionsText(op.actions)] : []));
}
const executed = () => dpif.operated.flat().filter((op) => op.type === 'execute').length;

describe('ports', () => {
  it('numbers ports: LOCAL, what is asked for, the lowest free, and the same again', async () => {
    expect([...br.ports.values()].map((p) => [p.name, p.ofport, p.odpPort])).toEqual([
      ['br0', 65534, 1],
      ['v1', 1, 2],
      ['v2', 2, 3],
      ['v3', 3, 4],
    ]);
    const asked = await br.portAdd({ name: 'v9', type: 'system', ofport: 9, isLocal: false });
    expect(asked.ofport).toBe(9);
    await br.portDel('v1');
    const next = await br.portAdd({ name: 'v4', type: 'system', ofport: undefined, isLocal: false });
    expect(next.ofport).toBe(4);
    const again = await br.portAdd({ name: 'v1', type: 'system', ofport: undefined, isLocal: false });
    expect(again.ofport).toBe(1);
  });

  it('refuses types that it does not know, and changes nothing', async () => {
    await expect(br.portAdd({ name: 'x', type: 'vxlan', ofport: undefined, isLocal: false })).rejects.toThrow(/vxlan/);
    expect(br.ports.has('x')).toBe(false);
    expect(dpif.ports.size).toBe(5);
  });

  it('takes over ports that the datapath has, and tells which nobody has', async () => {
    await dpif.portAdd('old', 'system', 20);
    await dpif.portAdd('stray', 'system', 21);
    const port = await br.portAdd({ name: 'old', type: 'system', ofport: undefined, isLocal: false });
    expect(port.odpPort).toBe(20);
    expect(await backer.strayPorts()).toEqual([{ name: 'stray', portNo: 21 }]);
  });

  it('makes a port anew whose type changed', async () => {
    await dpif.portAdd('i1', 'system', 20);
    await br.portAdd({ name: 'i1', type: 'internal', ofport: undefined, isLocal: false });
    expect((await dpif.portQuery('i1'))?.type).toBe('internal');
  });

  it('forgets a port whose device vanished, says so, and revalidates', async () => {
    const gone: string[] = [];
    backer.onPortVanished((ofproto, port) => gone.push(`${ofproto}/${port}`));
    await forward(udp(2, MAC_A, MAC_B));
    await dpif.portDel(3);
    dpif.notify({ kind: 'changed', name: 'v2', deleted: true });
    await scheduler.advance(20);
    expect(gone).toEqual(['br0/v2']);
    expect(br.ports.has('v2')).toBe(false);
    expect(actionsText(dpif.only.actions)).toBe('1,4');
    const back = await br.portAdd({ name: 'v2', type: 'system', ofport: undefined, isLocal: false });
    expect(back.ofport).toBe(2);
    await scheduler.advance(20);
    // It is in its bundle again without being told.
    expect(actionsText(dpif.only.actions)).toBe('1,3,4');
  });

  it('removes all ports with the switch', async () => {
    await br.destroy();
    expect([...dpif.ports.keys()]).toEqual([0]);
    expect(backer.ofprotos.size).toBe(0);
  });
});

describe('upcalls', () => {
  it('floods what it does not know, and forwards what it learned', async () => {
    expect(await forward(udp(2, MAC_A, MAC_B))).toEqual(['1,3,4']);
    expect(await forward(udp(3, MAC_B, MAC_A))).toEqual(['2']);
    expect(br.fdb()).toEqual([
      { ofport: 1, vlan: 0, mac: MAC_A, ageSec: 0 },
      { ofport: 2, vlan: 0, mac: MAC_B, ageSec: 0 },
    ]);
    await scheduler.advance(10);
    // The first flow no longer floods.
    expect([...dpif.flows.values()].map((f) => actionsText(f.actions))).toEqual(['3', '2']);
  });

  it('translates a burst of one flow once: one put, as many executions', async () => {
    const before = readCoverage('xlate_actions') ?? 0;
    dpif.operated.length = 0;
    await dpif.upcall(...Array.from({ length: 64 }, () => missOf(udp(2, MAC_A, MAC_B))));
    expect(dpif.operated.length).toBe(1);
    expect(dpif.last.map((op) => op.type)).toEqual(['put', ...Array(64).fill('execute')]);
    expect((readCoverage('xlate_actions') ?? 0) - before).toBe(1);
    const [rule] = br.table;
    expect([rule?.nPackets, rule?.nBytes]).toEqual([64n, 3840n]);
  });

  it('executes with metadata only, and the hash of the upcall', async () => {
    await dpif.upcall(missOf(udp(2, MAC_A, MAC_B, { skbPriority: 7 })));
    const op = dpif.last[1];
    expect(op?.type === 'execute' && [Buffer.from(op.key).toString('hex'), op.hash]).toEqual([
      '0800020007000000' + '08000f0000000000' + '0800030002000000',
      5n,
    ]);
  });

  it('keeps nothing of the receive buffer: it is used again when the handler has returned', async () => {
    // Later than when the datapath's flows were last counted, so that the handler has something to wait for.
    await scheduler.advance(5000);
    scheduler.clock.advance(400);
    const miss = missOf(udp(2, MAC_A, MAC_B));
    await dpif.upcall({ ...miss, packet: miss.packet.fill(7) });
    const [put, execute] = dpif.last;
    expect(put?.type === 'put' && put.key).toEqual(miss.key);
    expect(execute?.type === 'execute' && execute.packet).toEqual(miss.packet);
  });

  it('handles a second miss of an installed flow without a put', async () => {
    await forward(udp(2, MAC_A, MAC_B));
    expect(await forward(udp(2, MAC_A, MAC_B))).toEqual([]);
    expect(executed()).toBe(1);
  });

  it('answers packets of unknown ports by a drop flow, which the next round takes away', async () => {
    expect(await forward(udp(77, MAC_A, MAC_B))).toEqual(['drop']);
    expect(executed()).toBe(0);
    expect(dpif.only.mask).toBeUndefined();
    await scheduler.advance(600);
    expect(dpif.flows.size).toBe(0);
  });

  it('skips upcalls that make no sense, and handles the rest of the batch', async () => {
    const bad = { ...missOf(udp(2, MAC_A, MAC_B)), key: Uint8Array.of(6, 0, 3, 0, 1, 2) };
    const noCookie = { ...missOf(udp(2, MAC_A, MAC_B)), type: DPIF_UC.ACTION };
    const oddCookie = { ...noCookie, userdata: new Uint8Array(7) };
    await dpif.upcall(bad, noCookie, oddCookie, missOf(udp(3, MAC_B, MAC_A)));
    expect(dpif.last.map((op) => op.type)).toEqual(['put', 'execute']);
  });

  it('drops the flow of a packet with a recirculation id that nobody gave out', async () => {
    expect(await forward(udp(2, MAC_A, MAC_B, { recircId: 9 }))).toEqual(['drop']);
    expect(executed()).toBe(0);
  });

  it('installs nothing beyond the flow limit, but forwards', async () => {
    dpif.countOverride = 10_000;
    scheduler.clock.advance(200);
    expect(await forward(udp(2, MAC_A, MAC_B))).toEqual([]);
    expect(executed()).toBe(1);
  });

  it('forgets a flow that the datapath refused, and tries again', async () => {
    dpif.failPut = () => ERRNO.EEXIST;
    await forward(udp(2, MAC_A, MAC_B));
    expect(dpif.flows.size).toBe(0);
    dpif.failPut = () => 0;
    expect(await forward(udp(2, MAC_A, MAC_B))).toEqual(['1,3,4']);
  });
});

describe('slow path', () => {
  /** An upcall of an IPv4 UDP packet whose key lacks the ports: too little to match on. */
  const tooLittle = (key = udp(2, MAC_A, MAC_B)) => {
    const whole = missOf(key);
    return { ...whole, key: filterAttrs(whole.key, new Set([2, 3, 4, 6, 7, 15, 20])) };
  };

  it('sends every packet up that the datapath cannot match well enough, and forwards it from there', async () => {
    await dpif.upcall(tooLittle());
    const [put, execute] = dpif.last;
    expect(put?.type === 'put' && formatOdpActions(put.actions)).toBe('userspace(pid=4294967295,slow_path(match))');
    expect(execute?.type === 'execute' && actionsText(execute.actions)).toBe('1,3,4');

    const cookie = encodeCookie({
      type: 'slowPath',
      ofpInPort: 1,
      ofprotoUuid: br.uuid,
      reason: SLOW_PATH.MATCH,
    });
    const again = { ...tooLittle(), type: DPIF_UC.ACTION, userdata: cookie };
    await dpif.upcall(again, again);
    expect(dpif.last.map((op) => op.type)).toEqual(['execute', 'execute']);
    // Those packets are counted by their flow.
    const [rule] = br.table;
    expect(rule?.nPackets).toBe(1n);
    await scheduler.advance(600);
    expect(dpif.flows.size).toBe(1);
  });

  it('ignores cookies of switches that are gone', async () => {
    const cookie = encodeCookie({ type: 'slowPath', ofpInPort: 1, ofprotoUuid: new Uint8Array(16), reason: 1 });
    dpif.operated.length = 0;
    await dpif.upcall({ ...missOf(udp(2, MAC_A, MAC_B)), type: DPIF_UC.ACTION, userdata: cookie });
    expect(dpif.operated).toEqual([]);
  });

  it('executes lists that fit no flow in parts', async () => {
    const actions = Array.from({ length: 9000 }, (_, i) => output(i % 2 === 0 ? 2 : 3));
    br.table.add(new Rule({ priority: 1, match: catchAll(), actions }));
    await dpif.upcall(missOf(udp(2, MAC_A, MAC_B)));
    const [put, ...executions] = dpif.last;
    expect(put?.type === 'put' && formatOdpActions(put.actions)).toBe('userspace(pid=4294967295,slow_path(action))');
    const parts = executions.map((op) => (op.type === 'execute' ? actionsText(op.actions).split(',') : []));
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.flat()).toEqual(actions.map((a) => String(a.port + 1)));
  });
});

describe('two bridges', () => {
  it('share the datapath, and nothing else', async () => {
    const other = backer.createOfproto('br1');
    for (const name of ['br1', 'w1', 'w2']) {
      await other.portAdd({ name, type: 'system', ofport: undefined, isLocal: name === 'br1' });
      other.bundleSet(bundle(name));
    }
    expect(other.ports.get('w1')?.ofport).toBe(1);
    expect(await forward(udp(2, MAC_A, MAC_B), udp(6, MAC_A, MAC_B))).toEqual(['1,3,4', '5,7']);
    expect([br.fdb().length, other.fdb().length]).toEqual([1, 1]);
    expect(() => backer.createOfproto('br1')).toThrow(RangeError);
    await expect(other.portAdd({ name: 'v1', type: 'system', ofport: undefined, isLocal: false })).rejects.toThrow(
      /br0/,
    );
    await other.destroy();
    await scheduler.advance(20);
    expect([...dpif.flows.values()].map((f) => actionsText(f.actions))).toEqual(['1,3,4']);
    expect(await backer.strayPorts()).toEqual([]);
  });
});

describe('NORMAL', () => {
  it('drops frames to reserved addresses', async () => {
    expect(await forward(udp(2, MAC_A, '01:80:c2:00:00:0e'), udp(2, MAC_A, '01:80:c2:00:00:10'))).toEqual([
      'drop',
      '1,3,4',
    ]);
  });

  it('never sends back through the port that it learned the address on', async () => {
    await forward(udp(2, MAC_B, MAC_A));
    expect(await forward(udp(2, MAC_A, MAC_B))).toEqual(['drop']);
  });

  it('takes access and trunk ports apart by VLAN', async () => {
    br.bundleSet(bundle('v1', { vlanMode: 'access', tag: 10 }));
    br.bundleSet(bundle('v2', { trunks: [10, 20] }));
    br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 20 }));
    expect(await forward(udp(2, MAC_A, BROADCAST))).toEqual(['push_vlan(8100,100a),1,3']);
    expect(await forward(udp(3, MAC_B, BROADCAST, tag(20, 3)))).toEqual(['1,pop_vlan,4']);
    expect(await forward(udp(3, MAC_B, MAC_A, tag(10)))).toEqual(['pop_vlan,2']);
    // Not trunked; untagged on the trunk is VLAN 0, which it does not carry; tagged on an access port.
    expect(await forward(udp(3, MAC_B, BROADCAST, tag(30)))).toEqual(['drop']);
    expect(await forward(udp(3, MAC_B, BROADCAST))).toEqual(['drop']);
    expect(await forward(udp(2, MAC_A, BROADCAST, tag(10)))).toEqual(['drop']);
  });

  it('knows native VLANs, tagged and untagged', async () => {
    br.bundleSet(bundle('v1', { vlanMode: 'native-untagged', tag: 10 }));
    br.bundleSet(bundle('v2', { vlanMode: 'native-tagged', tag: 10 }));
    br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 10 }));
    expect(await forward(udp(2, MAC_A, BROADCAST))).toEqual(['push_vlan(8100,100a),1,3,pop_vlan,4']);
    expect(await forward(udp(3, MAC_B, MAC_A))).toEqual(['2']);
    expect(await forward(udp(3, MAC_B, MAC_A, tag(10)))).toEqual(['pop_vlan,2']);
    expect(await forward(udp(3, MAC_B, BROADCAST, tag(11)))).toEqual(['1,2']);
  });

  it('puts a second tag around the frames of a dot1q tunnel', async () => {
    br.bundleSet(bundle('v1', { vlanMode: 'dot1q-tunnel', tag: 100 }));
    expect(await forward(udp(2, MAC_A, BROADCAST, tag(5)))).toEqual(['push_vlan(88a8,1064),1,3,4']);
  });

  it('keeps protected ports apart', async () => {
    br.bundleSet(bundle('v1', { isProtected: true }));
    br.bundleSet(bundle('v2', { isProtected: true }));
    expect(await forward(udp(2, MAC_A, BROADCAST))).toEqual(['1,4']);
  });

  it('floods a flooded VLAN and learns nothing there', async () => {
    br.setFloodVlans([0]);
    await forward(udp(3, MAC_B, MAC_A));
    expect(await forward(udp(2, MAC_A, MAC_B))).toEqual(['1,3,4']);
    expect(br.fdb()).toEqual([]);
  });

  it('uses one member of a bundle, and takes nothing in by the others', async () => {
    br.bundleRemove('v3');
    br.bundleSet({ ...bundle('v2'), members: ['v2', 'v3'] });
    expect(await forward(udp(2, MAC_A, BROADCAST))).toEqual(['1,3']);
    expect(await forward(udp(4, MAC_B, BROADCAST))).toEqual(['drop']);
    br.setPortConfig('v2', 1);
    expect(await forward(udp(4, MAC_B, MAC_A))).toEqual(['2']);
    expect(await forward(udp(1, MAC_A, MAC_B))).toEqual(['4']);
  });

  it('drops what comes in on a port without bundle', async () => {
    br.bundleRemove('v1');
    expect(await forward(udp(2, MAC_A, BROADCAST))).toEqual(['drop']);
  });
});

describe('revalidation', () => {
  it('credits packets that the datapath forwarded, and keeps addresses alive', async () => {
    await forward(udp(2, MAC_A, MAC_B));
    await scheduler.advance(5000);
    dpif.hit(dpif.only, 10);
    await scheduler.advance(600);
    const [rule] = br.table;
    expect([rule?.nPackets, rule?.nBytes]).toEqual([11n, 1060n]);
    expect(br.fdb()[0]?.ageSec).toBeLessThanOrEqual(1);
  });

  it('removes idle flows, with their last packets credited', async () => {
    await forward(udp(2, MAC_A, MAC_B));
    await scheduler.advance(9000);
    expect(dpif.flows.size).toBe(1);
    await scheduler.advance(2000);
    expect(dpif.flows.size).toBe(0);
    expect(backer.showUpcall()).toContain('(keys 0)');
  });

  it('has an address that aged flooded again', async () => {
    br.setMacTable(15, 8192);
    await forward(udp(3, MAC_B, MAC_A), udp(2, MAC_A, MAC_B));
    await scheduler.advance(100);
    const toB = [...dpif.flows.values()].find((f) => actionsText(f.actions) === '3');
    expect(toB).toBeDefined();
    for (let i = 0; i < 40; i++) {
      if (toB !== undefined) dpif.hit(toB);
      await scheduler.advance(500);
    }
    expect(actionsText(toB?.actions ?? new Uint8Array(0))).toBe('1,3,4');
  });

  it('removes flows of a port that was removed, and changes those that went there', async () => {
    await forward(udp(2, MAC_A, BROADCAST), udp(3, MAC_B, BROADCAST));
    await br.portDel('v1');
    await scheduler.advance(20);
    expect([...dpif.flows.values()].map((f) => actionsText(f.actions))).toEqual(['1,4']);
  });

  it('removes a flow that is too wide for the new tables', async () => {
    await forward(udp(2, MAC_A, BROADCAST));
    br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 5 }));
    const flow = dpif.only;
    flow.mask = flow.mask?.slice();
    flow.mask?.fill(0, 4);
    await scheduler.advance(20);
    expect([...dpif.flows.values()].map((f) => actionsText(f.actions))).toEqual(['1,3']);
  });

  it('removes a flow in the next round whose change failed', async () => {
    await forward(udp(2, MAC_A, BROADCAST));
    dpif.failPut = () => ERRNO.EINVAL;
    br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 5 }));
    await scheduler.advance(20);
    expect(dpif.flows.size).toBe(1);
    dpif.failPut = () => 0;
    await scheduler.advance(600);
    expect(dpif.flows.size).toBe(0);
  });

  it('gives up flows that are not in the datapath any more, so that they can be installed again', async () => {
    await forward(udp(2, MAC_A, MAC_B));
    dpif.flows.clear();
    await scheduler.advance(600);
    expect(await forward(udp(2, MAC_A, MAC_B))).toEqual([]);
    await scheduler.advance(2500);
    expect(await forward(udp(2, MAC_A, MAC_B))).toEqual(['1,3,4']);
  });

  it('shortens the idle time while there are too many flows, and removes all at twice the limit', async () => {
    for (let i = 0; i < 60; i++) await forward(udp(2, `02:00:00:00:01:${(i + 16).toString(16)}`, MAC_B));
    backer.setOptions({ flowLimit: 1000 });
    dpif.countOverride = 1100;
    await scheduler.advance(700);
    expect(dpif.flows.size).toBe(0);

    dpif.countOverride = undefined;
    await scheduler.advance(200);
    await forward(udp(2, MAC_A, BROADCAST));
    dpif.countOverride = 2001;
    await scheduler.advance(150);
    dpif.hit(dpif.only);
    await scheduler.advance(400);
    expect(dpif.flows.size).toBe(0);
  });

  it('lets the flow limit follow the time that a dump takes', async () => {
    const limit = () => Number(/limit (\d+)/.exec(backer.showUpcall())?.[1]);
    expect(limit()).toBe(10_000);
    dpif.dumpTakesMs = 1400;
    await backer.revalidated();
    expect(limit()).toBe(7500);
    dpif.dumpTakesMs = 3000;
    await backer.revalidated();
    expect(limit()).toBe(2500);
    await backer.revalidated();
    expect(limit()).toBe(1000);
    dpif.dumpTakesMs = 0;
    dpif.countOverride = 900;
    scheduler.clock.advance(200);
    await backer.revalidated();
    expect(limit()).toBe(2000);
  });

  it('deletes flows with few packets instead of checking them when dumps are slow', async () => {
    await forward(udp(2, MAC_A, BROADCAST), udp(3, MAC_B, BROADCAST));
    await scheduler.advance(600);
    const [busy, idle] = [...dpif.flows.values()];
    if (busy === undefined || idle === undefined) throw new Error('want two flows');
    dpif.hit(busy, 100);
    dpif.hit(idle, 1);
    dpif.dumpTakesMs = 300;
    await scheduler.advance(1200);
    dpif.hit(busy, 100);
    scheduler.clock.advance(500);
    dpif.hit(busy, 100);
    br.bundleSet(bundle('v3', { isProtected: true }));
    await scheduler.advance(400);
    expect([...dpif.flows.values()]).toEqual([busy]);
  });

  it('treats thousands of flows in turns of the event loop', async () => {
    for (let i = 0; i < 40; i++) {
      const batch = Array.from({ length: 64 }, (_, j) =>
        missOf(udp(2, `02:00:00:01:${(i + 16).toString(16)}:${(j + 16).toString(16)}`, MAC_B)),
      );
      await dpif.upcall(...batch);
    }
    expect(dpif.flows.size).toBe(2560);
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    await backer.revalidated();
    isDone = true;
    expect(turns).toBeGreaterThan(2560 / 50);
    for (const ops of dpif.operated) expect(ops.length).toBeLessThanOrEqual(128);
  });
});

describe('restart', () => {
  it('leaves flows alone until the bridges are configured, then adopts and corrects them', async () => {
    await forward(udp(2, MAC_A, MAC_B), udp(3, MAC_B, MAC_A));
    await scheduler.advance(50);
    const flows = [...dpif.flows.values()];
    for (const f of flows) dpif.hit(f, 3);
    await backer.close(false);

    await open(true);
    await scheduler.advance(100);
    await dpif.upcall(missOf(udp(4, MAC_A, MAC_B)));
    // No drop flow for a port that is yet to be configured.
    expect(dpif.flows.size).toBe(2);
    br = backer.createOfproto('br0');
    for (const name of ['br0', 'v1', 'v2', 'v3']) {
      await addPort(name);
      await scheduler.advance(200);
    }
    expect([...dpif.flows.values()].map((f) => actionsText(f.actions))).toEqual(['3', '2']);
    for (const f of flows) dpif.hit(f, 3);
    await scheduler.advance(1200);
    // What the flows forwarded taught the new table who is where.
    expect([...dpif.flows.values()].map((f) => actionsText(f.actions))).toEqual(['3', '2']);
    expect(br.fdb().map((e) => [e.ofport, e.mac])).toEqual([
      [1, MAC_A],
      [2, MAC_B],
    ]);
    expect(backer.showUpcall()).toContain('(keys 2)');
  });

  it('deletes flows of ports that nobody has, and those with recirculation', async () => {
    await forward(udp(2, MAC_A, MAC_B), udp(3, MAC_B, MAC_A, { recircId: 3 }));
    await backer.close(false);
    await open(true);
    br = backer.createOfproto('br0');
    await addPort('v2');
    await scheduler.advance(1500);
    expect(dpif.flows.size).toBe(0);
  });
});

describe('texts', () => {
  it('prints dpif/show and upcall/show as ovs-appctl does', async () => {
    await forward(udp(2, MAC_A, MAC_B));
    await scheduler.advance(1000);
    expect(await backer.showDpif()).toBe(
      'system@ovs-system: hit:7 missed:3\n  br0:\n    br0 65534/1: (internal)\n' +
        '    v1 1/2: (system)\n    v2 2/3: (system)\n    v3 3/4: (system)\n',
    );
    expect(backer.showUpcall()).toBe(
      'system@ovs-system:\n  flows         : (current 1) (avg 0) (max 1) (limit 10000)\n' +
        '  dump duration : 1ms\n  ufid enabled : true\n\n  1: (keys 1)\n',
    );
  });
});

describe('ARP', () => {
  it('floods requests', async () => {
    expect(await forward(arpRequest(2, MAC_A, 0x0a000001, 0x0a000002))).toEqual(['1,3,4']);
    await flush();
  });
});
