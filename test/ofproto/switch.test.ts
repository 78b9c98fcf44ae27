import { describe, expect, it } from 'vitest';
import { DPIF_UC } from '../../src/dpif/dpif-types.ts';
import { SLOW_PATH } from '../../src/odp/slow-path.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { encodeCookie } from '../../src/odp/user-action-cookie.ts';
import { filterAttrs } from '../../src/ofproto/udpif/nest.ts';
import { readCoverage } from '../../src/util/coverage.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { arpRequest, BROADCAST, MAC_A, MAC_B, missOf, tag, udp } from './fakes.ts';
import { actionsText } from './nests.ts';
import { bundle, type Rig, withRig } from './rig.ts';
import { addFlow, catchAll, output } from './support/rules.ts';

let rig: Rig;
withRig((r) => {
  rig = r;
});

describe('ports', () => {
  it('numbers ports: LOCAL, what is asked for, the lowest that was never used', async () => {
    expect([...rig.br.ports.values()].map((p) => [p.name, p.ofport, p.odpPort])).toEqual([
      ['br0', 65534, 1],
      ['v1', 1, 2],
      ['v2', 2, 3],
      ['v3', 3, 4],
    ]);
    const asked = await rig.br.portAdd({ name: 'v9', type: 'system', ofport: 9, isLocal: false });
    expect(asked.ofport).toBe(9);
    await rig.br.portDel('v1');
    const next = await rig.br.portAdd({ name: 'v4', type: 'system', ofport: undefined, isLocal: false });
    expect(next.ofport).toBe(4);
    const again = await rig.br.portAdd({ name: 'v1', type: 'system', ofport: undefined, isLocal: false });
    expect(again.ofport).toBe(5);
  });

  it('refuses types that it does not know, and changes nothing', async () => {
    await expect(rig.br.portAdd({ name: 'x', type: 'vxlan', ofport: undefined, isLocal: false })).rejects.toThrow(
      /vxlan/,
    );
    expect(rig.br.ports.has('x')).toBe(false);
    expect(rig.dpif.ports.size).toBe(5);
  });

  it('takes over ports that the datapath has, and tells which nobody has', async () => {
    await rig.dpif.portAdd('old', 'system', 20);
    await rig.dpif.portAdd('stray', 'system', 21);
    const port = await rig.br.portAdd({ name: 'old', type: 'system', ofport: undefined, isLocal: false });
    expect(port.odpPort).toBe(20);
    expect(await rig.backer.strayPorts()).toEqual([{ name: 'stray', portNo: 21 }]);
  });

  it('makes a port anew whose type changed', async () => {
    await rig.dpif.portAdd('i1', 'system', 20);
    await rig.br.portAdd({ name: 'i1', type: 'internal', ofport: undefined, isLocal: false });
    expect((await rig.dpif.portQuery('i1'))?.type).toBe('internal');
  });

  it('forgets a port whose device vanished, says so, and revalidates', async () => {
    const gone: string[] = [];
    rig.backer.onPortVanished((ofproto, port) => gone.push(`${ofproto}/${port}`));
    await rig.forward(udp(2, MAC_A, MAC_B));
    await rig.dpif.portDel(3);
    rig.dpif.notify({ kind: 'changed', name: 'v2', deleted: true });
    await rig.scheduler.advance(20);
    expect(gone).toEqual(['br0/v2']);
    expect(rig.br.ports.has('v2')).toBe(false);
    expect(actionsText(rig.dpif.only.actions)).toBe('1,4');
    const back = await rig.br.portAdd({ name: 'v2', type: 'system', ofport: undefined, before: 2, isLocal: false });
    expect(back.ofport).toBe(2);
    await rig.scheduler.advance(20);
    // It is in its bundle again without being told.
    expect(actionsText(rig.dpif.only.actions)).toBe('1,3,4');
  });

  it('follows a port that somebody put back with another number', async () => {
    const gone: string[] = [];
    rig.backer.onPortVanished((_, port) => gone.push(port));
    await rig.forward(udp(2, MAC_A, MAC_B));
    await rig.dpif.portDel(3);
    await rig.dpif.portAdd('v2', 'system', 9);
    rig.dpif.notify({ kind: 'changed', name: 'v2', deleted: true });
    rig.dpif.notify({ kind: 'changed', name: 'v2', deleted: false });
    await rig.scheduler.advance(20);
    expect(gone).toEqual([]);
    expect(rig.br.ports.get('v2')).toMatchObject({ ofport: 2, odpPort: 9 });
    expect(actionsText(rig.dpif.only.actions)).toBe('1,9,4');
    expect(await rig.backer.strayPorts()).toEqual([]);
  });

  it('removes all ports with the switch', async () => {
    await rig.br.destroy();
    expect([...rig.dpif.ports.keys()]).toEqual([0]);
    expect(rig.backer.ofprotos.size).toBe(0);
  });
});

describe('upcalls', () => {
  it('floods what it does not know, and forwards what it learned', async () => {
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['1,3,4']);
    expect(await rig.forward(udp(3, MAC_B, MAC_A))).toEqual(['2']);
    expect(rig.br.fdb.entries()).toEqual([
      { ofport: 1, vlan: 0, mac: MAC_A, ageSec: 0 },
      { ofport: 2, vlan: 0, mac: MAC_B, ageSec: 0 },
    ]);
    await rig.scheduler.advance(10);
    // The first flow no longer floods.
    expect(rig.flowActions).toEqual(['3', '2']);
  });

  it('translates a burst of one flow once: one put, as many executions', async () => {
    const before = readCoverage('xlate_actions') ?? 0;
    rig.dpif.operated.length = 0;
    await rig.dpif.upcall(...Array.from({ length: 64 }, () => missOf(udp(2, MAC_A, MAC_B))));
    expect(rig.dpif.operated.length).toBe(1);
    expect(rig.dpif.last.map((op) => op.type)).toEqual(['put', ...Array(64).fill('execute')]);
    expect((readCoverage('xlate_actions') ?? 0) - before).toBe(1);
    const [rule] = rig.br.tables.rules();
    expect([rule?.nPackets, rule?.nBytes]).toEqual([64n, 3840n]);
  });

  it('executes with metadata only, and the hash of the upcall', async () => {
    await rig.dpif.upcall(missOf(udp(2, MAC_A, MAC_B, { skbPriority: 7 })));
    const op = rig.dpif.last[1];
    expect(op?.type === 'execute' && [Buffer.from(op.key).toString('hex'), op.hash]).toEqual([
      '0800020007000000' + '08000f0000000000' + '0800030002000000',
      5n,
    ]);
  });

  it('keeps nothing of the receive buffer: it is used again when the handler has returned', async () => {
    // Later than when the datapath's flows were last counted, so that the handler has something to wait for.
    await rig.scheduler.advance(5000);
    rig.scheduler.clock.advance(400);
    const miss = missOf(udp(2, MAC_A, MAC_B));
    await rig.dpif.upcall({ ...miss, packet: miss.packet.fill(7) });
    const [put, execute] = rig.dpif.last;
    expect(put?.type === 'put' && put.key).toEqual(miss.key);
    expect(execute?.type === 'execute' && execute.packet).toEqual(miss.packet);
  });

  it('handles a second miss of an installed flow without a put', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual([]);
    expect(rig.nExecuted).toBe(1);
  });

  it('answers packets of unknown ports by a drop flow, which the next change takes away', async () => {
    const lines: string[] = [];
    setConsole((line) => lines.push(line));
    try {
      expect(await rig.forward(udp(77, MAC_A, MAC_B), udp(78, MAC_A, MAC_B, { recircId: 9 }))).toEqual([
        'drop',
        'drop',
      ]);
      expect(rig.nExecuted).toBe(0);
      expect(rig.dpif.flows.size).toBe(2);
      for (const flow of rig.dpif.flows.values()) expect(flow.mask).toBeUndefined();
      await rig.scheduler.advance(1200);
      expect(rig.dpif.flows.size).toBe(2);
      rig.br.bundleRemove('v1');
      await rig.scheduler.advance(1200);
      expect(rig.dpif.flows.size).toBe(0);
      expect(lines.filter((line) => line.includes('unexpected flow'))).toEqual([]);
    } finally {
      setConsole(() => {});
    }
  });

  it('skips upcalls that make no sense, and handles the rest of the batch', async () => {
    const bad = { ...missOf(udp(2, MAC_A, MAC_B)), key: Uint8Array.of(6, 0, 3, 0, 1, 2) };
    const noCookie = { ...missOf(udp(2, MAC_A, MAC_B)), type: DPIF_UC.ACTION };
    const oddCookie = { ...noCookie, userdata: new Uint8Array(7) };
    await rig.dpif.upcall(bad, noCookie, oddCookie, missOf(udp(3, MAC_B, MAC_A)));
    expect(rig.dpif.last.map((op) => op.type)).toEqual(['put', 'execute']);
  });

  it('drops the flow of a packet with a recirculation id that nobody gave out', async () => {
    expect(await rig.forward(udp(2, MAC_A, MAC_B, { recircId: 9 }))).toEqual(['drop']);
    expect(rig.nExecuted).toBe(0);
  });

  it('installs nothing beyond the flow limit, but forwards', async () => {
    rig.dpif.countOverride = 10_000;
    rig.backer.setOptions({ flowLimit: 10_000 });
    await rig.scheduler.advance(600);
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual([]);
    expect(rig.nExecuted).toBe(1);
  });

  it('forgets a flow that the datapath refused, and tries again', async () => {
    rig.dpif.failPut = () => ERRNO.EEXIST;
    await rig.forward(udp(2, MAC_A, MAC_B));
    expect(rig.dpif.flows.size).toBe(0);
    rig.dpif.failPut = () => 0;
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['1,3,4']);
  });
});

describe('slow path', () => {
  /** An upcall of an IPv4 UDP packet whose key lacks the ports: too little to match on. */
  const tooLittle = (key = udp(2, MAC_A, MAC_B)) => {
    const whole = missOf(key);
    return { ...whole, key: filterAttrs(whole.key, new Set([2, 3, 4, 6, 7, 15, 20])) };
  };

  it('sends every packet up that the datapath cannot match well enough, and forwards it from there', async () => {
    await rig.dpif.upcall(tooLittle());
    const [put, execute] = rig.dpif.last;
    expect(put?.type === 'put' && formatOdpActions(put.actions)).toBe('userspace(pid=4294967295,slow_path(match))');
    expect(execute?.type === 'execute' && actionsText(execute.actions)).toBe('1,3,4');

    const cookie = encodeCookie({
      type: 'slowPath',
      ofpInPort: 1,
      ofprotoUuid: rig.br.uuid,
      reason: SLOW_PATH.MATCH,
    });
    const again = { ...tooLittle(), type: DPIF_UC.ACTION, userdata: cookie };
    await rig.dpif.upcall(again, again);
    expect(rig.dpif.last.map((op) => op.type)).toEqual(['execute', 'execute']);
    // Those packets are counted by their flow.
    const [rule] = rig.br.tables.rules();
    expect(rule?.nPackets).toBe(1n);
    await rig.scheduler.advance(600);
    expect(rig.dpif.flows.size).toBe(1);
  });

  it('ignores cookies of switches that are gone', async () => {
    const cookie = encodeCookie({ type: 'slowPath', ofpInPort: 1, ofprotoUuid: new Uint8Array(16), reason: 1 });
    rig.dpif.operated.length = 0;
    await rig.dpif.upcall({ ...missOf(udp(2, MAC_A, MAC_B)), type: DPIF_UC.ACTION, userdata: cookie });
    expect(rig.dpif.operated).toEqual([]);
  });

  it('executes lists that fit no flow in parts', async () => {
    const actions = Array.from({ length: 9000 }, (_, i) => output(i % 2 === 0 ? 2 : 3));
    addFlow(rig.br.tables, { priority: 1, match: catchAll(), actions });
    await rig.dpif.upcall(missOf(udp(2, MAC_A, MAC_B)));
    const [put, ...executions] = rig.dpif.last;
    expect(put?.type === 'put' && formatOdpActions(put.actions)).toBe('userspace(pid=4294967295,slow_path(action))');
    const parts = executions.map((op) => (op.type === 'execute' ? actionsText(op.actions).split(',') : []));
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.flat()).toEqual(actions.map((a) => String((a.kind === 'output' ? a.port : 0) + 1)));
  });
});

describe('two bridges', () => {
  it('share the datapath, and nothing else', async () => {
    const other = rig.backer.createOfproto('br1');
    for (const name of ['br1', 'w1', 'w2']) {
      await other.portAdd({ name, type: 'system', ofport: undefined, isLocal: name === 'br1' });
      other.bundleSet(bundle(name));
    }
    expect(other.ports.get('w1')?.ofport).toBe(1);
    expect(await rig.forward(udp(2, MAC_A, MAC_B), udp(6, MAC_A, MAC_B))).toEqual(['1,3,4', '5,7']);
    expect([rig.br.fdb.entries().length, other.fdb.entries().length]).toEqual([1, 1]);
    expect(() => rig.backer.createOfproto('br1')).toThrow(RangeError);
    await expect(other.portAdd({ name: 'v1', type: 'system', ofport: undefined, isLocal: false })).rejects.toThrow(
      /br0/,
    );
    await other.destroy();
    await rig.scheduler.advance(20);
    expect(rig.flowActions).toEqual(['1,3,4']);
    expect(await rig.backer.strayPorts()).toEqual([]);
  });

  it('of one that goes every port is in its bundle as long as it is there: packets come meanwhile', async () => {
    const other = rig.backer.createOfproto('br1');
    const names = ['br1', 'w1', 'w2'];
    for (const name of names) {
      await other.portAdd({ name, type: 'system', ofport: undefined, isLocal: name === 'br1' });
      other.bundleSet(bundle(name));
    }
    const bundles: (string | undefined)[][] = [];
    const portDel = rig.dpif.portDel.bind(rig.dpif);
    rig.dpif.portDel = (portNo) => {
      bundles.push([...other.ports.values()].map(({ ofport }) => other.xport(ofport)?.bundle?.name));
      return portDel(portNo);
    };
    await other.destroy();
    expect(bundles).toEqual([['w1', 'w2'], ['w2'], []]);
  });
});

describe('NORMAL', () => {
  it('drops frames to reserved addresses', async () => {
    expect(await rig.forward(udp(2, MAC_A, '01:80:c2:00:00:0e'), udp(2, MAC_A, '01:80:c2:00:00:10'))).toEqual([
      'drop',
      '1,3,4',
    ]);
    rig.br.setForwardBpdu(true);
    expect(await rig.forward(udp(2, MAC_B, '01:80:c2:00:00:0e'))).toEqual(['1,3,4']);
  });

  it('never sends back through the port that it learned the address on', async () => {
    await rig.forward(udp(2, MAC_B, MAC_A));
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['drop']);
  });

  it('takes access and trunk ports apart by VLAN', async () => {
    rig.br.bundleSet(bundle('v1', { vlanMode: 'access', tag: 10 }));
    rig.br.bundleSet(bundle('v2', { trunks: [10, 20] }));
    rig.br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 20 }));
    expect(await rig.forward(udp(2, MAC_A, BROADCAST))).toEqual(['push_vlan(8100,100a),1,3']);
    expect(await rig.forward(udp(3, MAC_B, BROADCAST, tag(20, 3)))).toEqual(['1,pop_vlan,4']);
    expect(await rig.forward(udp(3, MAC_B, MAC_A, tag(10)))).toEqual(['pop_vlan,2']);
    // Not trunked; untagged on the trunk is VLAN 0, which it does not carry; tagged on an access port.
    expect(await rig.forward(udp(3, MAC_B, BROADCAST, tag(30)))).toEqual(['drop']);
    expect(await rig.forward(udp(3, MAC_B, BROADCAST))).toEqual(['drop']);
    expect(await rig.forward(udp(2, MAC_A, BROADCAST, tag(10)))).toEqual(['drop']);
  });

  it('knows native VLANs, tagged and untagged', async () => {
    rig.br.bundleSet(bundle('v1', { vlanMode: 'native-untagged', tag: 10 }));
    rig.br.bundleSet(bundle('v2', { vlanMode: 'native-tagged', tag: 10 }));
    rig.br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 10 }));
    expect(await rig.forward(udp(2, MAC_A, BROADCAST))).toEqual(['push_vlan(8100,100a),1,3,pop_vlan,4']);
    expect(await rig.forward(udp(3, MAC_B, MAC_A))).toEqual(['2']);
    expect(await rig.forward(udp(3, MAC_B, MAC_A, tag(10)))).toEqual(['pop_vlan,2']);
    expect(await rig.forward(udp(3, MAC_B, BROADCAST, tag(11)))).toEqual(['1,2']);
  });

  it('puts a second tag around the frames of a dot1q tunnel', async () => {
    rig.br.bundleSet(bundle('v1', { vlanMode: 'dot1q-tunnel', tag: 100 }));
    expect(await rig.forward(udp(2, MAC_A, BROADCAST, tag(5)))).toEqual(['push_vlan(88a8,1064),1,3,4']);
  });

  it('keeps protected ports apart', async () => {
    rig.br.bundleSet(bundle('v1', { isProtected: true }));
    rig.br.bundleSet(bundle('v2', { isProtected: true }));
    expect(await rig.forward(udp(2, MAC_A, BROADCAST))).toEqual(['1,4']);
  });

  it('floods a flooded VLAN and learns nothing there', async () => {
    rig.br.fdb.setFloodVlans([0]);
    await rig.forward(udp(3, MAC_B, MAC_A));
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toEqual(['1,3,4']);
    expect(rig.br.fdb.entries()).toEqual([]);
  });

  it('uses one member of a bundle, and takes nothing in by the others', async () => {
    rig.br.bundleRemove('v3');
    rig.br.bundleSet({ ...bundle('v2'), members: ['v2', 'v3'] });
    expect(await rig.forward(udp(2, MAC_A, BROADCAST))).toEqual(['1,3']);
    expect(await rig.forward(udp(4, MAC_B, BROADCAST))).toEqual(['drop']);
    rig.br.setPortConfig('v2', 1);
    expect(await rig.forward(udp(4, MAC_B, MAC_A))).toEqual(['2']);
    expect(await rig.forward(udp(1, MAC_A, MAC_B))).toEqual(['4']);
  });

  it('drops what comes in on a port without bundle', async () => {
    rig.br.bundleRemove('v1');
    expect(await rig.forward(udp(2, MAC_A, BROADCAST))).toEqual(['drop']);
  });
});

describe('ARP', () => {
  it('floods requests', async () => {
    expect(await rig.forward(arpRequest(2, MAC_A, 0x0a000001, 0x0a000002))).toEqual(['1,3,4']);
  });
});
