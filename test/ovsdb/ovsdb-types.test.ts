import { expect, expectTypeOf, test } from 'vitest';
import {
  applyDiff,
  type Column,
  decodeValue,
  encodeValue,
  map,
  OvsdbConstraintViolation,
  OvsdbError,
  OvsdbFormatError,
  OvsdbNotOwner,
  optional,
  ovsdbError,
  type Row,
  scalar,
  set,
  table,
  valuesEqual,
} from '../../src/ovsdb/ovsdb-types.ts';
import type { Json } from '../../src/util/json-stream.ts';
import { fc } from '../support/property.ts';

const U1 = '550e8400-e29b-41d4-a716-446655440000';
const U2 = '550e8400-e29b-41d4-a716-446655440001';

// biome-ignore format: table
const VALUES: readonly [name: string, column: Column<unknown>, wire: Json, value: unknown][] = [
  ['integer',         scalar('integer'),      -5,                                         -5],
  ['real',            scalar('real'),         1.5,                                        1.5],
  ['boolean',         scalar('boolean'),      true,                                       true],
  ['string',          scalar('string'),       'a "b"',                                    'a "b"'],
  ['uuid',            scalar('uuid'),         ['uuid', U1],                               U1],
  ['optional, there', optional('integer'),    7,                                          7],
  ['optional, none',  optional('integer'),    ['set', []],                                undefined],
  ['empty set',       set('string'),          ['set', []],                                []],
  ['set',             set('uuid'),            ['set', [['uuid', U1], ['uuid', U2]]],      [U1, U2]],
  ['map',             map('string', 'integer'), ['map', [['a', 1], ['b', 2]]],            new Map([['a', 1], ['b', 2]])],
  ['map to rows',     map('integer', 'uuid'), ['map', [[0, ['uuid', U1]]]],               new Map([[0, U1]])],
];

test.each(VALUES)('%s: wire and value', (_name, column, wire, value) => {
  expect(decodeValue(column, wire, 'T.c')).toEqual(value);
  expect(encodeValue(column, value)).toEqual(wire);
  expect(valuesEqual(column, decodeValue(column, wire, 'T.c'), value)).toBe(true);
});

test('other forms of the same value', () => {
  expect(decodeValue(set('integer'), 3, 'T.c')).toEqual([3]);
  expect(decodeValue(optional('integer'), ['set', [3]], 'T.c')).toBe(3);
  expect(encodeValue(set('uuid'), ['row0'])).toEqual(['set', [['named-uuid', 'row0']]]);
});

test.each<[string, Column<unknown>, Json]>([
  ['a text for an integer', scalar('integer'), '3'],
  ['a fraction for an integer', scalar('integer'), 3.5],
  ['no value for one', scalar('integer'), ['set', []]],
  ['two values for one at most', optional('integer'), ['set', [1, 2]]],
  ['an unknown pair', scalar('uuid'), ['uid', U1]],
  ['a set for a map', map('string', 'string'), ['set', []]],
  ['a map with a triple', map('string', 'string'), ['map', [['a', 'b', 'c']]]],
])('%s is an OvsdbFormatError with its path', (_name, column, wire) => {
  expect(() => decodeValue(column, wire, 'Bridge.tag')).toThrow(OvsdbFormatError);
  expect(() => decodeValue(column, wire, 'Bridge.tag')).toThrow(/^Bridge\.tag: /);
});

test('any JSON is decoded or refused with an OvsdbFormatError', () => {
  fc.assert(
    fc.property(fc.constantFrom(...VALUES), fc.jsonValue(), ([, column], json) => {
      try {
        decodeValue(column, json as Json, 'T.c');
      } catch (error) {
        expect(error).toBeInstanceOf(OvsdbFormatError);
      }
    }),
  );
});

test('update2 differences', () => {
  expect(applyDiff(set('integer'), [1, 2], [2, 3])).toEqual([1, 3]);
  const old = new Map([
    ['a', '1'],
    ['b', '2'],
  ]);
  const diff = new Map([
    ['a', '1'],
    ['b', '3'],
    ['c', '4'],
  ]);
  expect(applyDiff(map('string', 'string'), old, diff)).toEqual(
    new Map([
      ['b', '3'],
      ['c', '4'],
    ]),
  );
  expect(old.size).toBe(2);
  expect(applyDiff(optional('integer'), 1, undefined)).toBe(undefined);
});

test('sets and maps have no order', () => {
  expect(valuesEqual(set('integer'), [1, 2], [2, 1])).toBe(true);
  expect(valuesEqual(set('integer'), [1], [1, 2])).toBe(false);
  expect(valuesEqual(map('string', 'string'), new Map([['a', 'b']]), new Map([['a', 'c']]))).toBe(false);
});

test('errors of RFC 7047', () => {
  expect(ovsdbError({ error: 'not owner', details: 'lock x' })).toBeInstanceOf(OvsdbNotOwner);
  expect(ovsdbError({ error: 'constraint violation' })).toBeInstanceOf(OvsdbConstraintViolation);
  expect(ovsdbError({ error: 'constructor' })).toBeInstanceOf(OvsdbError);
  expect(ovsdbError('no such thing').message).toBe('no such thing');
  expect(ovsdbError({ error: 'not owner', details: 'lock x' }).message).toBe('not owner: lock x');
});

test('a row has the types that its table declares', () => {
  const T = table('T', { name: scalar('string'), tag: optional('integer'), conf: map('string', 'string') });
  expectTypeOf<Row<typeof T>>().toEqualTypeOf<
    { readonly _uuid: string } & {
      readonly name: string;
      readonly tag: number | undefined;
      readonly conf: ReadonlyMap<string, string>;
    }
  >();
  expect(T.columns.name.initial).toBe('');
});
