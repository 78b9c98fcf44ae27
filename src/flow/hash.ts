/**
 * Hashes whose values others see: which link, port or bucket is chosen by them has to be what Open Vswitch chooses.
 *
 * Jenkins' hash of bytes and murmur3 of words (`hashAdd` and `hashFinish` of `flow-hash.ts`).  Words are read from bytes in little-endian
 * order, as the machines that Open Vswitch is built for do; results are unsigned.
 * Source: lib/jhash.c, lib/hash.h, http://burtleburtle.net/bob/c/lookup3.c.
 */
import { hashAdd, hashFinish } from './flow-hash.ts';

const rot = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/** Rotations of a mixing step, which go round a, b and c. */
const MIX = [4, 6, 8, 16, 19, 4];
const FINAL = [14, 11, 25, 16, 4, 14, 24];

/** Word `i` bytes into `bytes`; what is beyond the end is 0. */
function wordAt(bytes: Uint8Array, i: number): number {
  return (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24);
}

function mix(s: Int32Array): void {
  for (let i = 0; i < MIX.length; i++) {
    const [x, y, z] = [i % 3, (i + 2) % 3, (i + 1) % 3];
    // x -= y; x ^= y <<< k; y += z
    s[x] = ((s[x] as number) - (s[y] as number)) ^ rot(s[y] as number, MIX[i] as number);
    s[y] = (s[y] as number) + (s[z] as number);
  }
}

function final(s: Int32Array): void {
  for (let i = 0; i < FINAL.length; i++) {
    const [x, y] = [(i + 2) % 3, (i + 1) % 3];
    s[x] = ((s[x] as number) ^ (s[y] as number)) - rot(s[y] as number, FINAL[i] as number);
  }
}

/** Jenkins' hash ("lookup3") of bytes: jhash_bytes(). */
export function jhashBytes(bytes: Uint8Array, basis: number): number {
  const s = new Int32Array(3).fill((0xdeadbeef + bytes.length + basis) | 0);
  let at = 0;
  const add = (): void => {
    for (let i = 0; i < 3; i++) s[i] = (s[i] as number) + wordAt(bytes, at + 4 * i);
  };
  for (; bytes.length - at >= 12; at += 12) {
    add();
    mix(s);
  }
  if (at < bytes.length) {
    add();
    final(s);
  }
  return (s[2] as number) >>> 0;
}

/** hash_bytes(): murmur3 of bytes. */
export function hashBytes(bytes: Uint8Array, basis: number): number {
  let h = basis | 0;
  for (let at = 0; at < bytes.length; at += 4) h = hashAdd(h, wordAt(bytes, at));
  return hashFinish(h ^ bytes.length) >>> 0;
}

/** hash_2words(), and hash_int() of `x` with basis `y`. */
export const hash2Words = (x: number, y: number): number => hashFinish(hashAdd(hashAdd(x, 0), y) ^ 8) >>> 0;

/** hash_uint64_basis(). */
export function hashUint64(x: bigint, basis = 0): number {
  const low = Number(BigInt.asIntN(32, x));
  return hashFinish(hashAdd(hashAdd(basis | 0, low), Number(BigInt.asIntN(32, x >> 32n))) ^ 8) >>> 0;
}

/** hash_boolean(). */
export const hashBoolean = (x: boolean, basis: number): number => ((x ? 0xc2b73583 : 0xe90f1258) ^ rot(basis, 1)) >>> 0;
