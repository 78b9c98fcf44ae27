/**
 * Sockets that OpenFlow connections come in at.
 *
 * A socket file that an earlier process left is removed: nobody listens there.  One's own goes away with `close`, and at the process's end; one
 * that another process has put in its place meanwhile (a second vswitchd, which took over the database's lock) stays.
 * Source: lib/stream-unix.c, lib/stream-tcp.c (punix_open, ptcp_open).
 */
import { chmodSync, renameSync, statSync, unlinkSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { keepAtExit, unlinkAtExit } from '../../../util/exit-files.ts';
import { type TlsFiles, tlsOptions } from '../../../util/tls-files.ts';
import type { Target } from './target.ts';

let nextUnix = 0;

function nameOf(target: Target, socket: Socket): string {
  if (target.kind === 'unix') return `unix#${nextUnix++}`;
  const address = socket.remoteAddress ?? '?';
  return `${target.kind}:${address.includes(':') ? `[${address}]` : address}:${socket.remotePort ?? 0}`;
}

export interface ListenerOptions {
  readonly target: Target;
  readonly tls: TlsFiles | undefined;
  /** `name`: "unix#3", "tcp:127.0.0.1:33444". */
  onConnection(stream: Duplex, name: string): void;
  /** Why there is no socket, or no longer one. */
  onError(error: Error): void;
}

export class Listener {
  private readonly server: Server;
  private readonly path: string | undefined;
  /** Of the socket file. */
  private inode: number | undefined;
  private isClosed = false;

  /** Throws if a TLS key or certificate cannot be read; other trouble goes to `onError`. */
  constructor(options: ListenerOptions) {
    const { target } = options;
    this.path = target.kind === 'unix' ? target.path : undefined;
    const take = (socket: Socket): void => options.onConnection(socket, nameOf(target, socket));
    // Half-closed peers have said all, but may still want to hear the answers.
    this.server =
      target.kind === 'ssl'
        ? createTlsServer(tlsOptions(options.tls), take).on('tlsClientError', () => {})
        : createServer({ allowHalfOpen: true, noDelay: true }, take);
    this.server.on('error', (error) => {
      if (!this.isClosed) options.onError(error);
    });
    if (this.path !== undefined) removeStale(this.path);
    const where: ListenOptions =
      target.kind === 'unix'
        ? { path: target.path }
        : { port: target.port, ...(target.host ? { host: target.host } : {}) };
    this.server.listen(where);
    // A socket with a file has it now, or an error comes.
    if (this.path === undefined || !this.server.listening) return;
    // Whoever may control the switch is who may open the file.
    chmodSync(this.path, 0o770);
    unlinkAtExit(this.path);
    this.inode = inodeOf(this.path);
  }

  /** The port that it listens at; undefined before it does, and of unix sockets. */
  get port(): number | undefined {
    const address = this.server.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  /** Ends listening; connections that came in stay. */
  close(): void {
    this.isClosed = true;
    const { path, inode } = this;
    if (path === undefined || inode === undefined) {
      this.server.close();
      return;
    }
    const now = inodeOf(path);
    if (now === inode) keepAtExit(path);
    // Node removes whatever has the name.
    if (now === undefined || now === inode) this.server.close();
    else whileAside(path, () => this.server.close());
  }
}

const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;

function whileAside(path: string, act: () => void): void {
  const aside = `${path}.${process.pid}~`;
  renameSync(path, aside);
  act();
  renameSync(aside, path);
}

function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
