import { describe, expect, it } from 'vitest';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { recircIds } from '../../src/ofproto/xlate/recirc.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { OFPFC } from '../../src/openflow/messages/flow/flow-types.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { BROADCAST, MAC_A, MAC_B, missOf, udp } from './fakes.ts';
import { actionsText } from './nests.ts';
import { bundle, type Rig, withRig } from './rig.ts';

let rig: Rig;
withRig((r) => {
  rig = r;
});

describe('revalidation', () => {
  it('credits packets that the datapath forwarded, and keeps addresses alive', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    await rig.scheduler.advance(5000);
    rig.dpif.hit(rig.dpif.only, 10);
    await rig.scheduler.advance(600);
    const [rule] = rig.br.tables.rules();
    expect([rule?.nPackets, rule?.nBytes]).toEqual([11n, 1060n]);
    expect(rig.br.fdb.entries()[0]?.ageSec).toBeLessThanOrEqual(1);
  });

  it('credits later packets of a damaged header to the rule that its key says', async () => {
    for (const text of ['priority=10,ip,nw_ttl=0,actions=drop', 'priority=9,ip,nw_ttl=2,actions=drop'])
      rig.br.tables.apply(parseFlow(text, OFPFC.ADD).flow);
    // Headers that end too soon are believed by the datapath, and not by a switch.
    const upcall = missOf(udp(2, MAC_A, MAC_B, { nwTtl: 2 }));
    const packet = upcall.packet.slice();
    new DataView(packet.buffer).setUint16(16, 1000);
    await rig.dpif.upcall({ ...upcall, packet });
    rig.dpif.hit(rig.dpif.only, 3);
    await rig.scheduler.advance(600);
    const counts = new Map([...rig.br.tables.rules()].map((rule) => [rule.priority, rule.nPackets]));
    expect([counts.get(10), counts.get(9)]).toEqual([1n, 3n]);
    expect(rig.dpif.flows.size).toBe(1);
  });

  it('removes idle flows, with their last packets credited', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    await rig.scheduler.advance(9000);
    expect(rig.dpif.flows.size).toBe(1);
    await rig.scheduler.advance(2000);
    expect(rig.dpif.flows.size).toBe(0);
    expect(rig.backer.showUpcall()).toContain('(keys 0)');
  });

  it('has an address that aged flooded again', async () => {
    rig.br.fdb.configure(15, 8192);
    await rig.forward(udp(3, MAC_B, MAC_A), udp(2, MAC_A, MAC_B));
    await rig.scheduler.advance(100);
    const toB = [...rig.dpif.flows.values()].find((f) => actionsText(f.actions) === '3');
    expect(toB).toBeDefined();
    for (let i = 0; i < 40; i++) {
      if (toB !== undefined) rig.dpif.hit(toB);
      await rig.scheduler.advance(500);
    }
    expect(actionsText(toB?.actions ?? new Uint8Array(0))).toBe('1,3,4');
  });

  it('removes flows of a port that was removed, and changes those that went there', async () => {
    await rig.forward(udp(2, MAC_A, BROADCAST), udp(3, MAC_B, BROADCAST));
    await rig.br.portDel('v1');
    await rig.scheduler.advance(20);
    expect(rig.flowActions).toEqual(['1,4']);
  });

  it('keeps the flow of recirculated packets when that which recirculates is gone', async () => {
    const apply = (text: string) => rig.br.tables.apply(parseFlow(text, OFPFC.ADD).flow);
    apply('table=1,priority=1,actions=output:2');
    apply('priority=10,actions=ct(table=1)');
    const flows = () => [...rig.dpif.flows.values()].map((f) => formatOdpActions(f.actions));
    await rig.forward(udp(2, MAC_A, MAC_B));
    const recircId = Number(/^ct,recirc\((0x[0-9a-f]+)\)$/.exec(flows()[0] ?? '')?.[1]);
    await rig.forward(udp(2, MAC_A, MAC_B, { recircId, ctState: 0x21 }));
    expect(flows()).toEqual([expect.stringMatching(/^ct,recirc/), '3']);
    apply('priority=20,actions=drop');
    await rig.scheduler.advance(1000);
    // Whoever takes an id has those forgotten that nobody holds.
    apply('priority=30,in_port=1,actions=ct(table=2)');
    await rig.scheduler.advance(1000);
    expect(flows()).toEqual([expect.stringMatching(/^ct,recirc/), '3']);
    // Such a flow goes with its last packet, and with it the id.
    await rig.scheduler.advance(11_000);
    expect(rig.dpif.flows.size).toBe(0);
    recircIds.run();
    expect(recircIds.find(recircId)).toBeUndefined();
  });

  it('removes a flow that is too wide for the new tables', async () => {
    await rig.forward(udp(2, MAC_A, BROADCAST));
    rig.br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 5 }));
    const flow = rig.dpif.only;
    flow.mask = flow.mask?.slice();
    flow.mask?.fill(0, 4);
    await rig.scheduler.advance(20);
    expect(rig.flowActions).toEqual(['1,3']);
  });

  it('removes the flow of a translation that failed when a flow_mod has flows revalidated, though it change nothing', async () => {
    rig.br.tables.apply(parseFlow('priority=10,actions=resubmit(,0)', OFPFC.ADD).flow);
    expect(await rig.forward(udp(2, MAC_A, BROADCAST))).toEqual(['drop']);
    await rig.scheduler.advance(600);
    expect(rig.dpif.flows.size).toBe(1);
    rig.br.tables.apply(parseFlow('table=7', OFPFC.DELETE).flow);
    await rig.scheduler.advance(20);
    expect(rig.dpif.flows.size).toBe(0);
  });

  it('removes a flow in the next round whose change failed', async () => {
    await rig.forward(udp(2, MAC_A, BROADCAST));
    rig.dpif.failPut = () => ERRNO.EINVAL;
    rig.br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 5 }));
    await rig.scheduler.advance(20);
    expect(rig.dpif.flows.size).toBe(1);
    rig.dpif.failPut = () => 0;
    await rig.scheduler.advance(600);
    expect(rig.dpif.flows.size).toBe(0);
  });

  it('gives up flows that are not in the datapath any more, so that they can be installed again', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    rig.dpif.flows.clear();
    await rig.scheduler.advance(600);
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual([]);
    await rig.scheduler.advance(2500);
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['1,3,4']);
  });

  it('shortens the idle time while there are too many flows, and removes all at twice the limit', async () => {
    for (let i = 0; i < 60; i++) await rig.forward(udp(2, `02:00:00:00:01:${(i + 16).toString(16)}`, MAC_B));
    rig.backer.setOptions({ flowLimit: 1000 });
    rig.dpif.countOverride = 1100;
    await rig.scheduler.advance(700);
    expect(rig.dpif.flows.size).toBe(0);

    rig.dpif.countOverride = undefined;
    await rig.scheduler.advance(600);
    await rig.forward(udp(2, MAC_A, BROADCAST));
    rig.dpif.hit(rig.dpif.only);
    rig.dpif.countOverride = 2001;
    rig.scheduler.clock.advance(50);
    rig.dpif.hit(rig.dpif.only);
    rig.scheduler.clock.advance(60);
    await rig.backer.revalidated();
    expect(rig.dpif.flows.size).toBe(0);
  });

  it('lets the flow limit follow the time that a dump takes', async () => {
    const limit = () => Number(/limit (\d+)/.exec(rig.backer.showUpcall())?.[1]);
    expect(limit()).toBe(10_000);
    rig.dpif.dumpTakesMs = 1400;
    await rig.backer.revalidated();
    expect(limit()).toBe(7500);
    rig.dpif.dumpTakesMs = 3000;
    await rig.backer.revalidated();
    expect(limit()).toBe(2500);
    await rig.backer.revalidated();
    expect(limit()).toBe(1000);
    rig.dpif.dumpTakesMs = 0;
    rig.dpif.countOverride = 900;
    rig.scheduler.clock.advance(200);
    await rig.backer.revalidated();
    expect(limit()).toBe(2000);
  });

  it('deletes flows with few packets instead of checking them when dumps are slow', async () => {
    await rig.forward(udp(2, MAC_A, BROADCAST), udp(3, MAC_B, BROADCAST));
    await rig.scheduler.advance(600);
    const [busy, idle] = [...rig.dpif.flows.values()];
    if (busy === undefined || idle === undefined) throw new Error('want two flows');
    rig.dpif.hit(busy, 100);
    rig.dpif.hit(idle, 1);
    rig.dpif.dumpTakesMs = 300;
    await rig.scheduler.advance(1200);
    rig.dpif.hit(busy, 100);
    rig.scheduler.clock.advance(500);
    rig.dpif.hit(busy, 100);
    rig.br.bundleSet(bundle('v3', { isProtected: true }));
    await rig.scheduler.advance(400);
    expect([...rig.dpif.flows.values()]).toEqual([busy]);
  });

  it('treats thousands of flows in turns of the event loop', async () => {
    for (let i = 0; i < 40; i++) {
      const batch = Array.from({ length: 64 }, (_, j) =>
        missOf(udp(2, `02:00:00:01:${(i + 16).toString(16)}:${(j + 16).toString(16)}`, MAC_B)),
      );
      await rig.dpif.upcall(...batch);
    }
    expect(rig.dpif.flows.size).toBe(2560);
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    await rig.backer.revalidated();
    isDone = true;
    // Every 2 ms: nobody translates 2560 flows in less than 10.
    expect(turns).toBeGreaterThan(3);
    for (const ops of rig.dpif.operated) expect(ops.length).toBeLessThanOrEqual(128);
  });
});

describe('restart', () => {
  it('leaves flows alone until the bridges are configured, then adopts and corrects them', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B), udp(3, MAC_B, MAC_A));
    await rig.scheduler.advance(50);
    const flows = [...rig.dpif.flows.values()];
    for (const f of flows) rig.dpif.hit(f, 3);
    await rig.backer.close(false);

    await rig.open(true);
    await rig.scheduler.advance(100);
    await rig.dpif.upcall(missOf(udp(4, MAC_A, MAC_B)));
    // No drop flow for a port that is yet to be configured.
    expect(rig.dpif.flows.size).toBe(2);
    rig.br = rig.backer.createOfproto('br0');
    for (const name of ['br0', 'v1', 'v2', 'v3']) {
      await rig.addPort(name);
      // However slow the machine.
      await rig.scheduler.advance(3000);
    }
    expect(rig.flowActions).toEqual(['3', '2']);
    for (const f of flows) rig.dpif.hit(f, 3);
    rig.backer.configured();
    await rig.scheduler.advance(1200);
    // What the flows forwarded taught the new table who is where.
    expect(rig.flowActions).toEqual(['3', '2']);
    expect(rig.br.fdb.entries().map((e) => [e.ofport, e.mac])).toEqual([
      [1, MAC_A],
      [2, MAC_B],
    ]);
    expect(rig.backer.showUpcall()).toContain('(keys 2)');
  });

  it('has a round that is asked for wait until the bridges are configured', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B), udp(3, MAC_B, MAC_A));
    const before = rig.flowActions;
    await rig.backer.close(false);
    await rig.open(true);
    let isDone = false;
    const asked = rig.backer.revalidated().then(() => {
      isDone = true;
    });
    rig.br = rig.backer.createOfproto('br0');
    await rig.addPort('v1');
    await rig.scheduler.advance(100);
    expect(isDone).toBe(false);
    expect(rig.flowActions).toEqual(before);
    for (const name of ['br0', 'v2', 'v3']) await rig.addPort(name);
    rig.backer.configured();
    await rig.scheduler.advance(1200);
    await asked;
    expect(isDone).toBe(true);
  });

  it('deletes flows of ports that nobody has, and those with recirculation', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B), udp(3, MAC_B, MAC_A, { recircId: 3 }));
    await rig.backer.close(false);
    await rig.open(true);
    rig.br = rig.backer.createOfproto('br0');
    await rig.addPort('v2');
    // Nobody says that the bridges are configured: after a while they count as such.
    await rig.scheduler.advance(11_000);
    expect(rig.dpif.flows.size).toBe(0);
  });
});

describe('texts', () => {
  it('prints dpif/show and upcall/show as ovs-appctl does', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    await rig.scheduler.advance(1000);
    expect(await rig.backer.showDpif()).toBe(
      'system@ovs-system: hit:7 missed:3\n  br0:\n    br0 65534/1: (internal)\n' +
        '    v1 1/2: (system)\n    v2 2/3: (system)\n    v3 3/4: (system)\n',
    );
    expect(rig.backer.showUpcall()).toBe(
      'system@ovs-system:\n  flows         : (current 1) (avg 0) (max 1) (limit 10000)\n' +
        '  dump duration : 1ms\n  ufid enabled : true\n\n  1: (keys 1)\n',
    );
  });
});
