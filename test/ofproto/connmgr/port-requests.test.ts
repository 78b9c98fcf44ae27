/** Requests about ports, queues, the TLV table and tracked connections, from bytes to bytes. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Dpif } from '../../../src/dpif/dpif.ts';
import type { CtTuple } from '../../../src/dpif/dpif-ct.ts';
import type { Controlled } from '../../../src/ofproto/connmgr/control.ts';
import { Control, OFPPR, OFPPS } from '../../../src/ofproto/connmgr/control.ts';
import type { DeviceControl } from '../../../src/ofproto/connmgr/device-control.ts';
import { handleMessage } from '../../../src/ofproto/connmgr/dispatch.ts';
import { OfConn } from '../../../src/ofproto/connmgr/ofconn.ts';
import { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import { NXTTMC } from '../../../src/openflow/fields/tlv-table.ts';
import { newMatch } from '../../../src/openflow/match/match.ts';
import { decodeMessage, encodeMessage } from '../../../src/openflow/messages/codec.ts';
import {
  BUNDLE_CTRL,
  BUNDLE_FLAG,
  MONITOR_FLAG,
  OFPG,
  OFPTT_ALL,
  ROLE,
  UNKNOWN64,
} from '../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import type { BodyOf, OfMessage } from '../../../src/openflow/messages/of-message.ts';
import { isSameIn } from '../../../src/openflow/messages/port/phy-port.ts';
import { OFPQ_ALL, type PhyPort } from '../../../src/openflow/messages/switch/switch-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import type { OfKind } from '../../../src/openflow/ofp-msgs.ts';
import { OFPP, OFPPC } from '../../../src/openflow/ofp-port.ts';
import type { Vconn } from '../../../src/openflow/vconn.ts';

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);

class Device implements DeviceControl {
  queues: readonly number[] = [0];
  isBroken = false;
  readonly told: boolean[] = [];
  async counters() {
    if (this.isBroken) throw new Error('gone');
    return { counters: { rxPackets: 7n, txBytes: 9n }, custom: [{ name: 'own', value: 1n }] };
  }
  async setUp(isUp: boolean): Promise<boolean> {
    if (this.isBroken) throw new Error('gone');
    this.told.push(isUp);
    return isUp;
  }
}

/** A switch with ports 1 and LOCAL. */
class Rig {
  readonly device = new Device();
  readonly ports = [
    { name: 'p1', ofport: 1, config: 0 },
    { name: 'br0', ofport: OFPP.LOCAL, config: 0 },
  ];
  readonly flushed: (readonly [zone: number | undefined, tuple: CtTuple | undefined])[] = [];
  readonly live: (readonly [name: string, isLive: boolean])[] = [];
  readonly control: Control;

  constructor() {
    const ct = {
      flush: async (zone?: number, tuple?: CtTuple) => void this.flushed.push([zone, tuple]),
      dump: async () => {},
    };
    const target = {
      name: 'br0',
      tables: new FlowTables(() => {}),
      xports: this.ports,
      xport: (ofport: number) => this.ports.find((p) => p.ofport === ofport),
      setPortConfig: (name: string, config: number) => {
        for (const port of this.ports) if (port.name === name) port.config = config;
      },
      setPortLive: (name: string, isLive: boolean) => this.live.push([name, isLive]),
      dpif: { type: 'system', name: 'ovs-system', ct } as unknown as Dpif,
    };
    this.control = new Control(target as unknown as Controlled);
    this.control.setPortDevice('p1', { hwAddr: MAC, isUp: true, hasCarrier: true, control: this.device });
    this.control.setPortDevice('br0', { hwAddr: MAC, isUp: true, hasCarrier: true });
  }

  connect(version: OfVersion) {
    const sent: OfMessage[] = [];
    const vconn = {
      version,
      state: 'connected',
      backlog: 0,
      send: (bytes: Uint8Array) => sent.push(decodeMessage(bytes)),
    };
    const conn = new OfConn(vconn as unknown as Vconn, { name: 'br0<->test', kind: 'primary' });
    const ask = async <K extends OfKind>(kind: K, body: BodyOf[K]): Promise<OfMessage[]> => {
      await handleMessage(conn, encodeMessage({ kind, version, xid: 5, body }), this.control);
      return sent.splice(0);
    };
    return { conn, ask, sent };
  }
}

/** The name of the error that answers. */
const errorOf = (answers: readonly OfMessage[]): string | undefined => {
  const [m] = answers;
  return m?.kind === 'error' ? m.body.err?.name : undefined;
};

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});

describe.each([1, 2, 4, 5, 6] as const)('version %i', (version) => {
  test('statistics of ports', async () => {
    const { ask } = rig.connect(version);
    const all = await ask('port_stats_request', OFPP.NONE);
    const custom = version >= 5 ? [{ name: 'own', value: 1n }] : [];
    expect(all).toMatchObject([
      {
        kind: 'port_stats_reply',
        xid: 5,
        body: [{ portNo: 1, counters: { rxPackets: 7n, txBytes: 9n }, custom }, { portNo: OFPP.LOCAL }],
      },
    ]);
    expect(await ask('port_stats_request', 1)).toMatchObject([{ body: [{ portNo: 1 }] }]);
    expect(await ask('port_stats_request', 9)).toMatchObject([{ body: [] }]);
    rig.device.isBroken = true;
    const [broken] = await ask('port_stats_request', 1);
    expect(broken?.body).toMatchObject([{ portNo: 1, counters: {} }]);
  });

  test('port_mod', async () => {
    const { ask, conn } = rig.connect(version);
    const body = {
      portNo: 1,
      hwAddr: MAC,
      config: OFPPC.PORT_DOWN,
      mask: OFPPC.PORT_DOWN | OFPPC.NO_FWD,
      advertise: 0,
    };
    expect(await ask('port_mod', body)).toEqual([]);
    expect(rig.device.told).toEqual([false]);
    expect(rig.control.phyPort(1)).toMatchObject({ config: OFPPC.PORT_DOWN, state: OFPPS.LINK_DOWN });
    expect(rig.live).toEqual([['p1', false]]);
    await ask('port_mod', { ...body, config: OFPPC.NO_FWD, mask: OFPPC.NO_FWD });
    expect(rig.control.phyPort(1)?.config).toBe(OFPPC.PORT_DOWN | OFPPC.NO_FWD);
    // It is down: nothing to do for the device.
    await ask('port_mod', body);
    expect(rig.device.told).toEqual([false]);
    // A device that cannot be set up stays down; other bits change.
    rig.device.isBroken = true;
    await ask('port_mod', { ...body, config: OFPPC.NO_FWD });
    expect(rig.control.phyPort(1)?.config).toBe(OFPPC.PORT_DOWN | OFPPC.NO_FWD);

    expect(errorOf(await ask('port_mod', { ...body, portNo: 9 }))).toBe('OFPPMFC_BAD_PORT');
    expect(errorOf(await ask('port_mod', { ...body, hwAddr: new Uint8Array(6) }))).toBe('OFPPMFC_BAD_HW_ADDR');
    conn.role = ROLE.SECONDARY;
    expect(errorOf(await ask('port_mod', body))).toBe(version < 3 ? 'OFPBRC_EPERM' : 'OFPBRC_IS_SECONDARY');
  });

  test('queues', async () => {
    const { ask } = rig.connect(version);
    const stats = { port: 1, queue: 0, txBytes: UNKNOWN64, txPackets: UNKNOWN64 };
    expect(await ask('queue_stats_request', { port: OFPP.NONE, queue: OFPQ_ALL })).toMatchObject([{ body: [stats] }]);
    expect(await ask('queue_stats_request', { port: OFPP.LOCAL, queue: OFPQ_ALL })).toMatchObject([{ body: [] }]);
    expect(errorOf(await ask('queue_stats_request', { port: 1, queue: 5 }))).toBe('OFPQOFC_BAD_QUEUE');
    expect(errorOf(await ask('queue_stats_request', { port: 9, queue: OFPQ_ALL }))).toBe('OFPQOFC_BAD_PORT');

    const config = [{ port: 1, queue: 0 }];
    expect(await ask('queue_get_config_request', { port: 1, queue: OFPQ_ALL })).toMatchObject([
      { body: { port: version >= 5 ? OFPP.NONE : 1, queues: config } },
    ]);
    expect(errorOf(await ask('queue_get_config_request', { port: 9, queue: OFPQ_ALL }))).toBe('OFPQOFC_BAD_PORT');
    if (version < 5) return;
    expect(errorOf(await ask('queue_get_config_request', { port: 1, queue: 5 }))).toBe('OFPQOFC_BAD_QUEUE');
    expect(errorOf(await ask('queue_get_config_request', { port: OFPP.LOCAL, queue: 5 }))).toBe('NXQOFC_QUEUE_ERROR');
  });

  test('TLV table', async () => {
    const { ask } = rig.connect(version);
    const mappings = [{ optionClass: 0xffff, optionType: 0, optionLen: 4, index: 0 }];
    expect(await ask('nxt_tlv_table_mod', { command: NXTTMC.ADD, mappings })).toEqual([]);
    expect(errorOf(await ask('nxt_tlv_table_mod', { command: NXTTMC.ADD, mappings }))).toBe('NXTTMFC_ALREADY_MAPPED');
    expect(await ask('nxt_tlv_table_request', undefined)).toMatchObject([
      { kind: 'nxt_tlv_table_reply', body: { maxOptionSpace: 256, maxFields: 64, mappings } },
    ]);
    await ask('nxt_tlv_table_mod', { command: NXTTMC.CLEAR, mappings: [] });
    expect(await ask('nxt_tlv_table_request', undefined)).toMatchObject([{ body: { mappings: [] } }]);
  });

  test('a flow monitor tells of tunnel metadata by its field', async () => {
    // The matches of 1.0 and 1.1 have no tunnel.
    if (version < 3) return;
    const { ask } = rig.connect(version);
    const mappings = [{ optionClass: 0xffff, optionType: 0, optionLen: 4, index: 0 }];
    await ask('nxt_tlv_table_mod', { command: NXTTMC.ADD, mappings });
    const value = Uint8Array.of(0, 0, 0, 1);
    const option = { index: 0, isPresent: true, value, mask: value.map(() => 0xff), isMasked: false };
    const match = { ...newMatch(), tunMetadata: [option] };
    expect(await ask('flow_mod', newFlowMod('ADD', { match, priority: 1 }))).toEqual([]);
    const flags = MONITOR_FLAG.INITIAL | MONITOR_FLAG.ADD;
    const any = { outPort: OFPP.NONE, outGroup: OFPG.ANY, tableId: OFPTT_ALL, match: newMatch() };
    const [m] = await ask('flow_monitor_stats_request', [{ id: 1, command: 0, flags, ...any }]);
    expect(m?.body).toMatchObject([{ match: { tunMetadata: [{ index: 0 }] } }]);
  });

  test('flows come in the order in which they were added', async () => {
    const { ask } = rig.connect(version);
    const add = (command: 'ADD' | 'DELETE_STRICT', priority: number) =>
      ask('flow_mod', newFlowMod(command, { match: newMatch(), priority }));
    const priorities = async () => {
      const any = {
        outPort: OFPP.NONE,
        outGroup: OFPG.ANY,
        tableId: OFPTT_ALL,
        match: newMatch(),
        cookie: 0n,
        cookieMask: 0n,
      };
      const answers = await ask('flow_stats_request', any);
      return answers.flatMap((m) => (m.kind === 'flow_stats_reply' ? m.body.map((flow) => flow.priority) : []));
    };
    for (const priority of [7, 3, 9, 5]) await add('ADD', priority);
    expect(await priorities()).toEqual([7, 3, 9, 5]);
    // What is changed stays where it is; what is added again does not.
    await add('ADD', 3);
    await add('DELETE_STRICT', 7);
    await add('ADD', 7);
    expect(await priorities()).toEqual([3, 9, 5, 7]);
  });

  test('the masks of asynchronous messages', async () => {
    if (version < 4) return;
    const [m] = await rig.connect(version).ask('get_async_request', undefined);
    expect(m).toMatchObject({ kind: 'get_async_reply', body: { secondary: { portStatus: 7 } } });
  });

  test('flushing connections', async () => {
    const { ask } = rig.connect(version);
    const all = { zone: undefined, ipProto: 0, orig: undefined, reply: undefined };
    expect(await ask('ct_flush_zone', 13)).toEqual([]);
    await ask('ct_flush', all);
    await ask('ct_flush', { ...all, zone: 4 });
    const none = { icmpId: undefined, icmpType: undefined, icmpCode: undefined };
    const orig = { ...none, src: Uint8Array.of(10, 0, 0, 1), dst: Uint8Array.of(10, 0, 0, 2), srcPort: 1, dstPort: 2 };
    await ask('ct_flush', { ...all, zone: 5, ipProto: 17, orig });
    const icmp = { icmpId: 1, icmpType: 2, icmpCode: 0 };
    expect(rig.flushed).toEqual([
      [13, undefined],
      [undefined, undefined],
      [4, undefined],
      [5, { src: '10.0.0.1', dst: '10.0.0.2', proto: 17, srcPort: 1, dstPort: 2, ...icmp }],
    ]);
  });

  test('port_mod in a bundle', async () => {
    if (version < 5) return;
    const { ask } = rig.connect(version);
    const body = { portNo: 1, hwAddr: MAC, config: OFPPC.PORT_DOWN, mask: OFPPC.PORT_DOWN, advertise: 0 };
    const commit = async (flags: number, mod: typeof body): Promise<OfMessage[]> => {
      const message = encodeMessage({ kind: 'port_mod', version, xid: 5, body: mod });
      const control = { bundleId: 1, flags };
      await ask('bundle_control', { ...control, type: BUNDLE_CTRL.OPEN_REQUEST });
      expect(await ask('bundle_add_message', { ...control, message })).toEqual([]);
      return ask('bundle_control', { ...control, type: BUNDLE_CTRL.COMMIT_REQUEST });
    };
    expect(errorOf(await commit(BUNDLE_FLAG.ATOMIC, body))).toBe('OFPBFC_MSG_FAILED');
    expect(errorOf(await commit(0, { ...body, portNo: 9 }))).toBe('OFPPMFC_BAD_PORT');
    expect(rig.device.told).toEqual([]);
    expect(await commit(0, body)).toMatchObject([{ kind: 'bundle_control' }]);
    expect(rig.device.told).toEqual([false]);
  });

  test('IPFIX', async () => {
    const { ask } = rig.connect(version);
    expect(errorOf(await ask('ipfix_bridge_stats_request', undefined))).toBe('NXST_NOT_CONFIGURED');
    expect(errorOf(await ask('ipfix_flow_stats_request', undefined))).toBe('NXST_NOT_CONFIGURED');
  });
});

test('a new port is told of twice, and one that is set down: first what was asked, then what comes of it', async () => {
  const { control, ports } = new Rig();
  const told: (readonly [reason: number, config: number, state: number])[] = [];
  vi.spyOn(control.conns, 'broadcast').mockImplementation((_type, reason, _kind, body) => {
    const { desc } = body as BodyOf['port_status'];
    told.push([reason, desc.config, desc.state]);
  });
  const device = new Device();
  ports.push({ name: 'p2', ofport: 2, config: 0 });
  control.setPortDevice('p2', { hwAddr: MAC, isUp: true, hasCarrier: true, control: device });
  await control.ports.configure(2, OFPPC.PORT_DOWN, OFPPC.PORT_DOWN, (apply) => apply());
  expect(told).toEqual([
    [OFPPR.ADD, 0, 0],
    [OFPPR.MODIFY, 0, OFPPS.LIVE],
    [OFPPR.MODIFY, OFPPC.PORT_DOWN, 0],
    [OFPPR.MODIFY, OFPPC.PORT_DOWN, OFPPS.LINK_DOWN],
  ]);
});

test('OpenFlow 1.0 has no state LIVE, later versions have no NO_FLOOD', () => {
  const port = new Rig().control.phyPort(1) as PhyPort;
  const dead = { ...port, state: 0 };
  const dry = { ...port, config: OFPPC.NO_FLOOD };
  expect([1, 2, 6].map((v) => isSameIn(v as OfVersion, port, dead))).toEqual([true, false, false]);
  expect([1, 2, 6].map((v) => isSameIn(v as OfVersion, port, dry))).toEqual([false, true, true]);
});
