import { describe, expect, it } from 'vitest';
import { HashArena } from '../../../src/ofproto/classifier/hash-arena.ts';
import { HashIndex } from '../../../src/ofproto/classifier/hash-index.ts';
import { fc } from '../../support/property.ts';

const N_TABLES = 3;
/** Keys that meet: the same places, and the same bytes. */
const key = fc.integer({ min: 0, max: 40 }).map((n) => (n & 7) | ((n >> 3) << 26) | 0);
const change = fc.record({ table: fc.nat(N_TABLES - 1), key, value: fc.option(fc.nat(9), { nil: undefined }) });

describe('hash tables in one memory', () => {
  it('have what was put into them, whatever the others have', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 300 }), (changes) => {
        const arena = new HashArena();
        const tables = Array.from({ length: N_TABLES }, () => new HashIndex<number>(arena));
        const models = tables.map(() => new Map<number, number>());
        for (const c of changes) {
          const table = tables[c.table] as HashIndex<number>;
          const model = models[c.table] as Map<number, number>;
          const place = table.find(c.key);
          expect(table.values[place]).toBe(model.get(c.key));
          if (c.value !== undefined) {
            table.put(place, c.key, c.value);
            model.set(c.key, c.value);
          } else if (model.delete(c.key)) {
            table.remove(place);
          }
        }
        for (const [i, table] of tables.entries()) {
          const model = models[i] as Map<number, number>;
          for (const [k, value] of model) expect(table.get(k)).toBe(value);
          expect(table.values.filter((v) => v !== undefined).length).toBe(model.size);
        }
        for (const table of tables) table.dispose();
        expect(arena.tags.length).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it('use again what others have left, empty', () => {
    const arena = new HashArena();
    const stays = new HashIndex<number>(arena);
    const goes = new HashIndex<number>(arena);
    for (let k = 0; k < 4; k++) goes.put(goes.find(k), k, 1);
    goes.dispose();
    const before = arena.serial;
    const comes = new HashIndex<number>(arena);
    expect(comes.at).toBe(goes.at);
    expect(arena.serial).not.toBe(before);
    for (let k = 0; k < 4; k++) expect(comes.get(k)).toBeUndefined();
    expect(stays.get(0)).toBeUndefined();
  });
});
