/** The flow table against a naive model, its mask cache, dumps under change, and its size. */

import { describe, expect, test } from 'vitest';
import { EMPTY_PROGRAM } from '../../../src/datapath/actions/action-program.ts';
import type { Flow } from '../../../src/datapath/flow-table/flow.ts';
import { FlowTable } from '../../../src/datapath/flow-table/flow-table.ts';
import { MaskCache } from '../../../src/datapath/flow-table/mask-cache.ts';
import { FIELD, FLOW_WORDS } from '../../../src/flow/fields.ts';
import { type FlowKey, newFlowKey, setField, setFieldOnes } from '../../../src/flow/flow-key.ts';
import { fc } from '../../support/property.ts';

const SRC = FIELD.nwSrc.word;
const DST = FIELD.nwDst.word;
const LAST = FLOW_WORDS - 1;

/** A key or mask that is zero but for three words, the last of all among them. */
const words = (a: number, b = 0, c = 0): FlowKey => {
  const key = newFlowKey();
  key[SRC] = a;
  key[DST] = b;
  key[LAST] = c;
  return key;
};
const ufidOf = (n: number) => Uint8Array.of(1, 2, 3, n & 255, n >> 8);
const newTable = () => new FlowTable(() => 0.5);
const add = (table: FlowTable, key: FlowKey, mask: FlowKey, ufid?: number): Flow =>
  table.insert({ key, mask, ufid: ufid === undefined ? undefined : ufidOf(ufid), program: EMPTY_PROGRAM });

describe('FlowTable', () => {
  test('finds, reads back and forgets a flow', () => {
    const table = newTable();
    const flow = add(table, words(0x0a000001, 7, -1), words(-256, 0, 0xff));
    expect(table.lookupPacket(words(0x0a0000ff, 8, 0xff), 0)).toBe(flow);
    expect(table.lookupPacket(words(0x0a0001ff, 8, 0xff), 0)).toBeUndefined();
    expect(flow.readKey(newFlowKey())).toEqual(words(0x0a000000, 0, 0xff));
    expect(flow.readUnmaskedKey(newFlowKey())).toEqual(words(0x0a000001, 7, -1));
    expect(flow.readMask(newFlowKey())).toEqual(words(-256, 0, 0xff));
    table.remove(flow);
    expect(table.lookup(words(0x0a0000ff, 8, 0xff))).toBeUndefined();
    expect([table.count, table.nMasks]).toEqual([0, 0]);
    // It is still whole for the answer to its deletion.
    expect(flow.readKey(newFlowKey())).toEqual(words(0x0a000000, 0, 0xff));
    expect(flow.readUnmaskedKey(newFlowKey())).toEqual(words(0x0a000001, 7, -1));
    expect(() => table.remove(flow)).toThrow(/not in it/);
  });

  test('a flow is told apart by its unmasked key, or by its UFID', () => {
    const table = newTable();
    const plain = add(table, words(1, 5), words(-1));
    const named = add(table, words(2, 5), words(-1), 9);
    expect(table.lookupExact(words(1, 5))).toBe(plain);
    expect(table.lookupExact(words(1, 6))).toBeUndefined();
    expect(table.lookup(words(1, 6))).toBe(plain);
    expect(table.lookupExact(words(2, 5))).toBeUndefined();
    expect(table.lookupUfid(ufidOf(9))).toBe(named);
    expect(table.lookupUfid(ufidOf(8))).toBeUndefined();
    expect([table.isSame(plain, words(1, 5)), table.isSame(plain, words(1))]).toEqual([true, false]);
    expect([table.isSame(named, words(2, 5)), table.isSame(named, words(2))]).toEqual([false, true]);
  });

  test('a mask of nothing matches everything', () => {
    const table = newTable();
    const flow = add(table, words(1), words(0));
    expect(table.lookupPacket(words(99, 98, 97), 4)).toBe(flow);
  });

  test('agrees with a list of flows, whatever comes and goes', () => {
    const value = fc.integer({ min: 0, max: 3 });
    const step = fc.record({
      op: fc.integer({ min: 0, max: 9 }),
      a: value,
      b: value,
      c: value,
      mask: fc.nat(7),
      n: fc.nat(40),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const table = newTable();
        const model: { key: FlowKey; mask: FlowKey; flow: Flow; ufid: number | undefined }[] = [];
        const matches = (m: (typeof model)[0], key: FlowKey) =>
          key.every((w, i) => ((w ^ m.key[i]!) & m.mask[i]!) === 0);
        steps.forEach((s, i) => {
          const key = words(s.a, s.b, s.c);
          const mask = words(s.mask & 1 ? 3 : 0, s.mask & 2 ? 3 : 0, s.mask & 4 ? 2 : 0);
          const same = model.find((m) => m.mask.every((w, j) => w === mask[j]) && matches(m, key));
          if (s.op < 5 && same === undefined) {
            const ufid = s.op < 2 ? i : undefined;
            model.push({ key, mask, ufid, flow: add(table, key, mask, ufid) });
          } else if (s.op < 7 && model.length > 0) {
            const [gone] = model.splice(s.n % model.length, 1);
            table.remove(gone!.flow);
          } else if (s.op === 9 && s.n === 0) {
            expect(table.flush()).toBe(model.length);
            model.length = 0;
          } else if (s.op === 8) {
            table.rebalanceMasks();
          }
          // A hash that has nothing to do with the packet makes the cache wrong, never the answer.
          const found = table.lookupPacket(key, s.n);
          const right = model.filter((m) => matches(m, key));
          expect(right.length === 0 ? found === undefined : right.some((m) => m.flow === found)).toBe(true);
          expect(table.count).toBe(model.length);
          expect(table.nMasks).toBe(new Set(model.map((m) => m.mask.join())).size);
          for (const m of model) {
            if (m.ufid === undefined) expect(m.flow.readUnmaskedKey(newFlowKey())).toEqual(m.key);
            else expect(table.lookupUfid(ufidOf(m.ufid))).toBe(m.flow);
          }
        });
      }),
      { numRuns: 60 },
    );
  });

  test('counts masks tried and cache hits as the kernel does', () => {
    const table = newTable();
    for (let m = 0; m < 4; m++) add(table, words(1 << m), words(1 << m));
    const counts = () => [table.nMaskHit, table.nCacheHit];
    // Nothing is cached: masks 0 to 2 are tried.  Then the cache names the right one.
    table.lookupPacket(words(4), 77);
    expect(counts()).toEqual([3, 0]);
    table.lookupPacket(words(4), 77);
    expect(counts()).toEqual([4, 1]);
    // The same hash, another packet: the named mask fails, then the others, and the entry is corrected.
    table.lookupPacket(words(8), 77);
    expect(counts()).toEqual([8, 1]);
    table.lookupPacket(words(8), 77);
    expect(counts()).toEqual([9, 2]);
    // A miss tries all, and empties the entry.
    expect(table.lookupPacket(words(16), 77)).toBeUndefined();
    expect(counts()).toEqual([13, 2]);
    // Without cache, or hash, every look-up begins at the first mask.
    table.maskCacheSize = 0;
    table.lookupPacket(words(2), 77);
    table.lookupPacket(words(2), 77);
    expect(counts()).toEqual([17, 2]);
    table.maskCacheSize = 256;
    table.lookupPacket(words(2), 0);
    expect(counts()).toEqual([19, 2]);
  });

  test('recirculated packets have cache entries of their own', () => {
    const table = newTable();
    const recirc = (id: number) => {
      const key = words(1);
      key[FIELD.recircId.word] = id;
      return key;
    };
    const full = recirc(-1);
    add(table, recirc(0), words(-1));
    add(table, recirc(5), full);
    for (let i = 0; i < 3; i++) for (const id of [0, 5]) table.lookupPacket(recirc(id), 77);
    // Six look-ups, the first two of them full ones.
    expect(table.nCacheHit).toBe(4);
  });

  test('puts the most used mask first', () => {
    const table = newTable();
    for (let m = 0; m < 8; m++) add(table, words(1 << m), words(1 << m));
    for (let i = 0; i < 5; i++) table.lookupPacket(words(128), 0);
    const before = table.nMaskHit;
    table.rebalanceMasks();
    table.lookupPacket(words(128), 0);
    expect(table.nMaskHit - before).toBe(1);
  });

  test('a dump meets every flow that stays exactly once', () => {
    const table = newTable();
    const flows = Array.from({ length: 100 }, (_, i) => add(table, words(i), words(-1)));
    const seen: Flow[] = [];
    let extra = 1000;
    for (let flow = table.next(0); flow !== undefined; ) {
      seen.push(flow);
      const cursor = flow.index + 1;
      // Take away one that was met and one that was not yet (numbers that 3 divides), and add two others.
      const n = flows.indexOf(flow);
      if (n >= 0 && n % 3 === 0) table.remove(flow);
      const ahead = flows[n + 4];
      if (ahead !== undefined && (n + 4) % 3 === 0 && ahead.index >= 0) table.remove(ahead);
      for (let i = 0; i < 2; i++) add(table, words(extra++), words(-1));
      if (extra > 1100) table.rebalanceMasks();
      flow = seen.length < 1000 ? table.next(cursor) : undefined;
    }
    const stayed = flows.filter((_, i) => i % 3 !== 0);
    for (const flow of stayed) expect(seen.filter((s) => s === flow).length).toBe(1);
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('200,000 flows under 1,000 masks', () => {
    const table = newTable();
    const keyOf = (i: number) => words(i, i % 1000, 5);
    const mask = (i: number) => words(-1, -1 << (i % 4), 4 + (i % 1000));
    const before = process.memoryUsage();
    for (let i = 0; i < 200_000; i++) add(table, keyOf(i), mask(i));
    const after = process.memoryUsage();
    const used = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    expect([table.count, table.nMasks]).toEqual([200_000, 1000]);
    expect(used / 200_000).toBeLessThan(1024);
    for (let i = 0; i < 200_000; i += 997) expect(table.lookupPacket(keyOf(i), i + 1)).toBeDefined();
    expect(table.flush()).toBe(200_000);
  });
});

describe('MaskCache', () => {
  test.each([3, 100, -1, 8192, 1.5])('refuses size %d', (size) => {
    expect(() => new MaskCache(size)).toThrow(RangeError);
  });
  test('a hash has four places', () => {
    const cache = new MaskCache(256);
    const hashes = [0x04030201, 0x0a0b0c01, 0x8d0e0f01 | 0];
    for (const [i, h] of hashes.entries()) cache.set(-1 - cache.find(h), h, i);
    for (const [i, h] of hashes.entries()) expect(cache.maskAt(cache.find(h))).toBe(i);
  });
});

test('setField and setFieldOnes build masks that the table takes', () => {
  const table = newTable();
  const [key, mask] = [newFlowKey(), newFlowKey()];
  setField(key, FIELD.tpDst, 80);
  setFieldOnes(mask, FIELD.tpDst);
  const flow = add(table, key, mask);
  setField(key, FIELD.tpSrc, 1234);
  expect(table.lookupPacket(key, 1)).toBe(flow);
});
