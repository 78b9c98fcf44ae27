/** Fragments: put together before tracking, taken apart on output; bounds and lies. */

import { describe, expect, test } from 'vitest';
import { CT_STOLEN } from '../../../../src/datapath/conntrack/ct-execute.ts';
import { Refragmenter } from '../../../../src/datapath/conntrack/frag/refragment.ts';
import { FIELD } from '../../../../src/flow/fields.ts';
import { extractHeaders } from '../../../../src/flow/flow-extract.ts';
import { getField, newFlowKey } from '../../../../src/flow/flow-key.ts';
import { Packet } from '../../../../src/packet/packet.ts';
import { checksumsAreRight, eth, ipv4, ipv4With, ipv6, ipv6With, sum16 } from '../../../support/frames.ts';
import { bytesOf, newArena, packetOf } from '../../../support/packets.ts';
import { fc } from '../../../support/property.ts';
import { CtRig, ct } from '../ct-rig.ts';

const LOOK = [ct.zone(1)];
const payload = (n: number) => Array.from({ length: n }, (_, i) => (i * 7) & 255);
/** A datagram's IP payload: UDP with all checksums right. */
const udp4 = (n: number) => ipv4With(17, { payload: payload(n) }).slice(20);
const udp6 = (n: number) => ipv6With(17, { payload: payload(n) }).slice(40);

/** Fragments of `data` cut after `sizes` bytes each. */
function cut4(data: readonly number[], sizes: readonly number[], flags = 0): number[][] {
  let at = 0;
  return [...sizes, data.length].map((size) => {
    const piece = data.slice(at, at + size);
    const more = at + piece.length < data.length ? 0x2000 : 0;
    const frame = eth(0x0800, ipv4(17, piece, { id: 77, frag: (at >> 3) | more | flags }));
    at += piece.length;
    return frame;
  });
}
function cut6(data: readonly number[], sizes: readonly number[]): number[][] {
  let at = 0;
  return [...sizes, data.length].map((size) => {
    const piece = data.slice(at, at + size);
    const more = at + piece.length < data.length ? 1 : 0;
    const frame = eth(0x86dd, ipv6(44, [17, 0, at >> 8, (at & 0xf8) | more, 0, 0, 0, 9, ...piece]));
    at += piece.length;
    return frame;
  });
}

describe('putting together', () => {
  test.each([
    ['IPv4', cut4(udp4(100), [40, 40])],
    ['IPv4, the last one first', cut4(udp4(100), [40, 40]).reverse()],
    ['IPv6', cut6(udp6(100), [40, 40])],
    ['IPv6, the last one first', cut6(udp6(100), [40, 40]).reverse()],
  ])('%s', (name, frames) => {
    const rig = new CtRig();
    for (const f of frames.slice(0, -1)) expect(rig.run(f, LOOK).status).toBe(CT_STOLEN);
    const last = rig.run(frames.at(-1)!, LOOK);
    expect([last.status, last.state]).toEqual([0, 'new|trk']);
    expect(checksumsAreRight(last.frame)).toBe(true);
    expect(last.frame.length).toBe(14 + (name.startsWith('IPv4') ? 20 : 40) + 108);
    expect(getField(last.key, FIELD.nwFrag)).toBe(0);
    expect(getField(last.key, FIELD.tpDst)).toBe(53);
    expect(last.pkt.mru).toBe(name.startsWith('IPv4') ? 60 : 88);
    expect([rig.conntrack.defragmenter.waiting, rig.conntrack.defragmenter.bytes]).toEqual([0, 0]);
  });

  test('of different zones never meet', () => {
    const rig = new CtRig();
    const [first, second] = cut4(udp4(40), [24]);
    rig.run(first!, [ct.zone(1)]);
    expect(rig.run(second!, [ct.zone(2)]).status).toBe(CT_STOLEN);
    expect(rig.conntrack.defragmenter.waiting).toBe(2);
  });

  test('is given up after its time, without a trace', () => {
    const rig = new CtRig();
    rig.run(cut4(udp4(40), [24])[0]!, LOOK);
    rig.run(cut6(udp6(40), [24])[0]!, LOOK);
    rig.now += 30_001;
    rig.run(cut4(udp4(40), [24])[1]!, LOOK);
    expect(rig.conntrack.defragmenter.waiting).toBe(2);
    rig.now += 60_001;
    rig.run(cut4(udp4(40), [16])[0]!, LOOK);
    expect(rig.conntrack.defragmenter.waiting).toBe(1);
  });

  test('overlaps end it; an exact copy is ignored', () => {
    const rig = new CtRig();
    const [first, second] = cut4(udp4(100), [40]);
    rig.run(first!, LOOK);
    expect(rig.run(first!, LOOK).status, 'the same again').toBeLessThan(0);
    expect(rig.conntrack.defragmenter.waiting).toBe(1);
    const overlap = eth(0x0800, ipv4(17, payload(40), { id: 77, frag: (24 >> 3) | 0x2000 }));
    expect(rig.run(overlap, LOOK).status).toBeLessThan(0);
    expect(rig.conntrack.defragmenter.waiting).toBe(0);
    expect(rig.run(second!, LOOK).status, 'it begins anew').toBe(CT_STOLEN);
  });

  test('memory is bounded, whatever comes', () => {
    const rig = new CtRig();
    const piece = payload(1400);
    for (let id = 0; id < 6000; id++) rig.run(eth(0x0800, ipv4(17, piece, { id, frag: 0x2000 })), LOOK);
    expect(rig.conntrack.defragmenter.bytes).toBeLessThan((4 << 20) + 4096);
    rig.now += 31_000;
    rig.run(eth(0x0800, ipv4(17, piece, { id: 9, frag: 0x2000 })), LOOK);
    expect(rig.conntrack.defragmenter.waiting).toBe(1);
  });
});

test('taken apart and put together again, it is the same', () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.integer({ min: 8, max: 6000 }),
      fc.integer({ min: 300, max: 1500 }),
      (isV6, size, mru) => {
        const arena = newArena(80);
        const whole = isV6 ? eth(0x86dd, ipv6(17, udp6(size))) : eth(0x0800, ipv4(17, udp4(size)));
        const pkt = packetOf(arena, whole);
        pkt.mru = isV6 ? Math.max(mru, 1280) : mru;
        extractHeaders(pkt, newFlowKey());
        if (whole.length - 14 <= pkt.mru) return true;
        const refragmenter = new Refragmenter(() => 0.5);
        const n = refragmenter.begin(pkt);
        const rig = new CtRig();
        for (let i = 0; i < n; i++) {
          const out = new Packet(arena);
          out.reset(arena.take());
          refragmenter.write(i, out, n);
          if (out.end - out.start - 14 > pkt.mru) return false;
          const { status, frame } = rig.run(bytesOf(out), LOOK);
          if (i < n - 1 ? status !== CT_STOLEN : status !== 0) return false;
          if (i === n - 1) return frame.join() === whole.join();
        }
        return false;
      },
    ),
    { numRuns: 100 },
  );
});

test('taken apart, each goes where the whole was to go', () => {
  const arena = newArena();
  const pkt = packetOf(arena, eth(0x0800, ipv4(17, udp4(2000), { id: 77 })));
  extractHeaders(pkt, newFlowKey());
  const tunnel = new Int32Array(4);
  Object.assign(pkt, { mru: 1400, inPort: 3, skbPriority: 4, skbMark: 5, hash: 6, txTunnel: tunnel });
  const refragmenter = new Refragmenter(() => 0.5);
  const out = new Packet(arena);
  const n = refragmenter.begin(pkt);
  expect(n).toBe(2);
  for (let i = 0; i < n; i++) {
    out.reset(arena.take());
    refragmenter.write(i, out, n);
    expect(out).toMatchObject({ inPort: 3, skbPriority: 4, skbMark: 5, hash: 6, nfct: 0 });
    expect(out.txTunnel).toBe(tunnel);
  }
});

describe('as the kernel does, for each version of IP', () => {
  const WAITS = [CT_STOLEN];
  const statuses = (frames: number[][]) => {
    const rig = new CtRig();
    return [frames.map((f) => rig.run(f, LOOK).status), rig.conntrack.defragmenter.waiting];
  };
  const EINVAL = -22;

  test('a first fragment of IPv6 without its whole transport header goes on as it is', () => {
    const short = eth(0x86dd, ipv6(44, [6, 0, 0, 1, 0, 0, 0, 9, ...payload(8)]));
    const rig = new CtRig();
    const r = rig.run(short, LOOK);
    expect([r.status, r.state, r.frame.length]).toEqual([0, 'inv|trk', short.length]);
    expect(getField(r.key, FIELD.nwFrag)).toBe(0);
    expect(rig.conntrack.defragmenter.waiting).toBe(0);
    // Of UDP the header is whole.
    expect(rig.run(eth(0x86dd, ipv6(44, [17, 0, 0, 1, 0, 0, 0, 9, ...payload(8)])), LOOK).status).toBe(CT_STOLEN);
  });

  test('bytes beyond a multiple of 8 are cut off, or end the datagram and go on', () => {
    const v4 = [
      eth(0x0800, ipv4(17, payload(19), { id: 7, frag: 0x2000 })),
      eth(0x0800, ipv4(17, payload(5), { id: 7, frag: 2 })),
    ];
    expect(statuses(v4)).toEqual([[CT_STOLEN, 0], 0]);
    expect(statuses([eth(0x86dd, ipv6(44, [17, 0, 0, 1, 0, 0, 0, 9, ...payload(19)]))])).toEqual([[0], 0]);
  });

  test('a fragment beyond the end ends an IPv4 datagram; an IPv6 one waits on', () => {
    const [, last4, first4] = [0, ...cut4(udp4(24), [16]).reverse()];
    const late4 = eth(0x0800, ipv4(17, payload(16), { id: 77, frag: 0x2008 }));
    expect(statuses([last4!, late4, first4!] as number[][])).toEqual([[...WAITS, EINVAL, ...WAITS], 1]);
    const [first6, last6] = cut6(udp6(24), [16]);
    const late6 = eth(0x86dd, ipv6(44, [17, 0, 0, 0x41, 0, 0, 0, 9, ...payload(16)]));
    expect(statuses([last6!, late6, first6!])).toEqual([[...WAITS, EINVAL, 0], 0]);
  });

  test('a duplicate is dropped with an error, or silently; so is what runs of fragments contain', () => {
    const [a4, b4, c4] = cut4(udp4(40), [16, 16]);
    const inside4 = eth(0x0800, ipv4(17, payload(16), { id: 77, frag: 0x2001 }));
    expect(statuses([a4!, b4!, b4!, inside4, c4!])).toEqual([[...WAITS, ...WAITS, EINVAL, EINVAL, 0], 0]);
    const [a6, b6, c6] = cut6(udp6(40), [16, 16]);
    expect(statuses([a6!, b6!, b6!, c6!])).toEqual([[...WAITS, ...WAITS, ...WAITS, 0], 0]);
    // Of fragments that did not come in order, each stands for itself.
    expect(statuses([b4!, a4!, inside4])).toEqual([[...WAITS, ...WAITS, EINVAL], 0]);
  });

  test('congestion met by one fragment was met by the datagram; fragments that know of it do not mix with others', () => {
    const marked = (frames: number[][], ecn: number[]) => frames.map((f, i) => withTos4(f, ecn[i]!));
    const rig = new CtRig();
    const [a, b] = marked(cut4(udp4(24), [16]), [2, 3]);
    rig.run(a!, LOOK);
    const whole = rig.run(b!, LOOK);
    expect([whole.status, whole.frame[15]]).toEqual([0, 3]);
    expect(statuses(marked(cut4(udp4(24), [16]), [0, 3]))).toEqual([[...WAITS, EINVAL], 0]);
  });
});

/** The frame with another TOS byte. */
function withTos4(frame: number[], tos: number): number[] {
  const changed = [...frame];
  changed[15] = tos;
  changed[24] = changed[25] = 0;
  const check = ~sum16(changed.slice(14, 34)) & 0xffff;
  [changed[24], changed[25]] = [check >> 8, check & 255];
  return changed;
}

test('broken fragments cannot fill the memory either: each of them leaves a datagram to wait for', () => {
  const rig = new CtRig();
  const { defragmenter } = rig.conntrack;
  // It ends beyond 65,535 bytes, so that nothing of it is kept.  4 MiB hold 16,384 of 256 bytes.
  for (let id = 0; id < 20_000; id++) {
    const src = `10.0.${id >> 15}.1`;
    rig.run(eth(0x0800, ipv4(17, payload(8), { id: id & 0x7fff, frag: 0x3fff, src })), LOOK);
  }
  expect(defragmenter.waiting).toBeLessThanOrEqual(16_384);
  rig.now += 31_000;
  rig.run(eth(0x0800, ipv4(17, payload(8), { id: 1, frag: 0x3fff })), LOOK);
  expect(defragmenter.waiting).toBe(1);
});

test('datagrams that wait already do not grow once the memory is full', () => {
  const rig = new CtRig();
  const { defragmenter } = rig.conntrack;
  // Many small pieces of few datagrams: most of what they take is overhead.
  for (let i = 0; i < 20_000; i++) {
    rig.run(eth(0x0800, ipv4(17, payload(8), { id: i % 10, frag: (2 * Math.floor(i / 10)) | 0x2000 })), LOOK);
  }
  expect(defragmenter.bytes).toBeLessThan((4 << 20) + 4096);
});
