import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unixctlRequest } from '../../src/unixctl/unixctl-client.ts';
import { type UnixctlCommand, UnixctlError, UnixctlServer } from '../../src/unixctl/unixctl-server.ts';
import { JsonStream } from '../../src/util/json-stream.ts';
import { setConsole } from '../../src/util/vlog.ts';

const NO_APPCTL = spawnSync('ovs-appctl', ['--version']).status !== 0;
if (NO_APPCTL) console.warn('skipped in part: ovs-appctl is not installed (Debian package openvswitch-common)');

// biome-ignore format: table
const COMMANDS: readonly UnixctlCommand[] = [
  { name: 'fdb/show', usage: 'bridge',  minArgs: 1, maxArgs: 1,        run: ([br]) => { if (br !== 'br0') throw new UnixctlError('no such bridge'); return ' port\n'; } },
  { name: 'say',      usage: '[word]...', minArgs: 0, maxArgs: Infinity, run: (args) => args.join(' ') },
  { name: 'late',     usage: undefined, minArgs: 0, maxArgs: 0,        run: async () => { await new Promise((r) => setTimeout(r, 20)); return 'late'; } },
  { name: 'count',    usage: undefined, minArgs: 0, maxArgs: 0,        run: () => '1', runJson: () => ({ n: 1 }) },
  { name: 'broken',   usage: undefined, minArgs: 0, maxArgs: 0,        run: () => { throw new TypeError('a bug'); } },
];

let dir = '';
let path = '';
let server: UnixctlServer;
let lines: string[] = [];

beforeEach(async () => {
  lines = [];
  setConsole((line) => lines.push(line));
  dir = mkdtempSync(join(tmpdir(), 'tapswitch-ctl-'));
  path = join(dir, 'a.ctl');
  server = new UnixctlServer('prog (Open vSwitch) 1.2', COMMANDS);
  await server.listen(path);
});
afterEach(async () => {
  await server.close();
  expect(existsSync(path)).toBe(false);
  rmSync(dir, { recursive: true });
  setConsole(undefined);
});

const LIST =
  'The available commands are:\n' +
  '  fdb/show                bridge\n' +
  '  list-commands           \n' +
  '  say                     [word]...\n' +
  '  set-options             [--format text|json]\n' +
  '  version                 \n';

test.each([
  ['list-commands', [], LIST],
  ['version', [], 'prog (Open vSwitch) 1.2\n'],
  ['say', [], ''],
  ['say', ['a', '\u00e9', '"'], 'a \u00e9 "\n'],
  ['fdb/show', ['br0'], ' port\n'],
  ['late', [], 'late\n'],
])('%s %j', async (name, args, want) => {
  expect(await unixctlRequest(path, name, args)).toBe(want);
});

test.each([
  ['foo', [], '"foo" is not a valid command (use "list-commands" to see a list of valid commands)\n'],
  ['fdb/show', [], '"fdb/show" command requires at least 1 arguments\n'],
  ['fdb/show', ['a', 'b'], '"fdb/show" command takes at most 1 arguments\n'],
  ['fdb/show', ['br1'], 'no such bridge\n'],
  ['broken', [], 'a bug\n'],
])('%s %j is refused', async (name, args, want) => {
  const error = await unixctlRequest(path, name, args).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(UnixctlError);
  expect((error as Error).message).toBe(want);
});

/** Writes `text` and resolves to what comes back until the server closes or `want` bytes are there. */
function raw(text: string, want: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let got = '';
    const socket = connect(path, () => socket.write(text));
    socket.on('data', (chunk) => {
      got += chunk;
      if (got.length >= want.length) socket.destroy();
    });
    socket.once('close', () => resolve(got));
    socket.once('error', reject);
  });
}

test('several requests in one write are answered in order', async () => {
  const request = (id: number, method: string) => JSON.stringify({ id, method, params: [] });
  const want = '{"id":1,"result":"late\\n","error":null}{"id":2,"result":"","error":null}';
  expect(await raw(request(1, 'late') + request(2, 'say'), want)).toBe(want);
});

test.each([
  ['garbage', 'GET / HTTP/1.0\r\n\r\n'],
  ['no method', '{"id":1,"params":[]}'],
  ['params that are no array', '{"id":1,"method":"say","params":{}}'],
])('%s ends the connection, and the server lives', async (_name, text) => {
  expect(await raw(text, '.')).toBe('');
  expect(await unixctlRequest(path, 'say', ['x'])).toBe('x\n');
});

/** Sends each request when the one before has its reply; gives the replies without their ids. */
async function conversation(...requests: readonly (readonly [string, ...string[]])[]): Promise<unknown[]> {
  const socket = connect(path);
  const replies: unknown[] = [];
  const stream = new JsonStream();
  await new Promise<void>((resolve, reject) => {
    const ask = () => {
      const [method, ...params] = requests[replies.length] ?? [''];
      if (method === '') resolve();
      else socket.write(JSON.stringify({ id: replies.length, method, params }));
    };
    socket.on('error', reject);
    socket.on('connect', ask);
    socket.on('data', (chunk) =>
      stream.push(chunk, ({ result, error }) => {
        replies.push(error ?? result);
        ask();
      }),
    );
  });
  socket.destroy();
  return replies;
}

test('who asks for JSON gets it, or text in JSON; errors stay text', async () => {
  const got = await conversation(
    ['say', 'x'],
    ['set-options', '--format', 'json'],
    ['say', 'x'],
    ['count'],
    ['list-commands'],
    ['fdb/show', 'br1'],
    ['set-options', '--format=text'],
    ['say', 'x'],
  );
  expect(got).toEqual([
    'x\n',
    { 'reply-format': 'plain', reply: '' },
    { 'reply-format': 'plain', reply: 'x\n' },
    { n: 1 },
    expect.objectContaining({ 'fdb/show': 'bridge', 'list-commands': '' }),
    'no such bridge\n',
    '',
    'x\n',
  ]);
});

test.each([
  [['--format', 'xml'], 'option format has invalid value xml\n'],
  [['--format'], "option '--format' requires an argument\n"],
  [['--colour', 'json'], "unrecognized option '--colour'\n"],
])('set-options %j is refused', async (args, want) => {
  expect(await conversation(['set-options', ...args])).toEqual([want]);
});

test('an argument that is no string is refused', async () => {
  const got = await raw('{"id":1,"method":"say","params":[1]}', '.');
  expect(JSON.parse(got)).toEqual({ id: 1, result: null, error: '"say" command has non-string argument\n' });
});

test('a path that is served is not taken over; one that a dead process left is', async () => {
  const other = new UnixctlServer('x', []);
  await expect(other.listen(path)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  const stale = join(dir, 'stale.ctl');
  // A process that is killed leaves its socket behind.
  const code = `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await new Promise((resolve) => spawn(process.execPath, ['-e', code]).once('exit', resolve));
  expect(existsSync(stale)).toBe(true);
  await other.listen(stale);
  expect(await unixctlRequest(stale, 'version', [])).toBe('x\n');
  await other.close();
});

test('a command that ends the server is replied to', async () => {
  const other = join(dir, 'exit.ctl');
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const run = async () => {
    end();
    await null;
    return 'bye';
  };
  const exit = { name: 'exit', usage: '', minArgs: 0, maxArgs: 0, run };
  const closing = new UnixctlServer('x', [exit]);
  await closing.listen(other);
  const closed = ended.then(() => closing.close());
  expect(await unixctlRequest(other, 'exit', [])).toBe('bye\n');
  await closed;
});

test('nobody there, and a timeout', async () => {
  await expect(unixctlRequest(join(dir, 'none'), 'version', [])).rejects.toThrow('ENOENT');
  await expect(unixctlRequest(path, 'late', [], 1)).rejects.toThrow('no reply to "late" within 1 ms');
});

describe.skipIf(NO_APPCTL)('stock ovs-appctl', () => {
  function appctl(...args: string[]): Promise<{ status: number | null; out: string; err: string }> {
    return new Promise((resolve) => {
      const child = spawn('ovs-appctl', ['-t', path, ...args]);
      let [out, err] = ['', ''];
      child.stdout.on('data', (d) => (out += d));
      child.stderr.on('data', (d) => (err += d));
      child.once('close', (status) => resolve({ status, out, err }));
    });
  }
  test('prints the reply', async () => {
    expect(await appctl('list-commands')).toEqual({ status: 0, out: LIST, err: '' });
    expect(await appctl('say', 'a b', 'c')).toEqual({ status: 0, out: 'a b c\n', err: '' });
  });
  test('prints the error and exits 2', async () => {
    const { status, out, err } = await appctl('foo');
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain('"foo" is not a valid command (use "list-commands" to see a list of valid commands)\n');
  });
});
