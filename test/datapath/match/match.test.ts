/** Keys and masks: what is refused and why, what must match whatever is asked, and that reading undoes writing. */

import { describe, expect, test } from 'vitest';
import { putKey, putMask } from '../../../src/datapath/match/key-put.ts';
import { getMatch, getMetadata, NO_IN_PORT } from '../../../src/datapath/match/match.ts';
import { ETH_TYPE_802_2, FIELD, TUN_F } from '../../../src/flow/fields.ts';
import { type FlowKey, getField, isFieldSet, newFlowKey } from '../../../src/flow/flow-key.ts';
import { NetlinkError } from '../../../src/netlink/errors.ts';
import { MessageWriter } from '../../../src/netlink/message.ts';
import { OVS_KEY_ATTR as K, OVS_TUNNEL_KEY_ATTR as T } from '../../../src/odp/key/key-table.ts';
import { fc } from '../../support/property.ts';
import { nested } from '../requests.ts';

type Attr = readonly [type: number, payload: readonly number[] | Uint8Array | readonly Attr[]];

const isNest = (payload: Attr[1]): payload is readonly Attr[] => Array.isArray(payload[0]);
function write(w: MessageWriter, attrs: readonly Attr[]): void {
  for (const [type, payload] of attrs) {
    if (isNest(payload)) {
      const nest = w.nest(type);
      write(w, payload);
      w.endNest(nest);
    } else {
      w.attrBytes(type, Uint8Array.from(payload));
    }
  }
}
const nest = (...attrs: Attr[]) => {
  const bytes = nested((w) => write(w, attrs));
  return { dv: new DataView(bytes.buffer), at: 0, size: bytes.length };
};
const bytes = (n: number, value = 0) => new Uint8Array(n).fill(value);

/** Reads a key and a mask (null: none sent). */
function match(key: readonly Attr[], mask: readonly Attr[] | null = []): { key: FlowKey; mask: FlowKey } {
  const [k, m] = [newFlowKey(), newFlowKey()];
  getMatch(nest(...key), mask === null ? null : nest(...mask), k, m);
  return { key: k, mask: m };
}

const ETH: Attr = [K.ETHERNET, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]];
const type = (n: number): Attr => [K.ETHERTYPE, [n >> 8, n & 255]];
const ipv4 = (proto: number, frag = 0): Attr => [K.IPV4, [10, 0, 0, 1, 10, 0, 0, 2, proto, 0, 64, frag]];
const ipv6 = (proto: number, label = 0): Attr => [K.IPV6, [...bytes(32, 1), 0, label, 0, 0, proto, 0, 64, 0]];
const TCP: Attr[] = [
  [K.TCP, [0, 1, 0, 2]],
  [K.TCP_FLAGS, [0, 2]],
];
const tag = (tci: number, ...inner: Attr[]): Attr[] => [
  type(0x8100),
  [K.VLAN, [tci >> 8, tci & 255]],
  inner.length === 0 ? [K.ENCAP, []] : [K.ENCAP, inner],
];
const tunnel = (...attrs: Attr[]): Attr[] => [[K.TUNNEL, attrs], ETH, type(0x1234)];
const DST: Attr = [T.IPV4_DST, [1, 1, 1, 1]];
const TTL: Attr = [T.TTL, [64]];

describe('keys that are refused', () => {
  // biome-ignore format: table
  test.each<[string, Attr[]]>([
    ['nothing at all', []],
    ['neither addresses nor ethertype', [[K.IN_PORT, [1, 0, 0, 0]]]],
    ['IPv4 without ipv4', [ETH, type(0x800)]],
    ['IPv6 without ipv6', [ETH, type(0x86dd)]],
    ['TCP without ports', [ETH, type(0x800), ipv4(6)]],
    ['TCP without flags', [ETH, type(0x800), ipv4(6), TCP[0]!]],
    ['UDP without ports', [ETH, type(0x800), ipv4(17)]],
    ['SCTP without ports', [ETH, type(0x86dd), ipv6(132)]],
    ['ICMP without type', [ETH, type(0x800), ipv4(1)]],
    ['ICMPv6 without type', [ETH, type(0x86dd), ipv6(58)]],
    ['neighbour solicitation without nd', [ETH, type(0x86dd), ipv6(58), [K.ICMPV6, [135, 0]]]],
    ['ARP without arp', [ETH, type(0x806)]],
    ['ARP of an opcode above 255', [ETH, type(0x806), [K.ARP, [...bytes(8), 1, 0, ...bytes(14)]]]],
    ['MPLS without labels', [ETH, type(0x8847)]],
    ['MPLS of four labels', [ETH, type(0x8847), [K.MPLS, bytes(16, 1)]]],
    ['MPLS of half a label', [ETH, type(0x8847), [K.MPLS, bytes(6, 1)]]],
    ['NSH without nsh', [ETH, type(0x894f)]],
    ['a length in the place of the type', [ETH, type(0x5ff)]],
    ['the same twice', [ETH, ETH, type(0x1234)]],
    ['a wrong size', [[K.ETHERNET, bytes(11)], type(0x1234)]],
    ['userspace\'s packet type', [[K.PACKET_TYPE, bytes(4)], ETH]],
    ['a number out of range', [[33, bytes(4)], ETH]],
    ['in_port 65535', [[K.IN_PORT, [255, 255, 0, 0]], ETH]],
    ['a fragment type out of range', [ETH, type(0x800), ipv4(6, 3), ...TCP]],
    ['a flow label of 21 bits', [ETH, type(0x86dd), [K.IPV6, [...bytes(32), 0, 16, 0, 0, 0, 0, 0, 0]]]],
    ['unknown ct_state flags', [[K.CT_STATE, [0, 1, 0, 0]], ETH]],
    ['a VLAN attribute alone', [ETH, [K.VLAN, [0x10, 1]], type(0x1234)]],
    ['a VLAN ethertype alone', [ETH, type(0x8100)]],
    ['a TCI without CFI', [ETH, ...tag(1, type(0x1234))]],
    ['something in a cut tag', [ETH, ...tag(0, type(0x1234))]],
    ['three tags', [ETH, ...tag(0x1001, ...tag(0x1002, ...tag(0x1003, type(0x1234))))]],
    ['a tunnel without destination', tunnel(TTL)],
    ['a tunnel to nowhere', tunnel([T.IPV4_DST, bytes(4)], TTL)],
    ['a tunnel without TTL', tunnel(DST)],
    ['a tunnel of both families', tunnel(DST, [T.IPV6_SRC, bytes(16, 1)], TTL)],
    ['Geneve options of odd size', tunnel(DST, TTL, [T.GENEVE_OPTS, bytes(5)])],
    ['options of two kinds', tunnel(DST, TTL, [T.GENEVE_OPTS, bytes(4)], [T.ERSPAN_OPTS, bytes(12)])],
    ['an unknown tunnel attribute', tunnel(DST, TTL, [17, bytes(4)])],
  ])('%s', (_what, key) => {
    expect(() => match(key)).toThrow(NetlinkError);
  });

  test('bytes after the last attribute', () => {
    const good = nest(ETH, type(0x1234));
    const longer = { ...good, dv: new DataView(new ArrayBuffer(good.size + 4)), size: good.size + 3 };
    new Uint8Array(longer.dv.buffer).set(new Uint8Array(good.dv.buffer, 0, good.size));
    expect(() => getMatch(longer, null, newFlowKey(), newFlowKey())).toThrow(/no attribute/);
  });
});

describe('masks that are refused', () => {
  const V4 = [ETH, type(0x800), ipv4(6), ...TCP];
  // biome-ignore format: table
  test.each<[string, Attr[], Attr[]]>([
    ['ports without the protocol', V4, [type(0xffff), [K.IPV4, bytes(12)], [K.TCP, bytes(4, 255)]]],
    ['IPv6 for IPv4', V4, [type(0xffff), [K.IPV6, bytes(40, 255)]]],
    ['a tag on a frame without', V4, [type(0xffff), [K.VLAN, [255, 255]], [K.ENCAP, [type(0xffff)]]]],
    ['a TPID in part', [ETH, ...tag(0x1001, type(0x1234))], [type(0xff00), [K.VLAN, [255, 255]], [K.ENCAP, [type(0xffff)]]]],
    ['a TCI without CFI', [ETH, ...tag(0x1001, type(0x1234))], [type(0xffff), [K.VLAN, [15, 255]], [K.ENCAP, [type(0xffff)]]]],
    ['Geneve options of another size', tunnel(DST, TTL, [T.GENEVE_OPTS, bytes(8, 1)]), [[K.TUNNEL, [[T.GENEVE_OPTS, bytes(4, 255)]]]]],
  ])('%s', (_what, key, mask) => {
    expect(() => match(key, mask)).toThrow(NetlinkError);
  });
});

describe('what a match says', () => {
  test('without mask, all that the key names must match, and nothing else', () => {
    const { key, mask } = match([ETH, type(0x800), ipv4(6), ...TCP], null);
    expect(getField(key, FIELD.inPort)).toBe(NO_IN_PORT);
    for (const name of ['ethSrc', 'nwSrc', 'nwTtl', 'tpDst', 'tcpFlags'] as const)
      expect(isFieldSet(mask, FIELD[name])).toBe(true);
    for (const name of ['inPort', 'skbMark', 'ctState', 'tunDst'] as const)
      expect(isFieldSet(mask, FIELD[name])).toBe(false);
  });

  test('without mask, a tunnel must match also where it has zeros', () => {
    const { mask } = match(tunnel(DST, TTL), null);
    for (const name of ['tunSrc', 'tunTos', 'tunTpDst', 'tunPresent'] as const)
      expect(isFieldSet(mask, FIELD[name])).toBe(true);
    expect(getField(mask, FIELD.tunFlags)).toBe(0);
  });

  test('TCIs, ethertype, and whether there are addresses always match exactly', () => {
    const { mask } = match([ETH, type(0x1234)], [type(1)]);
    for (const name of ['vlanTci', 'cvlanTci', 'ethType', 'packetType'] as const) {
      expect(getField(mask, FIELD[name])).toBe(0xffff);
    }
  });

  test('no ethertype is a frame with a length; no addresses, a packet without Ethernet header', () => {
    expect(getField(match([ETH]).key, FIELD.ethType)).toBe(ETH_TYPE_802_2);
    const bare = match([type(0x800), ipv4(6), ...TCP]).key;
    expect([getField(bare, FIELD.ethType), getField(bare, FIELD.packetType)]).toEqual([0x800, 0x800]);
  });

  test('in_port matches exactly if the mask has it in any part', () => {
    expect(getField(match([ETH], [[K.IN_PORT, [1, 0, 0, 0]]]).mask, FIELD.inPort)).toBe(0xffffffff);
  });

  test('tunnel flags and options', () => {
    const { key } = match(tunnel([T.ID, bytes(8, 1)], DST, TTL, [T.CSUM, []], [T.GENEVE_OPTS, [1, 2, 3, 4]]));
    expect(getField(key, FIELD.tunFlags)).toBe(TUN_F.KEY | TUN_F.CSUM | TUN_F.GENEVE_OPTS);
    expect([getField(key, FIELD.tunOptsSize), key[FIELD.tunOpts.word]]).toEqual([4, 0x01020304]);
  });

  test('metadata alone', () => {
    const key = newFlowKey();
    getMetadata(nest([K.PRIORITY, [5, 0, 0, 0]], [K.IN_PORT, [2, 0, 0, 0]], ETH, type(0x800)), key);
    const { skbPriority, inPort, ethType, ethSrc } = FIELD;
    expect([getField(key, skbPriority), getField(key, inPort), getField(key, ethType)]).toEqual([5, 2, 0]);
    expect(isFieldSet(key, ethSrc)).toBe(false);
  });
});

/** What can stand behind the Ethernet addresses. */
const SHAPES: readonly (readonly Attr[])[] = [
  [],
  [type(0x1234)],
  [type(0x800), ipv4(6), ...TCP],
  [type(0x800), ipv4(17), [K.UDP, [0, 7, 0, 8]]],
  [type(0x800), ipv4(1), [K.ICMP, [8, 0]]],
  [type(0x86dd), ipv6(58), [K.ICMPV6, [135, 0]], [K.ND, bytes(28, 3)]],
  [type(0x86dd), ipv6(132), [K.SCTP, [1, 2, 3, 4]]],
  [type(0x806), [K.ARP, [...bytes(8, 1), 0, 2, ...bytes(12, 4), 0, 0]]],
  [type(0x8847), [K.MPLS, [0, 0, 0, 1, 0, 0, 17, 2]]],
  [
    type(0x894f),
    [
      K.NSH,
      [
        [1, [1, 2, 1, 3, 0, 0, 5, 255]],
        [2, bytes(16, 9)],
      ],
    ],
  ],
];

/** A key nest that is valid, of any protocol. */
const anyKey: fc.Arbitrary<Attr[]> = fc
  .record({
    shape: fc.constantFrom(...SHAPES),
    tags: fc.integer({ min: 0, max: 2 }),
    mark: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    eth: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    labels: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    tunnel: fc.boolean(),
  })
  .map(({ shape, tags, mark, eth, labels, tunnel: isTunnel }) => {
    let inner: readonly Attr[] = shape;
    // An ENCAP with nothing in it counts as absent from a mask, which makes no sense then: in the kernel, too.
    for (let i = 0; i < (shape.length === 0 ? 0 : tags); i++) inner = tag(0x1001 + i, ...inner);
    const tun: Attr[] = isTunnel ? [[K.TUNNEL, [DST, TTL, [T.OAM, []]]]] : [];
    return [[K.SKB_MARK, mark], [K.IN_PORT, [1, 0, 0, 0]], [K.CT_LABELS, labels], ...tun, [K.ETHERNET, eth], ...inner];
  });

describe('writing and reading', () => {
  test('a key that was written is read as the same', () => {
    fc.assert(
      fc.property(anyKey, (attrs) => {
        const { key, mask } = match(attrs, null);
        const first = written(key, mask);
        const [keyAgain, maskAgain] = [newFlowKey(), newFlowKey()];
        const at = first.dv.getUint16(0, true);
        getMatch(
          { ...first, at: 4, size: at - 4 },
          { ...first, at: at + 4, size: first.size - at - 4 },
          keyAgain,
          maskAgain,
        );
        expect(keyAgain).toEqual(key);
        expect(written(keyAgain, maskAgain).text).toEqual(first.text);
      }),
    );
  });

  /** Key and mask, one after the other. */
  function written(key: FlowKey, mask: FlowKey) {
    const w = new MessageWriter();
    putKey(w, 1, key);
    putMask(w, 7, key, mask);
    return { dv: w.dv, size: w.size, text: Buffer.from(w.bytes.subarray(0, w.size)).toString('hex') };
  }

  test('any bytes are read or refused, and nothing else happens', () => {
    fc.assert(
      fc.property(anyKey, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), (attrs, changes) => {
        const range = nest(...attrs);
        for (const [at, value] of changes) range.dv.setUint8(at % range.size, value);
        try {
          const [key, mask] = [newFlowKey(), newFlowKey()];
          getMatch(range, range, key, mask);
          const w = new MessageWriter();
          putKey(w, 1, key);
          putMask(w, 7, key, mask);
        } catch (error) {
          expect(error).toBeInstanceOf(NetlinkError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a mask that comes again', () => {
  const udp = (proto = 17): Attr[] => [ETH, type(0x800), ipv4(proto), [K.UDP, [0, 1, 0, 2]]];
  const ones = (proto = 0xff): Attr[] => [
    type(0xffff),
    [K.IPV4, [0, 0, 0, 0, 0, 0, 0, 0, proto, 0, 0, 0]],
    [K.UDP, bytes(4, 0xff)],
  ];
  const other = () => match([ETH, type(0x800), ipv4(17), [K.UDP, bytes(4)]], [type(0xffff)]);

  test('means what it meant', () => {
    other();
    const first = match(udp(), ones());
    const again = match(udp(), ones());
    expect([...again.mask]).toEqual([...first.mask]);
    expect(getField(again.mask, FIELD.tpSrc)).toBe(0xffff);
  });

  test('is refused where its key does not allow it', () => {
    match(udp(), ones());
    expect(() => match([ETH, type(0x800), ipv4(6), ...TCP], ones())).toThrow('unexpected mask');
    match(udp(), ones());
    expect(() => match([ETH, type(0x86dd), ipv6(17), [K.UDP, bytes(4)]], ones())).toThrow('unexpected mask');
  });

  test('of a tag is refused for a frame without it', () => {
    const inside = [type(0x800), ipv4(17), [K.UDP, [0, 1, 0, 2]]] as const;
    const mask: Attr[] = [type(0xffff), [K.VLAN, [0x1f, 0xff]], [K.ENCAP, [type(0xffff)]]];
    const tagged = match([ETH, ...tag(0x1005, ...inside)], mask);
    expect(getField(tagged.mask, FIELD.vlanTci)).toBe(0x1fff);
    expect(() => match([ETH, ...inside], mask)).toThrow('without that VLAN tag');
  });
});
