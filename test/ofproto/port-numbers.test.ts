import { expect, test } from 'vitest';
import { PortNumbers } from '../../src/ofproto/port-numbers.ts';

test('a port that vanished gets its number back, one that was deleted does not', () => {
  const numbers = new PortNumbers();
  expect(numbers.take('a', undefined)).toBe(1);
  numbers.release(1);
  expect(numbers.take('a', undefined)).toBe(1);
  numbers.release(1);
  numbers.forget('a');
  expect(numbers.take('a', undefined)).toBe(2);
});
