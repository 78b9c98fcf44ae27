import { expect, test } from 'vitest';
import { PortNumbers } from '../../../src/ofproto/ports/port-numbers.ts';

test('a port that the database still has under its number gets it back, another one does not', () => {
  const numbers = new PortNumbers();
  expect(numbers.take(undefined)).toBe(1);
  numbers.release(1);
  expect(numbers.take(undefined, 1)).toBe(1);
  numbers.release(1);
  expect(numbers.take(undefined)).toBe(2);
});

test('numbers go up, whatever was asked for, and begin anew behind those of the vswitchd before', () => {
  const numbers = new PortNumbers();
  expect(numbers.take(7)).toBe(7);
  expect(numbers.take(undefined)).toBe(1);
  expect(numbers.take(undefined, 5)).toBe(5);
  expect(numbers.take(undefined)).toBe(6);
  expect(numbers.take(undefined)).toBe(8);
  expect(numbers.take(undefined, 8)).toBe(9);
  expect(numbers.take(8, 2)).toBe(2);
});
