/** ct-set-limits and its like: what a recorded case (golden.test.ts) does not ask. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryHost } from '../support/memory-host.ts';
import { dpctl } from './dpctl-harness.ts';

let host: MemoryHost;
const run = (line: string) => dpctl(host, line.split(' '));

beforeEach(async () => {
  host = new MemoryHost();
  await run('add-dp dp0');
});
afterEach(() => host.close());

// biome-ignore format: table
test.each([
  { line: 'ct-set-limits default=x',             complaint: 'invalid default limit' },
  { line: 'ct-set-limits zone=1,limit=1,count=2', complaint: 'invalid zone limit field: count' },
  { line: 'ct-set-limits zone=1,limit=5x',       complaint: 'failed to parse field limit' },
  { line: 'ct-del-limits dp0',                   complaint: 'invalid argument ' },
  { line: 'ct-del-limits bogus',                 complaint: 'invalid argument bogus' },
  { line: 'ct-get-limits zone=',                 complaint: 'invalid zone' },
])('$line is refused and changes nothing', async ({ line, complaint }) => {
  await run('ct-set-limits default=7 zone=3,limit=4');
  expect(await run(line)).toEqual({ out: '', err: `ovs-dpctl: ${complaint} (Invalid argument)\n`, status: 1 });
  expect((await run('ct-get-limits')).out).toBe('default limit=7\nzone=3,limit=4,count=0\n');
});

test('the default limit is taken away by its name, with zones or alone', async () => {
  await run('ct-set-limits default=7 zone=3,limit=4 zone=5,limit=6');
  expect((await run('ct-del-limits dp0 default zone=3')).status).toBe(0);
  expect((await run('ct-get-limits')).out).toBe('default limit=0\nzone=5,limit=6,count=0\n');
  await run('ct-set-limits default=7');
  expect((await run('ct-del-limits default')).status).toBe(0);
  expect((await run('ct-get-limits')).out).toBe('default limit=0\nzone=5,limit=6,count=0\n');
});

test('numbers may be hexadecimal or octal in a limit', async () => {
  expect((await run('ct-set-limits dp0 zone=0x10,limit=017')).status).toBe(0);
  expect((await run('ct-get-limits dp0 zone=16')).out).toBe('default limit=0\nzone=16,limit=15,count=0\n');
});
