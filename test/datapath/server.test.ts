/** The serving side of generic netlink: framing, errors, acknowledgements, dumps, notifications, and odd clients. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DatapathServer } from '../../src/datapath/server.ts';
import { NLM_F, NLMSG } from '../../src/netlink/constants.ts';
import { CTRL_ATTR } from '../../src/netlink/families/nlctrl.ts';
import { OVS_DP_ATTR, OVS_DP_CMD } from '../../src/netlink/families/ovs-datapath.ts';
import { OVS_FLOW_ATTR, OVS_FLOW_CMD } from '../../src/netlink/families/ovs-flow.ts';
import { OVS_VPORT_ATTR, OVS_VPORT_CMD, OVS_VPORT_TYPE } from '../../src/netlink/families/ovs-vport.ts';
import { MessageView } from '../../src/netlink/message.ts';
import { Arena, SLOT_SIZE } from '../../src/packet/packet.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { vlog } from '../../src/util/vlog.ts';
import { FakePorts } from './fake-ports.ts';
import {
  type Answer,
  CLIENT,
  DirectTransport,
  dpCommand,
  dpNew,
  execute,
  FAMILY,
  flowPut,
  getFamily,
  outputs,
  ovsRequest,
  UDP_FRAME,
  vportNew,
} from './requests.ts';

let transport: DirectTransport;
let ports: FakePorts;
let server: DatapathServer;
/** dp_ifindex of dp0. */
let dp0: number;

beforeEach(() => {
  transport = new DirectTransport();
  ports = new FakePorts();
  const arena = new Arena(new ArrayBuffer(256 * SLOT_SIZE));
  server = new DatapathServer({ transport, portFactory: ports, arena, log: vlog('test'), nCpus: 4, clock: () => 5000 });
  server.start();
  for (const name of ['v1', 'v2']) ports.add(name);
  transport.ask(dpNew('dp0'));
  dp0 = ports.devices.get('dp0')!.ifindex;
});
afterEach(() => server.close());

/** The messages of answers, each with a view of its own. */
function messages(answers: readonly Answer[]): MessageView[] {
  return answers.flatMap(({ bytes }) => {
    const list: MessageView[] = [];
    const dv = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; ) {
      const msg = new MessageView();
      if (!msg.set(dv, at, bytes.length)) throw new Error('an answer is cut');
      list.push(msg);
      at = (msg.end + 3) & ~3;
    }
    return list;
  });
}
const toClient = (answers: readonly Answer[]) => answers.filter((a) => a.to === CLIENT);
/** errno of the one NLMSG_ERROR among the answers; 0 for an acknowledgement; undefined if there is none. */
function errnoOf(answers: readonly Answer[]): number | undefined {
  const errors = messages(toClient(answers)).filter((m) => m.type === NLMSG.ERROR);
  expect(errors.length).toBeLessThanOrEqual(1);
  return errors[0] && 0 - errors[0].dv.getInt32(errors[0].payload, true);
}
const changed = (bytes: Uint8Array, change: (dv: DataView) => void): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  change(new DataView(copy.buffer));
  return copy;
};
const dpGet = (flags = 0) => dpCommand(OVS_DP_CMD.GET, 'dp0', flags);
const dump = (family: number, cmd: number, dpIfindex: number) =>
  ovsRequest({ family, cmd, dpIfindex, flags: NLM_F.DUMP, policy: OVS_DP_ATTR, attrs: {} });

describe('messages', () => {
  test('several in one datagram are answered one by one', () => {
    const two = Uint8Array.from([...dpGet(), ...getFamily('ovs_flow')]);
    const [dp, family] = messages(transport.ask(two));
    expect(dp?.readOvs(OVS_DP_ATTR).name).toBe('dp0');
    expect(family?.readGenl(CTRL_ATTR)).toMatchObject({ familyName: 'ovs_flow', familyId: FAMILY.FLOW, version: 1 });
  });

  test.each([
    ['shorter than a header', (dv: DataView) => dv.setUint32(0, 15, true)],
    ['longer than the datagram', (dv: DataView) => dv.setUint32(0, dv.byteLength + 1, true)],
    ['not a request', (dv: DataView) => dv.setUint16(6, 0, true)],
    ['of netlink itself', (dv: DataView) => dv.setUint16(4, NLMSG.NOOP, true)],
  ])('%s: no answer', (_what, change) => {
    expect(transport.ask(changed(dpGet(), change))).toEqual([]);
  });

  test.each([
    ['unknown family', ERRNO.ENOENT, (dv: DataView) => dv.setUint16(4, 0x99, true)],
    ['unknown command', ERRNO.EOPNOTSUPP, (dv: DataView) => dv.setUint8(16, 99)],
    [
      'command that cannot dump',
      ERRNO.EOPNOTSUPP,
      (dv: DataView) => {
        dv.setUint8(16, OVS_DP_CMD.SET);
        dv.setUint16(6, NLM_F.REQUEST | NLM_F.DUMP, true);
      },
    ],
    ['no room for the ovs_header', ERRNO.EINVAL, (dv: DataView) => dv.setUint32(0, 23, true)],
    [
      'attribute that is too short',
      ERRNO.ERANGE,
      (dv: DataView) => {
        // OVS_DP_ATTR_USER_FEATURES of two bytes.
        dv.setUint16(24, 6, true);
        dv.setUint16(26, 5, true);
      },
    ],
    ['name without NUL', ERRNO.EINVAL, (dv: DataView) => dv.setUint32(28, 0x30303030, true)],
  ])('%s: an errno, and the whole request back', (_what, errno, change) => {
    const request = changed(dpGet(), change);
    const answers = transport.ask(request);
    expect(errnoOf(answers)).toBe(errno);
    const [msg] = messages(answers);
    const size = new DataView(request.buffer).getUint32(0, true);
    expect(answers[0]?.bytes.slice(20, 20 + size)).toEqual(request.slice(0, size));
    expect(msg?.seq).toBe(new DataView(request.buffer).getUint32(8, true));
  });

  test('what the policy forbids is explained in an extended ack', () => {
    const request = ovsRequest({
      ...{ family: FAMILY.DATAPATH, cmd: OVS_DP_CMD.SET, version: 2, policy: OVS_DP_ATTR },
      attrs: { name: 'dp0', masksCacheSize: 8192 },
    });
    const answers = transport.ask(request);
    expect(errnoOf(answers)).toBe(ERRNO.ERANGE);
    const text = Buffer.from(answers[0]!.bytes).toString('latin1');
    expect(text).toContain('integer out of range\0');
    expect(messages(answers)[0]!.flags & NLM_F.ACK_TLVS).toBe(NLM_F.ACK_TLVS);
  });

  test('an acknowledgement is sent if asked for, with the header only', () => {
    const answers = transport.ask(flowPut({ dpIfindex: dp0, dst: 1, flags: NLM_F.ACK }));
    expect(errnoOf(answers)).toBe(0);
    expect(toClient(answers)[0]?.bytes.length).toBe(36);
    expect(transport.ask(flowPut({ dpIfindex: dp0, dst: 2 })).filter((a) => a.to === CLIENT)).toEqual([]);
  });

  test('the kernel is not answered', () => {
    expect(transport.ask(dpGet(), 0)).toEqual([]);
  });

  test('a client that went away, or reads nothing, stops nothing', () => {
    for (const errno of [ERRNO.ECONNREFUSED, ERRNO.EAGAIN]) {
      transport.failure = -errno;
      expect(transport.ask(dpGet())).toEqual([]);
      expect(transport.ask(dump(FAMILY.VPORT, OVS_VPORT_CMD.GET, dp0))).toEqual([]);
    }
    transport.failure = 0;
    expect(transport.ask(dpGet(), CLIENT + 1)).toHaveLength(1);
  });
});

describe('notifications', () => {
  test('go to the group of the family, and to the client only if it wants an echo', () => {
    const quiet = transport.ask(vportNew(dp0, 'v1').map((b, i) => (i === 6 ? NLM_F.REQUEST : b)));
    expect(quiet.map((a) => a.to === CLIENT)).toEqual([false]);
    const loud = transport.ask(vportNew(dp0, 'v2'));
    expect(loud.map((a) => a.to === CLIENT)).toEqual([false, true]);
    expect(loud[0]?.bytes).toEqual(loud[1]?.bytes);
    expect(loud[0]?.group).toBeGreaterThan(0);
  });

  test('a device that goes away takes its port along, and the group is told', () => {
    transport.ask(vportNew(dp0, 'v1'));
    server.deviceGone(ports.remove('v1'));
    const [gone] = messages(transport.answers.splice(0));
    expect([gone?.type, gone?.cmd]).toEqual([FAMILY.VPORT, OVS_VPORT_CMD.DEL]);
    expect(gone?.readOvs(OVS_VPORT_ATTR)).toMatchObject({ name: 'v1', portNo: 1 });
    expect(server.datapaths.find(dp0)?.vport(1)).toBeUndefined();
  });

  test('with the local port the datapath goes', () => {
    server.deviceGone(dp0);
    expect(server.datapaths.count).toBe(0);
    transport.answers.splice(0);
    expect(errnoOf(transport.ask(dpGet()))).toBe(ERRNO.ENODEV);
  });
});

describe('ports', () => {
  test.each([
    ['an unknown type', () => vportNew(dp0, 'v1', OVS_VPORT_TYPE.GENEVE), ERRNO.EAFNOSUPPORT],
    ['a device that is not there', () => vportNew(dp0, 'nix'), ERRNO.ENODEV],
    ['loopback', () => vportNew(dp0, 'lo'), ERRNO.EINVAL],
    ['an internal port', () => vportNew(dp0, 'dp0'), ERRNO.EINVAL],
    ['an internal port of a taken name', () => vportNew(dp0, 'v1', OVS_VPORT_TYPE.INTERNAL), ERRNO.EEXIST],
    ['an unknown datapath', () => vportNew(99, 'v1'), ERRNO.ENODEV],
  ])('%s is refused', (_what, request, errno) => {
    expect(errnoOf(transport.ask(request()))).toBe(errno);
    expect(server.datapaths.find(dp0)?.nPorts).toBe(1);
  });

  test('a datapath is also found by the ifindex of another internal port', () => {
    transport.ask(vportNew(dp0, 'i1', OVS_VPORT_TYPE.INTERNAL));
    const answers = transport.ask(vportNew(ports.devices.get('i1')!.ifindex, 'v1'));
    expect(messages(answers)[0]?.dpIfindex).toBe(dp0);
  });

  test('after a rename neither name finds the port, and the old name is free again', () => {
    transport.ask(vportNew(dp0, 'v1'));
    ports.rename('v1', 'w1');
    const get = (name: string) =>
      ovsRequest({ family: FAMILY.VPORT, cmd: OVS_VPORT_CMD.GET, policy: OVS_VPORT_ATTR, attrs: { name } });
    expect([errnoOf(transport.ask(get('v1'))), errnoOf(transport.ask(get('w1')))]).toEqual([
      ERRNO.ENODEV,
      ERRNO.ENODEV,
    ]);
    ports.add('v1');
    expect(errnoOf(transport.ask(vportNew(dp0, 'v1')))).toBeUndefined();
    expect(errnoOf(transport.ask(get('v1')))).toBeUndefined();
    server.deviceGone(ports.remove('w1'));
    expect(server.datapaths.find(dp0)?.nPorts).toBe(2);
  });
});

describe('packets', () => {
  test('execute sends the packet', () => {
    transport.ask(vportNew(dp0, 'v1'));
    expect(transport.ask(execute(dp0, outputs(1)))).toEqual([]);
    expect(ports.port('v1')?.sent).toEqual([UDP_FRAME]);
  });
  test('execute on an unknown datapath is ENODEV', () => {
    expect(errnoOf(transport.ask(execute(99, outputs(1))))).toBe(ERRNO.ENODEV);
  });
});

describe('dumps', () => {
  /** Asks for a dump of flows; its datagrams as they come, until NLMSG_DONE. */
  async function collect(whileDumping: () => void): Promise<{ ports: number[]; datagrams: number; errno: number }> {
    const got: number[] = [];
    let datagrams = 0;
    let answers = transport.ask(dump(FAMILY.FLOW, OVS_FLOW_CMD.GET, dp0));
    for (let turns = 0; turns < 1000; turns++) {
      datagrams += answers.length;
      for (const msg of messages(answers)) {
        if (msg.type === NLMSG.DONE) return { ports: got, datagrams, errno: 0 - msg.dv.getInt32(msg.payload, true) };
        expect(msg.flags & NLM_F.MULTI).toBe(NLM_F.MULTI);
        const { key } = msg.readOvs(OVS_FLOW_ATTR);
        // The UDP destination port ends the key.
        if (key !== undefined) got.push((key.at(-2)! << 8) | key.at(-1)!);
      }
      whileDumping();
      await new Promise((resolve) => setTimeout(resolve, 2));
      answers = transport.answers.splice(0);
    }
    throw new Error('the dump never ended');
  }

  const install = (from: number, to: number) => {
    for (let dst = from; dst < to; dst++) transport.ask(flowPut({ dpIfindex: dp0, dst }));
  };
  const remove = (dst: number) =>
    transport.ask(flowPut({ dpIfindex: dp0, dst, cmd: OVS_FLOW_CMD.DEL, flags: 0 })).splice(0);

  test('every flow that stays is seen exactly once, whatever else comes and goes', async () => {
    install(0, 4000);
    let turn = 0;
    const seen = await collect(() => {
      for (let i = 0; i < 200; i++) {
        // Odd ones of the first 2000 go, new ones come, at once.
        remove((turn * 400 + 2 * i + 1) % 2000);
        transport.ask(flowPut({ dpIfindex: dp0, dst: 10_000 + turn * 200 + i }));
      }
      turn++;
    });
    const counts = new Map<number, number>();
    for (const dst of seen.ports) counts.set(dst, (counts.get(dst) ?? 0) + 1);
    for (let dst = 0; dst < 4000; dst++)
      if (dst >= 2000 || dst % 2 === 0) expect([dst, counts.get(dst)]).toEqual([dst, 1]);
    expect(Math.max(...counts.values())).toBe(1);
    expect(seen.datagrams).toBeGreaterThan(10);
    expect(seen.errno).toBe(0);
  });

  test('leave out actions that no datagram holds; whoever asks for that flow alone gets them', async () => {
    const actions = outputs(...Array.from({ length: 5000 }, () => 2));
    transport.ask(flowPut({ dpIfindex: dp0, dst: 1 }));
    transport.ask(flowPut({ dpIfindex: dp0, dst: 2, actions }));
    const answers = transport.ask(dump(FAMILY.FLOW, OVS_FLOW_CMD.GET, dp0));
    const flows = messages(answers).filter((m) => m.type === FAMILY.FLOW);
    expect(flows.map((m) => m.readOvs(OVS_FLOW_ATTR).actions?.length)).toEqual([8, undefined]);
    for (const { bytes } of answers) expect(bytes.length).toBeLessThanOrEqual(32_768);
    const [one] = messages(transport.ask(flowPut({ dpIfindex: dp0, dst: 2, cmd: OVS_FLOW_CMD.GET, flags: 0 })));
    expect(one?.readOvs(OVS_FLOW_ATTR).actions).toEqual(actions);
  });

  test('one at a time for a client', () => {
    install(0, 4000);
    transport.ask(dump(FAMILY.FLOW, OVS_FLOW_CMD.GET, dp0));
    expect(errnoOf(transport.ask(dump(FAMILY.FLOW, OVS_FLOW_CMD.GET, dp0)))).toBe(ERRNO.EBUSY);
    expect(errnoOf(transport.ask(dump(FAMILY.FLOW, OVS_FLOW_CMD.GET, dp0), CLIENT + 1))).toBeUndefined();
  });

  test('waits while the client reads nothing, and goes on', async () => {
    install(0, 3000);
    transport.failure = -ERRNO.EAGAIN;
    setTimeout(() => {
      transport.failure = 0;
    }, 20);
    expect(new Set((await collect(() => {})).ports).size).toBe(3000);
  });

  test('ends early, and cleanly, when the datapath is deleted', async () => {
    install(0, 4000);
    const seen = await collect(
      () => server.datapaths.find(dp0) && server.datapaths.destroy(server.datapaths.find(dp0)!),
    );
    expect(seen.ports.length).toBeLessThan(4000);
    expect(seen.errno).toBe(0);
  });

  test('of an unknown datapath ends with ENODEV', async () => {
    dp0 = 99;
    expect((await collect(() => {})).errno).toBe(ERRNO.ENODEV);
  });
});
