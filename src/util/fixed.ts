/**
 * `value` with `digits` digits after the point (0 to 20), as C's printf("%.*f") has it: halves go to the even neighbour, where
 * Number's toFixed goes away from zero.  28.125 is 28.12, 28.375 is 28.38.  Source: ISO C 7.21.6.1, IEC 60559.
 */
export function fixed(value: number, digits: number): string {
  const rounded = value.toFixed(digits);
  // Only a number that is exact with one digit more lies half-way: binary fractions of n digits have n decimals.
  if (!Number.isInteger(value * 2 ** (digits + 1))) return rounded;
  const exact = value.toFixed(digits + 1);
  if (!exact.endsWith('5') || Number(rounded.at(-1)) % 2 === 0) return rounded;
  return exact.slice(0, digits === 0 ? -2 : -1);
}
