/** The files of sockets that listen: whose they are, and when they go. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Listener } from '../../../../src/ofproto/connmgr/service/listener.ts';

let dir: string;
let path: string;
let open: Listener[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'listener-'));
  path = join(dir, 'br0.mgmt');
});
afterEach(() => {
  for (const listener of open) listener.close();
  open = [];
  rmSync(dir, { recursive: true });
});

/** `heard` gets the names of who connects, `errors` what goes wrong. */
function listen(heard: string[] = [], errors: string[] = []): Listener {
  const listener = new Listener({
    target: { isPassive: true, kind: 'unix', path },
    tls: undefined,
    onConnection: (stream, name) => {
      heard.push(name);
      stream.destroy();
    },
    onError: (error) => errors.push(error.message),
  });
  open.push(listener);
  return listener;
}

const connected = (): Promise<string> =>
  new Promise((done) => {
    const socket = connect(path, () => {
      socket.destroy();
      done('connected');
    }).once('error', (error: NodeJS.ErrnoException) => done(error.code ?? ''));
  });

test('the socket is there, for owner and group, as soon as the listener is', async () => {
  listen();
  expect(statSync(path).mode & 0o777).toBe(0o770);
  expect(await connected()).toBe('connected');
});

test('its file goes with it', () => {
  listen().close();
  expect(readdirSync(dir)).toEqual([]);
});

test('one that took its place stays', async () => {
  const first = listen();
  const heard: string[] = [];
  listen(heard);
  first.close();
  expect(readdirSync(dir)).toEqual(['br0.mgmt']);
  expect(await connected()).toBe('connected');
  // The other end may notice a turn later.
  while (heard.length === 0) await new Promise((done) => setImmediate(done));
});

test('its file may be gone already', () => {
  const listener = listen();
  rmSync(path);
  listener.close();
  expect(existsSync(path)).toBe(false);
});

test('why there is no socket is told', async () => {
  path = join(dir, 'nowhere', 'br0.mgmt');
  const errors: string[] = [];
  const listener = listen([], errors);
  await new Promise((done) => setImmediate(done));
  expect(errors).toEqual([expect.stringContaining(path)]);
  expect(() => listener.close()).not.toThrow();
});
