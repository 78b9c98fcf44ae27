import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ALL_VERSIONS,
  decodeHello,
  encodeHello,
  formatVersions,
  negotiate,
  versionsFromNames,
} from '../../src/openflow/ofp-version.ts';
import { Vconn } from '../../src/openflow/vconn.ts';
import { setConsole, setLevels } from '../../src/util/vlog.ts';
import { fc } from '../support/property.ts';

const message = (version: number, type: number, xid: number, body: readonly number[] = []): Uint8Array => {
  const size = 8 + body.length;
  return Uint8Array.from([version, type, size >> 8, size & 255, 0, 0, xid >> 8, xid & 255, ...body]);
};

let dir: string;
let server: Server;
let peer: Socket;
let vconn: Vconn;
let received: Uint8Array[];
let closed: (string | undefined)[];

/** A Vconn at the listening end of a Unix socket, and a plain socket as its peer. */
async function open(versions = ALL_VERSIONS): Promise<void> {
  const path = join(dir, 'mgmt');
  received = [];
  closed = [];
  const accepted = new Promise<void>((resolve) => {
    server = createServer((socket) => {
      vconn = new Vconn(socket, { name: 'test', versions });
      vconn.onMessage = (m) => received.push(m);
      vconn.onClose = (reason) => closed.push(reason);
      resolve();
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  peer = connect(path);
  peer.on('error', () => {});
  await accepted;
}

/** What the peer receives until it is at least `n` bytes, or the connection ends. */
function read(n: number): Promise<Buffer> {
  return new Promise((resolve) => {
    let all = Buffer.alloc(0);
    const done = () => resolve(all);
    peer.on('end', done);
    peer.on('data', (chunk) => {
      all = Buffer.concat([all, chunk]);
      if (all.length >= n) done();
    });
  });
}
const until = async (is: () => boolean): Promise<void> => {
  for (const end = Date.now() + 60_000; !is() && Date.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, 5));
  expect(is()).toBe(true);
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vconn-'));
});
afterEach(() => {
  peer?.destroy();
  vconn?.close();
  server?.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('version negotiation', () => {
  it('agrees on the highest version of both, whichever way it is offered', () => {
    const set = fc.integer({ min: 1, max: 63 }).map((n) => n << 1);
    fc.assert(
      fc.property(set, set, (a, b) => {
        const offer = decodeHello(encodeHello(a, 1));
        expect(offer).toEqual({ versions: a, isClean: true });
        const both = [6, 5, 4, 3, 2, 1].find((v) => (a & b & (1 << v)) !== 0);
        expect(negotiate(a, b)).toBe(both);
      }),
    );
    expect(decodeHello(message(4, 0, 1)).versions).toBe(0b11110);
    expect(decodeHello(message(4, 0, 1, [0, 1, 0, 3])).isClean).toBe(false);
    expect(formatVersions(versionsFromNames(['OpenFlow10', 'OpenFlow13']))).toBe('versions 0x01, 0x04');
    expect(formatVersions(ALL_VERSIONS)).toBe('version 0x06 and earlier');
    expect(formatVersions(2)).toBe('version 0x01');
    expect(formatVersions(0)).toBe('no versions');
    expect(() => versionsFromNames(['OpenFlow16'])).toThrow('OpenFlow16: no such protocol');
  });

  it('says hello at once, hands over what follows the hello of the peer, and sends', async () => {
    await open();
    peer.write(Buffer.concat([encodeHello(0b10010, 7), message(4, 2, 9, [1, 2, 3])]));
    await until(() => received.length === 1);
    expect(vconn.version).toBe(4);
    expect([...(received[0] ?? [])]).toEqual([...message(4, 2, 9, [1, 2, 3])]);
    const reading = read(8 + 11);
    vconn.send(message(4, 3, 9, [1, 2, 3]));
    expect([...(await reading)]).toEqual([...encodeHello(ALL_VERSIONS, 1), ...message(4, 3, 9, [1, 2, 3])]);
  });

  it('logs every message as text, if it is told to', async () => {
    const lines: string[] = [];
    setConsole((line) => lines.push(line.replace(/^.*?\|DBG\|/, '')));
    setLevels('vconn', 'console', 'dbg');
    try {
      await open();
      peer.write(Buffer.concat([encodeHello(0b10010, 7), message(4, 20, 9)]));
      await until(() => received.length === 1);
      vconn.send(Uint8Array.from([...message(4, 21, 9), ...message(4, 3, 10, [1])]));
    } finally {
      setLevels('vconn', 'console', 'off');
      setConsole(undefined);
    }
    expect(lines.map((line) => line.trimEnd())).toEqual([
      'test: sent (Success): OFPT_HELLO (OF1.5) (xid=0x1):\n version bitmap: 0x01, 0x02, 0x03, 0x04, 0x05, 0x06',
      'test: received: OFPT_HELLO (OF1.3) (xid=0x7):\n version bitmap: 0x01, 0x04',
      'test: negotiated OpenFlow version 0x04 (we support version 0x06 and earlier, peer supports versions 0x01, 0x04)',
      'test: received: OFPT_BARRIER_REQUEST (OF1.3) (xid=0x9):',
      'test: sent (Success): OFPT_BARRIER_REPLY (OF1.3) (xid=0x9):',
      'test: sent (Success): OFPT_ECHO_REPLY (OF1.3) (xid=0xa): 1 bytes of payload',
    ]);
  });

  it('tells a peer without a common version so, and closes', async () => {
    await open(1 << 6);
    const reading = read(1000);
    peer.write(message(1, 0, 5));
    const bytes = await reading;
    const error = bytes.subarray(16);
    expect([...error.subarray(0, 2), ...error.subarray(8, 12)]).toEqual([1, 1, 0, 0, 0, 0]);
    expect(error.subarray(12).toString()).toBe(
      'We support version 0x06, you support version 0x01, no common versions.',
    );
    expect(closed).toEqual(['no common OpenFlow version']);
  });
});

describe('framing', () => {
  it('finds the messages wherever the stream is cut', async () => {
    await open();
    const messages = Array.from({ length: 50 }, (_, i) => message(6, 4 + i, i, new Array(i * 7).fill(i)));
    const stream = Buffer.concat([encodeHello(ALL_VERSIONS, 1), ...messages]);
    for (let at = 0, step = 1; at < stream.length; at += step, step = ((step * 7) % 61) + 1) {
      peer.write(stream.subarray(at, at + step));
      if (step % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => received.length === messages.length);
    expect(received.map((m) => Buffer.from(m).toString('hex'))).toEqual(
      messages.map((m) => Buffer.from(m).toString('hex')),
    );
  });

  it('answers a message of another version, and goes on', async () => {
    await open();
    const reading = read(8 + 12 + 10);
    peer.write(Buffer.concat([message(1, 0, 1), message(4, 14, 5, [9, 9]), message(1, 18, 6)]));
    await until(() => received.length === 1);
    const bytes = await reading;
    expect([...bytes.subarray(8)]).toEqual([...message(4, 1, 5, [0, 1, 0, 0, ...message(4, 14, 5, [9, 9])])]);
    expect(received[0]?.[1]).toBe(18);
  });

  it('closes a stream that is no OpenFlow', async () => {
    await open();
    peer.write(Buffer.concat([message(1, 0, 1), Uint8Array.from([1, 5, 0, 7, 0, 0, 0, 0])]));
    await until(() => closed.length === 1);
    expect(vconn.state).toBe('closed');
  });

  it('closes with a peer that goes away in the middle of a message', async () => {
    await open();
    peer.write('GET / HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 20));
    peer.end();
    await until(() => closed.length === 1);
    expect(received).toEqual([]);
  });

  it('keeps what it may not hand over yet', async () => {
    await open();
    vconn.pause();
    vconn.resume();
    peer.write(message(1, 0, 1));
    await until(() => vconn.version === 1);
    vconn.pause();
    peer.write(message(1, 18, 2));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(received.length).toBe(0);
    vconn.resume();
    await until(() => received.length === 1);
  });
});
