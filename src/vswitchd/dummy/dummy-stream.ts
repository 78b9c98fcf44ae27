/**
 * The wire between dummy devices of different processes: a stream socket on which each frame follows its length.
 *
 *     | size:16 | frame ... | size:16 | frame ... |
 *
 * options:pstream listens ("punix:FILE", "ptcp:PORT[:HOST]") and takes any number of peers, options:stream connects
 * ("unix:FILE", "tcp:HOST:PORT") and does so again after 100 ms, and twice as long each time, when that breaks.
 * Source: lib/netdev-dummy.c (dummy_packet_stream_run), lib/stream.man.
 */
import { rmSync } from 'node:fs';
import { connect, createServer, type ListenOptions, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { ETH_HLEN } from '../../packet/ethernet.ts';
import { vlog } from '../../util/vlog.ts';

const log = vlog('netdev_dummy');
const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 8000;
/** Bytes that may wait for a peer that does not read. */
const MAX_UNSENT = 1 << 18;

/** Parses an active stream's name; undefined if it is none. */
export function parseStream(name: string): NetConnectOpts | undefined {
  if (name.startsWith('unix:')) return { path: name.slice(5) };
  const tcp = /^tcp:(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(name);
  const host = tcp?.[1] ?? tcp?.[2];
  return host === undefined || Number(tcp?.[3]) > 65535 ? undefined : { host, port: Number(tcp?.[3]) };
}

/** Parses a passive stream's name; undefined if it is none. */
export function parsePstream(name: string): ListenOptions | undefined {
  if (name.startsWith('punix:')) return { path: name.slice(6) };
  const tcp = /^ptcp:(\d+)(?::(?:\[([^\]]+)\]|([^:]+)))?$/.exec(name);
  if (tcp === null || Number(tcp[1]) > 65535) return undefined;
  return { port: Number(tcp[1]), host: tcp[2] ?? tcp[3] ?? '0.0.0.0' };
}

export class DummyStream {
  /** As the option has it. */
  readonly name: string;
  private readonly receive: (frame: Uint8Array) => void;
  private readonly peers = new Set<Socket>();
  private server: Server | undefined;
  private timer: NodeJS.Timeout | undefined;
  private backoffMs = MIN_BACKOFF_MS;
  private isActive = false;
  private isClosed = false;

  private constructor(name: string, receive: (frame: Uint8Array) => void) {
    this.name = name;
    this.receive = receive;
  }

  /** What `old` becomes with a device's options: itself, another, or none.  Nonsense is logged, and is none. */
  static reconfigure(
    old: DummyStream | undefined,
    options: ReadonlyMap<string, string>,
    receive: (frame: Uint8Array) => void,
  ): DummyStream | undefined {
    const pstream = options.get('pstream');
    const stream = options.get('stream');
    if (pstream !== undefined && stream !== undefined) {
      log.warn(`Open failed: both ${pstream} and ${stream} are configured`);
      return old;
    }
    const name = pstream ?? stream;
    if (old?.name === name) return old;
    old?.close();
    if (name === undefined) return undefined;
    const made = new DummyStream(name, receive);
    const listen = pstream === undefined ? undefined : parsePstream(pstream);
    const target = stream === undefined ? undefined : parseStream(stream);
    if (listen !== undefined) made.listen(listen);
    else if (target !== undefined) made.connect(target);
    else {
      log.warn(`${name}: open failed (Address family not supported by protocol)`);
      return undefined;
    }
    return made;
  }

  get isPassive(): boolean {
    return !this.isActive;
  }
  /** Whether the peer is there; undefined of one that listens. */
  get isConnected(): boolean | undefined {
    return this.isActive ? this.peers.size > 0 : undefined;
  }

  /** Sends a frame to every peer; one that does not read loses it. */
  send(frame: Uint8Array): void {
    const message = new Uint8Array(2 + frame.length);
    new DataView(message.buffer).setUint16(0, frame.length);
    message.set(frame, 2);
    for (const peer of this.peers) if (peer.writableLength < MAX_UNSENT) peer.write(message);
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.server?.close();
    for (const peer of this.peers) peer.destroy();
    this.peers.clear();
  }

  private listen(options: ListenOptions): void {
    // A socket that an earlier process left there.
    if (options.path !== undefined) rmSync(options.path, { force: true });
    const server = createServer((socket) => this.adopt(socket));
    server.on('error', (error) => log.warn(`${this.name}: open failed (${error.message})`));
    server.listen(options);
    this.server = server;
  }

  private connect(target: NetConnectOpts): void {
    this.isActive = true;
    const socket = connect(target);
    let why = 'End of file';
    socket.once('connect', () => {
      this.backoffMs = MIN_BACKOFF_MS;
      this.adopt(socket);
    });
    socket.on('error', (error) => {
      why = error.message;
    });
    socket.once('close', () => {
      if (this.isClosed) return;
      log.dbg(`${this.name}: connection dropped (${why})`);
      this.timer = setTimeout(() => this.connect(target), this.backoffMs);
      this.backoffMs = Math.min(2 * this.backoffMs, MAX_BACKOFF_MS);
    });
    if (this.isClosed) socket.destroy();
  }

  private adopt(socket: Socket): void {
    if (this.isClosed) {
      socket.destroy();
      return;
    }
    this.peers.add(socket);
    socket.on('error', (error) => log.dbg(`${this.name}: ${error.message}`));
    socket.once('close', () => this.peers.delete(socket));
    let unread = Buffer.alloc(0);
    socket.on('data', (bytes) => {
      unread = unread.length === 0 ? bytes : Buffer.concat([unread, bytes]);
      while (unread.length >= 2) {
        const size = unread.readUInt16BE(0);
        if (size < ETH_HLEN) {
          log.dbg(`${this.name}: closing connection (Protocol error)`);
          socket.destroy();
          return;
        }
        if (unread.length < 2 + size) return;
        this.receive(Uint8Array.from(unread.subarray(2, 2 + size)));
        unread = unread.subarray(2 + size);
      }
    });
  }
}
