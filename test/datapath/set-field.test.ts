/** Setting any field of any packet: bytes as the mask says, checksums as if they were computed anew. */

import { describe, expect, test } from 'vitest';
import { SET_OP } from '../../src/datapath/actions/action-program.ts';
import * as fields from '../../src/datapath/actions/set-field.ts';
import { DEFAULT_KERNEL, USERSPACE_DATAPATH } from '../../src/datapath/kernel-compat.ts';
import { extractHeaders } from '../../src/flow/flow-extract.ts';
import { newFlowKey } from '../../src/flow/flow-key.ts';
import { OVS_KEY_ATTR as K } from '../../src/odp/key/key-table.ts';
import { sctpChecksum } from '../../src/packet/checksum.ts';
import { VNET_F } from '../../src/packet/packet.ts';
import { be16, be32, setMasked } from '../support/action-bytes.ts';
import { compileList } from '../support/compile.ts';
import {
  checksumsAreRight,
  eth,
  icmpv6,
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
import { bytesOf, newArena, packetOf } from '../support/packets.ts';
import { fc } from '../support/property.ts';

const arena = newArena(2);
const byte = fc.nat(255);
const payload = fc.array(byte, { maxLength: 30 });
const some = (n: number) => fc.array(byte, { minLength: n, maxLength: n });

/** Runs one SET_MASKED on a frame; expects the key to follow; returns the frame. */
function change(
  frame: readonly number[],
  type: number,
  value: readonly number[],
  mask: readonly number[],
  offloads = {},
  kernel = DEFAULT_KERNEL,
): number[] {
  const pkt = packetOf(arena, frame);
  Object.assign(pkt, offloads);
  const key = newFlowKey();
  extractHeaders(pkt, key);
  const masked = value.map((v, i) => v & mask[i]!);
  const { code } = compileList(setMasked(type, masked, mask), key, { kernel });
  const run = {
    [SET_OP.ETHERNET]: fields.setEthernet,
    [SET_OP.IPV4]: fields.setIpv4,
    [SET_OP.IPV6]: fields.setIpv6,
    [SET_OP.TCP]: fields.setTcp,
    [SET_OP.UDP]: fields.setUdp,
    [SET_OP.SCTP]: (...args: Parameters<typeof fields.setTcp>) => fields.setSctp(...args, pkt.end),
    [SET_OP.SCTP_UNPADDED]: (...args: Parameters<typeof fields.setTcp>) => fields.setSctp(...args, fields.endOfIp(pkt)),
    [SET_OP.MPLS]: fields.setMpls,
  }[code[0]!]!;
  expect(run(pkt, key, code, 2)).toBe(true);
  const again = newFlowKey();
  extractHeaders(pkt, again);
  expect(key).toEqual(again);
  arena.give(pkt.slot);
  return bytesOf(pkt);
}

const mix = (old: readonly number[], value: readonly number[], mask: readonly number[]) =>
  old.map((o, i) => (o & ~mask[i]!) | (value[i]! & mask[i]!));
const L3 = 14;

describe('checksums are right after', () => {
  const proto = fc.constantFrom(6, 17) as fc.Arbitrary<6 | 17>;

  test('IPv4 addresses, TOS and TTL', () => {
    fc.assert(
      fc.property(proto, payload, some(12), some(12), (p, data, value, mask) => {
        mask[8] = mask[11] = 0;
        const frame = eth(0x0800, ipv4With(p, { payload: data }));
        const got = change(frame, K.IPV4, value, mask);
        expect(checksumsAreRight(got)).toBe(true);
        expect(got.slice(L3 + 12, L3 + 20)).toEqual(mix(frame.slice(L3 + 12, L3 + 20), value, mask));
        expect([got[L3 + 1], got[L3 + 8]]).toEqual(
          mix([frame[L3 + 1]!, frame[L3 + 8]!], value.slice(9), mask.slice(9)),
        );
      }),
    );
  });

  test('IPv6 addresses, label, class and hop limit', () => {
    const frames = fc.oneof(
      fc
        .tuple(proto, payload)
        .map(([p, data]) => eth(0x86dd, ipv6With(p, { payload: data }, { tclass: 0x5a, label: 0x12345 }))),
      payload.map((data) => eth(0x86dd, icmpv6([128, 0, 0, 0, 0, 0, 0, 0, ...data]))),
    );
    fc.assert(
      fc.property(frames, some(40), some(40), (frame, value, mask) => {
        mask[36] = mask[39] = mask[32] = 0;
        mask[33]! &= 0x0f;
        value[32] = 0;
        value[33]! &= 0x0f;
        const got = change(frame, K.IPV6, value, mask);
        expect(checksumsAreRight(got)).toBe(true);
        expect(got.slice(L3 + 8, L3 + 40)).toEqual(mix(frame.slice(L3 + 8, L3 + 40), value, mask));
        const flow = ((got[L3]! << 24) | (got[L3 + 1]! << 16) | (got[L3 + 2]! << 8) | got[L3 + 3]!) >>> 0;
        const old = ((frame[L3]! << 24) | (frame[L3 + 1]! << 16) | (frame[L3 + 2]! << 8) | frame[L3 + 3]!) >>> 0;
        expect(flow >>> 28).toBe(6);
        const bytesOf4 = (v: number) => [0, (v >> 16) & 15, (v >> 8) & 255, v & 255];
        expect(bytesOf4(flow)).toEqual(mix(bytesOf4(old), value.slice(32, 36), mask.slice(32, 36)));
        expect((flow >>> 20) & 255).toBe(mix([(old >>> 20) & 255], [value[37]!], [mask[37]!])[0]);
        expect(got[L3 + 7]).toBe(mix([frame[L3 + 7]!], [value[38]!], [mask[38]!])[0]);
      }),
    );
  });

  test('TCP and UDP ports', () => {
    fc.assert(
      fc.property(proto, payload, some(4), some(4), fc.boolean(), (p, data, value, mask, isSix) => {
        const frame = isSix ? eth(0x86dd, ipv6With(p, { payload: data })) : eth(0x0800, ipv4With(p, { payload: data }));
        const l4 = isSix ? 54 : 34;
        const got = change(frame, p === 6 ? K.TCP : K.UDP, value, mask);
        expect(checksumsAreRight(got)).toBe(true);
        expect(got.slice(l4, l4 + 4)).toEqual(mix(frame.slice(l4, l4 + 4), value, mask));
      }),
    );
  });

  test('SCTP ports; and a wrong checksum stays wrong by as much', () => {
    fc.assert(
      fc.property(payload, some(4), some(4), some(4), (data, value, mask, error) => {
        const frame = eth(0x0800, ipv4(132, [0, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, ...data]));
        const withSum = (f: number[], xor: number[]) => {
          const view = new DataView(Uint8Array.from(f).buffer);
          const crc = sctpChecksum(view, 34, f.length - 34);
          return f.map((b, i) => (i >= 42 && i < 46 ? ((crc >>> (8 * (i - 42))) & 255) ^ xor[i - 42]! : b));
        };
        const got = change(withSum(frame, error), K.SCTP, value, mask);
        expect(got).toEqual(withSum(got, error));
        expect(got.slice(34, 38)).toEqual(mix([0, 1, 0, 2], value, mask));
      }),
    );
  });

  // Kernels take the padding of a short frame for data: what was right is wrong behind a `set`.
  test.each<[string, number, boolean]>([
    ['as the module has it', DEFAULT_KERNEL, false],
    ['as the datapath in userspace', USERSPACE_DATAPATH, true],
  ])('SCTP ports of a padded frame, %s', (_name, kernel, isRight) => {
    const sctp = [0, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0];
    const crcOf = (data: readonly number[]) => sctpChecksum(new DataView(Uint8Array.from(data).buffer), 0, data.length);
    const bytes = (crc: number) => [0, 8, 16, 24].map((shift) => (crc >>> shift) & 255);
    const frame = eth(0x0800, ipv4(132, [...sctp.slice(0, 8), ...bytes(crcOf(sctp))]));
    const got = change(
      [...frame, ...Array<number>(14).fill(0)],
      K.SCTP,
      [0, 7, 0, 8],
      [255, 255, 255, 255],
      {},
      kernel,
    );
    const want = [0, 7, 0, 8, ...sctp.slice(4)];
    expect(got.slice(34, 38)).toEqual(want.slice(0, 4));
    const check = got.slice(42, 46);
    if (isRight) expect(check).toEqual(bytes(crcOf(want)));
    else expect(check).not.toEqual(bytes(crcOf(want)));
  });

  test('Ethernet addresses, in the order of the attribute', () => {
    const frame = eth(0x0800, ipv4With(6));
    const got = change(
      frame,
      K.ETHERNET,
      [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16],
      [255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 255],
    );
    expect(got.slice(0, 12)).toEqual([...frame.slice(0, 5), 16, 1, 2, 3, 4, 5, 6]);
  });
});

describe('special cases', () => {
  const ones = (n: number) => Array<number>(n).fill(255);
  const toAddress = (frame: readonly number[], offloads = {}) =>
    change(
      frame,
      K.IPV4,
      [...ip4('192.0.2.1'), ...Array<number>(8).fill(0)],
      [...ones(4), ...Array<number>(8).fill(0)],
      offloads,
    );

  test('a UDP checksum of 0 means none, and stays', () => {
    const frame = eth(0x0800, ipv4(17, udp({ payload: [1] })));
    const got = toAddress(frame);
    expect(got.slice(40, 42)).toEqual([0, 0]);
    expect(change(frame, K.UDP, [0, 1, 0, 2], ones(4)).slice(40, 42)).toEqual([0, 0]);
  });

  test('a UDP checksum that comes out as 0 is sent as ffff', () => {
    // Found by trying: the port that makes the sum 0xffff.
    const seen = new Set<string>();
    const frame = eth(0x0800, ipv4With(17, {}));
    const sum = sum16([...ip4('10.0.0.1'), ...ip4('10.0.0.2'), 0, 17, 0, 8, 0, 0, 0, 53, 0, 8]);
    const port = 0xffff - sum;
    const got = change(frame, K.UDP, [...be16(port), 0, 0], [255, 255, 0, 0]);
    seen.add(got.slice(40, 42).join());
    expect([...seen]).toEqual(['255,255']);
  });

  test('later fragments have no transport header to repair', () => {
    const frame = eth(0x0800, ipv4(6, [...tcp()], { frag: 5 }));
    const got = toAddress(frame);
    expect(got.slice(34)).toEqual(frame.slice(34));
    expect(sum16(got.slice(14, 34))).toBe(0xffff);
  });

  test('with a partial checksum, addresses change the sum and ports do not', () => {
    const segment = udp({ payload: [1, 2, 3] });
    const sum = (src: string) => be16(sum16([...ip4(src), ...ip4('10.0.0.2'), 0, 17, 0, segment.length]));
    const frame = eth(0x0800, ipv4(17, [...segment.slice(0, 6), ...sum('10.0.0.1'), ...segment.slice(8)]));
    const offloads = { vnetFlags: VNET_F.NEEDS_CSUM, csumStart: 34, csumOffset: 6 };
    expect(toAddress(frame, offloads).slice(40, 42)).toEqual(sum('192.0.2.1'));
    expect(change(frame, K.UDP, [0, 1, 0, 2], ones(4), offloads).slice(40, 42)).toEqual(sum('10.0.0.1'));
  });

  test('a destination behind a routing header is not in the checksum', () => {
    const routing = (left: number) => [17, 2, 0, left, 0, 0, 0, 0, ...ip6('::9')];
    for (const left of [0, 1]) {
      const frame = eth(0x86dd, ipv6(43, [...routing(left), ...udp({ payload: [1], sum: 0 })]));
      const mask = [...Array<number>(16).fill(0), ...ones(16), ...Array<number>(8).fill(0)];
      const got = change(frame, K.IPV6, [...Array<number>(16).fill(0), ...ip6('::5'), ...be32(0), 0, 0, 0, 0], mask);
      expect(got.slice(84, 86).join() === frame.slice(84, 86).join()).toBe(left === 1);
    }
  });
});
