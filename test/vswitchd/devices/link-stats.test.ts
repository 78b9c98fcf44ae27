import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { LITTLE_ENDIAN, NETLINK_ROUTE, NLMSG } from '../../../src/netlink/constants.ts';
import { MessageWriter } from '../../../src/netlink/message.ts';
import { openSocketTransport } from '../../../src/netlink/socket.ts';
import type { NetlinkReceiver, NetlinkTransport } from '../../../src/netlink/transport.ts';
import { dumpLinkStats } from '../../../src/vswitchd/devices/link-stats.ts';

const RTM_NEWSTATS = 92;

/** A kernel that answers with what `write` writes; `closed` tells whether the socket is. */
function kernel(write: (w: MessageWriter, receiver: NetlinkReceiver) => void) {
  const state = { closed: false, request: Buffer.alloc(0) };
  let receiver: NetlinkReceiver | null = null;
  const transport = {
    portId: 7,
    receive: (r: NetlinkReceiver | null) => {
      receiver = r;
    },
    send: (bytes: Uint8Array, offset: number, size: number) => {
      state.request = Buffer.from(bytes.subarray(offset, offset + size));
      setImmediate(() => {
        if (receiver === null) return;
        const w = new MessageWriter();
        write(w, receiver);
        receiver.datagram(w.bytes, w.dv, 0, w.size, 0);
      });
      return size;
    },
    close: () => {
      state.closed = true;
    },
  } as unknown as NetlinkTransport;
  return { transport, state };
}

function message(w: MessageWriter, type: number, body: Uint8Array): void {
  const at = w.begin(type, 0, 1, 7);
  w.reserve(body.length);
  w.bytes.set(body, w.size);
  w.size += body.length;
  w.end(at);
}

/** struct if_stats_msg, and one attribute of `size` bytes whose u64 words are 100, 101 and so on. */
function link(ifindex: number, type = 1, size = 8 * 24): Uint8Array {
  const bytes = new Uint8Array(12 + 4 + size);
  const dv = new DataView(bytes.buffer);
  dv.setUint32(4, ifindex, LITTLE_ENDIAN);
  dv.setUint16(12, 4 + size, LITTLE_ENDIAN);
  dv.setUint16(14, type, LITTLE_ENDIAN);
  for (let i = 0; 8 * i + 8 <= size; i++) dv.setBigUint64(16 + 8 * i, BigInt(100 + i), LITTLE_ENDIAN);
  return bytes;
}

describe('statistics of all devices', () => {
  test('are those of the kernel', async () => {
    const loBytes = () => BigInt(readFileSync('/sys/class/net/lo/statistics/rx_bytes', 'utf8').trim());
    const before = loBytes();
    const stats = await dumpLinkStats(openSocketTransport({ protocol: NETLINK_ROUTE }));
    const lo = stats.get(Number(readFileSync('/sys/class/net/lo/ifindex', 'utf8')));
    expect(lo?.rxBytes).toBeGreaterThanOrEqual(before);
    expect(lo?.rxBytes).toBeLessThanOrEqual(loBytes());
  });

  test('what they are called, and that only they are asked for', async () => {
    const { transport, state } = kernel((w) => {
      message(w, RTM_NEWSTATS, link(3));
      message(w, RTM_NEWSTATS, link(4, 2));
      message(w, RTM_NEWSTATS, link(5, 1, 64));
      message(w, NLMSG.DONE, new Uint8Array(4));
    });
    const stats = await dumpLinkStats(transport);
    expect([...stats.keys()]).toEqual([3]);
    // biome-ignore format: table
    expect(stats.get(3)).toEqual({
      rxPackets: 100n, txPackets: 101n, rxBytes: 102n, txBytes: 103n, rxErrors: 104n, txErrors: 105n, rxDropped: 106n, txDropped: 107n,
      multicast: 108n, collisions: 109n, rxOverErrors: 111n, rxCrcErrors: 112n, rxFrameErrors: 113n, rxMissedErrors: 115n,
    });
    expect(state.closed).toBe(true);
    const [type, flags] = [state.request.readUInt16LE(4), state.request.readUInt16LE(6)];
    expect([type, flags, state.request.readUInt32LE(24)]).toEqual([94, 0x301, 1]);
  });

  test('a refusal, nonsense and a lost answer are errors', async () => {
    const refused = kernel((w) => message(w, NLMSG.ERROR, new Uint8Array(new Int32Array([-95, 0, 0, 0, 0]).buffer)));
    await expect(dumpLinkStats(refused.transport)).rejects.toMatchObject({ errno: 95 });
    const long = link(3);
    new DataView(long.buffer).setUint16(12, 4000, LITTLE_ENDIAN);
    const wrong = kernel((w) => message(w, RTM_NEWSTATS, long));
    await expect(dumpLinkStats(wrong.transport)).rejects.toMatchObject({ code: 'ERR_NETLINK_FORMAT' });
    const lost = kernel((_w, receiver) => receiver.overflow?.());
    await expect(dumpLinkStats(lost.transport)).rejects.toMatchObject({ code: 'ENOBUFS' });
    expect([refused.state.closed, wrong.state.closed, lost.state.closed]).toEqual([true, true, true]);
  });
});
