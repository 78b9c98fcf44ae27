/** What links can do, from the kernel's answers to OpenFlow's bits and the database's columns. */
import { describe, expect, test, vi } from 'vitest';
import { ERRNO } from '../../../src/util/errno.ts';
import { featuresOf, LinkModes, NO_FEATURES } from '../../../src/vswitchd/devices/link-modes.ts';
import { RtnetlinkTable } from '../../../src/vswitchd/devices/rtnetlink-table.ts';
import { linkColumns } from '../../../src/vswitchd/status/iface-status.ts';

const bits = (...set: number[]): Uint8Array => {
  const bytes = new Uint8Array(16);
  for (const n of set) bytes[n >> 3] = (bytes[n >> 3] ?? 0) | (1 << (n & 7));
  return bytes;
};
const NOT_KNOWN = 0xffff_ffff;

describe('features', () => {
  test.each([
    ['a veth', { speed: 10_000, duplex: 1, autoneg: 0 }, 0, 0x840],
    ['copper, negotiated', { speed: 1000, duplex: 1, autoneg: 1 }, 0, 0x2820],
    ['half duplex over fibre', { speed: 100, duplex: 0, autoneg: 0 }, 3, 0x1004],
    ['a speed that OpenFlow does not know', { speed: 25_000, duplex: 1, autoneg: 0 }, 0xff, 0],
    ['nobody knows', { speed: NOT_KNOWN, duplex: 0xff, autoneg: 0 }, 0xff, 0],
    ['nothing told', {}, undefined, 0],
  ])('%s', (_name, modes, port, curr) => {
    expect(featuresOf(modes, port)).toEqual({ curr, advertised: 0, supported: 0 });
  });

  test('what is advertised, and what is supported', () => {
    const ours = { value: bits(5, 6, 7, 13), mask: bits(0, 1, 2, 3, 5, 6, 7, 12, 13, 14, 40) };
    expect(featuresOf({ ours }, undefined)).toEqual({ curr: 0, advertised: 0x6820, supported: 0xe86f });
  });
});

test.each([
  [0x840, { duplex: 'full', link_speed: 1e10 }],
  [0x1004, { duplex: 'half', link_speed: 1e8 }],
  [0x2000, { duplex: undefined, link_speed: undefined }],
])('columns of %i', (curr, columns) => expect(linkColumns(curr)).toEqual(columns));

test('a device that has no link, or is none', async () => {
  const table = await RtnetlinkTable.open();
  try {
    expect(table.features('lo')).toEqual({ curr: 0, advertised: 0, supported: 0 });
    expect(table.features('no-such-device')).toBeUndefined();
    await expect(table.setMtu('no-such-device', 1500)).rejects.toMatchObject({ errno: ERRNO.ENODEV });
    await new Promise((done) => setTimeout(done, 50));
    expect(table.features('lo')).toEqual({ curr: 0, advertised: 0, supported: 0 });
  } finally {
    table.close();
  }
});

describe('when the kernel answers', () => {
  const FAST = { curr: 0x840, advertised: 0, supported: 0 };

  /** A kernel that says `features` of every device as soon as `answer` is called; names that changes were told of. */
  function makeModes(features = FAST) {
    const changed: string[] = [];
    const modes = new LinkModes({ open: () => expect.fail('nothing is sent'), peer: 0 }, (name) => changed.push(name));
    let answer: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const kernel = modes as unknown as { ask(): Promise<typeof features> };
    vi.spyOn(kernel, 'ask').mockImplementation(() => asked.then(() => features));
    return { modes, changed, answer: () => answer() };
  }

  test('who asked before is told of a change', async () => {
    const { modes, changed, answer } = makeModes();
    const device = { name: 'p1', ifindex: 1 };
    expect(modes.get(device)).toEqual(NO_FEATURES);
    answer();
    await modes.learn(device);
    expect(modes.get(device)).toEqual(FAST);
    expect(changed).toEqual(['p1']);
  });

  test('who waited is told at once, and of no change', async () => {
    const { modes, changed, answer } = makeModes();
    const device = { name: 'p1', ifindex: 1 };
    const learnt = modes.learn(device);
    answer();
    await learnt;
    expect(modes.get(device)).toEqual(FAST);
    expect(changed).toEqual([]);
  });

  test('a device that has changed is asked again, and who knew it as it was is told', async () => {
    const { modes, changed, answer } = makeModes();
    modes.get({ name: 'p1', ifindex: 1 });
    const now = { name: 'p1', ifindex: 1 };
    const learnt = modes.learn(now);
    answer();
    await learnt;
    expect(modes.get(now)).toEqual(FAST);
    expect(changed).toEqual(['p1']);
  });
});
