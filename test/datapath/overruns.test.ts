/** A client that cannot take more is told that it lost something, once, when it can. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Overruns } from '../../src/datapath/commands/overruns.ts';
import { MemoryNetlink, type NetlinkTransport } from '../../src/netlink/transport.ts';
import { ERRNO } from '../../src/util/errno.ts';

const QUEUE = 256;
const MESSAGE = new Uint8Array(64);
const net = new MemoryNetlink();
let server: NetlinkTransport;
let client: NetlinkTransport;
let overruns: Overruns;

beforeEach(() => {
  vi.useFakeTimers();
  server = net.open();
  client = net.open(0, QUEUE);
  overruns = new Overruns(server);
});
afterEach(() => {
  overruns.close();
  server.close();
  client.close();
  vi.useRealTimers();
});

function send(to = client.portId): number {
  const sent = server.send(MESSAGE, 0, MESSAGE.length, to);
  overruns.check(sent, to);
  return sent;
}

/** What the client gets from now on. */
function listen(): string[] {
  const got: string[] = [];
  client.receive({
    datagram: (_bytes, _dv, _offset, size) => got.push(`${size} bytes`),
    overflow: () => got.push('overflow'),
  });
  return got;
}

test('a full queue, told when there is room', async () => {
  for (let i = 0; i < QUEUE / MESSAGE.length; i++) expect(send()).toBe(MESSAGE.length);
  for (let i = 0; i < 3; i++) expect(send()).toBe(-ERRNO.EAGAIN);
  await vi.advanceTimersByTimeAsync(2000);
  const got = listen();
  await vi.advanceTimersByTimeAsync(1000);
  expect(got).toEqual([...Array(4).fill('64 bytes'), 'overflow']);
  expect(vi.getTimerCount()).toBe(0);

  // It is told again only if it loses again.
  send();
  await vi.advanceTimersByTimeAsync(1000);
  expect(got.slice(5)).toEqual(['64 bytes']);
});

test('a client that is gone is forgotten', async () => {
  while (send() >= 0);
  expect(vi.getTimerCount()).toBe(1);
  client.close();
  await vi.advanceTimersByTimeAsync(1000);
  expect(vi.getTimerCount()).toBe(0);
  expect(send()).toBe(-ERRNO.ECONNREFUSED);
  expect(vi.getTimerCount()).toBe(0);
});

test('nothing lost, nothing told', async () => {
  const got = listen();
  for (let i = 0; i < 10; i++) {
    send();
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(got).toEqual(Array(10).fill('64 bytes'));
  expect(vi.getTimerCount()).toBe(0);
});
