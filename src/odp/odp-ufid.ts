/**
 * Unique flow ids: 128 bits by which a client names a datapath flow.
 *
 * In text a UFID looks like a UUID: `ufid:00112233-4455-6677-8899-aabbccddeeff`.  On the wire it is four 32-bit words in
 * host order, so that the bytes of each group of eight digits are reversed on little-endian machines.  In a program it is a
 * Ufid: the wire's bytes as 32 hexadecimal digits, which can be the key of a Map.
 * Source: lib/odp-util.c (odp_ufid_from_string, odp_format_ufid), lib/uuid.c.
 */
import { LITTLE_ENDIAN } from '../netlink/constants.ts';
import { hostUint, hostUintToBytes } from './odp-attr-list.ts';

export const UFID_SIZE = 16;
const PREFIX = 'ufid:';
/** Length of `ufid:` and the UUID. */
export const UFID_TEXT_SIZE = PREFIX.length + 36;

/** `ufid:xxxxxxxx-...` of the 16 bytes of OVS_FLOW_ATTR_UFID, or of their 32 digits. */
export function formatUfid(ufid: Uint8Array | string): string {
  const bytes = typeof ufid === 'string' ? ufidBytes(ufid) : ufid;
  const digits = [0, 4, 8, 12].map((at) => hostUint(bytes, at, 4).toString(16).padStart(8, '0')).join('');
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

const scratch = Buffer.alloc(UFID_SIZE);

/** The 32 digits of a UFID's bytes, which begin at `at`.  Once an upcall, and once a flow of a dump. */
export function ufidOf(bytes: Uint8Array, at = 0): string {
  for (let i = 0; i < UFID_SIZE; i++) scratch[i] = bytes[at + i] as number;
  return scratch.toString('hex');
}

/** The value of a hexadecimal digit, lower case or upper. */
const digit = (code: number): number => (code & 0xf) + (code > 0x39 ? 9 : 0);

/** Writes the bytes of a UFID's 32 digits to `out`, where they begin at `at`.  Once a flow that is installed. */
export function putUfid(ufid: string, out: Uint8Array, at: number): void {
  for (let i = 0; i < UFID_SIZE; i++) {
    out[at + i] = (digit(ufid.charCodeAt(2 * i)) << 4) | digit(ufid.charCodeAt(2 * i + 1));
  }
}

/** The bytes of a UFID's 32 digits. */
export function ufidBytes(ufid: string): Uint8Array {
  const bytes = new Uint8Array(UFID_SIZE);
  putUfid(ufid, bytes, 0);
  return bytes;
}

const MULTIPLIERS = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93] as const;
const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));
const finish = (h: number): number => {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
};

/**
 * Makes a UFID of a flow key: a 128-bit MurmurHash3 (x86 variant) of its bytes, with the version and variant bits of a random
 * UUID.  The same key and `seed` give the same UFID; different keys collide with the chance of random ones, but not if
 * someone who knows the seed tries: take a random seed a process.  Appends nothing; `out` gets 16 bytes.
 */
export function hashToUfid(key: Uint8Array, seed: number, out: Uint8Array = new Uint8Array(UFID_SIZE)): Uint8Array {
  let h0 = seed | 0;
  let h1 = h0;
  let h2 = h0;
  let h3 = h0;
  const [c0, c1, c2, c3] = MULTIPLIERS;
  const word = (at: number) =>
    (key[at] ?? 0) | ((key[at + 1] ?? 0) << 8) | ((key[at + 2] ?? 0) << 16) | ((key[at + 3] ?? 0) << 24);
  for (let at = 0; at < key.length; at += 16) {
    // The last block is filled with zeros; the length, mixed in at the end, keeps such keys apart.
    h0 ^= Math.imul(rotl(Math.imul(word(at), c0), 15), c1);
    h0 = (Math.imul(rotl(h0, 19) + h1, 5) + 0x561ccd1b) | 0;
    h1 ^= Math.imul(rotl(Math.imul(word(at + 4), c1), 16), c2);
    h1 = (Math.imul(rotl(h1, 17) + h2, 5) + 0x0bcaa747) | 0;
    h2 ^= Math.imul(rotl(Math.imul(word(at + 8), c2), 17), c3);
    h2 = (Math.imul(rotl(h2, 15) + h3, 5) + 0x96cd1c35) | 0;
    h3 ^= Math.imul(rotl(Math.imul(word(at + 12), c3), 18), c0);
    h3 = (Math.imul(rotl(h3, 13) + h0, 5) + 0x32ac3b17) | 0;
  }
  const n = key.length;
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
  putWord(out, 0, h0);
  putWord(out, 4, (h1 & ~0xf000) | 0x4000);
  putWord(out, 8, (h2 & 0x3fffffff) | 0x80000000);
  putWord(out, 12, h3);
  return out;
}

function putWord(out: Uint8Array, at: number, word: number): void {
  for (let i = 0; i < 4; i++) out[at + (LITTLE_ENDIAN ? i : 3 - i)] = word >>> (8 * i);
}
