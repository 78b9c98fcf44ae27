import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { fixed } from '../../src/util/fixed.ts';

describe('as printf prints it', () => {
  test.each([
    [28.125, 2, '28.12'],
    [28.375, 2, '28.38'],
    [0.15, 1, '0.1'],
    [0.25, 1, '0.2'],
    [0.35, 1, '0.3'],
    [2.5, 0, '2'],
    [3.5, 0, '4'],
    [0.5, 0, '0'],
    [-0.125, 2, '-0.12'],
    [99.995, 2, '100.00'],
    [1e6, 3, '1000000.000'],
    [0, 2, '0.00'],
  ])('%f with %d digits', (value, digits, text) => expect(fixed(value, digits)).toBe(text));

  test('sixteenths, before the printf of this host', () => {
    const values = Array.from({ length: 400 }, (_, i) => i / 16);
    const texts = spawnSync('printf', ['%.2f %.1f %.0f\\n', ...values.flatMap((v) => [v, v, v]).map(String)], {
      encoding: 'utf8',
      env: { LC_ALL: 'C' },
    }).stdout;
    expect(values.map((v) => `${fixed(v, 2)} ${fixed(v, 1)} ${fixed(v, 0)}\n`).join('')).toBe(texts);
  });
});
