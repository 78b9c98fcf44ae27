/** Super-packets cut up and put together again; partial checksums completed; what ports and upcalls get of them. */

import { describe, expect, test } from 'vitest';
import { DROP } from '../../src/datapath/drop-reasons.ts';
import type { Offloads } from '../../src/datapath/ports/port-memory.ts';
import { completeChecksum, Segmenter } from '../../src/datapath/ports/segment.ts';
import { FIELD, OVS_FRAG_TYPE } from '../../src/flow/fields.ts';
import { getField } from '../../src/flow/flow-key.ts';
import type { Packet } from '../../src/packet/packet.ts';
import { VNET_F, VNET_GSO } from '../../src/packet/packet.ts';
import { output, trunc, userspace } from '../support/action-bytes.ts';
import {
  checksumsAreRight,
  eth,
  ip4,
  ip6,
  ipv4,
  ipv4With,
  ipv6,
  ipv6With,
  sum16,
  tcp,
  udp,
} from '../support/frames.ts';
import { Lab, takeSent } from '../support/lab.ts';
import { bytesOf, newArena, packetOf } from '../support/packets.ts';
import { fc } from '../support/property.ts';

const noise = (n: number) => Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8)) & 255);
const u16 = (f: readonly number[], at: number) => (f[at]! << 8) | f[at + 1]!;
const u32 = (f: readonly number[], at: number) => (u16(f, at) << 16) | u16(f, at + 2);

/** A frame with a partial checksum: the pseudo header's sum stands in the place of it. */
function partial(
  version: 4 | 6,
  proto: 6 | 17,
  size: number,
  gsoType: number,
  gsoSize: number,
  tags = 0,
  options: readonly number[] = [],
) {
  const t = { payload: noise(size), flags: 0x98 | 0x01, seq: 0xfffffff0, options };
  const segment = proto === 6 ? tcp(t) : udp(t);
  const addrs = version === 4 ? [...ip4('10.0.0.1'), ...ip4('10.0.0.2')] : [...ip6('fe80::1'), ...ip6('fe80::2')];
  const sum = sum16([...addrs, 0, proto, segment.length >> 8, segment.length & 255]);
  const at = proto === 6 ? 16 : 6;
  segment[at] = sum >> 8;
  segment[at + 1] = sum & 255;
  const l3 = 14 + 4 * tags;
  const vlan = Array.from({ length: tags }, (_, i) => [0x8100, 5 + i] as const);
  const frame =
    version === 4 ? eth(0x0800, ipv4(proto, segment, { id: 0xfffe }), vlan) : eth(0x86dd, ipv6(proto, segment), vlan);
  const l4 = l3 + (version === 4 ? 20 : 40);
  const hdrLen = l4 + (proto === 6 ? 20 + options.length : 8);
  const offloads: Offloads = { vnetFlags: VNET_F.NEEDS_CSUM, gsoType, gsoSize, hdrLen, csumStart: l4, csumOffset: at };
  return { frame, offloads, l3, l4, hdrLen, payload: t.payload };
}

function cut({ frame, offloads }: { frame: number[]; offloads: Offloads }): number[][] {
  const arena = newArena(2);
  const pkt = Object.assign(packetOf(arena, frame), offloads);
  const out = packetOf(arena, []);
  const segmenter = new Segmenter();
  const n = segmenter.begin(pkt);
  const all: number[][] = [];
  for (let i = 0; i < n; i++) {
    out.reset(out.slot);
    segmenter.write(i, out);
    expect([out.vnetFlags, out.gsoType]).toEqual([0, 0]);
    all.push(bytesOf(out));
  }
  expect(bytesOf(pkt)).toEqual(frame);
  return all;
}

describe('Segmenter', () => {
  const size = fc.integer({ min: 0, max: 9000 });
  const mss = fc.integer({ min: 8, max: 1460 });
  const version = fc.constantFrom(4, 6) as fc.Arbitrary<4 | 6>;

  test('TCP segments put together are what came', () => {
    fc.assert(
      fc.property(version, size, mss, fc.nat(2), fc.constantFrom([], [1, 1, 1, 1]), (v, n, m, tags, options) => {
        const whole = partial(v, 6, n, (v === 4 ? VNET_GSO.TCPV4 : VNET_GSO.TCPV6) | VNET_GSO.ECN, m, tags, options);
        const segments = cut(whole);
        expect(segments.length).toBe(Math.max(1, Math.ceil(n / m)));
        expect(segments.flatMap((s) => s.slice(whole.hdrLen))).toEqual(whole.payload);
        segments.forEach((s, i) => {
          const isLast = i === segments.length - 1;
          expect(checksumsAreRight(s, whole.l3)).toBe(true);
          expect(s.slice(0, whole.l3)).toEqual(whole.frame.slice(0, whole.l3));
          if (!isLast) expect(s.length).toBe(whole.hdrLen + m);
          expect(u32(s, whole.l4 + 4)).toBe((0xfffffff0 + i * m) | 0);
          // FIN and PSH belong to the last segment, CWR to the first.
          expect(s[whole.l4 + 13]).toBe(0x10 | (isLast ? 0x09 : 0) | (i === 0 ? 0x80 : 0));
          if (v === 4)
            expect([u16(s, whole.l3 + 2), u16(s, whole.l3 + 4)]).toEqual([s.length - whole.l3, (0xfffe + i) & 0xffff]);
          else expect(u16(s, whole.l3 + 4)).toBe(s.length - whole.l4);
        });
      }),
      { numRuns: 60 },
    );
  });

  test('UDP segments are datagrams of their own', () => {
    fc.assert(
      fc.property(version, size, mss, (v, n, m) => {
        const whole = partial(v, 17, n, VNET_GSO.UDP_L4, m);
        const segments = cut(whole);
        expect(segments.flatMap((s) => s.slice(whole.hdrLen))).toEqual(whole.payload);
        for (const s of segments) {
          expect(checksumsAreRight(s, whole.l3)).toBe(true);
          expect(u16(s, whole.l4 + 4)).toBe(s.length - whole.l4);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('a checksum of 0 means none to UDP alone', () => {
    const sumOf = (proto: 6 | 17, gsoType: number, port: number): number => {
      const whole = partial(4, proto, 8, gsoType, 8);
      whole.frame[whole.l4] = port >> 8;
      whole.frame[whole.l4 + 1] = port & 255;
      return u16(cut(whole)[0]!, whole.l4 + whole.offloads.csumOffset);
    };
    // With its own checksum for a source port of 0, as one's complement adds, a packet comes to 0.
    expect(sumOf(6, VNET_GSO.TCPV4, sumOf(6, VNET_GSO.TCPV4, 0))).toBe(0);
    expect(sumOf(17, VNET_GSO.UDP_L4, sumOf(17, VNET_GSO.UDP_L4, 0))).toBe(0xffff);
  });

  test('IPv4 fragments of one datagram', () => {
    const whole = partial(4, 17, 3000, VNET_GSO.UDP, 1480);
    const parts = cut(whole);
    expect(parts.map((p) => [u16(p, 20), p.length - 34])).toEqual([
      [0x2000, 1480],
      [0x2000 | 185, 1480],
      [370, 48],
    ]);
    for (const p of parts)
      expect([u16(p, 16), sum16(p.slice(14, 34)), u16(p, 18)]).toEqual([p.length - 14, 0xffff, 0xfffe]);
    const datagram = parts.flatMap((p) => p.slice(34));
    expect(datagram.length).toBe(3008);
    expect(checksumsAreRight([...eth(0x0800, ipv4(17, datagram))])).toBe(true);
  });

  test('IPv6 fragments of one datagram', () => {
    const whole = partial(6, 17, 3000, VNET_GSO.UDP, 1448);
    const parts = cut(whole);
    expect(parts.map((p) => [p[20], p[54], u16(p, 56)])).toEqual([
      [44, 17, 1],
      [44, 17, 1449],
      [44, 17, 2896],
    ]);
    expect(new Set(parts.slice(0, 2).map((p) => u32(p, 58))).size).toBe(1);
    for (const p of parts) expect(u16(p, 18)).toBe(p.length - 54);
    expect(
      checksumsAreRight(
        eth(
          0x86dd,
          ipv6(
            17,
            parts.flatMap((p) => p.slice(62)),
          ),
        ),
      ),
    ).toBe(true);
  });

  test('behind an MPLS label', () => {
    const plain = partial(4, 6, 3000, VNET_GSO.TCPV4, 1000);
    const frame = [...plain.frame.slice(0, 12), 0x88, 0x47, 0, 0, 0x11, 0x40, ...plain.frame.slice(14)];
    const offloads = { ...plain.offloads, csumStart: plain.offloads.csumStart + 4, hdrLen: plain.offloads.hdrLen + 4 };
    const segments = cut({ frame, offloads });
    expect(segments.length).toBe(3);
    for (const s of segments) expect(checksumsAreRight(s, 18)).toBe(true);
  });

  test('what makes no sense is refused, whatever the bytes are', () => {
    const arena = newArena(2);
    const pkt: Packet = packetOf(arena, []);
    const out = packetOf(arena, []);
    const whole = partial(4, 6, 100, VNET_GSO.TCPV4, 10);
    fc.assert(
      fc.property(
        fc.nat(140),
        fc.nat(140),
        fc.nat(255),
        fc.constantFrom(0, 1, 2, 3, 4, 5, 0x81),
        fc.nat(60),
        fc.nat(200),
        (length, at, value, gsoType, gsoSize, csumStart) => {
          const frame = whole.frame.slice(0, length);
          if (at < frame.length) frame[at] = value;
          pkt.reset(pkt.slot);
          arena.bytes.set(frame, pkt.start);
          pkt.end = pkt.start + frame.length;
          Object.assign(pkt, whole.offloads, { gsoType, gsoSize, csumStart });
          const segmenter = new Segmenter();
          const n = segmenter.begin(pkt);
          for (let i = 0; i < n; i++) {
            out.reset(out.slot);
            segmenter.write(i, out);
            expect(out.end - out.start).toBeLessThan(300);
          }
          completeChecksum(pkt);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('on ports', () => {
  const big = partial(4, 6, 5000, VNET_GSO.TCPV4, 1400);
  const small = partial(6, 17, 100, 0, 0);

  test('that take offloads, they go whole', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(big.frame, 1, [output(2)]);
    a.inject([big.frame], big.offloads);
    expect(b.sent).toEqual([{ bytes: Uint8Array.from(big.frame), ...big.offloads }]);
  });

  test('that do not, in segments, and both may be', () => {
    const lab = new Lab();
    const [a, b, c] = [lab.port(1), lab.port(2, { takesOffloads: false }), lab.port(3)];
    lab.flow(big.frame, 1, [output(2), output(3)]);
    lab.flow(small.frame, 1, [output(2), output(3)]);
    a.inject([big.frame], big.offloads);
    expect(c.sent.splice(0)).toEqual([{ bytes: Uint8Array.from(big.frame), ...big.offloads }]);
    const segments = takeSent(b);
    expect(segments.length).toBe(4);
    for (const s of segments) expect(checksumsAreRight(s)).toBe(true);

    a.inject([small.frame], small.offloads);
    expect(c.sent.splice(0)).toEqual([{ bytes: Uint8Array.from(small.frame), ...small.offloads }]);
    const [done] = takeSent(b);
    expect(checksumsAreRight(done!)).toBe(true);
  });

  test('nonsense is dropped', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2, { takesOffloads: false })];
    lab.flow(big.frame, 1, [output(2)]);
    a.inject([big.frame], { ...big.offloads, gsoType: 9 });
    a.inject([big.frame.slice(0, 60)], { ...small.offloads, csumStart: 70 });
    expect(takeSent(b)).toEqual([]);
    expect([lab.dp.drops[DROP.OFFLOAD], lab.dp.nHit]).toEqual([2, 2]);
  });

  test('truncated, they are finished first', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(small.frame, 1, [trunc(70), output(2), output(2)]);
    a.inject([small.frame], small.offloads);
    const [cutFrame, whole] = b.sent;
    expect([cutFrame!.bytes.length, cutFrame!.vnetFlags, whole!.vnetFlags]).toEqual([70, 0, 1]);
    expect([...whole!.bytes]).toEqual(small.frame);
    const right = eth(0x86dd, ipv6With(17, { payload: small.payload }));
    expect([...cutFrame!.bytes]).toEqual(right.slice(0, 70));
  });
});

describe('in upcalls', () => {
  test('a super-packet is told segment by segment', () => {
    const lab = new Lab();
    const big = partial(6, 6, 3000, VNET_GSO.TCPV6, 1400);
    lab.port(1).inject([big.frame], big.offloads);
    expect(lab.upcalls.length).toBe(3);
    for (const u of lab.upcalls) expect(checksumsAreRight(u.packet)).toBe(true);
    expect([lab.dp.nMissed, lab.dp.nLost]).toEqual([1, 0]);
  });

  test('later fragments have a key of their own', () => {
    const lab = new Lab();
    const big = partial(4, 17, 3000, VNET_GSO.UDP, 1480);
    lab.port(1).inject([big.frame], big.offloads);
    expect(lab.upcalls.map((u) => getField(u.key, FIELD.nwFrag))).toEqual([
      OVS_FRAG_TYPE.FIRST,
      OVS_FRAG_TYPE.LATER,
      OVS_FRAG_TYPE.LATER,
    ]);
  });

  test('a partial checksum is completed, and stays partial for the ports', () => {
    const lab = new Lab();
    const small = partial(4, 17, 50, 0, 0);
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(small.frame, 1, [userspace(5), trunc(60), userspace(6), output(2)]);
    a.inject([small.frame], small.offloads);
    expect(checksumsAreRight(lab.upcalls[0]!.packet)).toBe(true);
    expect([lab.upcalls[1]!.packet.length, lab.upcalls[1]!.fullSize]).toEqual([60, small.frame.length]);
    expect(b.sent).toEqual([{ bytes: Uint8Array.from(small.frame), ...small.offloads }]);
  });

  test('the first failure ends a super-packet, lost once', () => {
    const lab = new Lab();
    const big = partial(4, 6, 3000, VNET_GSO.TCPV4, 1000);
    lab.answer = -11;
    lab.port(1).inject([big.frame], big.offloads);
    expect([lab.dp.nLost, lab.vport(1).upcallFail]).toEqual([1, 1]);
  });

  test('a whole packet passes unchanged', () => {
    const lab = new Lab();
    const frame = eth(0x0800, ipv4With(6, {}));
    lab.port(1).inject([frame]);
    expect(lab.upcalls[0]!.packet).toEqual(frame);
  });
});
