/** NSH: what may be pushed and popped, and what becomes of packets. */
import { describe, expect, test } from 'vitest';
import { DROP } from '../../src/datapath/drop-reasons.ts';
import { USERSPACE_DATAPATH } from '../../src/datapath/kernel-compat.ts';
import { FIELD } from '../../src/flow/fields.ts';
import { newFlowKey, setField } from '../../src/flow/flow-key.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import { OVS_ACTION_ATTR as A } from '../../src/odp/action-attrs.ts';
import { OVS_KEY_ATTR } from '../../src/odp/key/key-table.ts';
import { VNET_F, VNET_GSO } from '../../src/packet/packet.ts';
import {
  attr,
  clone,
  md1,
  md2,
  output,
  popEth,
  popNsh,
  pushEth,
  pushNsh,
  recirc,
  set,
} from '../support/action-bytes.ts';
import { compileList } from '../support/compile.ts';
import { bytes, eth, ipv4With } from '../support/frames.ts';
import { Lab, takeSent } from '../support/lab.ts';

const BASE1 = bytes('02 3f 01 03 00001234');
const BASE2 = bytes('00 01 02 03 abcdef01');
const IP = ipv4With(17, { payload: [1, 2, 3] });
const FRAME = eth(0x0800, IP);
const OUTER = pushEth([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8]);
const outerOf = (payload: readonly number[]) => [...bytes('020000000008 020000000009 894f'), ...payload];
const NSH1 = (np: number) => [...bytes(`2f c6 01 0${np} 00001234`), ...Array<number>(16).fill(7)];

/** What port 2 sends of a frame that comes in at port 1. */
function run(frame: readonly number[], ...list: number[][]): number[][] {
  const lab = new Lab();
  const [a, b] = [lab.port(1), lab.port(2)];
  lab.flow(frame, 1, list);
  a.inject([frame]);
  return takeSent(b);
}

describe('packets', () => {
  test('push onto Ethernet, and pop', () => {
    expect(run(FRAME, pushNsh(BASE1, md1(7)), OUTER, output(2))).toEqual([outerOf([...NSH1(3), ...FRAME])]);
    const nsh = outerOf([...NSH1(3), ...FRAME]);
    expect(run(nsh, popEth(), popNsh(), output(2))).toEqual([FRAME]);
  });
  test('what was pushed can be popped at once in userspace, but not with a kernel', () => {
    const list = [pushNsh(BASE1, md1(7)), OUTER, popEth(), popNsh(), output(2)];
    const lab = new Lab(true);
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(FRAME, 1, list, { kernel: USERSPACE_DATAPATH });
    a.inject([FRAME]);
    expect(takeSent(b)).toEqual([FRAME]);
    expect(() => run(FRAME, ...list)).toThrow(NetlinkError);
  });
  test('push onto a packet without Ethernet header tells its protocol', () => {
    expect(run(FRAME, popEth(), pushNsh(BASE1, md1(7)), OUTER, output(2))).toEqual([outerOf([...NSH1(1), ...IP])]);
    const nsh = outerOf([...NSH1(1), ...IP]);
    const back = pushEth(bytes('020000000001'), bytes('020000000002'));
    expect(run(nsh, popEth(), popNsh(), back, output(2))).toEqual([
      [...bytes('020000000002 020000000001 0800'), ...IP],
    ]);
  });
  test('metadata of type 2 is rounded down to words', () => {
    const header = bytes('00 43 02 03 abcdef01 11121314');
    expect(run(FRAME, pushNsh(BASE2, md2(0x11, 0x12, 0x13, 0x14, 0x15)), OUTER, output(2))).toEqual([
      outerOf([...header, ...FRAME]),
    ]);
    expect(run(FRAME, pushNsh(BASE2, md2(1, 2)), OUTER, output(2))).toEqual([
      outerOf([...bytes('00 42 02 03 abcdef01'), ...FRAME]),
    ]);
  });
  test('the largest header, more often than there is headroom for', () => {
    const big = pushNsh(BASE2, md2(...Array<number>(244).fill(9)));
    const once = (inner: readonly number[]) => [
      ...bytes('00 7f 02 03 abcdef01'),
      ...Array<number>(244).fill(9),
      ...inner,
    ];
    const twice = once(outerOf(once(FRAME)));
    expect(run(FRAME, output(2), big, OUTER, output(2), big, OUTER, output(2))).toEqual([
      FRAME,
      outerOf(once(FRAME)),
      outerOf(twice),
    ]);
  });
  test('a clone is left alone', () => {
    const pushed = outerOf([...NSH1(3), ...FRAME]);
    expect(run(FRAME, clone(pushNsh(BASE1, md1(7)), OUTER, output(2)), output(2))).toEqual([pushed, FRAME]);
  });
  test('what is behind is seen after recirculation', () => {
    const lab = new Lab();
    const a = lab.port(1);
    const nsh = outerOf([...NSH1(3), ...FRAME]);
    lab.flow(nsh, 1, [popEth(), popNsh(), recirc(5)]);
    lab.flow(FRAME, 1, [pushNsh(BASE1, md1(7)), OUTER, recirc(6)]);
    a.inject([nsh, FRAME]);
    expect(lab.upcalls.map((u) => u.key)).toEqual([lab.keyOf(FRAME, 1, 5), lab.keyOf(nsh, 1, 6)]);
  });
  test('pop of a header that lies about its length drops', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    const nsh = outerOf([...NSH1(3), ...FRAME]);
    // Without pop_eth the Ethernet header is taken for NSH, as in the kernel; its first bytes say nothing sensible.
    lab.flow(nsh, 1, [popNsh(), output(2)]);
    a.inject([nsh]);
    expect(takeSent(b)).toEqual([]);
    expect(lab.dp.drops[DROP.ACTION_ERROR]).toBe(1);
  });
  test('a super-packet is cut up behind it', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2, { takesOffloads: false })];
    const payload = Array.from({ length: 25 }, (_, i) => i);
    const frame = eth(0x0800, ipv4With(6, { payload }));
    lab.flow(frame, 1, [pushNsh(BASE1, md1(7)), OUTER, output(2)]);
    a.inject([frame], {
      ...{ vnetFlags: VNET_F.NEEDS_CSUM, gsoType: VNET_GSO.TCPV4, gsoSize: 10, hdrLen: 54 },
      ...{ csumStart: 34, csumOffset: 16 },
    });
    const sent = takeSent(b);
    expect(sent.map((f) => f.length - 14 - 24 - 54)).toEqual([10, 10, 5]);
    for (const f of sent) expect(f.slice(0, 38)).toEqual(outerOf(NSH1(3)));
  });
});

describe('installation', () => {
  const key = newFlowKey();
  setField(key, FIELD.ethType, 0x0800);
  const bare = newFlowKey();
  setField(bare, FIELD.ethType, 0x1234);
  setField(bare, FIELD.packetType, 0x1234);
  const nsh = newFlowKey();
  setField(nsh, FIELD.ethType, 0x894f);
  setField(nsh, FIELD.nshNp, 3);
  const unknown = nsh.slice();
  setField(unknown, FIELD.nshNp, 6);

  const outcome = (list: number[][], k = key) => {
    try {
      compileList(list.flat(), k);
      return 0;
    } catch (e) {
      if (!(e instanceof NetlinkError)) throw e;
      return e.errno;
    }
  };
  const nested = (...attrs: number[][]) => attr(A.PUSH_NSH, attr(OVS_KEY_ATTR.NSH, attrs.flat()));
  const base = (b: readonly number[]) => attr(1, b);
  test.each<[string, number[][], number, Int32Array?]>([
    ['type 1', [pushNsh(BASE1, md1(0))], 0],
    ['type 2', [pushNsh(BASE2, md2(1, 2, 3, 4))], 0],
    ['the last base counts', [nested(base(BASE2), base(BASE1), md1(0))], 0],
    ['no metadata', [pushNsh(BASE1)], 22],
    ['no base', [nested(md1(0))], 22],
    ['both types', [pushNsh(BASE1, md1(0), md2(1))], 22],
    ['type 1 with metadata of type 2', [pushNsh(BASE1, md2(1, 2, 3, 4))], 22],
    ['type 2 with metadata of type 1', [pushNsh(BASE2, md1(0))], 22],
    ['empty metadata of type 2', [pushNsh(BASE2, md2())], 22],
    ['244 bytes', [pushNsh(BASE2, md2(...Array<number>(244).fill(0)))], 0],
    ['245 bytes', [pushNsh(BASE2, md2(...Array<number>(245).fill(0)))], 22],
    ['a base that is too short', [nested(base(BASE1.slice(1)), md1(0))], 22],
    ['an unknown attribute', [nested(base(BASE1), md1(0), attr(4, []))], 22],
    ['another key', [attr(A.PUSH_NSH, attr(OVS_KEY_ATTR.IPV4, base(BASE1)))], 22],
    ['nothing', [attr(A.PUSH_NSH)], 22],
    ['push twice', [pushNsh(BASE1, md1(0)), pushNsh(BASE1, md1(0))], 0],
    ['push behind an unknown protocol', [pushNsh(BASE1, md1(0))], 22, bare],
    ['pop', [popNsh()], 0, nsh],
    ['pop, and set of the Ethernet header behind', [popNsh(), set(OVS_KEY_ATTR.ETHERNET, Array(12).fill(2))], 0, nsh],
    [
      'push, and set of an Ethernet header',
      [pushNsh(BASE1, md1(0)), set(OVS_KEY_ATTR.ETHERNET, Array(12).fill(2))],
      22,
    ],
    ['pop of another ethertype', [popNsh()], 22],
    ['pop to an unknown protocol', [popNsh()], 22, unknown],
    ['set of NSH', [set(OVS_KEY_ATTR.NSH, base(BASE1))], 22, nsh],
  ])('%s', (_what, list, errno, k) => {
    expect(outcome(list, k)).toBe(errno);
  });
});
