/** Caches of translations that touched the same are one; those that did not are two. */

import { describe, expect, it } from 'vitest';
import type { Rule } from '../../src/ofproto/tables/rule.ts';
import type { XBridge } from '../../src/ofproto/xlate/xbridge.ts';
import { XlateCache } from '../../src/ofproto/xlate/xlate-cache.ts';
import { XLATE_ERROR } from '../../src/ofproto/xlate/xlate-error.ts';

const [web, mail] = [{}, {}] as [Rule, Rule];
const [table, next] = [
  { nMatched: 0n, nMissed: 0n },
  { nMatched: 0n, nMissed: 0n },
];
const bridge = {} as XBridge;
const host = { ofpInPort: 1, mac: 2, vlan: 3, isGarp: false };

function cache(fill: (c: XlateCache) => void): XlateCache {
  const c = new XlateCache();
  fill(c);
  return c;
}
const full = (c: XlateCache) => {
  c.addTable(table, true);
  c.addRule(web);
  c.addLearn(bridge, host);
};

describe('one cache for flows that count the same', () => {
  it('is taken for the same rules, tables and addresses', () => {
    const first = cache(full);
    expect(cache(full).unless(first)).toBe(first);
    expect(first.unless(undefined)).toBe(first);
  });

  // biome-ignore format: a table, one difference a line
  it.each<[what: string, a: (c: XlateCache) => void, b: (c: XlateCache) => void]>([
    ['rules',              (c) => c.addRule(web),          (c) => c.addRule(mail)],
    ['tables',             (c) => c.addTable(table, true), (c) => c.addTable(next, true)],
    ['a match and a miss', (c) => c.addTable(table, true), (c) => c.addTable(table, false)],
    ['kinds',              (c) => c.addRule(web),          (c) => c.addTable(table, true)],
    ['bridges',            (c) => c.addLearn(bridge, host), (c) => c.addLearn({} as XBridge, host)],
    ['ports',              (c) => c.addLearn(bridge, host), (c) => c.addLearn(bridge, { ...host, ofpInPort: 9 })],
    ['addresses',          (c) => c.addLearn(bridge, host), (c) => c.addLearn(bridge, { ...host, mac: 9 })],
    ['VLANs',              (c) => c.addLearn(bridge, host), (c) => c.addLearn(bridge, { ...host, vlan: 9 })],
    ['announcements',      (c) => c.addLearn(bridge, host), (c) => c.addLearn(bridge, { ...host, isGarp: true })],
    ['more of them',       full,                            (c) => { full(c); c.addRule(mail); }],
    ['what is seldom',     (c) => c.addDrop(XLATE_ERROR.OK), (c) => c.addDrop(XLATE_ERROR.OK)],
  ])('is not taken for other %s', (_what, a, b) => {
    const [first, second] = [cache(a), cache(b)];
    expect(second.unless(first)).toBe(second);
    expect(first.unless(second)).toBe(first);
  });
});
