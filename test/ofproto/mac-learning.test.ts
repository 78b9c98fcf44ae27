import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MacTable } from '../../src/ofproto/mac-learning.ts';
import { FakeClock, setClock } from '../../src/util/clock.ts';

let clock: FakeClock;
let table: MacTable<string>;
beforeEach(() => {
  clock = new FakeClock();
  setClock(clock);
  table = new MacTable();
});
afterEach(() => setClock(undefined));

const portOf = (mac: number, vlan = 0) => table.lookup(mac, vlan)?.port;

describe('MacTable', () => {
  it('learns an address in its VLAN only, and says when that changes a look-up', () => {
    expect(table.update(1, 5, 'p1')).toBe(true);
    expect(table.needRevalidate).toBe(true);
    table.needRevalidate = false;
    expect(table.update(1, 5, 'p1')).toBe(false);
    expect(table.needRevalidate).toBe(false);
    expect(portOf(1, 5)).toBe('p1');
    expect(portOf(1, 6)).toBeUndefined();
    expect(table.update(1, 5, 'p2')).toBe(true);
    expect(portOf(1, 5)).toBe('p2');
    expect(table.needRevalidate).toBe(true);
  });

  it('never learns or finds group addresses', () => {
    expect(table.update(0x010000000001, 0, 'p1')).toBe(false);
    expect(table.size).toBe(0);
    table.update(0x020000000001, 0, 'p1');
    expect(portOf(0x020000000001)).toBe('p1');
  });

  it('forgets an address after the aging time, counted from when it was last seen', () => {
    table.update(1, 0, 'p1');
    clock.advance(200_000);
    table.update(1, 0, 'p1');
    clock.advance(299_000);
    table.run();
    expect(portOf(1)).toBe('p1');
    table.needRevalidate = false;
    clock.advance(1000);
    table.run();
    expect(portOf(1)).toBeUndefined();
    expect(table.needRevalidate).toBe(true);
  });

  it('forgets an address, and tells what a port had', () => {
    table.update(1, 0, 'p1');
    table.update(2, 5, 'p1');
    table.update(3, 0, 'p2');
    expect(table.flushPort('p1').map((e) => [e.mac, e.vlan])).toEqual([
      [1, 0],
      [2, 5],
    ]);
    expect(table.flushPort('p1')).toEqual([]);
    table.forget(3, 1);
    expect(portOf(3)).toBe('p2');
    table.needRevalidate = false;
    table.forget(3, 0);
    expect(portOf(3)).toBeUndefined();
    expect(table.needRevalidate).toBe(true);
  });

  it('brings settings inside their bounds', () => {
    table.configure(1, 1);
    for (let i = 1; i <= 20; i++) table.update(i, 0, 'p1');
    expect(table.size).toBe(10);
    clock.advance(14_000);
    table.run();
    expect(table.size).toBe(10);
    clock.advance(1000);
    table.run();
    expect(table.size).toBe(0);
  });

  it('makes room at the cost of the port that has most', () => {
    table.configure(300, 10);
    table.update(100, 0, 'small');
    clock.advance(5000);
    for (let i = 1; i <= 50; i++) table.update(i, 0, 'greedy');
    expect(table.size).toBe(10);
    expect(portOf(100)).toBe('small');
    expect(portOf(50)).toBe('greedy');
    expect(portOf(1)).toBeUndefined();
  });

  it('keeps static entries where they are, whatever is seen, and when the rest is flushed', () => {
    table.addStatic(1, 0, 'p1');
    table.update(1, 0, 'p2');
    table.update(2, 0, 'p2');
    clock.advance(1_000_000);
    table.update(3, 0, 'p3');
    table.run();
    expect([portOf(1), portOf(2), portOf(3)]).toEqual(['p1', undefined, 'p3']);
    table.flush();
    expect([portOf(1), portOf(3)]).toEqual(['p1', undefined]);
    expect(table.delStatic(1, 0)).toBe(true);
    expect(table.delStatic(1, 0)).toBe(false);
  });

  it('forgets the addresses of one port', () => {
    table.update(1, 0, 'p1');
    table.update(2, 0, 'p2');
    table.flushPort('p1');
    expect([portOf(1), portOf(2)]).toEqual([undefined, 'p2']);
  });

  it('learns nothing on flooded VLANs', () => {
    table.update(1, 7, 'p1');
    expect(table.setFloodVlans([7])).toBe(true);
    expect(table.setFloodVlans([7])).toBe(false);
    expect(portOf(1, 7)).toBeUndefined();
    expect(table.update(1, 7, 'p1')).toBe(false);
    expect(table.update(1, 8, 'p1')).toBe(true);
  });

  it('does not believe, for 5 s, that an address that announced itself has moved behind a bond', () => {
    const alone = { isGratuitousArp: true, isBond: false };
    const reflected = { isGratuitousArp: true, isBond: true };
    table.update(1, 0, 'p1', alone);
    expect(table.update(1, 0, 'bond', reflected)).toBe(false);
    expect(portOf(1)).toBe('p1');
    clock.advance(3000);
    table.update(1, 0, 'p1', alone);
    clock.advance(4000);
    expect(table.update(1, 0, 'bond', reflected)).toBe(false);
    // Other packets do move it.
    expect(table.update(1, 0, 'bond', { isGratuitousArp: false, isBond: true })).toBe(true);
    table.update(1, 0, 'p1', alone);
    clock.advance(5000);
    expect(table.update(1, 0, 'bond', reflected)).toBe(true);
  });

  it('counts', () => {
    table.configure(300, 10);
    for (let i = 1; i <= 12; i++) table.update(i, 0, i % 2 === 0 ? 'even' : 'odd');
    table.update(12, 0, 'odd');
    table.addStatic(11, 0, 'even');
    table.update(11, 0, 'odd');
    expect(table.stats).toEqual({
      ...{ nEntries: 10, maxEntries: 10, nStatic: 1, learned: 12, expired: 0, evicted: 2, moved: 1 },
    });
    clock.advance(301_000);
    table.run();
    expect(table.stats).toMatchObject({ nEntries: 1, nStatic: 1, expired: 9 });
    table.clearStats();
    expect(table.stats).toMatchObject({ nEntries: 1, nStatic: 1, learned: 0, expired: 0, evicted: 0, moved: 0 });
    table.delStatic(11, 0);
    expect(table.stats).toMatchObject({ nEntries: 0, nStatic: 0 });
  });
});
