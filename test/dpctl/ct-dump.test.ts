/** Commands that list connections, of one that a UDP packet made. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryHost } from '../support/memory-host.ts';
import { dpctl } from './dpctl-harness.ts';

/** 10.0.0.1:1000 to 10.0.0.2:2000. */
const UDP = '00000000000200000000000108004500002112340000401154960a0000010a00000203e807d0000d9c4768656c6c6f';
const LINE =
  'udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=2000),' +
  'reply=(src=10.0.0.2,dst=10.0.0.1,sport=2000,dport=1000)';

let host: MemoryHost;
const run = (line: string, options = {}) => dpctl(host, line.split(' '), options);

beforeEach(async () => {
  host = new MemoryHost();
  host.addDevice('v1');
  await run('add-dp dp0 v1');
  await run('add-flow dp0 in_port(1),eth(),eth_type(0x0800),ipv4() ct(commit,zone=2,mark=7,label=0x9)');
  host.device('v1').receive(Buffer.from(UDP, 'hex'));
});
afterEach(() => host.close());

test('dump-conntrack prints each connection, of a zone if one is given', async () => {
  const out = `${LINE},zone=2,mark=7,labels=0x9\n`;
  expect(await run('dump-conntrack')).toEqual({ out, err: '', status: 0 });
  expect((await run('dump-conntrack dp0 zone=2')).out).toBe(out);
  expect(await run('dump-conntrack zone=3')).toEqual({ out: '', err: '', status: 0 });
});

test('-m adds identity and status', async () => {
  const { out } = await run('dump-conntrack', { verbosity: 1 });
  expect(out.startsWith(`${LINE},id=`)).toBe(true);
  expect(out).toMatch(/,status=[A-Z_|]*CONFIRMED[A-Z_|]*,/);
});

test('ct-stats-show counts by protocol', async () => {
  expect((await run('ct-stats-show')).out).toBe('Connections Stats:\n    Total: 1\n  UDP: 1\n');
  expect((await run('ct-stats-show zone=3 verbose')).out).toBe('Connections Stats:\n    Total: 0\n');
});

test('ct-bkts has nothing to show', async () => {
  expect((await run('ct-bkts gt=3')).out).toBe('Command is available for UserSpace ConnTracker only.\n');
});
