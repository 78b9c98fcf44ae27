/** The table of links against a kernel made of messages: dumps, notifications, TAPs that move, counters. */
import { describe, expect, test } from 'vitest';
import { LinkTable } from '../../src/datapath/ports/link-table.ts';
import { SystemPorts } from '../../src/datapath/ports/port-factory.ts';
import type { NativeNetlinkSocket } from '../../src/native/index.ts';
import { NLM_F, NLMSG } from '../../src/netlink/constants.ts';
import {
  ARPHRD,
  IFINFOMSG,
  IFINFOMSG_SIZE,
  IFLA,
  type LinkAttrs,
  RTM_LINK,
} from '../../src/netlink/families/rt-link.ts';
import { MessageView, MessageWriter } from '../../src/netlink/message.ts';
import { Arena, SLOT_SIZE } from '../../src/packet/packet.ts';
import { ERRNO } from '../../src/util/errno.ts';

interface FakeLink {
  readonly index: number;
  readonly attrs: LinkAttrs;
}

/** Links by namespace, and the datagrams that wait in each of its sockets. */
class FakeKernel {
  readonly links = new Map<number, FakeLink[]>([[-1, []]]);
  readonly sockets: Uint8Array[][] = [];
  isOverflowing = false;

  readonly open = (): NativeNetlinkSocket => {
    const queue: Uint8Array[] = [];
    this.sockets.push(queue);
    return {
      portId: this.sockets.length,
      fd: -1,
      send: (bytes, offset, size) => {
        this.answer(Uint8Array.from(bytes.subarray(offset, offset + size)), queue);
        return size;
      },
      sendMany: () => 0,
      receive: (buffer, stride, max, info) => {
        if (this.isOverflowing && queue === this.sockets[1]) {
          this.isOverflowing = false;
          return -ERRNO.ENOBUFS;
        }
        const taken = queue.splice(0, max);
        taken.forEach((bytes, i) => {
          buffer.set(bytes, i * stride);
          info[2 * i] = bytes.length;
          info[2 * i + 1] = 0;
        });
        return taken.length === 0 ? -ERRNO.EAGAIN : taken.length;
      },
      joinGroup: () => {},
      leaveGroup: () => {},
      poll: () => {},
      setRef: () => {},
      close: () => {},
    };
  };

  add(index: number, attrs: LinkAttrs, nsid = -1): void {
    this.links.set(nsid, [...(this.links.get(nsid) ?? []), { index, attrs }]);
    if (nsid === -1) this.tell(RTM_LINK.NEWLINK, index, attrs);
  }
  remove(index: number, extra: LinkAttrs = {}): void {
    const list = this.links.get(-1) ?? [];
    const link = list.find((l) => l.index === index);
    this.links.set(
      -1,
      list.filter((l) => l !== link),
    );
    this.tell(RTM_LINK.DELLINK, index, { ...link?.attrs, ...extra });
  }
  /** Puts a notification into the socket that listens, if it is open yet. */
  tell(type: number, index: number, attrs: LinkAttrs, family = 0): void {
    this.sockets[1]?.push(message(type, 0, 0, index, attrs, family));
  }

  private answer(bytes: Uint8Array, queue: Uint8Array[]): void {
    const msg = new MessageView();
    if (!msg.set(new DataView(bytes.buffer), 0, bytes.length)) throw new Error('a request is cut');
    const { index } = IFINFOMSG.read(msg.dv, msg.payload, IFINFOMSG_SIZE);
    const at = msg.payload + IFINFOMSG_SIZE;
    const { targetNetnsid } = IFLA.read(msg.dv, at, msg.end - at);
    const links = this.links.get(targetNetnsid ?? -1) ?? [];
    if ((msg.flags & NLM_F.DUMP) !== 0) {
      for (const l of links) queue.push(message(RTM_LINK.NEWLINK, NLM_F.MULTI, msg.seq, l.index, l.attrs));
      queue.push(verdict(NLMSG.DONE, msg.seq, 0));
      return;
    }
    const link = links.find((l) => l.index === index);
    if (link === undefined) queue.push(verdict(NLMSG.ERROR, msg.seq, -ERRNO.ENODEV));
    else queue.push(message(RTM_LINK.NEWLINK, 0, msg.seq, index, link.attrs));
  }
}

function message(type: number, flags: number, seq: number, index: number, attrs: LinkAttrs, family = 0): Uint8Array {
  const w = new MessageWriter();
  const at = w.begin(type, flags, seq, 0);
  w.reserve(IFINFOMSG_SIZE);
  w.size = IFINFOMSG.write(w.dv, w.size, { family, pad: 0, type: ARPHRD.ETHER, index, flags: 1, change: 0 });
  w.attrs(IFLA, attrs);
  w.end(at);
  return w.bytes.slice(0, w.size);
}
function verdict(type: number, seq: number, value: number): Uint8Array {
  const w = new MessageWriter();
  const at = w.begin(type, NLM_F.MULTI, seq, 0);
  w.reserve(4);
  w.dv.setInt32(w.size, value, true);
  w.size += 4;
  w.end(at);
  return w.bytes.slice(0, w.size);
}

const counters = (rxPackets: bigint) => ({
  ...{ rxPackets, txPackets: 2n, rxBytes: 3n, txBytes: 4n },
  ...{ rxErrors: 5n, txErrors: 6n, rxDropped: 7n, txDropped: 8n },
});
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 9);

function start() {
  const kernel = new FakeKernel();
  kernel.add(1, { ifname: 'lo', mtu: 65536 });
  kernel.add(2, { ifname: 'v1', mtu: 1500, master: 9, linkinfo: { kind: 'veth' }, stats64: counters(1n) });
  const gone: number[] = [];
  const links = new LinkTable(kernel.open, { gone: (ifindex) => gone.push(ifindex) });
  return { kernel, links, gone };
}

describe('tunnels', () => {
  /** An attribute of IFLA_INFO_DATA. */
  const attr = (type: number, ...value: number[]) => Uint8Array.of(4 + value.length, 0, type, 0, ...value);
  const vxlanId = [8, 0, 1, 0, 42, 0, 0, 0];

  // biome-ignore format: table
  test.each<[boolean, string, Uint8Array | undefined]>([
    [false, 'veth',      undefined],
    [false, 'vxlan',     undefined],
    [false, 'vxlan',     Uint8Array.of(...vxlanId)],
    [false, 'vxlan',     Uint8Array.of(...vxlanId, ...attr(25, 0))],
    [true,  'vxlan',     Uint8Array.of(...vxlanId, ...attr(25, 1))],
    [true,  'geneve',    attr(6)],
    [false, 'gretap',    attr(6)],
    [true,  'gretap',    attr(18)],
    [true,  'ip6erspan', attr(18)],
    [true,  'bareudp',   undefined],
  ])('are refused as ports if they take metadata: %s, %s %j', (collectsMetadata, kind, data) => {
    const { kernel, links } = start();
    kernel.add(3, { ifname: 'tun3', mtu: 1400, linkinfo: data === undefined ? { kind } : { kind, data } });
    links.sync();
    expect(links.byIndex(3)).toMatchObject({ kind, collectsMetadata });
    const stop = new Error('it would be opened');
    const open = () =>
      new SystemPorts(new Arena(new ArrayBuffer(SLOT_SIZE)), links, () => {}).openNetdev('tun3', () => {
        throw stop;
      });
    if (collectsMetadata) expect(open).toThrow(expect.objectContaining({ errno: ERRNO.EOPNOTSUPP }));
    else expect(open).toThrow(stop);
  });
});

describe('links', () => {
  test('that are there at the start', () => {
    const { links } = start();
    expect(links.byName('v1')).toMatchObject([
      2,
      { name: 'v1', mtu: 1500, master: 9, kind: 'veth', type: ARPHRD.ETHER },
    ]);
    expect([links.name(2), links.mtu(1), links.name(3), links.mtu(3)]).toEqual(['v1', 65536, '', 0]);
    expect(links.readStats(2)).toEqual(counters(1n));
    expect(Object.values(links.readStats(3)).every((n) => n === 0n)).toBe(true);
  });

  test('that come, change and go', () => {
    const { kernel, links, gone } = start();
    kernel.add(3, { ifname: 'v3', mtu: 1400 });
    kernel.tell(RTM_LINK.NEWLINK, 2, { ifname: 'w1', mtu: 9000 });
    links.sync();
    expect([links.byName('v3')?.[0], links.byName('w1')?.[0], links.byName('v1'), links.mtu(2)]).toEqual([
      3,
      2,
      undefined,
      9000,
    ]);
    kernel.remove(3);
    links.sync();
    expect([gone, links.byName('v3')]).toEqual([[3], undefined]);
  });

  test('that leave a bridge are not gone', () => {
    const { kernel, links, gone } = start();
    kernel.tell(RTM_LINK.DELLINK, 2, { ifname: 'v1' }, 7);
    links.sync();
    expect([gone, links.name(2)]).toEqual([[], 'v1']);
  });

  test('are listed anew when notifications were lost', () => {
    const { kernel, links, gone } = start();
    kernel.add(3, { ifname: 'v3' });
    kernel.links.set(
      -1,
      kernel.links.get(-1)!.filter((l) => l.index !== 2),
    );
    kernel.sockets[1]!.length = 0;
    kernel.isOverflowing = true;
    links.sync();
    expect([gone, links.name(3)]).toEqual([[2], 'v3']);
  });

  test('move to another namespace and stay known, if they are TAPs', () => {
    const { kernel, links, gone } = start();
    const tap: LinkAttrs = {
      ifname: 'br0',
      mtu: 1500,
      address: MAC,
      linkinfo: { kind: 'tun' },
      stats64: counters(70n),
    };
    kernel.add(4, tap);
    kernel.add(7, tap, 0);
    kernel.remove(4, { newNetnsid: 0, newIfindex: 7 });
    links.sync();
    expect([gone, links.name(4), links.byName('br0')]).toEqual([[], 'br0', undefined]);
    expect(links.readStats(4).rxPackets).toBe(70n);
    expect(links.elsewhere(4)).toEqual({ ifindex: 7, netnsid: 0 });

    // Back again, under another number.
    kernel.links.set(0, []);
    kernel.add(8, { ...tap, ifname: 'br1' });
    links.sync();
    expect([gone, links.name(4), links.byName('br1')?.[0]]).toEqual([[], 'br1', 4]);
    expect(links.elsewhere(4)).toBe(undefined);
    expect(links.readStats(4).rxPackets).toBe(70n);
    kernel.remove(8);
    links.sync();
    expect(gone).toEqual([4]);
  });

  test('that are asked for between their move and its notification stay known', async () => {
    const { kernel, links, gone } = start();
    const tap: LinkAttrs = { ifname: 'br0', linkinfo: { kind: 'tun' }, stats64: counters(70n) };
    kernel.add(4, tap);
    links.sync();
    kernel.add(7, tap, 0);
    kernel.remove(4, { newNetnsid: 0, newIfindex: 7 });
    expect(links.readStats(4).rxPackets).toBe(0n);
    await Promise.resolve();
    expect([gone, links.name(4)]).toEqual([[], 'br0']);
    expect(links.readStats(4).rxPackets).toBe(70n);
  });

  test('that vanish in another namespace are found to be gone when they are asked for', async () => {
    const { kernel, links, gone } = start();
    kernel.add(4, { ifname: 'br0', linkinfo: { kind: 'tun' } });
    kernel.remove(4, { newNetnsid: 0, newIfindex: 4 });
    links.sync();
    expect(gone).toEqual([]);
    expect(links.readStats(4).rxPackets).toBe(0n);
    expect(gone).toEqual([]);
    await Promise.resolve();
    expect(gone).toEqual([4]);
  });

  test('a device that moves away and is no TAP is gone', () => {
    const { kernel, links, gone } = start();
    kernel.remove(2, { newNetnsid: 0, newIfindex: 2 });
    links.sync();
    expect(gone).toEqual([2]);
  });
});
