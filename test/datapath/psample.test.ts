/** PSAMPLE: the family, and samples on their way from a packet to a listener. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { linuxVersion, parseKernel } from '../../src/datapath/kernel-compat.ts';
import { DatapathServer } from '../../src/datapath/server.ts';
import { NLMSG } from '../../src/netlink/constants.ts';
import { CTRL_ATTR } from '../../src/netlink/families/nlctrl.ts';
import { PSAMPLE_ATTR as ATTR } from '../../src/netlink/families/psample.ts';
import { AttrCursor, MessageView } from '../../src/netlink/message.ts';
import { Arena, SLOT_SIZE } from '../../src/packet/packet.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { vlog } from '../../src/util/vlog.ts';
import { output, popVlan, psample, pushVlan, sample, trunc } from '../support/action-bytes.ts';
import { FakePorts } from './fake-ports.ts';
import { type Answer, DirectTransport, dpNew, execute, getFamily, UDP_FRAME, vportNew } from './requests.ts';

const GROUPS = { config: 31, packets: 32 };
let transport: DirectTransport;
let ports: FakePorts;
let server: DatapathServer;
let dp0: number;
let listens: boolean;

function start(kernelCompat: number): void {
  transport = new DirectTransport();
  ports = new FakePorts();
  const arena = new Arena(new ArrayBuffer(128 * SLOT_SIZE));
  server = new DatapathServer({
    ...{ transport, portFactory: ports, arena, log: vlog('test'), nCpus: 4, kernelCompat },
    ...{ listeners: { has: (group: number) => group !== GROUPS.packets || listens }, random: () => 0.1 },
  });
  server.start();
  ports.add('v1');
  transport.ask(dpNew('dp0'));
  dp0 = ports.devices.get('dp0')!.ifindex;
  transport.ask(vportNew(dp0, 'v1'));
}
beforeEach(() => {
  listens = true;
  start(linuxVersion(6, 12));
});
afterEach(() => server.close());

const viewOf = ({ bytes }: Answer): MessageView => {
  const msg = new MessageView();
  expect(msg.set(new DataView(bytes.buffer), 0, bytes.length)).toBe(true);
  return msg;
};

/** Executes the actions on UDP_FRAME from v1; gives the attributes of each sample: payloads as hex, in order. */
function samplesOf(...actions: number[][]): [number, string][][] {
  const answers = transport.ask(execute(dp0, Uint8Array.from(actions.flat())));
  return answers.map((answer) => {
    expect(answer.group).toBe(GROUPS.packets);
    const msg = viewOf(answer);
    expect([msg.type, msg.cmd, msg.version]).toEqual([0x26, 0, 1]);
    const it = new AttrCursor(msg.dv, 20, msg.end, 'psample');
    const list: [number, string][] = [];
    while (it.next()) list.push([it.type, Buffer.from(answer.bytes.subarray(it.at, it.at + it.size)).toString('hex')]);
    return list;
  });
}
const hexOf = (v: number) => Buffer.from(Uint32Array.of(v).buffer).toString('hex');
const FRAME = Buffer.from(UDP_FRAME).toString('hex');

describe('samples', () => {
  test('all that is told, in the order of the kernel', () => {
    const [attrs] = samplesOf(psample(77, [1, 2, 3]), output(0));
    const at = attrs!.findIndex(([type]) => type === ATTR.TIMESTAMP);
    const ns = Buffer.from(attrs![at]![1], 'hex').readBigUInt64LE();
    expect(Math.abs(Number(ns / 1_000_000n) - Date.now())).toBeLessThan(60_000);
    expect(attrs!.toSpliced(at, 1)).toEqual([
      [ATTR.IIFINDEX, hexOf(ports.devices.get('v1')!.ifindex).slice(0, 4)],
      [ATTR.SAMPLE_RATE, 'ffffffff'],
      [ATTR.ORIGSIZE, hexOf(UDP_FRAME.length)],
      [ATTR.SAMPLE_GROUP, hexOf(77)],
      [ATTR.GROUP_SEQ, hexOf(0)],
      [ATTR.PROTO, '0008'],
      [ATTR.DATA, FRAME],
      [ATTR.USER_COOKIE, '010203'],
      [ATTR.SAMPLE_PROBABILITY, ''],
    ]);
  });
  const attrOf = (attrs: [number, string][] | undefined, type: number) => attrs?.find(([t]) => t === type)?.[1];
  test('the rate is that of the sample action around it', () => {
    const [a, b, c] = samplesOf(
      sample(0x80000000, psample(1), sample(0x40000000, psample(2))),
      sample(0x10000000, psample(9)),
      psample(3),
    );
    expect([a, b, c].map((s) => attrOf(s, ATTR.SAMPLE_GROUP))).toEqual([1, 2, 3].map(hexOf));
    expect([a, b, c].map((s) => attrOf(s, ATTR.SAMPLE_RATE))).toEqual([0x80000000, 0x40000000, 0xffffffff].map(hexOf));
  });
  test('truncation cuts one sample, and is over with it', () => {
    const [a, b] = samplesOf(trunc(20), psample(1), psample(2));
    expect(attrOf(a, ATTR.DATA)).toBe(FRAME.slice(0, 40));
    expect(attrOf(a, ATTR.ORIGSIZE)).toBe(hexOf(UDP_FRAME.length));
    expect(attrOf(b, ATTR.DATA)).toBe(FRAME);
  });
  test('a VLAN tag is not part of it', () => {
    const [a] = samplesOf(pushVlan(0x8100, 0x1005), psample(1), popVlan());
    expect(attrOf(a, ATTR.DATA)).toBe(FRAME);
  });
  test('nobody listens, nothing is sent', () => {
    listens = false;
    expect(samplesOf(psample(1))).toEqual([]);
  });
});

describe('the family', () => {
  test('with its two groups', () => {
    const [answer] = transport.ask(getFamily('psample'));
    expect(viewOf(answer!).readGenl(CTRL_ATTR)).toMatchObject({
      familyName: 'psample',
      mcastGroups: [
        { id: GROUPS.config, name: 'config' },
        { id: GROUPS.packets, name: 'packets' },
      ],
    });
  });
  test('is unknown where an older kernel answers, and the action refused', () => {
    server.close();
    start(linuxVersion(6, 1));
    const [answer] = transport.ask(getFamily('psample'));
    expect(viewOf(answer!).type).toBe(NLMSG.ERROR);
    const [refused] = transport.ask(execute(dp0, Uint8Array.from(psample(1))));
    expect(new DataView(refused!.bytes.buffer).getInt32(16, true)).toBe(-ERRNO.EINVAL);
  });
});

test('kernel versions are read', () => {
  expect(parseKernel('6.12')).toBe(linuxVersion(6, 12));
  expect(parseKernel('6.1.0')).toBe(linuxVersion(6, 1));
  expect(parseKernel('5.10')).toBe(linuxVersion(5, 10));
  for (const bad of ['5.9', '6', '6.x', '', '6.256', ' 6.1']) expect(() => parseKernel(bad), bad).toThrow(RangeError);
});
