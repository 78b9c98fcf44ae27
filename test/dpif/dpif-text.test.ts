import { afterEach, expect, test } from 'vitest';
import { errnoOf } from '../../src/dpif/dpif-error.ts';
import { DpifProviders, dpifFullName, parseDpName } from '../../src/dpif/dpif-name.ts';
import { formatFlowStats, formatTcpFlagLetters } from '../../src/dpif/flow-stats.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import { FakeClock, setClock } from '../../src/util/clock.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { setConsole } from '../../src/util/vlog.ts';

afterEach(() => {
  setClock(undefined);
  setConsole(undefined);
});

// biome-ignore format: table
const STATS = [
  { stats: { nPackets: 0, nBytes: 0, used: 0, tcpFlags: 0 },              text: 'packets:0, bytes:0, used:never' },
  { stats: { nPackets: 3, nBytes: 294, used: 999_690, tcpFlags: 0 },      text: 'packets:3, bytes:294, used:0.310s' },
  { stats: { nPackets: 1, nBytes: 60, used: 1_000_000, tcpFlags: 0x12 },  text: 'packets:1, bytes:60, used:0.000s, flags:S.' },
  { stats: { nPackets: 2 ** 40, nBytes: 2 ** 63, used: 1, tcpFlags: 1 }, text: 'packets:1099511627776, bytes:9223372036854775808, used:999.999s, flags:F' },
];
test.each(STATS)('$text', ({ stats, text }) => {
  setClock(new FakeClock(1_000_000));
  expect(formatFlowStats(stats)).toBe(text);
});

test('TCP flags have letters, and the reserved ones numbers', () => {
  expect(formatTcpFlagLetters(0)).toBe('none');
  expect(formatTcpFlagLetters(0x1ff)).toBe('SFPRU.ECN');
  expect(formatTcpFlagLetters(0xe00)).toBe('[200][400][800]');
});

// biome-ignore format: table
const NAMES = [
  { text: 'dp0',        type: 'system', name: 'dp0' },
  { text: 'system@dp0', type: 'system', name: 'dp0' },
  { text: 'foo@bar@b',  type: 'foo',    name: 'bar@b' },
  { text: '@dp0',       type: 'system', name: 'dp0' },
];
test.each(NAMES)('datapath "$text"', ({ text, type, name }) => {
  expect(parseDpName(text)).toEqual({ type, name });
  expect(dpifFullName(parseDpName(text))).toBe(`${type}@${name}`);
});

test('an errno is found in what has one; anything else is EINVAL', () => {
  expect(errnoOf(new NetlinkError(ERRNO.ENODEV, 'x'))).toBe(ERRNO.ENODEV);
  expect(errnoOf(Object.assign(new Error('open'), { errno: -2 }))).toBe(ERRNO.ENOENT);
  expect(errnoOf(new RangeError('x'))).toBe(ERRNO.EINVAL);
  expect(errnoOf('text')).toBe(ERRNO.EINVAL);
});

test('an unknown type is an error, and logged', async () => {
  const lines: string[] = [];
  setConsole((l) => lines.push(l.replace(/^[^|]*\|\d+\|/, '')));
  const providers = new DpifProviders([]);
  await expect(providers.open({ type: 'foo', name: 'bar' }, false)).rejects.toMatchObject({
    errno: ERRNO.EAFNOSUPPORT,
  });
  await expect(providers.enumerate('foo')).rejects.toMatchObject({ errno: ERRNO.EAFNOSUPPORT });
  expect(lines).toEqual([
    'dpif|WARN|could not create datapath bar of unknown type foo\n',
    'dpif|WARN|could not enumerate unknown type: foo\n',
  ]);
});
