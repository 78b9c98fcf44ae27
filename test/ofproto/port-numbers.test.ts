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

test('numbers go up, whatever was asked for, and begin anew behind those of the vswitchd before', () => {
  const numbers = new PortNumbers();
  expect(numbers.take('x', 7)).toBe(7);
  expect(numbers.take('a', undefined)).toBe(1);
  expect(numbers.take('b', undefined, 5)).toBe(5);
  expect(numbers.take('c', undefined)).toBe(6);
  expect(numbers.take('d', undefined)).toBe(8);
  expect(numbers.take('e', undefined, 8)).toBe(9);
  expect(numbers.take('f', 8, 2)).toBe(2);
});
