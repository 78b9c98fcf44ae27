import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { syslogSink, syslogTarget } from '../../src/daemon/syslog.ts';

const SKIP = !existsSync('build/Release/tapswitch.node');
if (SKIP) console.warn('skipped: the native addon is not built');

/** What arrives at a UDP port of ours while `send` runs. */
async function received(n: number, send: (port: number) => void): Promise<string[]> {
  const socket = createSocket('udp4');
  const got: string[] = [];
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const all = new Promise<void>((resolve) => {
    socket.on('message', (message) => {
      got.push(message.toString());
      if (got.length === n) resolve();
    });
  });
  send(socket.address().port);
  await all;
  socket.close();
  return got;
}

test.skipIf(SKIP)('udp: the line follows its priority, of facility "daemon" if none was chosen', async () => {
  const got = await received(2, (port) => {
    const sink = syslogSink(`udp:127.0.0.1:${port}`);
    expect(sink.prefix).toBe('<%B>');
    sink.send(4, 'one');
    sink.send((16 << 3) | 3, 'two');
  });
  expect(got).toEqual(['<28>one', '<131>two']);
});

test.skipIf(SKIP)('a datagram that is too long is cut', async () => {
  const [text = ''] = await received(1, (port) => syslogTarget(`127.0.0.1:${port}`)('x'.repeat(100_000)));
  expect(text.length).toBeGreaterThan(50_000);
  expect(text.length).toBeLessThan(65_536);
});

test.skipIf(SKIP)('nobody there is no error', () => {
  expect(() => syslogSink('unix:/nonexistent/socket').send(4, 'x')).not.toThrow();
  expect(() => syslogSink('null').send(4, 'x')).not.toThrow();
  const refused = syslogSink('udp:127.0.0.1:9');
  for (let i = 0; i < 3; i++) expect(() => refused.send(4, 'x')).not.toThrow();
});

test('what is no method is refused', () => {
  expect(() => syslogSink('tcp:1.2.3.4:5')).toThrow("unsupported syslog method 'tcp:1.2.3.4:5'");
  expect(() => syslogSink('udp:host')).toThrow('unsupported syslog method');
  expect(() => syslogTarget('1.2.3.4')).toThrow('--syslog-target=1.2.3.4: want IP:PORT');
  expect(syslogSink('libc').prefix).toBe('<%B> %D{%h %e %T} %E %A:');
});
