import { expect, test } from 'vitest';
import { WireNames } from '../../../src/vswitchd/dummy/wire-names.ts';

test('names that are too long for a kernel go by others', () => {
  const names = new WireNames();
  for (const fits of ['p1', 'fifteen-bytes-x', 'h\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4']) {
    expect([names.toWire(fits), names.fromWire(fits)]).toEqual([fits, fits]);
  }
  const long = [
    'conflictinglongportname1',
    'conflictinglongportname2',
    '\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4',
  ];
  const wire = long.map((name) => names.toWire(name));
  expect(new Set(wire).size).toBe(3);
  expect(wire.every((name) => Buffer.byteLength(name) <= 15)).toBe(true);
  expect(long.map((name) => names.toWire(name))).toEqual(wire);
  expect(wire.map((name) => names.fromWire(name))).toEqual(long);
});
