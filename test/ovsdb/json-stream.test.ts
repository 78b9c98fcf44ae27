import { expect, test } from 'vitest';
import { type JsonObject, JsonStream, JsonStreamError, MAX_DEPTH } from '../../src/util/json-stream.ts';
import { fc } from '../support/property.ts';

const OBJECTS: JsonObject[] = [
  { method: 'echo', params: [], id: 'x' },
  { a: '}"{\\', b: ['[', ']', '\u00e9\u6f22\u{1f600}', '\\"'] },
  {},
  { deep: [[[[{ x: { y: [] } }]]]] },
];

function feed(chunks: readonly Uint8Array[]): JsonObject[] {
  const stream = new JsonStream();
  const objects: JsonObject[] = [];
  for (const chunk of chunks) stream.push(chunk, (o) => objects.push(o));
  return objects;
}

test('objects come out whole, however the stream is cut', () => {
  const bytes = Buffer.from(OBJECTS.map((o, i) => JSON.stringify(o, null, i)).join(' \n\t'));
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      expect(feed(chunks)).toEqual(OBJECTS);
    }),
  );
  expect(feed([...bytes].map((b) => Uint8Array.of(b)))).toEqual(OBJECTS);
});

test('a chunk may be used again after push', () => {
  const stream = new JsonStream();
  const objects: JsonObject[] = [];
  const chunk = Buffer.from('{"a":');
  stream.push(chunk, (o) => objects.push(o));
  expect(stream.isPartial).toBe(true);
  chunk.fill(0);
  stream.push(Buffer.from('1}'), (o) => objects.push(o));
  expect(objects).toEqual([{ a: 1 }]);
  expect(stream.isPartial).toBe(false);
});

test.each([
  ['text', 'hello', 0],
  ['an array', ' [1]', 1],
  ['a stray bracket', '{}}', 2],
  ['mismatched brackets', '{"a":[}', undefined],
  ['bad JSON inside', '{"a":1,}', undefined],
  ['too deep', `{"a":${'['.repeat(MAX_DEPTH)}`, undefined],
])('%s is refused for good', (_name, text, offset) => {
  const stream = new JsonStream();
  const push = (s: string) => stream.push(Buffer.from(s), () => undefined);
  expect(() => {
    push(text);
    push(']}');
  }).toThrow(JsonStreamError);
  expect(() => push('{}')).toThrow(JsonStreamError);
  if (offset !== undefined) expect(() => push('{}')).toThrow(`(at byte ${offset})`);
});

test('the size of an object is bounded', () => {
  const stream = new JsonStream(100);
  expect(() => stream.push(Buffer.from(`{"a":"${'x'.repeat(200)}`), () => undefined)).toThrow('more than 100 bytes');
});

test('garbage throws nothing but a JsonStreamError', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), (chunks) => {
      try {
        feed(chunks);
      } catch (error) {
        expect(error).toBeInstanceOf(JsonStreamError);
      }
    }),
  );
});
