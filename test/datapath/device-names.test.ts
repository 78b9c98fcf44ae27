import { describe, expect, it } from 'vitest';
import { isDeviceName } from '../../src/datapath/ports/port-factory.ts';

describe('names of devices', () => {
  it.each(['eth0', 'a', 'x'.repeat(15), 'é0', 'ü'.repeat(7), '接口0', '...', 'a.b@c'])('"%s" is one', (name) => {
    expect(isDeviceName(name)).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['a blank', 'a b'],
    ['a tab', 'a\tb'],
    ['a slash', 'a/b'],
    ['a colon', 'a:1'],
    ['16 bytes', 'x'.repeat(16)],
    ['16 bytes of UTF-8', 'ü'.repeat(8)],
    ['a byte that is a blank to the kernel', 'à'],
    ['a pattern', 'tap%d'],
    ['what was no UTF-8', Buffer.from([0x61, 0xff]).toString()],
    ['a folder', '..'],
  ])('%s is none', (_, name) => {
    expect(isDeviceName(name)).toBe(false);
  });
});
