/** The kernel's rules as messages; test-netns/service/routing.test.ts has the kernel itself. */
import { expect, test } from 'vitest';
import { formatRule } from '../../../src/vswitchd/router/routing-rule.ts';
import { ruleOf } from '../../../src/vswitchd/router/system-routes.ts';

const SRC = { src: Buffer.from([10, 1, 0, 0]) };
const COMMON = { table: 1000, protocol: 3, suppressPrefixlen: Buffer.alloc(4, 0xff) };
const v4 = { family: 2, action: 'toTbl' } as const;

const text = (data: object, attrs: object): string | undefined => {
  const rule = ruleOf({ kind: 'rule', data, attrs: { ...COMMON, ...attrs } });
  return rule && formatRule(rule);
};

// biome-ignore format: table
test.each([
  [v4,                                          { table: 254 },            'Cached: 0: from all lookup main'],
  [{ ...v4, srcLen: 16 },                       { ...SRC, priority: 5 },   'Cached: 5: from 10.1.0.0/16  lookup 1000'],
  [{ ...v4, srcLen: 32, flags: { invert: true as const } }, { ...SRC, priority: 6 }, 'Cached: 6: not from 10.1.0.0 lookup 1000'],
  [{ family: 10, action: 'toTbl', srcLen: 8 },  { src: Buffer.from('fc'.padEnd(32, '0'), 'hex') }, 'Cached: 0: from fc00::/8  lookup 1000'],
])('%j %j', (data, attrs, want) => {
  expect(text(data, attrs)).toBe(want);
});

// biome-ignore format: table
test.each([
  ['with a destination',       { ...v4, dstLen: 8 },                          { dst: Buffer.from([9, 0, 0, 0]) }],
  ['with a TOS',               { ...v4, tos: 4 },                             {}],
  ['with a mark',              v4,                                            { fwmark: 4, fwmask: 0xffffffff }],
  ['with a device',            v4,                                            { iifname: 'eth0' }],
  ['with ports',               v4,                                            { dportRange: { start: 1, end: 2 } }],
  ['that goes on elsewhere',   { ...v4, action: 'goto' },                     { goto: 100 }],
  ['that drops',               { ...v4, action: 'unreachable' },              {}],
  ['that selects nothing',     { ...v4, flags: { invert: true as const } },   {}],
  ['without a table',          v4,                                            { table: undefined }],
  ['of another family',        { ...v4, family: 7 },                          {}],
])('a rule %s is left out', (_, data, attrs) => {
  expect(text(data, attrs)).toBeUndefined();
});
