/** nfnetlink requests about connections, as tools send them, and as nobody should. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { putTuple } from '../../../src/datapath/conntrack/ctnetlink-tuple.ts';
import { NLA_F_NESTED, NLM_F, NLMSG } from '../../../src/netlink/constants.ts';
import {
  CTA,
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

test('expectations', async () => {
  const payload = [0, 1, 65, 0, 65, 0];
  rig.commit(eth(0x0800, ipv4With(17, { srcPort: 2000, dstPort: 69, payload })), ct.helper('tftp'), ct.zone(3));
  const answers = await client.ask(nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.GET), DUMP);
  expect(answers.map((a) => a.type)).toEqual([nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.NEW), NLMSG.DONE]);
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
