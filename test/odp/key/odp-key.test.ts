/** Flow keys and masks to and from their nests: recordings of a stock ovs-vswitchd, layers, fitness, errors, random bytes. */

import { describe, expect, test } from 'vitest';
import { ETH_TYPE_802_2, FIELD as F, TUN_F } from '../../../src/flow/fields.ts';
import { getField, newFlowKey, setField } from '../../../src/flow/flow-key.ts';
import { ODP_FIT, type OdpKeyReport } from '../../../src/odp/key/fitness.ts';
import { odpKeyToFlow, odpMaskToFlow } from '../../../src/odp/key/odp-key.ts';
import { KERNEL_SUPPORT, odpKeyFromFlow, odpKeyFromMask } from '../../../src/odp/key/odp-key-build.ts';
import { readAttrs } from '../../../src/odp/text/odp-attr-list.ts';
import { formatOdpFlow } from '../../../src/odp/text/odp-format-key.ts';
import { parseOdpFlow } from '../../../src/odp/text/odp-parse-key.ts';
import { fc } from '../../support/property.ts';
import { available, flowAttrs, recordings } from '../golden-flows.ts';

const hex = (b: Uint8Array) => Buffer.from(b).toString('hex');
const keyOf = (text: string) => parseOdpFlow(text, { hasMasks: false }).key;

test('a key without an ethertype is that of an 802.3 frame, tagged or not', () => {
  for (const text of ['in_port(1),eth()', 'in_port(1),eth(),eth_type(0x8100),vlan(vid=5,pcp=0),encap()']) {
    const flow = newFlowKey();
    odpKeyToFlow(keyOf(text), flow);
    expect(getField(flow, F.ethType), text).toBe(ETH_TYPE_802_2);
  }
});

describe.skipIf(!available)('recorded flows', () => {
  const puts = (available ? recordings('upcalls.jsonl.gz') : [])
    .filter((m) => m.family === 'ovs_flow' && m.cmd === 'NEW' && m.direction === 'request')
    .map((m) => ({ m, attrs: flowAttrs(m) }));

  test('masks are rebuilt as a stock ovs-vswitchd wrote them', () => {
    let n = 0;
    for (const { m, attrs } of puts) {
      if (!attrs?.key || !attrs.mask) continue;
      const [flow, mask] = [newFlowKey(), newFlowKey()];
      expect(odpKeyToFlow(attrs.key, flow), m.step).not.toBe(ODP_FIT.ERROR);
      expect(odpMaskToFlow(attrs.mask, mask, flow), m.step).not.toBe(ODP_FIT.ERROR);
      expect(
        hex(odpKeyFromMask(mask, flow, KERNEL_SUPPORT)),
        `${m.step}: ${formatOdpFlow(attrs.key, attrs.mask)}`,
      ).toBe(hex(attrs.mask));
      n++;
    }
    expect(n).toBeGreaterThan(20);
  });

  test('keys that the kernel sent survive the way to a flow and back', () => {
    const byType = (nest: Uint8Array): string[] =>
      readAttrs(nest)
        // What only kernels know, and the order, which differs between the two, do not matter.
        .attrs.filter((a) => a.type < 32)
        .map((a) => `${a.type}:${a.type === 1 ? byType(a.data).join() : hex(a.data)}`)
        .sort();
    let n = 0;
    for (const { m, attrs } of puts) {
      if (!attrs?.key || m.step.startsWith('ovs-vsctl')) continue;
      const flow = newFlowKey();
      expect(odpKeyToFlow(attrs.key, flow, 2), formatOdpFlow(attrs.key)).toBe(ODP_FIT.PERFECT);
      expect(byType(odpKeyFromFlow(flow, { ...KERNEL_SUPPORT, maxVlanHeaders: 2 })), formatOdpFlow(attrs.key)).toEqual(
        byType(attrs.key),
      );
      n++;
    }
    expect(n).toBeGreaterThan(20);
  });
});

/** Translates the key of a text; the rest of the line is what is expected of it. */
function flowOf(text: string, vlanLimit = 2) {
  const flow = newFlowKey();
  const why: OdpKeyReport = { error: undefined };
  return { fit: odpKeyToFlow(keyOf(text), flow, vlanLimit, why), flow, error: why.error };
}
const META =
  'skb_priority(0),skb_mark(0),ct_state(0),ct_zone(0),ct_mark(0),ct_label(0),recirc_id(0),dp_hash(0),in_port(1)';
const ETH = `${META},eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)`;
const IPV4 = 'eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no)';
const ND =
  'eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=58,tclass=0,hlimit=255,frag=no),icmpv6(type=135,code=0)';
const { PERFECT, TOO_MUCH, TOO_LITTLE, ERROR } = ODP_FIT;

describe('fitness', () => {
  // biome-ignore format: table
  test.each([
    { name: 'TCP',                         fit: PERFECT,    text: `${ETH},${IPV4},tcp(src=1,dst=2),tcp_flags(syn)` },
    { name: 'TCP without flags',           fit: PERFECT,    text: `${ETH},${IPV4},tcp(src=1,dst=2)` },
    { name: 'TCP without ports',           fit: TOO_LITTLE, text: `${ETH},${IPV4}` },
    { name: 'TCP and UDP',                 fit: TOO_MUCH,   text: `${ETH},${IPV4},tcp(src=1,dst=2),udp(src=1,dst=2)` },
    { name: 'UDP in place of TCP',         fit: TOO_LITTLE, text: `${ETH},${IPV4},udp(src=1,dst=2)` },
    { name: 'IPv4 without its header',     fit: TOO_LITTLE, text: `${ETH},eth_type(0x0800)` },
    { name: 'unknown Ethertype',           fit: PERFECT,    text: `${ETH},eth_type(0x88b5)` },
    { name: 'unknown Ethertype with IPv4', fit: TOO_MUCH,   text: `${ETH},eth_type(0x88b5),ipv4(src=1.1.1.1)` },
    { name: 'no Ethertype: 802.3',         fit: PERFECT,    text: ETH },
    { name: 'a bare L3 packet',            fit: PERFECT,    text: `${META},${IPV4},tcp(src=1,dst=2)` },
    { name: 'a later fragment',            fit: PERFECT,    text: `${ETH},${IPV4.replace('no', 'later')}` },
    { name: 'ND',                          fit: PERFECT,    text: `${ETH},${ND},nd(target=fe80::2,sll=02:00:00:00:00:01)` },
    { name: 'ND without its header',       fit: TOO_LITTLE, text: `${ETH},${ND}` },
    { name: 'a tag without its inside',    fit: TOO_LITTLE, text: `${ETH},eth_type(0x8100),vlan(vid=5)` },
    { name: 'a frame that ends in its tag', fit: TOO_LITTLE, text: `${ETH},eth_type(0x8100)` },
    { name: 'three tags',                  fit: TOO_MUCH,   text: `${ETH},${'eth_type(0x8100),vlan(vid=5),encap('.repeat(3)})))` },
    { name: 'MPLS',                        fit: PERFECT,    text: `${ETH},eth_type(0x8847),mpls(label=1,bos=0,label=2,bos=1)` },
    { name: 'MPLS without bottom',         fit: TOO_LITTLE, text: `${ETH},eth_type(0x8847),mpls(label=1,bos=0)` },
    { name: 'an inner bottom',             fit: ERROR,      text: `${ETH},eth_type(0x8847),mpls(label=1,bos=1,label=2,bos=1)` },
    { name: 'a short Ethertype',           fit: ERROR,      text: `${ETH},eth_type(0x0123)` },
    { name: 'an attribute twice',          fit: ERROR,      text: `${ETH},skb_mark(1),skb_mark(2)` },
    { name: 'ARP opcode 256',              fit: ERROR,      text: `${ETH},eth_type(0x0806),arp(op=256)` },
    { name: 'a tag without CFI',           fit: ERROR,      text: `${ETH},eth_type(0x8100),vlan(vid=5,cfi=0),encap()` },
    { name: 'a tunnel without TTL',        fit: ERROR,      text: `tunnel(tun_id=1,dst=1.1.1.1),${ETH}` },
  ])('$name', ({ fit, text }) => {
    const found = flowOf(text);
    expect(found.fit).toBe(fit);
    expect(found.error === undefined).toBe(fit !== ERROR);
  });
});

test('layers become fields', () => {
  const { flow } = flowOf(
    `tunnel(tun_id=0x1122334455667788,src=192.0.2.1,dst=192.0.2.2,tos=4,ttl=9,flags(df|key)),${ETH},` +
      `eth_type(0x88a8),vlan(vid=7,pcp=1),encap(eth_type(0x8100),vlan(vid=8),encap(${IPV4},tcp(src=80,dst=81),tcp_flags(ack)))`,
  );
  const field = (name: keyof typeof F) => getField(flow, F[name]);
  expect(field('inPort')).toBe(1);
  expect([field('vlanTpid'), field('vlanTci')]).toEqual([0x88a8, 0x3007]);
  expect([field('cvlanTpid'), field('cvlanTci')]).toEqual([0x8100, 0x1008]);
  expect([field('ethType'), field('packetType')]).toEqual([0x0800, 0]);
  expect([field('nwSrc'), field('nwDst'), field('nwProto'), field('nwTtl')]).toEqual([0x0a000001, 0x0a000002, 6, 64]);
  expect([field('tpSrc'), field('tpDst'), field('tcpFlags')]).toEqual([80, 81, 0x10]);
  expect([field('tunSrc'), field('tunTtl'), field('tunFlags'), field('tunPresent')]).toEqual([
    0xc0000201,
    9,
    TUN_F.DF | TUN_F.KEY,
    4,
  ]);
  expect(flow[F.tunId.word]).toBe(0x11223344);
});

describe('masks', () => {
  const maskOf = (keyText: string, maskText: string) => {
    const { flow } = flowOf(keyText);
    const mask = newFlowKey();
    const why: OdpKeyReport = { error: undefined };
    return { fit: odpMaskToFlow(keyOf(maskText), mask, flow, 2, why), mask, flow, error: why.error };
  };
  const TCP = `${ETH},${IPV4},tcp(src=1,dst=2),tcp_flags(0)`;

  test('what a mask leaves out is not matched, but the recirculation id and the absence of a tag are', () => {
    const { fit, mask } = maskOf(TCP, 'in_port(-1),eth_type(0xffff),ipv4(dst=255.255.255.0)');
    expect(fit).toBe(PERFECT);
    expect([getField(mask, F.inPort), getField(mask, F.nwDst), getField(mask, F.nwSrc)]).toEqual([
      0xffffffff, 0xffffff00, 0,
    ]);
    expect([getField(mask, F.recircId), getField(mask, F.vlanTci), getField(mask, F.tpSrc)]).toEqual([
      0xffffffff, 0xffff, 0,
    ]);
  });

  test('of a tag nobody looked at, its presence and its VID are matched', () => {
    const { flow } = flowOf(`${ETH},eth_type(0x8100),vlan(vid=5,pcp=3),encap(${IPV4})`);
    const told = (tci: number) => {
      const mask = newFlowKey();
      setField(mask, F.vlanTci, tci);
      return formatOdpFlow(odpKeyFromFlow(flow, KERNEL_SUPPORT), odpKeyFromMask(mask, flow, KERNEL_SUPPORT));
    };
    expect(told(0)).toContain('vlan(vid=5,pcp=3/0x0),');
    expect(told(0xe000)).toContain('vlan(vid=5/0x0,pcp=3),');
  });

  test('an empty mask matches all that the key says', () => {
    const { fit, mask, flow } = maskOf(TCP, '');
    expect(fit).toBe(PERFECT);
    expect([getField(mask, F.nwSrc), getField(mask, F.tpDst), getField(mask, F.ipv6Label)]).toEqual([
      0xffffffff, 0xffff, 0,
    ]);
    const text = formatOdpFlow(odpKeyFromFlow(flow, KERNEL_SUPPORT), odpKeyFromMask(mask, flow, KERNEL_SUPPORT));
    expect(text).toContain(
      'ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags(0)',
    );
  });

  // biome-ignore format: table
  test.each([
    { mask: 'eth_type(0),ipv4(src=255.0.0.0)',              error: /unexpected L3 matching/ },
    { mask: 'eth_type(0xffff),ipv4(proto=0),tcp(src=0xffff)', error: /L4 ports/ },
    { mask: 'in_port(-1),in_port(-1)',                      error: /duplicate in_port/ },
  ])('$mask is refused', ({ mask, error }) => {
    const found = maskOf(TCP, mask);
    expect(found.fit).toBe(ERROR);
    expect(found.error).toMatch(error);
  });

  test('an 802.3 frame must have an Ethertype of all ones in its mask', () => {
    expect(maskOf(ETH, 'in_port(-1)').error).toBe('mask expected for non-Ethernet II frame');
    expect(maskOf(ETH, 'eth_type(0xffff)').fit).toBe(PERFECT);
  });
});

test('any bytes are translated or refused', () => {
  const keys = [
    ETH,
    `${ETH},${IPV4},tcp(src=1,dst=2)`,
    `tunnel(tun_id=1,ttl=1,vxlan(gbp(id=1))),${ETH},eth_type(0x8100),vlan(vid=1),encap(${IPV4})`,
  ].map(keyOf);
  const flow = newFlowKey();
  const mask = newFlowKey();
  fc.assert(
    fc.property(
      fc.constantFrom(...keys),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
      fc.nat(9),
      (key, edits, cut) => {
        const bytes = Uint8Array.from(key);
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        const nest = bytes.subarray(0, bytes.length - cut);
        const fit = odpKeyToFlow(nest, flow);
        expect(Object.values(ODP_FIT)).toContain(fit);
        if (fit === ERROR) return;
        odpMaskToFlow(nest, mask, flow);
        expect(odpKeyFromFlow(flow, KERNEL_SUPPORT).length % 4).toBe(0);
        expect(odpKeyFromMask(mask, flow, KERNEL_SUPPORT).length % 4).toBe(0);
      },
    ),
    { numRuns: 2000 },
  );
});
