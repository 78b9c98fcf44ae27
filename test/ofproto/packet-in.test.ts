/** From a `controller` action, and from a table miss, to the event of which a connection makes a packet_in. */
import { beforeEach, describe, expect, it } from 'vitest';
import { DPIF_UC } from '../../src/dpif/dpif-types.ts';
import { FIELD } from '../../src/flow/fields.ts';
import { getField, newFlow, setField, setFieldOnes } from '../../src/flow/flow-key.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { FRAG } from '../../src/ofproto/xlate/table-lookup.ts';
import type { PacketInEvent } from '../../src/ofproto/xlate/xbridge.ts';
import { MF } from '../../src/openflow/fields/mf-fields.ts';
import { newFlowMod } from '../../src/openflow/messages/flow/new-flow-mod.ts';
import { OfpError } from '../../src/openflow/ofp-errors.ts';
import { OFPP, OFPPC } from '../../src/openflow/ofp-port.ts';
import type { Ofpact, OfpactController } from '../../src/openflow/ofpact.ts';
import { MAC_A, MAC_B, missOf, udp } from './fakes.ts';
import { keyNest } from './nests.ts';
import { type Rig, withRig } from './rig.ts';

let rig: Rig;
let events: PacketInEvent[];
withRig((r) => {
  rig = r;
});
beforeEach(() => {
  events = [];
  rig.br.onPacketIn = (e) => events.push(e);
  rig.br.tables.apply(newFlowMod('DELETE'));
});

const controller = (more: Partial<OfpactController> = {}): Ofpact => ({
  kind: 'controller',
  maxLen: 0xffff,
  controllerId: 0,
  reason: 1,
  pause: false,
  userdata: new Uint8Array(0),
  meterId: 0,
  ...more,
});
const output = (port: number, maxLen = 0): Ofpact => ({ kind: 'output', port, maxLen });
const reg = (n: number, value: number): Ofpact => ({
  kind: 'set_field',
  field: MF[`reg${n}`] as NonNullable<(typeof MF)[string]>,
  value: Uint8Array.of(0, 0, 0, value),
  mask: new Uint8Array(4).fill(0xff),
  isLoad: false,
});
/** A UDP packet like `packet`, as bytes. */
const FRAME = Uint8Array.from(
  Buffer.from(
    '02000000000b02000000000a0800' + // Ethernet
      '4500001c00000000401166cf0a0000010a000002' + // IPv4, ttl=64
      '03e807d000080000', // UDP
    'hex',
  ),
);
/** output:3 if the metadata came along. */
const toReg0Port = (): Ofpact => ({
  kind: 'clone',
  actions: [{ kind: 'resubmit', inPort: OFPP.IN_PORT, table: 9, withCtOrig: false, compat: 'resubmit_table' }],
});

const add = (ofpacts: Ofpact[], more: Parameters<typeof newFlowMod>[1] = {}): void =>
  rig.br.tables.apply(newFlowMod('ADD', { ofpacts, cookie: 0n, newCookie: 0x77n, ...more }));

const packet = udp(2, MAC_A, MAC_B);

/** Userdata of the userspace actions of a datapath action list. */
function userdataOf(actions: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  const dv = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  for (let at = 0; at < actions.length; ) {
    const size = dv.getUint16(at, true);
    if (dv.getUint16(at + 2, true) === 2) {
      for (let i = at + 4; i < at + size; ) {
        const n = dv.getUint16(i, true);
        if (dv.getUint16(i + 2, true) === 2) out.push(actions.slice(i + 4, i + n));
        i += (n + 3) & ~3;
      }
    }
    at += (size + 3) & ~3;
  }
  return out;
}

/** Sends a packet up, and what its flow sends up as the datapath would. */
async function send(key = packet): Promise<PacketInEvent[]> {
  rig.dpif.flows.clear();
  rig.dpif.operated.length = 0;
  await rig.dpif.upcall(missOf(key));
  for (const op of rig.dpif.operated.flat()) {
    if (op.type !== 'execute') continue;
    for (const userdata of userdataOf(op.actions)) {
      await rig.dpif.upcall({ ...missOf(key, 90), type: DPIF_UC.ACTION, userdata, key: keyNest(key) });
    }
  }
  return events.splice(0);
}

describe('the action controller', () => {
  it('sends the packet with what the pipeline knew', async () => {
    add([
      reg(3, 5),
      controller({ maxLen: 128, controllerId: 9, reason: 2, userdata: Uint8Array.of(1, 2, 3) }),
      output(2),
    ]);
    const [event, ...rest] = await send();
    expect(rest).toEqual([]);
    expect(event).toMatchObject({ controllerId: 9, maxLen: 128, private: undefined });
    const { packetIn } = event as PacketInEvent;
    expect(packetIn).toMatchObject({ totalLen: 90, reason: 2, tableId: 0, cookie: 0x77n });
    expect([...packetIn.userdata]).toEqual([1, 2, 3]);
    const { flow, mask } = packetIn.flowMetadata;
    expect([getField(flow, FIELD.inPort), getField(flow, FIELD.reg3)]).toEqual([1, 5]);
    expect([getField(mask, FIELD.reg3), getField(mask, FIELD.reg4)].map((n) => n >>> 0)).toEqual([0xffffffff, 0]);
    // Headers are the packet's affair.
    expect(getField(mask, FIELD.nwSrc)).toBe(0);
  });

  it('says in which table, and that a rule takes what no other does', async () => {
    add([{ kind: 'goto_table', table: 4 }]);
    add([output(OFPP.CONTROLLER, 0xffff)], { tableId: 4, priority: 0 });
    expect((await send())[0]?.packetIn).toMatchObject({ reason: 6, tableId: 4 });
    add([output(OFPP.CONTROLLER, 0xffff)], { tableId: 4, priority: 5 });
    expect((await send())[0]?.packetIn).toMatchObject({ reason: 1, tableId: 4 });
  });

  it('pauses: the rest of the pipeline goes along', async () => {
    add([reg(0, 1), controller({ pause: true }), output(3)]);
    const [event] = await send();
    expect(event?.private).toMatchObject({ odpPort: 2, isConntracked: false, mirrors: 0, stack: [], actionSet: [] });
    expect(event?.private?.actions.at(-1)).toEqual(output(3));
    expect(event?.private?.bridge).toEqual(rig.br.uuid);
  });

  it('pauses at the end of a table: that one is not looked up again', async () => {
    add([{ kind: 'goto_table', table: 1 }]);
    add([output(2), controller({ pause: true })], { tableId: 1 });
    const [event] = await send();
    expect(event?.private?.actions.filter((a) => a.kind !== 'unroll_xlate')).toEqual([]);
  });

  it('goes on when the controller says so', async () => {
    add([reg(0, 1), controller({ pause: true }), { kind: 'mod_nw_ttl', value: 9 }, toReg0Port()]);
    const match = { flow: newFlow(), mask: newFlow() };
    setField(match.flow, FIELD.reg0, 1);
    setFieldOnes(match.mask, FIELD.reg0);
    add([output(3)], { tableId: 9, match });
    const [event] = await send();
    const { private: state, packetIn } = event as PacketInEvent;
    if (state === undefined) throw new Error('not paused');
    rig.dpif.operated.length = 0;
    await rig.br.prepareResumption({ packetIn: { ...packetIn, packet: FRAME }, private: state }).send();
    const [op] = rig.dpif.operated.flat();
    expect(op?.type === 'execute' && formatOdpActions(op.actions)).toBe('set(ipv4(ttl=9)),4');
    const stale = { ...state, bridge: new Uint8Array(16).fill(1) };
    expect(() => rig.br.prepareResumption({ packetIn, private: stale })).toThrow(OfpError);
  });

  it('tells what connection tracking knows only if the pipeline did', async () => {
    add([controller()]);
    const tracked = udp(2, MAC_A, MAC_B, { ctState: 0x22, ctZone: 7 });
    const [event] = await send(tracked);
    expect(getField(event?.packetIn.flowMetadata.flow as Int32Array, FIELD.ctZone)).toBe(7);
    add([{ kind: 'ct_clear' }, controller()]);
    const [cleared] = await send(tracked);
    expect(getField(cleared?.packetIn.flowMetadata.mask as Int32Array, FIELD.ctZone)).toBe(0);
  });
});

describe('what no rule matches', () => {
  const table = (n: number) => rig.br.tables.table(n);

  it('is dropped, unless a controller wants it', async () => {
    expect(await send()).toEqual([]);
    expect(rig.dpif.only.actions.length).toBe(0);
    rig.br.lookups.wantsMisses = () => true;
    expect((await send())[0]?.packetIn).toMatchObject({ reason: 7, cookie: 0n });
  });

  it('goes where the table says', async () => {
    table(0).miss = 'controller';
    expect((await send())[0]?.packetIn.tableId).toBe(0);
    table(0).miss = 'continue';
    table(1).miss = 'drop';
    rig.br.lookups.wantsMisses = () => true;
    expect(await send()).toEqual([]);
    add([output(2)], { tableId: 1 });
    expect(await rig.forward(udp(2, MAC_B, MAC_A))).toEqual(['3']);
    table(1).miss = 'controller';
    rig.br.tables.apply(newFlowMod('DELETE'));
    expect((await send())[0]?.packetIn.tableId).toBe(1);
  });

  it('goes to the controller after the last table', async () => {
    for (let n = 0; n < 254; n++) table(n).miss = 'continue';
    expect((await send())[0]?.packetIn.tableId).toBe(253);
  });

  it('is dropped if its port has no-packet-in', async () => {
    table(0).miss = 'controller';
    rig.br.setPortConfig('v1', OFPPC.NO_PACKET_IN);
    expect(await send()).toEqual([]);
    expect((await send(udp(3, MAC_A, MAC_B))).length).toBe(1);
  });

  it('is dropped after a resubmission, and not after goto_table', async () => {
    table(1).miss = 'controller';
    add([{ kind: 'resubmit', inPort: OFPP.IN_PORT, table: 1, withCtOrig: false, compat: 'resubmit_table' }]);
    expect(await send()).toEqual([]);
    add([{ kind: 'goto_table', table: 1 }]);
    expect((await send()).length).toBe(1);
  });

  it('is counted by each table', async () => {
    table(0).miss = 'continue';
    add([output(2)], { tableId: 1 });
    await send();
    expect([table(0).nMissed, table(0).nMatched, table(1).nMatched]).toEqual([1n, 0n, 1n]);
  });
});

describe('fragments', () => {
  const fragment = (nwFrag: number) => udp(2, MAC_A, MAC_B, { nwFrag });
  const toPort = () => {
    const match = { flow: newFlow(), mask: newFlow() };
    for (const [f, value] of [
      [FIELD.ethType, 0x0800],
      [FIELD.nwProto, 17],
      [FIELD.tpDst, 2000],
    ] as const) {
      setField(match.flow, f, value);
      setFieldOnes(match.mask, f);
    }
    return match;
  };
  it.each([
    [FRAG.NORMAL, ['3', '4', '4']],
    [FRAG.DROP, ['3', '', '']],
    [FRAG.NX_MATCH, ['3', '3', '4']],
  ])('are handled as mode %i says', async (mode, want) => {
    add([output(2)], { match: toPort() });
    add([output(3)], { priority: 1 });
    rig.br.setFrag(mode);
    const got: string[] = [];
    for (const frag of [0, 1, 2]) {
      rig.dpif.flows.clear();
      got.push(
        (
          await rig.forward(frag === 2 ? udp(2, MAC_A, MAC_B, { nwFrag: 2, tpSrc: 0, tpDst: 0 }) : fragment(frag))
        ).join(),
      );
    }
    expect(got).toEqual(want.map((w) => (w === '' ? 'drop' : w)));
  });
});
