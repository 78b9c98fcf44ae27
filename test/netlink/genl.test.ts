import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DATAPATH_PORT_ID, LITTLE_ENDIAN, NLM_F, NLMSG } from '../../src/netlink/constants.ts';
import { CTRL_ATTR, CTRL_CMD, GENL_ID_CTRL } from '../../src/netlink/families/nlctrl.ts';
import { GenlClient, type GenlEndpoint, type OvsRequest } from '../../src/netlink/genl.ts';
import { dump } from '../../src/netlink/genl-dump.ts';
import {
  awaitDatapathFamily,
  hasDatapathFamily,
  lookupFamily,
  resolveEndpoint,
} from '../../src/netlink/genl-family.ts';
import { subscribe } from '../../src/netlink/genl-notify.ts';
import { errorExtack, formatHeader } from '../../src/netlink/genl-text.ts';
import { forEachMessage, MessageView, MessageWriter } from '../../src/netlink/message.ts';
import { MemoryNetlink, type NetlinkTransport } from '../../src/netlink/transport.ts';
import { FakeClock, setClock } from '../../src/util/clock.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { waitFor } from '../support/wait-for.ts';

interface Request {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly from: number;
  readonly cmd: number;
  readonly dpIfindex: number;
}

/** A peer that keeps what it is asked and answers as the test tells it to. */
class FakePeer {
  readonly requests: Request[] = [];
  readonly transport: NetlinkTransport;
  answer: (r: Request, peer: FakePeer) => void = () => {};

  constructor(net: MemoryNetlink, portId: number) {
    this.transport = net.open(portId);
    this.transport.receive({
      datagram: (_bytes, dv, offset, size, from) =>
        forEachMessage(dv, offset, offset + size, (m) => {
          if (m.type < NLMSG.MIN_TYPE) return;
          const dpIfindex = m.hasOvsHeader ? m.dpIfindex : 0;
          const r = { type: m.type, flags: m.flags, seq: m.seq, from, cmd: m.cmd, dpIfindex };
          this.requests.push(r);
          this.answer(r, this);
        }),
    });
  }

  send(to: number, ...write: ((w: MessageWriter) => void)[]): void {
    const w = new MessageWriter();
    for (const f of write) f(w);
    this.transport.send(w.bytes, 0, w.size, to);
  }
}

const message =
  (r: { type: number; seq: number }, value: number, flags = 0) =>
  (w: MessageWriter) => {
    const at = w.beginOvs(r.type, flags, r.seq, 0, 1, 1, value);
    w.end(at);
  };
const error = (seq: number, errno: number) => (w: MessageWriter) => {
  const at = w.begin(NLMSG.ERROR, 0, seq, 0);
  w.reserve(20);
  w.dv.setInt32(w.size, -errno, LITTLE_ENDIAN);
  w.size += 4;
  w.size += 16;
  w.end(at);
};
const done =
  (seq: number, errno = 0) =>
  (w: MessageWriter) => {
    const at = w.begin(NLMSG.DONE, NLM_F.MULTI, seq, 0);
    w.reserve(4);
    w.dv.setInt32(w.size, -errno, LITTLE_ENDIAN);
    w.size += 4;
    w.end(at);
  };

const REQUEST: OvsRequest = { family: 40, cmd: 3, version: 1, flags: NLM_F.ECHO, dpIfindex: 7 };
const nothing = () => {};
const value = (m: MessageView) => m.dpIfindex;

let net: MemoryNetlink;
let peer: FakePeer;
let endpoint: GenlEndpoint;
let client: GenlClient;

beforeEach(() => {
  net = new MemoryNetlink();
  peer = new FakePeer(net, DATAPATH_PORT_ID);
  endpoint = { open: () => net.open(), peer: DATAPATH_PORT_ID };
  client = new GenlClient(endpoint);
});
afterEach(() => {
  client.close();
  setClock(undefined);
  vi.useRealTimers();
});

describe('requests', () => {
  test('a query resolves to its decoded reply and asks for no acknowledgement', async () => {
    peer.answer = (r, p) => p.send(r.from, message(r, r.dpIfindex + 1));
    expect(await client.query(REQUEST, nothing, value, 'x')).toBe(8);
    expect(peer.requests[0]).toMatchObject({ type: 40, cmd: 3, flags: NLM_F.REQUEST | NLM_F.ECHO, dpIfindex: 7 });
  });

  test('an error is a NetlinkError that says where', async () => {
    peer.answer = (r, p) => p.send(r.from, error(r.seq, ERRNO.ENODEV));
    await expect(client.query(REQUEST, nothing, value, 'ovs_vport GET')).rejects.toMatchObject({
      errno: ERRNO.ENODEV,
      code: 'ENODEV',
      message: 'ovs_vport GET: No such device',
    });
  });

  test('a transaction waits for its acknowledgement', async () => {
    let acknowledge = nothing;
    peer.answer = (r, p) => {
      acknowledge = () => p.send(r.from, error(r.seq, 0));
    };
    let isOver = false;
    const t = client.transact(REQUEST, nothing, 'x').then(() => {
      isOver = true;
    });
    await waitFor(() => expect(peer.requests).toHaveLength(1));
    expect((peer.requests[0]?.flags ?? 0) & NLM_F.ACK).toBe(NLM_F.ACK);
    expect(isOver).toBe(false);
    acknowledge();
    await t;
    expect(isOver).toBe(true);
  });

  test('answers are matched by sequence number in any order, and strangers are ignored', async () => {
    const stranger = net.open(99);
    const waiting: Request[] = [];
    peer.answer = (r, p) => {
      const w = new MessageWriter();
      message(r, 666)(w);
      stranger.send(w.bytes, 0, w.size, r.from);
      waiting.push(r);
      if (waiting.length < 3) return;
      for (const x of waiting.reverse())
        p.send(x.from, message({ type: 40, seq: 12345 }, 0), message(x, x.dpIfindex * 10));
    };
    const answers = await Promise.all(
      [1, 2, 3].map((dpIfindex) => client.query({ ...REQUEST, dpIfindex }, nothing, value, 'x')),
    );
    expect(answers).toEqual([10, 20, 30]);
  });

  test('a reply that cannot be decoded rejects that request alone', async () => {
    peer.answer = (r, p) => p.send(r.from, message(r, 1));
    const bad = () => {
      throw new RangeError('odd');
    };
    await expect(client.query(REQUEST, nothing, bad, 'x')).rejects.toThrow('odd');
    expect(await client.query(REQUEST, nothing, value, 'x')).toBe(1);
  });

  test('closing rejects what is under way, and what comes later', async () => {
    const t = client.transact(REQUEST, nothing, 'x');
    client.close();
    await expect(t).rejects.toMatchObject({ code: 'EBADF' });
    await expect(client.transact(REQUEST, nothing, 'x')).rejects.toMatchObject({ code: 'EBADF' });
  });
});

describe('a peer that is not there', () => {
  test('refuses at once, with a reason', async () => {
    peer.transport.close();
    await expect(client.transact(REQUEST, nothing, 'x')).rejects.toThrow(
      'x: Connection refused (no emulated datapath runs in this network namespace)',
    );
    await expect(dump(endpoint, REQUEST, nothing, value, nothing, 'd')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('is noticed within a second when it dies before it answers', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
    const t = expect(client.transact(REQUEST, nothing, 'x')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const d = expect(dump(endpoint, REQUEST, nothing, value, nothing, 'd')).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    peer.transport.close();
    await vi.advanceTimersByTimeAsync(1000);
    await t;
    await d;
  });

  test('times out if it lives but does not answer', async () => {
    const clock = new FakeClock();
    setClock(clock);
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
    const t = expect(client.transact(REQUEST, nothing, 'x')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const d = expect(dump(endpoint, REQUEST, nothing, value, nothing, 'd')).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    });
    await vi.advanceTimersByTimeAsync(9000);
    clock.advance(10_000);
    await vi.advanceTimersByTimeAsync(1000);
    await t;
    await d;
  });
});

describe('batches', () => {
  const batch = (n: number, onMessage: (i: number, m: MessageView) => void = nothing, bytes = 0) =>
    client.batch(
      n,
      (i) => ({ ...REQUEST, flags: 0, dpIfindex: i }),
      (_i, w) => w.attrBytes(1, new Uint8Array(bytes)),
      onMessage,
      'batch',
    );

  test('one datagram, an acknowledgement of the last, errors of any', async () => {
    let datagrams = 0;
    peer.answer = (r, p) => {
      if (r.dpIfindex === 0) datagrams++;
      if (r.dpIfindex === 1) p.send(r.from, error(r.seq, ERRNO.EEXIST));
      else if (r.flags & NLM_F.ACK) p.send(r.from, error(r.seq, 0));
    };
    expect([...(await batch(4))]).toEqual([0, ERRNO.EEXIST, 0, 0]);
    expect(peer.requests.map((r) => r.flags)).toEqual([1, 1, 1, 5]);
    expect(datagrams).toBe(1);
  });

  test('an error of the last message ends the batch too', async () => {
    peer.answer = (r, p) => {
      if (r.flags & NLM_F.ACK) p.send(r.from, error(r.seq, ERRNO.ENOENT));
    };
    expect([...(await batch(2))]).toEqual([0, ERRNO.ENOENT]);
  });

  test('replies reach the one who asked', async () => {
    const replies: [number, number][] = [];
    peer.answer = (r, p) => {
      p.send(r.from, message(r, r.dpIfindex + 100));
      if (r.flags & NLM_F.ACK) p.send(r.from, error(r.seq, 0));
    };
    await batch(3, (i, m) => replies.push([i, m.dpIfindex]));
    expect(replies).toEqual([
      [0, 100],
      [1, 101],
      [2, 102],
    ]);
  });

  test('large batches are split, each part with an acknowledgement of its own', async () => {
    peer.answer = (r, p) => {
      if (r.flags & NLM_F.ACK) p.send(r.from, error(r.seq, r.dpIfindex === 9 ? ERRNO.EINVAL : 0));
    };
    const results = await batch(10, nothing, 10_000);
    expect([...results]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, ERRNO.EINVAL]);
    expect(peer.requests.map((r) => r.dpIfindex)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(peer.requests.filter((r) => r.flags & NLM_F.ACK).map((r) => r.dpIfindex)).toEqual([3, 7, 9]);
  });

  test('a full queue delays, and keeps the order', async () => {
    const narrow = new MemoryNetlink();
    const server = narrow.open(DATAPATH_PORT_ID, 100);
    const c = new GenlClient({ open: () => narrow.open(), peer: DATAPATH_PORT_ID });
    const seen: number[] = [];
    const all = Promise.all(
      [1, 2, 3, 4].map((n) => c.transact({ ...REQUEST, dpIfindex: n }, (w) => w.attrBytes(1, new Uint8Array(80)), 'x')),
    );
    server.receive({
      datagram: (_b, dv, offset, size, from) =>
        forEachMessage(dv, offset, offset + size, (m) => {
          seen.push(m.dpIfindex);
          const w = new MessageWriter();
          error(m.seq, 0)(w);
          server.send(w.bytes, 0, w.size, from);
        }),
    });
    await all;
    expect(seen).toEqual([1, 2, 3, 4]);
    c.close();
  });
});

describe('dumps', () => {
  const run = (visit: (items: number[]) => void | Promise<void>) => dump(endpoint, REQUEST, nothing, value, visit, 'd');

  test('several messages, several datagrams, then done', async () => {
    peer.answer = (r, p) => {
      p.send(r.from, message(r, 1, NLM_F.MULTI), message(r, 2, NLM_F.MULTI));
      p.send(r.from, message(r, 3, NLM_F.MULTI), done(r.seq));
    };
    const items: number[] = [];
    expect(await run((xs) => void items.push(...xs))).toBe(true);
    expect(items).toEqual([1, 2, 3]);
    expect(peer.requests[0]?.flags).toBe(NLM_F.REQUEST | NLM_F.DUMP | NLM_F.ECHO);
  });

  test('an empty dump visits nothing', async () => {
    peer.answer = (r, p) => p.send(r.from, done(r.seq));
    expect(await run(() => expect.unreachable())).toBe(true);
  });

  test('nothing more is taken while the visitor is busy', async () => {
    peer.answer = (r, p) => {
      for (let i = 0; i < 200; i++) p.send(r.from, message(r, i, NLM_F.MULTI));
      p.send(r.from, done(r.seq));
    };
    let busy = 0;
    const items: number[] = [];
    await run(async (xs) => {
      expect(++busy).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      items.push(...xs);
      busy--;
    });
    expect(items).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  test('an interrupted dump says so', async () => {
    peer.answer = (r, p) => p.send(r.from, message(r, 1, NLM_F.MULTI | NLM_F.DUMP_INTR), done(r.seq));
    expect(await run(nothing)).toBe(false);
  });

  test('errors: of the request, at the end, of the visitor', async () => {
    peer.answer = (r, p) => p.send(r.from, error(r.seq, ERRNO.ENODEV));
    await expect(run(nothing)).rejects.toMatchObject({ code: 'ENODEV' });
    peer.answer = (r, p) => p.send(r.from, done(r.seq, ERRNO.EMSGSIZE));
    await expect(run(nothing)).rejects.toMatchObject({ code: 'EMSGSIZE' });
    peer.answer = (r, p) => p.send(r.from, message(r, 1, NLM_F.MULTI), done(r.seq));
    await expect(run(() => Promise.reject(new Error('visitor')))).rejects.toThrow('visitor');
  });
});

describe('families and peers', () => {
  const family = (groups: { name: string; id: number }[]) => (r: Request, p: FakePeer) => {
    expect(r.type).toBe(GENL_ID_CTRL);
    p.send(r.from, (w) => {
      const at = w.begin(GENL_ID_CTRL, 0, r.seq, r.from);
      w.genl(CTRL_CMD.NEWFAMILY, 2);
      w.attrs(CTRL_ATTR, {
        familyName: 'ovs_datapath',
        familyId: 33,
        version: 2,
        hdrsize: 4,
        maxattr: 9,
        mcastGroups: groups,
      });
      w.end(at);
    });
  };

  test('a family has an id and groups', async () => {
    peer.answer = family([{ name: 'ovs_datapath', id: 26 }]);
    const f = await lookupFamily(client, 'ovs_datapath');
    expect(f).toMatchObject({ name: 'ovs_datapath', id: 33, version: 2 });
    expect(f.groups.get('ovs_datapath')).toBe(26);
  });

  test('auto prefers the kernel, and falls back to the emulated datapath', async () => {
    const open = () => net.open();
    expect((await resolveEndpoint('auto', open)).peer).toBe(DATAPATH_PORT_ID);
    // MemoryNetlink opens no socket at port id 0: that number chooses one; so the kernel is a socket put in its place.
    const kernel = new FakePeer(net, 12);
    const toKernel = (): NetlinkTransport => {
      const t = net.open();
      const send = t.send.bind(t);
      t.send = (bytes, offset, size, portId) => send(bytes, offset, size, portId === 0 ? 12 : portId);
      const receive = t.receive.bind(t);
      t.receive = (rx) =>
        receive(rx && { ...rx, datagram: (b, dv, o, n, from) => rx.datagram(b, dv, o, n, from === 12 ? 0 : from) });
      return t;
    };
    kernel.answer = (r, p) => p.send(r.from, error(r.seq, ERRNO.ENOENT));
    expect((await resolveEndpoint('auto', toKernel)).peer).toBe(DATAPATH_PORT_ID);
    kernel.answer = family([]);
    expect((await resolveEndpoint('auto', toKernel)).peer).toBe(0);
    expect((await resolveEndpoint('emulated', toKernel)).peer).toBe(DATAPATH_PORT_ID);
    expect((await resolveEndpoint('kernel', open)).peer).toBe(0);
    expect(await hasDatapathFamily({ open, peer: 0 })).toBe(false);
  });

  test('a datapath that comes late is waited for, and one that does not come is not waited for longer', async () => {
    const late: GenlEndpoint = { open: () => net.open(), peer: 13 };
    let looks = 0;
    const never = awaitDatapathFamily(late, () => ++looks > 2);
    expect(await never).toBe(false);
    expect(looks).toBe(3);
    const comes = awaitDatapathFamily(late, () => {
      if (++looks === 6) new FakePeer(net, 13).answer = family([]);
      return false;
    });
    expect(await comes).toBe(true);
    expect(looks).toBe(6);
  });
});

test('notifications reach who subscribed, until it stops', async () => {
  const seen: number[] = [];
  let losses = 0;
  const narrow: GenlEndpoint = { open: () => net.open(0, 50), peer: DATAPATH_PORT_ID };
  const stop = subscribe(
    narrow,
    9,
    (m) => seen.push(m.dpIfindex),
    () => losses++,
  );
  const publish = (n: number) => {
    const w = new MessageWriter();
    message({ type: 40, seq: 0 }, n)(w);
    peer.transport.multicast(w.bytes, 0, w.size, 9);
  };
  publish(1);
  await waitFor(() => expect(seen).toEqual([1]));
  expect(losses).toBe(0);
  for (let i = 2; i < 10; i++) publish(i);
  await waitFor(() => expect(losses).toBe(1));
  stop();
  const n = seen.length;
  publish(100);
  await new Promise((resolve) => setTimeout(resolve, 2));
  expect(seen).toHaveLength(n);
});

describe('text', () => {
  test('headers', () => {
    const w = new MessageWriter();
    w.end(w.beginOvs(35, NLM_F.REQUEST | NLM_F.ECHO | NLM_F.CREATE, 0x1a, 77, 1, 1, 0));
    expect(formatHeader(w.bytes.subarray(0, w.size))).toBe(
      'nl(len:24, type=35, flags=409[REQUEST][ECHO][OTHER:0x400], seq=1a, pid=77),genl(cmd=1,version=1)',
    );
    const e = new MessageWriter();
    error(3, ERRNO.ENOENT)(e);
    expect(formatHeader(e.bytes.subarray(0, e.size))).toBe(
      'nl(len:36, type=2(error), flags=0, seq=3, pid=0) error(-2)',
    );
  });

  test('an extended ack is found behind the echoed request, whole or capped', () => {
    for (const capped of [false, true]) {
      const w = new MessageWriter();
      const at = w.begin(NLMSG.ERROR, NLM_F.ACK_TLVS | (capped ? NLM_F.CAPPED : 0), 1, 0);
      w.reserve(64);
      w.dv.setInt32(w.size, -22, LITTLE_ENDIAN);
      w.dv.setUint32(w.size + 4, capped ? 1000 : 24, LITTLE_ENDIAN);
      w.size += 4 + (capped ? 16 : 24);
      w.attrU32(2, 0);
      w.attrString(1, 'too long');
      w.end(at);
      const m = new MessageView();
      m.set(w.dv, 0, w.size);
      expect(errorExtack(m)).toBe('too long');
    }
  });
});
