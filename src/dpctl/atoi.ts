/** The C library's atoi(): what is no number is 0, and what is too large is cut off. */
export function atoi(text: string): number {
  const m = /^[ \t\n\v\f\r]*([+-]?)(\d+)/.exec(text);
  if (m === null) return 0;
  const magnitude = BigInt(m[2] ?? '0');
  const value = m[1] === '-' ? -magnitude : magnitude;
  const max = 2n ** 63n - 1n;
  return Number(BigInt.asIntN(32, value > max ? max : value < -max - 1n ? -max - 1n : value));
}
