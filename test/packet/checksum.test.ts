/** Checksums against the slow and obvious way. */

import { describe, expect, test } from 'vitest';
import {
  foldSum,
  replace16,
  replace32,
  replacePartial32,
  sctpChecksum,
  setIpv4Checksum,
  sumBytes,
} from '../../src/packet/checksum.ts';
import { ipv4, sum16 } from '../support/frames.ts';
import { fc } from '../support/property.ts';

const viewOf = (data: ArrayLike<number>, offset = 0) => {
  const all = new Uint8Array(data.length + offset);
  all.set(data, offset);
  return new DataView(all.buffer);
};
const data = fc.uint8Array({ minLength: 1, maxLength: 300 });

describe('sums', () => {
  test('of any bytes at any offset', () => {
    fc.assert(
      fc.property(data, fc.nat(5), fc.nat(0xffff), (d, offset, start) => {
        expect(foldSum(sumBytes(viewOf(d, offset), offset, d.length, start))).toBe(sum16([...d], start));
      }),
    );
  });
  test('of the largest packet', () => {
    const d = new Uint8Array(65_600).fill(255);
    expect(foldSum(sumBytes(viewOf(d), 0, d.length, 0xffff))).toBe(0xffff);
  });
});

describe('incremental update equals summing again', () => {
  /** Words of data, its checksum at byte 0 (not part of the data), and a change. */
  const change = fc.tuple(
    fc.array(fc.nat(0xffff), { minLength: 4, maxLength: 20 }),
    fc.nat(3),
    fc.nat(0xffff),
    fc.nat(0xffff),
  );
  const bytesOf = (words: number[]) => words.flatMap((w) => [w >> 8, w & 255]);
  /** 0 and 0xffff are both zero in one's complement. */
  const same = (a: number, b: number) => a === b || (a % 0xffff === 0 && b % 0xffff === 0);

  test('16 and 32 bits', () => {
    fc.assert(
      fc.property(change, ([words, at, high, low]) => {
        const before = viewOf([0, 0]);
        before.setUint16(0, ~sum16(bytesOf(words)));
        const two = viewOf([...new Uint8Array(before.buffer)]);
        const [oldHigh, oldLow] = [words[at]!, words[at + 1] ?? 0];
        const changed = [...words];
        changed[at] = high;
        replace16(before, 0, oldHigh, high);
        expect(same(before.getUint16(0), ~sum16(bytesOf(changed)) & 0xffff)).toBe(true);
        if (at + 1 < words.length) {
          changed[at + 1] = low;
          replace32(two, 0, (oldHigh << 16) | oldLow, (high << 16) | low);
          expect(same(two.getUint16(0), ~sum16(bytesOf(changed)) & 0xffff)).toBe(true);
        }
      }),
    );
  });
  test('a partial checksum', () => {
    const view = viewOf([0, 0]);
    view.setUint16(0, sum16(bytesOf([0x1234, 0xffff, 0x0a00, 0x0001])));
    replacePartial32(view, 0, 0x0a000001, 0xc0a8ffff | 0);
    expect(view.getUint16(0)).toBe(sum16(bytesOf([0x1234, 0xffff, 0xc0a8, 0xffff])));
  });
});

test('the IPv4 header', () => {
  const right = ipv4(6, [], { options: [1, 1, 1, 1] });
  const view = viewOf([...right.slice(0, 10), 0xde, 0xad, ...right.slice(12)]);
  setIpv4Checksum(view, 0);
  expect([...new Uint8Array(view.buffer)]).toEqual(right);
});

test('CRC-32C as in RFC 3720 B.4', () => {
  // 32 bytes of zeros; bytes 8 to 11, where SCTP has its checksum, are zeros either way.
  const zeros = viewOf(new Uint8Array(32));
  expect(sctpChecksum(zeros, 0, 32) >>> 0).toBe(0x8a9136aa);
  zeros.setInt32(8, -1);
  expect(sctpChecksum(zeros, 0, 32) >>> 0).toBe(0x8a9136aa);
});
