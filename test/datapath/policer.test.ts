/** The policer of ports: two buckets, and what they let through. */
import { describe, expect, it, test } from 'vitest';
import { type Policer, policerOf } from '../../src/datapath/ports/policer.ts';

const NONE = { kbitsRate: 0, kbitsBurst: 0, kpktsRate: 0, kpktsBurst: 0 };
const HEADER = 14;

function policer(limits: Partial<typeof NONE>): Policer {
  const made = policerOf({ ...NONE, ...limits });
  if (made === undefined) throw new Error('nothing is limited');
  made.refill(1000);
  return made;
}
/** How many of `n` frames of `size` bytes come in. */
const admitted = (p: Policer, n: number, size: number): number =>
  Array.from({ length: n }, () => p.admits(size)).filter(Boolean).length;

test('no rate is no policer, whatever the bursts', () => {
  expect(policerOf({ ...NONE, kbitsBurst: 5, kpktsBurst: 5 })).toBeUndefined();
});

describe('bytes', () => {
  it('begins with a burst of 1024 bits each, and goes on at 1000 bits a ms', () => {
    const p = policer({ kbitsRate: 8000, kbitsBurst: 80 });
    expect(admitted(p, 100, 1024 + HEADER)).toBe(10);
    expect(p.nDropped).toBe(90);
    p.refill(1002);
    expect(admitted(p, 100, 1000 + HEADER)).toBe(2);
    p.refill(1_000_000);
    expect(admitted(p, 100, 1024 + HEADER)).toBe(10);
  });

  it('never lets in a packet larger than the burst', () => {
    const p = policer({ kbitsRate: 1_000_000, kbitsBurst: 8 });
    expect([p.admits(1024 + HEADER + 1), p.admits(1024 + HEADER)]).toEqual([false, true]);
  });

  it('lets a small one in where a large one found too little', () => {
    const p = policer({ kbitsRate: 1, kbitsBurst: 8 });
    expect([p.admits(1000), p.admits(1000), p.admits(50)]).toEqual([true, false, true]);
  });
});

describe('packets', () => {
  it('are counted by the thousand, whatever their size', () => {
    const p = policer({ kpktsRate: 2, kpktsBurst: 1 });
    expect(admitted(p, 1500, 65_000)).toBe(1000);
    p.refill(1010);
    expect(admitted(p, 100, 60)).toBe(20);
  });

  it('have to satisfy both, and one that does not takes nothing', () => {
    const p = policer({ kbitsRate: 8, kbitsBurst: 8, kpktsRate: 1, kpktsBurst: 1 });
    expect(admitted(p, 10, 2000)).toBe(0);
    expect(admitted(p, 10, 1024 + HEADER)).toBe(1);
  });
});
