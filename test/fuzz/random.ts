/** Random numbers that are the same for the same seed, everywhere (mulberry32), and choices made with them. */

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** 32 bits. */
  u32(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** In [0, n). */
  below(n: number): number {
    return this.u32() % n;
  }
  /** In [min, max]. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }
  byte(): number {
    return this.u32() & 0xff;
  }
  bytes(n: number): number[] {
    return Array.from({ length: n }, () => this.byte());
  }
  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  /** Between 0 and `max` things. */
  list<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.between(0, max) }, make);
  }
}
