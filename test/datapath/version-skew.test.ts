/**
 * Clients that are older or newer than the datapath: what they do not know of is put back, what they alone know of is ignored or refused, as by
 * openvswitch.ko of Linux 6.1.  Neighbours: server.test.ts, test/dpif-netlink/dp-open.test.ts (the other side), scripts/other-releases.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DatapathServer } from '../../src/datapath/server.ts';
import { NLM_F, NLMSG } from '../../src/netlink/constants.ts';
import { OVS_DP_ATTR, OVS_DP_CMD, OVS_DP_F } from '../../src/netlink/families/ovs-datapath.ts';
import { OVS_FLOW_ATTR, OVS_FLOW_CMD } from '../../src/netlink/families/ovs-flow.ts';
import { MessageView } from '../../src/netlink/message.ts';
import { Arena, SLOT_SIZE } from '../../src/packet/packet.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { vlog } from '../../src/util/vlog.ts';
import { FakePorts } from './fake-ports.ts';
import {
  CLIENT,
  DirectTransport,
  dpCommand,
  dpNew,
  execute,
  FAMILY,
  flowPut,
  outputs,
  ovsRequest,
  udpKey,
  vportNew,
} from './requests.ts';

let transport: DirectTransport;
let server: DatapathServer;
let dp0: number;

beforeEach(() => {
  transport = new DirectTransport();
  const ports = new FakePorts();
  const arena = new Arena(new ArrayBuffer(64 * SLOT_SIZE));
  server = new DatapathServer({ transport, portFactory: ports, arena, log: vlog('test'), nCpus: 4, clock: () => 5000 });
  server.start();
  ports.add('v1');
  transport.ask(dpNew('dp0'));
  dp0 = ports.devices.get('dp0')?.ifindex ?? 0;
});
afterEach(() => server.close());

/** What the client gets. */
function answers(request: Uint8Array): MessageView[] {
  return transport
    .ask(request)
    .filter(({ to }) => to === CLIENT)
    .map(({ bytes }) => {
      const msg = new MessageView();
      expect(msg.set(new DataView(bytes.buffer), 0, bytes.length)).toBe(true);
      return msg;
    });
}
/** The errno of a request; 0 is success. */
function errnoOf(request: Uint8Array): number {
  const copy = Uint8Array.from(request);
  const dv = new DataView(copy.buffer);
  dv.setUint16(6, dv.getUint16(6, true) | NLM_F.ACK, true);
  const errors = answers(copy).filter(({ type }) => type === NLMSG.ERROR);
  expect(errors).toHaveLength(1);
  return Number(errors.map((msg) => 0 - msg.dv.getInt32(msg.payload, true)));
}
const features = (): number | undefined =>
  answers(dpCommand(OVS_DP_CMD.GET, 'dp0'))[0]?.readOvs(OVS_DP_ATTR).userFeatures;
const dpRequest = (cmd: number, version: number, more: { userFeatures?: number } = {}): Uint8Array =>
  ovsRequest({
    ...{ family: FAMILY.DATAPATH, cmd, version, policy: OVS_DP_ATTR },
    attrs: { name: 'dp0', upcallPid: CLIENT, ...more },
  });

/** The request with one more attribute at its end. */
function withAttr(request: Uint8Array, type: number, payload: Uint8Array): Uint8Array {
  const size = (request.length + 3) & ~3;
  const whole = new Uint8Array(size + 4 + payload.length);
  whole.set(request);
  whole.set(payload, size + 4);
  const dv = new DataView(whole.buffer);
  dv.setUint16(size, 4 + payload.length, true);
  dv.setUint16(size + 2, type, true);
  dv.setUint32(0, whole.length, true);
  return whole;
}

describe('an older client', () => {
  test('of before there were features finds a datapath there, and gets it without them', () => {
    const before = OVS_DP_F.bit.unaligned | OVS_DP_F.bit.dispatchUpcallPerCpu;
    expect(features()).toBe(before);
    expect(errnoOf(dpRequest(OVS_DP_CMD.NEW, 2))).toBe(ERRNO.EEXIST);
    expect(features()).toBe(before);
    expect(errnoOf(dpRequest(OVS_DP_CMD.NEW, 1))).toBe(ERRNO.EEXIST);
    expect(features()).toBe(0);
  });

  test('only asks, and changes nothing', () => {
    expect(errnoOf(dpRequest(OVS_DP_CMD.GET, 1))).toBe(0);
    expect(features()).toBe(9);
  });

  test('names a port that is no local one, and changes nothing', () => {
    transport.ask(vportNew(dp0, 'v1'));
    const request = ovsRequest({
      ...{ family: FAMILY.DATAPATH, cmd: OVS_DP_CMD.NEW, version: 1, policy: OVS_DP_ATTR },
      attrs: { name: 'v1', upcallPid: CLIENT },
    });
    expect(errnoOf(request)).toBe(ERRNO.EEXIST);
    expect(features()).toBe(9);
  });

  test('sets a datapath without a word of features, which means none', () => {
    expect(errnoOf(dpRequest(OVS_DP_CMD.SET, 2))).toBe(0);
    expect(features()).toBe(0);
  });
});

describe('a newer client', () => {
  const VALUE = new Uint8Array(8).fill(1);
  const NEWER = 60;
  test.each<[string, () => Uint8Array, number]>([
    ['datapath', () => dpCommand(OVS_DP_CMD.GET, 'dp0'), NEWER],
    ['datapath, nested', () => dpCommand(OVS_DP_CMD.GET, 'dp0'), 0x8000 | NEWER],
    // OVS_VPORT_ATTR_UPCALL_STATS came with Linux 6.3, OVS_PACKET_ATTR_UPCALL_PID with 6.17.
    ['vport', () => vportNew(dp0, 'v1'), 10],
    ['packet', () => execute(dp0, outputs(0)), 13],
    ['flow', () => flowPut({ dpIfindex: dp0, dst: 9 }), NEWER],
  ])('has an attribute of a %s that is not known, which is ignored', (_what, request, type) => {
    expect(errnoOf(withAttr(request(), type, VALUE))).toBe(0);
  });

  test('asks for features that are not known, and learns it', () => {
    for (const bit of [4, 5, 31]) {
      expect(errnoOf(dpRequest(OVS_DP_CMD.SET, 2, { userFeatures: (1 << bit) >>> 0 }))).toBe(ERRNO.EOPNOTSUPP);
    }
    expect(features()).toBe(9);
  });

  test('uses keys and actions that are not known, and learns it', () => {
    const more = (list: Uint8Array) => Uint8Array.from([...list, 8, 0, NEWER, 0, 1, 0, 0, 0]);
    const flow = (key: Uint8Array, actions: Uint8Array) =>
      ovsRequest({
        ...{ family: FAMILY.FLOW, cmd: OVS_FLOW_CMD.NEW, dpIfindex: dp0, flags: NLM_F.CREATE, policy: OVS_FLOW_ATTR },
        attrs: { key, mask: udpKey(1, 9, true), actions },
      });
    const [key, actions] = [udpKey(1, 9), outputs(0)];
    expect(errnoOf(flow(more(key), actions))).toBe(ERRNO.EINVAL);
    expect(errnoOf(flow(key, more(actions)))).toBe(ERRNO.EINVAL);
    expect(errnoOf(flow(key, actions))).toBe(0);
  });
});
