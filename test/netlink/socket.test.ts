/**
 * SocketTransport on real sockets.  Sending to another process's port id takes CAP_NET_ADMIN, and everything here the
 * built addon: without them the tests skip and say so.
 */
import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { NETLINK_ROUTE, NLM_F } from '../../src/netlink/constants.ts';
import { CTRL_ATTR, CTRL_CMD, GENL_ID_CTRL, NLCTRL_VERSION } from '../../src/netlink/families/nlctrl.ts';
import { forEachMessage, MessageWriter } from '../../src/netlink/message.ts';
import { openSocketTransport, type SocketTransport } from '../../src/netlink/socket.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { waitFor } from '../support/wait-for.ts';

const built = existsSync(new URL('../../build/Release/tapswitch.node', import.meta.url));
const root = process.getuid?.() === 0;
if (!built) console.log('skipped: the addon is not built (npm run build:native)');
else if (!root) console.log('skipped in part: no CAP_NET_ADMIN to send between processes');

const open: SocketTransport[] = [];
function openSocket(options = {}): SocketTransport {
  const t = openSocketTransport(options);
  open.push(t);
  return t;
}
afterEach(() => {
  for (const t of open.splice(0)) t.close();
});

/** Collects `n` datagrams (as copies), then resolves with them. */
function collect(t: SocketTransport, n: number): Promise<{ bytes: Uint8Array; from: number }[]> {
  const got: { bytes: Uint8Array; from: number }[] = [];
  return new Promise((resolve) => {
    t.receive({
      datagram: (bytes, _dv, offset, size, from) => {
        got.push({ bytes: bytes.slice(offset, offset + size), from });
        if (got.length === n) resolve(got);
      },
    });
  });
}

function getFamily(name: string, seq: number): MessageWriter {
  const w = new MessageWriter();
  const at = w.begin(GENL_ID_CTRL, NLM_F.REQUEST, seq, 0);
  w.genl(CTRL_CMD.GETFAMILY, NLCTRL_VERSION);
  w.attrs(CTRL_ATTR, { familyName: name });
  w.end(at);
  return w;
}

describe.skipIf(!built)('SocketTransport', () => {
  it('asks the kernel and gets its answer', async () => {
    const t = openSocket();
    const w = getFamily('nlctrl', 7);
    const answer = collect(t, 1);
    expect(t.send(w.bytes, 0, w.size, 0)).toBe(w.size);
    const [reply] = await answer;
    expect(reply?.from).toBe(0);
    const bytes = reply?.bytes ?? new Uint8Array();
    const found: unknown[] = [];
    forEachMessage(new DataView(bytes.buffer), 0, bytes.length, (m) => {
      found.push([m.seq, m.cmd, m.readGenl(CTRL_ATTR).familyId, m.readGenl(CTRL_ATTR).familyName]);
    });
    expect(found).toEqual([[7, CTRL_CMD.NEWFAMILY, GENL_ID_CTRL, 'nlctrl']]);
  });

  it('has a port id of its own, and refuses one that is taken', () => {
    const t = openSocket();
    expect(t.portId).toBeGreaterThan(0);
    expect(() => openSocket({ portId: t.portId })).toThrowError(
      expect.objectContaining({ errno: ERRNO.EADDRINUSE, code: 'EADDRINUSE', syscall: 'bind' }),
    );
    t.close();
    expect(openSocket({ portId: t.portId }).portId).toBe(t.portId);
  });

  it('opens other protocols', () => {
    expect(openSocket({ protocol: NETLINK_ROUTE }).portId).toBeGreaterThan(0);
    expect(() => openSocket({ protocol: 31 })).toThrowError(expect.objectContaining({ syscall: 'socket' }));
  });

  it('says EBADF after close, and closes twice', () => {
    const t = openSocket();
    t.close();
    t.close();
    expect(t.send(new Uint8Array(16), 0, 16, 0)).toBe(-ERRNO.EBADF);
  });

  it('refuses ranges outside the buffer', () => {
    const t = openSocket();
    expect(t.send(new Uint8Array(16), 8, 16, 0)).toBe(-ERRNO.EINVAL);
  });
});

describe.skipIf(!built || !root)('SocketTransport between two sockets', () => {
  it('delivers in order, with the sender, whatever the size', async () => {
    const a = openSocket();
    const b = openSocket();
    const sizes = Array.from({ length: 150 }, (_, i) => (i % 50 === 49 ? 70_000 : 16 + i));
    const bytes = new Uint8Array(70_000);
    const got = collect(b, sizes.length);
    for (const [i, size] of sizes.entries()) {
      bytes[0] = i;
      expect(a.send(bytes, 0, size, b.portId)).toBe(size);
    }
    const all = await got;
    expect(all.map((d) => d.bytes.length)).toEqual(sizes);
    expect(all.map((d) => d.bytes[0])).toEqual(sizes.map((_, i) => i));
    expect(new Set(all.map((d) => d.from))).toEqual(new Set([a.portId]));
  });

  it('sendMany tells each result', async () => {
    const a = openSocket();
    const b = openSocket();
    const list = Int32Array.from([0, 16, b.portId, 0, 16, 0x7fff0001, 8, 24, b.portId, 60, 16, b.portId]);
    const got = collect(b, 2);
    expect(a.sendMany(new Uint8Array(64), list, 4)).toBe(2);
    expect([list[2], list[5], list[8]]).toEqual([16, -ERRNO.ECONNREFUSED, 24]);
    expect(list[11]).toBeLessThan(0);
    expect((await got).map((d) => d.bytes.length)).toEqual([16, 24]);
  });

  it('says EAGAIN when the receiver does not read, and ECONNREFUSED when there is none', () => {
    const a = openSocket();
    const b = openSocket({ rcvbuf: 64 << 10 });
    const bytes = new Uint8Array(8192);
    let result = 0;
    for (let i = 0; i < 1000 && result >= 0; i++) result = a.send(bytes, 0, bytes.length, b.portId);
    expect(result).toBe(-ERRNO.EAGAIN);
    expect(a.send(bytes, 0, 16, 0x7fff0002)).toBe(-ERRNO.ECONNREFUSED);
  });

  it('tells of what a multicast could not deliver, and goes on after it', async () => {
    const a = openSocket();
    const b = openSocket({ rcvbuf: 64 << 10 });
    b.join(30);
    const bytes = new Uint8Array(8192);
    for (let i = 0; i < 100; i++) a.multicast(bytes, 0, bytes.length, 30);
    let overflows = 0;
    let datagrams = 0;
    const done = new Promise<void>((resolve) => {
      b.receive({
        overflow: () => overflows++,
        datagram: (_bytes, _dv, _offset, size) => {
          datagrams++;
          if (size === 16) resolve();
        },
      });
    });
    await waitFor(() => expect(overflows).toBe(1));
    a.send(bytes, 0, 16, b.portId);
    await done;
    expect(overflows).toBe(1);
    expect(datagrams).toBeGreaterThan(1);
    expect(datagrams).toBeLessThan(101);
  });

  it('tells of a loss when the queue is empty: until then the kernel drops whatever comes', async () => {
    const a = openSocket();
    const b = openSocket({ rcvbuf: 256 << 10 });
    b.join(29);
    const bytes = new Uint8Array(512);
    for (let i = 0; i < 2000; i++) a.multicast(bytes, 0, bytes.length, 29);
    const order: number[] = [];
    b.receive({
      maxBatch: 2,
      overflow: () => {
        order.push(0);
        // From here on nothing is lost.
        a.multicast(bytes, 0, 100, 29);
      },
      datagram: (_bytes, _dv, _offset, size) => order.push(size),
    });
    await waitFor(() => expect(order.at(-1)).toBe(100));
    const told = order.indexOf(0);
    expect(told).toBeGreaterThan(16);
    expect(order.slice(told)).toEqual([0, 100]);
  });

  it('multicasts to those who joined', async () => {
    const a = openSocket();
    const b = openSocket();
    const c = openSocket();
    b.join(31);
    c.join(31);
    c.leave(31);
    let stray = 0;
    c.receive({ datagram: () => stray++ });
    const got = collect(b, 1);
    expect(a.multicast(new Uint8Array(32), 0, 32, 31)).toBe(32);
    expect((await got)[0]).toMatchObject({ from: a.portId });
    expect(stray).toBe(0);
  });

  it('ends each batch once, of 64 at most', async () => {
    const a = openSocket();
    const b = openSocket();
    for (let i = 0; i < 100; i++) a.send(new Uint8Array(16), 0, 16, b.portId);
    const batches: number[] = [];
    let inBatch = 0;
    await new Promise<void>((resolve) => {
      b.receive({
        datagram: () => inBatch++,
        batchEnd: () => {
          batches.push(inBatch);
          inBatch = 0;
          if (batches.length === 2) resolve();
        },
      });
    });
    expect(batches).toEqual([64, 36]);
  });

  it('stops when told so, also within a batch', async () => {
    const a = openSocket();
    const b = openSocket();
    for (let i = 0; i < 3; i++) a.send(new Uint8Array(16), 0, 16, b.portId);
    let n = 0;
    await new Promise<void>((resolve) => {
      b.receive({
        datagram: () => {
          n++;
          b.close();
          setTimeout(resolve, 20);
        },
      });
    });
    expect(n).toBe(1);
  });
});
