/** Changes a case a little: its records, bytes inside one, and, where a record holds them, netlink attributes. */
import type { Case, FuzzTarget } from './case.ts';
import type { Random } from './random.ts';

/** Bytes of a record and records of a case, beyond which nothing is added. */
const MAX_RECORD = 3000;
const MAX_RECORDS = 60;
const WORDS = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 63, 64, 127, 128, 255, 256, 511, 1023, 1024, 1279, 1280, 1500, 32767, 65535,
];

/** A new case made of `records` by one to four changes; `other` is a case to take parts from. */
export function mutate(records: Case, other: Case, target: FuzzTarget, random: Random): Case {
  const all: Uint8Array[] = records.map((r) => r.slice());
  for (let n = 1 + random.below(4); n > 0; n--) {
    if (all.length === 0 || random.oneIn(4)) mutateRecords(all, other, random);
    else {
      const i = random.below(all.length);
      all[i] = mutateRecord(all[i]!, other, target, random);
    }
  }
  return all;
}

function mutateRecords(all: Uint8Array[], other: Case, random: Random): void {
  const at = random.below(all.length + 1);
  const room = MAX_RECORDS - all.length;
  switch (random.below(6)) {
    case 0:
      if (all.length > 1) all.splice(random.below(all.length), 1 + random.below(3));
      break;
    case 1:
      if (all.length > 0 && room > 0) all.splice(at, 0, random.pick(all).slice());
      break;
    case 2: {
      if (all.length < 2) break;
      const [a, b] = [random.below(all.length), random.below(all.length)];
      [all[a], all[b]] = [all[b]!, all[a]!];
      break;
    }
    case 3:
      if (other.length > 0 && room > 0) all.splice(at, 0, random.pick(other).slice());
      break;
    case 4: {
      // The beginning of one, the end of the other.
      const tail = other.slice(random.below(other.length + 1)).slice(0, MAX_RECORDS - at);
      all.splice(at, all.length, ...tail.map((r) => r.slice()));
      break;
    }
    default: {
      if (all.length === 0) break;
      const from = random.below(all.length);
      const part = all.slice(from, from + 1 + random.below(4)).slice(0, Math.max(0, room));
      all.splice(at, 0, ...part.map((r) => r.slice()));
    }
  }
}

function mutateRecord(r: Uint8Array, other: Case, target: FuzzTarget, random: Random): Uint8Array {
  if (r.length < 2) return Uint8Array.from([r[0] ?? 0, ...random.bytes(random.below(8))]);
  const attrs = target.attrsAt?.(r) ?? -1;
  if (attrs >= 0 && random.oneIn(2)) return mutateAttrs(r, attrs, random);
  if (target.mutateRecord !== undefined && random.oneIn(2)) return target.mutateRecord(r, random);
  const at = 1 + random.below(r.length - 1);
  switch (random.below(10)) {
    case 0:
    case 1:
      r[at]! ^= 1 << random.below(8);
      return r;
    case 2:
      r[at] = random.byte();
      return r;
    case 3:
      r[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, r[at]! + 1, r[at]! - 1]);
      return r;
    case 4: {
      const word = random.pick(WORDS);
      const isLittle = random.oneIn(2);
      if (at + 2 <= r.length) new DataView(r.buffer).setUint16(at, word, isLittle);
      return r;
    }
    case 5:
      return r.slice(0, at);
    case 6:
      return spliced(r, at, 0, random.bytes(1 + random.below(random.oneIn(10) ? 1500 : 12)));
    case 7:
      return spliced(r, at, 1 + random.below(8), []);
    case 8: {
      const size = 1 + random.below(Math.min(16, r.length - 1));
      r.copyWithin(at, 1 + random.below(r.length - 1), r.length - size);
      return r;
    }
    default: {
      const from = other.length > 0 ? random.pick(other) : r;
      const start = random.below(from.length);
      const part = from.subarray(start, start + 1 + random.below(24));
      return random.oneIn(2) ? spliced(r, at, 0, part) : spliced(r, at, part.length, part);
    }
  }
}

function spliced(r: Uint8Array, at: number, n: number, insert: ArrayLike<number>): Uint8Array {
  if (r.length - n + insert.length > MAX_RECORD) return r;
  return Uint8Array.from([...r.subarray(0, at), ...Array.from(insert), ...r.subarray(at + n)]);
}

/** Offsets of the headers of what looks like attributes, at any depth. */
function headersIn(r: Uint8Array, start: number): number[] {
  const dv = new DataView(r.buffer, r.byteOffset, r.length);
  const found: number[] = [];
  const walk = (at: number, end: number, depth: number): void => {
    while (end - at >= 4) {
      const len = dv.getUint16(at, true);
      if (len < 4 || len > end - at) return;
      found.push(at);
      if (depth < 6 && len > 8) walk(at + 4, at + len, depth + 1);
      at += (len + 3) & ~3;
    }
  };
  walk(start, r.length, 0);
  return found;
}

/** Changes an attribute's length or number, takes it out, or puts a copy of it elsewhere; enclosing lengths follow or not. */
function mutateAttrs(r: Uint8Array, start: number, random: Random): Uint8Array {
  const headers = headersIn(r, start);
  if (headers.length === 0) return r;
  const dv = new DataView(r.buffer, r.byteOffset, r.length);
  const at = random.pick(headers);
  const len = dv.getUint16(at, true);
  const size = Math.min((len + 3) & ~3, r.length - at);
  switch (random.below(6)) {
    case 0:
      dv.setUint16(at, random.pick([0, 3, 4, 5, 8, len - 1, len + 1, len + 4, 0xffff, random.below(64)]), true);
      return r;
    case 1:
      dv.setUint16(
        at + 2,
        random.pick([random.below(32), random.below(32), 0x8000 | random.below(32), random.below(0x10000)]),
        true,
      );
      return r;
    case 2:
      return resized(spliced(r, at, size, []), headers, at, -size, random);
    case 3: {
      const copy = r.slice(random.pick(headers)).subarray(0, 256);
      const n = Math.min((new DataView(copy.buffer, copy.byteOffset).getUint16(0, true) + 3) & ~3, copy.length);
      if (r.length + n > MAX_RECORD) return r;
      return resized(spliced(r, at, 0, copy.subarray(0, n)), headers, at, n, random);
    }
    case 4: {
      if (len <= 4) return r;
      const where = at + 4 + random.below(len - 4);
      r[where] = random.pick([0, 1, 0xff, random.byte()]);
      return r;
    }
    default: {
      if (len <= 4) return r;
      // All of its payload: nothing, everything.
      r.fill(random.pick([0, 0xff]), at + 4, at + len);
      return r;
    }
  }
}

/** Mostly makes the attributes around `at` as much longer as what is in them became. */
function resized(r: Uint8Array, headers: readonly number[], at: number, by: number, random: Random): Uint8Array {
  if (random.oneIn(5)) return r;
  const dv = new DataView(r.buffer, r.byteOffset, r.length);
  for (const outer of headers) {
    if (outer >= at || outer + 4 > r.length) continue;
    const len = dv.getUint16(outer, true);
    if (outer + len > at && len + by >= 4 && len + by <= 0xffff) dv.setUint16(outer, len + by, true);
  }
  return r;
}
