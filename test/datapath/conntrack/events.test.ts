/** What listeners to multicast groups of ctnetlink hear of connections. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { putTuple } from '../../../src/datapath/conntrack/ctnetlink/ctnetlink-tuple.ts';
import { NLM_F } from '../../../src/netlink/constants.ts';
import {
  CTA,
  CTA_EXPECT,
  IPCTNL_MSG_CT,
  IPCTNL_MSG_EXP,
  NFNL_SUBSYS,
  NFNLGRP,
  nfnlType,
} from '../../../src/netlink/families/ctnetlink.ts';
import { OVS_CT_ATTR } from '../../../src/odp/action-attrs.ts';
import { attr, u32 } from '../../support/action-bytes.ts';
import { eth, ipv4With } from '../../support/frames.ts';
import { type Answer, attrsOf, CtClient } from './ct-client.ts';
import { CtRig, ct } from './ct-rig.ts';

const NEW = nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.NEW);
const DELETE = nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.DELETE);
const { CT_NEW, CT_UPDATE, CT_DESTROY, EXP_NEW, EXP_DESTROY } = NFNLGRP;
const NAMES = Object.entries(CTA);

let rig: CtRig;
let client: CtClient;
const listen = (...groups: number[]) => {
  client?.close();
  client = new CtClient(rig.tracker, () => rig.now, groups);
};
beforeEach(() => {
  rig = new CtRig();
  listen(CT_NEW, CT_UPDATE, CT_DESTROY);
});
afterEach(() => client.close());

/** "new", "update" or "destroy", and the names of the attributes. */
const text = ({ type, flags, dv, at, end }: Answer): string => {
  const kind = type === DELETE ? 'destroy' : (flags & NLM_F.CREATE) !== 0 ? 'new' : 'update';
  const names = [...attrsOf(dv, at + 4, end).keys()].map((n) => NAMES.find(([, number]) => number === n)![0]);
  return [kind, ...names.filter((n) => !['TUPLE_ORIG', 'TUPLE_REPLY', 'ID', 'STATUS', 'TIMEOUT'].includes(n))].join(
    ' ',
  );
};
const heard = async () => (await client.heard()).map(text);
const tcp = (flags: number, seq: number) => eth(0x0800, ipv4With(6, { srcPort: 1000, dstPort: 80, flags, seq }));
const answer = (flags: number, seq: number) =>
  eth(0x0800, ipv4With(6, { srcPort: 80, dstPort: 1000, flags, seq }, { src: '10.0.0.2', dst: '10.0.0.1' }));

test('the life of a connection, told when it is committed', async () => {
  expect(rig.look(tcp(2, 1))).toBe('new|trk');
  expect(await heard()).toEqual([]);
  rig.commit(tcp(2, 1), ct.mark(5));
  expect(await heard()).toEqual(['new PROTOINFO MARK']);
  rig.look(answer(0x12, 100));
  expect(await heard(), 'a look-up tells nobody').toEqual([]);
  rig.commit(tcp(0x10, 2), ct.mark(6));
  expect(await heard()).toEqual(['update PROTOINFO MARK']);
  rig.commit(tcp(0x10, 2), ct.mark(6));
  expect(await heard(), 'nothing has happened').toEqual([]);
  rig.tracker.flush();
  expect(await heard()).toEqual(['destroy PROTOINFO MARK']);
});

test('labels are told where they are set', async () => {
  const label = Array<number>(16).fill(7);
  const mask = Array<number>(16).fill(255);
  rig.commit(tcp(2, 1), ct.labels(label, mask));
  expect(await heard()).toEqual(['new PROTOINFO LABELS']);
  rig.commit(tcp(2, 1), ct.mark(1));
  expect(await heard()).toEqual(['update MARK']);
});

test('the event mask of an action bounds what is told', async () => {
  const mask = (bits: number) => attr(OVS_CT_ATTR.EVENTMASK, u32(bits));
  const [ONLY_DESTROY, ONLY_MARK] = [0x04, 0x80];
  rig.commit(tcp(2, 1), mask(ONLY_DESTROY));
  rig.commit(tcp(2, 1), ct.mark(3));
  expect(await heard()).toEqual([]);
  rig.commit(tcp(2, 1), mask(ONLY_MARK), ct.mark(4));
  expect(await heard()).toEqual(['update MARK']);
  rig.tracker.flush();
  expect(await heard()).toEqual([]);
});

test('each group is its own, and who comes late hears of new connections only', async () => {
  rig.commit(tcp(2, 1));
  listen(CT_DESTROY);
  rig.commit(eth(0x0800, ipv4With(17, { srcPort: 1, dstPort: 2 })));
  rig.tracker.flush();
  expect(await heard()).toHaveLength(2);
  listen();
  rig.commit(tcp(2, 1));
  listen(CT_DESTROY);
  rig.tracker.flush();
  expect(await heard()).toEqual([]);
});

test('one that a tool makes, changes and ends', async () => {
  const request = (mark: number) => (w: Parameters<Parameters<CtClient['ask']>[3] & object>[0]) => {
    const to = Int32Array.of(0x0a000001, 0, 0, 0, 0x0a000002, 0, 0, 0, (1000 << 16) | 53, 17 << 16);
    const back = Int32Array.of(0x0a000002, 0, 0, 0, 0x0a000001, 0, 0, 0, (53 << 16) | 1000, 17 << 16);
    putTuple(w, CTA.TUPLE_ORIG, to, 0);
    putTuple(w, CTA.TUPLE_REPLY, back, 0);
    w.dv.setUint32(w.attrHeader(CTA.TIMEOUT, 4), 60);
    w.dv.setUint32(w.attrHeader(CTA.MARK, 4), mark);
  };
  const told = async (mark: number) => (await client.ask(NEW, NLM_F.CREATE, 2, request(mark))).map(text);
  expect(await told(1)).toEqual(['new MARK']);
  expect(await told(0)).toEqual(['update MARK']);
  await client.ask(DELETE, 0, 2, request(0));
  rig.now += 61_000;
  expect(await client.dump()).toEqual([]);
});

describe('expectations', () => {
  const NEW_EXP = nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.NEW);
  const KINDS: Record<number, string> = {
    [NEW_EXP]: 'new',
    [nfnlType(NFNL_SUBSYS.CTNETLINK_EXP, IPCTNL_MSG_EXP.DELETE)]: 'destroy',
  };
  const EXP_NAMES = Object.entries(CTA_EXPECT);
  const SAME = ['TUPLE', 'MASK', 'MASTER', 'TIMEOUT', 'ID', 'FLAGS', 'CLASS', 'HELP_NAME'];
  /** What happened, whether the flags say that it is new, and attributes that not all have; of a connection, its type. */
  const heardOf = async () =>
    (await client.heard()).map(({ type, flags, dv, at, end }) => {
      const kind = KINDS[type];
      if (kind === undefined) return type === DELETE ? 'connection ended' : 'connection';
      const names = [...attrsOf(dv, at + 4, end).keys()].map((n) => EXP_NAMES.find(([, number]) => number === n)![0]);
      expect(names.filter((name) => SAME.includes(name))).toEqual(SAME);
      expect(flags).toBe(kind === 'new' ? NLM_F.CREATE | NLM_F.EXCL : 0);
      return [kind, ...names.filter((name) => !SAME.includes(name))].join(' ');
    });
  const payload = [0, 1, 65, 0, 65, 0];
  const read = (srcPort: number) => eth(0x0800, ipv4With(17, { srcPort, dstPort: 69, payload }));
  const data = (dstPort: number) =>
    eth(0x0800, ipv4With(17, { srcPort: 5000, dstPort }, { src: '10.0.0.2', dst: '10.0.0.1' }));

  test('one begins, and is fulfilled', async () => {
    listen(EXP_NEW, EXP_DESTROY);
    rig.commit(read(2000), ct.helper('tftp'));
    expect(await heardOf()).toEqual(['new']);
    rig.look(data(2000));
    expect(await heardOf(), 'a look-up uses up nothing').toEqual([]);
    rig.commit(data(2000));
    expect(await heardOf()).toEqual(['destroy']);
  });

  test('the next one of a connection replaces it', async () => {
    listen(EXP_NEW, EXP_DESTROY);
    rig.commit(read(2000), ct.helper('tftp'));
    rig.look(read(2000));
    expect(await heardOf()).toEqual(['new', 'destroy', 'new']);
  });

  test('it is given up in time', async () => {
    listen(EXP_DESTROY);
    rig.commit(read(2000), ct.helper('tftp'));
    for (let s = 0; s < 300; s += 20) {
      rig.now += 20_000;
      // Keeps the master alive, and announces nothing.
      rig.look(eth(0x0800, ipv4With(17, { srcPort: 2000, dstPort: 69, payload: [0, 9] })));
    }
    expect(await heardOf()).toEqual(['destroy']);
  });

  test('it ends after its master', async () => {
    listen(CT_DESTROY, EXP_DESTROY);
    rig.commit(read(2000), ct.helper('tftp'));
    rig.tracker.flush();
    expect(await heardOf()).toEqual(['connection ended', 'destroy']);
  });

  test('with NAT it says what was announced', async () => {
    listen(EXP_NEW);
    rig.commit(read(2000), ct.helper('tftp'), ct.nat(ct.src(), ct.ip('10.1.0.9')));
    expect(await heardOf()).toEqual(['new NAT FN']);
  });

  test('of a connection that began when nobody listened nobody hears', async () => {
    listen();
    rig.commit(read(2000), ct.helper('tftp'));
    listen(EXP_NEW, EXP_DESTROY);
    rig.look(read(2000));
    rig.tracker.flush();
    expect(await heardOf()).toEqual([]);
  });
});
