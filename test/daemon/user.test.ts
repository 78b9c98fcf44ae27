import { expect, test } from 'vitest';
import { findUser, type Lookup } from '../../src/daemon/user.ts';

const ROWS: Record<string, string> = {
  'passwd 0': 'root:x:0:0:root:/root:/bin/sh',
  'passwd ovs': 'ovs:x:105:110::/:/usr/sbin/nologin',
  'group ovs': 'ovs:x:110:',
  'group net': 'net:x:120:other,ovs',
  'group alien': 'alien:x:130:other',
};
const lookup: Lookup = (database, key) => ROWS[`${database} ${key}`]?.split(':');

test.each([
  ['ovs', { uid: 105, gid: 110 }],
  ['ovs:', { uid: 105, gid: 110 }],
  ['ovs:ovs', { uid: 105, gid: 110 }],
  [' ovs:net', { uid: 105, gid: 120 }],
  ['', { uid: 0, gid: 0 }],
])('%j', (spec, want) => {
  expect(findUser(spec, lookup)).toEqual(want);
});

test.each([
  ['nobody', 'user nobody not found, aborting.'],
  ['ovs:none', 'group none not found, aborting.'],
  ['ovs:alien', 'Invalid --user option ovs:alien (user ovs is not in group alien), aborting.'],
])('%j is refused', (spec, text) => {
  expect(() => findUser(spec, lookup)).toThrow(text);
});

test('the real databases are asked', () => {
  expect(findUser('root')).toEqual({ uid: 0, gid: 0 });
  expect(() => findUser('no-such-user-here')).toThrow('user no-such-user-here not found');
});
