/**
 * Bit strings of any length and place in the words of a flow: what fields and subfields are.
 * Bit 0 is the most significant bit of word 0.  Source: lib/util.h (bitwise_copy and its like).
 */

/** Bits `at` to `at + n` (n at most 32), as an unsigned number. */
export function getBits(words: Int32Array, at: number, n: number): number {
  const word = at >>> 5;
  const end = (at & 31) + n;
  const ones = n === 32 ? -1 : (1 << n) - 1;
  if (end <= 32) return (((words[word] as number) >>> (32 - end)) & ones) >>> 0;
  // The string runs on into the next word, by 1 to 31 bits.
  const low = end - 32;
  return ((((words[word] as number) << low) | ((words[word + 1] as number) >>> (32 - low))) & ones) >>> 0;
}

/** Sets bits `at` to `at + n` (n at most 32); higher bits of `value` are cut off. */
export function setBits(words: Int32Array, at: number, n: number, value: number): void {
  const word = at >>> 5;
  const end = (at & 31) + n;
  const ones = n === 32 ? -1 : (1 << n) - 1;
  if (end <= 32) {
    const shift = 32 - end;
    words[word] = ((words[word] as number) & ~(ones << shift)) | ((value & ones) << shift);
    return;
  }
  const low = end - 32;
  const high = n - low;
  setBits(words, at, high, value >>> low);
  setBits(words, at + high, low, value);
}

/** Copies `n` bits; the two places may overlap. */
export function copyBits(dst: Int32Array, dstAt: number, src: Int32Array, srcAt: number, n: number): void {
  const isForward = dst !== src || dstAt <= srcAt;
  for (let done = 0; done < n; ) {
    const step = Math.min(32, n - done);
    const from = isForward ? done : n - done - step;
    setBits(dst, dstAt + from, step, getBits(src, srcAt + from, step));
    done += step;
  }
}

/** Sets `n` bits to 1, or to 0. */
export function fillBits(words: Int32Array, at: number, n: number, isOne: boolean): void {
  for (let done = 0; done < n; done += 32) setBits(words, at + done, Math.min(32, n - done), isOne ? -1 : 0);
}

/** Whether all `n` bits are 0. */
export function areBitsZero(words: Int32Array, at: number, n: number): boolean {
  for (let done = 0; done < n; done += 32) if (getBits(words, at + done, Math.min(32, n - done)) !== 0) return false;
  return true;
}
