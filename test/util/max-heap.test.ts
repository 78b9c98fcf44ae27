import { describe, expect, it } from 'vitest';
import { MaxHeap } from '../../src/util/max-heap.ts';
import { fc } from '../support/property.ts';

describe('MaxHeap', () => {
  it('is empty at first', () => {
    const heap = new MaxHeap<string>();
    expect(heap.max).toBeUndefined();
    expect(heap.delete('a')).toBe(false);
  });

  it('keeps the first of equals in front', () => {
    const heap = new MaxHeap<string>();
    for (const item of ['a', 'b', 'c']) heap.set(item, 1);
    expect(heap.max).toBe('a');
    heap.set('c', 2);
    expect(heap.max).toBe('c');
    heap.set('b', 2);
    expect(heap.max).toBe('c');
    heap.set('c', 1);
    expect(heap.max).toBe('b');
  });

  it('always has an item of the greatest priority in front', () => {
    const step = fc.tuple(
      fc.integer({ min: 0, max: 20 }),
      fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new MaxHeap<number>();
        const plain = new Map<number, number>();
        for (const [item, priority] of steps) {
          if (priority === undefined) expect(heap.delete(item)).toBe(plain.delete(item));
          else {
            heap.set(item, priority);
            plain.set(item, priority);
          }
          expect(heap.size).toBe(plain.size);
          const max = heap.max === undefined ? undefined : plain.get(heap.max);
          expect(max).toBe(plain.size === 0 ? undefined : Math.max(...plain.values()));
        }
      }),
    );
  });
});
