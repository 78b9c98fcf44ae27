/** The session and the replica against a scripted server. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Idl } from '../../src/ovsdb/idl.ts';
import { JsonRpcDisconnected, JsonRpcSession } from '../../src/ovsdb/jsonrpc.ts';
import { map, OvsdbError, optional, scalar, table } from '../../src/ovsdb/ovsdb-types.ts';
import { parseRemote, parseRemotes } from '../../src/ovsdb/remote.ts';
import { type Json, type JsonObject, JsonStream } from '../../src/util/json-stream.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { waitFor } from '../support/wait-for.ts';
import { until } from './ovsdb-server.ts';

let dir = '';
let server: Server;
let sockets: Socket[] = [];
let received: JsonObject[] = [];
/** What the server does with a message. */
let onMessage: (socket: Socket, message: JsonObject) => void = () => undefined;
let lines: string[] = [];
const cleanups: (() => void)[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tapswitch-rpc-'));
  sockets = [];
  received = [];
  lines = [];
  onMessage = () => undefined;
  setConsole((line) => lines.push(line));
  server = createServer((socket) => {
    const stream = new JsonStream();
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) =>
      stream.push(chunk, (message) => {
        received.push(message);
        onMessage(socket, message);
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(join(dir, 's'), resolve));
});
afterEach(async () => {
  for (const f of cleanups.splice(0)) f();
  for (const s of sockets) s.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true, force: true });
  setConsole(undefined);
});

const say = (socket: Socket | undefined, message: Json) => socket?.write(JSON.stringify(message));
const notified: [string, readonly Json[]][] = [];
function session(options = {}): JsonRpcSession {
  notified.length = 0;
  const s = new JsonRpcSession(
    `unix:${join(dir, 's')}`,
    { connected: () => undefined, disconnected: () => undefined, notification: (m, p) => notified.push([m, p]) },
    { minBackoffMs: 5, maxBackoffMs: 20, ...options },
  );
  cleanups.push(() => s.close());
  return s;
}

test('requests get their replies, in whatever order, and echo is answered', async () => {
  const s = session();
  await until(() => s.isConnected, 'connection');
  const a = s.request('a', [1]);
  const b = s.request('b', []);
  await until(() => received.length === 2, 'requests');
  say(sockets[0], { id: 'e', method: 'echo', params: ['hi'] });
  say(sockets[0], { id: received[1]?.['id'] ?? null, result: null, error: { error: 'no', details: 'never' } });
  say(sockets[0], { id: received[0]?.['id'] ?? null, result: { x: 1 }, error: null });
  say(sockets[0], { id: null, method: 'update', params: [1, 2] });
  expect(await a).toEqual({ x: 1 });
  await expect(b).rejects.toThrow(OvsdbError);
  await until(() => received.length === 3 && notified.length === 1, 'echo reply and notification');
  expect(received[2]).toEqual({ id: 'e', result: ['hi'], error: null });
  expect(notified).toEqual([['update', [1, 2]]]);
});

test.each([
  ['garbage', 'HTTP/1.1 400 Bad Request\r\n'],
  ['a reply that nobody asked for', '{"id":99,"result":1,"error":null}'],
  ['a notification without params', '{"id":null,"method":"update"}'],
])('%s breaks the connection, and the session makes another', async (_name, text) => {
  const s = session();
  await until(() => s.isConnected, 'connection');
  const request = s.request('a', []);
  sockets[0]?.write(text);
  await expect(request).rejects.toThrow(JsonRpcDisconnected);
  await until(() => s.isConnected && sockets.length === 2, 'second connection');
  expect(lines.join('')).toContain('connection dropped (Protocol error)');
});

test('a silent peer is probed and dropped', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  cleanups.push(() => void vi.useRealTimers());
  const s = session({ probeMs: 30 });
  await waitFor(() => expect(s.isConnected).toBe(true));
  vi.advanceTimersByTime(30);
  await waitFor(() => expect(received).toMatchObject([{ method: 'echo' }]));
  vi.advanceTimersByTime(30);
  await waitFor(() => expect(s.isConnected).toBe(false));
  expect(lines.join('')).toContain('no response to inactivity probe after 0.03 seconds, disconnecting');
  // One that answers is kept.
  onMessage = (socket, message) => say(socket, { id: message['id'] ?? null, result: [], error: null });
  vi.advanceTimersByTime(20);
  await waitFor(() => expect(s.isConnected).toBe(true));
  received.length = 0;
  for (let n = 1; n <= 3; n++) {
    vi.advanceTimersByTime(30);
    await waitFor(() => expect(received.filter(({ method }) => method === 'echo')).toHaveLength(n));
    // Its answer comes after that to the probe.
    await s.request('a', []);
    vi.advanceTimersByTime(30);
  }
  expect(sockets.length).toBe(2);
  expect(s.isConnected).toBe(true);
});

test('nobody listens: it backs off, says so once, and connects in the end', async () => {
  const path = join(dir, 'later');
  const s = new JsonRpcSession(
    `unix:${path}`,
    { connected: () => undefined, disconnected: () => undefined, notification: () => undefined },
    { minBackoffMs: 5, maxBackoffMs: 10 },
  );
  cleanups.push(() => s.close());
  await until(() => lines.join('').includes('suppressing further logging'), 'backoff');
  expect(lines.join('')).toContain('connection attempt failed (No such file or directory)');
  await expect(s.request('a', [])).rejects.toThrow(JsonRpcDisconnected);
  const late = createServer();
  await new Promise<void>((resolve) => late.listen(path, resolve));
  cleanups.push(() => late.close());
  await until(() => s.isConnected, 'connection');
});

test.each([['ssl:'], ['unix:'], ['tcp:host:99999'], ['db.sock']])('%s is no remote', (remote) => {
  expect(() => parseRemote(remote)).toThrow(RangeError);
});
test('remotes', () => {
  expect(parseRemote('tcp:[::1]:6640')).toMatchObject({ host: '::1', port: 6640 });
  expect(parseRemote('tcp:db.example')).toMatchObject({ kind: 'tcp', host: 'db.example', port: 6640 });
  expect(parseRemote('ssl:1.2.3.4:5')).toMatchObject({ kind: 'ssl', host: '1.2.3.4', port: 5 });
});
test('several remotes, and the id of a cluster among them', () => {
  const cid = '550e8400-e29b-41d4-a716-446655440000';
  const { remotes, cid: found } = parseRemotes(`tcp:[::1]:6640, cid:${cid},unix:/a,b`);
  expect(found).toBe(cid);
  expect(remotes.map((r) => r.name)).toEqual(['tcp:[::1]:6640', 'unix:/a,b']);
  expect(() => parseRemotes(`cid:${cid}`)).toThrow(RangeError);
});

const T = table('T', { name: scalar('string'), n: optional('integer'), conf: map('string', 'string') });
const SCHEMA = { tables: { T: { columns: { name: {}, n: {} } } } };
const UUID = '550e8400-e29b-41d4-a716-446655440000';

test('an old server: the replica falls back to monitor, and leaves out columns that are not there', async () => {
  onMessage = (socket, { method, id = null }) => {
    if (method === 'get_schema') say(socket, { id, result: SCHEMA, error: null });
    else if (method === 'monitor') {
      // The update in the same write must not overtake the reply.
      socket.write(
        JSON.stringify({ id, result: { T: { [UUID]: { new: { name: 'a', n: 1 } } } }, error: null }) +
          JSON.stringify({
            id: null,
            method: 'update',
            params: ['idl', { T: { [UUID]: { new: { name: 'a', n: 2 } } } }],
          }),
      );
    } else say(socket, { id, result: null, error: 'unknown method' });
  };
  const seen: string[] = [];
  const idl = new Idl({
    remote: `unix:${join(dir, 's')}`,
    database: 'D',
    tables: [{ table: T }],
    changed: (changes) => seen.push(...changes.keys()),
  });
  cleanups.push(() => idl.close());
  await until(() => idl.row(T, UUID)?.n === 2, 'the row');
  expect(idl.row(T, UUID)).toEqual({ _uuid: UUID, name: 'a', n: 2, conf: new Map() });
  expect(seen).toEqual(['T', 'T']);
  const monitors = received.filter((m) => String(m['method']).startsWith('monitor'));
  // Without "_Server" there is no monitor_cond_since either.
  expect(monitors.map((m) => m['method'])).toEqual(['monitor_cond', 'monitor_cond', 'monitor']);
  expect(monitors.map((m) => (m['params'] as unknown[])[0])).toEqual(['_Server', 'D', 'D']);
  expect(monitors[2]?.['params']).toEqual(['D', 'idl', { T: [{ columns: ['name', 'n'] }] }]);
});

test('an update that makes no sense breaks the connection; the replica comes back whole', async () => {
  let n = 0;
  onMessage = (socket, { method, id = null }) => {
    const database = { name: 'D', model: 'standalone', connected: true, schema: JSON.stringify(SCHEMA) };
    if (method === 'monitor_cond') say(socket, { id, result: { Database: { x: { initial: database } } }, error: null });
    if (method !== 'monitor_cond_since') return;
    n++;
    say(socket, {
      id,
      result: [false, UUID, n === 1 ? { T: { [UUID]: { initial: { name: 'a' } } } } : {}],
      error: null,
    });
    const bad = { T: { '550e8400-e29b-41d4-a716-446655440001': { modify: { n: 3 } } } };
    if (n === 1) say(socket, { id: null, method: 'update3', params: ['idl', UUID, bad] });
  };
  const idl = new Idl({
    remote: `unix:${join(dir, 's')}`,
    database: 'D',
    tables: [{ table: T }],
    session: { minBackoffMs: 5 },
    changed: () => undefined,
  });
  cleanups.push(() => idl.close());
  await until(() => n === 2 && idl.isConnected, 'second monitor');
  expect([...idl.rows(T)]).toEqual([]);
  expect(lines.join('')).toContain('a row that was never there changed');
});
