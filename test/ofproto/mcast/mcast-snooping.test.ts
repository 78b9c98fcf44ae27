import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { McastSnooping } from '../../../src/ofproto/mcast/mcast-snooping.ts';
import { FakeClock, setClock } from '../../../src/util/clock.ts';

const LIMITS = { agingSec: 300, maxEntries: 2048, floodsUnregistered: true };
const G = '224.1.1.1';
let clock: FakeClock;
let table: McastSnooping<string>;
beforeEach(() => {
  clock = new FakeClock();
  setClock(clock);
  table = new McastSnooping();
});
afterEach(() => setClock(undefined));

const members = (group = G, vlan = 0): string[] | undefined => {
  const found = table.members(group, vlan);
  return found === undefined ? undefined : [...found];
};
const news = (): boolean => {
  const { needRevalidate } = table;
  table.needRevalidate = false;
  return needRevalidate;
};

describe('McastSnooping', () => {
  it('knows the members of a group, in its VLAN', () => {
    expect(members()).toBeUndefined();
    expect(table.join(G, 0, 'p1')).toBe(true);
    expect(table.join(G, 0, 'p2')).toBe(false);
    expect(news()).toBe(true);
    table.join(G, 0, 'p1');
    expect(news()).toBe(false);
    expect(members()).toEqual(['p2', 'p1']);
    expect(members(G, 5)).toBeUndefined();
  });

  it('lets members leave; a group without members is still one', () => {
    table.join(G, 0, 'p1');
    expect(table.leave(G, 0, 'p2')).toBe(false);
    news();
    expect(table.leave(G, 0, 'p1')).toBe(true);
    expect(news()).toBe(true);
    expect(members()).toEqual([]);
    table.run();
    expect(members()).toBeUndefined();
  });

  it('forgets members that are not heard for the aging time, and routers after 180 s', () => {
    table.join(G, 0, 'p1');
    table.addRouter(0, 'r');
    clock.advance(100_000);
    table.join(G, 0, 'p2');
    clock.advance(79_000);
    table.run();
    expect(table.entries()).toEqual([
      { port: 'p1', vlan: 0, address: G, ageSec: 179 },
      { port: 'p2', vlan: 0, address: G, ageSec: 79 },
      { port: 'r', vlan: 0, address: undefined, ageSec: 179 },
    ]);
    news();
    clock.advance(1000);
    table.run();
    expect([...table.routers]).toEqual([]);
    expect(news()).toBe(true);
    clock.advance(120_000);
    table.run();
    expect(members()).toEqual(['p2']);
    clock.advance(100_000);
    table.run();
    expect(table.entries()).toEqual([]);
  });

  it('makes room at the cost of the group that was heard of longest ago', () => {
    table.configure({ ...LIMITS, maxEntries: 1 });
    for (let i = 1; i <= 10; i++) table.join(`224.1.1.${i}`, 0, 'p1');
    table.join('224.1.1.1', 0, 'p1');
    table.join('224.1.1.11', 0, 'p1');
    expect(members('224.1.1.1')).toEqual(['p1']);
    expect(members('224.1.1.2')).toBeUndefined();
  });

  it('learns nothing of ports that get everything anyway', () => {
    table.addRouter(0, 'r');
    expect(table.join(G, 0, 'r')).toBe(false);
    expect(table.join(G, 5, 'r')).toBe(true);
    table.setPorts(new Set(['f']), new Set(['x']));
    expect(table.join(G, 0, 'f')).toBe(false);
    expect(table.addRouter(0, 'f')).toBe(false);
    // Behind a port that gets all reports may be others.
    table.join(G, 0, 'x');
    expect(table.leave(G, 0, 'x')).toBe(false);
    expect(members()).toEqual(['x']);
  });

  it('says when settings change a look-up', () => {
    table.configure(LIMITS);
    table.setPorts(new Set(), new Set());
    expect(news()).toBe(false);
    table.configure({ ...LIMITS, floodsUnregistered: false });
    expect(news()).toBe(true);
    table.setPorts(new Set(['f']), new Set());
    expect(news()).toBe(true);
    table.setPorts(new Set(['f']), new Set());
    expect(news()).toBe(false);
  });

  it('forgets what it heard on one port, and everything', () => {
    table.join(G, 0, 'p1');
    table.join('224.1.1.2', 0, 'p1');
    table.join('224.1.1.2', 0, 'p2');
    table.addRouter(0, 'p1');
    table.addRouter(0, 'p3');
    table.flushPort('p1');
    expect(table.entries().map((e) => [e.port, e.address])).toEqual([
      ['p2', '224.1.1.2'],
      ['p3', undefined],
    ]);
    news();
    table.flush();
    expect(news()).toBe(true);
    expect(table.entries()).toEqual([]);
    table.flush();
    expect(news()).toBe(false);
  });
});
