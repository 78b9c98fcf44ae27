/** Ticks of packet schedulers: against what tc(8) shows for stock's classes. */
import { expect, test } from 'vitest';
import { rate64, rateSpec, TcTicks, u32Of } from '../../../src/vswitchd/qos/tc-ticks.ts';

const EXACT = new TcTicks('000003e8 00000040 000f4240 3b9aca00\n');
const COARSE = new TcTicks('000c8000 000f4240 000f4240 00000064\n');

test('bytes to ticks and back', () => {
  expect(EXACT.ofBytes(250_000, 375_000)).toBe(23_437_500);
  expect(EXACT.bytes(250_000, 23_437_500)).toBe(375_000);
  expect(COARSE.ofBytes(1000, 1000)).toBe(819_200);
  expect(EXACT.ofBytes(0, 1000)).toBe(0);
  expect(EXACT.ofBytes(1, 1e12)).toBe(0xffffffff);
});

test('times', () => {
  expect(EXACT.ofMicroseconds(1000)).toBe(15_625);
  expect(EXACT.microseconds(15_625)).toBe(1000);
});

test('a bucket holds what is sent between two turns of the timer', () => {
  expect(COARSE.buffer(1_000_000, 1500, 0)).toBe(COARSE.ofBytes(1_000_000, 11_500));
  expect(EXACT.buffer(1_000_000, 1500, 0)).toBe(EXACT.ofBytes(1_000_000, 1500));
  expect(EXACT.buffer(1_000_000, 1500, 9000)).toBe(EXACT.ofBytes(1_000_000, 9000));
});

test('without the file, or with another, a tick is a second', () => {
  for (const text of [undefined, '', 'nonsense', '0 0 0 0']) expect(new TcTicks(text).ofBytes(10, 1000)).toBe(100);
});

test('rate tables have the sizes of 256 cells', () => {
  expect([rateSpec(1, 200).cellLog, rateSpec(1, 1500).cellLog, rateSpec(1, 65535).cellLog]).toEqual([0, 3, 9]);
  const table = EXACT.table(1_000_000, rateSpec(1_000_000, 1500));
  const words = new Uint32Array(table.buffer);
  expect(words).toHaveLength(256);
  expect([words[0], words[255]]).toEqual([EXACT.ofBytes(1e6, 60), EXACT.ofBytes(1e6, 2048)]);
});

test('numbers of 32 bits', () => {
  expect([u32Of(-1), u32Of(1.9), u32Of(2 ** 40)]).toEqual([0, 1, 0xffffffff]);
  expect([rate64(2 ** 32 - 1), rate64(2 ** 32)]).toEqual([undefined, 2n ** 32n]);
});
