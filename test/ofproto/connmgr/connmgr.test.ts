/** The connections of a switch together: roles, what each is told, packet_ins in their format and number.  Streams are in memory. */
import { duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newFlow } from '../../../src/flow/flow-key.ts';
import { Control, type Controlled } from '../../../src/ofproto/connmgr/control.ts';
import { serve } from '../../../src/ofproto/connmgr/dispatch.ts';
import { OFPR } from '../../../src/ofproto/connmgr/events/async-masks.ts';
import { PACKET_IN_FORMAT } from '../../../src/ofproto/connmgr/events/packet-ins.ts';
import { OfConn, type OfConnOptions } from '../../../src/ofproto/connmgr/ofconn.ts';
import { metadataMatch } from '../../../src/ofproto/packet-in.ts';
import { FlowTables, TBL_INTERNAL } from '../../../src/ofproto/tables/flow-tables.ts';
import type { PacketInEvent } from '../../../src/ofproto/xlate/xbridge.ts';
import { decodeMessage, encodeMessage } from '../../../src/openflow/messages/codec.ts';
import { FLOW_FLAG, type PacketInPrivate, ROLE, UNKNOWN32 } from '../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import type { BodyOf, OfMessage } from '../../../src/openflow/messages/of-message.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import type { OfKind } from '../../../src/openflow/ofp-msgs.ts';
import { Vconn } from '../../../src/openflow/vconn.ts';
import { setConsole } from '../../../src/util/vlog.ts';

const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((done) => setImmediate(done));
};

class Rig {
  readonly tables: FlowTables = new FlowTables((changes) => this.control.conns.flowsChanged(changes));
  /** Ends the wait of a request for port statistics. */
  answerStats: (() => void) | undefined;
  readonly control: Control;

  constructor() {
    const ports = [{ name: 'p1', ofport: 1, config: 0 }];
    this.control = new Control({
      name: 'br0',
      tables: this.tables,
      groups: { deleteAll: () => {} },
      meters: { deleteAll: async () => {} },
      xports: ports,
      xport: (n: number) => ports.find((p) => p.ofport === n),
      portStats: () => new Promise((done) => (this.answerStats = () => done({}))),
    } as unknown as Controlled);
  }

  /** A peer that has agreed on `version`. */
  async connect(version: OfVersion, options: Partial<OfConnOptions> = {}) {
    const [ours, theirs] = duplexPair();
    const told: OfMessage[] = [];
    const vconn = new Vconn(ours, { name: 'test', versions: 1 << version });
    const opening = new Promise<OfConn>((done) => {
      vconn.onOpen = () => done(new OfConn(vconn, { name: 'br0<->test', kind: 'primary', ...options }));
    });
    const peer = new Vconn(theirs, { name: 'peer', versions: 1 << version });
    peer.onMessage = (bytes) => told.push(decodeMessage(bytes));
    const conn = await opening;
    await settle();
    this.control.conns.conns.add(conn);
    serve(conn, this.control);
    const ask = async <K extends OfKind>(kind: K, body: BodyOf[K]): Promise<OfMessage[]> => {
      peer.send(encodeMessage({ kind, version, xid: 7, body }));
      await settle();
      return told.splice(0);
    };
    const hears = async (): Promise<string[]> => {
      await settle();
      return told.splice(0).map((m) => m.kind);
    };
    return { conn, told, ask, hears, theirs, peer };
  }
}

const event = (reason: number, change: Partial<PacketInEvent> = {}): PacketInEvent => ({
  packetIn: {
    packet: new Uint8Array(60),
    totalLen: 60,
    bufferId: UNKNOWN32,
    flowMetadata: metadataMatch(newFlow()),
    reason,
    tableId: 3,
    cookie: 0x12n,
    userdata: Uint8Array.of(9),
    continuation: undefined,
  },
  controllerId: 0,
  maxLen: 0xffff,
  private: undefined,
  ...change,
});

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
  setConsole(() => {});
});
afterEach(() => setConsole(undefined));

describe('roles', () => {
  test('generations may wrap around, and must not go back', () => {
    const { conns } = rig.control;
    const max = 0xffff_ffff_ffff_ffffn;
    expect([5n, 5n, 4n, 6n, max, 0x8000_0000_0000_0000n, max, 3n].map((id) => conns.takeGeneration(id))).toEqual([
      true,
      true,
      false,
      true,
      false,
      true,
      true,
      true,
    ]);
    expect(conns.generationId).toBe(3n);
  });

  test('a new primary makes the old one a secondary, which is told so and may only look', async () => {
    const a = await rig.connect(5);
    const b = await rig.connect(4);
    a.conn.setAsync({ primary: { roleStatus: 1 }, secondary: { roleStatus: 1 } });
    expect(await a.ask('role_request', { role: ROLE.PRIMARY, generationId: 1n })).toMatchObject([
      { kind: 'role_reply' },
    ]);
    await b.ask('role_request', { role: ROLE.PRIMARY, generationId: 2n });
    await settle();
    expect(a.told.splice(0)).toMatchObject([{ kind: 'role_status', body: { role: ROLE.SECONDARY, generationId: 2n } }]);
    expect([a.conn.role, b.conn.role]).toEqual([ROLE.SECONDARY, ROLE.PRIMARY]);
    expect(await a.ask('flow_mod', newFlowMod('ADD', {}))).toMatchObject([
      { kind: 'error', body: { err: { name: 'OFPBRC_IS_SECONDARY' } } },
    ]);
    expect(await a.ask('role_request', { role: ROLE.EQUAL, generationId: 0n })).toMatchObject([{ kind: 'role_reply' }]);
    expect(a.conn.role).toBe(ROLE.EQUAL);
  });
});

test('requests for roles that came together have their turns: one of each connection', async () => {
  const a = await rig.connect(4);
  const b = await rig.connect(4);
  const request = (role: number, generationId: bigint) =>
    encodeMessage({ kind: 'role_request', version: 4, xid: 7, body: { role, generationId } });
  // b's first was there before a's, and its second after it.
  b.peer.send(Buffer.concat([request(ROLE.NOCHANGE, 0n), request(ROLE.PRIMARY, 9n)]));
  a.peer.send(request(ROLE.SECONDARY, 8n));
  expect([await a.hears(), await b.hears()]).toEqual([['role_reply'], ['role_reply', 'role_reply']]);
  expect([a.conn.role, b.conn.role]).toEqual([ROLE.SECONDARY, ROLE.PRIMARY]);
});

test('fragments are not put together for tables: that mode is refused', async () => {
  const tool = await rig.connect(4, { kind: 'service' });
  const config = { invalidTtlToController: undefined, missSendLen: 128 };
  await tool.ask('set_config', { ...config, frag: 3 });
  await tool.ask('set_config', { ...config, frag: 2 });
  expect(await tool.ask('get_config_request', undefined)).toMatchObject([
    { kind: 'get_config_reply', body: { frag: 3 } },
  ]);
});

describe('what nobody asked for', () => {
  const remove = () => {
    rig.tables.apply(newFlowMod('ADD', { priority: 5, flags: FLOW_FLAG.SEND_FLOW_REM }));
    rig.tables.apply(newFlowMod('DELETE', {}));
  };

  test('goes to controllers; to tools once they have said how much of a packet they want', async () => {
    const controller = await rig.connect(4);
    const tool = await rig.connect(4, { kind: 'service' });
    const silent = await rig.connect(4, { enableAsync: false });
    remove();
    expect([await controller.hears(), await tool.hears(), await silent.hears()]).toEqual([['flow_removed'], [], []]);
    await tool.ask('set_config', { frag: 0, invalidTtlToController: false, missSendLen: 128 });
    remove();
    expect(await tool.hears()).toEqual(['flow_removed']);
  });

  test('may be turned on and off for those who have not said what they want', async () => {
    const [peer, own] = [await rig.connect(4), await rig.connect(4)];
    own.conn.setAsync({ primary: { flowRemoved: 0xf }, secondary: {} });
    for (const isEnabled of [false, true]) {
      for (const { conn } of [peer, own]) conn.enableAsync(isEnabled);
      remove();
      expect([await peer.hears(), await own.hears()]).toEqual([isEnabled ? ['flow_removed'] : [], ['flow_removed']]);
    }
  });

  test('secondaries are told of ports only', async () => {
    const peer = await rig.connect(4);
    peer.conn.role = ROLE.SECONDARY;
    remove();
    rig.control.conns.packetIn(event(OFPR.ACTION));
    rig.control.setPortDevice('p1', { hwAddr: new Uint8Array(6), isUp: true, hasCarrier: true });
    expect(new Set(await peer.hears())).toEqual(new Set(['port_status']));
  });

  test("a link's speed alone is news, but not what is found out about a port later", async () => {
    const [old, late] = [await rig.connect(1), await rig.connect(4)];
    const device = { hwAddr: new Uint8Array(6), isUp: true, hasCarrier: true };
    const features = { curr: 0x820, advertised: 0, supported: 0x800 };
    const told = async (now: typeof features | undefined) => {
      rig.control.setPortDevice('p1', { ...device, features: now });
      return [(await old.hears()).length, (await late.hears()).length];
    };
    await told(undefined);
    expect(await told(features)).toEqual([0, 0]);
    expect(await told({ ...features, curr: 0x840 })).toEqual([1, 1]);
    expect(await told({ ...features, curr: 0x840 })).toEqual([0, 0]);
    // 1.0 has no word for 40 Gb/s and more.
    await told({ ...features, curr: 0x880 });
    expect(await told({ ...features, curr: 0x900 })).toEqual([0, 1]);
  });

  test('packet_ins go to those of their controller id, whose masks have their reason', async () => {
    const peer = await rig.connect(4);
    const other = await rig.connect(4);
    await other.ask('set_controller_id', 5);
    rig.control.conns.packetIn(event(OFPR.ACTION));
    rig.control.conns.packetIn(event(OFPR.ACTION, { controllerId: 5 }));
    rig.control.conns.packetIn(event(OFPR.INVALID_TTL));
    rig.control.conns.packetIn(event(OFPR.IMPLICIT_MISS));
    expect([await peer.hears(), await other.hears()]).toEqual([['packet_in'], ['packet_in']]);
    await peer.ask('set_config', { frag: 0, invalidTtlToController: undefined, missSendLen: 128 });
    peer.conn.invalidTtlToController = true;
    rig.control.conns.packetIn(event(OFPR.INVALID_TTL));
    expect(await peer.hears()).toEqual(['packet_in']);
    // Before 1.3 misses need no flow.
    const old = await rig.connect(1);
    rig.control.conns.packetIn(event(OFPR.IMPLICIT_MISS));
    expect([await old.hears(), rig.control.conns.wantsMisses]).toEqual([['packet_in'], true]);
  });

  test('a paused packet has a continuation in the format that has one', async () => {
    const peer = await rig.connect(1);
    const state: PacketInPrivate = {
      bridge: new Uint8Array(16).fill(7),
      stack: [],
      mirrors: 0,
      isConntracked: false,
      actions: [{ kind: 'output', port: 2, maxLen: 0 }],
      actionSet: [],
      odpPort: 4,
    };
    const continued: boolean[] = [];
    for (const format of Object.values(PACKET_IN_FORMAT)) {
      await peer.ask('set_packet_in_format', format);
      rig.control.conns.packetIn(event(OFPR.ACTION, { private: state }));
      await settle();
      for (const m of peer.told.splice(0))
        if (m.kind === 'packet_in') continued.push(m.body.continuation !== undefined);
    }
    expect(continued).toEqual([false, false, true]);
    expect(await peer.ask('set_packet_in_format', 3)).toMatchObject([{ kind: 'error' }]);
  });
});

test('packet_ins that a peer does not read are lost beyond its queue; no more than its rate come', async () => {
  const slow = await rig.connect(4, { limits: { rateLimit: 0, burstLimit: 0, maxQueue: 3 } });
  slow.theirs.pause();
  for (let i = 0; i < 200; i++) rig.control.conns.packetIn(event(OFPR.ACTION));
  slow.theirs.resume();
  const n = (await slow.hears()).length;
  expect(n).toBeGreaterThanOrEqual(3);
  expect(n).toBeLessThan(200);
  rig.control.conns.packetIn(event(OFPR.ACTION));
  expect(await slow.hears()).toEqual(['packet_in']);

  rig.control.conns.conns.clear();
  const limited = await rig.connect(4, { limits: { rateLimit: 1, burstLimit: 5, maxQueue: 1000 } });
  for (let i = 0; i < 20; i++) rig.control.conns.packetIn(event(OFPR.ACTION));
  expect(await limited.hears()).toHaveLength(5);
  expect(Object.fromEntries(limited.conn.packetIns.pairs())).toMatchObject({
    'packet-in-action-bypassed': '5',
    'packet-in-action-queued': '15',
    'packet-in-action-backlog': '5',
    'packet-in-action-dropped': '10',
    'packet-in-miss-bypassed': '0',
  });
  limited.conn.packetIns.close();
});

test('what follows a request that takes time waits for it, barriers too', async () => {
  const peer = await rig.connect(4);
  await peer.ask('port_stats_request', 1);
  expect(await peer.ask('barrier_request', undefined)).toEqual([]);
  rig.answerStats?.();
  expect(await peer.hears()).toEqual(['port_stats_reply', 'barrier_reply']);
});

test('flows that the switch has for itself are not counted, and survive those of controllers', async () => {
  const rig = new Rig();
  const { control, tables } = rig;
  tables.apply(newFlowMod('ADD', { priority: 3, tableId: TBL_INTERNAL }), true);
  tables.apply(newFlowMod('ADD', { priority: 0xffffff, tableId: 0 }), true);
  tables.apply(newFlowMod('ADD', { priority: 7, tableId: 0 }));
  const { ask } = await rig.connect(4);
  const [stats] = await ask('table_stats_request', undefined);
  expect(stats?.kind === 'table_stats_reply' ? stats.body[0]?.activeCount : undefined).toBe(1);
  control.conns.start();
  expect(Array.from(tables.rules(), (rule) => [rule.table, rule.priority])).toEqual([
    [0, 0],
    [TBL_INTERNAL, 3],
  ]);
});

test('when the first controller comes to which misses go, or the last one leaves, flows are to be made anew', async () => {
  const rig = new Rig();
  const { conns } = rig.control;
  let n = 0;
  conns.onMissesWanted = () => n++;
  const told = (): number => {
    conns.changed();
    return n;
  };
  await rig.connect(4);
  await rig.connect(1, { kind: 'service' });
  expect(told()).toBe(0);
  const { conn } = await rig.connect(1);
  expect([told(), told()]).toEqual([1, 1]);
  conns.conns.delete(conn);
  expect([told(), told()]).toEqual([2, 2]);
});

test('so they are when the only controller to which misses go takes another id than 0, and takes 0 again', async () => {
  const rig = new Rig();
  const { conns } = rig.control;
  const { ask } = await rig.connect(1);
  conns.missesMayBeWanted();
  let n = 0;
  conns.onMissesWanted = () => n++;
  const counts: number[] = [];
  for (const id of [7, 8, 0, 0]) {
    await ask('set_controller_id', id);
    counts.push(n);
  }
  expect(counts).toEqual([1, 1, 2, 2]);
});
