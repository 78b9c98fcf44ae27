/** Key extraction: tables of frames, random bytes, and the keys that the real module sent with its upcalls. */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ETH_TYPE_802_2, FIELD, type FieldName } from '../../src/flow/fields.ts';
import { extractHeaders, extractMetadata } from '../../src/flow/flow-extract.ts';
import { hashFlow } from '../../src/flow/flow-hash.ts';
import { type FlowKey, getField, getFieldBytes, isFieldSet, newFlowKey, setField } from '../../src/flow/flow-key.ts';
import { AttrCursor, MessageView } from '../../src/netlink/message.ts';
import { loadKeyAttr } from '../../src/odp/key/key-codec.ts';
import { KEY_ROWS, OVS_KEY_ATTR } from '../../src/odp/key/key-table.ts';
import { VNET_GSO } from '../../src/packet/packet.ts';
import { bytes, eth, icmpv6, ip4, ip6, ipv4, ipv4With, ipv6, ipv6With, tcp, udp } from '../support/frames.ts';
import { newArena, packetOf } from '../support/packets.ts';
import { fc } from '../support/property.ts';

/** Fields that are not zero, as hex, without the MAC addresses that every frame has. */
function fieldsOf(key: FlowKey): Record<string, string> {
  const out: Record<string, string> = {};
  for (const f of Object.values(FIELD)) {
    if (!isFieldSet(key, f) || f.name === 'ethSrc' || f.name === 'ethDst') continue;
    const raw = new Uint8Array(f.bits >>> 3);
    getFieldBytes(key, f, raw, 0);
    out[f.name] = Buffer.from(raw).toString('hex');
  }
  return out;
}

function extract(frame: readonly number[], gsoType = 0): FlowKey {
  const key = newFlowKey();
  const pkt = packetOf(newArena(1), frame);
  pkt.gsoType = gsoType;
  extractMetadata(pkt, key);
  expect(extractHeaders(pkt, key)).toBe(true);
  return key;
}

const A4 = { nwSrc: '0a000001', nwDst: '0a000002' };
const A6 = { ipv6Src: 'fe800000000000000000000000000001', ipv6Dst: 'fe800000000000000000000000000002' };
const V4 = { ethType: '0800', ...A4, nwTtl: '40' };
const V6 = { ethType: '86dd', ...A6, nwTtl: '40' };
const T = { tpSrc: '03e8', tpDst: '0050', tcpFlags: '0010' };
const ndOption = (type: number, mac: string) => [type, 1, ...bytes(mac)];
const ns = (...options: number[][]) => [135, 0, 0, 0, 0, 0, 0, 0, ...ip6('fe80::9'), ...options.flat()];
const frag6 = (next: number, off: number) => [next, 0, off >>> 8, off & 0xff, 0, 0, 0, 1];
const opts = (next: number) => [next, 0, 1, 4, 0, 0, 0, 0];
const arp = (op: number) => [
  ...bytes('0001 0800 06 04'),
  op >>> 8,
  op & 0xff,
  ...bytes('020000000001'),
  ...ip4('10.0.0.1'),
  ...bytes('000000000000'),
  ...ip4('10.0.0.2'),
];
const nsh = (mdtype: number, words: number) =>
  [...bytes('0fc0'), mdtype, 3, ...bytes('00 00 12 34'), ...Array<number>(4 * (words - 2)).fill(0x11)].map((b, i) =>
    i === 1 ? b | words : b,
  );

// biome-ignore format: table
const CASES: { name: string; frame: number[]; gso?: number; key: Partial<Record<FieldName, string>> }[] = [
  { name: 'unknown ethertype', frame: eth(0x1234, [1, 2]), key: { ethType: '1234' } },
  { name: 'bare header', frame: eth(0x0800, []), key: { ethType: '0800' } },
  { name: '802.2 LLC', frame: eth(38, bytes('424203')), key: { ethType: '0004' } },
  { name: '802.2 SNAP with IPv4', frame: eth(100, [...bytes('aaaa03 000000 0800'), ...ipv4(99, [])]), key: { ...V4, nwProto: '63' } },
  { name: 'SNAP of some organisation', frame: eth(100, [...bytes('aaaa03 00000c 0800'), ...ipv4(99, [])]), key: { ethType: '0004' } },
  { name: 'SNAP cut short', frame: eth(100, bytes('aaaa03 000000 08')), key: { ethType: '0004' } },
  { name: '802.1Q', frame: eth(0x0800, ipv4(99, []), [[0x8100, 0x6064]]), key: { ...V4, nwProto: '63', vlanTpid: '8100', vlanTci: '7064' } },
  { name: '802.1Q, priority only', frame: eth(0x1234, [], [[0x8100, 0]]), key: { ethType: '1234', vlanTpid: '8100', vlanTci: '1000' } },
  { name: 'QinQ', frame: eth(0x0800, ipv4(99, []), [[0x88a8, 5], [0x8100, 6]]), key: { ...V4, nwProto: '63', vlanTpid: '88a8', vlanTci: '1005', cvlanTpid: '8100', cvlanTci: '1006' } },
  { name: 'a third tag is an ethertype', frame: eth(0x0800, [], [[0x8100, 5], [0x8100, 6], [0x8100, 7]]), key: { ethType: '8100', vlanTpid: '8100', vlanTci: '1005', cvlanTpid: '8100', cvlanTci: '1006' } },
  { name: 'tag cut short', frame: eth(0x8100, [0, 5]), key: { ethType: '8100' } },
  { name: 'ARP', frame: eth(0x0806, arp(1)), key: { ethType: '0806', nwProto: '01', ...A4, arpSha: '020000000001' } },
  { name: 'RARP', frame: eth(0x8035, arp(3)), key: { ethType: '8035', nwProto: '03', ...A4, arpSha: '020000000001' } },
  { name: 'ARP with a large opcode', frame: eth(0x0806, arp(0x101)), key: { ethType: '0806', ...A4, arpSha: '020000000001' } },
  { name: 'ARP of another hardware', frame: eth(0x0806, [0, 6, ...arp(1).slice(2)]), key: { ethType: '0806' } },
  { name: 'ARP cut short', frame: eth(0x0806, arp(1).slice(0, 27)), key: { ethType: '0806' } },
  { name: 'IPv4 TCP', frame: eth(0x0800, ipv4(6, tcp({ flags: 0xfff }), { tos: 0xb8 })), key: { ...V4, nwProto: '06', nwTos: 'b8', ...T, tcpFlags: '0fff' } },
  { name: 'IPv4 with options', frame: eth(0x0800, ipv4(6, tcp(), { options: [1, 1, 1, 0] })), key: { ...V4, nwProto: '06', ...T } },
  { name: 'TCP cut short', frame: eth(0x0800, ipv4(6, tcp().slice(0, 19))), key: { ...V4, nwProto: '06' } },
  { name: 'TCP offset beyond the end', frame: eth(0x0800, ipv4(6, [...tcp().slice(0, 12), 0x60, ...tcp().slice(13)])), key: { ...V4, nwProto: '06' } },
  { name: 'TCP offset too small', frame: eth(0x0800, ipv4(6, [...tcp().slice(0, 12), 0x40, ...tcp().slice(13)])), key: { ...V4, nwProto: '06' } },
  { name: 'IPv4 UDP', frame: eth(0x0800, ipv4(17, udp())), key: { ...V4, nwProto: '11', tpSrc: '03e8', tpDst: '0035' } },
  { name: 'UDP cut short', frame: eth(0x0800, ipv4(17, udp().slice(0, 7))), key: { ...V4, nwProto: '11' } },
  { name: 'SCTP', frame: eth(0x0800, ipv4(132, bytes('0001 0002 00000000 00000000'))), key: { ...V4, nwProto: '84', tpSrc: '0001', tpDst: '0002' } },
  { name: 'SCTP cut short', frame: eth(0x0800, ipv4(132, bytes('0001 0002 00000000 000000'))), key: { ...V4, nwProto: '84' } },
  { name: 'ICMP', frame: eth(0x0800, ipv4(1, [8, 1, 0, 0, 0, 0, 0, 0])), key: { ...V4, nwProto: '01', tpSrc: '0008', tpDst: '0001' } },
  { name: 'IGMP', frame: eth(0x0800, ipv4(2, [0x16, 0, 0, 0, 0, 0, 0, 0])), key: { ...V4, nwProto: '02' } },
  { name: 'first fragment', frame: eth(0x0800, ipv4(17, udp(), { frag: 0x2000 })), key: { ...V4, nwProto: '11', nwFrag: '01', tpSrc: '03e8', tpDst: '0035' } },
  { name: 'later fragment', frame: eth(0x0800, ipv4(17, udp(), { frag: 0x2005 })), key: { ...V4, nwProto: '11', nwFrag: '02' } },
  { name: 'last fragment', frame: eth(0x0800, ipv4(17, udp(), { frag: 0x0005 })), key: { ...V4, nwProto: '11', nwFrag: '02' } },
  { name: 'do not fragment', frame: eth(0x0800, ipv4(99, [], { frag: 0x4000 })), key: { ...V4, nwProto: '63' } },
  { name: 'UFO super-packet', frame: eth(0x0800, ipv4(17, udp())), gso: VNET_GSO.UDP, key: { ...V4, nwProto: '11', nwFrag: '01', tpSrc: '03e8', tpDst: '0035' } },
  { name: 'IPv4 header cut short', frame: eth(0x0800, ipv4(6, []).slice(0, 19)), key: { ethType: '0800' } },
  { name: 'IPv4 header length beyond the end', frame: eth(0x0800, [0x46, ...ipv4(6, []).slice(1)]), key: { ethType: '0800' } },
  { name: 'IPv4 header length too small', frame: eth(0x0800, [0x44, ...ipv4(6, tcp()).slice(1)]), key: { ethType: '0800' } },
  { name: 'IPv6 UDP', frame: eth(0x86dd, ipv6(17, udp(), { tclass: 0xab, label: 0xcdef1 })), key: { ...V6, nwProto: '11', nwTos: 'ab', ipv6Label: '000cdef1', tpSrc: '03e8', tpDst: '0035' } },
  { name: 'IPv6 TCP', frame: eth(0x86dd, ipv6(6, tcp())), key: { ...V6, nwProto: '06', ...T } },
  { name: 'IPv6 header cut short', frame: eth(0x86dd, ipv6(6, []).slice(0, 39)), key: { ethType: '86dd' } },
  { name: 'no next header', frame: eth(0x86dd, ipv6(59, [])), key: { ...V6, nwProto: '3b', ipv6Exthdrs: '0001' } },
  { name: 'hop-by-hop, routing, TCP', frame: eth(0x86dd, ipv6(0, [...opts(43), ...opts(6), ...tcp()])), key: { ...V6, nwProto: '06', ...T, ipv6Exthdrs: '0060' } },
  { name: 'authentication header', frame: eth(0x86dd, ipv6(51, [6, 1, ...Array<number>(10).fill(0), ...tcp()])), key: { ...V6, nwProto: '06', ...T, ipv6Exthdrs: '0004' } },
  { name: 'hop-by-hop in the wrong place', frame: eth(0x86dd, ipv6(60, [...opts(0), ...opts(17), ...udp()])), key: { ...V6, nwProto: '11', tpSrc: '03e8', tpDst: '0035', ipv6Exthdrs: '0108' } },
  { name: 'routing twice', frame: eth(0x86dd, ipv6(43, [...opts(43), ...opts(59)])), key: { ...V6, nwProto: '3b', ipv6Exthdrs: '01a1' } },
  { name: 'extension header cut short', frame: eth(0x86dd, ipv6(60, [6])), key: { ...V6, nwProto: '3b', ipv6Exthdrs: '0008' } },
  { name: 'extension header longer than the packet', frame: eth(0x86dd, ipv6(60, [6, 9, ...tcp()])), key: { ...V6, nwProto: '3b', ipv6Exthdrs: '0008' } },
  { name: 'IPv6 first fragment', frame: eth(0x86dd, ipv6(44, [...frag6(17, 1), ...udp()])), key: { ...V6, nwProto: '11', nwFrag: '01', tpSrc: '03e8', tpDst: '0035', ipv6Exthdrs: '0010' } },
  { name: 'IPv6 later fragment', frame: eth(0x86dd, ipv6(44, [...frag6(17, 0x11), ...udp()])), key: { ...V6, nwProto: '2c', nwFrag: '02', ipv6Exthdrs: '0010' } },
  { name: 'later fragment that begins with options', frame: eth(0x86dd, ipv6(44, [...frag6(60, 0x11), ...opts(17)])), key: { ...V6, nwProto: '3b', nwFrag: '01', ipv6Exthdrs: '0118' } },
  { name: 'fragment header cut short', frame: eth(0x86dd, ipv6(44, [17, 0])), key: { ...V6, nwProto: '3b', nwFrag: '01', ipv6Exthdrs: '0010' } },
  { name: 'ICMPv6 echo', frame: eth(0x86dd, icmpv6([128, 0, 0, 0, 0, 0, 0, 0])), key: { ...V6, nwProto: '3a', tpSrc: '0080' } },
  { name: 'neighbour solicitation', frame: eth(0x86dd, icmpv6(ns(ndOption(1, '0200aabbccdd')))), key: { ...V6, nwProto: '3a', tpSrc: '0087', ndTarget: 'fe800000000000000000000000000009', arpSha: '0200aabbccdd' } },
  { name: 'both link-layer options', frame: eth(0x86dd, icmpv6(ns(ndOption(2, '0200aabbcc02'), ndOption(1, '0200aabbcc01')))), key: { ...V6, nwProto: '3a', tpSrc: '0087', ndTarget: 'fe800000000000000000000000000009', arpSha: '0200aabbcc01', arpTha: '0200aabbcc02' } },
  { name: 'the same option twice', frame: eth(0x86dd, icmpv6(ns(ndOption(1, '0200aabbccdd'), ndOption(1, '0200aabbccdd')))), key: { ...V6, nwProto: '3a', tpSrc: '0087' } },
  { name: 'option of size 0', frame: eth(0x86dd, icmpv6(ns([1, 0, 1, 2, 3, 4, 5, 6]))), key: { ...V6, nwProto: '3a', tpSrc: '0087', ndTarget: 'fe800000000000000000000000000009' } },
  { name: 'solicitation cut short', frame: eth(0x86dd, icmpv6(ns().slice(0, 20))), key: { ...V6, nwProto: '3a', tpSrc: '0087' } },
  { name: 'solicitation with a code', frame: eth(0x86dd, icmpv6([135, 1, ...ns().slice(2)])), key: { ...V6, nwProto: '3a', tpSrc: '0087', tpDst: '0001' } },
  { name: 'MPLS, one label', frame: eth(0x8847, bytes('00001140 45')), key: { ethType: '8847', mplsLse0: '00001140', mplsLabels: '01' } },
  { name: 'MPLS, four labels', frame: eth(0x8848, bytes('00001040 00002040 00003040 00004140')), key: { ethType: '8848', mplsLse0: '00001040', mplsLse1: '00002040', mplsLse2: '00003040', mplsLabels: '07' } },
  { name: 'MPLS, three labels, two of them 0', frame: eth(0x8848, bytes('00000000 00000000 00004140')), key: { ethType: '8848', mplsLse2: '00004140', mplsLabels: '07' } },
  { name: 'MPLS cut short', frame: eth(0x8847, bytes('00001040 0000')), key: { ethType: '8847', mplsLse0: '00001040' } },
  { name: 'NSH type 1', frame: eth(0x894f, nsh(1, 6)), key: { ethType: '894f', nshTtl: '3f', nshMdtype: '01', nshNp: '03', nshPathHdr: '00001234', nshC1: '11111111', nshC2: '11111111', nshC3: '11111111', nshC4: '11111111' } },
  { name: 'NSH type 2', frame: eth(0x894f, nsh(2, 3)), key: { ethType: '894f', nshTtl: '3f', nshMdtype: '02', nshNp: '03', nshPathHdr: '00001234' } },
];

describe('extractHeaders', () => {
  test.each(CASES)('$name', ({ frame, gso, key }) => {
    expect(fieldsOf(extract(frame, gso))).toEqual(key);
  });

  test('802.2 is the constant of fields.ts', () => {
    expect(getField(extract(eth(38, bytes('424203'))), FIELD.ethType)).toBe(ETH_TYPE_802_2);
  });

  test.each([
    ['a frame without whole Ethernet header', bytes('02 00 00')],
    ['NSH version 1', eth(0x894f, [0x4f, ...nsh(1, 6).slice(1)])],
    ['NSH longer than the packet', eth(0x894f, nsh(1, 6).slice(0, 20))],
    ['NSH type 1 of the wrong size', eth(0x894f, nsh(1, 3))],
  ])('refuses %s', (_, frame) => {
    expect(extractHeaders(packetOf(newArena(1), frame), newFlowKey())).toBe(false);
  });

  test('a packet without Ethernet header', () => {
    const pkt = packetOf(newArena(1), ipv4(17, udp()));
    pkt.packetType = 0x0800;
    const key = newFlowKey();
    expect(extractHeaders(pkt, key)).toBe(true);
    expect(fieldsOf(key)).toEqual({ ...V4, packetType: '0800', nwProto: '11', tpSrc: '03e8', tpDst: '0035' });
    expect([pkt.l3, pkt.l4]).toEqual([0, 20]);
  });

  test('notes where the headers are', () => {
    const pkt = packetOf(newArena(1), eth(0x0800, ipv4(6, tcp(), { options: [0, 0, 0, 0] }), [[0x8100, 1]]));
    extractHeaders(pkt, newFlowKey());
    expect([pkt.l3, pkt.l4]).toEqual([18, 42]);
  });

  test('leaves nothing of the packet before', () => {
    // Every case after every other, in one key, gives the same as in a fresh one.
    const arena = newArena(1);
    const pkt = packetOf(arena, []);
    const key = newFlowKey();
    for (const before of CASES) {
      for (const { frame, gso } of CASES) {
        for (const [f, g] of [
          [before.frame, before.gso],
          [frame, gso],
        ] as const) {
          pkt.reset(pkt.slot);
          arena.bytes.set(f, pkt.start);
          pkt.end = pkt.start + f.length;
          pkt.gsoType = g ?? 0;
          extractMetadata(pkt, key);
          extractHeaders(pkt, key);
        }
        if (!key.every((w, i) => w === extractWords(frame, gso)[i]))
          expect(fieldsOf(key)).toEqual(fieldsOf(extract(frame, gso)));
      }
    }
  });

  test('clears conntrack and tunnel words of the packet before', () => {
    const key = newFlowKey();
    for (const f of [FIELD.ctState, FIELD.ctMark, FIELD.tunPresent, FIELD.tunOptsSize]) {
      key.fill(-1, FIELD.ctState.word);
      for (const g of [FIELD.ctState, FIELD.ctMark, FIELD.ctNwProto, FIELD.tunPresent]) if (g !== f) key[g.word] = 0;
      const pkt = packetOf(newArena(1), eth(0x1234, []));
      extractMetadata(pkt, key);
      extractHeaders(pkt, key);
      expect(fieldsOf(key)).toEqual({ ethType: '1234' });
    }
  });

  test('random bytes: never throws, reads nothing behind the end', () => {
    const arena = newArena(2);
    const pkt = packetOf(arena, []);
    const [a, b] = [newFlowKey(), newFlowKey()];
    const start = fc.constantFrom(...CASES.map((c) => c.frame));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 80 }), fc.nat(90), fc.nat(90), (frame, noise, from, size) => {
        const all = [...frame];
        for (let i = 0; i < noise.length && from + i < all.length; i++) all[from + i]! ^= noise[i]! & noise[i >> 1]!;
        const cut = Math.min(size, all.length);
        for (const [key, fill] of [
          [a, 0],
          [b, 0xff],
        ] as const) {
          arena.bytes.fill(fill, pkt.start - 8, pkt.start + 300);
          arena.bytes.set(all.slice(0, cut), pkt.start);
          pkt.end = pkt.start + cut;
          extractMetadata(pkt, key);
          if (!extractHeaders(pkt, key)) key.fill(0);
        }
        expect(a).toEqual(b);
      }),
      { numRuns: 3000 },
    );
  });
});

const words = new Map<readonly number[], FlowKey>();
function extractWords(frame: readonly number[], gso?: number): FlowKey {
  let key = words.get(frame);
  if (key === undefined) {
    key = extract(frame, gso);
    words.set(frame, key);
  }
  return key;
}

describe('hashFlow', () => {
  const hash = (frame: number[]) => hashFlow(extract(frame));
  test('is the same both ways', () => {
    const there = { srcPort: 1, dstPort: 2 };
    const back = { srcPort: 2, dstPort: 1 };
    const turned = { src: '10.0.0.2', dst: '10.0.0.1' };
    const turned6 = { src: 'fe80::2', dst: 'fe80::1' };
    expect(hash(eth(0x0800, ipv4With(6, there)))).toBe(hash(eth(0x0800, ipv4With(6, back, turned))));
    expect(hash(eth(0x86dd, ipv6With(17, there)))).toBe(hash(eth(0x86dd, ipv6With(17, back, turned6))));
  });
  test('spreads ports and addresses over the mask cache', () => {
    const seen = new Set<number>();
    for (let i = 0; i < 256; i++) seen.add(hash(eth(0x0800, ipv4With(17, { srcPort: 5000 + i }))) & 255);
    // 256 balls in 256 bins fill 162 of them on average.
    expect(seen.size).toBeGreaterThan(130);
  });
  test('is never 0', () => {
    expect(hash(eth(0, []))).not.toBe(0);
  });
});

const GOLDEN = new URL('../../../shared/golden/upcalls.jsonl.gz', import.meta.url).pathname;
describe('upcalls of the real module', () => {
  if (!existsSync(GOLDEN)) console.log(`skipped: no recordings of the real module at ${GOLDEN}`);
  test.skipIf(!existsSync(GOLDEN))('extraction of PACKET gives KEY', () => {
    const lines = gunzipSync(readFileSync(GOLDEN)).toString().trim().split('\n');
    let n = 0;
    for (const line of lines) {
      const record = JSON.parse(line) as { direction: string; family: string; cmd: string; hex: string };
      if (record.family !== 'ovs_packet') continue;
      const raw = Uint8Array.from(Buffer.from(record.hex, 'hex'));
      const msg = new MessageView();
      expect(msg.set(new DataView(raw.buffer), 0, raw.length)).toBe(true);
      const sent = newFlowKey();
      let frame: Uint8Array | undefined;
      const it = new AttrCursor(msg.dv, msg.ovsAttrs, msg.end, 'packet');
      while (it.next()) {
        if (it.type === 2) loadKey(msg.dv, it.at, it.size, sent, false);
        if (it.type === 1) frame = raw.subarray(it.at, it.at + it.size);
      }
      const pkt = packetOf(newArena(1), frame!);
      const key = newFlowKey();
      // Metadata comes from elsewhere than the packet.
      for (let i = 0; i < FIELD.ethDst.word; i++) key[i] = sent[i]!;
      for (let i = FIELD.ctState.word; i < FIELD.mplsLse0.word; i++) key[i] = sent[i]!;
      for (let i = FIELD.tunId.word; i < key.length; i++) key[i] = sent[i]!;
      expect(extractHeaders(pkt, key)).toBe(true);
      if (getField(sent, FIELD.ethType) === 0) sent[FIELD.ethType.word] = ETH_TYPE_802_2 << 16;
      // The key of an execution leaves out what its sender did not care for.
      if (record.direction === 'upcall') {
        n++;
        expect(fieldsOf(key), record.hex).toEqual(fieldsOf(sent));
      }
    }
    expect(n).toBeGreaterThan(40);
  });
});

/** Reads a KEY nest without a mask: fixed-size attributes, VLAN tags and labels. */
function loadKey(dv: DataView, at: number, size: number, key: FlowKey, isInner: boolean): void {
  const it = new AttrCursor(dv, at, at + size, 'key');
  const types: number[] = [];
  while (it.next()) {
    types.push(it.type);
    if (it.type === OVS_KEY_ATTR.ENCAP) {
      // Inside stands the next tag, or what the frame really is.
      const isTag = types.includes(OVS_KEY_ATTR.VLAN);
      if (isTag) loadKey(dv, it.at, it.size, key, true);
    } else if (it.type === OVS_KEY_ATTR.VLAN) {
      key[(isInner ? FIELD.cvlanTci : FIELD.vlanTci).word]! |= dv.getUint16(it.at);
    } else if (it.type === OVS_KEY_ATTR.ETHERTYPE) {
      const type = dv.getUint16(it.at);
      // The tag's TPID stands where the ethertype does when a VLAN attribute follows.
      const hasTag = dv.getUint16(it.at + 6, true) === OVS_KEY_ATTR.VLAN && it.at + 4 < at + size;
      if (hasTag) key[(isInner ? FIELD.cvlanTpid : FIELD.vlanTpid).word]! |= type << 16;
      else key[FIELD.ethType.word] = type << 16;
    } else if (it.type === OVS_KEY_ATTR.MPLS) {
      for (let i = 0; i < it.size / 4; i++) key[FIELD.mplsLse0.word + i] = dv.getInt32(it.at + 4 * i);
      setField(key, FIELD.mplsLabels, (1 << (it.size / 4)) - 1);
    } else {
      const row = KEY_ROWS[it.type];
      if (row !== undefined && row.members.length > 0) loadKeyAttr(row, dv, it.at, key);
    }
  }
}
