import { expect, test } from 'vitest';
import { Bundles } from '../../../src/ofproto/connmgr/bundles.ts';
import { defaultAsync, mergeAsync, OFPR } from '../../../src/ofproto/connmgr/events/async-masks.ts';
import { parseTarget } from '../../../src/ofproto/connmgr/service/target.ts';

test.each([
  ['punix:br0.mgmt', { isPassive: true, kind: 'unix', path: '/run/br0.mgmt' }],
  ['unix:/tmp/x', { isPassive: false, kind: 'unix', path: '/tmp/x' }],
  ['tcp:10.0.0.1', { isPassive: false, kind: 'tcp', host: '10.0.0.1', port: 6653 }],
  ['tcp:[::1]:7000', { isPassive: false, kind: 'tcp', host: '::1', port: 7000 }],
  ['ptcp:', { isPassive: true, kind: 'tcp', host: undefined, port: 6653 }],
  ['pssl:0:127.0.0.1', { isPassive: true, kind: 'ssl', host: '127.0.0.1', port: 0 }],
])('target %s', (text, want) => expect(parseTarget(text, '/run')).toEqual(want));

test.each(['', 'udp:1.2.3.4', 'tcp:', 'tcp:a:b', 'tcp:::1', 'unix:', 'ptcp:99999'])('no target: %j', (text) => {
  expect(() => parseTarget(text, '/run')).toThrow(RangeError);
});

test('before 1.3 misses come without being asked for, and actions are all alike', () => {
  const miss = 1 << OFPR.IMPLICIT_MISS;
  expect(defaultAsync(1).primary.packetIn & miss).toBe(miss);
  expect(defaultAsync(4).primary.packetIn & miss).toBe(0);
  const said = { primary: { packetIn: 1 << OFPR.ACTION }, secondary: {} };
  const all = (1 << OFPR.ACTION) | (1 << OFPR.ACTION_SET) | (1 << OFPR.GROUP) | (1 << OFPR.PACKET_OUT);
  expect(mergeAsync(defaultAsync(1), said, 1).primary.packetIn).toBe(all);
  expect(mergeAsync(defaultAsync(5), said, 5).primary.packetIn).toBe(1 << OFPR.ACTION);
});

const entry = { begin: () => ({}), bytes: new Uint8Array([1]) };

test('a mistake forgets a bundle', () => {
  const bundles = new Bundles();
  bundles.open(1, 3, new Uint8Array(), 0);
  bundles.add(1, 3, entry, 0);
  expect(() => bundles.add(1, 1, entry, 0)).toThrow('OFPBFC_BAD_FLAGS');
  expect(() => bundles.take(1, 3)).toThrow('OFPBFC_BAD_ID');
  bundles.add(2, 0, entry, 0);
  bundles.close(2, 0, 0);
  expect(() => bundles.add(2, 0, entry, 0)).toThrow('OFPBFC_BUNDLE_CLOSED');
  expect(bundles.size).toBe(0);
});

test('messages of a connection that wait in bundles are so many and no more', () => {
  const bundles = new Bundles(3);
  bundles.add(1, 0, entry, 0);
  bundles.add(2, 0, entry, 0);
  bundles.add(2, 0, entry, 0);
  expect(() => bundles.add(1, 0, entry, 0)).toThrow('OFPBFC_MSG_TOO_MANY');
  // What it had waits no longer, as the bundle is gone.
  bundles.add(3, 0, entry, 0);
  expect(bundles.take(2, 0).entries.length).toBe(2);
  for (let i = 0; i < 2; i++) bundles.add(3, 0, entry, 0);
  expect(() => bundles.add(3, 0, entry, 0)).toThrow('OFPBFC_MSG_TOO_MANY');
  expect(bundles.size).toBe(0);
});

test('a bundle that nothing is done with is given up after the time given', () => {
  const bundles = new Bundles();
  bundles.open(7, 0, new Uint8Array([9]), 1000);
  const failed: Uint8Array[] = [];
  bundles.expire(4999, 4000, (opening) => failed.push(opening));
  expect(failed).toEqual([]);
  bundles.expire(5000, 4000, (opening) => failed.push(opening));
  expect(failed).toEqual([new Uint8Array([9])]);
  expect(bundles.size).toBe(0);
});
