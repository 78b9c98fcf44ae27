/**
 * Asks a daemon to carry out a command through its control socket (unixctl-server.ts, or any daemon of Open vSwitch).
 * Source: lib/unixctl.c, ovs-appctl(8).
 */
import { connect } from 'node:net';
import { type Json, JsonStream } from '../util/json-stream.ts';
import { UnixctlError } from './unixctl-server.ts';

/**
 * Resolves to the reply's text.  Rejects with a UnixctlError whose message is the daemon's answer if it refused, and
 * with an Error otherwise: nobody listens on `path`, no answer within `timeoutMs`, or one that is none.
 */
export function unixctlRequest(path: string, command: string, args: readonly string[], timeoutMs = 0): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const stream = new JsonStream();
    let timer: NodeJS.Timeout | undefined;
    const finish = (end: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      end();
    };
    const fail = (why: string, cause?: unknown) =>
      finish(() => reject(new Error(`${path}: ${why}`, cause === undefined ? {} : { cause })));
    if (timeoutMs > 0) timer = setTimeout(() => fail(`no reply to "${command}" within ${timeoutMs} ms`), timeoutMs);
    socket.once('connect', () => socket.write(JSON.stringify({ id: 0, method: command, params: args })));
    socket.once('error', (error) => fail(error.message, error));
    socket.once('close', () => fail('connection closed before the reply'));
    socket.on('data', (chunk) => {
      try {
        stream.push(chunk, ({ result, error }) => {
          if (error !== null && error !== undefined) finish(() => reject(new UnixctlError(text(error))));
          else finish(() => resolve(text(result)));
        });
      } catch (error) {
        fail((error as Error).message, error);
      }
    });
  });
}

const text = (json: Json | undefined): string => (typeof json === 'string' ? json : JSON.stringify(json ?? ''));
