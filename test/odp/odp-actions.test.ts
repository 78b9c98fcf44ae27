/** Action lists as translation builds them, cookies, slow-path reasons and UFIDs. */

import { describe, expect, test } from 'vitest';
import { FIELD as F, TUN_F } from '../../src/flow/fields.ts';
import { newFlowKey, setField, setFieldOnes } from '../../src/flow/flow-key.ts';
import { OVS_KEY_ATTR as K } from '../../src/odp/key/key-table.ts';
import { OdpActionsBuilder } from '../../src/odp/odp-actions.ts';
import { formatUfid, hashToUfid, parseUfidPrefix, putUfid, ufidOf } from '../../src/odp/odp-ufid.ts';
import { SLOW_PATH, SLOW_PATH_ALL, SLOW_PATH_REASONS } from '../../src/odp/slow-path.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { parseOdpActions } from '../../src/odp/text/odp-parse-actions.ts';
import { type CookieBody, decodeCookie, encodeCookie, OFPP_NONE } from '../../src/odp/user-action-cookie.ts';
import { fc } from '../support/property.ts';

const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 1);
const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 2);
const build = (fill: (list: OdpActionsBuilder) => void): string => {
  const list = new OdpActionsBuilder();
  fill(list);
  return formatOdpActions(list.finish());
};

// biome-ignore format: table
test.each<{ text: string; fill: (l: OdpActionsBuilder) => void }>([
  { text: 'drop',                                   fill: () => {} },
  { text: '1,2',                                    fill: (l) => l.output(1).output(2) },
  { text: 'userspace(pid=4294967295)',              fill: (l) => l.userspace(0xffffffff) },
  { text: 'userspace(pid=5,userdata(0102030000000000),actions,tunnel_out_port=3)',
    fill: (l) => l.userspace(5, { userdata: Uint8Array.of(1, 2, 3), tunnelOutPort: 3, withActions: true }) },
  { text: 'userspace(pid=5,slow_path(lldp))',       fill: (l) => l.userspace(5, { userdata: encodeCookie({ type: 'slowPath', reason: SLOW_PATH.LLDP }) }) },
  { text: 'push_vlan(vid=5,pcp=1),pop_vlan',        fill: (l) => l.pushVlan(0x8100, 0x3005).popVlan() },
  { text: 'push_mpls(label=16,tc=0,ttl=64,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800)', fill: (l) => l.pushMpls(0x10140, 0x8847).popMpls(0x800) },
  { text: 'push_eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),pop_eth', fill: (l) => l.pushEth(MAC_A, MAC_B).popEth() },
  { text: 'hash(sym_l4(7)),recirc(0x9)',            fill: (l) => l.hash(1, 7).recirc(9) },
  { text: 'trunc(100),meter(3),ct_clear',           fill: (l) => l.trunc(100).meter(3).ctClear() },
  { text: 'ct(force_commit,zone=4,mark=0x1/0xf,helper=ftp,timeout=t)',
    fill: (l) => l.ct({ commit: true, force: true, zone: 4, mark: { value: 1, mask: 15 }, helper: 'ftp', timeout: 't' }) },
  { text: 'ct(commit,nat)',                         fill: (l) => l.ct({ commit: true, nat: new Uint8Array(0) }) },
  { text: 'sample(sample=50.0%,actions(1)),clone(drop)', fill: (l) => l.sample(0x7fffffff, (s) => s.output(1)).clone(() => {}) },
  { text: 'check_pkt_len(size=100,gt(1),le(drop))', fill: (l) => l.checkPktLen(100, (g) => g.output(1), () => {}) },
  { text: 'set(eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02))', fill: (l) => l.set(K.ETHERNET, Uint8Array.from([...MAC_A, ...MAC_B])) },
  { text: 'set(skb_mark(0x1/0xf))',                 fill: (l) => l.setMasked(K.SKB_MARK, Uint8Array.of(0xf1, 0, 0, 0), Uint8Array.of(0x0f, 0, 0, 0)) },
])('$text', ({ text, fill }) => {
  expect(build(fill)).toBe(text);
});

test('fields of a flow are set under a mask, and wholly if the mask is', () => {
  const flow = newFlowKey();
  const mask = newFlowKey();
  setField(flow, F.nwSrc, 0x0a000001);
  setField(flow, F.nwTtl, 63);
  setFieldOnes(mask, F.nwTtl);
  expect(build((l) => l.setFields(K.IPV4, flow, mask))).toBe('set(ipv4(ttl=63))');
  setField(flow, F.tpDst, 8080);
  setFieldOnes(mask, F.tpSrc);
  setFieldOnes(mask, F.tpDst);
  expect(build((l) => l.setFields(K.TCP, flow, mask))).toBe('set(tcp(src=0,dst=8080))');
  expect(parseOdpActions('set(tcp(src=0,dst=8080))')).toEqual(
    new OdpActionsBuilder().setFields(K.TCP, flow, mask).finish(),
  );
  expect(() => build((l) => l.setFields(K.TUNNEL, flow, mask))).toThrow(RangeError);
});

test('tunnel metadata is set', () => {
  const flow = newFlowKey();
  setField(flow, F.tunDst, 0xc0000202);
  setField(flow, F.tunTtl, 64);
  setField(flow, F.tunFlags, TUN_F.KEY | TUN_F.DF);
  expect(build((l) => l.setTunnel(flow))).toBe('set(tunnel(tun_id=0x0,dst=192.0.2.2,ttl=64,flags(df|key)))');
});

test('a builder is reused, cut back and appended to', () => {
  const list = new OdpActionsBuilder().output(1);
  const { size } = list;
  expect(formatOdpActions(list.popVlan().truncate(size).append(parseOdpActions('4,5')).finish())).toBe('1,4,5');
  expect(list.reset().isEmpty).toBe(true);
  for (let i = 0; i < 9000; i++) list.output(i);
  expect(list.isOversized).toBe(true);
});

test('a clone that is the last action is opened', () => {
  const ofTwo = (l: OdpActionsBuilder) => l.output(1).clone((c) => c.trunc(60).output(2));
  expect(build((l) => ofTwo(l).openLastClone())).toBe('1,trunc(60),2');
  expect(build((l) => ofTwo(l).output(3).openLastClone())).toBe('1,clone(trunc(60),2),3');
  expect(build((l) => l.openLastClone())).toBe('drop');
  expect(build((l) => l.clone((c) => c.clone((d) => d.output(1))).openLastClone())).toBe('clone(1)');
});

describe('cookies', () => {
  const uuid = Uint8Array.from({ length: 16 }, (_, i) => i);
  // biome-ignore format: table
  const bodies: CookieBody[] = [
    { type: 'sflow', vlanTci: 0x3005, output: 9 },
    { type: 'slowPath', reason: SLOW_PATH.ACTION },
    { type: 'flowSample', probability: 1, collectorSetId: 2, obsDomainId: 3, obsPointId: 4, outputOdpPort: 5, direction: 2 },
    { type: 'ipfix', outputOdpPort: 6 },
    { type: 'controller', dontSend: false, continuation: true, reason: 2, recircId: 8, ruleCookie: 0x1122334455667788n, controllerId: 3, maxLen: 65535 },
  ];
  test.each(bodies)('$type survives', (body) => {
    const cookie = { ...body, ofpInPort: 7, ofprotoUuid: uuid };
    expect(encodeCookie(cookie)).toHaveLength(48);
    expect(decodeCookie(encodeCookie(cookie))).toEqual(cookie);
    expect(decodeCookie(encodeCookie(body))?.ofpInPort).toBe(OFPP_NONE);
  });

  test('anything else is none', () => {
    expect(decodeCookie(new Uint8Array(48))).toBeUndefined();
    expect(decodeCookie(encodeCookie(bodies[0]!).subarray(0, 47))).toBeUndefined();
  });
});

test('slow-path reasons are one bit each, and all', () => {
  expect(SLOW_PATH_REASONS.map(({ bit }) => bit).reduce((all, bit) => all + bit, 0)).toBe(SLOW_PATH_ALL);
  expect(SLOW_PATH_REASONS.map(({ name }) => name)).toEqual(['cfm', 'bfd', 'lacp', 'stp', 'lldp', 'action', 'match']);
});

describe('UFIDs', () => {
  test('words are in host order, text is not', () => {
    const text = 'ufid:00112233-4455-6677-8899-aabbccddeeff';
    const bytes = parseUfidPrefix(text);
    if (!(bytes instanceof Uint8Array)) throw new Error('no UFID');
    expect(new DataView(bytes.buffer).getUint32(0, new Uint8Array(Uint16Array.of(1).buffer)[0] === 1)).toBe(0x00112233);
    expect(formatUfid(bytes)).toBe(text);
    expect(formatUfid(ufidOf(bytes))).toBe(text);
    const written = new Uint8Array(16);
    putUfid(ufidOf(bytes), new DataView(written.buffer), 0);
    expect(written).toEqual(bytes);
  });

  // biome-ignore format: table
  test.each([
    ['in_port(1)', undefined], ['ufid:', 'bad'], ['ufid:00112233-4455-6677-8899-aabbccddeef', 'bad'],
    ['ufid:0011223344556677-8899-aabbccddeeff00', 'bad'],
  ])('%s', (text, want) => {
    expect(parseUfidPrefix(text)).toBe(want);
  });

  test('a hash is that of a random UUID, and of its key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.nat(), fc.nat(), (key, seed, at) => {
        const ufid = hashToUfid(key, seed);
        expect(formatUfid(ufid)).toMatch(/^ufid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(hashToUfid(key, seed)).toEqual(ufid);
        const other = Uint8Array.from(key);
        other[at % other.length]! ^= 1 << (at % 8);
        expect(hashToUfid(other, seed)).not.toEqual(ufid);
        expect(hashToUfid(Uint8Array.from([...key, 0]), seed)).not.toEqual(ufid);
      }),
    );
  });
});
