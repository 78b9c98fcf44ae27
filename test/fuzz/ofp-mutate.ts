/**
 * Changes records that hold OpenFlow messages, from their second byte on: the version or the type, or one of the structures inside, which begin
 * with their length, or with a type and their length, in big-endian 16-bit numbers.
 */
import type { Random } from './random.ts';

const HEADER = 8;
const MAX_RECORD = 4000;
/** Sizes of what stands before a body: of messages, multipart messages, Nicira's, and Nicira's multipart messages. */
const BODIES = [8, 16, 24];

/** Offsets of what may be lengths of structures: those that are not beyond the end. */
function lengthsIn(r: Uint8Array): number[] {
  const dv = new DataView(r.buffer, r.byteOffset, r.length);
  const found: number[] = [];
  for (let at = 1 + HEADER; at + 2 <= r.length; at += 2) {
    const n = dv.getUint16(at);
    if (n >= 4 && n <= r.length - at + 2) found.push(at);
  }
  return found;
}

const spliced = (r: Uint8Array, at: number, n: number, insert: ArrayLike<number>): Uint8Array =>
  r.length - n + insert.length > MAX_RECORD
    ? r
    : Uint8Array.from([...r.subarray(0, at), ...Array.from(insert), ...r.subarray(at + n)]);

export function mutateMessage(r: Uint8Array, random: Random): Uint8Array {
  if (r.length < 1 + HEADER) return Uint8Array.from([0, 1 + random.below(6), random.below(36), 0, 8, 0, 0, 0, 1]);
  const dv = new DataView(r.buffer, r.byteOffset, r.length);
  const lengths = lengthsIn(r);
  switch (random.below(9)) {
    case 0:
      r[1] = 1 + random.below(6);
      return r;
    case 1:
      if (random.oneIn(3)) r[0]! ^= 1 << random.below(2);
      else r[2] = random.below(36);
      return r;
    case 2: {
      // Which multipart message, or which of Nicira's.
      const at = 1 + random.pick([8, 8, 12, 16, 20]);
      if (at + 2 <= r.length) dv.setUint16(at, random.below(35));
      return r;
    }
    case 3:
    case 4: {
      if (lengths.length === 0) return r;
      const at = random.pick(lengths);
      const n = dv.getUint16(at);
      dv.setUint16(
        at,
        random.pick([0, 1, 4, 7, 8, n - 1, n + 1, n - 8, n + 8, 0xffff, 0xfff8, random.below(80)]) & 0xffff,
      );
      return r;
    }
    case 5: {
      // A structure twice, or not at all.
      if (lengths.length === 0) return r;
      const at = random.pick(lengths);
      const begin = random.oneIn(2) ? at : Math.max(1, at - 2);
      const n = Math.min(dv.getUint16(at), r.length - begin);
      return random.oneIn(2) ? spliced(r, begin, 0, r.slice(begin, begin + n)) : spliced(r, begin, n, []);
    }
    case 6: {
      // The end comes at the end of a body's header, or a little later.
      const n = 1 + random.pick(BODIES) + random.below(24);
      return n < r.length ? r.slice(0, n) : spliced(r, r.length, 0, new Uint8Array(8));
    }
    case 7: {
      // Experimenters.
      const at = 1 + 4 * random.below(r.length >> 2);
      if (at + 4 <= r.length) dv.setUint32(at, random.pick([0x2320, 0x4f4e4600, 0xfffffffe, 0xffffffff, 0]));
      return r;
    }
    default: {
      const at = 1 + HEADER + 4 * random.below(Math.max(1, (r.length - HEADER) >> 2));
      if (at + 4 <= r.length)
        dv.setUint32(at, random.pick([0, 1, 0xffff, 0xffff0000, 0x80000000, 0xffffffff, random.u32()]));
      return r;
    }
  }
}
