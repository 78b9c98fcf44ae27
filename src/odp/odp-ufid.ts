/**
 * Unique flow ids: 128 bits by which a client names a datapath flow.
 *
 * In text a UFID looks like a UUID: `ufid:00112233-4455-6677-8899-aabbccddeeff`.  On the wire it is four 32-bit words in
 * host order, so that the bytes of each group of eight digits are reversed on little-endian machines.  In a program it is a
 * Ufid, these four words; `ufid-map.ts` finds things by them.
 * Source: lib/odp-util.c (odp_ufid_from_string, odp_format_ufid), lib/uuid.c.
 */
import { LITTLE_ENDIAN } from '../netlink/constants.ts';
import { hostUintToBytes } from './text/odp-attr-list.ts';

export const UFID_SIZE = 16;
const PREFIX = 'ufid:';
/** Length of `ufid:` and the UUID. */
export const UFID_TEXT_SIZE = PREFIX.length + 36;

/** The words of a UFID, int32 each. */
export class Ufid {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;

  constructor(w0: number, w1: number, w2: number, w3: number) {
    this.w0 = w0;
    this.w1 = w1;
    this.w2 = w2;
    this.w3 = w3;
  }

  equals(other: Ufid): boolean {
    return this.w0 === other.w0 && this.w1 === other.w1 && this.w2 === other.w2 && this.w3 === other.w3;
  }

  /** `ufid:xxxxxxxx-...` */
  toString(): string {
    return formatUfid(this);
  }
}

/** `ufid:xxxxxxxx-...` of a Ufid, or of the 16 bytes of OVS_FLOW_ATTR_UFID. */
export function formatUfid(ufid: Uint8Array | Ufid): string {
  const { w0, w1, w2, w3 } = ufid instanceof Ufid ? ufid : ufidOf(ufid);
  const digits = [w0, w1, w2, w3].map((w) => (w >>> 0).toString(16).padStart(8, '0')).join('');
  const groups = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ];
  return PREFIX + groups.join('-');
}

/** The UFID that `text` begins with; undefined if it does not begin with `ufid:`, "bad" if what follows is none. */
export function parseUfidPrefix(text: string): Uint8Array | 'bad' | undefined {
  if (!text.startsWith(PREFIX)) return undefined;
  const uuid = text.slice(PREFIX.length, UFID_TEXT_SIZE);
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(uuid)) return 'bad';
  const digits = uuid.replaceAll('-', '');
  const out = new Uint8Array(UFID_SIZE);
  for (let at = 0; at < UFID_SIZE; at += 4) {
    hostUintToBytes(BigInt(`0x${digits.slice(2 * at, 2 * at + 8)}`), out, at, 4);
  }
  return out;
}

/** The word of host order whose four bytes begin at `at`. */
function wordAt(bytes: Uint8Array, at: number): number {
  const [b0, b1, b2, b3] = [
    bytes[at] as number,
    bytes[at + 1] as number,
    bytes[at + 2] as number,
    bytes[at + 3] as number,
  ];
  return LITTLE_ENDIAN ? b0 | (b1 << 8) | (b2 << 16) | (b3 << 24) : b3 | (b2 << 8) | (b1 << 16) | (b0 << 24);
}

/** The UFID of 16 bytes that begin at `at`. */
export const ufidOf = (bytes: Uint8Array, at = 0): Ufid =>
  new Ufid(wordAt(bytes, at), wordAt(bytes, at + 4), wordAt(bytes, at + 8), wordAt(bytes, at + 12));

/** The UFID at `at` of a message.  Once a flow of a dump. */
export const readUfid = (dv: DataView, at: number): Ufid =>
  new Ufid(
    dv.getInt32(at, LITTLE_ENDIAN),
    dv.getInt32(at + 4, LITTLE_ENDIAN),
    dv.getInt32(at + 8, LITTLE_ENDIAN),
    dv.getInt32(at + 12, LITTLE_ENDIAN),
  );

/** Writes the bytes of a UFID to `dv`, where they begin at `at`.  Once a flow that is installed. */
export function putUfid(ufid: Ufid, dv: DataView, at: number): void {
  dv.setInt32(at, ufid.w0, LITTLE_ENDIAN);
  dv.setInt32(at + 4, ufid.w1, LITTLE_ENDIAN);
  dv.setInt32(at + 8, ufid.w2, LITTLE_ENDIAN);
  dv.setInt32(at + 12, ufid.w3, LITTLE_ENDIAN);
}

const C0 = 0x239b961b;
const C1 = 0xab0e9789;
const C2 = 0x38b34ae5;
const C3 = 0xa1e38b93;
const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));
const finish = (h: number): number => {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
};

/** The little-endian word at `at`; what is beyond the end counts as zeros. */
function keyWord(key: Uint8Array, at: number): number {
  if (at + 4 <= key.length) {
    return (
      (key[at] as number) |
      ((key[at + 1] as number) << 8) |
      ((key[at + 2] as number) << 16) |
      ((key[at + 3] as number) << 24)
    );
  }
  let word = 0;
  for (let i = at; i < key.length; i++) word |= (key[i] as number) << (8 * (i - at));
  return word;
}

/**
 * Makes a UFID of a flow key: a 128-bit MurmurHash3 (x86 variant) of its bytes, with the version and variant bits of a random
 * UUID.  The same key and `seed` give the same UFID; different keys collide with the chance of random ones, but not if
 * someone who knows the seed tries: take a random seed a process.  Once an upcall.
 */
export function hashToUfid(key: Uint8Array, seed: number): Ufid {
  let h0 = seed | 0;
  let h1 = h0;
  let h2 = h0;
  let h3 = h0;
  const n = key.length;
  for (let at = 0; at < n; at += 16) {
    // The last block is filled with zeros; the length, mixed in at the end, keeps such keys apart.
    h0 ^= Math.imul(rotl(Math.imul(keyWord(key, at), C0), 15), C1);
    h0 = (Math.imul(rotl(h0, 19) + h1, 5) + 0x561ccd1b) | 0;
    h1 ^= Math.imul(rotl(Math.imul(keyWord(key, at + 4), C1), 16), C2);
    h1 = (Math.imul(rotl(h1, 17) + h2, 5) + 0x0bcaa747) | 0;
    h2 ^= Math.imul(rotl(Math.imul(keyWord(key, at + 8), C2), 17), C3);
    h2 = (Math.imul(rotl(h2, 15) + h3, 5) + 0x96cd1c35) | 0;
    h3 ^= Math.imul(rotl(Math.imul(keyWord(key, at + 12), C3), 18), C0);
    h3 = (Math.imul(rotl(h3, 13) + h0, 5) + 0x32ac3b17) | 0;
  }
  h0 ^= n;
  h1 ^= n;
  h2 ^= n;
  h3 ^= n;
  h0 = (h0 + h1 + h2 + h3) | 0;
  h1 = finish((h1 + h0) | 0);
  h2 = finish((h2 + h0) | 0);
  h3 = finish((h3 + h0) | 0);
  h0 = (finish(h0) + h1 + h2 + h3) | 0;
  h1 = (h1 + h0) | 0;
  h2 = (h2 + h0) | 0;
  h3 = (h3 + h0) | 0;
  // UUID version 4, variant 1.
  return new Ufid(h0, (h1 & ~0xf000) | 0x4000, (h2 & 0x3fffffff) | 0x80000000, h3);
}
