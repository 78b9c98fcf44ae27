/** What the table of devices makes of answers and notifications that cross each other. */
import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { MessageWriter } from '../../../src/netlink/message.ts';
import type { NetlinkReceiver, NetlinkTransport } from '../../../src/netlink/transport.ts';
import { setConsole } from '../../../src/util/vlog.ts';
import { type LinkRequests, RtnetlinkTable } from '../../../src/vswitchd/devices/rtnetlink-table.ts';

const RTM_NEWLINK = 16;
const IFLA_IFNAME = 3;
const IFF_UP = 1;
const LONG = { timeout: 60_000 };

type Links = Awaited<ReturnType<LinkRequests['getLinks']>>;

/** A kernel that answers when it is told to, and its notifications. */
class FakeKernel {
  private readonly waiting: { resolve(links: Links): void; reject(error: Error): void }[] = [];
  private receiver: NetlinkReceiver | null = null;

  get requests(): LinkRequests {
    const answer = () => new Promise<Links>((resolve, reject) => this.waiting.push({ resolve, reject }));
    const socket = Object.assign(new EventEmitter(), { close: () => undefined });
    return { getLink: answer, getLinks: answer, socket } as unknown as LinkRequests;
  }

  get notifications(): NetlinkTransport {
    return {
      portId: 1,
      send: () => 0,
      sendMany: () => 0,
      multicast: () => 0,
      join: () => undefined,
      leave: () => undefined,
      receive: (receiver) => {
        this.receiver = receiver;
      },
      setRef: () => undefined,
      close: () => undefined,
    };
  }

  answer(...links: { index: number; ifname: string; up: boolean }[]): void {
    const messages = links.map(({ index, ifname, up }) => ({
      kind: 'link',
      data: { index, flags: { up } },
      attrs: { ifname },
    }));
    this.waiting.shift()?.resolve(messages as unknown as Links);
  }

  fail(): void {
    this.waiting.shift()?.reject(new Error('not now'));
  }

  get isAsked(): boolean {
    return this.waiting.length > 0;
  }

  notify(index: number, ifname: string, isUp: boolean): void {
    const w = new MessageWriter(128);
    w.attrString(IFLA_IFNAME, ifname);
    const size = 16 + 16 + w.size;
    const bytes = new Uint8Array(size);
    const dv = new DataView(bytes.buffer);
    dv.setUint32(0, size, true);
    dv.setUint16(4, RTM_NEWLINK, true);
    dv.setInt32(16 + 4, index, true);
    dv.setUint32(16 + 8, isUp ? IFF_UP : 0, true);
    bytes.set(w.bytes.subarray(0, w.size), 32);
    this.receiver?.datagram(bytes, dv, 0, size, 0);
  }

  overflow(): void {
    this.receiver?.overflow?.();
  }
}

async function opened() {
  const kernel = new FakeKernel();
  const opening = RtnetlinkTable.open(kernel.notifications, kernel.requests, kernel.requests);
  await expect.poll(() => kernel.isAsked, LONG).toBe(true);
  kernel.answer({ index: 3, ifname: 'p3', up: true }, { index: 4, ifname: 'p4', up: true });
  return { kernel, table: await opening };
}

test('an answer about one device does not undo what was told meanwhile', async () => {
  const { kernel, table } = await opened();
  const refreshed = table.refresh('p3');
  kernel.notify(3, 'p3', false);
  kernel.answer({ index: 3, ifname: 'p3', up: true });
  expect(await refreshed).toMatchObject({ isUp: false });
  expect(table.get('p3')?.isUp).toBe(false);
});

test('options that mean nothing to a device are said once', async () => {
  const { table } = await opened();
  const lines: string[] = [];
  setConsole((line) => lines.push(line));
  const options = new Map([['n_rxq', '2']]);
  for (const given of [new Map(), options, options]) table.configure('p3', 'system', given);
  setConsole(undefined);
  expect(lines.map((line) => line.trim().split('|').slice(2).join('|'))).toEqual([
    'netdev|WARN|p3: arguments provided to device that is not configurable',
  ]);
});

test('nor does a look at all devices, which finds the rest', async () => {
  const { kernel, table } = await opened();
  kernel.overflow();
  await expect.poll(() => kernel.isAsked, LONG).toBe(true);
  kernel.notify(3, 'p3', false);
  kernel.notify(5, 'p5', true);
  kernel.answer({ index: 3, ifname: 'p3', up: true }, { index: 6, ifname: 'p6', up: true });
  await expect.poll(() => table.get('p6')?.isUp, LONG).toBe(true);
  expect(table.get('p3')?.isUp).toBe(false);
  expect(table.get('p5')?.isUp).toBe(true);
  expect(table.get('p4')).toBeUndefined();
});

test('a look at all devices that failed is followed by another', async () => {
  const { kernel, table } = await opened();
  kernel.overflow();
  await expect.poll(() => kernel.isAsked, LONG).toBe(true);
  kernel.fail();
  await expect.poll(() => kernel.isAsked, LONG).toBe(true);
  kernel.answer({ index: 6, ifname: 'p6', up: true });
  await expect.poll(() => table.get('p6')?.isUp, LONG).toBe(true);
});
