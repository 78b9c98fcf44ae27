/** nfnetlink requests about connections, as tools send them, and as nobody should. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { putTuple } from '../../../src/datapath/conntrack/ctnetlink/ctnetlink-tuple.ts';
import { NLA_F_NESTED, NLM_F, NLMSG } from '../../../src/netlink/constants.ts';
import {
  CTA,
  CTA_EXPECT,
  CTA_EXPECT_NAT,
  CTA_NAT,
  CTA_PROTOINFO,
  CTA_PROTOINFO_TCP,
  CTA_PROTONAT,
  CTA_STATS,
  CTA_TIMEOUT,
  IPCTNL_MSG_CT,
  IPCTNL_MSG_EXP,
  IPCTNL_MSG_TIMEOUT,
  NFNL_SUBSYS,
  nfnlType,
} from '../../../src/netlink/families/ctnetlink.ts';
import type { MessageWriter } from '../../../src/netlink/message.ts';
import { ERRNO } from '../../../src/util/errno.ts';
import { eth, icmpv6, ipv4With } from '../../support/frames.ts';
import { fc } from '../../support/property.ts';
import { type Answer, attrsOf, CtClient } from './ct-client.ts';
import { CtRig, ct } from './ct-rig.ts';

const GET = nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.GET);
const DELETE = nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.DELETE);
const TIMEOUT = (command: number) => nfnlType(NFNL_SUBSYS.CTNETLINK_TIMEOUT, command);
const { ACK, DUMP, CREATE, REPLACE, EXCL } = NLM_F;

let rig: CtRig;
let client: CtClient;
beforeEach(() => {
  rig = new CtRig();
  client = new CtClient(rig.tracker, () => rig.now);
});
afterEach(() => client.close());

const udp = (srcPort: number) => eth(0x0800, ipv4With(17, { srcPort, dstPort: 53 }));
/** Appends zone and original tuple of the connection from `srcPort`. */
const tupleOf = (srcPort: number, zone: number, id?: number) => (w: MessageWriter) => {
  w.dv.setUint16(w.attrHeader(CTA.ZONE, 2), zone);
  const words = Int32Array.of(0x0a000001, 0, 0, 0, 0x0a000002, 0, 0, 0, (srcPort << 16) | 53, 17 << 16);
  putTuple(w, CTA.TUPLE_ORIG, words, 0);
  if (id !== undefined) w.dv.setUint32(w.attrHeader(CTA.ID, 4), id);
};

/** What `conntrack -I` sends: both tuples, a timeout in seconds, and more. */
const NEW = nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.NEW);
const both =
  (proto: number, ...more: ((w: MessageWriter) => void)[]) =>
  (w: MessageWriter) => {
    const to = Int32Array.of(0x0a000001, 0, 0, 0, 0x0a000002, 0, 0, 0, (1000 << 16) | 53, proto << 16);
    const back = Int32Array.of(0x0a000002, 0, 0, 0, 0x0a000001, 0, 0, 0, (53 << 16) | 1000, proto << 16);
    putTuple(w, CTA.TUPLE_ORIG, to, 0);
    putTuple(w, CTA.TUPLE_REPLY, back, 0);
    for (const put of more) put(w);
  };
const be32 = (type: number, value: number) => (w: MessageWriter) => w.dv.setUint32(w.attrHeader(type, 4), value);
const tcpInfo = (state: number) => (w: MessageWriter) => {
  const info = w.nest(CTA.PROTOINFO | NLA_F_NESTED);
  const tcp = w.nest(CTA_PROTOINFO.TCP | NLA_F_NESTED);
  w.attrU8(CTA_PROTOINFO_TCP.STATE, state);
  w.endNest(tcp);
  w.endNest(info);
};

/** CTA_NAT_SRC or CTA_NAT_DST: to one IPv4 address, and one port. */
const natTo = (type: number, address: number[], port?: number) => (w: MessageWriter) => {
  const nat = w.nest(type | NLA_F_NESTED);
  const at = w.attrHeader(CTA_NAT.V4_MINIP, address.length);
  for (const [i, byte] of address.entries()) w.dv.setUint8(at + i, byte);
  if (port !== undefined) {
    const ports = w.nest(CTA_NAT.PROTO | NLA_F_NESTED);
    w.dv.setUint16(w.attrHeader(CTA_PROTONAT.PORT_MIN, 2), port);
    w.endNest(ports);
  }
  w.endNest(nat);
};

describe('connections that a tool makes', () => {
  const tcp = (flags: number) => eth(0x0800, ipv4With(6, { srcPort: 1000, dstPort: 53, flags }));
  const line = (mark: string) =>
    `tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=53),reply=(src=10.0.0.2,dst=10.0.0.1,sport=53,dport=1000)${mark},protoinfo=(state=ESTABLISHED)`;

  test('packets find one, and it ends in time', async () => {
    const request = both(6, be32(CTA.TIMEOUT, 60), be32(CTA.STATUS, 0x0e), be32(CTA.MARK, 7), tcpInfo(3));
    expect((await client.ask(NEW, ACK | CREATE | EXCL, 2, request))[0]?.errno).toBe(0);
    expect(await client.dump()).toEqual([line(',mark=7')]);
    expect(rig.look(tcp(0x10))).toBe('est|trk');
    expect((await client.ask(NEW, ACK | CREATE | EXCL, 2, request))[0]?.errno).toBe(ERRNO.EEXIST);
    rig.now += 600_000_000;
    expect(await client.dump()).toEqual([]);
  });

  test('one is changed where its tuple is known', async () => {
    await client.ask(NEW, ACK | CREATE, 2, both(6, be32(CTA.TIMEOUT, 60), tcpInfo(3)));
    const mask = be32(CTA.MARK_MASK, 0x0f);
    await client.ask(NEW, ACK, 2, both(6, be32(CTA.MARK, 0xf0)));
    expect((await client.ask(NEW, ACK, 2, both(6, be32(CTA.MARK, 5), mask)))[0]?.errno).toBe(0);
    expect(await client.dump()).toEqual([line(`,mark=${0xf5}`)]);
    await client.ask(NEW, ACK, 2, both(6, be32(CTA.TIMEOUT, 1)));
    rig.now += 2000;
    expect(await client.dump()).toEqual([]);
  });

  test('a fixed timeout outlives packets', async () => {
    const FIXED = 0x408;
    await client.ask(NEW, ACK | CREATE, 2, both(17, be32(CTA.TIMEOUT, 60), be32(CTA.STATUS, FIXED)));
    rig.now += 59_000;
    expect(rig.look(udp(1000))).toBe('new|trk');
    rig.now += 2_000;
    expect(rig.tracker.count).toBe(1);
    expect(await client.dump()).toEqual([]);
    expect(rig.tracker.count).toBe(0);
  });

  test('its reply comes from, and to, where NAT says', async () => {
    const nat = [natTo(CTA.NAT_SRC, [10, 9, 9, 9], 7777), natTo(CTA.NAT_DST, [10, 8, 8, 8])];
    const request = both(6, be32(CTA.TIMEOUT, 60), tcpInfo(3), ...nat);
    expect((await client.ask(NEW, ACK | CREATE, 2, request))[0]?.errno).toBe(0);
    expect(await client.dump()).toEqual([
      'tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=53),reply=(src=10.8.8.8,dst=10.9.9.9,sport=53,dport=7777),protoinfo=(state=ESTABLISHED)',
    ]);
    // What is there keeps its addresses.
    expect((await client.ask(NEW, ACK, 2, request))[0]?.errno).toBe(ERRNO.EOPNOTSUPP);
  });

  test('only the port may change', async () => {
    await client.ask(
      NEW,
      ACK | CREATE,
      2,
      both(6, be32(CTA.TIMEOUT, 60), tcpInfo(3), natTo(CTA.NAT_SRC, [10, 0, 0, 1], 2000)),
    );
    expect(await client.dump()).toEqual([expect.stringContaining('sport=53,dport=2000')]);
  });

  test.each([
    ['unknown, and not to be made', ERRNO.ENOENT, 0, both(17, be32(CTA.TIMEOUT, 60))],
    ['without a timeout', ERRNO.EINVAL, CREATE, both(17)],
    ['without the reply tuple', ERRNO.EINVAL, CREATE, (w: MessageWriter) => tupleOf(1000, 0)(w)],
    ['with half an address', ERRNO.EINVAL, CREATE, both(17, be32(CTA.TIMEOUT, 1), natTo(CTA.NAT_SRC, [10, 9]))],
    [
      'with a master',
      ERRNO.EOPNOTSUPP,
      CREATE,
      both(17, be32(CTA.TIMEOUT, 1), (w) => w.attrHeader(CTA.TUPLE_MASTER, 0)),
    ],
    ['dying', ERRNO.EBUSY, CREATE, both(17, be32(CTA.TIMEOUT, 1), be32(CTA.STATUS, 0x208))],
    ['in no state of TCP', ERRNO.EINVAL, CREATE, both(6, be32(CTA.TIMEOUT, 1), tcpInfo(10))],
    ['with half a mark', ERRNO.EINVAL, CREATE, both(6, be32(CTA.TIMEOUT, 1), (w) => w.attrHeader(CTA.MARK, 2))],
  ] as const)('%s', async (_, errno, flags, request) => {
    expect((await client.ask(NEW, ACK | flags, 2, request))[0]?.errno).toBe(errno);
    expect(rig.tracker.count).toBe(0);
  });
});

describe('counters', () => {
  const CT = (command: number) => nfnlType(NFNL_SUBSYS.CTNETLINK, command);
  const numbers = ({ dv, at, end }: Answer) =>
    Object.fromEntries([...attrsOf(dv, at + 4, end)].map(([type, a]) => [type, dv.getUint32(a.at)]));

  test('how many connections there are and may be', async () => {
    rig.commit(udp(1000));
    const answers = await client.ask(CT(IPCTNL_MSG_CT.GET_STATS), ACK);
    expect([numbers(answers[0]!), answers[1]?.errno]).toEqual([{ 1: 1, 2: 4096 }, 0]);
  });

  test('what was done, of the one CPU', async () => {
    rig.commit(udp(1000));
    rig.look(eth(0x0800, ipv4With(6, { srcPort: 1, dstPort: 2, flags: 0x3f })));
    const answers = await client.ask(CT(IPCTNL_MSG_CT.GET_STATS_CPU), DUMP);
    expect(answers.map((a) => a.type)).toEqual([CT(IPCTNL_MSG_CT.GET_STATS_CPU), NLMSG.DONE]);
    expect(numbers(answers[0]!)).toMatchObject({ [CTA_STATS.INVALID]: 1, [CTA_STATS.INSERT]: 1, [CTA_STATS.DROP]: 0 });
    const EXP = nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.GET_STATS_CPU);
    expect(numbers((await client.ask(EXP, DUMP))[0]!)).toEqual({ 1: 0, 2: 0, 3: 0 });
  });

  test('a list that sets counters to zero is a list', async () => {
    rig.commit(udp(1000));
    const answers = await client.ask(CT(IPCTNL_MSG_CT.GET_CTRZERO), DUMP);
    expect(answers.map((a) => a.type)).toEqual([NEW, NLMSG.DONE]);
  });
});

describe('connections', () => {
  test('one by its tuple', async () => {
    rig.commit(udp(1000), ct.zone(5), ct.mark(9));
    const [answer] = await client.ask(GET, 0, 2, tupleOf(1000, 5));
    const attrs = attrsOf(answer!.dv, answer!.at + 4, answer!.end);
    expect(answer!.dv.getUint32(attrs.get(CTA.MARK)!.at)).toBe(9);
    expect((await client.ask(GET, 0, 2, tupleOf(1000, 6)))[0]?.errno).toBe(ERRNO.ENOENT);
  });

  test('deleting one, by tuple and id', async () => {
    for (const port of [1000, 1001]) rig.commit(udp(port));
    expect((await client.ask(DELETE, ACK, 2, tupleOf(1000, 0, 12345)))[0]?.errno).toBe(ERRNO.ENOENT);
    expect((await client.ask(DELETE, ACK, 2, tupleOf(1000, 0)))[0]?.errno).toBe(0);
    expect((await client.ask(DELETE, ACK, 2, tupleOf(1000, 0)))[0]?.errno).toBe(ERRNO.ENOENT);
    expect(await client.dump()).toEqual([
      'udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1001,dport=53),reply=(src=10.0.0.2,dst=10.0.0.1,sport=53,dport=1001)',
    ]);
  });

  test('deleting all, or all of a family or mark', async () => {
    const all = () => client.dump().then((list) => list.length);
    rig.commit(udp(1), ct.mark(1));
    rig.commit(udp(2), ct.mark(2));
    rig.commit(eth(0x86dd, icmpv6([128, 0, 0, 0, 0, 1, 0, 1])));
    expect(await all()).toBe(3);
    await client.ask(DELETE, ACK, 10);
    expect(await all()).toBe(2);
    await client.ask(DELETE, ACK, 0, (w) => w.dv.setUint32(w.attrHeader(CTA.MARK, 4), 1));
    expect(await all()).toBe(1);
    await client.ask(DELETE, ACK);
    expect([await all(), rig.tracker.count]).toEqual([0, 0]);
  });

  test('a dump of many comes in several datagrams, and misses none', async () => {
    for (let port = 1; port <= 700; port++) rig.commit(udp(port));
    expect(new Set(await client.dump()).size).toBe(700);
  });

  test('what is over is not listed', async () => {
    rig.commit(udp(1));
    rig.now += 31_000;
    expect(await client.dump()).toEqual([]);
  });
});

describe('expectations', () => {
  const EXP = (command: number) => nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, command);
  const payload = [0, 1, 65, 0, 65, 0];
  const read = (srcPort: number) => eth(0x0800, ipv4With(17, { srcPort, dstPort: 69, payload }));
  const count = async (family = 0) => (await client.ask(EXP(IPCTNL_MSG_EXP.GET), DUMP, family)).length - 1;
  /** Appends zone and tuple of the one that is expected at `port`. */
  const expected = (port: number, zone: number, id?: number) => (w: MessageWriter) => {
    w.dv.setUint16(w.attrHeader(CTA_EXPECT.ZONE, 2), zone);
    putTuple(w, CTA_EXPECT.TUPLE, Int32Array.of(0x0a000002, 0, 0, 0, 0x0a000001, 0, 0, 0, port, 17 << 16), 0);
    if (id !== undefined) w.dv.setUint32(w.attrHeader(CTA_EXPECT.ID, 4), id);
  };
  const errno = async (...args: Parameters<CtClient['ask']>) => (await client.ask(...args)).at(-1)?.errno;

  test('one with its attributes', async () => {
    rig.commit(read(2000), ct.helper('tftp'), ct.zone(3), ct.nat(ct.src(), ct.ip('10.1.0.9')));
    const answers = await client.ask(EXP(IPCTNL_MSG_EXP.GET), DUMP);
    expect(answers.map((a) => a.type)).toEqual([EXP(IPCTNL_MSG_EXP.NEW), NLMSG.DONE]);
    const { dv, at, end } = answers[0]!;
    const attrs = attrsOf(dv, at + 4, end);
    const tuple = (a: { at: number; size: number }) =>
      Buffer.from(dv.buffer, dv.byteOffset + a.at, a.size).toString('hex');
    const { TUPLE, MASK, NAT, FN, HELP_NAME, TIMEOUT, ZONE } = CTA_EXPECT;
    const V4 = (src: string, dst: string) => `14000180 08000100${src} 08000200${dst}`.replaceAll(' ', '');
    const UDP = (src: string, dst: string) =>
      `1c000280 05000100 11000000 06000200${src}0000 06000300${dst}0000`.replaceAll(' ', '');
    expect(tuple(attrs.get(TUPLE)!)).toBe(V4('0a000002', '0a010009') + UDP('0000', '07d0'));
    expect(tuple(attrs.get(MASK)!)).toBe(V4('ffffffff', 'ffffffff') + UDP('0000', 'ffff'));
    const nat = attrs.get(NAT)!;
    const inner = attrsOf(dv, nat.at, nat.at + nat.size);
    expect(dv.getUint32(inner.get(CTA_EXPECT_NAT.DIR)!.at)).toBe(1);
    expect(tuple(inner.get(CTA_EXPECT_NAT.TUPLE)!)).toBe(V4('00000000', '00000000') + UDP('07d0', '0000'));
    expect(tuple(attrs.get(FN)!)).toBe(Buffer.from('nat-follow-master\0').toString('hex'));
    expect(tuple(attrs.get(HELP_NAME)!)).toBe(Buffer.from('tftp\0').toString('hex'));
    expect(dv.getUint32(attrs.get(TIMEOUT)!.at)).toBe(300);
    // A list is not told zones.
    expect(attrs.has(ZONE)).toBe(false);
  });

  test('found by tuple and number', async () => {
    rig.commit(read(2000), ct.helper('tftp'), ct.zone(3));
    const [answer] = await client.ask(EXP(IPCTNL_MSG_EXP.GET), 0, 2, expected(2000, 3));
    expect(answer?.type).toBe(EXP(IPCTNL_MSG_EXP.NEW));
    const id = answer!.dv.getUint32(attrsOf(answer!.dv, answer!.at + 4, answer!.end).get(CTA_EXPECT.ID)!.at);
    expect((await client.ask(EXP(IPCTNL_MSG_EXP.GET), 0, 2, expected(2000, 3, id)))[0]?.type).toBe(
      EXP(IPCTNL_MSG_EXP.NEW),
    );
    for (const request of [expected(2001, 3), expected(2000, 4), expected(2000, 3, id + 1)]) {
      expect(await errno(EXP(IPCTNL_MSG_EXP.GET), 0, 2, request)).toBe(ERRNO.ENOENT);
      expect(await errno(EXP(IPCTNL_MSG_EXP.DELETE), ACK, 2, request)).toBe(ERRNO.ENOENT);
    }
    expect(await errno(EXP(IPCTNL_MSG_EXP.GET), 0, 2)).toBe(ERRNO.EINVAL);
    expect([await count(), await count(2), await count(10)]).toEqual([1, 1, 0]);
  });

  test('ended by tuple, by helper, and all', async () => {
    for (const port of [2000, 2001, 2002]) rig.commit(read(port), ct.helper('tftp'));
    expect(await errno(EXP(IPCTNL_MSG_EXP.DELETE), ACK, 2, expected(2000, 0))).toBe(0);
    expect(await count()).toBe(2);
    const of = (helper: string) => (w: MessageWriter) => w.attrString(CTA_EXPECT.HELP_NAME, helper);
    expect(await errno(EXP(IPCTNL_MSG_EXP.DELETE), ACK, 0, of('ftp'))).toBe(0);
    expect(await count()).toBe(2);
    await client.ask(EXP(IPCTNL_MSG_EXP.DELETE), ACK, 0, of('tftp'));
    expect(await count()).toBe(0);
    rig.commit(read(2003), ct.helper('tftp'));
    await client.ask(EXP(IPCTNL_MSG_EXP.DELETE), ACK);
    expect([await count(), rig.tracker.expectations.count]).toEqual([0, 0]);
  });
});

describe('timeout policies', () => {
  const policy =
    (name: string, seconds: number[], proto = 17) =>
    (w: MessageWriter) => {
      w.attrString(CTA_TIMEOUT.NAME, name);
      w.dv.setUint16(w.attrHeader(CTA_TIMEOUT.L3PROTO, 2), 2);
      w.attrU8(CTA_TIMEOUT.L4PROTO, proto);
      const nest = w.nest(CTA_TIMEOUT.DATA | NLA_F_NESTED);
      seconds.forEach((s, i) => {
        w.dv.setUint32(w.attrHeader(i + 1, 4), s);
      });
      w.endNest(nest);
    };
  const set = async (flags: number, ...args: Parameters<typeof policy>) =>
    (await client.ask(TIMEOUT(IPCTNL_MSG_TIMEOUT.NEW), flags | ACK, 0, policy(...args)))[0]?.errno;
  const named = (name: string) => (w: MessageWriter) => w.attrString(CTA_TIMEOUT.NAME, name);

  test('made, changed, read and deleted', async () => {
    expect(await set(CREATE | REPLACE, 'ovs_tp_0_udp4', [5, 7])).toBe(0);
    expect(await set(CREATE | EXCL, 'ovs_tp_0_udp4', [5, 7])).toBe(ERRNO.EEXIST);
    expect(await set(CREATE | REPLACE, 'ovs_tp_0_udp4', [6, 8])).toBe(0);
    expect(await set(CREATE | REPLACE, 'ovs_tp_0_udp4', [6], 1)).toBe(ERRNO.EINVAL);
    rig.commit(udp(1), ct.timeout('ovs_tp_0_udp4'));
    expect(rig.tracker.table.timeout.some((at) => at === rig.now + 6000)).toBe(true);

    const [answer] = await client.ask(TIMEOUT(IPCTNL_MSG_TIMEOUT.GET), 0, 0, named('ovs_tp_0_udp4'));
    const attrs = attrsOf(answer!.dv, answer!.at + 4, answer!.end);
    const data = attrs.get(CTA_TIMEOUT.DATA)!;
    const times = attrsOf(answer!.dv, data.at, data.at + data.size);
    expect([1, 2].map((i) => answer!.dv.getUint32(times.get(i)!.at))).toEqual([6, 8]);

    const remove = async () =>
      (await client.ask(TIMEOUT(IPCTNL_MSG_TIMEOUT.DELETE), ACK, 0, named('ovs_tp_0_udp4')))[0]?.errno;
    expect([await remove(), await remove()]).toEqual([0, ERRNO.ENOENT]);
  });

  test('TCP states are numbered from 1', async () => {
    await set(CREATE, 'tcp', [11, 12, 13], 6);
    expect([...rig.tracker.policies.get('tcp')!.timeouts].slice(1, 5)).toEqual([11_000, 12_000, 13_000, 120_000]);
  });
});

test('no message whatever upsets it', async () => {
  rig.commit(udp(1));
  const type = fc.constantFrom(GET, DELETE, ...[0, 1, 2, 3, 4].map(TIMEOUT), nfnlType(2, 1), nfnlType(1, 0), 77);
  await fc.assert(
    fc.asyncProperty(
      type,
      fc.constantFrom(0, ACK, DUMP),
      fc.nat(11),
      fc.array(fc.tuple(fc.nat(30), fc.uint8Array({ maxLength: 40 })), { maxLength: 6 }),
      async (t, flags, family, attrs) => {
        const answers = await client.ask(t, flags, family, (w) => {
          for (const [number, payload] of attrs) w.attrBytes(number, payload);
        });
        if (flags === ACK && answers.length === 0) return false;
        return (await client.dump()).length <= 1;
      },
    ),
    { numRuns: 300 },
  );
});
